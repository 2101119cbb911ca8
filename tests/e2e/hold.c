// SPDX-License-Identifier: MIT
/*
 * hold FOLDER COMMAND...: runs a command under a tracer. A file "hold" in that folder is renamed to
 * "armed", and the next thread that is begun stands still, as for a disk that does not answer: no
 * signal but the end of all threads reaches it. "armed" goes then; "release" lets the thread go on,
 * and goes, too. The command has this process's id.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS		10000000

static pid_t held;

/* what has stopped goes on as it would have, but for a thread that is to be held */
static void stopped(pid_t thread, int status)
{
	const int event = status >> 16, signal = WSTOPSIG(status);

	if (!held && event == PTRACE_EVENT_STOP && signal == SIGTRAP && !unlink("armed"))
		held = thread;
	else
		ptrace(PTRACE_CONT, thread, NULL, event ? 0L : (long)signal);
}

static int trace(pid_t pid, const char *folder, int ready)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };
	pid_t thread;
	int status;

	if (chdir(folder) < 0 || ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACECLONE) < 0) {
		fprintf(stderr, "hold: %s\n", strerror(errno));
		return 1;
	}
	if (write(ready, "", 1) != 1)
		return 1;
	for (;;) {
		thread = waitpid(-1, &status, __WALL | WNOHANG);
		if (thread < 0 && errno != EINTR)
			return 0;
		if (thread > 0 && WIFSTOPPED(status))
			stopped(thread, status);
		if (thread > 0)
			continue;
		/* those that were begun before have all been seen */
		if (!held)
			(void)!rename("hold", "armed");
		if (held && !unlink("release")) {
			ptrace(PTRACE_CONT, held, NULL, NULL);
			held = 0;
		}
		nanosleep(&look, NULL);
	}
}

int main(int argc, char **argv)
{
	const pid_t self = getpid();
	int ready[2];
	pid_t tracer;
	char byte;

	if (argc < 3 || pipe(ready) < 0)
		return 64;
	tracer = fork();
	if (tracer < 0)
		return 71;
	if (!tracer) {
		close(ready[0]);
		_exit(trace(self, argv[1], ready[1]));
	}
	close(ready[1]);
	/* where only parents may trace */
	prctl(PR_SET_PTRACER, tracer, 0, 0, 0);
	if (read(ready[0], &byte, 1) != 1)
		return 77;
	close(ready[0]);
	execv(argv[2], argv + 2);
	fprintf(stderr, "hold: '%s': %s\n", argv[2], strerror(errno));
	return 127;
}
