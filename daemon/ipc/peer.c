/* SPDX-License-Identifier: MIT */
/* The identity of a socket's peer; see peer.h. */
#include "ipc/peer.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif

#define PEER_TEXT_MAX	8192

/* where cgroup v2 is mounted: alone, or beside version 1 */
static const char *peer_cgroup_mount(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mounts); i++)
		if (!statfs(mounts[i], &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			return mounts[i];
	return NULL;
}

int peer_cgroup_path(char *text, const char **ret_path)
{
	char *line, *save = NULL;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "0::/", 4))
			continue;
		/* outside of our cgroup namespace, or removed: it has no number here */
		if (!strncmp(line + 3, "/..", 3) || strstr(line, " (deleted)"))
			return -ENOENT;
		*ret_path = line + 3;
		return 0;
	}
	return -ENOENT;
}

static ssize_t peer_read_cgroup(int proc_fd, char *text, size_t size)
{
	_cleanup_close_ int fd = openat(proc_fd, "cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return n;
}

static uint64_t peer_cgroup_id(int proc_fd)
{
	const char *mount = peer_cgroup_mount(), *path;
	char text[PEER_TEXT_MAX], full[PEER_TEXT_MAX];
	struct stat st;

	if (!mount || proc_fd < 0 || peer_read_cgroup(proc_fd, text, sizeof(text)) < 0)
		return 0;
	if (peer_cgroup_path(text, &path) < 0)
		return 0;
	if ((size_t)snprintf(full, sizeof(full), "%s%s", mount, path) >= sizeof(full))
		return 0;
	return stat(full, &st) < 0 ? 0 : st.st_ino;
}

static bool peer_alive(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	return !poll(&poll_fd, 1, 0);
}

/*
 * Before SO_PEERPIDFD only the number is known, and the process may have ended and its number may
 * have been given away since it connected. A process of the same user is all that can be told.
 */
static int peer_pidfd_open(const struct ucred *cred)
{
	_cleanup_close_ int fd = syscall(SYS_pidfd_open, cred->pid, 0);
	char path[32];
	struct stat st;

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d", cred->pid);
	if (stat(path, &st) < 0 || (st.st_uid != cred->uid && st.st_uid != 0) || !peer_alive(fd))
		return -ESRCH;
	return steal_fd(fd);
}

static int peer_get_pidfd(int fd, const struct ucred *cred)
{
	socklen_t len = sizeof(int);
	int pidfd;

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		return pidfd;
	if (errno == ENOPROTOOPT)
		return peer_pidfd_open(cred);
	return -errno;
}

/* alive after the directory was opened: then the directory is that process's */
static int peer_open_proc(const struct peer *peer)
{
	_cleanup_close_ int fd = -1;
	char path[32];

	if (peer->pidfd < 0 || !peer->pid)
		return -1;
	snprintf(path, sizeof(path), "/proc/%u", peer->pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !peer_alive(peer->pidfd))
		return -1;
	return steal_fd(fd);
}

int peer_identify(struct peer *ret, int fd)
{
	struct peer peer = { .pidfd = -1, .proc_fd = -1 };
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	peer.pid = MAX(cred.pid, 0);
	peer.uid = cred.uid;
	peer.pidfd = MAX(peer_get_pidfd(fd, &cred), -1);
	peer.proc_fd = peer_open_proc(&peer);
	peer.cgroup_id = peer_cgroup_id(peer.proc_fd);
	*ret = peer;
	return 0;
}

void peer_refresh(struct peer *peer)
{
	if (peer->pidfd >= 0 && peer_alive(peer->pidfd)) {
		peer->cgroup_id = peer_cgroup_id(peer->proc_fd);
		return;
	}
	if (peer->pidfd >= 0)
		peer_close(peer);
	peer->pid = 0;
	peer->cgroup_id = 0;
}

void peer_close(struct peer *peer)
{
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	if (peer->proc_fd >= 0)
		close(peer->proc_fd);
	peer->pidfd = -1;
	peer->proc_fd = -1;
}
