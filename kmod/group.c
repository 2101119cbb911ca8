// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cgroups, users and files as tenants: see group.h. Leaves are taken when a request is admitted and
 * returned when it is freed. What is missing on the way to a new one is allocated without the
 * lock, and looked for again.
 */
#include <linux/cgroup.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "broker.h"
#include "client.h"
#include "group.h"
#include "quota.h"

/**
 * struct llm_spares - allocated for what may be missing
 * @groups: linked by their quota_node
 * @group_count: of them
 * @member: or NULL
 * @leaf: or NULL
 * @missing: groups that are not there yet
 */
struct llm_spares {
	struct list_head groups;
	u32 group_count;
	struct llm_member *member;
	struct llm_leaf *leaf;
	u32 missing;
};

/** llm_lineage_take() - notes down the cgroup of the current task and its ancestors */
void llm_lineage_take(struct llm_lineage *ret_lineage)
{
	const struct cgroup *cgroup;

	rcu_read_lock();
	cgroup = task_dfl_cgroup(current);
	ret_lineage->depth = min(cgroup->level + 1, LLM_LINEAGE_MAX);
	for (u32 i = 0; i < ret_lineage->depth; i++)
		ret_lineage->ids[i] = cgroup_id(cgroup->ancestors[i]);
	rcu_read_unlock();
}

/**
 * llm_lineage_find() - notes down a cgroup by its id, and its ancestors
 * @id: the inode number of its folder
 * @ret_lineage: the cgroup comes last
 *
 * Context: sleeps; sees what the cgroup namespace of the current task shows.
 * Return: 0; ENOENT there is none, or it was removed, E2BIG it is nested too deep.
 */
int llm_lineage_find(u64 id, struct llm_lineage *ret_lineage)
{
	struct cgroup *cgroup = cgroup_get_from_id(id);

	if (IS_ERR(cgroup))
		return -ENOENT;
	ret_lineage->depth = min(cgroup->level + 1, LLM_LINEAGE_MAX);
	for (u32 i = 0; i < ret_lineage->depth; i++)
		ret_lineage->ids[i] = cgroup_id(cgroup->ancestors[i]);
	cgroup_put(cgroup);
	return ret_lineage->ids[ret_lineage->depth - 1] == id ? 0 : -E2BIG;
}

/** llm_group_after() - Return: the group with the lowest id from this one on, or NULL */
struct llm_group *llm_group_after(u64 id)
{
	struct rb_node *node = llm_broker.groups.rb_node;
	struct llm_group *best = NULL;

	lockdep_assert_held(&llm_broker.lock);
	while (node) {
		struct llm_group *group = rb_entry(node, struct llm_group, by_id);

		if (group->id >= id) {
			best = group;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return best;
}

/** llm_group_find() - Return: the group of this cgroup, or NULL */
struct llm_group *llm_group_find(u64 id)
{
	struct llm_group *group = llm_group_after(id);

	return group && group->id == id ? group : NULL;
}

/** llm_group_of() - Return: whose tenant this is: only groups have quotas */
struct llm_group *llm_group_of(struct llm_tenant *tenant)
{
	return container_of(tenant, struct llm_group, tenant);
}

static void llm_group_link(struct llm_group *group)
{
	struct rb_node **link = &llm_broker.groups.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = group->id < rb_entry(parent, struct llm_group, by_id)->id ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&group->by_id, parent, link);
	rb_insert_color(&group->by_id, &llm_broker.groups);
}

/* The group next above, or for the root one the root of all. */
static struct llm_tenant *llm_group_above(const struct llm_group *group)
{
	return group->parent ? &group->parent->tenant : &llm_broker.stage.policy.root;
}

/* One of the groups; there is one. */
static struct llm_group *llm_spares_take(struct llm_spares *spares)
{
	struct llm_group *group = list_first_entry(&spares->groups, struct llm_group, quota_node);

	list_del_init(&group->quota_node);
	spares->group_count--;
	return group;
}

static struct llm_group *llm_group_add(struct llm_spares *spares, struct llm_group *parent, u64 id)
{
	struct llm_group *group = llm_spares_take(spares);
	const u64 now_ns = ktime_get_ns();

