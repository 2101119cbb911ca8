/* SPDX-License-Identifier: MIT */
/*
 * Sessions over the socket: who has a descriptor of one, however it came to him, goes on with it,
 * and nobody else does; a turn becomes part of the past as a whole or not at all; nothing that a
 * client does with descriptors leaves one behind here.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ipc/broker_session.h"
#include "ipc_client.h"

/* descriptors of this process: both ends of everything are in it */
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

/* what came from a client, and is no handle, is closed by a thread of its own */
static bool wait_fds(unsigned int count)
{
	unsigned int i;

	for (i = 0; i < 50000 && open_fds() != count; i++) {
		usleep(1000);
		client_turn();
	}
	return open_fds() == count;
}

static struct llm_session_cmd session_args(unsigned int flags)
{
	return (struct llm_session_cmd){ .size = sizeof(struct llm_session_cmd), .flags = flags,
					 .fd = -1 };
}

/* Return: the result; -1 for @fd and @ret_fd: none */
static int session_call(int conn, unsigned int flags, int fd, struct llm_session_cmd *args,
			int *ret_fd)
{
	*args = session_args(flags);
	send_command_fds(conn, LLM_IOC_SESSION, 9, args, sizeof(*args), NULL, 0, &fd, fd >= 0);
	return result_fd_of(conn, 9, args, sizeof(*args), ret_fd);
}

static int session_new(int conn, uint64_t *ret_id)
{
	struct llm_session_cmd args;
	int fd;

	assert_int_equal(session_call(conn, 0, -1, &args, &fd), 0);
	assert_true(fd >= 0 && args.id);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(args.fd, -1);
	if (ret_id)
		*ret_id = args.id;
	return fd;
}

static int session_fork(int conn, int session)
{
	struct llm_session_cmd args;
	int fd;

	assert_int_equal(session_call(conn, LLM_SESSION_FORK, session, &args, &fd), 0);
	assert_true(fd >= 0);
	return fd;
}

static void session_info(int conn, int session, struct llm_session_cmd *args)
{
	int fd;

	assert_int_equal(session_call(conn, LLM_SESSION_INFO, session, args, &fd), 0);
	assert_int_equal(fd, -1);
}

/* a turn; Return: the result, and its id */
static int turn(int conn, int session, enum llm_op op, uint64_t *ret_id)
{
	struct llm_submit args = submit_args(3);
	int fd, r;

	args.flags = LLM_SUBMIT_SESSION;
	args.session = -1;
	args.op = op;
	send_command_fds(conn, LLM_IOC_SUBMIT, 4, &args, sizeof(args), "abc", 3, &session,
			 session >= 0);
	r = result_fd_of(conn, 4, &args, sizeof(args), &fd);
	assert_int_equal(fd, -1);
	*ret_id = args.id;
	return r;
}

static int commit_turn(uint64_t id, const char *past, uint32_t tokens, int status)
{
	const struct llm_commit args = {
		.size = sizeof(args),
		.flags = LLM_COMMIT_END,
		.id = id,
		.status = status,
		.finish = status ? 0 : LLM_FINISH_STOP,
		.session = past ? (uintptr_t)past : 0,
		.session_len = past ? strlen(past) : 0,
		.session_tokens = tokens,
	};
	int r = ipc->ops->commit(ipc, &args);

	socket_server_flush(server);
	return r;
}

static const struct held *last_held(void)
{
	assert_true(held_count > 0);
	return &held[held_count - 1];
}

static void assert_past(const struct held *request, const char *past)
{
	assert_int_equal(request->event.session_len, strlen(past));
	assert_int_equal(request->event.data_len, 3 + strlen(past));
	assert_memory_equal(request->data, "abc", 3);
	assert_memory_equal(request->data + 3, past, strlen(past));
}

/* ---- what they are for ---- */

