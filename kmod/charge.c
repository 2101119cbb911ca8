// SPDX-License-Identifier: GPL-2.0-only
/*
 * CHARGE and UNCHARGE: see charge.h. The broker's lock protects every ledger. Whenever memory comes
 * back, the first few charges that wait are tried again at once; work of its own tries the others,
 * a few at a time, and asks for memory back where nobody else would make room.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "args.h"
#include "broker.h"
#include "call.h"
#include "charge.h"
#include "commands.h"
#include "dmem.h"
#include "group.h"
#include "queue.h"
#include "quota.h"
#include "request.h"
#include "server.h"

#define LLM_ORPHANS_LOOK_S	2	/* after so long removed cgroups are looked for again */

static struct llm_request *llm_request_of(struct llm_ledger *ledger)
{
	return container_of(ledger, struct llm_request, ledger);
}

static struct llm_policy *llm_charge_policy(void)
{
	return &llm_broker.stage.policy;
}

/* The server need not hear any more of what a request was asked for. */
static void llm_charge_settle(struct llm_request *req)
{
	if (req->notice == LLM_EVENT_RECLAIM && !req->ledger.asked[req->notice_region])
		llm_queue_drop_notice(req);
}

/* A request does not wait for memory any more. It goes on if that was all it waited for. */
static void llm_charge_go_on(struct llm_request *req)
{
	llm_charge_settle(req);
	if (req->state == LLM_STATE_PAUSED && !req->waits_for_reader)
		llm_queue_go_on(req);
}

static void llm_charge_retry(struct llm_ledger *claim)
{
	struct llm_request *req = llm_request_of(claim);

	if (llm_dmem_may_retry(req) && llm_ledger_retry(claim))
		llm_charge_go_on(req);
}

/**
 * llm_charge_run() - there may be room for charges that wait
 *
 * Context: under the broker's lock.
 */
void llm_charge_run(void)
{
	struct llm_ledger *claim;
	u64 age = 0;

	lockdep_assert_held(&llm_broker.lock);
	for (int i = 0; i < LLM_BATCH; i++) {
		claim = llm_policy_claim_after(llm_charge_policy(), age);
		if (!claim)
			break;
		age = claim->age;
		llm_charge_retry(claim);
	}
	if (llm_policy_claim_after(llm_charge_policy(), 0))
		schedule_delayed_work(&llm_broker.claims, 0);
}

/* ---- asking for memory back ---- */

/* The server is to be told of what a cgroup is asked for. */
static void llm_charge_tell(struct llm_group *group)
{
	if (list_empty(&group->notice_node))
		list_add_tail(&group->notice_node, &llm_broker.reclaims);
	llm_queue_tell();
}

/*
 * Asks cgroups for kept memory, oldest first, a few of them. @age and @need go on from there.
 * Return: there are more to be asked.
 */
static bool llm_charge_ask_kept(const struct llm_ledger *claim, u64 *age, u64 *need)
{
	for (int i = 0; i < LLM_BATCH; i++) {
		struct llm_ledger *kept = llm_policy_kept_after(llm_charge_policy(), *age);
		u64 bytes;

		if (!kept || !*need)
			return false;
		*age = kept->age;
		*need -= min(*need, llm_ledger_owes(kept, claim));
		bytes = min(*need, llm_ledger_can_give(kept, claim));
		if (!bytes)
			continue;
		*need -= bytes;
		llm_ledger_ask(kept, claim->region, bytes);
		llm_charge_tell(container_of(kept, struct llm_group, kept));
	}
	return true;
}

/* Asks the youngest request that stands still for what it holds; looks at a few. Return: as above. */
static bool llm_charge_ask_request(const struct llm_ledger *claim, u64 *age)
{
	for (int i = 0; i < LLM_BATCH; i++) {
		struct llm_ledger *ledger = llm_policy_stuck_before(llm_charge_policy(), *age);

		if (!ledger || !llm_ledger_missing(claim) || !llm_ledger_wedged(claim))
			return false;
		*age = ledger->age;
		if (!llm_ledger_can_give(ledger, claim))
			continue;
		llm_ledger_ask(ledger, claim->region, 0);
		llm_request_of(ledger)->notice_region = claim->region;
		llm_queue_notify(llm_request_of(ledger), LLM_EVENT_RECLAIM);
		return false;
	}
	return true;
}

