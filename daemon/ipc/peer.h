/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end of a Unix socket, from the kernel and never from the peer's words: its
 * credentials when it connected, a pidfd that can't come to mean another process, and its cgroup.
 * Owned by one connection.
 */
#ifndef LLMOS_IPC_PEER_H
#define LLMOS_IPC_PEER_H

#include "base/util.h"

#define PEER_LINEAGE_MAX	64	/* levels of cgroups; what is deeper counts as its ancestor there */

/**
 * struct peer_lineage - a cgroup and those above it, as far as this process sees them
 * @depth: of @ids; 0: there are no cgroups here
 * @ids: the topmost first; 0 below that: not known
 */
struct peer_lineage {
	unsigned int depth;
	uint64_t ids[PEER_LINEAGE_MAX];
};

/** struct peer - an identity; peer_close() when done */
struct peer {
	uint32_t pid;
	uint32_t uid;
	int pidfd;		/* -1: the process is gone, or the kernel has no pidfds */
	int proc_fd;		/* its /proc directory, verified against @pidfd; -1: none */
	uint64_t cgroup_id;	/* as last looked up */
	struct peer_lineage lineage;	/* of it */
};

/** peer_identify() - ask the kernel who is at the other end of @fd; 0 or -errno */
int peer_identify(struct peer *ret, int fd);
/**
 * peer_refresh() - look up its cgroup again
 *
 * A process that is gone has no pid and no cgroup any more: whoever holds its connection now is not
 * the one that was identified. It keeps its user, and its lineage: what is asked there counts for
 * those who paid for it so far.
 */
void peer_refresh(struct peer *peer);
void peer_close(struct peer *peer);

/**
 * peer_lineage_of() - numbers of a cgroup and all above it
 * @mount: where cgroup v2 is mounted
 * @path: below it, begins with a slash
 */
void peer_lineage_of(struct peer_lineage *ret, const char *mount, const char *path);
/**
 * peer_cgroup_path() - the path behind "0::" in the text of /proc/PID/cgroup
 *
 * Where that cgroup was removed, " (deleted)" is at its end; a cgroup may also be called so.
 *
 * Return: 0; -ENOENT none, or outside of this process's cgroup namespace.
 */
int peer_cgroup_path(char *text, const char **ret_path);

#endif /* LLMOS_IPC_PEER_H */
