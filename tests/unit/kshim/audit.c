// SPDX-License-Identifier: MIT
/*
 * What is charged equals what is held: see audit.h.
 */
#include "kshim.h"

#include "kmod/broker.h"
#include "kmod/group.h"
#include "kmod/queue.h"
#include "kmod/request.h"
#include "kmod/server.h"

#include "audit.h"

/* What the server believes to hold: for requests, and for up to eight cgroups. */
static u64 held[AUDIT_IDS][AUDIT_REGIONS];
static struct kept {
	u64 cgroup_id;
	u64 held[AUDIT_REGIONS];
} kept[8];

void audit_start(void)
{
	memset(held, 0, sizeof(held));
	memset(kept, 0, sizeof(kept));
}

static struct kept *kept_of(u64 cgroup_id)
{
	for (u32 i = 0; i < 8; i++) {
		if (!kept[i].cgroup_id)
			kept[i].cgroup_id = cgroup_id;
		if (kept[i].cgroup_id == cgroup_id)
			return &kept[i];
	}
	kshim_bug("more cgroups than there are", __FILE__, __LINE__);
}

u64 audit_some_cgroup(u32 random)
{
	return kept[random % 8].cgroup_id;
}

static struct llm_request *request_find(u64 id)
{
	struct llm_request *req;

	spin_lock(&llm_broker.lock);
	req = llm_request_find(id);
	spin_unlock(&llm_broker.lock);
	return req;
}

void audit_note(const struct llm_call *call, int rc)
{
	const struct llm_charge *charge = &call->args.charge;
	const bool uncharge = call->command->cmd == LLM_IOC_UNCHARGE;
	u32 region;

	if (rc || charge->id >= AUDIT_IDS)
		return;
	region = call->server->regions[charge->region];
	WARN_ON(region >= AUDIT_REGIONS);
	if (uncharge && !charge->id)
		kept_of(charge->cgroup_id)->held[region] -= charge->bytes;
	else if (uncharge)
		held[charge->id][region] -= charge->bytes;
	else if (!(charge->flags & LLM_CHARGE_KEEP))
		held[charge->id][region] += charge->bytes;
	else {
		held[charge->id][region] -= charge->bytes;
		kept_of(request_find(charge->id)->who.cgroup_id)->held[region] += charge->bytes;
	}
}

/* ---- sums along the tree ---- */

static u64 reserved(const struct llm_ledger *ledger, u32 region)
{
	return ledger->region == region ? ledger->reserve : 0;
}

static bool is_below(const struct llm_ledger *ledger, const struct llm_tenant *above)
{
	for (const struct llm_tenant *tenant = ledger->payer; tenant; tenant = tenant->parent)
		if (tenant == above)
			return true;
	return false;
}

static void sum(const struct llm_tenant *tenant, u32 region, const struct llm_ledger *ledger,
		u64 *charged, u64 *stuck)
{
	if (!is_below(ledger, tenant))
		return;
	*charged += ledger->held[region] + reserved(ledger, region);
	*stuck += ledger->stuck ? ledger->held[region] : 0;
}

static const struct llm_group *group_from(u64 id)
{
	const struct llm_group *group;

	spin_lock(&llm_broker.lock);
	group = llm_group_after(id);
	spin_unlock(&llm_broker.lock);
	return group;
}

static void check_tenant(const struct llm_tenant *tenant)
{
	for (u32 region = 0; region < LLM_REGIONS_MAX; region++) {
		u64 charged = 0, stuck = 0;

		for (struct rb_node *node = NULL;;) {
			const u64 last = node ? rb_entry(node, struct llm_request, by_id)->id : 0;
			struct llm_request *req;

			spin_lock(&llm_broker.lock);
			req = llm_request_after(last);
			spin_unlock(&llm_broker.lock);
			if (!req)
				break;
			node = &req->by_id;
			sum(tenant, region, &req->ledger, &charged, &stuck);
		}
		for (const struct llm_group *group = group_from(0); group;
		     group = group_from(group->id + 1))
			sum(tenant, region, &group->kept, &charged, &stuck);
		WARN_ON(tenant->usage.memory[region] != charged);
		WARN_ON(tenant->stuck[region] != stuck);
	}
}

/* ---- each ledger ---- */

static void check_group(const struct llm_group *group)
{
	const struct kept *known = kept_of(group->id);

	check_tenant(&group->tenant);
	for (u32 region = 0; region < AUDIT_REGIONS; region++) {
		WARN_ON(group->kept.held[region] != known->held[region]);
		WARN_ON(group->kept.asked[region] > group->kept.held[region]);
		WARN_ON(group->told[region] > group->kept.asked[region]);
		WARN_ON(list_empty(&group->notice_node) &&
			group->told[region] != group->kept.asked[region]);
	}
}

static bool check_request(const struct llm_request *req)
{
	const struct llm_ledger *ledger = &req->ledger;
	const bool held_by_server = req->state >= LLM_STATE_RUNNING &&
				    req->state <= LLM_STATE_CANCELLING;

	WARN_ON(ledger->payer != (req->leaf ? &req->leaf->share.tenant : NULL));
	WARN_ON(ledger->waits && req->state != LLM_STATE_PAUSED);
	WARN_ON(ledger->idle && (!req->leaf || req->state != LLM_STATE_PAUSED));
	WARN_ON(!ledger->idle && req->waits_for_reader && req->leaf &&
		req->state == LLM_STATE_PAUSED);
	WARN_ON(req->notice == LLM_EVENT_RECLAIM && !ledger->asked[req->notice_region]);
	for (u32 region = 0; region < AUDIT_REGIONS && req->id < AUDIT_IDS; region++) {
		if (!held_by_server)
			held[req->id][region] = 0;
		WARN_ON(ledger->held[region] != held[req->id][region]);
	}
	return ledger->waits;
}

u32 audit_check(void)
{
	u32 waiting = 0;
	u64 id = 0;

	check_tenant(&llm_broker.stage.policy.root);
	if (!llm_broker.server || llm_broker.server->gone)
		memset(kept, 0, sizeof(kept));
	for (const struct llm_group *group = group_from(0); group;
	     group = group_from(group->id + 1))
		check_group(group);
	for (;;) {
		const struct llm_request *req;

		spin_lock(&llm_broker.lock);
		req = llm_request_after(id);
		spin_unlock(&llm_broker.lock);
		if (!req)
			break;
		id = req->id;
		waiting += check_request(req);
	}
	return waiting;
}
