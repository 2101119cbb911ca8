// SPDX-License-Identifier: MIT
/*
 * A hostile server, in threads that share its file: it breaks its word by ioctl and io_uring, goes
 * away and comes back, and beside that answers requests, so that they get anywhere. See stress.h.
 */
#include "stress.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Mappings of clients' buffers, kept until they are long gone. */
static _Thread_local struct {
	void *at;
	size_t len;
} maps[8];
static _Thread_local int sink = -1;

void server_map(struct dice *dice, int fd, uint64_t offset, uint64_t len)
{
	const uint32_t i = roll(dice, 8);
	void *at;

	if (stress->calm)
		return;
	if (maps[i].at)
		munmap(maps[i].at, maps[i].len);
	maps[i].at = NULL;
	at = mmap(NULL, len, one_in(dice, 2) ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  (off_t)offset);
	if (stress_called(KIND_SERVER_MMAP, at == MAP_FAILED ? -1 : 0) < 0)
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

static void step_badly(struct dice *dice, int fd)
{
	union command command;
	enum stress_kind kind;
	const unsigned int cmd = command_server(dice, &command, &kind);
	int r;

	if (cmd == LLM_IOC_FETCH)
		patience(1 + roll(dice, 2000));
	r = ioctl(fd, cmd, &command);
	stress_called(kind, r);
	if (r >= 0)
		command_took(dice, cmd, &command);
}

static void step_mmap(struct dice *dice, int fd)
{
	const size_t len = 4096 * (1 + roll(dice, 8));
	const int kind = one_in(dice, 8) ? MAP_PRIVATE : MAP_SHARED;
	void *at;

	if (stress->calm)
		return;
	at = mmap(NULL, len, one_in(dice, 2) ? PROT_READ : PROT_READ | PROT_WRITE, kind, fd,
		  (off_t)(roll_number(dice) & 0xffffff000ULL));
	if (stress_called(KIND_SERVER_MMAP, at == MAP_FAILED ? -1 : 0) >= 0)
		munmap(at, len);
}

/* One file that all threads of the process serve; the first that has had enough ends it for all. */
static int served;
static atomic_bool closing;
static uint64_t seeds[STRESS_SERVERS];

static void *serve(void *arg)
{
	const uint32_t which = (uint32_t)(uintptr_t)arg;
	struct dice dice = { seeds[which] };
	struct ring *ring = ring_make();
	struct holder *holder = holder_make(which);

	patience_make();
	while (ring && !atomic_load(&stress->stop) && !atomic_load(&closing)) {
		const uint32_t what = roll(&dice, 100);

		if (what < 60)
			holder_step(&dice, holder, served);
		else if (what < 80)
			step_badly(&dice, served);
		else if (what < 92)
			ring_step(&dice, ring, served, true);
		else if (what < 95)
			arena_change(&dice);
		else if (what < 98)
			touch_buffers(&dice);
		else
			step_mmap(&dice, served);
		if (one_in(&dice, 20000))
			atomic_store(&closing, true);
	}
	if (ring)
		ring_free(ring);
	return NULL;
}

static void set_up(struct dice *dice)
{
	static const struct llm_region regions[STRESS_REGIONS] = {
		{ .bytes = 1U << 30, .name = "host" }, { .bytes = 1U << 30, .name = "vram0" },
	};
	struct llm_setup setup = {
		.size = sizeof(setup),
		.slots = 2 + roll(dice, 8),
		.regions = (uintptr_t)regions,
		.region_count = STRESS_REGIONS,
	};

	setup.sequences = 2 * setup.slots;
	stress_called(KIND_SETUP, ioctl(served, LLM_IOC_SETUP, &setup));
}

static void serve_all(struct dice *dice)
{
	pthread_t threads[STRESS_SERVERS];
	uint32_t count = 0;

	atomic_store(&closing, false);
	if (!one_in(dice, 8))
		set_up(dice);
	while (count < STRESS_SERVERS) {
		seeds[count] = (uint64_t)roll(dice, 1U << 31) << 31 | roll(dice, 1U << 31);
		if (pthread_create(&threads[count], NULL, serve, (void *)(uintptr_t)count))
			break;
		count++;
	}
	while (count)
		pthread_join(threads[--count], NULL);
	holders_free();
}

void server_main(struct dice *dice)
{
	arena_make();
	while (!atomic_load(&stress->stop)) {
		served = open("/dev/llmd", O_RDWR | O_CLOEXEC);
		if (stress_called(KIND_OPEN, served) < 0) {
			usleep(1000);
			continue;
		}
		serve_all(dice);
		close(served);
	}
}
