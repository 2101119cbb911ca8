// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What is held, and who waits for room: see memory.h.
 */
#include "memory.h"

/**
 * llm_ledger_init() - nothing is held
 * @ledger: it
 * @payer: who will pay; NULL: nothing can be charged
 * @age: its place, above 0; no other one of its kind has it
 * @kept: it is a cgroup's
 */
void llm_ledger_init(struct llm_ledger *ledger, struct llm_tenant *payer, u64 age, bool kept)
{
	*ledger = (struct llm_ledger){ .payer = payer, .age = age, .kept = kept };
}

/** llm_ledger_empty() - Return: nothing is held */
bool llm_ledger_empty(const struct llm_ledger *ledger)
{
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (ledger->held[region])
			return false;
	return true;
}

static bool llm_ledger_asked(const struct llm_ledger *ledger)
{
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (ledger->asked[region])
			return true;
	return false;
}

static struct llm_tree *llm_ledger_tree(const struct llm_ledger *ledger)
{
	struct llm_policy *policy = ledger->payer->policy;

	return ledger->kept ? &policy->kept : &policy->stuck;
}

/* All it holds counts as stuck, or no more. */
static void llm_ledger_set_stuck(struct llm_ledger *ledger, bool stuck)
{
	if (ledger->stuck == stuck)
		return;
	ledger->stuck = stuck;
	for (struct llm_tenant *tenant = ledger->payer; tenant; tenant = tenant->parent)
		for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
			tenant->stuck[region] += stuck ? ledger->held[region] :
							 -ledger->held[region];
}

/* Before what decides whether it stands still changes. */
static void llm_ledger_open(struct llm_ledger *ledger)
{
	llm_ledger_set_stuck(ledger, false);
	llm_tree_remove(llm_ledger_tree(ledger), &ledger->node);
}

/* After that. What goes on need not give back any more. */
static void llm_ledger_close(struct llm_ledger *ledger)
{
	const bool still = ledger->kept || ledger->idle || ledger->waits;

	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (!still || ledger->asked[region] > ledger->held[region])
			ledger->asked[region] = still ? ledger->held[region] : 0;
	if (!still || llm_ledger_empty(ledger))
		return;
	llm_tree_insert(llm_ledger_tree(ledger), &ledger->node, ledger->age);
	llm_ledger_set_stuck(ledger, !llm_ledger_asked(ledger));
}

static void llm_tenant_add_memory(struct llm_tenant *payer, const struct llm_tenant *above,
				  unsigned int region, u64 bytes)
{
	for (struct llm_tenant *tenant = payer; tenant != above; tenant = tenant->parent)
		tenant->usage.memory[region] += bytes;
}

static void llm_tenant_sub_memory(struct llm_tenant *payer, const struct llm_tenant *above,
				  unsigned int region, u64 bytes)
{
	for (struct llm_tenant *tenant = payer; tenant != above; tenant = tenant->parent)
		tenant->usage.memory[region] -= bytes;
}

static void llm_tenant_sub_kept(struct llm_tenant *payer, unsigned int region, u64 bytes)
{
	for (struct llm_tenant *tenant = payer; tenant; tenant = tenant->parent)
		tenant->kept[region] -= bytes;
}

/* Whether a request older than that stands in line. */
static bool llm_tenant_has_line(const struct llm_tenant *tenant, unsigned int region, u64 age)
{
	const struct llm_tree_node *first = llm_tree_first(&tenant->lines[region]);

	return first && llm_key_before(first->key, age);
}

/**
 * struct llm_obstacle - why there is no room
 * @full: the topmost tenant where there is none
 * @others: it is not only what is kept that is in the way, somewhere
 */
struct llm_obstacle {
	struct llm_tenant *full;
	bool others;
};

/* Takes room for a charge at its payer and all above, if there is. */
static enum llm_charge_result llm_ledger_take(struct llm_ledger *ledger, unsigned int region,
					      u64 bytes, struct llm_obstacle *ret_obstacle)
{
	const u64 held = ledger->held[region];
	struct llm_obstacle obstacle = { .full = NULL };

	for (struct llm_tenant *tenant = ledger->payer; tenant; tenant = tenant->parent) {
		const bool line = !held && llm_tenant_has_line(tenant, region, ledger->age);
		const u64 limit = tenant->quota.memory[region];
		const u64 used = tenant->usage.memory[region];

		if (bytes > limit || held > limit - bytes)
			return LLM_CHARGE_NEVER;
		if (used > limit - bytes || line)
			obstacle.full = tenant;
		if (used - tenant->kept[region] > limit - bytes || line)
			obstacle.others = true;
	}
	if (obstacle.full) {
		*ret_obstacle = obstacle;
		return LLM_CHARGE_FULL;
	}
	llm_tenant_add_memory(ledger->payer, NULL, region, bytes);
	return LLM_CHARGE_DONE;
}

