/* SPDX-License-Identifier: MIT */
/*
 * Loaded before libllmos (LD_PRELOAD): its netlink sockets lead to fake_netlink.py at the path in
 * $FAKE_NETLINK, and its /proc/self/mountinfo is $FAKE_NETLINK.mountinfo. Folders are root's, but
 * for those whose sticky bit is set. All else is as it was.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EXPORT		__attribute__((visibility("default")))
#define FDS		1024
/* told to the fake: a group was joined */
#define MESSAGE_JOIN	0xfff1

static bool ours[FDS];

#define REAL(name)	((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static bool is_ours(int fd)
{
	return fd >= 0 && fd < FDS && ours[fd];
}

EXPORT int socket(int domain, int type, int protocol)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("FAKE_NETLINK");
	int fd;

	if (domain != AF_NETLINK || protocol != NETLINK_GENERIC || !path ||
	    strlen(path) >= sizeof(address.sun_path))
		return REAL(socket)(domain, type, protocol);
	fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET | (type & ~0xf), 0);
	strcpy(address.sun_path, path);
	if (fd < 0 || fd >= FDS || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	ours[fd] = true;
	return fd;
}

EXPORT int close(int fd)
{
	if (is_ours(fd))
		ours[fd] = false;
	return REAL(close)(fd);
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t len)
{
	return is_ours(fd) ? 0 : REAL(bind)(fd, address, len);
}

EXPORT int getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_pid = (uint32_t)getpid() };

	if (!is_ours(fd))
		return REAL(getsockname)(fd, address, len);
	memcpy(address, &own, sizeof(own) < *len ? sizeof(own) : *len);
	*len = sizeof(own);
	return 0;
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	struct {
		struct nlmsghdr header;
		uint32_t group;
	} join = { .header = { .nlmsg_len = sizeof(join), .nlmsg_type = MESSAGE_JOIN } };

	if (!is_ours(fd))
		return REAL(setsockopt)(fd, level, option, value, len);
	if (level != SOL_NETLINK || option != NETLINK_ADD_MEMBERSHIP)
		return 0;
	if (getenv("FAKE_NETLINK_USER")) {
		errno = EPERM;
		return -1;
	}
	memcpy(&join.group, value, sizeof(join.group));
	return send(fd, &join, sizeof(join), MSG_NOSIGNAL) < 0 ? -1 : 0;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr own = *message;

	if (is_ours(fd)) {
		own.msg_name = NULL;
		own.msg_namelen = 0;
		own.msg_control = NULL;
		own.msg_controllen = 0;
	}
	return REAL(sendmsg)(fd, &own, flags);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	socklen_t room = message->msg_namelen;
	ssize_t n = REAL(recvmsg)(fd, message, flags);

	if (!is_ours(fd) || n < 0)
		return n;
	if (message->msg_name && room >= sizeof(kernel)) {
		memcpy(message->msg_name, &kernel, sizeof(kernel));
		message->msg_namelen = sizeof(kernel);
	}
	return n;
}

EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
	const char *fake = getenv("FAKE_NETLINK");
	char own[512];

	if (!fake || strcmp(path, "/proc/self/mountinfo"))
		return REAL(fopen)(path, mode);
	snprintf(own, sizeof(own), "%s.mountinfo", fake);
	return REAL(fopen)(own, mode);
}

EXPORT int lstat(const char *restrict path, struct stat *restrict st)
{
	int r = REAL(lstat)(path, st);

	if (!r)
		st->st_uid = st->st_mode & S_ISVTX ? 1000 : 0;
	return r;
}