static void test_turns(void **state)
{
	struct llm_session_cmd info;
	uint64_t id, session_id;
	int session;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	session = session_new(client, &session_id);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "");
	assert_int_equal(last_held()->event.session, session_id);
	assert_int_equal(last_held()->event.past_session, 0);
	session_info(client, session, &info);
	assert_int_equal(info.out_flags, LLM_SESSION_BUSY);
	assert_int_equal(commit_turn(id, "first ", 2, 0), LLM_VERDICT_CONTINUE);
	session_info(client, session, &info);
	assert_int_equal(info.out_flags, 0);
	assert_int_equal(info.id, session_id);
	assert_int_equal(info.bytes, 6);
	assert_int_equal(info.tokens, 2);
	assert_int_equal(info.turns, 1);
	/* its end need not have been read */
	assert_int_equal(turn(client, session, LLM_OP_APPEND, &id), 0);
	assert_past(last_held(), "first ");
	assert_int_equal(last_held()->event.past_session, session_id);
	assert_int_equal(commit_turn(id, "second ", 5, 0), LLM_VERDICT_CONTINUE);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "first second ");
	assert_int_equal(commit_turn(id, NULL, 0, -EIO), LLM_VERDICT_CONTINUE);
	session_info(client, session, &info);
	assert_int_equal(info.bytes, 13);
	assert_int_equal(info.turns, 2);
	close(session);
}

/* another connection, which was given the descriptor; the first one is gone */
static void test_passed_on(void **state)
{
	int session, other;
	uint64_t id;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	session = session_new(client, NULL);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	commit_turn(id, "past", 1, 0);
	close(client);
	client_turn();
	client = client_connect();
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "past");
	commit_turn(id, NULL, 0, -EIO);
	/* a copy is as good, until the last one is closed */
	other = dup(session);
	close(session);
	client_turn();
	assert_int_equal(turn(client, other, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "past");
	commit_turn(id, NULL, 0, -EIO);
	assert_int_equal(ended_count, 0);
	close(other);
	client_turn();
	assert_int_equal(ended_count, 1);
}

static int open_fifo(void)
{
	char folder[] = "/tmp/llmos-test-XXXXXX", path[64];
	int fd;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	return fd;
}

