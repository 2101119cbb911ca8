// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paying for memory in the kernel's own ledger: see dmem.h. Decided under the broker's lock; the
 * controller is asked without it, by clients, and given back to by work. It wants each charge back
 * as it was made, so all are of one size, the region's unit.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cgroup.h>
#include <linux/cgroup_dmem.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "broker.h"
#include "call.h"
#include "charge.h"
#include "client.h"
#include "dmem.h"
#include "group.h"
#include "quota.h"
#include "region.h"
#include "request.h"
#include "server.h"

/* Shifts of a region's size. */
#define LLM_DMEM_UNIT_SHIFT	14
#define LLM_DMEM_CREDIT_SHIFT	6

#define LLM_DMEM_UNIT_MIN	(64ULL << 10)
#define LLM_DMEM_UNIT_MAX	(64ULL << 20)
#define LLM_DMEM_AHEAD		16	/* units that are paid in advance */
#define LLM_DMEM_AHEAD_EACH	4	/* and for each request */
#define LLM_DMEM_RETRY_NS	NSEC_PER_SEC	/* limits may have been raised */

/**
 * struct llm_dmem_place - a region as the controller knows it
 * @region: NULL: it does not; changes only while nothing is paid, and nobody is about to
 * @unit: bytes of a charge; a power of two; constant, as the next
 * @credit_max: bytes that may be held without being paid for, by all groups together
 * @credit: bytes that are
 * @paid: bytes that are charged, by all groups together
 * @paying: payments under way
 * @returned: how often something was given back
 * @pressed_ns: when it last refused a charge
 * @trying: the request whose refused charge is let try again, before any younger one; 0: none
 * @trying_ns: since when
 */
struct llm_dmem_place {
	struct dmem_cgroup_region *region;
	u64 unit;
	u64 credit_max;
	u64 credit;
	u64 paid;
	u32 paying;
	u64 returned;
	u64 pressed_ns;
	u64 trying;
	u64 trying_ns;
};

/**
 * struct llm_dmem_bond - charges that were made
 * @node: in llm_dmem_account.bonds
 * @region: where
 * @pool: whose, with a reference for each unit
 * @units: how many
 */
struct llm_dmem_bond {
	struct list_head node;
	unsigned int region;
	struct dmem_cgroup_pool_state *pool;
	u64 units;
};

/**
 * struct llm_dmem_payment - a client is about to pay
 * @group: for whom, with a reference
 * @region: where
 * @bond: gets what was charged
 * @need: units it takes
 * @want: units it would be good to have
 * @returned: as of the place, before it was tried
 */
struct llm_dmem_payment {
	struct llm_group *group;
	unsigned int region;
	struct llm_dmem_bond *bond;
	u64 need;
	u64 want;
	u64 returned;
};

/* The broker's lock protects it. */
static struct {
	struct llm_dmem_place places[LLM_REGIONS_MAX];
	struct list_head holders;
	u32 holder_count;
	struct list_head surplus;
	struct work_struct giving;
	struct delayed_work patience;
} llm_dmem;

/* The place of a region, or NULL: it is not kept there. */
static struct llm_dmem_place *llm_dmem_place(unsigned int region)
{
	struct llm_dmem_place *place = &llm_dmem.places[region];

	/* pairs with llm_dmem_register() */
	return smp_load_acquire(&place->region) ? place : NULL;
}

static u64 llm_dmem_used(const struct llm_group *group, unsigned int region)
{
	return group->own.usage.memory[region];
}

/* Bytes that are missing for this use. */
static u64 llm_dmem_short(const struct llm_group *group, unsigned int region, u64 used)
{
	const u64 paid = group->dmem.paid[region];

	return used > paid ? used - paid : 0;
}

static u64 llm_dmem_units(const struct llm_dmem_place *place, u64 bytes)
{
	return bytes / place->unit + !!(bytes % place->unit);
}

static u64 llm_dmem_sum(u64 a, u64 b)
{
	return a + b < a ? U64_MAX : a + b;
}

/* Whether refused charges still look for room, so that nothing is kept in advance. */
static bool llm_dmem_pressed(const struct llm_dmem_place *place)
{
	return place->pressed_ns && ktime_get_ns() - place->pressed_ns < 2 * LLM_DMEM_RETRY_NS;
}

