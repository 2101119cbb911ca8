/* SPDX-License-Identifier: MIT */
/*
 * The socket transport as it is not meant to be used: limits, messages that lie, clients that do
 * not listen, sockets that others have, peers that are gone. Whoever behaves is served all the same.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ipc/broker.h"
#include "ipc/conn.h"
#include "ipc_client.h"

/* ---- limits ---- */

static void test_request_limits(void **state)
{
	struct llm_submit args = submit_args(1);
	unsigned int i, busy = 0;
	int fds[6];

	(void)state;
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = client_connect();
	for (i = 0; i < BROKER_REQUESTS_FILE_MAX; i++)
		submit(fds[0], "x");
	send_command(fds[0], LLM_IOC_SUBMIT, 1, &args, sizeof(args), "x", 1);
	assert_int_equal(result_of(fds[0], 1, NULL, 0), -EBUSY);
	for (i = BROKER_REQUESTS_FILE_MAX; i < BROKER_REQUESTS_USER_MAX; i++)
		submit(fds[i / BROKER_REQUESTS_FILE_MAX], "x");
	send_command(fds[5], LLM_IOC_SUBMIT, 1, &args, sizeof(args), "x", 1);
	busy = result_of(fds[5], 1, NULL, 0) == -EBUSY;
	assert_true(busy);
	/* who goes makes room */
	close(fds[0]);
	client_turn();
	submit(fds[5], "x");
	for (i = 1; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	client_turn();
}

static void test_large_payload(void **state)
{
	static uint8_t text[BROKER_PAYLOAD_MAX + 1];
	struct llm_submit args = submit_args(BROKER_PAYLOAD_MAX);

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	memset(text, 'a', sizeof(text));
	send_command(client, LLM_IOC_SUBMIT, 1, &args, sizeof(args), text, BROKER_PAYLOAD_MAX);
	assert_int_equal(result_of(client, 1, NULL, 0), 0);
	assert_int_equal(held[0].event.payload_len, BROKER_PAYLOAD_MAX);
	args.payload_len++;
	send_command(client, LLM_IOC_SUBMIT, 2, &args, sizeof(args), text, sizeof(text));
	assert_int_equal(result_of(client, 2, NULL, 0), -E2BIG);
	submit(client, "still in step");
}

/* longer than any message can be: refused at once, skipped, and the next one is understood */
static void test_oversized_message(void **state)
{
	struct llm_msg head = { .len = 8 << 20, .cmd = LLM_IOC_SUBMIT, .cookie = 77 };
	static uint8_t junk[1 << 20];
	unsigned int i;

	(void)state;
	client = client_connect();
	send_bytes(client, &head, sizeof(head));
	assert_int_equal(result_of(client, 77, NULL, 0), -E2BIG);
	for (i = 0; i < 8; i++)
		send_bytes(client, junk, i ? sizeof(junk) : sizeof(junk) - sizeof(head));
	submit(client, "next");
}

/* a client that does not take its replies is not listened to, and costs a bounded sum */
static void test_deaf_client(void **state)
{
	struct llm_list list = { .size = sizeof(list), .capacity = 1000,
				 .entry_size = 4096 };
	const struct llm_msg head = { .len = sizeof(head) + sizeof(list), .cmd = LLM_IOC_LIST };
	uint8_t message[sizeof(head) + sizeof(list)];
	unsigned int i, sent = 0;
	ssize_t n = 0;
	char drain[65536];
	size_t drained = 0;

	(void)state;
	client = client_connect();
	for (i = 0; i < 60; i++)
		submit(client, "x");
	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), &list, sizeof(list));
	/* each asks for a quarter of a megabyte */
	for (i = 0; i < 20000; i++) {
		n = send(client, message, sizeof(message), MSG_NOSIGNAL);
		if (n != sizeof(message))
			break;
		sent++;
		if (i % 256 == 0)
			client_turn();
	}
	assert_true(n < 0 && errno == EAGAIN);
	/* all of it is answered to one who listens at last */
	while (drained < (size_t)sent * 60 * 4096) {
		client_turn();
		n = recv(client, drain, sizeof(drain), 0);
		if (n > 0)
			drained += n;
		else if (drained)
			assert_true(errno == EAGAIN);
		if (drained > (size_t)10 << 20)
			break;
	}
	assert_true(drained > (size_t)10 << 20);
}