static void llm_ledger_line_up(struct llm_ledger *ledger, struct llm_tenant *full)
{
	ledger->full = full;
	llm_tree_insert(&full->lines[ledger->region], &ledger->in_line, ledger->age);
}

static void llm_ledger_step_out(struct llm_ledger *ledger)
{
	llm_tree_remove(&ledger->full->lines[ledger->region], &ledger->in_line);
	ledger->full = NULL;
	ledger->unpaid = false;
	ledger->refused = false;
	ledger->absent = false;
}

/* Gives up a charge that waits, or what was reserved for it. */
static void llm_ledger_drop_claim(struct llm_ledger *ledger)
{
	if (ledger->waits) {
		llm_ledger_step_out(ledger);
		llm_tree_remove(&ledger->payer->policy->claims, &ledger->waiting);
		ledger->waits = false;
	}
	llm_tenant_sub_memory(ledger->payer, NULL, ledger->region, ledger->reserve);
	ledger->reserve = 0;
}

/* From now on a charge waits for room at a tenant. */
static void llm_ledger_claim(struct llm_ledger *ledger, struct llm_tenant *full, unsigned int region,
			     u64 bytes)
{
	ledger->region = region;
	ledger->bytes = bytes;
	ledger->waits = true;
	llm_tree_insert(&ledger->payer->policy->claims, &ledger->waiting, ledger->age);
	llm_ledger_line_up(ledger, full);
}

/* Turns what was reserved into what is held. Return: that was enough. */
static bool llm_ledger_use_reserve(struct llm_ledger *ledger, unsigned int region, u64 bytes)
{
	if (ledger->region != region || ledger->reserve < bytes)
		return false;
	ledger->reserve -= bytes;
	ledger->held[region] += bytes;
	return true;
}

/**
 * llm_ledger_charge() - takes memory
 * @ledger: whose; a charge of it that waited is given up first, and what was reserved used
 * @region: where, below LLM_REGIONS_MAX
 * @bytes: how much
 * @wait: where there is no room now, wait for it; else only where there is but for what is kept
 *
 * Return: what became of it; unless it is LLM_CHARGE_DONE, no more is held than before. Whether it
 * waits is in @ledger.
 */
enum llm_charge_result llm_ledger_charge(struct llm_ledger *ledger, unsigned int region, u64 bytes,
					 bool wait)
{
	enum llm_charge_result result = LLM_CHARGE_DONE;
	struct llm_obstacle obstacle;
	bool reserved;

	llm_ledger_open(ledger);
	reserved = llm_ledger_use_reserve(ledger, region, bytes);
	llm_ledger_drop_claim(ledger);
	if (!reserved)
		result = llm_ledger_take(ledger, region, bytes, &obstacle);
	ledger->patient = wait;
	if (result == LLM_CHARGE_DONE)
		ledger->held[region] += reserved ? 0 : bytes;
	else if (result == LLM_CHARGE_FULL && (wait || !obstacle.others))
		llm_ledger_claim(ledger, obstacle.full, region, bytes);
	llm_ledger_close(ledger);
	return result;
}

/**
 * llm_ledger_defer() - a charge that was just made has to be paid for elsewhere first
 * @ledger: whose; holds it no more, but waits
 * @payer: at or above its own payer: in whose name it is to be paid for
 * @region: of the charge
 * @bytes: of the charge
 * @absent: its client is not there to pay
 */
void llm_ledger_defer(struct llm_ledger *ledger, struct llm_tenant *payer, unsigned int region,
		      u64 bytes, bool absent)
{
	llm_ledger_open(ledger);
	ledger->held[region] -= bytes;
	llm_tenant_sub_memory(ledger->payer, NULL, region, bytes);
	llm_ledger_claim(ledger, payer, region, bytes);
	ledger->unpaid = true;
	ledger->absent = absent;
	llm_ledger_close(ledger);
}

/** llm_ledger_refuse() - a charge that was deferred could not be paid for, as things are */
void llm_ledger_refuse(struct llm_ledger *ledger)
{
	ledger->refused = ledger->unpaid;
	ledger->absent = false;
}