/* Bytes to be paid for beyond what is used, for so many requests. */
static u64 llm_dmem_ahead(const struct llm_dmem_place *place, u64 requests)
{
	if (!requests || llm_dmem_pressed(place))
		return 0;
	return (LLM_DMEM_AHEAD + LLM_DMEM_AHEAD_EACH * requests) * place->unit;
}

/* Requests of a group's own processes. */
static u64 llm_dmem_requests(const struct llm_group *group)
{
	return (u64)group->own.usage.in_flight + group->own.usage.queued;
}

/* Units that were paid for and are not needed. */
static u64 llm_dmem_surplus(const struct llm_group *group, unsigned int region)
{
	const struct llm_dmem_place *place = llm_dmem_place(region);
	const u64 paid = group->dmem.paid[region];
	const u64 keep = llm_dmem_sum(llm_dmem_used(group, region),
				      2 * llm_dmem_ahead(place, llm_dmem_requests(group)));

	return paid > keep ? (paid - keep) / place->unit : 0;
}

/* ---- under the lock ---- */

void llm_dmem_account_init(struct llm_dmem_account *account)
{
	INIT_LIST_HEAD(&account->bonds);
	INIT_LIST_HEAD(&account->holder_node);
	INIT_LIST_HEAD(&account->surplus_node);
}

static void llm_dmem_set_credit(struct llm_group *group, unsigned int region, u64 bytes)
{
	llm_dmem.places[region].credit += bytes - group->dmem.credit[region];
	group->dmem.credit[region] = bytes;
}

static void llm_dmem_give_later(struct llm_group *group)
{
	if (list_empty(&group->dmem.surplus_node))
		list_add_tail(&group->dmem.surplus_node, &llm_dmem.surplus);
	schedule_work(&llm_dmem.giving);
}

/**
 * llm_dmem_settle() - a group's own processes hold less than before, or have fewer requests
 * @group: a reference may be dropped after this, whatever was paid for it
 */
void llm_dmem_settle(struct llm_group *group)
{
	lockdep_assert_held(&llm_broker.lock);
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++) {
		const u64 credit = group->dmem.credit[region];

		if (!llm_dmem_used(group, region))
			group->dmem.refused &= ~BIT(region);
		if (credit)
			llm_dmem_set_credit(group, region,
					    min(credit, llm_dmem_short(group, region,
								       llm_dmem_used(group,
										     region))));
		if (group->dmem.paid[region] && llm_dmem_surplus(group, region))
			llm_dmem_give_later(group);
	}
}

/* It was let try again, and has. */
static void llm_dmem_tried(const struct llm_request *req, unsigned int region)
{
	struct llm_dmem_place *place = &llm_dmem.places[region];

	if (place->trying == req->id)
		place->trying = 0;
}

static void llm_dmem_forget_turn(const struct llm_request *req)
{
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		llm_dmem_tried(req, region);
}

/* Somebody who waits for the request will come by when he is woken. */
static bool llm_dmem_awaited(const struct llm_request *req)
{
	struct llm_client *client = req->client;

	if (!client)
		return false;
	/* whoever is not there yet will take the lock after us, and see what is due */
	return waitqueue_active(&client->poll) || !list_empty(&req->waiters) ||
	       !list_empty(&client->waiters);
}

/* Takes so many bytes on credit. Return: it has them; false: there is none for it. */
static bool llm_dmem_borrow(struct llm_request *req, unsigned int region, u64 bytes)
{
	struct llm_group *group = req->leaf->member->group;
	const struct llm_dmem_place *place = llm_dmem_place(region);
	const u64 others = place->credit - group->dmem.credit[region];

	if (group->dmem.refused & BIT(region) || llm_dmem_awaited(req) ||
	    bytes > place->credit_max || others > place->credit_max - bytes)
		return false;
	llm_dmem_set_credit(group, region, bytes);
	return true;
}

/* Who waits for a request is to pay for it. */
static void llm_dmem_owe(struct llm_request *req, struct llm_trash *trash)
{
	struct llm_client *client = req->client;

	if (!client)
		return;
	if (list_empty(&req->due_node))
		list_add_tail(&req->due_node, &client->dues);
	llm_waiters_wake(&req->waiters);
	llm_client_wake(client, trash);
}