	group->parent = parent;
	group->id = id;
	group->burst = U64_MAX;
	llm_tenant_init(&group->tenant, llm_group_above(group), LLM_WEIGHT_DEFAULT, now_ns);
	llm_tenant_init(&group->own, &group->tenant, LLM_WEIGHT_DEFAULT, now_ns);
	llm_ledger_init(&group->kept, &group->own, 0, true);
	llm_dmem_account_init(&group->dmem);
	INIT_LIST_HEAD(&group->notice_node);
	llm_group_link(group);
	if (parent)
		parent->refs++;
	return group;
}

/** llm_group_get() - takes a reference */
void llm_group_get(struct llm_group *group)
{
	lockdep_assert_held(&llm_broker.lock);
	group->refs++;
}

/** llm_group_put() - returns a reference; frees it and its ancestors, as far as nothing is left */
void llm_group_put(struct llm_group *group)
{
	lockdep_assert_held(&llm_broker.lock);
	while (group && !--group->refs) {
		struct llm_group *parent = group->parent;

		llm_tenant_exit(&group->own);
		llm_tenant_exit(&group->tenant);
		llm_news_drop(group->news);
		llm_quota_release(&group->tenant.quota);
		rb_erase(&group->by_id, &llm_broker.groups);
		kfree(group);
		group = parent;
	}
}

/* The cgroup itself, with those above it; there are enough spares. */
static struct llm_group *llm_group_attach(struct llm_spares *spares,
					  const struct llm_lineage *lineage)
{
	struct llm_group *group = NULL;

	for (u32 i = 0; i < lineage->depth; i++)
		group = llm_group_find(lineage->ids[i]) ?:
			llm_group_add(spares, group, lineage->ids[i]);
	return group;
}

static struct hlist_head *llm_member_bucket(const struct llm_group *group, kuid_t uid)
{
	return &llm_broker.members[hash_64(group->id ^ (u64)__kuid_val(uid) << 32,
					   ilog2(LLM_MEMBER_BUCKETS))];
}

static struct llm_member *llm_member_find(struct llm_group *group, kuid_t uid)
{
	struct llm_member *member;

	hlist_for_each_entry(member, llm_member_bucket(group, uid), node)
		if (member->group == group && uid_eq(member->uid, uid))
			return member;
	return NULL;
}

static struct llm_member *llm_member_attach(struct llm_spares *spares, struct llm_group *group,
					    kuid_t uid)
{
	struct llm_member *member = llm_member_find(group, uid);

	if (member)
		return member;
	member = spares->member;
	spares->member = NULL;
	member->group = group;
	member->uid = uid;
	llm_tenant_init(&member->tenant, &group->own, LLM_WEIGHT_DEFAULT, ktime_get_ns());
	hlist_add_head(&member->node, llm_member_bucket(group, uid));
	group->refs++;
	return member;
}

/** llm_leaf_is() - Return: it is the leaf of who asks so from a cgroup; NULL is nobody's */
bool llm_leaf_is(const struct llm_leaf *leaf, kuid_t uid, u32 sched_class, u64 cgroup)
{
	return leaf && uid_eq(leaf->member->uid, uid) && leaf->sched_class == sched_class &&
	       leaf->member->group->id == cgroup;
}

static struct llm_leaf *llm_leaf_find(struct llm_client *client, kuid_t uid, u32 sched_class,
				      u64 id)
{
	struct llm_leaf *leaf;

	list_for_each_entry(leaf, &client->leaves, node)
		if (llm_leaf_is(leaf, uid, sched_class, id))
			return leaf;
	return NULL;
}

static struct llm_leaf *llm_leaf_attach(struct llm_spares *spares, struct llm_client *client,
					kuid_t uid, u32 sched_class,
					const struct llm_lineage *lineage)
{
	struct llm_group *group = llm_group_attach(spares, lineage);
	struct llm_member *member = llm_member_attach(spares, group, uid);
	struct llm_leaf *leaf = spares->leaf;

	spares->leaf = NULL;
	leaf->member = member;
	leaf->sched_class = sched_class;
	llm_share_init(&leaf->share, &member->tenant,
		       sched_class == LLM_CLASS_INTERACTIVE ? LLM_WEIGHT_INTERACTIVE :
							      LLM_WEIGHT_DEFAULT, ktime_get_ns());
	list_add(&leaf->node, &client->leaves);
	member->refs++;
	return leaf;
}

/* Whether a group can be attached. */
static bool llm_spares_suffice(struct llm_spares *spares, const struct llm_lineage *lineage)
{
	spares->missing = 0;
	for (u32 i = 0; i < lineage->depth; i++)
		spares->missing += !llm_group_find(lineage->ids[i]);
	return spares->group_count >= spares->missing;
}

/* Return: 0; ENOMEM. */
static int llm_spares_fill(struct llm_spares *spares)
{
	while (spares->group_count < spares->missing) {
		struct llm_group *group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);

		if (!group)
			return -ENOMEM;
		list_add(&group->quota_node, &spares->groups);
		spares->group_count++;
	}
	return 0;
}