/* nothing that one holder does to his copy is felt by another one */
static void test_holders(void **state)
{
	char byte = 0;
	int session, copy;
	uint64_t id;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	session = session_new(client, NULL);
	copy = dup(session);
	assert_int_equal(shutdown(copy, SHUT_RDWR), -1);
	assert_int_equal(write(copy, &byte, 1), -1);
	assert_int_equal(read(copy, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	close(copy);
	client_turn();
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	commit_turn(id, NULL, 0, -EIO);
	assert_int_equal(ended_count, 0);
	close(session);
	client_turn();
	assert_int_equal(ended_count, 1);
}

static void test_who_has_none(void **state)
{
	const unsigned int before = open_fds();
	int session, stranger, pair[2], null, none;
	struct llm_session_cmd info;
	uint64_t id;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	session = session_new(client, NULL);
	stranger = client_connect();
	assert_int_equal(turn(stranger, -1, LLM_OP_GENERATE, &id), -EBADF);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(turn(stranger, pair[0], LLM_OP_GENERATE, &id), -EINVAL);
	/* the connection itself is a socket, too */
	assert_int_equal(turn(stranger, stranger, LLM_OP_GENERATE, &id), -EINVAL);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(turn(stranger, pair[0], LLM_OP_GENERATE, &id), -EINVAL);
	assert_int_equal(turn(stranger, pair[1], LLM_OP_GENERATE, &id), -EINVAL);
	null = open_fifo();
	assert_int_equal(turn(stranger, null, LLM_OP_GENERATE, &id), -EINVAL);
	close(null);
	null = open("/dev/null", O_RDWR);
	assert_int_equal(turn(stranger, null, LLM_OP_GENERATE, &id), -EINVAL);
	assert_int_equal(session_call(stranger, LLM_SESSION_FORK, null, &info, &none), -EINVAL);
	assert_int_equal(session_call(stranger, LLM_SESSION_SEAL, -1, &info, &none), -EBADF);
	assert_int_equal(held_count, 0);
	close(null);
	close(pair[0]);
	close(pair[1]);
	close(stranger);
	close(session);
	close(client);
	client = -1;
	client_turn();
	client_turn();
	assert_true(wait_fds(before));
}

static void test_forks(void **state)
{
	struct llm_session_cmd info;
	uint64_t id, first, second;
	int session, fork, sealed;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	session = session_new(client, NULL);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	commit_turn(id, "root ", 1, 0);
	first = last_held()->event.session;
	/* also of one that is busy: its past as it is */
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	fork = session_fork(client, session);
	commit_turn(id, "left ", 2, 0);
	assert_int_equal(turn(client, fork, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "root ");
	second = last_held()->event.session;
	assert_true(first != second);
	assert_int_equal(last_held()->event.past_session, first);
	commit_turn(id, "right ", 2, 0);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "root left ");
	commit_turn(id, NULL, 0, -EIO);
	/* sealed, for ever and for all copies; a fork of it is not */
	assert_int_equal(session_call(client, LLM_SESSION_SEAL, fork, &info, &sealed), 0);
	assert_int_equal(turn(client, fork, LLM_OP_GENERATE, &id), -EPERM);
	assert_int_equal(turn(client, fork, LLM_OP_SESSION_TOKENS, &id), 0);
	assert_past(last_held(), "root right ");
	commit_turn(id, NULL, 0, 0);
	session_info(client, fork, &info);
	assert_int_equal(info.out_flags, LLM_SESSION_SEALED);
	sealed = fork;
	fork = session_fork(client, sealed);
	close(sealed);
	client_turn();
	/* its past is one of the sealed session still */
	assert_int_equal(ended_count, 0);
	assert_int_equal(turn(client, fork, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "root right ");
	assert_int_equal(last_held()->event.past_session, second);
	commit_turn(id, "on ", 3, 0);
	/* and now it has one of its own */
	assert_int_equal(ended_count, 1);
	assert_int_equal(ended[0], second);
	close(fork);
	close(session);
	client_turn();
	assert_int_equal(ended_count, 3);
}

/* ---- one at a time ---- */

static void test_busy(void **state)
{
	struct llm_session_cmd info;
	uint64_t id, other;
	int session, fd;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	session = session_new(client, NULL);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &other), -EBUSY);
	assert_int_equal(turn(client, session, LLM_OP_APPEND, &other), -EBUSY);
	assert_int_equal(session_call(client, LLM_SESSION_SEAL, session, &info, &fd), -EBUSY);
	/* cancelled, it is over for the reader, whatever the scheduler says later */
	{
		const struct llm_cancel cancel = { .size = sizeof(cancel), .id = id };

		send_command(client, LLM_IOC_CANCEL, 3, &cancel, sizeof(cancel), NULL, 0);
		assert_int_equal(result_of(client, 3, NULL, 0), 0);
	}
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &other), 0);
	assert_int_equal(commit_turn(id, "no", 1, 0), LLM_VERDICT_CANCELLED);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), -EBUSY);
	assert_int_equal(commit_turn(other, "yes", 1, 0), LLM_VERDICT_CONTINUE);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	assert_past(last_held(), "yes");
	/* who hangs up in the middle leaves it free */
	close(client);
	client_turn();
	client = client_connect();
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &other), 0);
	assert_past(last_held(), "yes");
	/* a request keeps it, though no descriptor is left */
	close(session);
	client_turn();
	assert_int_equal(ended_count, 0);
	commit_turn(other, "more", 2, 0);
	assert_int_equal(ended_count, 0);
	commit_turn(id, NULL, 0, -ECANCELED);
	assert_int_equal(ended_count, 1);
}