/**
 * llm_dmem_covers() - whether a charge that was just made is paid for
 * @req: whose
 * @region: where
 * @trash: as for llm_request_end()
 *
 * Return: it is, or can be had on credit; false: somebody has to pay first.
 */
bool llm_dmem_covers(struct llm_request *req, unsigned int region, struct llm_trash *trash)
{
	struct llm_group *group = req->leaf->member->group;
	const struct llm_dmem_place *place = llm_dmem_place(region);
	const u64 used = llm_dmem_used(group, region);
	u64 missing;

	lockdep_assert_held(&llm_broker.lock);
	if (!place)
		return true;
	missing = llm_dmem_short(group, region, used);
	if (!missing)
		llm_dmem_set_credit(group, region, 0);
	else if (!llm_dmem_borrow(req, region, missing))
		return false;
	llm_dmem_tried(req, region);
	if (llm_dmem_short(group, region,
			   llm_dmem_sum(used, llm_dmem_ahead(place,
							     llm_dmem_requests(group)) / 2)))
		llm_dmem_owe(req, trash);
	return true;
}

/**
 * llm_dmem_defer() - a charge that was just made and is not covered waits until it is
 * @req: whose
 * @region: where
 * @bytes: how much
 * @trash: as for llm_request_end()
 */
void llm_dmem_defer(struct llm_request *req, unsigned int region, u64 bytes,
		    struct llm_trash *trash)
{
	const bool awaited = llm_dmem_awaited(req);

	lockdep_assert_held(&llm_broker.lock);
	llm_ledger_defer(&req->ledger, &req->leaf->member->group->own, region, bytes, !awaited);
	req->dmem_ns = ktime_get_ns();
	if (!awaited)
		llm_dmem_forget_turn(req);
	llm_dmem_owe(req, trash);
}

/** llm_dmem_forgive() - nobody needs to pay for a request any more */
void llm_dmem_forgive(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	list_del_init(&req->due_node);
	llm_dmem_forget_turn(req);
}

/* Whether it is the turn of a refused charge: the oldest tries first, and alone. */
static bool llm_dmem_turn(const struct llm_request *req, struct llm_dmem_place *place)
{
	const u64 now_ns = ktime_get_ns();

	if (req->dmem_returned == place->returned &&
	    now_ns - req->dmem_ns < LLM_DMEM_RETRY_NS)
		return false;
	if (place->trying && place->trying != req->id &&
	    now_ns - place->trying_ns < LLM_DMEM_RETRY_NS)
		return false;
	place->trying = req->id;
	place->trying_ns = now_ns;
	return true;
}

/** llm_dmem_may_retry() - Return: there may be room for a charge that waits, or it can be paid */
bool llm_dmem_may_retry(struct llm_request *req)
{
	struct llm_ledger *ledger = &req->ledger;
	const struct llm_group *group = req->leaf->member->group;
	u64 used;

	lockdep_assert_held(&llm_broker.lock);
	if (!ledger->unpaid)
		return true;
	if (ledger->refused)
		return llm_dmem_turn(req, llm_dmem_place(ledger->region));
	used = llm_dmem_sum(llm_dmem_used(group, ledger->region), ledger->bytes);
	if (!llm_dmem_short(group, ledger->region, used))
		return true;
	if (ktime_get_ns() - req->dmem_ns >= LLM_DMEM_RETRY_NS)
		llm_ledger_miss(ledger);
	return false;
}

/*
 * The current task pays for its own requests, wherever it is by now, and for those of its cgroup;
 * not for what a stranger began on a file that it was handed.
 */
static bool llm_dmem_may_pay(const struct llm_request *req, u64 cgroup_id)
{
	return req->who.pid == task_tgid(current) || req->who.cgroup_id == cgroup_id;
}

static u64 llm_dmem_current_cgroup(void)
{
	u64 id;

	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
	return id;
}

/* One of a file's requests that the current task has to pay for, or NULL; looks at a few. */
static struct llm_request *llm_dmem_due(const struct llm_client *client)
{
	const u64 cgroup_id = llm_dmem_current_cgroup();
	struct llm_request *req;
	int n = 0;