/* The charge of this age, if it still waits. */
static struct llm_ledger *llm_charge_claim(u64 age)
{
	struct llm_ledger *claim = llm_policy_claim_after(llm_charge_policy(), age - 1);

	return claim && claim->age == age ? claim : NULL;
}

/* Sees to it that room comes for a charge that waits: in steps, without the lock between them. */
static void llm_charge_reclaim(u64 age)
{
	u64 kept = 0, stuck = S64_MAX, need = U64_MAX;
	bool asking_kept = true, more = true;

	while (more) {
		struct llm_ledger *claim;

		spin_lock(&llm_broker.lock);
		claim = llm_charge_claim(age);
		more = claim;
		if (claim && asking_kept) {
			if (need == U64_MAX)
				need = llm_ledger_missing(claim);
			asking_kept = llm_charge_ask_kept(claim, &kept, &need);
		} else if (claim) {
			more = llm_charge_ask_request(claim, &stuck);
		}
		spin_unlock(&llm_broker.lock);
		cond_resched();
	}
}

/* All that wait, one after the other, the oldest first. */
static void llm_charge_work(struct work_struct *work)
{
	struct llm_ledger *claim;
	u64 age = 0;

	do {
		spin_lock(&llm_broker.lock);
		claim = llm_policy_claim_after(llm_charge_policy(), age);
		if (claim) {
			age = claim->age;
			llm_charge_retry(claim);
		}
		spin_unlock(&llm_broker.lock);
		if (claim)
			llm_charge_reclaim(age);
	} while (claim);
}

/* ---- what was kept for cgroups that are no more ---- */

/* Under the lock, as all that starts the work. */
static void llm_charge_look_later(void)
{
	schedule_delayed_work(&llm_broker.orphans, LLM_ORPHANS_LOOK_S * HZ);
}

/* A removed cgroup is asked for all that is kept for it: nobody will be charged there any more. */
static void llm_charge_orphan(struct llm_group *group)
{
	struct llm_ledger *kept = &group->kept;
	bool more = false;

	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++) {
		const u64 bytes = kept->held[region] - kept->asked[region];

		if (!bytes)
			continue;
		llm_ledger_ask(kept, region, bytes);
		more = true;
	}
	if (more)
		llm_charge_tell(group);
}

/* The cgroup that has been keeping memory for longest of those younger than @age; 0: none. */
static u64 llm_charge_keeper_after(u64 *age)
{
	struct llm_ledger *kept;
	u64 cgroup = 0;

	spin_lock(&llm_broker.lock);
	kept = llm_policy_kept_after(llm_charge_policy(), *age);
	if (kept) {
		*age = kept->age;
		cgroup = container_of(kept, struct llm_group, kept)->id;
	}
	spin_unlock(&llm_broker.lock);
	return cgroup;
}

/* Looks once for each cgroup that keeps memory whether it is still there. */
static void llm_charge_look(struct work_struct *work)
{
	struct llm_lineage lineage;
	struct llm_group *group;
	u64 cgroup, age = 0;

	while ((cgroup = llm_charge_keeper_after(&age))) {
		cond_resched();
		/* a kernel thread sees all cgroups */
		if (llm_lineage_find(cgroup, &lineage) != -ENOENT)
			continue;
		spin_lock(&llm_broker.lock);
		group = llm_group_find(cgroup);
		if (group)
			llm_charge_orphan(group);
		spin_unlock(&llm_broker.lock);
	}
	spin_lock(&llm_broker.lock);
	if (llm_policy_kept_after(llm_charge_policy(), 0))
		llm_charge_look_later();
	spin_unlock(&llm_broker.lock);
}

