/* SPDX-License-Identifier: MIT */
/*
 * The socket transport: the same commands as messages on a Unix stream socket, to a server that
 * plays the broker itself. The socket never blocks; an epoll descriptor around it is what callers
 * poll, so that room to send counts as work too. Whatever the peer sends is checked against the
 * command it answers. Everything belongs to the connection's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "transport.h"

#define SOCKET_MESSAGE_MAX	(sizeof(struct llm_msg) + sizeof(union llmos_arg) + \
				 LLMOS_READ_BYTES)
/* payload bytes that may wait to be sent, unless a single one is larger */
#define SOCKET_UNSENT_MAX	(8U * 1024 * 1024)
/* descriptors that came with replies which are not read yet */
#define SOCKET_FDS_MAX		8
/* fills of the buffer in one dispatch, so that a fast server can not keep a caller inside */
#define SOCKET_BATCH_COUNT	16

struct sock {
	struct llmos_transport transport;
	int fd;
	int epoll_fd;
	uint32_t events;		/* the epoll descriptor watches for */
	int error;			/* 0, or why the connection is no more */
	uint64_t cookie;		/* last one used */
	size_t unsent_bytes;		/* payload bytes in @unsent */
	struct llmos_list unsent;	/* commands whose message is not fully sent */
	struct llmos_list sent;		/* commands that wait for their reply */
	int fds[SOCKET_FDS_MAX];	/* received, oldest first */
	unsigned int fd_count;
	size_t have;			/* bytes in @buf */
	uint8_t buf[SOCKET_MESSAGE_MAX];
};

static struct sock *to_socket(struct llmos_transport *transport)
{
	return llmos_container(transport, struct sock, transport);
}

static struct llmos_command *to_command(struct llmos_list *link)
{
	return llmos_container(link, struct llmos_command, link);
}

/* ---- sending ---- */

static size_t socket_message_len(const struct llmos_command *command)
{
	return sizeof(struct llm_msg) + llmos_command_arg_size(command) + command->in_len;
}

/* what is left of a command's message, as up to three pieces */
static size_t socket_pieces(struct llmos_command *command, struct llm_msg *head,
			    struct iovec pieces[3])
{
	struct iovec all[3] = {
		{ head, sizeof(*head) },
		{ &command->arg, llmos_command_arg_size(command) },
		{ command->in, command->in_len },
	};
	size_t skip = command->sent, count = 0, i;

	for (i = 0; i < 3; i++) {
		if (skip >= all[i].iov_len) {
			skip -= all[i].iov_len;
			continue;
		}
		pieces[count].iov_base = (uint8_t *)all[i].iov_base + skip;
		pieces[count++].iov_len = all[i].iov_len - skip;
		skip = 0;
	}
	return count;
}

/* a descriptor goes with the first byte */
static void socket_attach(struct msghdr *message, struct cmsghdr *control, int fd)
{
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(sizeof(fd));
	control->cmsg_len = CMSG_LEN(sizeof(fd));
	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(control), &fd, sizeof(fd));
}

static int socket_send_one(struct sock *sock, struct llmos_command *command)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct llm_msg head = {
		.len = socket_message_len(command),
		.cmd = command->cmd,
		.cookie = command->cookie,
	};
	struct iovec pieces[3];
	struct msghdr message = { .msg_iov = pieces };
	ssize_t n;

	while (command->sent < head.len) {
		message.msg_iovlen = socket_pieces(command, &head, pieces);
		message.msg_control = NULL;
		message.msg_controllen = 0;
		if (command->pass_fd >= 0 && !command->sent)
			socket_attach(&message, &control.head, command->pass_fd);
		n = sendmsg(sock->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		command->sent += n;
	}
	return 0;
}

static void socket_watch(struct sock *sock)
{
	uint32_t events = EPOLLIN;
	struct epoll_event event;

	if (!llmos_list_empty(&sock->unsent))
		events |= EPOLLOUT;
	if (events == sock->events)
		return;
	event = (struct epoll_event){ .events = events };
	if (!epoll_ctl(sock->epoll_fd, EPOLL_CTL_MOD, sock->fd, &event))
		sock->events = events;
}

static void socket_flush(struct sock *sock)
{
	while (!sock->error && !llmos_list_empty(&sock->unsent)) {
		struct llmos_command *command = to_command(sock->unsent.next);
		int r = socket_send_one(sock, command);

		if (r == -EAGAIN || r == -ENOBUFS)
			break;
		/* the peer is gone; what it said before is still to be read */
		if (r < 0 && r != -EPIPE && r != -ECONNRESET)
			sock->error = r;
		if (r < 0)
			break;
		sock->unsent_bytes -= command->in_len;
		llmos_list_remove(&command->link);
		llmos_list_append(&sock->sent, &command->link);
	}
	socket_watch(sock);
}

