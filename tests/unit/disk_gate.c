/* SPDX-License-Identifier: MIT */
/* A gate before the disk; see disk_gate.h. */
#include "disk_gate.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_closed;
static unsigned int waiting;
static size_t unit = 1;
static char moves[128], told[sizeof(moves)];

/* with the lock */
static void gate_wait(void)
{
	waiting++;
	pthread_cond_broadcast(&changed);
	while (is_closed)
		pthread_cond_wait(&changed, &lock);
	waiting--;
	pthread_cond_broadcast(&changed);
}

static void gate_pass(char what, off_t at)
{
	size_t len;

	pthread_mutex_lock(&lock);
	gate_wait();
	len = strlen(moves);
	snprintf(moves + len, sizeof(moves) - len, "%c%zu ", what, (size_t)at / unit);
	pthread_mutex_unlock(&lock);
}

/* in place of the C library's */
ssize_t pread(int fd, void *data, size_t len, off_t at)
{
	gate_pass('r', at);
	return syscall(SYS_pread64, fd, data, len, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	gate_pass('w', at);
	return syscall(SYS_pwrite64, fd, data, len, at);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (flags & __O_TMPFILE) {
		pthread_mutex_lock(&lock);
		gate_wait();
		pthread_mutex_unlock(&lock);
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

void disk_gate_close(size_t page_bytes)
{
	pthread_mutex_lock(&lock);
	is_closed = true;
	unit = page_bytes;
	moves[0] = '\0';
	pthread_mutex_unlock(&lock);
}

void disk_gate_open(void)
{
	pthread_mutex_lock(&lock);
	is_closed = false;
	pthread_cond_broadcast(&changed);
	while (waiting)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void disk_gate_wait(void)
{
	pthread_mutex_lock(&lock);
	while (!waiting)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

const char *disk_gate_moves(void)
{
	pthread_mutex_lock(&lock);
	memcpy(told, moves, sizeof(told));
	pthread_mutex_unlock(&lock);
	return told;
}

int disk_gate_file(const char *folder)
{
	const size_t len = strlen(folder);
	char path[64], name[512];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		if (n > (ssize_t)len + 1 && !memcmp(name, folder, len) &&
		    !memcmp(name + len, "/#", 2))
			return fd;
	}
	return -1;
}
