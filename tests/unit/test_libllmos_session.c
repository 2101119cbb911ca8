/* SPDX-License-Identifier: MIT */
/*
 * Sessions of the library over a socket whose other end is the test: what goes out with a
 * descriptor, what comes in with one, and servers that send none, too many, or some with what needs
 * none. No descriptor is left behind.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/llm.h>

#include "llmos.h"

/**
 * struct peer - the server, in a thread of its own
 * @listener: its socket
 * @send_fds: descriptors to send with each reply to SESSION
 * @commands: as GET_FEATURES tells
 * @session_result: of SESSION
 * @got: descriptors that came with SESSION and SUBMIT
 * @args_fd: the field fd of the last SESSION
 * @submit: the last one
 */
struct peer {
	char path[108];
	int listener;
	pthread_t thread;
	unsigned int send_fds;
	uint64_t commands;
	int session_result;
	unsigned int got;
	int args_fd;
	struct llm_submit submit;
};

static bool read_whole(int fd, void *to, size_t len, unsigned int *fds)
{
	size_t have = 0;

	while (have < len) {
		union {
			struct cmsghdr head;
			char bytes[CMSG_SPACE(4 * sizeof(int))];
		} control;
		struct iovec iov = { (char *)to + have, len - have };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				      .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

		if (n <= 0)
			return false;
		for (size_t i = 0; head && i < (head->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int got;

			memcpy(&got, CMSG_DATA(head) + i * sizeof(int), sizeof(got));
			close(got);
			(*fds)++;
		}
		have += n;
	}
	return true;
}

static bool reply(int fd, const struct llm_msg *asked, int result, const void *arg, size_t len,
		  unsigned int fds)
{
	const struct llm_msg head = { .len = sizeof(head) + len, .cmd = asked->cmd,
				      .cookie = asked->cookie, .result = result };
	struct iovec iov[] = { { (void *)&head, sizeof(head) }, { (void *)arg, len } };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	const int copies[4] = { fd, fd, fd, fd };

	if (fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.head.cmsg_len = CMSG_LEN(fds * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.head), copies, fds * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)head.len;
}

static bool serve_features(const struct peer *peer, int fd, const struct llm_msg *msg)
{
	const struct llm_features features = {
		.size = sizeof(features), .abi_version = LLM_ABI_VERSION,
		.commands = peer->commands, .max_payload_bytes = 1 << 20,
	};

	return reply(fd, msg, 0, &features, sizeof(features), 0);
}

static bool serve_session(struct peer *peer, int fd, const struct llm_msg *msg,
			  const uint8_t *body)
{
	struct llm_session_cmd args;

	memcpy(&args, body, sizeof(args));
	peer->args_fd = args.fd;
	args.id = 7;
	args.tokens = 45;
	args.turns = 2;
	args.out_flags = LLM_SESSION_SEALED;
	return reply(fd, msg, peer->session_result, &args,
		     peer->session_result ? 0 : sizeof(args), peer->send_fds);
}

static bool serve_one(struct peer *peer, int fd)
{
	uint8_t body[8192];
	struct llm_msg msg;

	if (!read_whole(fd, &msg, sizeof(msg), &peer->got) ||
	    msg.len - sizeof(msg) > sizeof(body) ||
	    !read_whole(fd, body, msg.len - sizeof(msg), &peer->got))
		return false;
	switch (_IOC_NR(msg.cmd)) {
	case _IOC_NR(LLM_IOC_GET_FEATURES):
		return serve_features(peer, fd, &msg);
	case _IOC_NR(LLM_IOC_SESSION):
		return serve_session(peer, fd, &msg, body);
	case _IOC_NR(LLM_IOC_SUBMIT):
		memcpy(&peer->submit, body, sizeof(peer->submit));
		return reply(fd, &msg, -EPERM, NULL, 0, 0);
	default:
		return reply(fd, &msg, -ENOTTY, NULL, 0, 0);
	}
}

static void *serve(void *arg)
{
	struct peer *peer = arg;
	int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);

	while (fd >= 0 && serve_one(peer, fd))
		;
	if (fd >= 0)
		close(fd);
	return NULL;
}

static struct llmos *peer_start(struct peer *peer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct llmos *llmos;
	char where[128];

	snprintf(peer->path, sizeof(peer->path), "/tmp/llmos-session.%d", getpid());
	unlink(peer->path);
	memcpy(address.sun_path, peer->path, strlen(peer->path) + 1);
	peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(peer->listener >= 0);
	assert_int_equal(bind(peer->listener, (void *)&address, sizeof(address)), 0);
	assert_int_equal(listen(peer->listener, 1), 0);
	assert_int_equal(pthread_create(&peer->thread, NULL, serve, peer), 0);
	snprintf(where, sizeof(where), "unix:%s", peer->path);
	assert_int_equal(llmos_open(&llmos, where), 0);
	return llmos;
}

