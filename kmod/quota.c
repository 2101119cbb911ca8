// SPDX-License-Identifier: GPL-2.0-only
/*
 * Setting, acting on and forgetting quotas: see quota.h. Set and reset by administrators' messages;
 * asked at each submission. The broker's lock protects all of it.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "broker.h"
#include "charge.h"
#include "group.h"
#include "netlink.h"
#include "policy/quota.h"
#include "policy/stock.h"
#include "queue.h"
#include "quota.h"
#include "region.h"
#include "request.h"

#define LLM_QUOTA_LOOK_S	2	/* after so long removed cgroups are looked for again */

/* Whether a group's quota says nothing, so that it need not be remembered. */
static bool llm_quota_default(const struct llm_group *group)
{
	const struct llm_quota none = llm_quota_none(LLM_WEIGHT_DEFAULT);
	const struct llm_quota *quota = &group->tenant.quota;

	for (int region = 0; region < LLM_REGIONS_MAX; region++)
		if (quota->memory[region] != none.memory[region])
			return false;
	if (!group->parent && llm_broker.stage.prompt_cost != LLM_PROMPT_COST)
		return false;
	return quota->weight == none.weight && quota->in_flight == none.in_flight &&
	       quota->queued == none.queued && quota->rate == none.rate &&
	       group->burst == none.burst && quota->compute_ns == none.compute_ns &&
	       quota->period_ns == none.period_ns && !group->share_cache;
}

/* Under the lock, as all that starts the work. */
static void llm_quota_look_later(void)
{
	schedule_delayed_work(&llm_broker.collection, LLM_QUOTA_LOOK_S * HZ);
}

/* A group is remembered for its quota, or not any more, as its quota says. */
static void llm_quota_remember(struct llm_group *group, bool remember)
{
	const bool remembered = !list_empty(&group->quota_node);

	if (remember == remembered)
		return;
	if (remember) {
		llm_group_get(group);
		list_add_tail(&group->quota_node, &llm_broker.quotas);
		llm_broker.quota_count++;
		llm_quota_look_later();
	} else {
		list_del_init(&group->quota_node);
		llm_broker.quota_count--;
		llm_group_put(group);
	}
}

/* What the quota would be, but for the burst. */
static void llm_quota_merge(struct llm_quota *quota, const struct llm_quota_change *change)
{
	const struct llm_quota *from = &change->quota;

	if (change->fields & BIT(LLM_QUOTA_WEIGHT))
		quota->weight = from->weight;
	if (change->fields & BIT(LLM_QUOTA_IN_FLIGHT))
		quota->in_flight = from->in_flight;
	if (change->fields & BIT(LLM_QUOTA_QUEUED))
		quota->queued = from->queued;
	if (change->fields & BIT(LLM_QUOTA_RATE))
		quota->rate = from->rate;
	if (change->fields & BIT(LLM_QUOTA_COMPUTE))
		quota->compute_ns = from->compute_ns;
	if (change->fields & BIT(LLM_QUOTA_PERIOD))
		quota->period_ns = from->period_ns;
}

/* Limits the regions that a change names; each that is limited is used. Return: 0; ENOSPC. */
static noinline int llm_quota_merge_memory(struct llm_quota *quota,
					   const struct llm_quota_change *change)
{
	const char *names[LLM_REGIONS_MAX] = { NULL };
	u32 regions[LLM_REGIONS_MAX], count = 0;
	u64 bytes[LLM_REGIONS_MAX];
	int err;

	for (u32 i = 0; i < change->memory_count; i++) {
		/* nobody has to know a region that is not limited */
		if (change->memory[i].bytes == U64_MAX &&
		    llm_region_find(change->memory[i].region) < 0)
			continue;
		names[count] = change->memory[i].region;
		bytes[count++] = change->memory[i].bytes;
	}
	err = llm_regions_get(names, count, regions);
	if (err)
		return err;
	for (u32 i = 0; i < count; i++) {
		u64 *limit = &quota->memory[regions[i]];

		/* each limit is one use, whatever it is */
		if (*limit != U64_MAX)
			llm_region_put(regions[i]);
		if (bytes[i] == U64_MAX)
			llm_region_put(regions[i]);
		*limit = bytes[i];
	}
	return 0;
}

/** llm_quota_release() - a group's quota limits no region any more */
void llm_quota_release(const struct llm_quota *quota)
{
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (quota->memory[region] != U64_MAX)
			llm_region_put(region);
}

