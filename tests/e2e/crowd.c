// SPDX-License-Identifier: MIT
/*
 * crowd N: more connections than the daemon has descriptors for. Who was connected before is
 * answered all the while, the daemon does not spin, and when the crowd leaves others get in again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/tap.h"

#define CROWD_MAX	1000
#define WATCH_MS	400

static int knock(void)
{
	const char *address = getenv("LLMOS_ADDRESS") ?: "";
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	if (strncmp(address, "unix:", 5) != 0 || strlen(address + 5) >= sizeof(un.sun_path))
		tap_bail("LLMOS_ADDRESS='%s'", address);
	strcpy(un.sun_path, address + 5);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		tap_bail("socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* processor time of the daemon, in ticks */
static long ticks(pid_t pid)
{
	char path[64], line[1024], *after;
	long utime = 0, stime = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	after = strrchr(line, ')');
	if (!after || sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
			     &utime, &stime) != 2)
		return -1;
	return utime + stime;
}

static bool daemon_full(void *arg)
{
	return e2e_fd_count(*(pid_t *)arg) >= 39;
}

static bool daemon_empty(void *arg)
{
	return e2e_fd_count(*(pid_t *)arg) < 30;
}

int main(int argc, char **argv)
{
	unsigned long want = argc > 1 ? strtoul(argv[1], NULL, 10) : 100, got = 0;
	pid_t pid = e2e_number("LLMOS_DAEMON_PID", 0);
	const struct timespec watch = { .tv_nsec = WATCH_MS * 1000000L };
	struct e2e_answer before = { 0 }, during = { 0 }, after = { 0 };
	struct llmos *llmos = e2e_open(), *late;
	static int fds[CROWD_MAX];
	long spent;
	int r;

	if (want > CROWD_MAX)
		return 64;
	r = e2e_answer_get(llmos, &before, e2e_case(0)->prompt, &e2e_case(0)->opts);
	tap_ok(r == 0, "an answer before the crowd comes");
	while (got < want && (fds[got] = knock()) >= 0)
		got++;
	tap_ok(e2e_wait(10, daemon_full, &pid), "%lu came: the daemon's descriptors are all taken (%d)",
	       got, e2e_fd_count(pid));
	spent = ticks(pid);
	nanosleep(&watch, NULL);
	spent = (ticks(pid) - spent) * 1000 / sysconf(_SC_CLK_TCK);
	tap_ok(spent >= 0 && spent < WATCH_MS / 4, "it does not spin: %ld ms of %d", spent, WATCH_MS);
	r = e2e_answer_get(llmos, &during, e2e_case(0)->prompt, &e2e_case(0)->opts);
	tap_ok(r == 0 && e2e_answer_equal(&during, &before), "who was there before is answered");
	for (unsigned long i = 0; i < got; i++)
		close(fds[i]);
	tap_ok(e2e_wait(10, daemon_empty, &pid), "the crowd left, and so did its descriptors (%d)",
	       e2e_fd_count(pid));
	late = e2e_open();
	r = e2e_answer_get(late, &after, e2e_case(0)->prompt, &e2e_case(0)->opts);
	tap_ok(r == 0 && e2e_answer_equal(&after, &before), "who comes now is answered");
	llmos_free(late);
	llmos_free(llmos);
	e2e_answer_clear(&before);
	e2e_answer_clear(&during);
	e2e_answer_clear(&after);
	return tap_done();
}