/* who waits has the past as it was when he asked, and what names it does not end before him */
static void test_waiting(void **state)
{
	uint64_t id, waits, root_id;
	int root, fork;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	root = session_new(client, &root_id);
	assert_int_equal(turn(client, root, LLM_OP_GENERATE, &id), 0);
	assert_int_equal(commit_turn(id, "root ", 1, 0), LLM_VERDICT_CONTINUE);
	fork = session_fork(client, root);
	assert_int_equal(turn(client, fork, LLM_OP_GENERATE, &id), 0);
	ipc->ops->want(ipc, 0);
	assert_int_equal(turn(client, fork, LLM_OP_SCORE, &waits), 0);
	assert_int_equal(last_held()->event.id, id);
	assert_int_equal(commit_turn(id, "fork ", 2, 0), LLM_VERDICT_CONTINUE);
	close(root);
	client_turn();
	assert_int_equal(ended_count, 0);
	ipc->ops->want(ipc, 1);
	assert_int_equal(last_held()->event.id, waits);
	assert_past(last_held(), "root ");
	assert_int_equal(last_held()->event.past_session, root_id);
	assert_int_equal(ended_count, 0);
	assert_int_equal(commit_turn(waits, NULL, 0, 0), LLM_VERDICT_CONTINUE);
	assert_int_equal(ended_count, 1);
	/* one that is never told leaves nothing, either */
	assert_int_equal(turn(client, fork, LLM_OP_SCORE, &waits), 0);
	close(fork);
	close(client);
	client = -1;
	client_turn();
	client_turn();
	assert_int_equal(ended_count, 2);
}

/* what the scheduler must not do */
static void test_commits(void **state)
{
	static char big[BROKER_SESSION_BYTES_MAX + 1];
	struct llm_session_cmd info;
	uint64_t id;
	int session;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	session = session_new(client, NULL);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(commit_turn(id, "half", 1, -EIO), -EINVAL);
	assert_int_equal(commit_turn(id, big, 1, 0), LLM_VERDICT_CONTINUE);
	session_info(client, session, &info);
	assert_int_equal(info.bytes, BROKER_SESSION_BYTES_MAX);
	assert_int_equal(turn(client, session, LLM_OP_GENERATE, &id), 0);
	assert_int_equal(commit_turn(id, "x", 2, 0), -E2BIG);
	session_info(client, session, &info);
	assert_int_equal(info.out_flags, LLM_SESSION_BUSY);
	assert_int_equal(commit_turn(id, NULL, 0, -E2BIG), LLM_VERDICT_CONTINUE);
	/* who appends nothing has nothing to commit to it */
	assert_int_equal(turn(client, session, LLM_OP_SESSION_TOKENS, &id), 0);
	assert_int_equal(commit_turn(id, "x", 2, 0), -EINVAL);
	commit_turn(id, NULL, 0, 0);
	id = submit(client, "abc");
	assert_int_equal(commit_turn(id, "x", 2, 0), -EINVAL);
	commit_turn(id, NULL, 0, 0);
	close(session);
}

/* ---- bounds ---- */

