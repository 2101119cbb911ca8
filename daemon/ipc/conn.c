/* SPDX-License-Identifier: MIT */
/* Bytes in and out of one client's connection; see conn.h. */
#include "ipc/conn.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"

#define CONN_RECV_BYTES		(64U << 10)
#define CONN_SEND_ROUNDS	4
#define CONN_RIGHTS_MAX		253U	/* descriptors in one message, as the kernel has it */

/**
 * struct conn_out_fd - a descriptor to be sent
 * @at: the byte of the stream with which it goes
 */
struct conn_out_fd {
	struct list link;
	int fd;
	uint64_t at;
};

/* ---- descriptors ---- */

static void conn_mark_dirty(struct conn *conn)
{
	if (list_empty(&conn->dirty_link))
		list_append(conn->dirty, &conn->dirty_link);
}

static void conn_mark_broken(struct conn *conn)
{
	conn->broken = true;
	conn_mark_dirty(conn);
}

void conn_close_fd(struct conn *conn, int fd)
{
	const uint32_t uid = conn->file.peer.uid;

	if (fd < 0)
		return;
	if (handle_find(conn->handles, fd)) {
		/* a pipe of our own */
		close(fd);
	} else if (!closers_close(conn->closers, uid, fd) && !conn->broken) {
		log_warning("socket: connection of user %u broken: %u descriptors that came from "
			    "there are being closed and do not get done", uid,
			    CLOSERS_USER_MAX + CLOSERS_USER_WAITING);
		conn_mark_broken(conn);
	}
}

/* of messages that have begun before that byte of the stream: nobody asked for them */
static void conn_drop_fds(struct conn *conn, uint64_t before)
{
	unsigned int i, count = 0;

	while (count < conn->fd_count && conn->fds[count].until <= before)
		conn_close_fd(conn, conn->fds[count++].fd);
	conn->fd_count -= count;
	for (i = 0; i < conn->fd_count; i++)
		conn->fds[i] = conn->fds[i + count];
}

int conn_take_fd(struct conn *conn)
{
	int fd;

	if (!conn->fd_count)
		return -1;
	fd = conn->fds[0].fd;
	conn->fds[0].fd = -1;
	conn->fd_count--;
	memmove(conn->fds, conn->fds + 1, conn->fd_count * sizeof(*conn->fds));
	return fd;
}

int conn_send_fd(struct conn *conn, int fd)
{
	struct conn_out_fd *out = calloc(1, sizeof(*out));

	if (!out) {
		close(fd);
		return -ENOMEM;
	}
	out->fd = fd;
	out->at = conn->sent + conn->out.len;
	list_append(&conn->out_fds, &out->link);
	return 0;
}

static void out_fd_free(struct conn_out_fd *out)
{
	close(out->fd);
	list_remove(&out->link);
	free(out);
}

static struct conn_out_fd *conn_first_out_fd(struct conn *conn)
{
	return list_empty(&conn->out_fds) ? NULL :
	       list_first(&conn->out_fds, struct conn_out_fd, link);
}

/* ---- out ---- */

bool conn_full(const struct conn *conn)
{
	return conn->broken || conn->out.len > CONN_OUT_MAX;
}

uint8_t *conn_reply(struct conn *conn, const struct conn_call *call, int result, const void *arg,
		    size_t arg_known, size_t len)
{
	size_t arg_size = arg ? call->arg_size : 0;
	struct llm_msg head = {
		.len = sizeof(head) + arg_size + len,
		.cmd = call->msg.cmd,
		.cookie = call->msg.cookie,
		.result = result,
	};
	uint8_t *room = bytes_room(&conn->out, head.len);

	conn_mark_dirty(conn);
	if (!room) {
		conn->broken = true;
		return NULL;
	}
	conn->stalled |= conn->out.len + head.len > CONN_OUT_MAX;
	memcpy(room, &head, sizeof(head));
	if (arg_size) {
		memset(room + sizeof(head), 0, arg_size);
		memcpy(room + sizeof(head), arg, MIN(arg_size, arg_known));
	}
	bytes_added(&conn->out, head.len);
	return len ? room + sizeof(head) + arg_size : NULL;
}