/** llm_ledger_miss() - the client that should pay for a charge that was deferred does not come */
void llm_ledger_miss(struct llm_ledger *ledger)
{
	ledger->absent = ledger->unpaid && !ledger->refused;
}

/**
 * llm_ledger_retry() - there may be room for a charge that waits
 * @ledger: whose charge
 *
 * Return: it waits no more: what it asked for is reserved, or it can never have it, or would have
 * to wait for what it does not want to; it is to ask again.
 */
bool llm_ledger_retry(struct llm_ledger *ledger)
{
	struct llm_obstacle obstacle;
	enum llm_charge_result result;
	bool on;

	llm_ledger_open(ledger);
	llm_ledger_step_out(ledger);
	result = llm_ledger_take(ledger, ledger->region, ledger->bytes, &obstacle);
	on = result == LLM_CHARGE_FULL && (ledger->patient || !obstacle.others);
	if (on) {
		llm_ledger_line_up(ledger, obstacle.full);
	} else {
		llm_tree_remove(&ledger->payer->policy->claims, &ledger->waiting);
		ledger->waits = false;
		ledger->reserve = result == LLM_CHARGE_DONE ? ledger->bytes : 0;
	}
	llm_ledger_close(ledger);
	return !on;
}

/** llm_ledger_withdraw() - does not wait for memory any more, and needs no reserve */
void llm_ledger_withdraw(struct llm_ledger *ledger)
{
	if (!ledger->payer || (!ledger->waits && !ledger->reserve))
		return;
	llm_ledger_open(ledger);
	llm_ledger_drop_claim(ledger);
	llm_ledger_close(ledger);
}

/**
 * llm_ledger_uncharge() - gives memory back
 * @ledger: whose
 * @region: where
 * @bytes: how much
 *
 * Return: it was; false: so much is not held, and nothing has changed.
 */
bool llm_ledger_uncharge(struct llm_ledger *ledger, unsigned int region, u64 bytes)
{
	if (bytes > ledger->held[region])
		return false;
	llm_ledger_open(ledger);
	ledger->held[region] -= bytes;
	ledger->asked[region] -= bytes < ledger->asked[region] ? bytes : ledger->asked[region];
	llm_tenant_sub_memory(ledger->payer, NULL, region, bytes);
	if (ledger->kept)
		llm_tenant_sub_kept(ledger->payer, region, bytes);
	llm_ledger_close(ledger);
	return true;
}

/**
 * llm_ledger_keep() - what a request holds is its cgroup's from now on
 * @ledger: the request's
 * @kept: the cgroup's; its payer is above the request's
 * @region: where
 * @bytes: how much
 *
 * Return: it was; false: so much is not held, and nothing has changed.
 */
bool llm_ledger_keep(struct llm_ledger *ledger, struct llm_ledger *kept, unsigned int region,
		     u64 bytes)
{
	if (bytes > ledger->held[region])
		return false;
	llm_ledger_open(ledger);
	llm_ledger_open(kept);
	ledger->held[region] -= bytes;
	kept->held[region] += bytes;
	llm_tenant_sub_memory(ledger->payer, kept->payer, region, bytes);
	for (struct llm_tenant *tenant = kept->payer; tenant; tenant = tenant->parent)
		tenant->kept[region] += bytes;
	llm_ledger_close(ledger);
	llm_ledger_close(kept);
	return true;
}

/** llm_ledger_involved() - Return: something is held or waited for, or its request stands still */
bool llm_ledger_involved(const struct llm_ledger *ledger)
{
	u64 held = 0;

	if (!ledger->payer)
		return false;
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		held |= ledger->held[region];
	return held || ledger->waits || ledger->reserve || ledger->idle;
}

/** llm_ledger_release() - gives all back, and waits for nothing */
void llm_ledger_release(struct llm_ledger *ledger)
{
	if (!ledger->payer)
		return;
	llm_ledger_open(ledger);
	llm_ledger_drop_claim(ledger);
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++) {
		llm_tenant_sub_memory(ledger->payer, NULL, region, ledger->held[region]);
		if (ledger->kept)
			llm_tenant_sub_kept(ledger->payer, region, ledger->held[region]);
		ledger->held[region] = 0;
	}
	ledger->idle = false;
	llm_ledger_close(ledger);
}