static void peer_stop(struct peer *peer, struct llmos *llmos)
{
	llmos_free(llmos);
	pthread_join(peer->thread, NULL);
	close(peer->listener);
	unlink(peer->path);
}

static const struct peer good = { .send_fds = 1, .commands = 0x27f };

static unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* ---- what they are for ---- */

static void test_session(void **state)
{
	struct llmos_session_info info = { .size = sizeof(info) };
	const unsigned int before = open_fds();
	struct llmos_session *session, *fork;
	struct peer peer = good;
	struct llmos *llmos;

	(void)state;
	llmos = peer_start(&peer);
	assert_int_equal(llmos_session_new(llmos, &session), 0);
	assert_int_equal(peer.got, 0);
	assert_true(fcntl(llmos_session_fd(session), F_GETFD) & FD_CLOEXEC);
	assert_int_equal(llmos_session_fork(llmos, &fork, session), 0);
	assert_int_equal(peer.got, 1);
	/* its number here means nothing there */
	assert_int_equal(peer.args_fd, -1);
	peer.send_fds = 0;
	assert_int_equal(llmos_session_get_info(llmos, fork, &info), 0);
	assert_int_equal(info.id, 7);
	assert_int_equal(info.tokens, 45);
	assert_int_equal(info.turns, 2);
	assert_true(info.sealed && !info.busy);
	assert_int_equal(peer.got, 2);
	assert_int_equal(llmos_session_seal(llmos, fork), 0);
	assert_int_equal(peer.got, 3);
	/* a turn */
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1,
				   LLMOS_OPTS(llmos_generate_opts, .session = session)), -EPERM);
	assert_non_null(strstr(llmos_error(llmos), "sealed"));
	assert_int_equal(peer.got, 4);
	assert_int_equal(peer.submit.session, -1);
	assert_true(peer.submit.flags & LLM_SUBMIT_SESSION);
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1, NULL), -EPERM);
	assert_int_equal(peer.got, 4);
	assert_int_equal(peer.submit.session, 0);
	llmos_session_free(session);
	llmos_session_free(fork);
	llmos_session_free(NULL);
	peer_stop(&peer, llmos);
	assert_int_equal(open_fds(), before);
}

static void test_errors(void **state)
{
	struct llmos_session *session = NULL;
	struct peer peer = good;
	struct llmos *llmos;
	int fd;

	(void)state;
	llmos = peer_start(&peer);
	peer.session_result = -EMFILE;
	peer.send_fds = 0;
	assert_int_equal(llmos_session_new(llmos, &session), -EMFILE);
	assert_null(session);
	assert_int_equal(llmos_session_from_fd(&session, -1), -EBADF);
	/* closed behind the object's back */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(llmos_session_from_fd(&session, fd), 0);
	close(fd);
	assert_int_equal(llmos_session_seal(llmos, session), -EBADF);
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1,
				   LLMOS_OPTS(llmos_generate_opts, .session = session)), -EBADF);
	free(session);
	peer_stop(&peer, llmos);
	/* a broker without sessions is asked for none */
	peer = good;
	peer.commands = 0x7f;
	llmos = peer_start(&peer);
	assert_int_equal(llmos_session_new(llmos, &session), -EOPNOTSUPP);
	peer_stop(&peer, llmos);
}

/* ---- servers that lie ---- */

static void lies(unsigned int fds)
{
	const unsigned int before = open_fds();
	struct llmos_session *session = NULL;
	struct peer peer = good;
	struct llmos *llmos;

	peer.send_fds = fds;
	llmos = peer_start(&peer);
	assert_int_equal(llmos_session_new(llmos, &session), -EPROTO);
	assert_null(session);
	peer_stop(&peer, llmos);
	assert_int_equal(open_fds(), before);
}

static void test_lies(void **state)
{
	(void)state;
	lies(0);
	lies(2);
	lies(4);
}

/* descriptors with replies that need none: closed with the connection, which does not take many */
static void test_unasked(void **state)
{
	struct llmos_session_info info = { .size = sizeof(info) };
	const unsigned int before = open_fds();
	struct llmos_session *session;
	struct peer peer = good;
	struct llmos *llmos;
	int r = 0, i;

	(void)state;
	llmos = peer_start(&peer);
	assert_int_equal(llmos_session_new(llmos, &session), 0);
	for (i = 0; i < 100 && !r; i++)
		r = llmos_session_get_info(llmos, session, &info);
	assert_int_equal(r, -EPROTO);
	assert_true(i < 20);
	llmos_session_free(session);
	peer_stop(&peer, llmos);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_unasked),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
