// SPDX-License-Identifier: MIT
/*
 * Sessions: a conversation belongs to who has a descriptor of it, a turn is part of it as a whole or
 * not at all, and it ends, for its server too, when nobody can go on with it any more.
 */
#include "uapi.h"

#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int client, server;
static char buf[64];

/* ---- short forms ---- */

/* Return: a new descriptor, or 0 for SEAL and INFO; -1 and errno. */
static int session(int fd, uint32_t flags, int of, struct llm_session_cmd *ret_info)
{
	struct llm_session_cmd arg = { .size = sizeof(arg), .flags = flags, .fd = of };
	const int rc = ioctl(fd, LLM_IOC_SESSION, &arg);

	if (ret_info)
		*ret_info = arg;
	if (rc < 0)
		return rc;
	return flags & (LLM_SESSION_SEAL | LLM_SESSION_INFO) ? 0 : arg.fd;
}

static int session_new(void)
{
	return session(client, 0, -1, NULL);
}

static int session_fork(int of)
{
	return session(client, LLM_SESSION_FORK, of, NULL);
}

static struct llm_session_cmd info_of(int fd)
{
	struct llm_session_cmd info;

	must(!session(client, LLM_SESSION_INFO, fd, &info), "INFO");
	return info;
}

/* Return: the request; 0 and errno. */
static uint64_t ask_by(int fd, int of, uint32_t op, const char *text)
{
	struct llm_submit arg = submit_init(text, strlen(text));

	arg.op = op;
	arg.flags = LLM_SUBMIT_SESSION;
	arg.session = of;
	return ioctl(fd, LLM_IOC_SUBMIT, &arg) ? 0 : arg.id;
}

static uint64_t ask(int of, const char *text)
{
	return ask_by(client, of, LLM_OP_GENERATE, text);
}

/* The last COMMIT of a request, by which its session's past grows. */
static int end_turn(uint64_t id, const void *turn, size_t len, uint32_t tokens)
{
	struct llm_commit arg = commit_init(id, "answer", 6);

	arg.flags = LLM_COMMIT_END;
	arg.session = (uintptr_t)turn;
	arg.session_len = (uint32_t)len;
	arg.session_tokens = tokens;
	return ioctl(server, LLM_IOC_COMMIT, &arg);
}

/* A turn from its submission to the end that its reader sees. */
static void turn(int of, const char *text, uint32_t tokens)
{
	const uint64_t id = ask(of, "next");
	struct event event;
	struct llm_read read;

	must(id, "SUBMIT");
	must(fetch(server, LLM_FETCH_REQUEST, &event) > 0, "FETCH");
	must(!end_turn(id, text, strlen(text), tokens), "COMMIT");
	must(read_all(client, id, buf, sizeof(buf), &read) == 6 && !read.status, "READ");
}

static bool nothing_is_due(void)
{
	struct event event;

	return fetch(server, LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, &event) < 0 &&
	       errno == EAGAIN;
}

/* The server hears that a session is of no use any more. */
static bool hears_end_of(uint64_t id)
{
	struct event event;

	return fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event) ==
	       sizeof(event.head) && event.head.type == LLM_EVENT_SESSION_END &&
	       event.head.id == id;
}

/* ---- the tests ---- */

static void test_made(void)
{
	const uint32_t before = features(client).sessions;
	struct llm_session_cmd info;
	char path[64], text[512] = "";
	int fd, other, file;

	ok(features(client).commands >> _IOC_NR(LLM_IOC_SESSION) & 1, "the command is announced");
	fd = session(client, 0, -1, &info);
	ok(fd >= 0, "make a session");
	ok(info.id && !info.bytes && !info.tokens && !info.turns && !info.out_flags,
	   "which is empty");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "its descriptor ends with an exec");
	is(features(client).sessions, before + 1, "it is counted");
	other = session_new();
	ok(info_of(other).id != info.id, "another one has another name");
	close(other);
	fails(read(fd, text, 1), EINVAL, "it can not be read");
	fails(write(fd, "x", 1), EINVAL, "nor written");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fails(open(path, O_RDWR), ENXIO, "nor opened by its number");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY);
	ok(read(file, text, sizeof(text) - 1) > 0 && strstr(text, "llm-session:\t") &&
	   strstr(text, "\nsealed:\t0\n") && strstr(text, "\nbusy:\t0\n"), "fdinfo tells of it");
	close(file);
	close(fd);
	is(features(client).sessions, before, "it ends with its descriptor");
}

