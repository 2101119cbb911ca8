// SPDX-License-Identifier: MIT
/*
 * The vehicle, waiting, random numbers, and the daemon as a child process.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "e2e.h"
#include "tap.h"

#define NAP_NS		(2 * 1000 * 1000)	/* between two looks at a condition */
#define PATIENCE_S	60	/* at least, before it is given up: others may want the processor */
#define START_S		20			/* a daemon that loads a small model */
#define SETTLE_S	10

bool e2e_device(void)
{
	const char *transport = getenv("LLMOS_TRANSPORT");

	return transport && strcmp(transport, "device") == 0;
}

uint64_t e2e_number(const char *name, uint64_t fallback)
{
	const char *value = getenv(name);
	char *end;
	uint64_t number;

	if (!value || !*value)
		return fallback;
	errno = 0;
	number = strtoull(value, &end, 0);
	if (errno || *end)
		tap_bail("%s='%s' is not a number", name, value);
	return number;
}

unsigned int e2e_scale(void)
{
	uint64_t scale = e2e_number("LLMOS_SCALE", 1);

	return scale ? scale : 1;
}

unsigned int e2e_tokens(unsigned int tokens)
{
	return e2e_scale() > 1 && tokens > 5 ? tokens / 5 : tokens;
}

uint64_t e2e_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static bool look_until(uint64_t deadline, bool (*check)(void *arg), void *arg)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };

	for (;;) {
		if (check(arg))
			return true;
		if (e2e_now_ns() > deadline)
			return false;
		nanosleep(&nap, NULL);
	}
}

bool e2e_wait(unsigned int seconds, bool (*check)(void *arg), void *arg)
{
	const uint64_t limit_s = seconds > PATIENCE_S ? seconds : PATIENCE_S;

	return look_until(e2e_now_ns() + limit_s * e2e_scale() * 1000000000ULL, check, arg);
}

void e2e_watch(unsigned int seconds, bool (*look)(void *arg), void *arg)
{
	look_until(e2e_now_ns() + seconds * e2e_scale() * 1000000000ULL, look, arg);
}

uint64_t e2e_random(struct e2e_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t e2e_below(struct e2e_random *random, uint32_t n)
{
	return n ? (e2e_random(random) >> 32) % n : 0;
}

int e2e_status(struct llmos_status *status)
{
	struct llmos *llmos = NULL;
	int r;

	*status = (struct llmos_status){ .size = sizeof(*status) };
	r = llmos_open(&llmos, NULL);
	if (r < 0)
		return r;
	r = llmos_get_status(llmos, status);
	llmos_free(llmos);
	return r;
}

pid_t e2e_daemon_pid(void)
{
	struct llmos_status status;

	if (e2e_status(&status) < 0)
		return 0;
	return status.server_pid;
}

static bool daemon_serves(void *arg)
{
	pid_t want = *(pid_t *)arg, got = e2e_daemon_pid();

	return got && (!want || got == want);
}

struct daemon_start {
	pid_t pid;
	bool died;
};

static bool daemon_up_or_dead(void *arg)
{
	struct daemon_start *start = arg;

	/* WNOWAIT: the status stays for who ends it */
	siginfo_t info = { 0 };

	if (waitid(P_PID, start->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    info.si_pid == start->pid) {
		start->died = true;
		return true;
	}
	return daemon_serves(&start->pid);
}

int e2e_daemon_wait(pid_t pid)
{
	return e2e_wait(START_S, daemon_serves, &pid) ? 0 : -ETIMEDOUT;
}

pid_t e2e_daemon_spawn(void)
{
	const char *command = getenv("LLMOS_DAEMON");
	char line[4096], *argv[] = { "sh", "-c", line, NULL };
	pid_t pid;
	int r;

	if (!command)
		tap_bail("LLMOS_DAEMON is not set: run this by its suite");
	snprintf(line, sizeof(line), "exec %s", command);
	/* not fork(): it would copy the mappings of the rings of open connections */
	r = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
	if (r)
		tap_bail("spawn of a daemon: %s", strerror(r));
	return pid;
}

int e2e_daemon_start(pid_t *ret_pid)
{
	struct daemon_start start = { .pid = e2e_daemon_spawn() };

	if (!e2e_wait(START_S, daemon_up_or_dead, &start)) {
		e2e_daemon_end(start.pid, SIGKILL);
		return -ETIMEDOUT;
	}
	if (start.died) {
		e2e_daemon_end(start.pid, 0);
		return -ESRCH;
	}
	*ret_pid = start.pid;
	return 0;
}

int e2e_daemon_end(pid_t pid, int signal)
{
	int status = 0;

	if (pid <= 0)
		return -EINVAL;
	if (signal && kill(pid, signal) < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

int e2e_fd_count(pid_t pid)
{
	char path[64];
	DIR *dir;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static bool all_settled(void *arg)
{
	struct llmos_status *status = arg;

	return e2e_status(status) == 0 && !status->slots_busy && !status->kv_pages_used &&
	       !status->requests;
}

bool e2e_settled(struct llmos_status *ret_status)
{
	return e2e_wait(SETTLE_S, all_settled, ret_status);
}

struct llmos *e2e_open(void)
{
	struct llmos *llmos = NULL;
	int r = llmos_open(&llmos, NULL);

	if (r < 0)
		tap_bail("cannot connect to '%s': %s", getenv("LLMOS_ADDRESS") ?: "the default",
			 strerror(-r));
	return llmos;
}
