/* SPDX-License-Identifier: MIT */
/*
 * Cgroups as the commands show them: their names, the limits that hold for them, and themselves as
 * JSON. Used by quota, top and pressure.
 */
#ifndef LLMCTL_GROUP_H
#define LLMCTL_GROUP_H

#include "json.h"
#include "llmctl.h"
#include "quota_key.h"

#define GROUP_NAME_MAX	32
/* a cgroup and those above it, as the kernel nests them at most */
#define GROUP_DEPTH_MAX	64

/* its path, or "#ID" where there is none, in @buf */
const char *group_name(const struct llmos_group *group, char buf[GROUP_NAME_MAX]);

/*
 * The number of a cgroup that is to be changed. A name without a slash is not to lead to what a user
 * made and called so: it must be root's, and *ret_path tells which it is, to be freed; NULL: @name
 * is a path itself. Return: exit code, said what.
 */
int group_choose(struct llmos_admin *admin, const char *name, uint64_t *ret_id, char **ret_path);
/* print which one it was, if that needs to be told; Return: exit code, said what */
int group_chosen(const char *path);
/* the cgroup of that name; Return: exit code, said what */
int group_find(struct llmos_admin *admin, const char *name, struct llmos_groups **ret);

/**
 * struct lineage - a cgroup and all above it, itself first
 * @groups: one for each
 * @count: number of them
 */
struct lineage {
	struct llmos_groups *groups[GROUP_DEPTH_MAX];
	size_t count;
};

/* Return: exit code, said what; @lineage is to be done with in any case */
int lineage_get(struct lineage *lineage, struct llmos_admin *admin, const char *name);
void lineage_done(struct lineage *lineage);
/*
 * What holds for the cgroup: the tightest of its own and those above. Weight is its own, the cost
 * of a prompt's token the root's. @ret_by: whose it is, NULL: nobody has set it
 */
void lineage_effective(const struct lineage *lineage, enum quota_key key, struct llmos_quota *ret,
		       const struct llmos_group **ret_by);
uint64_t lineage_memory(const struct lineage *lineage, const char *region,
			const struct llmos_group **ret_by);

/* members of an object; a limit that is none is null */
void group_json(struct json *json, const struct llmos_group *group);
void stall_json(struct json *json, const char *key, const struct llmos_stall *stall);
void quota_json(struct json *json, const char *key, const struct llmos_quota *quota);

#endif /* LLMCTL_GROUP_H */
