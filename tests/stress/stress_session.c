// SPDX-License-Identifier: MIT
/*
 * Sessions that come and go under running requests: descriptors that all threads of a client share,
 * fork from, seal, close in each other's hands, and send to each other through a socket in which
 * some are left to die. See stress.h.
 */
#include "stress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SESSIONS	8U

/* Descriptors, 0: none. Who takes one out closes it. */
static _Atomic int sessions[SESSIONS];
static int mail[2] = { -1, -1 };

void sessions_make(void)
{
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, mail))
		mail[0] = mail[1] = -1;
}

int roll_session(struct dice *dice)
{
	/* of whatever kind that file is */
	if (one_in(dice, 10))
		return (int)roll(dice, 48) - 1;
	return atomic_load(&sessions[roll(dice, SESSIONS)]);
}

void known_session(struct dice *dice, int fd)
{
	const int old = atomic_exchange(&sessions[roll(dice, SESSIONS)], fd);

	if (old > 0)
		close(old);
}

struct llm_session_cmd session_roll(struct dice *dice)
{
	static const uint32_t flags[] = { 0, 0, 0, LLM_SESSION_FORK, LLM_SESSION_FORK,
		LLM_SESSION_FORK, LLM_SESSION_INFO, LLM_SESSION_SEAL };
	struct llm_session_cmd cmd = { .size = sizeof(cmd), .flags = flags[roll(dice, 8)] };

	cmd.fd = cmd.flags ? roll_session(dice) : -1;
	return cmd;
}

static void step_send(struct dice *dice)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = { { 0 } };
	struct iovec iov = { .iov_base = &control, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	/* at times the socket itself, so that what is on its way holds itself */
	const int fd = one_in(dice, 30) ? mail[roll(dice, 2)] : roll_session(dice);

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	stress_called(KIND_SESSION_PASS, sendmsg(mail[0], &msg, 0));
}

static void step_receive(struct dice *dice)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	int fd;

	if (stress_called(KIND_SESSION_PASS, recvmsg(mail[1], &msg, MSG_CMSG_CLOEXEC)) < 0 ||
	    !CMSG_FIRSTHDR(&msg))
		return;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	known_session(dice, fd);
}

void session_step(struct dice *dice, int fd)
{
	struct llm_session_cmd cmd = session_roll(dice);

	switch (roll(dice, 8)) {
	case 0:
		known_session(dice, 0);
		break;
	case 1:
		step_send(dice);
		break;
	case 2:
		step_receive(dice);
		break;
	default:
		if (stress_called(KIND_SESSION, ioctl(fd, LLM_IOC_SESSION, &cmd)) >= 0 &&
		    !(cmd.flags & (LLM_SESSION_SEAL | LLM_SESSION_INFO)))
			known_session(dice, cmd.fd);
	}
}
