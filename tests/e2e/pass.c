// SPDX-License-Identifier: MIT
/*
 * pass
 *
 * One process begins a conversation and passes its descriptor to another one, over a Unix socket,
 * and lets go of it; that one goes on and prints the second answer. A third process, which was given
 * nothing, tries with what it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/tap.h"
#include "llmos.h"

static const struct llmos_generate_opts base = {
	.size = sizeof(base), .raw = true,
};

static struct llmos *connect_server(void)
{
	struct llmos *llmos;
	int r = llmos_open(&llmos, NULL);

	if (r < 0)
		tap_bail("open: %s", strerror(-r));
	return llmos;
}

static char *ask(struct llmos *llmos, const struct llmos_session *session, const char *text,
		 unsigned int max_tokens)
{
	struct llmos_generate_opts opts = base;
	char *answer;

	opts.session = session;
	opts.max_tokens = max_tokens;
	if (llmos_ask(llmos, &answer, text, strlen(text), &opts) < 0)
		tap_bail("'%s': %s", text, llmos_error(llmos));
	return answer;
}

static void send_fd(int to, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (char[]){ "s" }, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control.bytes) };

	control.head.cmsg_len = CMSG_LEN(sizeof(fd));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	if (sendmsg(to, &msg, 0) != 1)
		tap_bail("sendmsg: %s", strerror(errno));
}

static int receive_fd(int from)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control.bytes) };
	int fd;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		tap_bail("recvmsg: no descriptor");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* who was given it */
static int heir(int from)
{
	struct llmos_session_info info = { .size = sizeof(info) };
	struct llmos *llmos = connect_server();
	struct llmos_session *session;
	char *answer, byte;

	if (llmos_session_from_fd(&session, receive_fd(from)) < 0)
		tap_bail("from_fd");
	/* until the first one has let go */
	if (read(from, &byte, 1))
		tap_bail("read: %s", strerror(errno));
	if (llmos_session_get_info(llmos, session, &info) < 0)
		tap_bail("info: %s", llmos_error(llmos));
	if (info.tokens != 45 || info.turns != 1)
		tap_bail("%llu tokens, %llu turns", (unsigned long long)info.tokens,
			 (unsigned long long)info.turns);
	answer = ask(llmos, session, " Then the dog", 30);
	puts(answer);
	free(answer);
	llmos_session_free(session);
	llmos_free(llmos);
	return 0;
}

/* who has none: nothing that it can open is a session */
static int stranger(void)
{
	static const char *const files[] = { "/dev/null", "/proc/self/exe", "/" };
	struct llmos_session_info info = { .size = sizeof(info) };
	struct llmos *llmos = connect_server();
	struct llmos_session *session;
	int pair[2], ends[2], fds[7], r;
	size_t i;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		tap_bail("socketpair: %s", strerror(errno));
	if (pipe2(ends, O_CLOEXEC) < 0)
		tap_bail("pipe: %s", strerror(errno));
	for (i = 0; i < 3; i++)
		fds[i] = open(files[i], O_RDONLY | O_CLOEXEC);
	fds[3] = pair[0];
	fds[4] = pair[1];
	fds[5] = ends[0];
	fds[6] = ends[1];
	for (i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] < 0 || llmos_session_from_fd(&session, fds[i]) < 0)
			tap_bail("descriptor %zu", i);
		r = llmos_session_get_info(llmos, session, &info);
		if (r != -EINVAL)
			tap_bail("descriptor %zu: %d", i, r);
		r = llmos_session_fork(llmos, &session, session);
		if (r != -EINVAL)
			tap_bail("fork of descriptor %zu: %d", i, r);
		llmos_session_free(session);
	}
	llmos_free(llmos);
	return 0;
}

int main(void)
{
	/* a child that ends has them, too, and is not to have lost them */
	static struct llmos_session *session;
	static struct llmos *llmos;
	int pair[2], status, failed = 0;
	pid_t pids[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		tap_bail("socketpair: %s", strerror(errno));
	pids[0] = fork();
	if (!pids[0]) {
		close(pair[0]);
		exit(heir(pair[1]));
	}
	close(pair[1]);
	llmos = connect_server();
	if (llmos_session_new(llmos, &session) < 0)
		tap_bail("new: %s", llmos_error(llmos));
	free(ask(llmos, session, "Once upon a time", 40));
	pids[1] = fork();
	if (!pids[1]) {
		/* as a program that was not given it: nothing is inherited by exec */
		close(llmos_session_fd(session));
		close(pair[0]);
		exit(stranger());
	}
	send_fd(pair[0], llmos_session_fd(session));
	llmos_session_free(session);
	llmos_free(llmos);
	close(pair[0]);
	for (int i = 0; i < 2; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status)
			failed = 1;
	return failed;
}