static void test_malformed(void)
{
	const int fd = session_new(), null = open("/dev/null", O_RDWR);
	const int path = open("/dev/llm", O_PATH);

	fails(session(client, 0, fd, NULL), EINVAL, "an empty one has no origin");
	fails(session(client, LLM_SESSION_FORK | LLM_SESSION_SEAL, fd, NULL), EINVAL,
	      "one thing at a time");
	fails(session(client, 8, fd, NULL), EINVAL, "an unknown flag");
	fails(session(client, LLM_SESSION_FORK, -1, NULL), EBADF, "a fork of no descriptor");
	fails(session(client, LLM_SESSION_INFO, 1000, NULL), EBADF, "of one that is not open");
	fails(session(client, LLM_SESSION_FORK, null, NULL), EINVAL, "of something else");
	fails(session(client, LLM_SESSION_SEAL, client, NULL), EINVAL, "of the device");
	fails(session(client, LLM_SESSION_FORK, path, NULL), EBADF, "of a mere path");
	ok(!ask(null, "x") && errno == EINVAL, "ask /dev/null");
	ok(!ask(client, "x") && errno == EINVAL, "ask the device");
	ok(!ask(-1, "x") && errno == EBADF, "ask nobody");
	{
		struct llm_submit arg = submit_init("x", 1);

		arg.session = fd;
		fails(ioctl(client, LLM_IOC_SUBMIT, &arg), EINVAL, "a session without its flag");
	}
	{
		struct llm_session_cmd *arg = nowhere();
		const uint32_t before = features(client).sessions;

		fails(ioctl(client, LLM_IOC_SESSION, arg), EFAULT, "no struct");
		is(features(client).sessions, before, "makes none");
	}
	is(features(client).requests, 0, "no request is left of all this");
	close(fd);
	close(null);
	close(path);
}

static void test_turns(void)
{
	const int fd = session_new();
	const uint64_t name = info_of(fd).id;
	struct llm_session_cmd info;
	struct event event;
	uint64_t id;

	id = ask(fd, "first");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 5, "fetch a first turn");
	ok(event.head.flags & LLM_SUBMIT_SESSION && event.head.session == name, "of this session");
	ok(!event.head.session_len && !event.head.past_session, "whose past is empty");
	is(info_of(fd).out_flags, LLM_SESSION_BUSY, "it is busy");
	is(end_turn(id, "AAA", 3, 2), 0, "commit it");
	info = info_of(fd);
	ok(info.bytes == 3 && info.tokens == 2 && info.turns == 1 && !info.out_flags,
	   "it is part of the past before its end is read");
	read_all(client, id, buf, sizeof(buf), &(struct llm_read) { 0 });

	id = ask_by(client, fd, LLM_OP_APPEND, "second");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 6 + 3,
	   "the next turn brings the past");
	ok(event.head.session_len == 3 && event.head.past_session == name &&
	   !memcmp(event.data + 6, "AAA", 3), "as it is");
	{
		struct llm_commit arg = commit_init(id, NULL, 0);
		struct llm_pull pull = {
			.size = sizeof(pull), .id = id, .buf = (uintptr_t)buf, .buf_len = 8,
			.offset = 4,
		};

		arg.journal = (uintptr_t)"jjjj";
		arg.journal_len = 4;
		is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "journal something meanwhile");
		is(ioctl(server, LLM_IOC_PULL, &pull), 5, "PULL across payload and past");
		ok(!memcmp(buf, "ndAAA", 5), "which is where it was");
	}
	is(end_turn(id, "BB", 2, 5), 0, "commit it");
	read_all(client, id, buf, sizeof(buf), &(struct llm_read) { 0 });
	info = info_of(fd);
	ok(info.bytes == 5 && info.tokens == 5 && info.turns == 2, "both are there");

	id = ask_by(client, fd, LLM_OP_SESSION_TOKENS, "");
	is(info_of(fd).out_flags, 0, "who only reads it does not make it busy");
	is(fetch(server, LLM_FETCH_CONTROL, &event), sizeof(event.head) + 5,
	   "the tokens are asked of the server");
	ok(!memcmp(event.data, "AAABB", 5), "with the past");
	fails(end_turn(id, "C", 1, 6), EINVAL, "which can not grow by that");
	is(commit(server, id, "", LLM_COMMIT_END), 0, "end it");
	read_all(client, id, buf, sizeof(buf), &(struct llm_read) { 0 });
	is(info_of(fd).bytes, 5, "it has not");
	close(fd);
	ok(hears_end_of(name), "the server hears of the end");
	ok(nothing_is_due(), "once");
}

