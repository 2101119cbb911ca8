/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who shares the server, as the kernel knows it: cgroups as they are nested, in each the users
 * whose processes ask directly from it, and below a user one leaf for each open file and class.
 * They exist while something below them does, or while they have a quota; a leaf while it has
 * requests, and while it was the last to ask by its file. They are named by id: no reference to a
 * cgroup is kept, so a request outlives the cgroup it came from.
 */
#ifndef LLM_GROUP_H
#define LLM_GROUP_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "dmem.h"
#include "news.h"
#include "policy/memory.h"
#include "policy/stage.h"

struct llm_client;
struct llm_submit;

/* Levels of cgroups; what is deeper counts as its ancestor there. */
#define LLM_LINEAGE_MAX		64
#define LLM_MEMBER_BUCKETS	256

/**
 * struct llm_lineage - a cgroup and its ancestors in the default hierarchy, when it was looked at
 * @depth: of @ids
 * @ids: the root's first
 */
struct llm_lineage {
	u32 depth;
	u64 ids[LLM_LINEAGE_MAX];
};

/**
 * struct llm_group - a cgroup; the broker's lock protects it
 * @tenant: it, among its siblings
 * @own: its own processes, among its children
 * @parent: NULL: the root
 * @id: its cgroup's
 * @by_id: in llm_broker.groups
 * @kept: memory that a server keeps for its requests to come; its own processes pay
 * @dmem: what the kernel's own ledger has of what its own processes hold
 * @told: of what is asked of that, bytes that the server knows of
 * @notice_node: in llm_broker.reclaims, while there is more that is asked
 * @refs: its children and members, one for its quota, one for what is kept, and who is at work on it
 * @quota_node: in llm_broker.quotas, while it has a quota that is not the default
 * @burst: of its quota, as set; U64_MAX: none was
 * @share_cache: all below it are one cache domain
 * @news: what happened to it and has to be told
 */
struct llm_group {
	struct llm_tenant tenant;
	struct llm_tenant own;
	struct llm_group *parent;
	u64 id;
	struct rb_node by_id;
	struct llm_ledger kept;
	struct llm_dmem_account dmem;
	u64 told[LLM_REGIONS_MAX];
	struct list_head notice_node;
	u32 refs;
	struct list_head quota_node;
	u64 burst;
	bool share_cache;
	struct llm_news news[LLM_NEWS];
};

/**
 * struct llm_member - a user in a cgroup
 * @tenant: he, among the users there
 * @group: the cgroup
 * @uid: who
 * @node: in llm_broker.members
 * @refs: his leaves
 */
struct llm_member {
	struct llm_tenant tenant;
	struct llm_group *group;
	kuid_t uid;
	struct hlist_node node;
	u32 refs;
};

/**
 * struct llm_leaf - an open file, as far as one user asks through it from one cgroup in one class
 * @share: it, among his files there
 * @member: he
 * @sched_class: enum llm_class
 * @node: in llm_client.leaves, while the file is open
 * @refs: requests, and the file where it was the last to ask
 */
struct llm_leaf {
	struct llm_share share;
	struct llm_member *member;
	u32 sched_class;
	struct list_head node;
	u32 refs;
};

void llm_lineage_take(struct llm_lineage *ret_lineage);
int llm_lineage_find(u64 id, struct llm_lineage *ret_lineage);

struct llm_group *llm_group_find(u64 id);
struct llm_group *llm_group_after(u64 id);
struct llm_group *llm_group_of(struct llm_tenant *tenant);
int llm_group_make(const struct llm_lineage *lineage, struct llm_group **ret_group);
void llm_group_get(struct llm_group *group);
void llm_group_put(struct llm_group *group);

int llm_leaf_get(struct llm_client *client, kuid_t uid, u32 sched_class,
		 const struct llm_lineage *lineage, struct llm_leaf **ret_leaf);
bool llm_leaf_is(const struct llm_leaf *leaf, kuid_t uid, u32 sched_class, u64 cgroup);
void llm_leaf_put(struct llm_leaf *leaf);
void llm_leaves_orphan(struct llm_client *client);

#endif /* LLM_GROUP_H */
