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
		/* outside of our cgroup namespace: it has no number here */
		if (!strncmp(line + 3, "/../", 4) || !strcmp(line + 3, "/.."))
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

void peer_lineage_of(struct peer_lineage *ret, const char *mount, const char *path)
{
	char full[PEER_TEXT_MAX];
	size_t len = strlen(mount);
	struct stat st;

	ret->depth = 0;
	if (len + strlen(path) >= sizeof(full))
		return;
	memcpy(full, mount, len);
	memcpy(full + len, path, strlen(path) + 1);
	/* cut at each slash in turn: the mount itself, then a level more each time */
	while (ret->depth < PEER_LINEAGE_MAX) {
		char *end = full + len, cut = *end;

		*end = '\0';
		if (stat(full, &st) < 0) {
			ret->depth = 0;
			return;
		}
		*end = cut;
		ret->ids[ret->depth++] = st.st_ino;
		if (!cut || !end[1])
			return;
		len += 1 + strcspn(end + 1, "/");
	}
}

/* a cgroup that is not known is one below the topmost, with the number 0: all of them are */
static void peer_lineage_unknown(struct peer_lineage *ret, const char *mount)
{
	peer_lineage_of(ret, mount, "/");
	if (ret->depth)
		ret->ids[ret->depth++] = 0;
}

static void peer_find_cgroup(struct peer *peer)
{
	const char *mount = peer_cgroup_mount(), *path;
	char text[PEER_TEXT_MAX];

	peer->cgroup_id = 0;
	peer->lineage.depth = 0;
	if (!mount)
		return;
	/* one that was removed has another path than any there is */
	if (peer->proc_fd >= 0 && peer_read_cgroup(peer->proc_fd, text, sizeof(text)) >= 0 &&
	    peer_cgroup_path(text, &path) == 0)
		peer_lineage_of(&peer->lineage, mount, path);
	/* at the last level there may be others below */
	if (peer->lineage.depth && peer->lineage.depth < PEER_LINEAGE_MAX)
		peer->cgroup_id = peer->lineage.ids[peer->lineage.depth - 1];
	else if (!peer->lineage.depth)
		peer_lineage_unknown(&peer->lineage, mount);
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
	peer_find_cgroup(&peer);
	*ret = peer;
	return 0;
}

void peer_refresh(struct peer *peer)
{
	if (peer->pidfd >= 0 && peer_alive(peer->pidfd)) {
		peer_find_cgroup(peer);
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
