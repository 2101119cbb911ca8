// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Rates, compute time and counts of a tenant: see quota.h.
 */
#include "quota.h"
#include "stock.h"

#define LLM_NS_PER_S	1000000000ULL
#define LLM_DEBT_MAX	(1LL << 60)	/* units; more is forgiven */
#define LLM_REFILL_NS	(1ULL << 44)	/* a bucket refills for no longer than this at once */

/** llm_quota_valid() - whether a tenant may have such a quota */
bool llm_quota_valid(const struct llm_quota *quota)
{
	if (quota->weight < LLM_WEIGHT_MIN || quota->weight > LLM_WEIGHT_MAX)
		return false;
	if (quota->rate != U64_MAX &&
	    (quota->rate > LLM_RATE_MAX || quota->burst > LLM_RATE_MAX ||
	     quota->burst < LLM_COST_UNIT))
		return false;
	return quota->period_ns >= LLM_PERIOD_MIN_NS && quota->period_ns <= LLM_PERIOD_MAX_NS;
}

static bool llm_quota_has_rate(const struct llm_tenant *tenant)
{
	return tenant->quota.rate != U64_MAX;
}

/* Units that must be there before a tenant that ran dry is served again: an eighth of a second's. */
static s64 llm_quota_portion(const struct llm_tenant *tenant)
{
	u64 portion = tenant->quota.rate / 8;

	if (portion < LLM_COST_UNIT)
		portion = LLM_COST_UNIT;
	return portion < tenant->quota.burst ? portion : tenant->quota.burst;
}

/* What has flowed into the bucket until now. */
static void llm_quota_refill(struct llm_tenant *tenant, u64 now_ns)
{
	const u64 rate = tenant->quota.rate;
	u64 past_ns = now_ns - tenant->level_ns, units;

	if (!llm_quota_has_rate(tenant) || (s64)past_ns <= 0)
		return;
	if (past_ns > LLM_REFILL_NS)
		past_ns = LLM_REFILL_NS;
	units = mul_u64_u64_div_u64(rate, past_ns, LLM_NS_PER_S);
	if (!units)
		return;
	/* what is left of a unit counts next time */
	tenant->level_ns = now_ns - past_ns + mul_u64_u64_div_u64(units, LLM_NS_PER_S, rate);
	tenant->level += units;
	if (tenant->level >= (s64)tenant->quota.burst) {
		tenant->level = tenant->quota.burst;
		tenant->level_ns = now_ns;
	}
}

/* When the bucket has enough to go on with. */
static u64 llm_quota_rate_ns(const struct llm_tenant *tenant, u64 now_ns)
{
	const s64 missing = llm_quota_portion(tenant) - tenant->level;
	const u64 rate = tenant->quota.rate;

	if (!llm_quota_has_rate(tenant) || tenant->level >= (s64)LLM_COST_UNIT)
		return now_ns;
	/* or so long that the time would not fit */
	if (missing > (s64)mul_u64_u64_div_u64(rate, LLM_REFILL_NS, LLM_NS_PER_S))
		return now_ns + LLM_REFILL_NS;
	return tenant->level_ns + mul_u64_u64_div_u64(missing, LLM_NS_PER_S, rate) + 1;
}

/* The period that is now; what was used beyond earlier ones' share is owed. */
static void llm_quota_period(struct llm_tenant *tenant, u64 now_ns)
{
	const u64 period_ns = tenant->quota.period_ns;
	const u64 limit_ns = tenant->quota.compute_ns;
	u64 periods;

	if ((s64)(now_ns - tenant->period_end_ns) < 0)
		return;
	periods = div64_u64(now_ns - tenant->period_end_ns, period_ns) + 1;
	tenant->period_end_ns += periods * period_ns;
	/* more periods than could be owed for, or their product would not fit */
	if (!limit_ns || periods > div64_u64(tenant->period_used_ns, limit_ns))
		tenant->period_used_ns = 0;
	else
		tenant->period_used_ns -= periods * limit_ns;
}

static bool llm_quota_spent(const struct llm_tenant *tenant)
{
	return tenant->period_used_ns >= tenant->quota.compute_ns;
}

/* When the period that pays for what was used has come. */
static u64 llm_quota_compute_ns(const struct llm_tenant *tenant, u64 now_ns)
{
	u64 periods;

	if (!llm_quota_spent(tenant))
		return now_ns;
	if (!tenant->quota.compute_ns)
		return now_ns + LLM_REFILL_NS;
	periods = div64_u64(tenant->period_used_ns, tenant->quota.compute_ns) - 1;
	if (periods > div64_u64(LLM_REFILL_NS, tenant->quota.period_ns))
		return now_ns + LLM_REFILL_NS;
	return tenant->period_end_ns + periods * tenant->quota.period_ns;
}

