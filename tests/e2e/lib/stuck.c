// SPDX-License-Identifier: MIT
/*
 * Where everybody stands: each process of the test and each daemon there is, by what /proc tells,
 * what the broker counts, and in a machine of our own all stacks, in the kernel's log.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/llm.h>

#include "stuck.h"
#include "tap.h"

#define TOLD_MAX	3
#define LINES_MAX	40		/* of one file */

/** struct stuck - shared with who looks on; @what is a literal, and so the same in both */
struct stuck {
	atomic_uint beats;
	_Atomic(const char *) what;
};

static struct stuck *stuck;
static pid_t watcher;

/* lines of a file of /proc that begin with @begin, or all */
static void tell_file(const char *pid, const char *name, const char *begin)
{
	char path[300], line[256];
	unsigned int lines = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	file = fopen(path, "re");
	while (file && lines < LINES_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, begin, strlen(begin)))
			continue;
		tap_note("  %s: %s", name, line);
		lines++;
	}
	if (file)
		fclose(file);
}

static void tell_thread(const char *pid, const char *tid)
{
	char task[64];

	snprintf(task, sizeof(task), "%.24s/task/%.24s", pid, tid);
	tap_note(" thread %s", tid);
	tell_file(task, "status", "State:");
	tell_file(task, "wchan", "");
	tell_file(task, "syscall", "");
	tell_file(task, "stack", "");
}

static void tell_process(const char *pid)
{
	char path[300];
	const struct dirent *entry;
	DIR *dir;

	tap_note("process %s", pid);
	tell_file(pid, "status", "Name:");
	tell_file(pid, "status", "PPid:");
	tell_file(pid, "status", "SigPnd:");
	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (*entry->d_name != '.')
			tell_thread(pid, entry->d_name);
	if (dir)
		closedir(dir);
}

/* is it one of this test's, or a daemon, whoever began it? */
static bool is_of_interest(const char *pid, const char *own)
{
	char path[300], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(name, sizeof(name), file))
			*name = 0;
		fclose(file);
	}
	name[strcspn(name, "\n")] = 0;
	return !strcmp(name, "llmosd") || (*name && !strcmp(name, own));
}

static void tell_processes(void)
{
	char own[32] = "";
	const struct dirent *entry;
	DIR *dir = opendir("/proc");

	prctl(PR_GET_NAME, own);
	while (dir && (entry = readdir(dir)))
		if (*entry->d_name >= '1' && *entry->d_name <= '9' &&
		    atoi(entry->d_name) != getpid() && is_of_interest(entry->d_name, own))
			tell_process(entry->d_name);
	if (dir)
		closedir(dir);
}

static void tell_requests(int fd)
{
	static struct llm_request_info infos[64];
	struct llm_list list = {
		.size = sizeof(list), .buf = (uintptr_t)infos, .entry_size = sizeof(infos[0]),
		.capacity = sizeof(infos) / sizeof(infos[0]),
	};

	if (ioctl(fd, LLM_IOC_LIST, &list) < 0) {
		tap_note("LIST: %s", strerror(errno));
		return;
	}
	for (unsigned int i = 0; i < list.count; i++)
		tap_note("request %llu: process %u, operation %u, state %u, %u + %u tokens, %u of %llu bytes unread, server %u",
			 (unsigned long long)infos[i].id, infos[i].pid, infos[i].op, infos[i].state,
			 infos[i].prompt_tokens, infos[i].output_tokens, infos[i].unread_bytes,
			 (unsigned long long)infos[i].output_bytes, infos[i].attempts);
}

/* neither asks a daemon anything */
static void tell_broker(void)
{
	struct llm_features features = { .size = sizeof(features) };
	const int fd = open("/dev/llm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (!ioctl(fd, LLM_IOC_GET_FEATURES, &features))
		tap_note("broker: server %u, %u requests, %u sessions, %llu submitted, %llu ended, %llu handed back",
			 features.server_pid, features.requests, features.sessions,
			 (unsigned long long)features.submitted, (unsigned long long)features.ended,
			 (unsigned long long)features.recovered);
	tell_requests(fd);
	close(fd);
}

/* only where the machine is there for this test */
static void tell_kernel(void)
{
	int fd;

	if (!getenv("LLMOS_VEHICLE"))
		return;
	fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "t", 1) == 1)
		tap_note("all stacks are in the kernel's log");
	close(fd);
}

_Noreturn static void look_on(unsigned int seconds)
{
	unsigned int told = 0, quiet = 0, beats = 0;

	while (told < TOLD_MAX) {
		poll(NULL, 0, 1000);
		if (atomic_load(&stuck->beats) != beats) {
			beats = atomic_load(&stuck->beats);
			quiet = 0;
			continue;
		}
		if (++quiet % seconds)
			continue;
		tap_note("nothing has happened for %u s; last begun: %s", quiet,
			 atomic_load(&stuck->what));
		tell_processes();
		tell_broker();
		if (!told++)
			tell_kernel();
	}
	_exit(0);
}

void stuck_watch(unsigned int seconds)
{
	const pid_t parent = getpid();

	stuck = mmap(NULL, sizeof(*stuck), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stuck == MAP_FAILED)
		tap_bail("mmap: %s", strerror(errno));
	atomic_store(&stuck->what, "the test");
	watcher = fork();
	if (watcher < 0)
		tap_bail("fork: %s", strerror(errno));
	if (watcher)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	look_on(seconds);
}

void stuck_beat(const char *what)
{
	atomic_store(&stuck->what, what);
	atomic_fetch_add(&stuck->beats, 1);
}

void stuck_end(void)
{
	kill(watcher, SIGKILL);
	waitpid(watcher, NULL, 0);
}