static void test_many_parked(void **state)
{
	uint64_t id;
	unsigned int i;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 1);
	id = submit(client, "x");
	/* the last ones are not even looked at before the first ones are done */
	for (i = 0; i < CONN_PARKED_MAX + 40; i++)
		send_read(client, id, i, 0, 1);
	assert_nothing(client);
	for (i = 0; i < CONN_PARKED_MAX + 40; i++) {
		server_commit(id, "y", 0, 0);
		assert_read(client, i, "y", 0, 0);
	}
}

static void test_connection_limit(void **state)
{
	int fds[130], pair[2];
	unsigned int i;

	(void)state;
	for (i = 0; i < 128; i++)
		fds[i] = client_connect();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(socket_server_connect(server, pair[0]), -EBUSY);
	close(pair[1]);
	close(fds[0]);
	client_turn();
	fds[0] = client_connect();
	submit(fds[0], "x");
	for (i = 0; i < 128; i++)
		close(fds[i]);
	client_turn();
}

/* ---- descriptors whose closing takes for ever ---- */

#define LINGER_S	60

/* to close the first one waits until the second one is closed */
static void lingering_pair(int fds[2])
{
	const struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static const uint8_t junk[64 << 10];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&address, len), 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	close(listener);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fds[0], junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

/* a command nobody needs one for; Return: the end that holds the closing up */
static int send_lingering(int fd)
{
	struct llm_features features = { .size = sizeof(features) };
	struct llm_msg head = { .len = sizeof(head) + sizeof(features),
				.cmd = LLM_IOC_GET_FEATURES, .cookie = 1 };
	struct iovec iov[] = { { &head, sizeof(head) }, { &features, sizeof(features) } };
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = &control,
			      .msg_controllen = sizeof(control.bytes) };
	int fds[2];

	lingering_pair(fds);
	control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
					 .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), &fds[0], sizeof(fds[0]));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), head.len);
	/* no more than one on its way: the server closes it at last */
	close(fds[0]);
	return fds[1];
}

static bool can_connect(void)
{
	int pair[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	r = socket_server_connect(server, pair[0]);
	close(pair[1]);
	client_turn();
	assert_true(!r || r == -EBUSY);
	return !r;
}

static void test_slow_closing(void **state)
{
	const uint64_t begin_ns = clock_ns();
	struct llm_features features = { .size = sizeof(features) };
	int ends[CLOSERS_USER_MAX + CLOSERS_USER_WAITING + 1], other, third;
	unsigned int i;

	(void)state;
	client = client_connect();
	other = client_connect();
	third = client_connect();
	for (i = 0; i < CLOSERS_USER_MAX + CLOSERS_USER_WAITING; i++) {
		assert_true(can_connect());
		ends[i] = send_lingering(client);
		client_turn();
		assert_int_equal(result_of(client, 1, NULL, 0), 0);
	}
	assert_false(can_connect());
	/* one more is too much, for whoever sends it */
	ends[i] = send_lingering(other);
	client_turn();
	assert_closed(other);
	/* who sends none is served as ever */
	send_command(third, LLM_IOC_GET_FEATURES, 2, &features, sizeof(features), NULL, 0);
	assert_int_equal(result_of(third, 2, NULL, 0), 0);
	for (i = 0; i < ARRAY_SIZE(ends); i++)
		close(ends[i]);
	for (i = 0; i < 50000 && !can_connect(); i++)
		usleep(1000);
	assert_true(can_connect());
	close(other);
	close(third);
	client_turn();
	assert_true(clock_ns() - begin_ns < LINGER_S / 2 * NS_PER_S);
}

/* what nobody has taken yet goes with the connection */
static void test_queued_closing(void **state)
{
	const uint64_t begin_ns = clock_ns();
	const struct llm_msg bad = { .len = 0, .cmd = LLM_IOC_LIST };
	int ends[2], conn;

	(void)state;
	client = client_connect();
	conn = client_connect();
	/* a message of its own for the kernel, and so not yet looked at when the first one is */
	assert_int_equal(send(conn, &bad, sizeof(bad), MSG_NOSIGNAL), sizeof(bad));
	ends[0] = send_lingering(conn);
	ends[1] = send_lingering(conn);
	client_turn();
	assert_closed(conn);
	close(conn);
	submit(client, "x");
	close(ends[0]);
	close(ends[1]);
	assert_true(clock_ns() - begin_ns < LINGER_S / 2 * NS_PER_S);
}

/* ---- hostile messages ---- */

static void test_byte_by_byte(void **state)
{
	struct llm_submit args = submit_args(4);
	const struct llm_msg head = {
		.len = sizeof(head) + sizeof(args) + 4,
		.cmd = LLM_IOC_SUBMIT,
		.cookie = 9,
	};
	uint8_t message[sizeof(head) + sizeof(args) + 4];
	size_t i;

	(void)state;
	client = client_connect();
	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), &args, sizeof(args));
	memcpy(message + sizeof(head) + sizeof(args), "Once", 4);
	for (i = 0; i < sizeof(message); i++) {
		assert_nothing(client);
		send_bytes(client, message + i, 1);
	}
	assert_int_equal(result_of(client, 9, NULL, 0), 0);
}