static int socket_start(struct llmos_transport *transport, struct llmos_command *command)
{
	struct sock *sock = to_socket(transport);

	if (sock->error)
		return sock->error;
	if (command->in_len > UINT32_MAX - SOCKET_MESSAGE_MAX)
		return -E2BIG;
	if (sock->unsent_bytes && command->in_len > SOCKET_UNSENT_MAX - sock->unsent_bytes)
		return -EBUSY;
	if (command->cmd == LLM_IOC_READ)
		command->arg.read.buf_len = command->out_size;
	/* their numbers mean nothing there */
	if (command->cmd == LLM_IOC_SESSION)
		command->arg.session.fd = -1;
	if (command->cmd == LLM_IOC_SUBMIT && command->arg.submit.flags & LLM_SUBMIT_SESSION)
		command->arg.submit.session = -1;
	command->cookie = ++sock->cookie;
	sock->unsent_bytes += command->in_len;
	llmos_list_append(&sock->unsent, &command->link);
	socket_flush(sock);
	return 0;
}

static void socket_abandon(struct llmos_transport *transport, struct llmos_command *command)
{
	struct sock *sock = to_socket(transport);

	/* what has begun to be sent is sent, and its reply taken */
	command->on_done = NULL;
	if (command->sent)
		return;
	sock->unsent_bytes -= command->in_len;
	llmos_command_free(command);
	socket_watch(sock);
}

/* ---- receiving ---- */

static struct llmos_command *socket_find(struct sock *sock, const struct llm_msg *head)
{
	struct llmos_list *link;

	for (link = sock->sent.next; link != &sock->sent; link = link->next)
		if (to_command(link)->cookie == head->cookie)
			return to_command(link);
	return NULL;
}

/* bytes that a good reply returns behind its struct; SIZE_MAX if the struct is nonsense */
static size_t socket_returned(const struct llmos_command *command, const union llmos_arg *arg)
{
	switch (command->cmd) {
	case LLM_IOC_READ:
		return arg->read.len;
	case LLM_IOC_LIST:
		if (arg->list.count > command->arg.list.capacity)
			return SIZE_MAX;
		return (size_t)arg->list.count * command->arg.list.entry_size;
	default:
		return 0;
	}
}

static int socket_take_fd(struct sock *sock)
{
	int fd;

	if (!sock->fd_count)
		return -1;
	fd = sock->fds[0];
	memmove(sock->fds, sock->fds + 1, --sock->fd_count * sizeof(*sock->fds));
	return fd;
}

static bool socket_makes_session(const struct llmos_command *command)
{
	return !command->arg.session.flags || command->arg.session.flags == LLM_SESSION_FORK;
}

static int socket_take_reply(struct sock *sock, struct llmos_command *command,
			     const struct llm_msg *head, const uint8_t *body)
{
	size_t arg_size = llmos_command_arg_size(command);
	size_t body_len = head->len - sizeof(*head), returned;
	union llmos_arg arg;

	if (head->cmd != command->cmd || head->result > 0 || head->result < -4095 || head->pad)
		return -EPROTO;
	/* a failure needs no struct */
	if (head->result < 0 && !body_len)
		return 0;
	if (body_len < arg_size)
		return -EPROTO;
	memset(&arg, 0, sizeof(arg));
	memcpy(&arg, body, arg_size);
	if (arg.features.size != arg_size)
		return -EPROTO;
	returned = head->result < 0 ? 0 : socket_returned(command, &arg);
	if (returned > command->out_size || returned != body_len - arg_size)
		return -EPROTO;
	if (head->cmd == LLM_IOC_SESSION && !head->result && socket_makes_session(command)) {
		command->got_fd = socket_take_fd(sock);
		if (command->got_fd < 0)
			return -EPROTO;
	}
	if (returned)
		memcpy(command->out, body + arg_size, returned);
	command->arg = arg;
	return 0;
}

/* one whole message; its command's on_done runs */
static int socket_handle(struct sock *sock, const struct llm_msg *head, const uint8_t *body)
{
	struct llmos_command *command = socket_find(sock, head);
	int r;

	if (!command)
		return -EPROTO;
	r = socket_take_reply(sock, command, head, body);
	if (r < 0)
		return r;
	llmos_command_complete(command, head->result);
	return 0;
}

/* handle every whole message in the buffer */
static int socket_parse(struct sock *sock)
{
	size_t at = 0;
	int r = 0;

	while (!r && sock->have - at >= sizeof(struct llm_msg)) {
		struct llm_msg head;

		memcpy(&head, sock->buf + at, sizeof(head));
		if (head.len < sizeof(head) || head.len > sizeof(sock->buf))
			return -EPROTO;
		if (sock->have - at < head.len)
			break;
		r = socket_handle(sock, &head, sock->buf + at + sizeof(head));
		at += head.len;
	}
	memmove(sock->buf, sock->buf + at, sock->have - at);
	sock->have -= at;
	return r;
}