	if (current->flags & (PF_KTHREAD | PF_EXITING))
		return NULL;
	list_for_each_entry(req, &client->dues, due_node)
		if (llm_dmem_may_pay(req, cgroup_id))
			return req;
		else if (++n == LLM_BATCH)
			break;
	return NULL;
}

/** llm_dmem_owes() - Return: the current task has to pay before it waits on a file */
bool llm_dmem_owes(const struct llm_client *client)
{
	lockdep_assert_held(&llm_broker.lock);
	return llm_dmem_due(client);
}

/* Whether a server takes memory there. */
static bool llm_dmem_in_use(unsigned int region)
{
	const struct llm_server *server = llm_broker.server;

	for (u32 i = 0; server && i < server->region_count; i++)
		if (server->regions[i] == region)
			return true;
	return false;
}

/*
 * What it takes to be even with @bytes more, and then to be ahead.
 * Return: there is something to pay, and llm_dmem_book() follows.
 */
static bool llm_dmem_bill(struct llm_dmem_payment *payment, u64 bytes)
{
	const struct llm_group *group = payment->group;
	const unsigned int region = payment->region;
	struct llm_dmem_place *place = llm_dmem_place(region);
	const u64 used = llm_dmem_sum(llm_dmem_used(group, region), bytes);
	u64 ahead = 0;

	if (!place)
		return false;
	/* one may be about to be published */
	if (llm_dmem_in_use(region))
		ahead = llm_dmem_ahead(place, llm_dmem_requests(group) + 1);
	payment->need = llm_dmem_units(place, llm_dmem_short(group, region, used));
	payment->want = llm_dmem_units(place, llm_dmem_short(group, region,
							     llm_dmem_sum(used, ahead)));
	payment->returned = place->returned;
	if (!payment->want)
		return false;
	place->paying++;
	return true;
}

/* What was charged is the group's. Return: a bond that is not needed, to be freed. */
static struct llm_dmem_bond *llm_dmem_book(struct llm_dmem_payment *payment)
{
	struct llm_dmem_account *account = &payment->group->dmem;
	struct llm_dmem_place *place = llm_dmem_place(payment->region);
	struct llm_dmem_bond *bond = payment->bond, *other;

	place->paying--;
	if (!bond || !bond->units)
		return bond;
	place->paid += bond->units * place->unit;
	account->paid[payment->region] += bond->units * place->unit;
	list_for_each_entry(other, &account->bonds, node)
		if (other->pool == bond->pool && other->region == bond->region) {
			other->units += bond->units;
			return bond;
		}
	list_add_tail(&bond->node, &account->bonds);
	if (list_empty(&account->holder_node)) {
		list_add_tail(&account->holder_node, &llm_dmem.holders);
		llm_dmem.holder_count++;
		llm_group_get(payment->group);
	}
	return NULL;
}

/* Nobody has anything there but this request, so there will never be more room than now. */
static bool llm_dmem_hopeless(const struct llm_request *req, unsigned int region)
{
	const struct llm_group *group = req->leaf->member->group;
	const struct llm_dmem_place *place = llm_dmem_place(region);

	return !place->paying && place->paid == group->dmem.paid[region] &&
	       llm_dmem_used(group, region) == req->ledger.held[region];
}

/* There is no room: what was paid in advance is given back, and it is tried again. */
static void llm_dmem_press(struct llm_dmem_place *place)
{
	const bool pressed = llm_dmem_pressed(place);

	place->pressed_ns = ktime_get_ns();
	if (pressed)
		schedule_delayed_work(&llm_dmem.patience,
				      nsecs_to_jiffies(LLM_DMEM_RETRY_NS) + 1);
	else
		mod_delayed_work(system_wq, &llm_dmem.patience, 0);
}

/* A request's charge waits for what the controller refuses; or is to end for that. */
static void llm_dmem_refused(struct llm_request *req, const struct llm_dmem_payment *payment,
			     struct llm_trash *trash)
{
	/* what is kept will be given back, which anybody waits for */
	const bool impatient = !req->ledger.patient &&
			       !payment->group->own.kept[payment->region];