/* The same for a leaf. */
static int llm_spares_fill_leaf(struct llm_spares *spares)
{
	if (!spares->leaf)
		spares->leaf = kzalloc(sizeof(*spares->leaf), GFP_KERNEL_ACCOUNT);
	if (!spares->member)
		spares->member = kzalloc(sizeof(*spares->member), GFP_KERNEL_ACCOUNT);
	if (!spares->leaf || !spares->member)
		return -ENOMEM;
	return llm_spares_fill(spares);
}

static void llm_spares_init(struct llm_spares *spares)
{
	*spares = (struct llm_spares) { .missing = 0 };
	INIT_LIST_HEAD(&spares->groups);
}

static void llm_spares_free(struct llm_spares *spares)
{
	while (spares->group_count)
		kfree(llm_spares_take(spares));
	kfree(spares->member);
	kfree(spares->leaf);
}

/**
 * llm_group_make() - finds the group of a cgroup, or makes it and those above it
 * @lineage: of the cgroup
 * @ret_group: with a reference that llm_group_put() returns
 *
 * Context: sleeps; takes the broker's lock.
 * Return: 0; ENOMEM.
 */
int llm_group_make(const struct llm_lineage *lineage, struct llm_group **ret_group)
{
	struct llm_spares spares;
	struct llm_group *group = NULL;
	int err = 0;

	llm_spares_init(&spares);
	while (!err && !group) {
		spin_lock(&llm_broker.lock);
		if (llm_spares_suffice(&spares, lineage)) {
			group = llm_group_attach(&spares, lineage);
			group->refs++;
		}
		spin_unlock(&llm_broker.lock);
		if (!group)
			err = llm_spares_fill(&spares);
	}
	llm_spares_free(&spares);
	if (!err)
		*ret_group = group;
	return err;
}

/**
 * llm_leaf_get() - finds the leaf of a request, or makes it
 * @client: the file it comes by
 * @uid: who asks
 * @sched_class: enum llm_class
 * @lineage: from where
 * @ret_leaf: with a reference that llm_leaf_put() returns
 *
 * Context: sleeps; takes the broker's lock.
 * Return: 0; ENOMEM.
 */
int llm_leaf_get(struct llm_client *client, kuid_t uid, u32 sched_class,
		 const struct llm_lineage *lineage, struct llm_leaf **ret_leaf)
{
	struct llm_spares spares;
	struct llm_leaf *leaf = NULL;
	int err = 0;

	llm_spares_init(&spares);
	while (!err && !leaf) {
		spin_lock(&llm_broker.lock);
		leaf = llm_leaf_find(client, uid, sched_class, lineage->ids[lineage->depth - 1]);
		if (!leaf && llm_spares_suffice(&spares, lineage) && spares.leaf && spares.member)
			leaf = llm_leaf_attach(&spares, client, uid, sched_class, lineage);
		if (leaf)
			leaf->refs++;
		spin_unlock(&llm_broker.lock);
		if (!leaf)
			err = llm_spares_fill_leaf(&spares);
	}
	llm_spares_free(&spares);
	if (!err)
		*ret_leaf = leaf;
	return err;
}

/** llm_leaf_put() - returns a reference; the last one frees, and all above that has nothing left */
void llm_leaf_put(struct llm_leaf *leaf)
{
	struct llm_member *member;

	lockdep_assert_held(&llm_broker.lock);
	if (!leaf || --leaf->refs)
		return;
	member = leaf->member;
	llm_tenant_exit(&leaf->share.tenant);
	list_del(&leaf->node);
	kfree(leaf);
	if (--member->refs)
		return;
	llm_tenant_exit(&member->tenant);
	hlist_del(&member->node);
	llm_group_put(member->group);
	kfree(member);
}

/** llm_leaves_orphan() - a file is closed; the server may still have requests that came by it */
void llm_leaves_orphan(struct llm_client *client)
{
	struct llm_leaf *leaf, *next;

	lockdep_assert_held(&llm_broker.lock);
	list_for_each_entry_safe(leaf, next, &client->leaves, node)
		list_del_init(&leaf->node);
}
