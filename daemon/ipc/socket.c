/* SPDX-License-Identifier: MIT */
/* The Unix socket's server; see socket.h. */
#include "ipc/socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/conn.h"

#define SOCKET_CONNS_MAX	512U
#define SOCKET_CONNS_USER_MAX	128U
#define SOCKET_BACKLOG		128
#define SOCKET_ACCEPT_BATCH	64
#define SOCKET_RETRY_NS		(100 * NS_PER_MS)
#define SOCKET_LOCK_NS		(3 * NS_PER_S)	/* a server holds it for a moment */
#define SOCKET_LOCK_TRY_NS	(20 * NS_PER_MS)

/** struct listener - a listening socket; @path: ours to unlink, "" if it was adopted */
struct listener {
	struct loop_source source;
	struct socket_server *server;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	dev_t dev;
	ino_t ino;
};

struct socket_server {
	struct loop *loop;
	struct broker *broker;
	struct handles handles;
	struct closers *closers;
	struct listener listeners[SOCKET_LISTENERS_MAX];
	unsigned int listener_count;
	struct list conns;
	struct list dirty;		/* connections with something to send or to bury */
	unsigned int conn_count;
	struct loop_timer retry;	/* accept again: there were no descriptors left */
	bool out_of;			/* of descriptors or memory, and that has been said */
};

/* ---- connections ---- */

static unsigned int socket_user_conns(const struct socket_server *server, uint32_t uid)
{
	unsigned int count = 0;
	struct conn *conn;

	list_each(conn, &server->conns, link)
		count += conn->file.peer.uid == uid;
	return count;
}

int socket_server_connect(struct socket_server *server, int fd)
{
	struct conn *conn;
	struct peer peer;
	int r;

	r = peer_identify(&peer, fd);
	if (r < 0) {
		closers_close_socket(server->closers, UINT32_MAX, fd);
		return r;
	}
	if (server->conn_count >= SOCKET_CONNS_MAX ||
	    socket_user_conns(server, peer.uid) >= SOCKET_CONNS_USER_MAX ||
	    closers_busy(server->closers, peer.uid)) {
		closers_close_socket(server->closers, peer.uid, fd);
		peer_close(&peer);
		return -EBUSY;
	}
	r = conn_new(&conn, fd, &peer, server->loop, server->broker, &server->handles,
		     server->closers, &server->dirty);
	if (r < 0) {
		peer_close(&peer);
		return r;
	}
	list_append(&server->conns, &conn->link);
	server->conn_count++;
	return 0;
}

void socket_server_flush(struct socket_server *server)
{
	while (!list_empty(&server->dirty)) {
		struct conn *conn = list_first(&server->dirty, struct conn, dirty_link);

		list_remove(&conn->dirty_link);
		if (!conn->broken)
			conn_flush(conn);
		if (conn->broken) {
			conn_close(conn);
			server->conn_count--;
		}
	}
}

/* ---- accepting ---- */

/* one line for as long as it lasts: clients that wait must not fill the log */
static void socket_say_full(struct socket_server *server, int r)
{
	if (!server->out_of)
		log_warning("socket: cannot accept a connection: %s", strerror(-r));
	server->out_of = true;
}

static void socket_pause_accept(struct socket_server *server, uint32_t events)
{
	unsigned int i;

	for (i = 0; i < server->listener_count; i++)
		loop_watch(server->loop, &server->listeners[i].source, events);
}

static void socket_retry(struct loop_timer *timer)
{
	socket_pause_accept(container_of(timer, struct socket_server, retry), EPOLLIN);
}

static int listener_accept(int fd, const struct socket_server *server)
{
	/* even to refuse one costs a descriptor, where others wait to be closed */
	if (closers_full(server->closers)) {
		errno = EMFILE;
		return -1;
	}
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct socket_server *server = container_of(source, struct listener, source)->server;
	int i, fd, r;

	(void)events;
	for (i = 0; i < SOCKET_ACCEPT_BATCH; i++) {
		fd = listener_accept(source->fd, server);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			       errno == ENOBUFS)) {
			socket_say_full(server, -errno);
			socket_pause_accept(server, 0);
			loop_timer_set(server->loop, &server->retry, clock_ns() + SOCKET_RETRY_NS);
			return;
		}
		if (fd < 0) {
			/* nobody waits any more */
			server->out_of = false;
			return;
		}
		r = socket_server_connect(server, fd);
		if (r < 0)
			log_debug("socket: connection refused: %s", strerror(-r));
	}
}

static int listener_add(struct socket_server *server, int fd, const char *path,
			struct error *error)
{
	struct listener *listener = &server->listeners[server->listener_count];
	struct stat st;
	int r;

	if (server->listener_count == SOCKET_LISTENERS_MAX)
		return error_set(error, -E2BIG, "more than %d sockets to listen on",
				 SOCKET_LISTENERS_MAX);
	*listener = (struct listener){
		.source = { .fd = fd, .ready = listener_ready },
		.server = server,
	};
	r = loop_add(server->loop, &listener->source, EPOLLIN);
	if (r < 0)
		return error_set(error, r, "socket '%s': %s", path, strerror(-r));
	if (*path && !stat(path, &st)) {
		snprintf(listener->path, sizeof(listener->path), "%s", path);
		listener->dev = st.st_dev;
		listener->ino = st.st_ino;
	}
	server->listener_count++;
	return 0;
}