static void test_all_or_nothing(void)
{
	const int fd = session_new();
	struct event event;
	struct llm_read read;
	uint64_t id;

	turn(fd, "start", 1);
	id = ask(fd, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	commit(server, id, "half", 0);
	cancel(client, id, 0);
	is(info_of(fd).out_flags, 0, "a cancelled request is over for its session");
	is(end_turn(id, "lost", 4, 9), LLM_VERDICT_CANCELLED, "what it commits");
	is(info_of(fd).bytes, 5, "is nothing");
	read_all(client, id, buf, sizeof(buf), &read);

	id = ask(fd, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	{
		struct llm_commit arg = commit_init(id, NULL, 0);

		arg.session = (uintptr_t)"lost";
		arg.session_len = 4;
		arg.session_tokens = 9;
		fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "a turn without an end");
		arg.flags = LLM_COMMIT_END;
		arg.status = -EIO;
		fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "a turn that failed");
		arg.status = 0;
		arg.session = (uintptr_t)nowhere();
		fails(ioctl(server, LLM_IOC_COMMIT, &arg), EFAULT, "a turn from nowhere");
		arg.session_len = 0;
		fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "the address of nothing");
	}
	is(info_of(fd).out_flags, LLM_SESSION_BUSY, "nothing of that was taken");
	is(commit_status(server, id, -EIO), 0, "it fails");
	read_all(client, id, buf, sizeof(buf), &read);
	is(read.status, -EIO, "for its reader");
	ok(info_of(fd).bytes == 5 && info_of(fd).turns == 1, "and its session is as it was");
	turn(fd, "more", 2);
	is(info_of(fd).bytes, 9, "and can go on");
	close(fd);
	must(fetch(server, LLM_FETCH_NOTICE, &event) > 0, "its end");
}

static void test_busy_and_sealed(void)
{
	const int fd = session_new(), copy = dup(fd);
	struct event event;
	struct llm_read read;
	const uint64_t name = info_of(fd).id;
	uint64_t id;
	int other;

	turn(fd, "start", 1);
	id = ask(fd, "x");
	ok(!ask(copy, "y") && errno == EBUSY, "one request at a time, through any descriptor");
	fails(session(client, LLM_SESSION_SEAL, fd, NULL), EBUSY, "a busy one can not be sealed");
	other = session_fork(fd);
	is(info_of(other).bytes, 5, "a fork of it has its past");
	is(session(client, LLM_SESSION_SEAL, other, NULL), 0, "and can be sealed");
	is(session(client, LLM_SESSION_SEAL, other, NULL), 0, "twice");
	ok(!ask(other, "y") && errno == EPERM, "then it does not go on");
	cancel(client, id, LLM_CANCEL_FORGET);
	ok((id = ask(fd, "y")), "a cancel makes room at once");
	cancel(client, id, LLM_CANCEL_FORGET);

	id = ask_by(client, other, LLM_OP_SESSION_TOKENS, "");
	is(fetch(server, LLM_FETCH_CONTROL, &event), sizeof(event.head) + 5, "it can be read");
	commit(server, id, "", LLM_COMMIT_END);
	read_all(client, id, buf, sizeof(buf), &read);
	is(info_of(other).out_flags, LLM_SESSION_SEALED, "it stays sealed");
	close(copy);
	close(fd);
	ok(nothing_is_due(), "what one was made in is not over while a fork has its past");
	{
		const uint64_t sealed = info_of(other).id;
		const int again = session_fork(other);

		is(info_of(again).out_flags, 0, "a fork of a sealed one is not");
		turn(again, "more", 2);
		is(info_of(other).bytes, 5, "which changes nothing for it");
		close(again);
		must(fetch(server, LLM_FETCH_NOTICE, &event) > 0, "the fork's end");
		close(other);
		ok(hears_end_of(name), "then it is over");
		ok(hears_end_of(sealed), "as is the sealed one");
	}
	is(features(client).sessions, 0, "nothing is left");
}

