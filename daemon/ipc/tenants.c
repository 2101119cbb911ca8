/* SPDX-License-Identifier: MIT */
/* Cgroups, users and connections as tenants; see tenants.h. */
#include "ipc/tenants.h"

#include "base/clock.h"

#define TENANTS_INTERACTIVE	(4 * LLM_WEIGHT_DEFAULT)

/**
 * struct tenant_group - a cgroup
 * @link: in the list of all
 * @tenant: it, among its siblings
 * @own: its own processes, among its children
 * @parent: NULL: the topmost
 * @id: its inode
 * @refs: its children and members
 */
struct tenant_group {
	struct list link;
	struct llm_tenant tenant;
	struct llm_tenant own;
	struct tenant_group *parent;
	uint64_t id;
	unsigned int refs;
};

/**
 * struct tenant_member - a user in a cgroup
 * @link: in the list of all
 * @tenant: he, among the users there
 * @group: the cgroup
 * @uid: who
 * @refs: his leaves
 */
struct tenant_member {
	struct list link;
	struct llm_tenant tenant;
	struct tenant_group *group;
	uint32_t uid;
	unsigned int refs;
};

void tenants_init(struct tenants *tenants)
{
	llm_stage_init(&tenants->stage, U32_MAX, clock_ns());
	list_init(&tenants->groups);
	list_init(&tenants->members);
}

/* ---- cgroups ---- */

/* there are few; a number comes to mean another cgroup only when the first one has long been gone */
static struct tenant_group *group_find(struct tenants *tenants, const struct tenant_group *parent,
				       uint64_t id)
{
	struct tenant_group *group;

	list_each(group, &tenants->groups, link)
		if (group->id == id && group->parent == parent)
			return group;
	return NULL;
}

static struct tenant_group *group_new(struct tenants *tenants, struct tenant_group *parent,
				      uint64_t id)
{
	struct tenant_group *group = calloc(1, sizeof(*group));
	uint64_t now_ns = clock_ns();

	if (!group)
		return NULL;
	group->parent = parent;
	group->id = id;
	llm_tenant_init(&group->tenant, parent ? &parent->tenant : &tenants->stage.policy.root,
			LLM_WEIGHT_DEFAULT, now_ns);
	llm_tenant_init(&group->own, &group->tenant, LLM_WEIGHT_DEFAULT, now_ns);
	list_append(&tenants->groups, &group->link);
	if (parent)
		parent->refs++;
	return group;
}

/* it and those above, as far as nothing is left below them */
static void group_put(struct tenant_group *group)
{
	while (group && (!group->refs || !--group->refs)) {
		struct tenant_group *parent = group->parent;

		llm_tenant_exit(&group->own);
		llm_tenant_exit(&group->tenant);
		list_remove(&group->link);
		free(group);
		group = parent;
	}
}

/* the cgroup itself; one that is not known counts as a child of nobody with the number 0 */
static struct tenant_group *group_get(struct tenants *tenants, const struct peer_lineage *lineage)
{
	struct tenant_group *group = NULL, *next;
	unsigned int i = 0;

	do {
		uint64_t id = lineage->depth ? lineage->ids[i] : 0;

		next = group_find(tenants, group, id);
		if (!next)
			next = group_new(tenants, group, id);
		if (!next) {
			/* those that were made on the way have nothing below them */
			if (group && !group->refs)
				group_put(group);
			return NULL;
		}
		group = next;
	} while (++i < lineage->depth);
	return group;
}

/* ---- users ---- */

static struct tenant_member *member_new(struct tenants *tenants, struct tenant_group *group,
					uint32_t uid)
{
	struct tenant_member *member = calloc(1, sizeof(*member));

	if (!member)
		return NULL;
	member->group = group;
	member->uid = uid;
	llm_tenant_init(&member->tenant, &group->own, LLM_WEIGHT_DEFAULT, clock_ns());
	list_append(&tenants->members, &member->link);
	group->refs++;
	return member;
}

static void member_put(struct tenant_member *member)
{
	struct tenant_group *group = member->group;

	if (member->refs && --member->refs)
		return;
	llm_tenant_exit(&member->tenant);
	list_remove(&member->link);
	free(member);
	group_put(group);
}

static struct tenant_member *member_get(struct tenants *tenants, const struct peer *peer)
{
	struct tenant_group *group = group_get(tenants, &peer->lineage);
	struct tenant_member *member;

	if (!group)
		return NULL;
	list_each(member, &tenants->members, link)
		if (member->group == group && member->uid == peer->uid)
			return member;
	member = member_new(tenants, group, peer->uid);
	if (!member && !group->refs)
		group_put(group);
	return member;
}

/* ---- leaves ---- */

static struct tenant_leaf *leaf_find(struct list *leaves, const struct tenant_member *member,
				     bool is_interactive)
{
	struct tenant_leaf *leaf;

	list_each(leaf, leaves, link)
		if (leaf->member == member && leaf->is_interactive == is_interactive)
			return leaf;
	return NULL;
}

static struct tenant_leaf *leaf_new(struct list *leaves, struct tenant_member *member,
				    bool is_interactive)
{
	struct tenant_leaf *leaf = calloc(1, sizeof(*leaf));

	if (!leaf)
		return NULL;
	leaf->member = member;
	leaf->is_interactive = is_interactive;
	llm_share_init(&leaf->share, &member->tenant,
		       is_interactive ? TENANTS_INTERACTIVE : LLM_WEIGHT_DEFAULT, clock_ns());
	list_append(leaves, &leaf->link);
	member->refs++;
	return leaf;
}

int tenants_get(struct tenants *tenants, struct list *leaves, const struct peer *peer,
		bool is_interactive, struct tenant_leaf **ret)
{
	struct tenant_member *member = member_get(tenants, peer);
	struct tenant_leaf *leaf;

	if (!member)
		return -ENOMEM;
	leaf = leaf_find(leaves, member, is_interactive);
	if (!leaf)
		leaf = leaf_new(leaves, member, is_interactive);
	if (!leaf) {
		if (!member->refs)
			member_put(member);
		return -ENOMEM;
	}
	leaf->refs++;
	*ret = leaf;
	return 0;
}

void tenants_put(struct tenant_leaf *leaf)
{
	if (--leaf->refs)
		return;
	llm_tenant_exit(&leaf->share.tenant);
	list_remove(&leaf->link);
	member_put(leaf->member);
	free(leaf);
}