static void test_limit(void **state)
{
	int fds[BROKER_SESSIONS_USER_MAX], fd;
	struct llm_session_cmd args;
	unsigned int i;

	(void)state;
	client = client_connect();
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = i % 2 ? session_fork(client, fds[i - 1]) : session_new(client, NULL);
	assert_int_equal(session_call(client, 0, -1, &args, &fd), -EMFILE);
	assert_int_equal(session_call(client, LLM_SESSION_FORK, fds[0], &args, &fd), -EMFILE);
	close(fds[3]);
	client_turn();
	fds[3] = session_new(client, NULL);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void test_malformed(void **state)
{
	struct llm_session_cmd args = session_args(LLM_SESSION_FORK | LLM_SESSION_SEAL);
	struct llm_submit submit = submit_args(0);
	int session, fd;
	uint64_t id;

	(void)state;
	client = client_connect();
	session = session_new(client, NULL);
	send_command_fds(client, LLM_IOC_SESSION, 1, &args, sizeof(args), NULL, 0, &session, 1);
	assert_int_equal(result_fd_of(client, 1, &args, sizeof(args), &fd), -EINVAL);
	args = session_args(8);
	send_command(client, LLM_IOC_SESSION, 1, &args, sizeof(args), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -EINVAL);
	args = session_args(0);
	args.fd = 5;
	send_command(client, LLM_IOC_SESSION, 1, &args, sizeof(args), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -EINVAL);
	args = session_args(0);
	args.reserved[3] = 1;
	send_command(client, LLM_IOC_SESSION, 1, &args, sizeof(args), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -EINVAL);
	args = session_args(0);
	send_command(client, LLM_IOC_SESSION, 1, &args, sizeof(args), "x", 1);
	assert_int_equal(result_of(client, 1, NULL, 0), -EINVAL);
	/* a number is no descriptor here, and one without the flag means nothing */
	submit.flags = LLM_SUBMIT_SESSION;
	submit.session = session;
	send_command(client, LLM_IOC_SUBMIT, 1, &submit, sizeof(submit), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -EINVAL);
	submit = submit_args(0);
	submit.session = -1;
	send_command(client, LLM_IOC_SUBMIT, 1, &submit, sizeof(submit), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -EINVAL);
	/* what came with a message that was refused is not taken for the next one's */
	submit.flags = LLM_SUBMIT_SESSION;
	submit.pad = 1;
	send_command_fds(client, LLM_IOC_SUBMIT, 1, &submit, sizeof(submit), NULL, 0, &session, 1);
	assert_int_equal(result_of(client, 1, NULL, 0), -EINVAL);
	assert_int_equal(turn(client, -1, LLM_OP_GENERATE, &id), -EBADF);
	close(session);
}

/* descriptors that nobody asked for, one by one and many at once */
static void test_unasked(void **state)
{
	struct llm_features features = { .size = sizeof(features) };
	const unsigned int idle = open_fds();
	unsigned int before, i;
	int session, fds[16];
	uint64_t id;

	(void)state;
	client = client_connect();
	session = session_new(client, NULL);
	before = open_fds();
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = session;
	for (i = 0; i < 100; i++) {
		send_command_fds(client, LLM_IOC_GET_FEATURES, i, &features, sizeof(features), NULL,
				 0, fds, 1);
		assert_int_equal(result_of(client, i, &features, sizeof(features)), 0);
	}
	assert_int_equal(features.sessions, 1);
	assert_true(wait_fds(before));
	assert_int_equal(turn(client, -1, LLM_OP_GENERATE, &id), -EBADF);
	features = (struct llm_features){ .size = sizeof(features) };
	send_command_fds(client, LLM_IOC_GET_FEATURES, 1, &features, sizeof(features), NULL, 0, fds,
			 2);
	assert_closed(client);
	close(client);
	client_turn();
	client = client_connect();
	assert_true(wait_fds(before));
	/* half of a message, and then nothing */
	send_command_fds(client, LLM_IOC_GET_FEATURES, 1, &features, 4, NULL, 0, fds, 1);
	close(client);
	client_turn();
	client = -1;
	close(session);
	client_turn();
	client_turn();
	assert_true(wait_fds(idle));
}

/* sent through itself it would hold itself */
static void test_cycle(void **state)
{
	const struct llm_features features = { .size = sizeof(features) };
	struct llm_features now;
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control.bytes) };
	int session;

	(void)state;
	client = client_connect();
	session = session_new(client, NULL);
	control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
					 .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), &session, sizeof(session));
	assert_int_equal(sendmsg(session, &msg, MSG_NOSIGNAL | MSG_DONTWAIT), -1);
	assert_int_equal(errno, ENOTSOCK);
	close(session);
	client_turn();
	send_command(client, LLM_IOC_GET_FEATURES, 1, &features, sizeof(features), NULL, 0);
	assert_int_equal(result_of(client, 1, &now, sizeof(now)), 0);
	assert_int_equal(now.sessions, 0);
}

/* a reply that nobody takes: the session in it goes with the connection */
static void test_not_taken(void **state)
{
	const struct llm_session_cmd args = session_args(0);
	const unsigned int before = open_fds();
	unsigned int i;

	(void)state;
	client = client_connect();
	for (i = 0; i < 20; i++)
		send_command(client, LLM_IOC_SESSION, i, &args, sizeof(args), NULL, 0);
	assert_true(open_fds() > before + 20);
	close(client);
	client = -1;
	client_turn();
	client_turn();
	assert_int_equal(open_fds(), before);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_turns),
		TEST(test_passed_on),
		TEST(test_holders),
		TEST(test_who_has_none),
		TEST(test_forks),
		TEST(test_busy),
		TEST(test_waiting),
		TEST(test_commits),
		TEST(test_limit),
		TEST(test_malformed),
		TEST(test_unasked),
		TEST(test_cycle),
		TEST(test_not_taken),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