/* Sends the tenant to sleep, or wakes it, as its quota says. */
static void llm_quota_rest(struct llm_tenant *tenant, u64 now_ns)
{
	struct llm_tree *asleep = &tenant->policy->asleep;
	const bool slept = llm_tree_has(&tenant->asleep);
	u64 until_ns;

	llm_quota_refill(tenant, now_ns);
	llm_quota_period(tenant, now_ns);
	until_ns = llm_key_max(llm_quota_rate_ns(tenant, now_ns),
			       llm_quota_compute_ns(tenant, now_ns));
	if (!llm_key_before(now_ns, until_ns)) {
		if (!slept)
			return;
		llm_tree_remove(asleep, &tenant->asleep);
		/* who looked at the clock first may come last */
		if (llm_key_before(tenant->asleep_ns, now_ns))
			tenant->usage.throttled_ns += now_ns - tenant->asleep_ns;
		tenant->policy->freed++;
		llm_tenant_update(tenant);
		return;
	}
	llm_tree_remove(asleep, &tenant->asleep);
	llm_tree_insert(asleep, &tenant->asleep, until_ns);
	if (slept)
		return;
	tenant->asleep_ns = now_ns;
	llm_tenant_update(tenant);
	llm_tenant_bar(tenant);
	if (tenant->policy->slept)
		tenant->policy->slept(tenant);
}

/**
 * llm_quota_room() - what of a grant a tenant's own quota leaves
 * @tenant: an ancestor of a leaf, or the leaf
 * @units: to be granted
 * @now_ns: the time
 *
 * Return: @units or less; 0: it has to rest.
 */
u64 llm_quota_room(struct llm_tenant *tenant, u64 units, u64 now_ns)
{
	if (llm_tree_has(&tenant->asleep))
		return 0;
	llm_quota_refill(tenant, now_ns);
	llm_quota_period(tenant, now_ns);
	if (llm_quota_spent(tenant))
		return 0;
	if (!llm_quota_has_rate(tenant) || tenant->level >= (s64)units)
		return units;
	if (tenant->level <= 0)
		return 0;
	/* whole tokens, for nobody generates a part of one; it is less than @units, so it fits */
	return tenant->level - (u32)tenant->level % LLM_COST_UNIT;
}

/**
 * llm_quota_spare() - how many requests could begin without coming near a tenant's own quota
 * @tenant: an ancestor of a leaf, or the leaf
 * @units: that each would be granted
 * @now_ns: the time
 *
 * Return: as many; not even with all of them is a limit reached, or the bucket empty.
 */
u32 llm_quota_spare(struct llm_tenant *tenant, u64 units, u64 now_ns)
{
	const struct llm_quota *quota = &tenant->quota;
	u64 grants;
	u32 spare;

	if (llm_tree_has(&tenant->asleep) || !quota->queued ||
	    tenant->usage.in_flight >= quota->in_flight)
		return 0;
	llm_quota_refill(tenant, now_ns);
	llm_quota_period(tenant, now_ns);
	if (llm_quota_spent(tenant))
		return 0;
	spare = quota->in_flight - tenant->usage.in_flight - 1;
	if (!llm_quota_has_rate(tenant))
		return spare;
	if (tenant->level < (s64)LLM_COST_UNIT)
		return 0;
	grants = div64_u64(tenant->level - LLM_COST_UNIT, units);
	return grants < spare ? grants : spare;
}

/**
 * llm_quota_owe() - grants that llm_quota_spare() allowed were made, and others given back
 * @tenant: as given to it
 * @out: units granted, less those given back
 * @now_ns: when that was known; nothing that flows in before is kept for it
 */
void llm_quota_owe(struct llm_tenant *tenant, s64 out, u64 now_ns)
{
	if (!llm_quota_has_rate(tenant))
		return;
	llm_quota_refill(tenant, now_ns);
	tenant->level -= out;
	if (tenant->level > (s64)tenant->quota.burst)
		tenant->level = tenant->quota.burst;
}

/** llm_quota_use() - a grant that llm_quota_room() allowed is made */
void llm_quota_use(struct llm_tenant *tenant, u64 units, u64 now_ns)
{
	if (!llm_quota_has_rate(tenant))
		return;
	tenant->level -= units;
	llm_quota_rest(tenant, now_ns);
}

/** llm_quota_settle() - what became of a grant: see llm_tenant_settle() */
void llm_quota_settle(struct llm_tenant *tenant, u64 granted, u64 used, u64 now_ns)
{
	if (!llm_quota_has_rate(tenant))
		return;
	llm_quota_refill(tenant, now_ns);
	tenant->level += (s64)(granted - used);
	if (tenant->level > (s64)tenant->quota.burst)
		tenant->level = tenant->quota.burst;
	if (tenant->level < -LLM_DEBT_MAX)
		tenant->level = -LLM_DEBT_MAX;
	llm_quota_rest(tenant, now_ns);
}

