/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who shares the server, as the kernel knows it: cgroups as they are nested, in each the users whose
 * processes ask directly from it, and below a user one leaf for each open file. They exist while
 * something below them does, and are named by id: no reference to a cgroup is kept, so a request
 * outlives the cgroup it came from.
 */
#ifndef LLM_GROUP_H
#define LLM_GROUP_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "policy/stage.h"

struct llm_client;

/* Levels of cgroups; what is deeper counts as its ancestor there. */
#define LLM_LINEAGE_MAX		64
#define LLM_GROUP_BUCKETS	256

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
 * @node: in llm_broker.groups
 * @refs: its children and members
 */
struct llm_group {
	struct llm_tenant tenant;
	struct llm_tenant own;
	struct llm_group *parent;
	u64 id;
	struct hlist_node node;
	u32 refs;
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
 * struct llm_leaf - an open file, as far as one user asks through it from one cgroup
 * @share: it, among his files there
 * @member: he
 * @node: in llm_client.leaves, while the file is open
 * @refs: requests
 */
struct llm_leaf {
	struct llm_share share;
	struct llm_member *member;
	struct list_head node;
	u32 refs;
};

void llm_lineage_take(struct llm_lineage *ret_lineage);
int llm_leaf_get(struct llm_client *client, kuid_t uid, const struct llm_lineage *lineage,
		 struct llm_leaf **ret_leaf);
void llm_leaf_put(struct llm_leaf *leaf);
void llm_leaves_orphan(struct llm_client *client);

#endif /* LLM_GROUP_H */