/* ---- what the server is told of cgroups ---- */

static struct llm_group *llm_charge_first_notice(void)
{
	return list_first_entry_or_null(&llm_broker.reclaims, struct llm_group, notice_node);
}

/* The first region where more is asked of a cgroup than the server knows; LLM_REGIONS_MAX: none. */
static unsigned int llm_charge_untold(const struct llm_group *group)
{
	unsigned int region;

	for (region = 0; region < LLM_REGIONS_MAX; region++)
		if (group->kept.asked[region] > group->told[region])
			break;
	return region;
}

/* The server need not hear of what it has given back. */
static void llm_charge_settle_notice(struct llm_group *group)
{
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		group->told[region] = min(group->told[region], group->kept.asked[region]);
	if (llm_charge_untold(group) == LLM_REGIONS_MAX)
		list_del_init(&group->notice_node);
}

/**
 * llm_charge_take_notice() - hands a FETCH what a cgroup is asked to give back
 * @call: has no event
 *
 * Return: it was handed one.
 */
bool llm_charge_take_notice(struct llm_call *call)
{
	struct llm_group *group = llm_charge_first_notice();
	unsigned int region;

	lockdep_assert_held(&llm_broker.lock);
	if (!group)
		return false;
	region = llm_charge_untold(group);
	call->event.type = LLM_EVENT_RECLAIM;
	call->event.id = 0;
	call->event.time_ns = ktime_get_ns();
	call->event.req = NULL;
	call->event.session = NULL;
	call->event.cgroup_id = group->id;
	call->event.region = region;
	call->event.bytes = group->kept.asked[region] - group->told[region];
	group->told[region] = group->kept.asked[region];
	llm_charge_settle_notice(group);
	return true;
}

/** llm_charge_notice_moot() - Return: what a call was handed has been given back meanwhile */
bool llm_charge_notice_moot(const struct llm_call *call)
{
	const struct llm_group *group = llm_group_find(call->event.cgroup_id);

	lockdep_assert_held(&llm_broker.lock);
	/* what was kept for the group by a server that is gone is no more */
	return !group || call->server->gone || !group->kept.asked[call->event.region];
}

/** llm_charge_return_notice() - the server could not be told; it is due again */
void llm_charge_return_notice(struct llm_call *call)
{
	struct llm_group *group = llm_group_find(call->event.cgroup_id);
	u64 *told = &group->told[call->event.region];

	lockdep_assert_held(&llm_broker.lock);
	*told -= min(*told, call->event.bytes);
	llm_charge_tell(group);
}

/* ---- the commands ---- */

/* The broker's number for what a server calls a region; -1: it has none of that name. */
static int llm_charge_region(const struct llm_server *server, u32 region)
{
	return region < server->region_count ? (int)server->regions[region] : -1;
}

/* There is no room: the request leaves the stage until there is. */
static int llm_charge_pause(struct llm_request *req)
{
	const u64 now_ns = ktime_get_ns();

	llm_ticket_leave(&llm_broker.stage, &req->ticket, now_ns);
	llm_ticket_stall(&req->ticket, now_ns);
	llm_queue_pause(req, LLM_PAUSE_MEMORY);
	llm_queue_run();
	schedule_delayed_work(&llm_broker.claims, 0);
	return LLM_VERDICT_PAUSE;
}

/* What the server can do without: nobody waits, is refused or pays for it later. */
static int llm_charge_try(struct llm_request *req, unsigned int region, u64 bytes,
			  struct llm_trash *trash)
{
	const bool waited = req->ledger.waits;
	const enum llm_charge_result result = llm_ledger_charge(&req->ledger, region, bytes,
								false);

	if (result != LLM_CHARGE_DONE)
		llm_ledger_withdraw(&req->ledger);
	if (waited)
		llm_charge_go_on(req);
	if (result == LLM_CHARGE_NEVER)
		return -EDQUOT;
	if (result == LLM_CHARGE_FULL)
		return -EAGAIN;
	if (llm_dmem_covers(req, region, trash))
		return 0;
	llm_ledger_uncharge(&req->ledger, region, bytes);
	llm_charge_settle(req);
	llm_dmem_settle(req->leaf->member->group);
	return -EAGAIN;
}