/* Where a rate is set and no burst, one second of it may be used at once. */
static u64 llm_quota_burst(u64 rate, u64 burst)
{
	if (rate == U64_MAX || burst != U64_MAX)
		return burst;
	return clamp(rate, (u64)LLM_COST_UNIT, LLM_RATE_MAX);
}

static void llm_quota_apply(struct llm_group *group, const struct llm_quota *quota)
{
	llm_tenant_set_quota(&group->tenant, quota, ktime_get_ns());
	/* who was kept out may not be any more */
	llm_queue_run();
	llm_charge_run();
}

/* Under the lock; the group has a reference. */
static int llm_quota_change_locked(struct llm_group *group, const struct llm_quota_change *change)
{
	struct llm_quota quota = group->tenant.quota;
	u64 burst = group->burst;
	int err;

	llm_quota_merge(&quota, change);
	if (change->fields & BIT(LLM_QUOTA_BURST))
		burst = change->quota.burst;
	quota.burst = llm_quota_burst(quota.rate, burst);
	if (!llm_quota_valid(&quota))
		return -ERANGE;
	if (change->fields & BIT(LLM_QUOTA_PROMPT_COST) && group->parent)
		return -EINVAL;
	if (list_empty(&group->quota_node) && llm_broker.quota_count >= LLM_QUOTAS_MAX)
		return -ENOSPC;
	err = llm_quota_merge_memory(&quota, change);
	if (err)
		return err;
	group->burst = burst;
	if (change->fields & BIT(LLM_QUOTA_SHARE_CACHE))
		group->share_cache = change->share_cache;
	if (change->fields & BIT(LLM_QUOTA_PROMPT_COST))
		llm_broker.stage.prompt_cost = change->prompt_cost;
	llm_quota_apply(group, &quota);
	llm_quota_remember(group, !llm_quota_default(group));
	return 0;
}

static void llm_quota_tell(u64 cgroup, u32 type)
{
	const struct llm_report report = {
		.type = type,
		.time_ns = ktime_get_ns(),
		.cgroup = cgroup,
		.count = 1,
	};

	llm_netlink_tell(&report);
}

/**
 * llm_quota_change() - sets some of a cgroup's quota, from now on
 * @cgroup: its id
 * @change: what
 *
 * Context: sleeps.
 * Return: 0; ENOENT no such cgroup, E2BIG nested too deep, ERANGE, EINVAL not for this cgroup,
 * ENOSPC too many have one, or too many regions are known, ENOMEM.
 */
int llm_quota_change(u64 cgroup, const struct llm_quota_change *change)
{
	struct llm_lineage lineage;
	struct llm_group *group;
	int err;

	err = llm_lineage_find(cgroup, &lineage) ?: llm_group_make(&lineage, &group);
	if (err)
		return err;
	spin_lock(&llm_broker.lock);
	err = llm_quota_change_locked(group, change);
	llm_group_put(group);
	spin_unlock(&llm_broker.lock);
	if (!err)
		llm_quota_tell(cgroup, LLM_NL_EVENT_QUOTA);
	return err;
}

static void llm_quota_reset_locked(struct llm_group *group)
{
	const struct llm_quota none = llm_quota_none(LLM_WEIGHT_DEFAULT);

	llm_group_get(group);
	group->burst = U64_MAX;
	group->share_cache = false;
	if (!group->parent)
		llm_broker.stage.prompt_cost = LLM_PROMPT_COST;
	llm_quota_release(&group->tenant.quota);
	llm_quota_apply(group, &none);
	llm_quota_remember(group, false);
	llm_group_put(group);
}

/**
 * llm_quota_reset() - a cgroup's quota is the default again
 * @cgroup: its id
 *
 * Context: sleeps.
 * Return: 0; ENOENT no such cgroup, and nothing left of one.
 */
int llm_quota_reset(u64 cgroup)
{
	struct llm_lineage lineage;
	struct llm_group *group;
	bool had = false;

	spin_lock(&llm_broker.lock);
	group = llm_group_find(cgroup);
	/* also one that was removed, while there are requests left */
	had = group && !llm_quota_default(group);
	if (had)
		llm_quota_reset_locked(group);
	spin_unlock(&llm_broker.lock);
	if (had)
		llm_quota_tell(cgroup, LLM_NL_EVENT_QUOTA);
	return had || llm_lineage_find(cgroup, &lineage) != -ENOENT ? 0 : -ENOENT;
}