static void test_forks(void)
{
	const int fd = session_new();
	const uint64_t name = info_of(fd).id;
	struct llm_session_cmd info;
	struct event event;
	struct llm_read read;
	uint64_t id, fork_name;
	int other;

	turn(fd, "common", 3);
	other = session(client, LLM_SESSION_FORK, fd, &info);
	fork_name = info.id;
	ok(info.id != name && info.bytes == 6 && info.tokens == 3 && !info.turns, "fork a session");
	turn(fd, "+A", 4);
	id = ask(other, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	ok(event.head.session == fork_name && event.head.past_session == name &&
	   event.head.session_len == 6 && !memcmp(event.data + 1, "common", 6),
	   "a fork's past is known by who made it");
	is(end_turn(id, "+BBB", 4, 5), 0, "it goes its own way");
	read_all(client, id, buf, sizeof(buf), &read);
	ok(info_of(fd).bytes == 8 && info_of(other).bytes == 10, "and the first one its own");
	id = ask(other, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	ok(event.head.past_session == fork_name && event.head.session_len == 10 &&
	   !memcmp(event.data + 1, "common+BBB", 10), "from then on it is its own");
	end_turn(id, "!", 1, 6);
	read_all(client, id, buf, sizeof(buf), &read);
	close(fd);
	ok(hears_end_of(name), "nobody has what the first one made any more");
	close(other);
	ok(hears_end_of(fork_name), "nor the fork");
	ok(nothing_is_due(), "that is all");
}

/* A fork of a fork of a fork, each with a turn of its own: one is closed as the next one is made. */
static void test_chain(void)
{
	int fd = session_new();
	struct event event;

	for (int i = 0; i < 200; i++) {
		const int next = session_fork(fd);

		must(next >= 0, "fork");
		close(fd);
		fd = next;
		turn(fd, "link", i + 1);
		while (fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event) > 0)
			;
	}
	is(info_of(fd).bytes, 800, "a chain of forks has all their turns");
	is(features(client).sessions, 1, "and keeps none of them");
	close(fd);
	must(fetch(server, LLM_FETCH_NOTICE, &event) > 0, "its end");
}

static void test_server_death(void)
{
	const int fd = session_new();
	struct event event;
	struct llm_read read;
	uint64_t id;

	turn(fd, "past", 1);
	id = ask(fd, "prompt");
	fetch(server, LLM_FETCH_REQUEST, &event);
	{
		struct llm_commit arg = commit_init(id, "so ", 3);

		arg.journal = (uintptr_t)"jj";
		arg.journal_len = 2;
		ioctl(server, LLM_IOC_COMMIT, &arg);
	}
	close(server);
	is(info_of(fd).out_flags, LLM_SESSION_BUSY, "a request that waits for a server is its turn");
	server = server_open();
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 6 + 2 + 4,
	   "the next server gets all of it");
	ok(!memcmp(event.data, "promptjjpast", 12), "payload, journal and past");
	ok(event.head.journal_len == 2 && event.head.session_len == 4, "told apart");
	is(end_turn(id, "+new", 4, 2), 0, "and goes on");
	read_all(client, id, buf, sizeof(buf), &read);
	is(info_of(fd).bytes, 8, "as if nothing had happened");
	close(server);
	server = server_open();
	close(fd);
	ok(nothing_is_due(), "who never heard of a session does not hear of its end");
	is(features(client).sessions, 0, "nothing is left");
}