static void test_bad_heads(void **state)
{
	const struct llm_msg heads[] = {
		{ .len = 0, .cmd = LLM_IOC_LIST },
		{ .len = sizeof(struct llm_msg) - 1, .cmd = LLM_IOC_LIST },
		{ .len = sizeof(struct llm_msg), .cmd = LLM_IOC_LIST, .pad = 1 },
		{ .len = sizeof(struct llm_msg), .cmd = LLM_IOC_LIST, .result = -1 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		client = client_connect();
		send_bytes(client, &heads[i], sizeof(heads[i]));
		assert_closed(client);
		close(client);
	}
	client = -1;
}

static int try_command(uint32_t cmd, const void *arg, size_t len)
{
	send_command(client, cmd, 3, arg, len, NULL, 0);
	return result_of(client, 3, NULL, 0);
}

static void test_bad_commands(void **state)
{
	uint32_t words[2] = { 8, 0 };

	(void)state;
	client = client_connect();
	assert_int_equal(try_command(0, words, 8), -ENOTTY);
	assert_int_equal(try_command(LLM_IOC_FETCH, words, 8), -ENOTTY);
	assert_int_equal(try_command(LLM_IOC_COMMIT, words, 8), -ENOTTY);
	assert_int_equal(try_command(_IOWR(0xC5, 0x07, struct llm_wait), words, 8), -ENOTTY);
	/* a struct that is not there, shorter than its size, or too short to have one */
	assert_int_equal(try_command(LLM_IOC_LIST, words, 0), -EINVAL);
	assert_int_equal(try_command(LLM_IOC_LIST, words, 3), -EINVAL);
	words[0] = 7;
	assert_int_equal(try_command(LLM_IOC_LIST, words, 8), -EINVAL);
	words[0] = 9;
	assert_int_equal(try_command(LLM_IOC_LIST, words, 8), -EINVAL);
	words[0] = UINT32_MAX;
	assert_int_equal(try_command(LLM_IOC_LIST, words, 8), -EINVAL);
	submit(client, "still here");
}

/* a struct of the past, and one of the future */
static void test_struct_sizes(void **state)
{
	struct { struct llm_features known; uint8_t tail[64]; } larger = {
		.known.size = sizeof(larger),
	};
	uint32_t smaller[4] = { sizeof(smaller) };
	struct llm_msg head;
	uint8_t data[512];
	size_t len;

	(void)state;
	client = client_connect();
	send_command(client, LLM_IOC_GET_FEATURES, 1, &larger, sizeof(larger), NULL, 0);
	assert_true(receive(client, &head, &larger, sizeof(larger), data, &len));
	assert_int_equal(head.result, 0);
	assert_int_equal(len, 0);
	assert_int_equal(larger.known.abi_version, LLM_ABI_VERSION);
	memset(&larger, 0, sizeof(larger));
	larger.known.size = sizeof(larger);
	larger.tail[63] = 1;
	assert_int_equal(try_command(LLM_IOC_GET_FEATURES, &larger, sizeof(larger)), -E2BIG);
	send_command(client, LLM_IOC_GET_FEATURES, 2, smaller, sizeof(smaller), NULL, 0);
	assert_true(receive(client, &head, smaller, sizeof(smaller), data, &len));
	assert_int_equal(head.result, 0);
	assert_int_equal(len, 0);
	assert_int_equal(smaller[2], LLM_ABI_VERSION);
}

/* every byte that must be zero, and every flag that is not known */
static void test_reserved(void **state)
{
	static const struct {
		uint32_t cmd;
		size_t size;
		size_t ok[8][2];	/* parts that may be anything */
	} cases[] = {
		{ LLM_IOC_GET_FEATURES, sizeof(struct llm_features),
		  { { 8, offsetof(struct llm_features, pad) },
		    { offsetof(struct llm_features, submitted),
		      offsetof(struct llm_features, reserved) } } },
		{ LLM_IOC_CANCEL, sizeof(struct llm_cancel), { { 8, 16 } } },
		{ LLM_IOC_WAIT, sizeof(struct llm_wait), { { 8, 28 } } },
		{ LLM_IOC_READ, sizeof(struct llm_read),
		  { { 8, 16 }, { 24, offsetof(struct llm_read, reserved) } } },
		{ LLM_IOC_LIST, sizeof(struct llm_list), { { 16, 40 } } },
	};
	size_t i, at, part;
	uint8_t arg[512];

	(void)state;
	client = client_connect();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (at = 4; at < cases[i].size; at++) {
			bool free_part = false;

			for (part = 0; part < 8; part++)
				free_part |= at >= cases[i].ok[part][0] &&
					     at < cases[i].ok[part][1];
			/* the lowest flags mean something */
			if (free_part || at == 4)
				continue;
			memset(arg, 0, sizeof(arg));
			memcpy(arg, &(uint32_t){ cases[i].size }, 4);
			arg[at] = 0x80;
			if (try_command(cases[i].cmd, arg, cases[i].size) != -EINVAL)
				fail_msg("command %zu takes a byte at %zu", i, at);
		}
	}
}

