/* SPDX-License-Identifier: MIT */
/* Handles of sessions; see handle.h. */
#include "ipc/handle.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

/**
 * struct handle_name - what tells a client's end from all other sockets
 * @cookie: the kernel's number of the socket; inode numbers come again after 2^32 of them
 */
struct handle_name {
	dev_t dev;
	ino_t ino;
	uint64_t cookie;
};

struct handle {
	struct list link;
	struct loop_source source;	/* our end */
	struct loop_dead dead;
	struct handles *handles;
	struct broker_session *session;
	struct handle_name name;	/* of the client's end */
};

static int handle_name(struct handle_name *ret, int fd)
{
	socklen_t len = sizeof(ret->cookie);
	struct stat st;

	/* first of all: what is no socket may be a file of whoever makes fstat() wait for ever */
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &ret->cookie, &len) < 0)
		return errno == ENOTSOCK ? -EINVAL : -EOPNOTSUPP;
	if (fstat(fd, &st) < 0)
		return -errno;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	return 0;
}

static void handle_free(struct loop_dead *dead)
{
	free(container_of(dead, struct handle, dead));
}

static void handle_close(struct handle *handle)
{
	struct handles *handles = handle->handles;

	loop_remove(handles->loop, &handle->source);
	close(handle->source.fd);
	list_remove(&handle->link);
	broker_session_put(handles->sessions, handle->session);
	loop_bury(handles->loop, &handle->dead);
}

/* nobody holds the other end any more */
static void handle_ready(struct loop_source *source, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR))
		handle_close(container_of(source, struct handle, source));
}

/*
 * Nothing can be sent to our end: neither bytes that nobody reads, nor the client's end itself,
 * which would then never be closed.
 */
static int handle_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	if (shutdown(fds[0], SHUT_RD) < 0) {
		const int r = -errno;

		close(fds[0]);
		close(fds[1]);
		return r;
	}
	return 0;
}

static int handle_open(struct handles *handles, struct broker_session *session, int fds[2])
{
	struct handle *handle = calloc(1, sizeof(*handle));
	int r;

	if (!handle)
		return -ENOMEM;
	handle->source = (struct loop_source){ .fd = fds[0], .ready = handle_ready };
	handle->handles = handles;
	handle->session = session;
	handle->dead.free = handle_free;
	list_init(&handle->dead.link);
	r = handle_name(&handle->name, fds[1]);
	/* a hang-up is told in any case */
	if (!r)
		r = loop_add(handles->loop, &handle->source, 0);
	if (r < 0) {
		free(handle);
		return r;
	}
	list_append(&handles->all, &handle->link);
	return 0;
}

int handle_new(struct handles *handles, struct broker_session *session)
{
	int fds[2], r;

	r = handle_pair(fds);
	if (!r) {
		r = handle_open(handles, session, fds);
		if (!r)
			return fds[1];
		close(fds[0]);
		close(fds[1]);
	}
	broker_session_put(handles->sessions, session);
	return r;
}

struct broker_session *handle_find(const struct handles *handles, int fd)
{
	struct handle_name name;
	struct handle *handle;

	if (handle_name(&name, fd) < 0)
		return NULL;
	list_each(handle, &handles->all, link)
		if (handle->name.cookie == name.cookie && handle->name.ino == name.ino &&
		    handle->name.dev == name.dev)
			return handle->session;
	return NULL;
}

void handles_init(struct handles *handles, struct loop *loop, struct broker_sessions *sessions)
{
	handles->loop = loop;
	handles->sessions = sessions;
	list_init(&handles->all);
}

void handles_free(struct handles *handles)
{
	while (!list_empty(&handles->all))
		handle_close(list_first(&handles->all, struct handle, link));
}
