/* SPDX-License-Identifier: MIT */
/*
 * Cgroups as the kernel's broker knows them: one, or all that have a quota or requests. The
 * array returned owns itself and the paths in it.
 */
#include <errno.h>
#include <string.h>

#include <linux/llm_netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "admin.h"
#include "cgroup.h"
#include "decode.h"

#define GROUPS_MAX	65536U	/* that we are ready to hold */
#define DUMP_TRIES	8	/* of a list that changes while it is read */

/**
 * struct group_list - what a struct llmos_groups is the first member of
 * @groups: what the caller sees
 * @size: groups there is room for
 * @names: paths by id, as many as groups
 */
struct group_list {
	struct llmos_groups groups;
	size_t size;
	struct llmos_cgroup *names;
	size_t name_count;
};

void llmos_groups_free(struct llmos_groups *groups)
{
	struct group_list *list;
	size_t i;

	if (!groups)
		return;
	list = llmos_container(groups, struct group_list, groups);
	for (i = 0; i < list->name_count; i++)
		free(list->names[i].path);
	free(list->names);
	free(groups->groups);
	free(list);
}

static int group_list_add(void *userdata, unsigned int cmd, struct nlattr *attrs, int len)
{
	struct group_list *list = userdata;
	struct llmos_group *grown;
	size_t size;

	if (cmd != LLM_NL_CMD_GROUP_GET)
		return 0;
	if (list->groups.count == GROUPS_MAX)
		return -EMSGSIZE;
	if (list->groups.count == list->size) {
		size = list->size ? list->size * 2 : 4;
		grown = reallocarray(list->groups.groups, size, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->groups.groups = grown;
		list->size = size;
	}
	return llmos_decode_group(attrs, len, &list->groups.groups[list->groups.count++]);
}

/* ---- names ---- */

static int id_compare(const void *a, const void *b)
{
	const struct llmos_cgroup *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int path_compare(const void *a, const void *b)
{
	const struct llmos_group *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r ? r : x->id < y->id ? -1 : x->id > y->id;
}

static int group_list_names(struct group_list *list, const char *mount)
{
	struct llmos_groups *groups = &list->groups;
	size_t i, count = 0;

	list->names = calloc(groups->count ? groups->count : 1, sizeof(*list->names));
	if (!list->names)
		return -ENOMEM;
	for (i = 0; i < groups->count; i++)
		list->names[i].id = groups->groups[i].id;
	qsort(list->names, groups->count, sizeof(*list->names), id_compare);
	for (i = 0; i < groups->count; i++)
		if (!count || list->names[i].id != list->names[count - 1].id)
			list->names[count++] = list->names[i];
	list->name_count = count;
	if (mount)
		llmos_cgroup_resolve(list->names, count, mount);
	for (i = 0; i < groups->count; i++) {
		struct llmos_cgroup key = { .id = groups->groups[i].id };
		const struct llmos_cgroup *name;

		name = bsearch(&key, list->names, count, sizeof(key), id_compare);
		groups->groups[i].path = name->path ? name->path : "";
	}
	qsort(groups->groups, groups->count, sizeof(*groups->groups), path_compare);
	return 0;
}

/* ---- one, and all ---- */

/* @id 0: all. Return: 0, -EAGAIN they changed meanwhile, -errno, said what */
static int groups_read(struct llmos_admin *admin, struct llmos_groups **ret, uint64_t id)
{
	_cleanup_(llmos_groups_freep) struct llmos_groups *groups = NULL;
	_cleanup_(llmos_nl_freep) struct nl_msg *message = NULL;
	struct group_list *list = calloc(1, sizeof(*list));
	int r;

	groups = list ? &list->groups : NULL;
	message = llmos_netlink_message(admin->calls, LLM_NL_CMD_GROUP_GET, !id);
	if (!list || !message || (id && nla_put_u64(message, LLM_NL_A_CGROUP, id) < 0))
		return llmos_admin_fail(admin, NULL, -ENOMEM, "cgroups");
	r = llmos_admin_call(admin, admin->calls, message, group_list_add, list, id);
	if (r < 0)
		return r;
	if (id && (groups->count != 1 || groups->groups[0].id != id))
		return llmos_admin_fail(admin, NULL, -EPROTO, "answer about a cgroup");
	r = group_list_names(list, admin->mount);
	if (r < 0)
		return llmos_admin_fail(admin, NULL, r, "names of cgroups");
	*ret = groups;
	groups = NULL;
	return 0;
}

int llmos_group_get(struct llmos_admin *admin, struct llmos_groups **ret, uint64_t id)
{
	if (!id)
		return llmos_admin_fail(admin, NULL, -EINVAL, "cgroup '0'");
	return groups_read(admin, ret, id);
}

int llmos_groups(struct llmos_admin *admin, struct llmos_groups **ret)
{
	int tries, r = -EAGAIN;

	for (tries = 0; tries < DUMP_TRIES && r == -EAGAIN; tries++)
		r = groups_read(admin, ret, 0);
	return r;
}
