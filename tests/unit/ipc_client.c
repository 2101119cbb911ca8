/* SPDX-License-Identifier: MIT */
/* Both ends of the socket transport for its tests; see ipc_client.h. */
#include "ipc_client.h"

#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"

/* ---- the scheduler's side ---- */

struct held held[HELD_MAX];
unsigned int held_count;

uint64_t ended[HELD_MAX];
unsigned int ended_count;

static struct held *held_find(uint64_t id)
{
	unsigned int i;

	for (i = 0; i < held_count; i++)
		if (held[i].event.id == id)
			return &held[i];
	return NULL;
}

static void on_request(struct ipc_sink *to, struct ipc *from, const struct llm_event *event,
		       uint8_t *data)
{
	(void)to;
	(void)from;
	assert_true(held_count < HELD_MAX);
	held[held_count++] = (struct held){ .event = *event, .data = data };
}

static void on_cancelled(struct ipc_sink *to, struct ipc *from, uint64_t id, uint64_t time_ns)
{
	(void)to;
	(void)from;
	assert_non_null(held_find(id));
	assert_true(time_ns <= clock_ns());
	held_find(id)->cancelled++;
}

static void on_resume(struct ipc_sink *to, struct ipc *from, uint64_t id)
{
	(void)to;
	(void)from;
	held_find(id)->resumed++;
}

static void on_reclaim(struct ipc_sink *to, struct ipc *from, uint64_t id)
{
	(void)to;
	(void)from;
	(void)id;
	fail_msg("nobody waits for memory over the socket");
}

static void on_reclaim_kept(struct ipc_sink *to, struct ipc *from, uint64_t cgroup_id,
			    uint32_t region, uint64_t bytes)
{
	(void)to;
	(void)from;
	(void)cgroup_id;
	(void)region;
	(void)bytes;
	fail_msg("nobody waits for memory over the socket");
}

static void on_committed(struct ipc_sink *to, struct ipc *from, uint64_t id, int result)
{
	(void)to;
	(void)from;
	(void)id;
	(void)result;
	fail_msg("a commit over the socket is never pending");
}

static void on_session_ended(struct ipc_sink *to, struct ipc *from, uint64_t id)
{
	(void)to;
	(void)from;
	assert_true(ended_count < HELD_MAX);
	ended[ended_count++] = id;
}

struct ipc_sink sink = {
	.request = on_request,
	.cancelled = on_cancelled,
	.resume = on_resume,
	.reclaim = on_reclaim,
	.reclaim_kept = on_reclaim_kept,
	.session_ended = on_session_ended,
	.committed = on_committed,
};
struct loop *loop;
struct socket_server *server;
struct ipc *ipc;
int client;

int client_setup(void **state)
{
	(void)state;
	held_count = 0;
	ended_count = 0;
	if (loop_new(&loop, NULL) < 0 || socket_server_new(&server, loop, &sink) < 0)
		return -1;
	ipc = socket_server_ipc(server);
	client = -1;
	return 0;
}

int client_teardown(void **state)
{
	unsigned int i;

	(void)state;
	if (client >= 0)
		close(client);
	socket_server_free(server);
	loop_free(loop);
	for (i = 0; i < held_count; i++)
		free(held[i].data);
	return 0;
}

void client_turn(void)
{
	int i;

	/* data over a local socket is there at once: a few turns take and answer all of it */
	for (i = 0; i < 8; i++) {
		assert_true(loop_run(loop, false) >= 0);
		socket_server_flush(server);
	}
}

int client_connect(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	assert_int_equal(socket_server_connect(server, fds[0]), 0);
	return fds[1];
}

int server_commit(uint64_t id, const char *text, unsigned int flags, int status)
{
	const struct llm_commit args = {
		.size = sizeof(args),
		.flags = flags,
		.id = id,
		.data = (uintptr_t)text,
		.data_len = strlen(text),
		.status = status,
		.finish = flags & LLM_COMMIT_END && !status ? LLM_FINISH_STOP : 0,
		.prompt_tokens = 3,
		.output_tokens = 4,
	};
	int r = ipc->ops->commit(ipc, &args);

	socket_server_flush(server);
	return r;
}

/* ---- the client's side ---- */

void send_bytes(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(fd, (const uint8_t *)data + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			client_turn();
			continue;
		}
		assert_true(n > 0);
		done += n;
	}
}

void send_command(int fd, uint32_t cmd, uint64_t cookie, const void *arg, size_t arg_len,
			 const void *data, size_t len)
{
	const struct llm_msg head = {
		.len = sizeof(head) + arg_len + len,
		.cmd = cmd,
		.cookie = cookie,
	};

	send_bytes(fd, &head, sizeof(head));
	send_bytes(fd, arg, arg_len);
	send_bytes(fd, data, len);
	client_turn();
}

