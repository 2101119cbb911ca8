// SPDX-License-Identifier: MIT
/*
 * A hostile client: threads that share open files, rings of their own, an arena that changes under
 * running commands, and children that inherit it all. See stress.h.
 */
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES		STRESS_FILES
#define THREADS		3

static _Atomic int files[FILES];

static int some_file(struct dice *dice)
{
	stress_file = roll(dice, FILES);
	return atomic_load(&files[stress_file]);
}

/* Files in memory, to be registered, written, cut and sealed under it. */
static void step_memfd(struct dice *dice)
{
	static _Atomic int memfds[4];
	const uint32_t which = roll(dice, 4);
	int fd = atomic_load(&memfds[which]);

	if (!fd || one_in(dice, 20)) {
		fd = memfd_create("stress", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd >= 0 && (fd = atomic_exchange(&memfds[which], fd)))
			close(fd);
		return;
	}
	if (one_in(dice, 16))
		stress_called(KIND_FILE_OTHER, fcntl(fd, F_ADD_SEALS, 1 << roll(dice, 4)));
	else if (one_in(dice, 8))
		stress_called(KIND_FILE_OTHER, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						      ARENA_PAGE * roll(dice, 8), ARENA_PAGE));
	else
		stress_called(KIND_FILE_OTHER, ftruncate(fd, ARENA_PAGE * roll(dice, 16)));
}

static void step_open(struct dice *dice)
{
	const int flags = O_RDWR | (one_in(dice, 2) ? O_CLOEXEC : 0) |
			  (one_in(dice, 2) ? O_NONBLOCK : 0);
	const int fd = one_in(dice, 6) ? dup(some_file(dice)) : open("/dev/llm", flags);

	if (stress_called(KIND_OPEN, fd) < 0)
		return;
	/* a file that another thread is using is closed: that is what is meant */
	close(atomic_exchange(&files[roll(dice, FILES)], fd));
	stress_did(KIND_CLOSE, 0);
}

static void step_ioctl(struct dice *dice)
{
	union command command;
	enum stress_kind kind;
	const int fd = some_file(dice);
	const unsigned int cmd = command_client(dice, &command, &kind);
	int r;

	if (one_in(dice, 2))
		patience(1 + roll(dice, 4000));
	r = ioctl(fd, cmd, &command);
	stress_called(kind, r);
	if (r >= 0)
		command_took(dice, cmd, &command);
}

static void step_raw_ioctl(struct dice *dice)
{
	const unsigned long cmd = _IOC(roll(dice, 4), one_in(dice, 8) ? roll(dice, 256) :
						      LLM_IOC_MAGIC,
				       roll(dice, 48), roll(dice, 600));

	stress_called(KIND_RAW_IOCTL, ioctl(some_file(dice), cmd, roll_address(dice)));
}

static void step_write(struct dice *dice)
{
	struct iovec parts[3];

	for (int i = 0; i < 3; i++)
		parts[i] = (struct iovec){ (void *)(uintptr_t)roll_address(dice),
					   roll(dice, one_in(dice, 20) ? 1 << 20 : 3000) };
	stress_called(KIND_FILE_WRITE, writev(some_file(dice), parts, 1 + (int)roll(dice, 3)));
}

static void step_read(struct dice *dice)
{
	struct iovec part = { (void *)(uintptr_t)roll_address(dice), roll(dice, 5000) };

	patience(1 + roll(dice, 4000));
	stress_called(KIND_FILE_READ, readv(some_file(dice), &part, 1));
}

static void step_poll(struct dice *dice)
{
	struct pollfd polls[4];
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll;

	for (int i = 0; i < 4; i++)
		polls[i] = (struct pollfd){ some_file(dice), (short)roll(dice, 64), 0 };
	stress_called(KIND_POLL, poll(polls, 4, (int)roll(dice, 2)));
	if (!one_in(dice, 8))
		return;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epoll, EPOLL_CTL_ADD, some_file(dice), &event);
	stress_called(KIND_POLL, epoll_wait(epoll, &event, 1, 1));
	close(epoll);
}

static void step_other(struct dice *dice)
{
	const int fd = some_file(dice);
	long r = -1;

	switch (roll(dice, 7)) {
	case 0:
		r = lseek(fd, (off_t)roll_number(dice), SEEK_SET);
		break;
	case 1:
		r = fcntl(fd, F_SETFL, one_in(dice, 2) ? O_NONBLOCK : 0);
		break;
	case 2: {
		void *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd,
				(off_t)(roll_number(dice) & ~4095ULL));

		r = at == MAP_FAILED ? -1 : munmap(at, 4096);
		break;
	}
	case 3:
		r = ftruncate(fd, roll(dice, 5000));
		break;
	case 4:
		r = fsync(fd);
		break;
	case 5:
		r = fcntl(fd, F_SETOWN, getpid()) || fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK);
		break;
	default: {
		int pipes[2];

		if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC))
			break;
		r = splice(fd, NULL, pipes[1], NULL, 4096, SPLICE_F_NONBLOCK);
		r |= splice(pipes[0], NULL, fd, NULL, 4096, SPLICE_F_NONBLOCK);
		close(pipes[0]);
		close(pipes[1]);
	}
	}
	stress_called(KIND_FILE_OTHER, r);
}

/* A child has the files and the memory; it uses them, runs another program, or is killed. */
static void step_fork(struct dice *dice)
{
	static char *const argv[] = { "true", NULL };
	const uint32_t what = roll(dice, 4);
	const pid_t child = fork();

	stress_called(KIND_FORK, child);
	if (child == 0) {
		alarm(1);
		for (int i = 0; i < 5; i++)
			step_ioctl(dice);
		if (what == 0 && !stress_all_fails())
			execv("/bin/true", argv);
		else if (what == 1)
			raise(SIGKILL);
		_exit(0);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void step(struct dice *dice, struct ring *ring)
{
	const uint32_t what = roll(dice, 100);

	if (what < 30)
		well_step(dice, some_file(dice));
	else if (what < 34)
		session_step(dice, some_file(dice));
	else if (what < 58)
		step_ioctl(dice);
	else if (what < 70)
		ring_step(dice, ring, some_file(dice), false);
	else if (what < 76)
		step_write(dice);
	else if (what < 82)
		step_read(dice);
	else if (what < 86)
		step_open(dice);
	else if (what < 90)
		arena_change(dice);
	else if (what < 93)
		step_poll(dice);
	else if (what < 96)
		step_raw_ioctl(dice);
	else if (what < 98)
		step_other(dice);
	else if (what < 99)
		step_memfd(dice);
	else if (one_in(dice, 2))
		step_fork(dice);
}

static void *thread_main(void *arg)
{
	struct dice dice = { (uint64_t)(uintptr_t)arg };
	struct ring *ring = ring_make();

	patience_make();
	while (ring && !atomic_load(&stress->stop))
		step(&dice, ring);
	if (ring)
		ring_free(ring);
	return NULL;
}

void client_main(struct dice *dice)
{
	pthread_t threads[THREADS];
	int count = 0;

	arena_make();
	sessions_make();
	for (uint32_t i = 0; i < FILES; i++)
		atomic_store(&files[i], open("/dev/llm", O_RDWR | (i % 2 ? O_NONBLOCK : 0)));
	while (count < THREADS) {
		const uint64_t state = (uint64_t)roll(dice, 1U << 31) << 31 | roll(dice, 1U << 31);

		if (pthread_create(&threads[count], NULL, thread_main, (void *)(uintptr_t)state))
			break;
		count++;
	}
	while (count)
		pthread_join(threads[--count], NULL);
}
