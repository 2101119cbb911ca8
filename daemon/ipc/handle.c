/* SPDX-License-Identifier: MIT */
/* Handles of sessions; see handle.h. */
#include "ipc/handle.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#define HANDLE_NAME_TRIES	16	/* for a number that no other handle has */

/**
 * struct handle_name - what tells a handle's pipe from all other files
 * @uid: who made the pipe; its number comes again after 2^32 of them, even while it is in use, but
 *	 other users' pipes are theirs
 */
struct handle_name {
	dev_t dev;
	ino_t ino;
	uid_t uid;
};

struct handle {
	struct list link;
	struct loop_source source;	/* our end, to write to */
	struct loop_dead dead;
	struct handles *handles;
	struct broker_session *session;
	struct handle_name name;
};

/*
 * The link's text is the kernel's own: it asks no file system, which might not answer, and only a
 * pipe without a path has this one. A FIFO has a path, and may be in a file system in user space.
 */
static int handle_is_pipe(int fd)
{
	static const char prefix[] = "pipe:[";
	char path[32], text[sizeof(prefix)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, text, sizeof(text));
	if (len < 0)
		return -EOPNOTSUPP;
	return (size_t)len >= strlen(prefix) && !memcmp(text, prefix, strlen(prefix));
}

static int handle_name(struct handle_name *ret, int fd)
{
	struct stat st;
	int r;

	r = handle_is_pipe(fd);
	if (r <= 0)
		return r < 0 ? r : -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct handle_name){ .dev = st.st_dev, .ino = st.st_ino, .uid = st.st_uid };
	return 0;
}

static struct handle *handle_named(const struct handles *handles, const struct handle_name *name)
{
	struct handle *handle;

	list_each(handle, &handles->all, link)
		if (handle->name.ino == name->ino && handle->name.dev == name->dev &&
		    handle->name.uid == name->uid)
			return handle;
	return NULL;
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

/* @fds: as pipe(2) has them: the client's end, and ours */
static int handle_pipe(const struct handles *handles, struct handle_name *ret, int fds[2])
{
	unsigned int i;
	int r;

	for (i = 0; i < HANDLE_NAME_TRIES; i++) {
		if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
			return -errno;
		r = handle_name(ret, fds[0]);
		if (!r && !handle_named(handles, ret))
			return 0;
		close(fds[0]);
		close(fds[1]);
		if (r < 0)
			return r;
	}
	return -ENFILE;
}

static int handle_open(struct handles *handles, struct broker_session *session,
		       const struct handle_name *name, int fd)
{
	struct handle *handle = calloc(1, sizeof(*handle));
	int r;

	if (!handle)
		return -ENOMEM;
	handle->source = (struct loop_source){ .fd = fd, .ready = handle_ready };
	handle->handles = handles;
	handle->session = session;
	handle->name = *name;
	handle->dead.free = handle_free;
	list_init(&handle->dead.link);
	/* that nobody can read any more is told in any case */
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
	struct handle_name name;
	int fds[2], r;

	r = handle_pipe(handles, &name, fds);
	if (!r) {
		r = handle_open(handles, session, &name, fds[1]);
		if (!r)
			return fds[0];
		close(fds[0]);
		close(fds[1]);
	}
	broker_session_put(handles->sessions, session);
	return r;
}

struct broker_session *handle_find(const struct handles *handles, int fd)
{
	const struct handle *handle;
	struct handle_name name;

	if (handle_name(&name, fd) < 0)
		return NULL;
	handle = handle_named(handles, &name);
	return handle ? handle->session : NULL;
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