void send_command_fds(int fd, uint32_t cmd, uint64_t cookie, const void *arg, size_t arg_len,
		      const void *data, size_t len, const int *fds, unsigned int fd_count)
{
	struct llm_msg head = {
		.len = sizeof(head) + arg_len + len,
		.cmd = cmd,
		.cookie = cookie,
	};
	struct iovec pieces[] = {
		{ &head, sizeof(head) }, { (void *)arg, arg_len }, { (void *)data, len },
	};
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(16 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr msg = {
		.msg_iov = pieces,
		.msg_iovlen = 3,
		.msg_control = fd_count ? &control : NULL,
		.msg_controllen = fd_count ? CMSG_SPACE(fd_count * sizeof(int)) : 0,
	};

	assert_true(fd_count <= 16);
	control.head = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	if (fd_count)
		memcpy(CMSG_DATA(&control.head), fds, fd_count * sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), head.len);
	client_turn();
}

int result_fd_of(int fd, uint64_t cookie, void *arg, size_t arg_len, int *ret_fd)
{
	uint8_t buf[4096];
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { buf, sizeof(struct llm_msg) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct llm_msg head;

	client_turn();
	*ret_fd = -1;
	assert_int_equal(recvmsg(fd, &msg, MSG_CMSG_CLOEXEC), sizeof(head));
	memcpy(&head, buf, sizeof(head));
	assert_int_equal(head.cookie, cookie);
	assert_false(msg.msg_flags & MSG_CTRUNC);
	if (CMSG_FIRSTHDR(&msg)) {
		assert_int_equal(CMSG_FIRSTHDR(&msg)->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	}
	assert_true(head.len - sizeof(head) <= sizeof(buf));
	if (head.len > sizeof(head)) {
		assert_int_equal(head.len, sizeof(head) + arg_len);
		assert_int_equal(recv(fd, arg, arg_len, 0), arg_len);
	}
	return head.result;
}

bool receive(int fd, struct llm_msg *head, void *arg, size_t arg_len, void *data,
		    size_t *ret_len)
{
	uint8_t body[70000];
	ssize_t n;

	n = recv(fd, head, sizeof(*head), 0);
	if (n < 0 && errno == EAGAIN)
		return false;
	assert_int_equal(n, sizeof(*head));
	assert_true(head->len >= sizeof(*head) && head->len - sizeof(*head) <= sizeof(body));
	n = recv(fd, body, head->len - sizeof(*head), head->len > sizeof(*head) ? 0 : MSG_PEEK);
	if (head->len > sizeof(*head))
		assert_int_equal(n, head->len - sizeof(*head));
	if (ret_len)
		*ret_len = 0;
	if (head->len - sizeof(*head) < arg_len)
		return true;
	if (arg_len)
		memcpy(arg, body, arg_len);
	if (ret_len) {
		*ret_len = head->len - sizeof(*head) - arg_len;
		if (data)
			memcpy(data, body + arg_len, *ret_len);
	}
	return true;
}

int result_of(int fd, uint64_t cookie, void *arg, size_t arg_len)
{
	struct llm_msg head;

	client_turn();
	assert_true(receive(fd, &head, arg, arg_len, NULL, NULL));
	assert_int_equal(head.cookie, cookie);
	return head.result;
}

struct llm_submit submit_args(size_t len)
{
	return (struct llm_submit){ .size = sizeof(struct llm_submit), .payload_len = len };
}

uint64_t submit(int fd, const char *text)
{
	struct llm_submit args = submit_args(strlen(text));

	send_command(fd, LLM_IOC_SUBMIT, 5, &args, sizeof(args), text, strlen(text));
	assert_int_equal(result_of(fd, 5, &args, sizeof(args)), 0);
	assert_true(args.id);
	return args.id;
}

void send_read(int fd, uint64_t id, uint64_t cookie, unsigned int flags, uint32_t buf_len)
{
	const struct llm_read args = {
		.size = sizeof(args),
		.flags = flags,
		.id = id,
		.buf_len = buf_len,
	};

	send_command(fd, LLM_IOC_READ, cookie, &args, sizeof(args), NULL, 0);
}

void assert_read(int fd, uint64_t cookie, const char *text, unsigned int out_flags,
			int status)
{
	struct llm_read read;
	struct llm_msg head;
	char data[70000];
	size_t len;

	client_turn();
	assert_true(receive(fd, &head, &read, sizeof(read), data, &len));
	assert_int_equal(head.cookie, cookie);
	assert_int_equal(head.result, 0);
	assert_int_equal(read.len, len);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, len);
	assert_int_equal(read.out_flags, out_flags);
	assert_int_equal(read.status, status);
}

void assert_nothing(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	client_turn();
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

void assert_closed(int fd)
{
	char byte;
	ssize_t n;

	client_turn();
	do {
		n = recv(fd, &byte, 1, 0);
	} while (n > 0);
	assert_true(!n || errno == ECONNRESET);
}