static void test_closed_while_running(void)
{
	const int own = client_open(), fd = session(own, 0, -1, NULL);
	const uint64_t name = info_of(fd).id;
	struct event event;
	struct llm_read read;
	uint64_t id;

	id = ask(fd, "x");
	close(own);
	fetch(server, LLM_FETCH_REQUEST, &event);
	close(fd);
	ok(nothing_is_due(), "a request keeps its session");
	is(end_turn(id, "turn", 4, 1), 0, "which it can still end");
	is(read_all(client, id, buf, sizeof(buf), &read), 6, "and be read");
	ok(hears_end_of(name), "then it is over");

	id = 0;
	{
		const int again = session_new(), asker = client_open();
		const uint64_t its = info_of(again).id;

		id = ask_by(asker, again, LLM_OP_GENERATE, "x");
		fetch(server, LLM_FETCH_REQUEST, &event);
		close(asker);
		close(again);
		fetch(server, LLM_FETCH_NOTICE, &event);
		is(event.head.type, LLM_EVENT_CANCEL, "an asker that goes cancels");
		ok(nothing_is_due(), "until the server lets go, the session is there");
		is(end_turn(id, "turn", 4, 1), LLM_VERDICT_CANCELLED, "it does");
		ok(hears_end_of(its), "and hears of the end");
	}
	is(features(client).sessions, 0, "nothing is left");
}

/* ---- who has it ---- */

static void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	must(sendmsg(socket, &msg, 0) == 1, "sendmsg");
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Another process, of another user, which has what it is sent and nothing else. */
static int stranger(int socket, int inherited)
{
	const int own = (become_user(12345), client_open());
	struct llm_read read;
	uint64_t id;
	int fd;

	close(inherited);
	child_must(!ask_by(own, inherited, LLM_OP_GENERATE, "x") && errno == EBADF);
	fd = receive_fd(socket);
	child_must(fd >= 0);
	id = ask_by(own, fd, LLM_OP_GENERATE, "mine");
	child_must(id);
	child_must(read_all(own, id, buf, sizeof(buf), &read) == 6 && !read.status);
	return 0;
}

static void test_passed(void)
{
	const int fd = session_new();
	struct event event;
	int pair[2];
	pid_t pid;

	turn(fd, "ours", 1);
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	pid = fork();
	if (!pid) {
		_exit(stranger(pair[1], fd));
	}
	close(pair[1]);
	send_fd(pair[0], fd);
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 4 + 4,
	   "who was sent the descriptor goes on with the session");
	ok(!memcmp(event.data, "mineours", 8), "from where it is");
	ok(event.head.uid == 12345 && event.head.pid == (uint32_t)pid, "as a request of his own");
	end_turn(event.head.id, "+his", 4, 2);
	is(wait_child(pid), 0, "who has none has no name for it");
	is(info_of(fd).bytes, 8, "it is one session");
	close(fd);
	close(pair[0]);
	must(fetch(server, LLM_FETCH_NOTICE, &event) > 0, "its end");

	pid = fork();
	if (!pid) {
		const int own = session_new();

		/* sent to itself, and never received */
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			_exit(1);
		send_fd(pair[0], own);
		send_fd(pair[0], pair[0]);
		send_fd(pair[0], pair[1]);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	/* the kernel looks for circles whenever some other socket is closed */
	ok(eventually((close(socket(AF_UNIX, SOCK_STREAM, 0)), !features(client).sessions)),
	   "sent in a circle it ends all the same");
}

/* ---- limits ---- */