static int try_submit(const struct llm_submit *args, size_t data_len)
{
	static const uint8_t data[64];

	send_command(client, LLM_IOC_SUBMIT, 3, args, sizeof(*args), data, data_len);
	return result_of(client, 3, NULL, 0);
}

#define BAD_SUBMIT(wanted, ...) do {					\
	const struct llm_submit bad = { .size = sizeof(bad), __VA_ARGS__ }; \
	assert_int_equal(try_submit(&bad, 0), wanted);			\
} while (0)

static void test_bad_submits(void **state)
{
	struct llm_submit args;

	(void)state;
	client = client_connect();
	BAD_SUBMIT(-EINVAL, .flags = 1U << 31);
	BAD_SUBMIT(-EINVAL, .flags = LLM_SUBMIT_FILE);
	BAD_SUBMIT(-EINVAL, .op = 256);
	BAD_SUBMIT(-EINVAL, .payload_type = LLM_PAYLOAD_MAX + 1);
	BAD_SUBMIT(-EINVAL, .payload = 4096);
	BAD_SUBMIT(-EINVAL, .stop = 4096);
	BAD_SUBMIT(-EINVAL, .pad = 1);
	BAD_SUBMIT(-EINVAL, .id = 1);
	BAD_SUBMIT(-EINVAL, .reserved = 1);
	BAD_SUBMIT(-EINVAL, .buffer = 4096);
	BAD_SUBMIT(-EINVAL, .flags = LLM_SUBMIT_BUFFER, .buffer = 4096);
	BAD_SUBMIT(-EINVAL, .answer_buffer = 4096);
	BAD_SUBMIT(-EINVAL, .sampling.reserved[4] = 1);
	BAD_SUBMIT(-EINVAL, .sampling.top_logprobs = 21, .flags = LLM_SUBMIT_RECORDS);
	BAD_SUBMIT(-EINVAL, .sampling.top_logprobs = 1);
	BAD_SUBMIT(-EINVAL, .model = "a\0b");
	BAD_SUBMIT(-E2BIG, .payload_len = UINT32_MAX);
	BAD_SUBMIT(-E2BIG, .stop_len = LLM_STOP_BYTES_MAX + 1);
	BAD_SUBMIT(-EINVAL, .payload_len = 1);
	BAD_SUBMIT(-EINVAL, .payload_len = 1 << 20, .stop_len = 4096);
	args = submit_args(3);
	assert_int_equal(try_submit(&args, 4), -EINVAL);
	args = submit_args(0);
	memset(args.model, 'x', sizeof(args.model));
	assert_int_equal(try_submit(&args, 0), -EINVAL);
	assert_int_equal(held_count, 0);
	submit(client, "good");
}

/* ---- where it listens ---- */

