// SPDX-License-Identifier: MIT
/*
 * A hostile server: takes requests and breaks its word, by ioctl and io_uring, is away for a while,
 * and now and then does what it should, so that requests get anywhere. See stress.h.
 */
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

static void on_alarm(int sig)
{
	(void)sig;
}

static void start_alarm(void)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

/* Mappings of clients' buffers, kept until they are long gone. */
static struct {
	void *at;
	size_t len;
} maps[8];
static int sink = -1;

static void map_buffer(struct dice *dice, int fd, uint64_t offset, uint64_t len)
{
	const uint32_t i = roll(dice, 8);
	void *at;

	if (maps[i].at)
		munmap(maps[i].at, maps[i].len);
	maps[i].at = NULL;
	at = mmap(NULL, len, one_in(dice, 2) ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  (off_t)offset);
	if (stress_did(KIND_SERVER_MMAP, at == MAP_FAILED ? -errno : 0) < 0)
		return;
	maps[i].at = at;
	maps[i].len = len;
}

/* By a system call: what is gone is EFAULT there, and no signal. */
static void touch_buffers(struct dice *dice)
{
	const uint32_t i = roll(dice, 8);

	if (sink < 0)
		sink = memfd_create("sink", MFD_CLOEXEC);
	if (!maps[i].at)
		return;
	if (pwrite(sink, maps[i].at, maps[i].len, 0) < 0 || one_in(dice, 2))
		return;
	if (pread(sink, maps[i].at, maps[i].len, 0) < 0 && one_in(dice, 4))
		mprotect(maps[i].at, maps[i].len, PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* Fetches one request and answers it, as far as the verdicts allow. */
static void step_well(struct dice *dice, int fd)
{
	static char buf[65536] __attribute__((aligned(8)));
	struct llm_fetch fetch = {
		.size = sizeof(fetch),
		.flags = LLM_FETCH_REQUEST | LLM_FETCH_CONTROL | LLM_FETCH_NONBLOCK,
		.buf = (uintptr_t)buf,
		.buf_len = sizeof(buf),
	};
	struct llm_commit commit = { .size = sizeof(commit), .data = (uintptr_t)buf };
	struct llm_event event;
	int r;

	if (one_in(dice, 3))
		fetch.flags |= LLM_FETCH_NOTICE;
	r = ioctl(fd, LLM_IOC_FETCH, &fetch);
	if (stress_did(KIND_FETCH, r < 0 ? -errno : r) < 0)
		return;
	memcpy(&event, buf, sizeof(event));
	commit.id = event.id;
	if (event.type != LLM_EVENT_REQUEST) {
		commit.flags = LLM_COMMIT_END;
		ioctl(fd, LLM_IOC_COMMIT, &commit);
		return;
	}
	if (event.buffer_len && one_in(dice, 2))
		map_buffer(dice, fd, event.buffer, event.buffer_len);
	if (event.answer_buffer_len && one_in(dice, 2))
		map_buffer(dice, fd, event.answer_buffer, event.answer_buffer_len);
	if (event.op < LLM_OP_CONTROL && !one_in(dice, 4)) {
		struct llm_charge charge = { .size = sizeof(charge), .id = event.id,
					     .bytes = 4096 * (1 + roll(dice, 100)) };

		r = ioctl(fd, LLM_IOC_CHARGE, &charge);
		stress_did(KIND_CHARGE, r < 0 ? -errno : r);
	}
	commit.prompt_tokens = event.prompt_tokens + roll(dice, 20);
	commit.output_tokens = event.output_tokens;
	for (uint32_t n = roll(dice, 8); n; n--) {
		commit.output_tokens += roll(dice, 20);
		commit.data_len = roll(dice, 2000);
		r = ioctl(fd, LLM_IOC_COMMIT, &commit);
		if (stress_did(KIND_COMMIT, r < 0 ? -errno : r) != LLM_VERDICT_CONTINUE)
			return;
	}
	commit.data_len = 0;
	commit.flags = LLM_COMMIT_END;
	if (one_in(dice, 2))
		stress_did(KIND_COMMIT, ioctl(fd, LLM_IOC_COMMIT, &commit));
}

static void step_badly(struct dice *dice, int fd)
{
	union command command;
	enum stress_kind kind;
	const unsigned int cmd = command_server(dice, &command, &kind);
	const int r = ioctl(fd, cmd, &command);

	stress_did(kind, r < 0 ? -errno : r);
}

static void step_mmap(struct dice *dice, int fd)
{
	const size_t len = 4096 * (1 + roll(dice, 8));
	volatile char *at = mmap(NULL, len, one_in(dice, 2) ? PROT_READ : PROT_READ | PROT_WRITE,
				 one_in(dice, 8) ? MAP_PRIVATE : MAP_SHARED, fd,
				 (off_t)(roll_number(dice) & 0xffffff000ULL));

	if (stress_did(KIND_SERVER_MMAP, at == MAP_FAILED ? -errno : 0) >= 0)
		munmap((void *)at, len);
}

static void serve(struct dice *dice, int fd)
{
	struct ring *ring = ring_make();

	while (ring && !atomic_load(&stress->stop) && !one_in(dice, 20000)) {
		const uint32_t what = roll(dice, 100);

		if (what < 40)
			step_well(dice, fd);
		else if (what < 75)
			step_badly(dice, fd);
		else if (what < 95)
			ring_step(dice, ring, fd, true);
		else if (what < 97)
			arena_change(dice);
		else if (what < 99)
			touch_buffers(dice);
		else
			step_mmap(dice, fd);
	}
	if (ring)
		ring_free(ring);
}

void server_main(struct dice *dice)
{
	arena_make();
	start_alarm();
	while (!atomic_load(&stress->stop)) {
		const int fd = open("/dev/llmd", O_RDWR | O_CLOEXEC);

		if (stress_did(KIND_OPEN, fd < 0 ? -errno : 0) < 0) {
			usleep(1000);
			continue;
		}
		serve(dice, fd);
		close(fd);
	}
}