static int llm_charge_take(struct llm_request *req, unsigned int region, u64 bytes,
			   struct llm_trash *trash)
{
	const bool wait = !(req->spec.flags & LLM_SUBMIT_EDQUOT);
	const bool waited = req->ledger.waits;
	const enum llm_charge_result result = llm_ledger_charge(&req->ledger, region, bytes, wait);

	if (waited && !req->ledger.waits)
		llm_charge_go_on(req);
	switch (result) {
	case LLM_CHARGE_DONE:
		if (llm_dmem_covers(req, region, trash))
			return 0;
		llm_dmem_defer(req, region, bytes, trash);
		return llm_charge_pause(req);
	case LLM_CHARGE_NEVER:
		llm_quota_refused_memory(req, region, bytes);
		return -EDQUOT;
	case LLM_CHARGE_FULL:
		break;
	}
	if (req->ledger.waits)
		return llm_charge_pause(req);
	llm_quota_refused_memory(req, region, bytes);
	llm_request_abort(req, -EDQUOT, trash);
	return LLM_VERDICT_CANCELLED;
}

/* The group holds on to itself while it keeps something. */
static void llm_charge_kept_changed(struct llm_group *group, bool was_empty)
{
	const bool empty = llm_ledger_empty(&group->kept);

	llm_charge_settle_notice(group);
	llm_dmem_settle(group);
	if (was_empty && !empty) {
		llm_group_get(group);
		llm_charge_look_later();
	} else if (!was_empty && empty) {
		llm_group_put(group);
	}
}

static int llm_charge_keep(struct llm_request *req, unsigned int region, u64 bytes)
{
	struct llm_group *group = req->leaf->member->group;
	const bool was_empty = llm_ledger_empty(&group->kept);

	/* It moved while it asked, or is nested too deep: the server would name another one. */
	if (group->id != req->who.cgroup_id)
		return -EINVAL;
	if (was_empty)
		group->kept.age = ++llm_broker.last_kept;
	if (!llm_ledger_keep(&req->ledger, &group->kept, region, bytes))
		return -EINVAL;
	llm_charge_settle(req);
	llm_charge_kept_changed(group, was_empty);
	return 0;
}

static int llm_charge_check(const struct llm_charge *charge, u32 flags)
{
	if (charge->flags & ~flags || charge->flags == LLM_CHARGE_FLAGS || charge->pad || !charge->bytes ||
	    !charge->id == !charge->cgroup_id ||
	    !llm_args_zero(charge->reserved, sizeof(charge->reserved)))
		return -EINVAL;
	return 0;
}

/* Under the lock. */
static int llm_charge_locked(struct llm_call *call, struct llm_trash *trash)
{
	const struct llm_charge *charge = &call->args.charge;
	struct llm_request *req = llm_server_find(call->server, charge->id);
	const int region = llm_charge_region(call->server, charge->region);
	int rc;

	if (!req)
		return -ENOENT;
	if (region < 0 || !req->leaf)
		return -EINVAL;
	if (charge->flags & LLM_CHARGE_KEEP)
		rc = llm_charge_keep(req, region, charge->bytes);
	else if (llm_request_over(req))
		rc = LLM_VERDICT_CANCELLED;
	else if (charge->flags & LLM_CHARGE_TRY)
		rc = llm_charge_try(req, region, charge->bytes, trash);
	else
		rc = llm_charge_take(req, region, charge->bytes, trash);
	llm_charge_run();
	return rc;
}

int llm_charge_start(struct llm_call *call)
{
	LLM_DEFINE_TRASH(trash);
	int rc;

	rc = llm_charge_check(&call->args.charge, LLM_CHARGE_FLAGS);
	if (rc || call->args.charge.cgroup_id)
		return -EINVAL;
	spin_lock(&llm_broker.lock);
	rc = llm_charge_locked(call, &trash);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	return rc;
}