/** llm_quota_reset_all() - nobody has a quota any more; sleeps */
void llm_quota_reset_all(void)
{
	struct llm_group *group;
	u64 cgroup = 0;
	bool had;

	do {
		spin_lock(&llm_broker.lock);
		group = llm_group_after(cgroup);
		had = group && !llm_quota_default(group);
		if (group)
			cgroup = group->id + 1;
		if (had)
			llm_quota_reset_locked(group);
		spin_unlock(&llm_broker.lock);
		if (had)
			llm_quota_tell(cgroup - 1, LLM_NL_EVENT_QUOTA);
		cond_resched();
	} while (group);
}

/* The cgroup after this one that has a quota, in turn: the list goes round. */
static u64 llm_quota_next(void)
{
	struct llm_group *group;

	group = list_first_entry_or_null(&llm_broker.quotas, struct llm_group, quota_node);
	if (!group)
		return 0;
	list_move_tail(&group->quota_node, &llm_broker.quotas);
	return group->id;
}

/* Forgets the quota of a cgroup that was removed; requests that are left there keep it. */
static void llm_quota_gone(u64 cgroup)
{
	struct llm_group *group;
	bool had;

	spin_lock(&llm_broker.lock);
	group = llm_group_find(cgroup);
	had = group && !list_empty(&group->quota_node);
	if (had)
		llm_quota_remember(group, false);
	spin_unlock(&llm_broker.lock);
	if (had)
		llm_quota_tell(cgroup, LLM_NL_EVENT_GROUP_GONE);
}

/** llm_quota_collect() - looks once for each cgroup with a quota whether it is still there */
void llm_quota_collect(struct work_struct *work)
{
	struct llm_lineage lineage;
	u32 left;

	spin_lock(&llm_broker.lock);
	left = llm_broker.quota_count;
	spin_unlock(&llm_broker.lock);
	while (left--) {
		u64 cgroup;

		spin_lock(&llm_broker.lock);
		cgroup = llm_quota_next();
		spin_unlock(&llm_broker.lock);
		if (!cgroup)
			break;
		/* a kernel thread sees all cgroups */
		if (llm_lineage_find(cgroup, &lineage) == -ENOENT)
			llm_quota_gone(cgroup);
		cond_resched();
	}
	spin_lock(&llm_broker.lock);
	if (llm_broker.quota_count)
		llm_quota_look_later();
	spin_unlock(&llm_broker.lock);
}

/* Whose quota has no room for so many bytes more; or NULL: others come first. */
static struct llm_group *llm_quota_memory_keeper(const struct llm_request *req,
						 unsigned int region, u64 bytes)
{
	struct llm_group *group;

	for (group = req->leaf->member->group; group; group = group->parent) {
		const u64 limit = group->tenant.quota.memory[region];

		if (limit != U64_MAX &&
		    (bytes > limit || group->tenant.usage.memory[region] > limit - bytes))
			break;
	}
	return group;
}

/**
 * llm_quota_refused_memory() - tells that a request can not have memory now, or ever
 * @req: it, with a leaf
 * @region: where
 * @bytes: how much
 */
void llm_quota_refused_memory(const struct llm_request *req, unsigned int region, u64 bytes)
{
	struct llm_group *keeper = llm_quota_memory_keeper(req, region, bytes);

	lockdep_assert_held(&llm_broker.lock);
	if (keeper)
		llm_news_refused(keeper, req);
}

/**
 * llm_quota_admit() - may a request wait for its turn
 * @req: as it is about to be published
 *
 * Return: 0; EDQUOT: nothing like it will ever be served, or there is no room for it to wait, or it
 * does not want to, and would have to for a quota.
 */
int llm_quota_admit(struct llm_request *req)
{
	const struct llm_tally once = { .refused = 1 };
	struct llm_tenant *leaf, *keeper;

	lockdep_assert_held(&llm_broker.lock);
	if (!req->leaf)
		return 0;
	leaf = &req->leaf->share.tenant;
	if (llm_stock_of(leaf))
		return 0;
	keeper = llm_tenant_never(leaf) ?: llm_tenant_full(leaf);
	if (!keeper && req->spec.flags & LLM_SUBMIT_EDQUOT)
		keeper = llm_tenant_kept(leaf, LLM_WANT_START);
	if (!keeper)
		return 0;
	llm_tenant_tally(leaf, &once);
	llm_news_refused(llm_group_of(keeper), req);
	return -EDQUOT;
}

/**
 * llm_quota_domain() - who may reuse what was computed for whom
 * @group: who asks
 *
 * Return: the topmost cgroup from here up whose administrator lets all below it share; 0: none.
 */
u64 llm_quota_domain(const struct llm_group *group)
{
	u64 domain = 0;

	lockdep_assert_held(&llm_broker.lock);
	for (; group; group = group->parent)
		if (group->share_cache)
			domain = group->id;
	return domain;
}
