// SPDX-License-Identifier: MIT
/*
 * pty [PATTERN INPUT]... -- COMMAND...: runs a command on a terminal of its own. Each time PATTERN has
 * appeared in what it wrote since the last time, INPUT is typed; after the last pair its output is
 * copied until it ends. Exit status: the command's; 124 if it takes longer than 30 s (times
 * LLMOS_SCALE) or ends before it was told everything.
 *
 * In INPUT \r, \n, \e and \NNN (octal) mean what they mean in printf.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/e2e.h"

#define LIMIT_S		30
#define SEEN_ROOM	(64 * 1024)

struct session {
	int fd;
	pid_t pid;
	uint64_t deadline;
	char seen[SEEN_ROOM];
	size_t len;
};

static int type_one(int fd, const char **ptext)
{
	const char *text = *ptext;
	char c = *text++;

	if (c == '\\' && *text) {
		c = *text++;
		if (c == 'r' || c == 'n')
			c = c == 'r' ? '\r' : '\n';
		else if (c == 'e')
			c = '\033';
		else if (c >= '0' && c <= '7')
			c = strtoul((char[]){ c, text[0], text[1], 0 }, NULL, 8), text += 2;
	}
	*ptext = text;
	return write(fd, &c, 1) == 1 ? 0 : -errno;
}

static int type(int fd, const char *text)
{
	int r = 0;

	while (*text && r == 0)
		r = type_one(fd, &text);
	return r;
}

/* more output; 0 at its end, -ETIMEDOUT */
static int more(struct session *session)
{
	struct pollfd fd = { session->fd, POLLIN, 0 };
	uint64_t now = e2e_now_ns();
	size_t room;
	ssize_t n;

	if (now >= session->deadline ||
	    poll(&fd, 1, (session->deadline - now) / 1000000 + 1) == 0)
		return -ETIMEDOUT;
	/* only the end of a long output matters */
	if (session->len > SEEN_ROOM / 2) {
		memmove(session->seen, session->seen + session->len - 1024, 1024);
		session->len = 1024;
	}
	room = SEEN_ROOM - 1 - session->len;
	n = read(session->fd, session->seen + session->len, room);
	/* EIO: nobody has the other end open any more */
	if (n <= 0)
		return 0;
	if (write(STDOUT_FILENO, session->seen + session->len, n) != n)
		return -EIO;
	session->len += n;
	session->seen[session->len] = '\0';
	return n;
}

static int converse(struct session *session, char **pairs, int count)
{
	int r = 0;

	for (int i = 0; i + 1 < count; i += 2) {
		char *found;

		while (!(found = strstr(session->seen, pairs[i]))) {
			r = more(session);
			if (r <= 0)
				return r ? r : -EPIPE;
		}
		session->len -= found + strlen(pairs[i]) - session->seen;
		memmove(session->seen, found + strlen(pairs[i]), session->len + 1);
		r = type(session->fd, pairs[i + 1]);
		if (r < 0)
			return r;
	}
	do {
		r = more(session);
	} while (r > 0);
	return r;
}

int main(int argc, char **argv)
{
	struct session session = { .fd = -1 };
	int pairs = 1, status, r;

	while (pairs < argc && strcmp(argv[pairs], "--") != 0)
		pairs++;
	if (pairs + 1 >= argc || (pairs - 1) % 2) {
		fprintf(stderr, "usage: pty [PATTERN INPUT]... -- COMMAND...\n");
		return 64;
	}
	session.deadline = e2e_now_ns() + LIMIT_S * e2e_scale() * 1000000000ULL;
	session.pid = forkpty(&session.fd, NULL, NULL, NULL);
	if (session.pid < 0) {
		fprintf(stderr, "pty: %s\n", strerror(errno));
		return 71;
	}
	if (session.pid == 0) {
		setenv("TERM", "dumb", 1);
		execvp(argv[pairs + 1], argv + pairs + 1);
		_exit(127);
	}
	r = converse(&session, argv + 1, pairs - 1);
	if (r < 0) {
		fprintf(stderr, "pty: %s\n", strerror(-r));
		kill(session.pid, SIGKILL);
	}
	close(session.fd);
	waitpid(session.pid, &status, 0);
	if (r < 0)
		return 124;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