static void conn_watch(struct conn *conn)
{
	uint32_t events = EPOLLRDHUP;

	if (!conn_full(conn) && conn->parked < CONN_PARKED_MAX)
		events |= EPOLLIN;
	if (conn->out.len)
		events |= EPOLLOUT;
	/* without EPOLLIN the end of a stream must not wake us for ever */
	if (!(events & EPOLLIN))
		events &= ~EPOLLRDHUP;
	if (loop_watch(conn->loop, &conn->source, events) < 0)
		conn_mark_broken(conn);
}

/* @out: goes with the first byte; NULL: none does */
static ssize_t conn_send_some(struct conn *conn, const struct conn_out_fd *out, size_t len)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (void *)bytes_data(&conn->out), len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (out) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
		control.head = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.head), &out->fd, sizeof(out->fd));
	}
	return sendmsg(conn->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool conn_send(struct conn *conn)
{
	struct conn_out_fd *out = conn_first_out_fd(conn), *with = NULL;
	size_t len = conn->out.len;
	ssize_t n;

	/* one at a time, and nothing in front of it */
	if (out && out->at == conn->sent) {
		with = out;
		out = out->link.next == &conn->out_fds ? NULL :
		      container_of(out->link.next, struct conn_out_fd, link);
	}
	if (out)
		len = MIN(len, (size_t)(out->at - conn->sent));
	n = conn_send_some(conn, with, len);
	if (n > 0) {
		conn->sent += n;
		bytes_take(&conn->out, n);
		if (with)
			out_fd_free(with);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
		conn->broken = true;
	}
	return n > 0;
}

void conn_flush(struct conn *conn)
{
	unsigned int i;

	for (i = 0; i < CONN_SEND_ROUNDS && conn->out.len && !conn->broken; i++)
		if (!conn_send(conn))
			break;
	if (conn->broken)
		return;
	/* where there is room again, answer what waited for it, and go on with what was received */
	if (conn->stalled && !conn_full(conn)) {
		conn->stalled = false;
		command_pump(conn, NULL);
	}
	conn_input(conn);
	conn_watch(conn);
}

/* ---- in ---- */

static void conn_discard(struct conn *conn)
{
	size_t len = MIN((size_t)conn->discard_bytes, conn->in.len);

	if (len)
		bytes_take(&conn->in, len);
	conn->discard_bytes -= len;
}

/* a message longer than any can be: refused, and skipped so that the next one is found */
static void conn_refuse(struct conn *conn, const struct llm_msg *msg)
{
	const struct conn_call call = { .msg = *msg };

	conn_reply(conn, &call, -E2BIG, NULL, 0, 0);
	conn->discard_bytes = msg->len;
	conn_discard(conn);
}

static bool conn_next(struct conn *conn)
{
	struct llm_msg msg;

	conn_discard(conn);
	if (conn->discard_bytes || conn->in.len < sizeof(msg))
		return false;
	memcpy(&msg, bytes_data(&conn->in), sizeof(msg));
	if (msg.len < sizeof(msg) || msg.result || msg.pad) {
		conn_mark_broken(conn);
		return false;
	}
	if (msg.len > CONN_MESSAGE_MAX) {
		conn_refuse(conn, &msg);
		return true;
	}
	if (conn->in.len < msg.len)
		return false;
	conn_drop_fds(conn, conn->received - conn->in.len);
	command_handle(conn, &msg, bytes_data(&conn->in) + sizeof(msg));
	bytes_take(&conn->in, msg.len);
	conn_drop_fds(conn, conn->received - conn->in.len);
	return true;
}

void conn_input(struct conn *conn)
{
	while (!conn_full(conn) && conn->parked < CONN_PARKED_MAX && conn_next(conn))
		;
}

/* those of more than one message do not come with one call, for the kernel ends it there */
static bool conn_receive_fds(struct conn *conn, struct msghdr *msg)
{
	const struct cmsghdr *head = CMSG_FIRSTHDR(msg);
	unsigned int i, count;
	int fds[CONN_RIGHTS_MAX];

	if (!head)
		return !(msg->msg_flags & MSG_CTRUNC);
	if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return false;
	count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(*fds);
	memcpy(fds, CMSG_DATA(head), count * sizeof(*fds));
	if (count == 1 && !(msg->msg_flags & MSG_CTRUNC) && conn->fd_count < CONN_FDS_MAX) {
		conn->fds[conn->fd_count++] = (struct conn_fd){ .fd = fds[0],
								.until = conn->received };
		return true;
	}
	for (i = 0; i < count; i++)
		conn_close_fd(conn, fds[i]);
	return false;
}

/* Return: bytes, 0 at the end, -1 with errno; EPROTO: descriptors that can not be meant */
static ssize_t conn_receive_some(struct conn *conn, uint8_t *room, size_t len)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(CONN_RIGHTS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { room, len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* for what has no room the kernel itself would close, and make us wait for it */
		.msg_controllen = CMSG_LEN(CONN_RIGHTS_MAX * sizeof(int)),
	};
	ssize_t n = recvmsg(conn->source.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return n;
	conn->received += n;
	if (!conn_receive_fds(conn, &msg)) {
		errno = EPROTO;
		return -1;
	}
	return n;
}

static void conn_receive(struct conn *conn)
{
	uint8_t *room = bytes_room(&conn->in, CONN_RECV_BYTES);
	ssize_t n;

	if (!room) {
		conn_mark_broken(conn);
		return;
	}
	n = conn_receive_some(conn, room, CONN_RECV_BYTES);
	if (n > 0) {
		bytes_added(&conn->in, n);
		conn_input(conn);
	} else if (!n || (errno != EAGAIN && errno != EINTR)) {
		conn_mark_broken(conn);
	}
}

static void conn_ready(struct loop_source *source, uint32_t events)
{
	struct conn *conn = container_of(source, struct conn, source);

	if (conn->broken)
		return;
	if (events & EPOLLIN && source->events & EPOLLIN)
		conn_receive(conn);
	else if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		conn_mark_broken(conn);
	conn_mark_dirty(conn);
}

/* ---- birth and death ---- */

static void conn_changed(struct broker_file *file, struct broker_request *request)
{
	command_pump(container_of(file, struct conn, file), request);
}

static void conn_free(struct loop_dead *dead)
{
	struct conn *conn = container_of(dead, struct conn, dead);

	while (!list_empty(&conn->out_fds))
		out_fd_free(conn_first_out_fd(conn));
	bytes_free(&conn->in);
	bytes_free(&conn->out);
	free(conn);
}

int conn_new(struct conn **ret, int fd, const struct peer *peer, struct loop *loop,
	     struct broker *broker, struct handles *handles, struct closers *closers,
	     struct list *dirty)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	const int on = 1;
	int r;

	if (!conn) {
		closers_close_socket(closers, peer->uid, fd);
		return -ENOMEM;
	}
	/* urgent bytes are skipped otherwise, and descriptors that came with them closed at once */
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	list_init(&conn->link);
	list_init(&conn->dirty_link);
	list_init(&conn->waits);
	list_init(&conn->out_fds);
	list_init(&conn->dead.link);
	conn->dead.free = conn_free;
	conn->source = (struct loop_source){ .fd = fd, .ready = conn_ready };
	conn->loop = loop;
	conn->broker = broker;
	conn->handles = handles;
	conn->closers = closers;
	conn->dirty = dirty;
	broker_file_init(broker, &conn->file);
	conn->file.changed = conn_changed;
	r = loop_add(loop, &conn->source, EPOLLIN | EPOLLRDHUP);
	if (r < 0) {
		closers_close_socket(closers, peer->uid, fd);
		free(conn);
		return r;
	}
	conn->file.peer = *peer;
	*ret = conn;
	return 0;
}

void conn_close(struct conn *conn)
{
	conn->broken = true;
	loop_remove(conn->loop, &conn->source);
	closers_close_socket(conn->closers, conn->file.peer.uid, conn->source.fd);
	conn_drop_fds(conn, UINT64_MAX);
	command_drop(conn);
	broker_file_close(conn->broker, &conn->file);
	peer_close(&conn->file.peer);
	list_remove(&conn->link);
	list_remove(&conn->dirty_link);
	loop_bury(conn->loop, &conn->dead);
}