	if (!req->ledger.unpaid || req->ledger.region != payment->region)
		return;
	if (impatient || llm_dmem_hopeless(req, payment->region)) {
		llm_news_refused(payment->group, req);
		llm_request_abort(req, -EDQUOT, trash);
		return;
	}
	llm_ledger_refuse(&req->ledger);
	req->dmem_returned = payment->returned;
	req->dmem_ns = ktime_get_ns();
	schedule_delayed_work(&llm_broker.claims, 0);
}

/* ---- by clients, without the lock ---- */

static void llm_dmem_uncharge(struct dmem_cgroup_pool_state *pool, u64 unit, u64 units)
{
	while (units--) {
		dmem_cgroup_uncharge(pool, unit);
		cond_resched();
	}
}

/* Charges the cgroup of the current task, as far as there is room. */
static void llm_dmem_charge(struct llm_dmem_payment *payment)
{
	const struct llm_dmem_place *place = llm_dmem_place(payment->region);
	struct llm_dmem_bond *bond = payment->bond;
	struct dmem_cgroup_pool_state *pool;

	while (bond->units < payment->want && !fatal_signal_pending(current)) {
		if (dmem_cgroup_try_charge(place->region, place->unit, &pool, NULL))
			break;
		if (bond->units && pool != bond->pool) {
			/* it was moved meanwhile */
			dmem_cgroup_uncharge(pool, place->unit);
			break;
		}
		bond->pool = pool;
		bond->units++;
		cond_resched();
	}
	if (bond->units >= payment->need)
		return;
	llm_dmem_uncharge(bond->pool, place->unit, bond->units);
	bond->units = 0;
}

/* Return: it has what it needs. */
static bool llm_dmem_pay(struct llm_dmem_payment *payment)
{
	payment->bond = kzalloc(sizeof(*payment->bond), GFP_KERNEL_ACCOUNT);
	if (!payment->bond)
		return !payment->need;
	payment->bond->region = payment->region;
	llm_dmem_charge(payment);
	return payment->bond->units >= payment->need;
}

static void llm_dmem_finish(struct llm_dmem_payment *payment, struct llm_request *req, bool paid)
{
	struct llm_dmem_bond *spare;
	LLM_DEFINE_TRASH(trash);

	spin_lock(&llm_broker.lock);
	spare = llm_dmem_book(payment);
	if (paid) {
		payment->group->dmem.refused &= ~BIT(payment->region);
	} else {
		payment->group->dmem.refused |= BIT(payment->region);
		llm_dmem_press(llm_dmem_place(payment->region));
		llm_dmem_refused(req, payment, &trash);
	}
	llm_dmem_tried(req, payment->region);
	llm_dmem_settle(payment->group);
	llm_charge_run();
	spin_unlock(&llm_broker.lock);
	kfree(spare);
	llm_trash_empty(&trash);
}

/* Pays for a request in one region. */
static void llm_dmem_pay_region(struct llm_request *req, struct llm_group *group,
				unsigned int region)
{
	struct llm_dmem_payment payment = { .group = group, .region = region };
	const struct llm_ledger *ledger = &req->ledger;
	bool due;

	spin_lock(&llm_broker.lock);
	due = llm_dmem_bill(&payment, ledger->unpaid && ledger->region == region ?
				      ledger->bytes : 0);
	spin_unlock(&llm_broker.lock);
	if (due)
		llm_dmem_finish(&payment, req, llm_dmem_pay(&payment));
}

/**
 * llm_dmem_pay_dues() - the current task pays for what is due on a file
 * @client: the file
 *
 * Context: sleeps; also under io_uring's and epoll's locks.
 */
void llm_dmem_pay_dues(struct llm_client *client)
{
	while (!list_empty_careful(&client->dues)) {
		struct llm_group *group = NULL;
		struct llm_request *req;

		spin_lock(&llm_broker.lock);
		req = llm_dmem_due(client);
		if (req) {
			list_del_init(&req->due_node);
			llm_request_get(req);
			group = req->leaf->member->group;
			llm_group_get(group);
		}
		spin_unlock(&llm_broker.lock);
		if (!req)
			break;
		for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
			if (llm_dmem_place(region))
				llm_dmem_pay_region(req, group, region);
		spin_lock(&llm_broker.lock);
		llm_group_put(group);
		spin_unlock(&llm_broker.lock);
		llm_request_put(req);
	}
}