static void test_limits(void)
{
	const uint64_t user = param_get("max_sessions_user"), all = param_get("max_sessions");
	const uint64_t bytes = param_get("max_session_bytes");
	const struct llm_features known = features(client);
	char *long_turn = malloc(10000);
	struct event event;
	struct llm_read read;
	uint64_t id;
	int fd, other;

	ok(known.max_sessions_user == user && known.max_sessions == all &&
	   known.max_session_bytes == bytes, "the limits are told");
	param_set("max_sessions_user", 1);
	fd = session_new();
	fails(session_new(), EMFILE, "too many of one user");
	fails(session_fork(fd), EMFILE, "a fork is one");
	param_set("max_sessions_user", user);
	param_set("max_sessions", 1);
	fails(session_new(), ENFILE, "too many in all");
	param_set("max_sessions", all);

	for (int i = 0; i < 10000; i++)
		long_turn[i] = (char)gen_byte(7, (uint64_t)i);
	param_set("max_session_bytes", 20000);
	id = ask(fd, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(end_turn(id, long_turn, 10000, 1), 0, "a turn of several pages");
	read_all(client, id, buf, sizeof(buf), &read);
	other = session_fork(fd);
	id = ask(fd, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(end_turn(id, long_turn, 5000, 2), 0, "and another one");
	read_all(client, id, buf, sizeof(buf), &read);
	id = ask(fd, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	fails(end_turn(id, long_turn, 5001, 3), E2BIG, "one that is too long as a whole");
	{
		static char got[16384];
		struct llm_pull pull = {
			.size = sizeof(pull), .id = id, .buf = (uintptr_t)got,
			.buf_len = sizeof(got), .offset = 1,
		};

		is(ioctl(server, LLM_IOC_PULL, &pull), 15000, "PULL all of the past");
		ok(gen_matches(7, got, 10000) && gen_matches(7, got + 10000, 5000),
		   "each byte is the right one");
	}
	is(end_turn(id, long_turn, 5000, 3), 0, "one that just fits");
	read_all(client, id, buf, sizeof(buf), &read);
	is(info_of(other).bytes, 10000, "the fork has what it had");
	param_set("max_session_bytes", bytes);
	free(long_turn);
	close(other);
	close(fd);
	must(fetch(server, LLM_FETCH_NOTICE, &event) > 0, "its end");
	ok(nothing_is_due(), "a fork that was never used is not told of");
	is(features(client).sessions, 0, "nothing is left");
}

/* Ends that nobody fetches count for who made the sessions: they can not be piled up. */
static void test_unheard(void)
{
	const uint64_t user = param_get("max_sessions_user");
	struct event event;
	int n = 0, fd;

	param_set("max_sessions_user", 8);
	for (int i = 0; i < 20; i++) {
		fd = session_new();
		if (fd < 0)
			break;
		turn(fd, "x", 1);
		close(fd);
		n++;
	}
	ok(n == 8 && errno == EMFILE, "ends that the server has not fetched are counted");
	while (n > 0 && fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event) > 0)
		n--;
	is(n, 0, "it gets all of them");
	fd = session_new();
	ok(fd >= 0, "then there is room");
	close(fd);
	param_set("max_sessions_user", user);
}

static void test_uring(void)
{
	struct llm_session_cmd arg = { .size = sizeof(arg), .fd = -1 };
	struct llm_submit submit = submit_init("x", 1);
	struct io_uring ring;
	struct event event;

	must(!io_uring_queue_init(8, &ring, 0), "a ring");
	is(uring_call(&ring, client, LLM_IOC_SESSION, &arg), 0, "make a session by io_uring");
	submit.flags = LLM_SUBMIT_SESSION;
	submit.session = arg.fd;
	is(uring_call(&ring, client, LLM_IOC_SUBMIT, &submit), 0, "ask it");
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(event.head.session, arg.id, "the server is told which");
	close(arg.fd);
	commit_status(server, submit.id, -EIO);
	cancel(client, submit.id, LLM_CANCEL_FORGET);
	ok(hears_end_of(arg.id), "and that it is over");
	io_uring_queue_exit(&ring);
}

int main(void)
{
	client = client_open();
	server = server_open();
	test_made();
	test_malformed();
	test_turns();
	test_all_or_nothing();
	test_busy_and_sealed();
	test_forks();
	test_chain();
	test_server_death();
	test_closed_while_running();
	test_passed();
	test_limits();
	test_unheard();
	test_uring();
	is(features(client).sessions, 0, "no session is left");
	close(server);
	close(client);
	return tap_done();
}
