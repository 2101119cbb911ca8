/* SPDX-License-Identifier: MIT */
/*
 * Who shares the server over the socket: cgroups as they are nested, in each the users whose
 * processes ask directly from it, below a user one leaf for each connection and class. The counterpart of the
 * module's groups; the arithmetic of both is in kmod/policy. What is here exists while it has
 * requests. Owned by the broker.
 */
#ifndef LLMOS_IPC_TENANTS_H
#define LLMOS_IPC_TENANTS_H

#include "base/list.h"
#include "ipc/peer.h"
#include "kmod/policy/stage.h"

struct tenant_group;
struct tenant_member;

/**
 * struct tenant_leaf - a connection's requests of one class, as far as one user asks from one cgroup
 * @link: in its connection's list, while that is open
 * @share: it, among his others there
 * @member: he
 * @is_interactive: which class
 * @refs: requests
 */
struct tenant_leaf {
	struct list link;
	struct llm_share share;
	struct tenant_member *member;
	bool is_interactive;
	unsigned int refs;
};

/**
 * struct tenants - all of them
 * @stage: whose compute is stepped
 * @groups: cgroups with requests
 * @members: users in them
 */
struct tenants {
	struct llm_stage stage;
	struct list groups;
	struct list members;
};

void tenants_init(struct tenants *tenants);
/**
 * tenants_get() - the leaf of a request
 * @leaves: those of its connection
 * @peer: who asks, from where
 * @is_interactive: of its class
 * @ret: with a reference that tenants_put() returns
 *
 * Return: 0; -ENOMEM.
 */
int tenants_get(struct tenants *tenants, struct list *leaves, const struct peer *peer,
		bool is_interactive, struct tenant_leaf **ret);
void tenants_put(struct tenant_leaf *leaf);

#endif /* LLMOS_IPC_TENANTS_H */
