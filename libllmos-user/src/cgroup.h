/* SPDX-License-Identifier: MIT */
/*
 * Names of cgroups: the kernel tells an id, people want a path. An id is the inode number of the
 * cgroup's folder in the cgroup v2 file system.
 */
#ifndef LLMOS_CGROUP_H
#define LLMOS_CGROUP_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct llmos_cgroup - one id to be resolved
 * @id: as the kernel told it
 * @path: below the mount, "/" for its root; NULL if there is none; owned
 */
struct llmos_cgroup {
	uint64_t id;
	char *path;
};

/* where cgroup v2 is mounted, to be freed, or NULL; @mountinfo: "/proc/self/mountinfo" */
char *llmos_cgroup_mount(const char *mountinfo);
/*
 * Find the paths of @cgroups, sorted by id and each but once, in one bounded walk of @mount.
 * Those that can not be found keep NULL.
 */
void llmos_cgroup_resolve(struct llmos_cgroup *cgroups, size_t count, const char *mount);
/*
 * The id of the cgroup of that name: a path below @mount, or from the root of the file system, or a
 * name without a slash that only one cgroup has. Return: 0; -ENOENT; -ENOTUNIQ several have it;
 * -E2BIG not all of the tree could be searched for it; -EINVAL no name of a cgroup; -ENAMETOOLONG.
 */
int llmos_cgroup_find(const char *mount, const char *name, uint64_t *ret_id);

#endif /* LLMOS_CGROUP_H */