static void test_listen(void **state)
{
	char dir[] = "/tmp/llmos-ipc.XXXXXX", address[96], path[64];
	struct sockaddr_un unix_address = { .sun_family = AF_UNIX };
	struct error error = { "" };
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(address, sizeof(address), "unix:%s", path);
	strcpy(unix_address.sun_path, path);
	/* a socket that nobody serves any more */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&unix_address, sizeof(unix_address)), 0);
	close(fd);
	assert_int_equal(socket_server_listen(server, address, &error), 0);
	/* one that is alive, which we are ourselves */
	assert_int_equal(socket_server_listen(server, address, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, "another server"));
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&unix_address, sizeof(unix_address)),
			 0);
	client_turn();
	submit(client, "over the path");
	assert_int_equal(socket_server_listen(server, "tcp:80", &error), -EINVAL);
	assert_int_equal(socket_server_listen(server, "unix:", &error), -EINVAL);
	assert_int_equal(socket_server_listen(server, "unix:/nowhere/s", &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nowhere/s"));
	assert_int_equal(socket_server_listen(server, "unix:/etc/passwd", &error), -EEXIST);
	assert_int_equal(socket_server_adopt(server, STDIN_FILENO, &error), -EINVAL);
	socket_server_free(server);
	assert_int_equal(lstat(path, &st), -1);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(socket_server_new(&server, loop, &sink), 0);
	ipc = socket_server_ipc(server);
}

/* whoever may read the folder can lock it: that ends in a message, not in waiting for ever */
static void test_listen_locked(void **state)
{
	char dir[] = "/tmp/llmos-ipc.XXXXXX", address[96];
	struct error error = { "" };
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(address, sizeof(address), "unix:%s/s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(socket_server_listen(server, address, &error), -EBUSY);
	assert_non_null(strstr(error.text, "locked its folder"));
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_int_equal(socket_server_listen(server, address, &error), 0);
	socket_server_free(server);
	close(fd);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(socket_server_new(&server, loop, &sink), 0);
	ipc = socket_server_ipc(server);
}

/* ---- who is there ---- */

static void test_peer_text(void **state)
{
	char good[] = "12:memory:/x\n0::/a.slice/b.service\n", root[] = "0::/\n";
	char outside[] = "0::/../other\n", gone[] = "0::/a (deleted)\n", none[] = "1:name=x:/a\n";
	char dots[] = "0::/..x\n";
	const char *path;

	(void)state;
	assert_int_equal(peer_cgroup_path(good, &path), 0);
	assert_string_equal(path, "/a.slice/b.service");
	assert_int_equal(peer_cgroup_path(root, &path), 0);
	assert_string_equal(path, "/");
	assert_int_equal(peer_cgroup_path(outside, &path), -ENOENT);
	assert_int_equal(peer_cgroup_path(dots, &path), 0);
	assert_string_equal(path, "/..x");
	/* removed, or called so: only one of them is there */
	assert_int_equal(peer_cgroup_path(gone, &path), 0);
	assert_string_equal(path, "/a (deleted)");
	assert_int_equal(peer_cgroup_path(none, &path), -ENOENT);
}

/* whoever connected is gone and left its connection to somebody else: that one is not it */
static void test_peer_gone(void **state)
{
	struct peer peer;
	struct peer_lineage lineage;
	int fds[2], hold[2], status;
	char byte;
	pid_t pid;

	(void)state;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(address.sun_family);

	/* an abstract address of the kernel's choice */
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	len = sizeof(address);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(pipe(hold), 0);
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	pid = fork();
	if (!pid) {
		close(hold[1]);
		if (connect(fds[0], (struct sockaddr *)&address, len))
			_exit(1);
		_exit(read(hold[0], &byte, 1) ? 1 : 0);
	}
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	assert_int_equal(peer_identify(&peer, fds[1]), 0);
	assert_int_equal(peer.pid, pid);
	lineage = peer.lineage;
	close(hold[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	peer_refresh(&peer);
	assert_int_equal(peer.pid, 0);
	assert_int_equal(peer.cgroup_id, 0);
	assert_int_equal(peer.uid, getuid());
	/* what is asked by way of it still counts where it did */
	assert_int_equal(peer.lineage.depth, lineage.depth);
	assert_memory_equal(peer.lineage.ids, lineage.ids, lineage.depth * sizeof(lineage.ids[0]));
	peer_close(&peer);
	close(hold[0]);
	close(fds[0]);
	close(fds[1]);
	close(listener);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request_limits), TEST(test_large_payload),
		TEST(test_oversized_message), TEST(test_deaf_client), TEST(test_many_parked),
		TEST(test_connection_limit), TEST(test_slow_closing), TEST(test_queued_closing),
		TEST(test_byte_by_byte), TEST(test_bad_heads),
		TEST(test_bad_commands), TEST(test_struct_sizes), TEST(test_reserved),
		TEST(test_bad_submits), TEST(test_listen), TEST(test_listen_locked),
		TEST(test_peer_text), TEST(test_peer_gone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ipc_hostile", tests, NULL, NULL);
}