/* at most one comes with one call; false: what came can not be meant */
static bool socket_receive_fd(struct sock *sock, struct msghdr *message)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	int fd;

	if (!control)
		return !(message->msg_flags & MSG_CTRUNC);
	if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS ||
	    control->cmsg_len != CMSG_LEN(sizeof(fd)))
		return false;
	memcpy(&fd, CMSG_DATA(control), sizeof(fd));
	if (message->msg_flags & MSG_CTRUNC || sock->fd_count == SOCKET_FDS_MAX) {
		close(fd);
		return false;
	}
	sock->fds[sock->fd_count++] = fd;
	return true;
}

static ssize_t socket_receive_some(struct sock *sock)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec room = { sock->buf + sock->have, sizeof(sock->buf) - sock->have };
	struct msghdr message = {
		.msg_iov = &room,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* for one and no more */
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	ssize_t n = recvmsg(sock->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 || socket_receive_fd(sock, &message))
		return n;
	errno = EPROTO;
	return -1;
}

/* Return: bytes, 0 nothing more for now, -errno */
static ssize_t socket_receive(struct sock *sock)
{
	ssize_t n;

	do {
		n = socket_receive_some(sock);
	} while (n < 0 && errno == EINTR);
	if (!n)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN ? 0 : errno == EPIPE ? -ECONNRESET : -errno;
	sock->have += n;
	return n;
}

/* the connection is no more: every command ends with the reason */
static void socket_fail(struct sock *sock)
{
	struct llmos_list failed;

	llmos_list_init(&failed);
	llmos_list_splice(&failed, &sock->sent);
	llmos_list_splice(&failed, &sock->unsent);
	sock->unsent_bytes = 0;
	while (!llmos_list_empty(&failed))
		llmos_command_complete(to_command(failed.next), sock->error);
	shutdown(sock->fd, SHUT_RDWR);
	socket_watch(sock);
}

static void socket_read(struct sock *sock)
{
	unsigned int i;
	ssize_t n = 1;

	for (i = 0; i < SOCKET_BATCH_COUNT && n > 0 && !sock->error; i++) {
		n = socket_receive(sock);
		if (n > 0)
			n = socket_parse(sock) < 0 ? -EPROTO : n;
		if (n < 0)
			sock->error = n;
	}
}

static bool socket_idle(const struct sock *sock)
{
	return llmos_list_empty(&sock->sent) && llmos_list_empty(&sock->unsent);
}

static int socket_dispatch(struct llmos_transport *transport, int timeout_ms)
{
	struct sock *sock = to_socket(transport);
	struct pollfd ready = { .fd = sock->epoll_fd, .events = POLLIN };
	int n;

	if (socket_idle(sock)) {
		if (sock->error)
			return sock->error;
		timeout_ms = 0;
	}
	if (!sock->error) {
		/* epoll_wait() would end with EINTR also where nobody's handler ran: at SIGCONT */
		n = poll(&ready, 1, timeout_ms);
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		socket_flush(sock);
		socket_read(sock);
	}
	if (!sock->error)
		return 0;
	if (socket_idle(sock))
		return sock->error;
	socket_fail(sock);
	return 0;
}

/* ---- the connection ---- */

static int socket_fd(struct llmos_transport *transport)
{
	return to_socket(transport)->epoll_fd;
}

static const char *socket_name(const struct llmos_transport *transport)
{
	(void)transport;
	return "socket";
}

static void socket_prepare_async(struct llmos_transport *transport)
{
	/* it always is */
	(void)transport;
}

static void socket_free(struct llmos_transport *transport)
{
	struct sock *sock = to_socket(transport);

	if (sock->epoll_fd >= 0)
		close(sock->epoll_fd);
	if (sock->fd >= 0)
		close(sock->fd);
	while (sock->fd_count)
		close(socket_take_fd(sock));
	llmos_list_splice(&sock->sent, &sock->unsent);
	while (!llmos_list_empty(&sock->sent))
		llmos_command_free(to_command(sock->sent.next));
	free(sock);
}

static const struct llmos_transport_ops socket_ops = {
	.free		= socket_free,
	.name		= socket_name,
	.fd		= socket_fd,
	.prepare_async	= socket_prepare_async,
	.start		= socket_start,
	.abandon	= socket_abandon,
	.dispatch	= socket_dispatch,
};

static int socket_connect(struct sock *sock, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock->fd < 0)
		return -errno;
	if (connect(sock->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	sock->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sock->epoll_fd < 0)
		return -errno;
	if (epoll_ctl(sock->epoll_fd, EPOLL_CTL_ADD, sock->fd, &event) < 0)
		return -errno;
	sock->events = EPOLLIN;
	return 0;
}

int llmos_socket_open(struct llmos_transport **ret, const char *path)
{
	struct sock *sock = calloc(1, sizeof(*sock));
	int r;

	if (!sock)
		return -ENOMEM;
	sock->transport.ops = &socket_ops;
	sock->fd = -1;
	sock->epoll_fd = -1;
	llmos_list_init(&sock->unsent);
	llmos_list_init(&sock->sent);
	r = socket_connect(sock, path);
	if (r < 0) {
		socket_free(&sock->transport);
		return r;
	}
	*ret = &sock->transport;
	return 0;
}