/* Pays as much in advance as there is room for. */
static void llm_dmem_prepay_region(struct llm_group *group, unsigned int region)
{
	struct llm_dmem_payment payment = { .group = group, .region = region };
	struct llm_dmem_bond *spare;
	bool due;

	spin_lock(&llm_broker.lock);
	due = llm_dmem_bill(&payment, 0);
	spin_unlock(&llm_broker.lock);
	if (!due)
		return;
	payment.need = 0;
	llm_dmem_pay(&payment);
	spin_lock(&llm_broker.lock);
	spare = llm_dmem_book(&payment);
	spin_unlock(&llm_broker.lock);
	kfree(spare);
}

/**
 * llm_dmem_prepay() - pays in advance for a request that is about to be published
 * @req: not published; with a leaf, or nothing happens
 *
 * Context: sleeps; in the task that asks.
 */
void llm_dmem_prepay(struct llm_request *req)
{
	if (!req->leaf)
		return;
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (llm_dmem_place(region))
			llm_dmem_prepay_region(req->leaf->member->group, region);
}

/* ---- giving back ---- */

/* Charges of a group that are to be undone. */
struct llm_dmem_refund {
	struct llm_dmem_place *place;
	struct dmem_cgroup_pool_state *pool;
	struct llm_dmem_bond *spare;
	u64 units;
};

/* Takes some that are not needed from a bond. Return: there were some. */
static bool llm_dmem_redeem(struct llm_group *group, struct llm_dmem_bond *bond,
			    struct llm_dmem_refund *ret_refund)
{
	struct llm_dmem_place *place = llm_dmem_place(bond->region);
	const u64 units = min3(llm_dmem_surplus(group, bond->region), bond->units,
			       (u64)LLM_BATCH);

	if (!units)
		return false;
	*ret_refund = (struct llm_dmem_refund) {
		.place = place,
		.pool = bond->pool,
		.units = units,
	};
	group->dmem.paid[bond->region] -= units * place->unit;
	bond->units -= units;
	if (!bond->units) {
		list_del(&bond->node);
		ret_refund->spare = bond;
	}
	return true;
}

/* A group has nothing left. */
static void llm_dmem_drop_holder(struct llm_group *group)
{
	if (!list_empty(&group->dmem.bonds) || list_empty(&group->dmem.holder_node))
		return;
	list_del_init(&group->dmem.holder_node);
	llm_dmem.holder_count--;
	llm_group_put(group);
}

/* Takes some charges that are not needed from the first group that has any. Return: there were. */
static bool llm_dmem_take_refund(struct llm_dmem_refund *ret_refund)
{
	struct llm_dmem_account *account;
	struct llm_dmem_bond *bond;
	struct llm_group *group;

	while ((account = list_first_entry_or_null(&llm_dmem.surplus, struct llm_dmem_account,
						   surplus_node))) {
		group = container_of(account, struct llm_group, dmem);
		list_for_each_entry(bond, &account->bonds, node)
			if (llm_dmem_redeem(group, bond, ret_refund))
				return true;
		list_del_init(&account->surplus_node);
		llm_dmem_drop_holder(group);
	}
	return false;
}

static void llm_dmem_give(struct work_struct *work)
{
	struct llm_dmem_refund refund;
	bool more;

	do {
		spin_lock(&llm_broker.lock);
		more = llm_dmem_take_refund(&refund);
		spin_unlock(&llm_broker.lock);
		if (!more)
			break;
		llm_dmem_uncharge(refund.pool, refund.place->unit, refund.units);
		kfree(refund.spare);
		spin_lock(&llm_broker.lock);
		refund.place->paid -= refund.units * refund.place->unit;
		refund.place->returned++;
		llm_charge_run();
		spin_unlock(&llm_broker.lock);
	} while (more);
}

/* Looks at the next group that something was paid for, in turn. */
static void llm_dmem_look_next(void)
{
	struct llm_dmem_account *account;

	account = list_first_entry_or_null(&llm_dmem.holders, struct llm_dmem_account,
					   holder_node);
	if (!account)
		return;
	list_move_tail(&account->holder_node, &llm_dmem.holders);
	llm_dmem_settle(container_of(account, struct llm_group, dmem));
}

static bool llm_dmem_any_pressed(void)
{
	bool pressed = false;

	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		pressed = pressed || llm_dmem_pressed(&llm_dmem.places[region]);
	return pressed;
}