/** llm_ledger_set_idle() - its request stands still, or goes on, for another reason than memory */
void llm_ledger_set_idle(struct llm_ledger *ledger, bool idle)
{
	if (!ledger->payer || ledger->idle == idle)
		return;
	llm_ledger_open(ledger);
	ledger->idle = idle;
	llm_ledger_close(ledger);
}

/*
 * Below whom something may be given back that helps a charge that waits. Which limit elsewhere
 * refused it is not known, so the highest tenant counts below which nobody goes on.
 */
static const struct llm_tenant *llm_ledger_scope(const struct llm_ledger *claim)
{
	const struct llm_tenant *scope = claim->full;

	if (!claim->refused)
		return scope;
	for (const struct llm_tenant *tenant = scope; tenant; tenant = tenant->parent)
		if (tenant->usage.memory[claim->region] == tenant->stuck[claim->region])
			scope = tenant;
	return scope;
}

/** llm_ledger_missing() - Return: bytes that have to come back for a charge that waits; may be 0 */
u64 llm_ledger_missing(const struct llm_ledger *claim)
{
	const u64 limit = claim->full->quota.memory[claim->region];
	const u64 used = claim->full->usage.memory[claim->region];

	/* how much would do elsewhere is not known; nothing, before it was tried */
	if (claim->unpaid)
		return claim->refused ? claim->bytes : 0;
	/* A charge that could never be made does not wait, but the limit may have been lowered. */
	if (claim->bytes > limit)
		return used;
	return used > limit - claim->bytes ? used - (limit - claim->bytes) : 0;
}

/** llm_ledger_wedged() - Return: nobody will give back what a charge waits for, unless asked to */
bool llm_ledger_wedged(const struct llm_ledger *claim)
{
	const struct llm_tenant *scope = llm_ledger_scope(claim);

	return scope->usage.memory[claim->region] == scope->stuck[claim->region];
}

static bool llm_ledger_below(const struct llm_ledger *ledger, const struct llm_tenant *above)
{
	for (const struct llm_tenant *tenant = ledger->payer; tenant; tenant = tenant->parent)
		if (tenant == above)
			return true;
	return false;
}

/** llm_ledger_owes() - Return: bytes it was asked for that would help a charge that waits */
u64 llm_ledger_owes(const struct llm_ledger *ledger, const struct llm_ledger *claim)
{
	return llm_ledger_below(ledger, llm_ledger_scope(claim)) ? ledger->asked[claim->region] : 0;
}

/** llm_ledger_can_give() - Return: bytes it can be asked for, for a charge that waits */
u64 llm_ledger_can_give(const struct llm_ledger *ledger, const struct llm_ledger *claim)
{
	if (!llm_ledger_below(ledger, llm_ledger_scope(claim)) || ledger == claim)
		return 0;
	if (!ledger->kept && !ledger->idle && !ledger->absent && llm_key_before(ledger->age, claim->age))
		return 0;
	return ledger->held[claim->region] - ledger->asked[claim->region];
}

/**
 * llm_ledger_ask() - something is to be given back
 * @ledger: whose; a request is asked for all that it holds
 * @region: what of
 * @bytes: how much, no more than it can give
 */
void llm_ledger_ask(struct llm_ledger *ledger, unsigned int region, u64 bytes)
{
	llm_ledger_open(ledger);
	if (ledger->kept)
		ledger->asked[region] += bytes;
	else
		for (region = 0; region < LLM_REGIONS_MAX; region++)
			ledger->asked[region] = ledger->held[region];
	llm_ledger_close(ledger);
}

/** llm_policy_claim_after() - Return: the oldest ledger younger than @age whose charge waits; NULL */
struct llm_ledger *llm_policy_claim_after(const struct llm_policy *policy, u64 age)
{
	struct llm_tree_node *node = llm_tree_after(&policy->claims, age);

	return node ? container_of(node, struct llm_ledger, waiting) : NULL;
}

/** llm_policy_kept_after() - Return: the oldest ledger of a cgroup younger than @age; NULL */
struct llm_ledger *llm_policy_kept_after(const struct llm_policy *policy, u64 age)
{
	struct llm_tree_node *node = llm_tree_after(&policy->kept, age);

	return node ? container_of(node, struct llm_ledger, node) : NULL;
}

/** llm_policy_stuck_before() - Return: the youngest request's older than @age that stands still; NULL */
struct llm_ledger *llm_policy_stuck_before(const struct llm_policy *policy, u64 age)
{
	struct llm_tree_node *node = llm_tree_before(&policy->stuck, age);

	return node ? container_of(node, struct llm_ledger, node) : NULL;
}