/* ---- where to listen ---- */

static int socket_new(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* Return: 0 nobody serves there, -EADDRINUSE somebody does */
static int socket_probe(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket_new();

	if (fd < 0)
		return fd;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return -EADDRINUSE;
	return errno == ECONNREFUSED || errno == ENOENT ? 0 :
	       errno == EAGAIN ? -EADDRINUSE : -errno;
}

static int socket_remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int r;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	r = socket_probe(address);
	if (r < 0)
		return r;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* anybody who may read a folder can hold its lock, for ever */
static int socket_lock(int fd)
{
	const struct timespec pause = { .tv_nsec = SOCKET_LOCK_TRY_NS };
	uint64_t until_ns = clock_ns() + SOCKET_LOCK_NS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_ns() >= until_ns)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* two servers that start at once must not remove each other's socket */
static int socket_lock_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1] = ".";
	_cleanup_close_ int fd = -1;
	int r;

	if (slash)
		snprintf(directory, sizeof(directory), "%.*s", MAX((int)(slash - path), 1), path);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = socket_lock(fd);
	return r < 0 ? r : steal_fd(fd);
}

static int socket_bind(const struct sockaddr_un *address)
{
	_cleanup_close_ int lock = socket_lock_directory(address->sun_path);
	_cleanup_close_ int fd = -1;
	int r;

	if (lock < 0)
		return lock;
	r = socket_remove_stale(address);
	if (r < 0)
		return r;
	fd = socket_new();
	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(fd, SOCKET_BACKLOG) < 0)
		return -errno;
	return steal_fd(fd);
}

int socket_server_listen(struct socket_server *server, const char *address, struct error *error)
{
	struct sockaddr_un unix_address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	const char *path;
	int r;

	if (strncmp(address, "unix:", 5) || !address[5])
		return error_set(error, -EINVAL, "listen address '%s' is not unix:PATH", address);
	path = address + 5;
	if (strlen(path) >= sizeof(unix_address.sun_path))
		return error_set(error, -ENAMETOOLONG, "socket '%s': path is longer than %zu bytes",
				 path, sizeof(unix_address.sun_path) - 1);
	memcpy(unix_address.sun_path, path, strlen(path));
	fd = socket_bind(&unix_address);
	if (fd == -EADDRINUSE)
		return error_set(error, fd, "socket '%s': another server is alive there", path);
	if (fd == -EEXIST)
		return error_set(error, fd, "socket '%s': something that is no socket is there",
				 path);
	if (fd == -EBUSY)
		return error_set(error, fd, "socket '%s': another process has locked its folder",
				 path);
	if (fd < 0)
		return error_set(error, fd, "socket '%s': %s", path, strerror(-fd));
	r = listener_add(server, fd, path, error);
	if (r < 0)
		return r;
	steal_fd(fd);
	return 0;
}

int socket_server_adopt(struct socket_server *server, int fd, struct error *error)
{
	int domain = 0, type = 0, listening = 0, r;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
	    domain != AF_UNIX || type != SOCK_STREAM || !listening)
		return error_set(error, -EINVAL,
				 "descriptor %d was passed, but is no listening Unix stream socket",
				 fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		r = -errno;
		return error_set(error, r, "descriptor %d: %s", fd, strerror(-r));
	}
	return listener_add(server, fd, "", error);
}

static void listener_close(struct listener *listener)
{
	struct stat st;

	loop_remove(listener->server->loop, &listener->source);
	close(listener->source.fd);
	if (*listener->path && !lstat(listener->path, &st) && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(listener->path);
}

/* ---- birth and death ---- */

int socket_server_new(struct socket_server **ret, struct loop *loop, struct ipc_sink *sink)
{
	struct socket_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	r = broker_new(&server->broker, sink);
	if (r < 0) {
		free(server);
		return r;
	}
	r = closers_new(&server->closers, loop);
	if (r < 0) {
		broker_free(server->broker);
		free(server);
		return r;
	}
	server->loop = loop;
	handles_init(&server->handles, loop, broker_sessions(server->broker));
	list_init(&server->conns);
	list_init(&server->dirty);
	list_init(&server->retry.link);
	server->retry.fire = socket_retry;
	*ret = server;
	return 0;
}

void socket_server_free(struct socket_server *server)
{
	unsigned int i;

	if (!server)
		return;
	for (i = 0; i < server->listener_count; i++)
		listener_close(&server->listeners[i]);
	while (!list_empty(&server->conns))
		conn_close(list_first(&server->conns, struct conn, link));
	loop_timer_stop(&server->retry);
	handles_free(&server->handles);
	closers_free(server->closers);
	broker_free(server->broker);
	free(server);
}

void socket_server_set_slots(struct socket_server *server, unsigned int slots,
			     unsigned int sequences)
{
	broker_set_slots(server->broker, slots, sequences);
}

struct ipc *socket_server_ipc(struct socket_server *server)
{
	return broker_ipc(server->broker);
}

unsigned int socket_server_listeners(const struct socket_server *server)
{
	return server->listener_count;
}