static int llm_uncharge_kept(u64 cgroup_id, unsigned int region, u64 bytes)
{
	struct llm_group *group = llm_group_find(cgroup_id);

	if (!group || llm_ledger_empty(&group->kept))
		return -ENOENT;
	if (!llm_ledger_uncharge(&group->kept, region, bytes))
		return -EINVAL;
	llm_charge_kept_changed(group, false);
	return 0;
}

static int llm_uncharge_request(struct llm_server *server, u64 id, unsigned int region, u64 bytes)
{
	struct llm_request *req = llm_server_find(server, id);

	if (!req)
		return -ENOENT;
	if (!llm_ledger_uncharge(&req->ledger, region, bytes))
		return -EINVAL;
	llm_charge_settle(req);
	llm_dmem_settle(req->leaf->member->group);
	return 0;
}

/* Under the lock. */
static int llm_uncharge_locked(struct llm_call *call)
{
	const struct llm_charge *charge = &call->args.charge;
	const int region = llm_charge_region(call->server, charge->region);
	int err;

	if (call->server->gone)
		return -ENOENT;
	if (region < 0)
		return -EINVAL;
	err = charge->id ? llm_uncharge_request(call->server, charge->id, region, charge->bytes) :
			   llm_uncharge_kept(charge->cgroup_id, region, charge->bytes);
	if (!err)
		llm_charge_run();
	return err;
}

int llm_uncharge_start(struct llm_call *call)
{
	int err;

	err = llm_charge_check(&call->args.charge, 0);
	if (err)
		return err;
	spin_lock(&llm_broker.lock);
	err = llm_uncharge_locked(call);
	spin_unlock(&llm_broker.lock);
	return err;
}

/* ---- what others do with it ---- */

/** llm_charge_release() - a request has ended, or its server is gone: it holds nothing */
void llm_charge_release(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_dmem_forgive(req);
	if (!llm_ledger_involved(&req->ledger))
		return;
	llm_ledger_release(&req->ledger);
	llm_dmem_settle(req->leaf->member->group);
	llm_charge_run();
}

/** llm_charge_pass() - a request goes on without asking again for what was reserved for it */
void llm_charge_pass(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	if (!req->ledger.reserve)
		return;
	llm_ledger_withdraw(&req->ledger);
	llm_charge_run();
}

/** llm_charge_set_idle() - a request stands still until its reader goes on, or no more */
void llm_charge_set_idle(struct llm_request *req, bool idle)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_ledger_set_idle(&req->ledger, idle);
	llm_charge_settle(req);
	if (idle)
		llm_charge_run();
}

/** llm_charge_withdraw() - a request is over for its reader, and will not ask for more */
void llm_charge_withdraw(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_ledger_withdraw(&req->ledger);
	llm_ledger_set_idle(&req->ledger, false);
	llm_charge_run();
}

/** llm_charge_forget() - the server is gone, and with it all that was kept for cgroups; sleeps */
void llm_charge_forget(void)
{
	struct llm_ledger *kept;

	do {
		spin_lock(&llm_broker.lock);
		for (int i = 0; i < LLM_BATCH; i++) {
			kept = llm_policy_kept_after(llm_charge_policy(), 0);
			if (!kept)
				break;
			llm_ledger_release(kept);
			llm_charge_kept_changed(container_of(kept, struct llm_group, kept), false);
		}
		spin_unlock(&llm_broker.lock);
		cond_resched();
	} while (kept);
}

void llm_charge_init(void)
{
	INIT_LIST_HEAD(&llm_broker.reclaims);
	INIT_DELAYED_WORK(&llm_broker.claims, llm_charge_work);
	INIT_DELAYED_WORK(&llm_broker.orphans, llm_charge_look);
}

void llm_charge_exit(void)
{
	cancel_delayed_work_sync(&llm_broker.claims);
	cancel_delayed_work_sync(&llm_broker.orphans);
}