/* What was paid in advance is given back, and what was refused is tried again. */
static void llm_dmem_look(struct work_struct *work)
{
	u32 left;

	spin_lock(&llm_broker.lock);
	left = llm_dmem.holder_count;
	spin_unlock(&llm_broker.lock);
	while (left--) {
		spin_lock(&llm_broker.lock);
		llm_dmem_look_next();
		spin_unlock(&llm_broker.lock);
		cond_resched();
	}
	schedule_delayed_work(&llm_broker.claims, 0);
	spin_lock(&llm_broker.lock);
	if (llm_dmem_any_pressed())
		schedule_delayed_work(&llm_dmem.patience,
				      nsecs_to_jiffies(LLM_DMEM_RETRY_NS) + 1);
	spin_unlock(&llm_broker.lock);
}

/* ---- coming and going ---- */

/* Under the lock. Return: it is known as that now; false: it has been before. */
static bool llm_dmem_set(unsigned int region, const char *name, u64 bytes,
			 struct dmem_cgroup_region *known)
{
	struct llm_dmem_place *place = &llm_dmem.places[region];
	const char *now = llm_region_name(region);

	/* its number may be another's meanwhile */
	if (place->region || !now || strcmp(now, name))
		return false;
	place->unit = clamp(roundup_pow_of_two(bytes >> LLM_DMEM_UNIT_SHIFT ?: 1),
			    LLM_DMEM_UNIT_MIN, LLM_DMEM_UNIT_MAX);
	place->credit_max = bytes >> LLM_DMEM_CREDIT_SHIFT;
	/* pairs with llm_dmem_place() */
	smp_store_release(&place->region, known);
	return true;
}

/**
 * llm_dmem_register() - has a region's memory accounted for by the kernel, too
 * @region: its number
 * @name: its name
 * @bytes: there are in all; 0: it is not known, and it is not accounted for
 *
 * Context: sleeps. It stays as long as the region is remembered, because limits would go with it.
 */
void llm_dmem_register(unsigned int region, const char *name, u64 bytes)
{
	struct dmem_cgroup_region *known;
	bool set;

	if (!bytes || llm_dmem_place(region))
		return;
	known = dmem_cgroup_register_region(bytes, "llm/%s", name);
	if (IS_ERR_OR_NULL(known)) {
		pr_warn("region '%s' is not in dmem: %pe\n", name, known);
		return;
	}
	spin_lock(&llm_broker.lock);
	set = llm_dmem_set(region, name, bytes, known);
	spin_unlock(&llm_broker.lock);
	if (!set)
		dmem_cgroup_unregister_region(known);
}

/** llm_dmem_idle() - Return: nothing is paid for in a region, and nobody is about to */
bool llm_dmem_idle(unsigned int region)
{
	const struct llm_dmem_place *place = &llm_dmem.places[region];

	lockdep_assert_held(&llm_broker.lock);
	return !place->paid && !place->paying;
}

/** llm_dmem_unregister() - a region is forgotten, which is idle; limits on it go with it */
void llm_dmem_unregister(unsigned int region)
{
	struct llm_dmem_place *place = &llm_dmem.places[region];

	lockdep_assert_held(&llm_broker.lock);
	dmem_cgroup_unregister_region(place->region);
	*place = (struct llm_dmem_place) { .region = NULL };
}

/** llm_dmem_init() - before anybody asks; host memory is known from the start */
void llm_dmem_init(void)
{
	INIT_LIST_HEAD(&llm_dmem.holders);
	INIT_LIST_HEAD(&llm_dmem.surplus);
	INIT_WORK(&llm_dmem.giving, llm_dmem_give);
	INIT_DELAYED_WORK(&llm_dmem.patience, llm_dmem_look);
	llm_dmem_register(LLM_REGION_HOST, "host", (u64)totalram_pages() << PAGE_SHIFT);
}

/** llm_dmem_exit() - nobody has a request any more */
void llm_dmem_exit(void)
{
	cancel_delayed_work_sync(&llm_dmem.patience);
	flush_work(&llm_dmem.giving);
	WARN_ON(!list_empty(&llm_dmem.holders));
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		dmem_cgroup_unregister_region(llm_dmem.places[region].region);
}