/** llm_quota_computed() - see llm_tenant_computed() */
void llm_quota_computed(struct llm_tenant *tenant, u64 compute_ns, u64 now_ns)
{
	if (tenant->quota.compute_ns == U64_MAX)
		return;
	llm_quota_period(tenant, now_ns);
	tenant->period_used_ns = llm_sum(tenant->period_used_ns, compute_ns);
	llm_quota_rest(tenant, now_ns);
}

/** llm_quota_set() - sets what a tenant is allowed: see llm_tenant_set_quota() */
void llm_quota_set(struct llm_tenant *tenant, const struct llm_quota *quota, u64 now_ns)
{
	const struct llm_quota old = tenant->quota;

	tenant->quota = *quota;
	if (quota->rate != old.rate || quota->burst != old.burst) {
		tenant->level = !quota->rate || quota->rate == U64_MAX ? 0 : quota->burst;
		tenant->level_ns = now_ns;
	}
	if (quota->compute_ns != old.compute_ns || quota->period_ns != old.period_ns) {
		tenant->period_used_ns = 0;
		tenant->period_end_ns = now_ns + quota->period_ns;
	}
	llm_quota_rest(tenant, now_ns);
}

/**
 * llm_tenant_full() - whether there is room for one more request that waits
 * @leaf: whose
 *
 * Return: the tenant whose quota has none, or NULL.
 */
struct llm_tenant *llm_tenant_full(struct llm_tenant *leaf)
{
	llm_stock_drain(leaf->policy);
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		if (tenant->usage.queued >= tenant->quota.queued)
			return tenant;
	return NULL;
}

/**
 * llm_tenant_never() - whether quotas are such that no request can ever be served
 * @leaf: whose
 *
 * Return: the tenant with such a quota, or NULL.
 */
struct llm_tenant *llm_tenant_never(struct llm_tenant *leaf)
{
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent) {
		const struct llm_quota *quota = &tenant->quota;

		if (!quota->in_flight || !quota->queued || !quota->rate || !quota->compute_ns)
			return tenant;
	}
	return NULL;
}

/**
 * llm_tenant_kept() - whether a quota keeps a leaf's requests out just now
 * @leaf: whose
 * @want: which of them
 *
 * Return: the tenant with that quota, or NULL: if anything, then others have a better claim.
 */
struct llm_tenant *llm_tenant_kept(struct llm_tenant *leaf, enum llm_want want)
{
	llm_stock_drain(leaf->policy);
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		if (llm_tree_has(&tenant->asleep) ||
		    (want == LLM_WANT_START && tenant->usage.in_flight >= tenant->quota.in_flight))
			return tenant;
	return NULL;
}

/**
 * llm_tenant_spent() - whether a running request must stop, with what it was granted unused
 * @leaf: whose
 */
bool llm_tenant_spent(const struct llm_tenant *leaf)
{
	for (const struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		if (llm_quota_spent(tenant))
			return true;
	return false;
}

/** llm_policy_next_ns() - Return: when llm_policy_wake() is due; U64_MAX: not by time */
u64 llm_policy_next_ns(const struct llm_policy *policy)
{
	const struct llm_tree_node *node = llm_tree_first(&policy->asleep);

	return node ? node->key : U64_MAX;
}

/**
 * llm_policy_wake_some() - lets some of those in whose time has come
 * @policy: the tree
 * @most: how many are looked at
 * @now_ns: the time
 *
 * Return: when to call it again, which may be now; U64_MAX: not by time.
 */
u64 llm_policy_wake_some(struct llm_policy *policy, u32 most, u64 now_ns)
{
	struct llm_tree_node *node;

	while (most-- && (node = llm_tree_first(&policy->asleep))) {
		if (llm_key_before(now_ns, node->key))
			break;
		llm_quota_rest(container_of(node, struct llm_tenant, asleep), now_ns);
	}
	return llm_policy_next_ns(policy);
}

/**
 * llm_policy_wake() - lets all in whose time has come
 * @policy: the tree
 * @now_ns: the time
 *
 * Return: when to call it again; U64_MAX: not by time.
 */
u64 llm_policy_wake(struct llm_policy *policy, u64 now_ns)
{
	u64 next_ns;

	do
		next_ns = llm_policy_wake_some(policy, U32_MAX, now_ns);
	while (next_ns != U64_MAX && !llm_key_before(now_ns, next_ns));
	return next_ns;
}
