// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The tree of tenants and who of them is served next: see tenant.h.
 */
#include "quota.h"
#include "stock.h"
#include "tenant.h"

#define LLM_TAG_SCALE	(1U << 14)	/* virtual time of a unit at weight 1 */
#define LLM_USE_MAX	(1ULL << 32)	/* units of one grant */

static struct llm_tenant *llm_tenant_of(struct llm_tree_node *node, enum llm_band band,
					enum llm_want want)
{
	struct llm_entity *entity = container_of(node, struct llm_entity, nodes[want]);

	return container_of(entity, struct llm_tenant, bands[band]);
}

/* Whether something below the tenant, or of it, could be served. */
static bool llm_tenant_open(const struct llm_tenant *tenant, enum llm_band band, enum llm_want want)
{
	const struct llm_entity *entity = &tenant->bands[band];

	if (llm_tree_has(&tenant->asleep) ||
	    (want == LLM_WANT_START && tenant->usage.in_flight >= tenant->quota.in_flight))
		return false;
	return entity->wants[want] || !llm_tree_empty(&entity->children[want]);
}

static bool llm_entity_active(const struct llm_entity *entity)
{
	return llm_tree_has(&entity->nodes[LLM_WANT_GO_ON]) ||
	       llm_tree_has(&entity->nodes[LLM_WANT_START]);
}

static u64 llm_tenant_tag(const struct llm_tenant *tenant, u64 units)
{
	return div_u64(units * LLM_TAG_SCALE, tenant->quota.weight);
}

/* The tag of a tenant that comes back, with what it has under way. */
static u64 llm_entity_return(const struct llm_tenant *tenant, enum llm_band band)
{
	const struct llm_entity *entity = &tenant->bands[band];

	return llm_key_max(entity->start, tenant->parent->bands[band].vtime +
			   llm_tenant_tag(tenant, entity->out));
}

/* Brings one tenant's place among its siblings up to date. Return: its parent's may have changed. */
static bool llm_entity_update(struct llm_tenant *tenant, enum llm_band band)
{
	struct llm_entity *entity = &tenant->bands[band];
	struct llm_entity *parent = &tenant->parent->bands[band];
	bool changed = false;

	if (!llm_entity_active(entity))
		entity->start = llm_entity_return(tenant, band);
	for (int want = 0; want < LLM_WANTS; want++) {
		const bool open = llm_tenant_open(tenant, band, want);

		if (open == llm_tree_has(&entity->nodes[want]))
			continue;
		if (open)
			llm_tree_insert(&parent->children[want], &entity->nodes[want],
					entity->start);
		else
			llm_tree_remove(&parent->children[want], &entity->nodes[want]);
		changed = true;
	}
	return changed;
}

/* What decides whether a tenant can be served in a band has changed; its ancestors follow. */
static void llm_tenant_update_band(struct llm_tenant *tenant, enum llm_band band)
{
	while (tenant->parent && llm_entity_update(tenant, band))
		tenant = tenant->parent;
}

/**
 * llm_tenant_update() - something that decides whether a tenant can be served has changed
 * @tenant: it; its ancestors follow
 */
void llm_tenant_update(struct llm_tenant *tenant)
{
	for (int band = 0; band < LLM_BANDS; band++)
		llm_tenant_update_band(tenant, band);
}

/* Moves a tenant's tag, and its place with it. */
static void llm_entity_move(struct llm_tenant *tenant, enum llm_band band, u64 start)
{
	struct llm_entity *entity = &tenant->bands[band];

	entity->start = start;
	for (int want = 0; want < LLM_WANTS; want++) {
		struct llm_tree *tree = &tenant->parent->bands[band].children[want];

		if (!llm_tree_has(&entity->nodes[want]))
			continue;
		llm_tree_remove(tree, &entity->nodes[want]);
		llm_tree_insert(tree, &entity->nodes[want], start);
	}
}

/* All that the tenant and its ancestors are served costs them @units. */
static void llm_tenant_advance(struct llm_tenant *leaf, enum llm_band band, u64 units)
{
	for (struct llm_tenant *tenant = leaf; tenant->parent; tenant = tenant->parent) {
		struct llm_entity *entity = &tenant->bands[band];
		struct llm_entity *parent = &tenant->parent->bands[band];

		if (!llm_entity_active(entity))
			entity->start = llm_entity_return(tenant, band);
		parent->vtime = llm_key_max(parent->vtime, entity->start -
					    llm_tenant_tag(tenant, entity->out));
		entity->out += units;
		llm_entity_move(tenant, band, entity->start + llm_tenant_tag(tenant, units));
	}
}

/**
 * llm_tenant_owe() - what came of the grants of a stock
 * @tenant: its leaf, or above it; called from there upwards. It is in no tree, nor is anybody else.
 * @stock: of which this has not heard
 *
 * The same as if each grant had advanced the tenant, and moved it back when it was given up: nothing
 * was used, so the first one brought it to where it was all along.
 */
void llm_tenant_owe(struct llm_tenant *tenant, const struct llm_stock *stock)
{
	struct llm_entity *entity = &tenant->bands[stock->band];
	struct llm_entity *parent;

	if (!tenant->parent)
		return;
	parent = &tenant->parent->bands[stock->band];
	if (stock->began) {
		entity->start = llm_entity_return(tenant, stock->band);
		parent->vtime = llm_key_max(parent->vtime, entity->start -
					    llm_tenant_tag(tenant, entity->out));
	}
	entity->start += stock->in_flight * (s64)llm_tenant_tag(tenant, stock->units);
	entity->out += stock->in_flight * (s64)stock->units;
}

/* What it has under way moved its tag by as much as it did, so that has to follow its weight. */
static void llm_tenant_reweigh(struct llm_tenant *tenant)
{
	for (int band = 0; tenant->parent && band < LLM_BANDS; band++)
		llm_entity_move(tenant, band, tenant->parent->bands[band].vtime +
				llm_tenant_tag(tenant, tenant->bands[band].out));
}

/**
 * llm_tenant_set_quota() - sets a tenant's quota; they hold from now on
 * @tenant: it
 * @quota: valid
 * @now_ns: the time
 *
 * A bucket whose rate or burst changes starts full. What is over a new limit stays until it ends.
 */
void llm_tenant_set_quota(struct llm_tenant *tenant, const struct llm_quota *quota, u64 now_ns)
{
	const u32 old_weight = tenant->quota.weight;

	llm_stock_drain(tenant->policy);
	llm_quota_set(tenant, quota, now_ns);
	if (quota->weight != old_weight)
		llm_tenant_reweigh(tenant);
	llm_tenant_bar(tenant);
	llm_tenant_update(tenant);
}

/**
 * llm_policy_init() - a tree with a root that has no quota
 * @policy: the tree
 * @now_ns: the time
 */
void llm_policy_init(struct llm_policy *policy, u64 now_ns)
{
	*policy = (struct llm_policy){ .asleep.root = NULL };
	llm_tenant_init(&policy->root, NULL, LLM_WEIGHT_DEFAULT, now_ns);
	policy->root.policy = policy;
}

/**
 * llm_tenant_init() - a tenant without quota, that wants nothing
 * @tenant: it
 * @parent: above it, no leaf; outlives it
 * @weight: its share among its siblings
 * @now_ns: the time
 */
void llm_tenant_init(struct llm_tenant *tenant, struct llm_tenant *parent, u32 weight, u64 now_ns)
{
	*tenant = (struct llm_tenant){
		.parent = parent,
		.policy = parent ? parent->policy : NULL,
		.quota = llm_quota_none(weight),
		.level_ns = now_ns,
	};
	llm_pressure_init(&tenant->pressure, now_ns);
}

/**
 * llm_tenant_exit() - a tenant is no more
 * @tenant: it has no children, no requests and nothing charged
 */
void llm_tenant_exit(struct llm_tenant *tenant)
{
	llm_stock_drain(tenant->policy);
	llm_tree_remove(&tenant->policy->asleep, &tenant->asleep);
	for (int band = 0; band < LLM_BANDS; band++)
		for (int want = 0; want < LLM_WANTS; want++)
			llm_tree_remove(&tenant->parent->bands[band].children[want],
					&tenant->bands[band].nodes[want]);
}

/**
 * llm_tenant_want() - a request of a leaf wants to be served
 * @leaf: whose
 * @band: where it competes
 * @want: whether it has begun
 */
void llm_tenant_want(struct llm_tenant *leaf, enum llm_band band, enum llm_want want)
{
	llm_stock_drain(leaf->policy);
	if (want == LLM_WANT_START)
		for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
			tenant->usage.queued++;
	if (!leaf->bands[band].wants[want]++)
		llm_tenant_update_band(leaf, band);
}

/**
 * llm_tenant_unwant() - it does not want to be served any more
 * @leaf: as it was given to llm_tenant_want()
 * @band: as well
 * @want: as well
 */
void llm_tenant_unwant(struct llm_tenant *leaf, enum llm_band band, enum llm_want want)
{
	llm_stock_drain(leaf->policy);
	if (want == LLM_WANT_START)
		for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
			tenant->usage.queued--;
	if (!--leaf->bands[band].wants[want])
		llm_tenant_update_band(leaf, band);
}

/* The child to be served next, and what with; NULL: none. */
static struct llm_tenant *llm_entity_next(struct llm_entity *entity, enum llm_band band,
					  bool may_start)
{
	struct llm_tree_node *go_on = llm_tree_first(&entity->children[LLM_WANT_GO_ON]);
	struct llm_tree_node *start = NULL;

	if (may_start)
		start = llm_tree_first(&entity->children[LLM_WANT_START]);
	if (start && (!go_on || llm_key_before(start->key, go_on->key)))
		return llm_tenant_of(start, band, LLM_WANT_START);
	return go_on ? llm_tenant_of(go_on, band, LLM_WANT_GO_ON) : NULL;
}

static struct llm_tenant *llm_policy_pick_band(struct llm_policy *policy, bool may_start,
					       enum llm_band band, enum llm_want *ret_want)
{
	struct llm_tenant *tenant = &policy->root;
	struct llm_tenant *next;

	may_start = may_start && llm_tenant_open(tenant, band, LLM_WANT_START);
	if (!may_start && !llm_tenant_open(tenant, band, LLM_WANT_GO_ON))
		return NULL;
	while ((next = llm_entity_next(&tenant->bands[band], band, may_start))) {
		may_start = may_start &&
			    llm_tree_has(&next->bands[band].nodes[LLM_WANT_START]);
		tenant = next;
	}
	*ret_want = tenant->bands[band].wants[LLM_WANT_GO_ON] ? LLM_WANT_GO_ON : LLM_WANT_START;
	return tenant;
}

/**
 * llm_policy_pick() - who is to be served next
 * @policy: the tree
 * @may_start: also with a request that has yet to begin
 * @ret_band: out, in which band
 * @ret_want: out, whether with a request that goes on or with one that starts
 *
 * Return: a leaf that wants it, or NULL: nobody who may.
 */
struct llm_tenant *llm_policy_pick(struct llm_policy *policy, bool may_start,
				   enum llm_band *ret_band, enum llm_want *ret_want)
{
	for (int band = 0; band < LLM_BANDS; band++) {
		struct llm_tenant *leaf = llm_policy_pick_band(policy, may_start, band,
							       ret_want);

		if (leaf) {
			*ret_band = band;
			return leaf;
		}
	}
	return NULL;
}

/**
 * llm_tenant_grant() - budget for a request of a leaf
 * @leaf: whose
 * @band: where the request competes
 * @units: what it would like, at most LLM_USE_MAX
 * @now_ns: the time
 *
 * Return: what it may use: as much as the quota above it leave, 0 if that is nothing just now.
 */
u64 llm_tenant_grant(struct llm_tenant *leaf, enum llm_band band, u64 units, u64 now_ns)
{
	llm_stock_drain(leaf->policy);
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		units = llm_quota_room(tenant, units, now_ns);
	if (!units)
		return 0;
	llm_tenant_advance(leaf, band, units);
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		llm_quota_use(tenant, units, now_ns);
	return units;
}

/* One more has begun. */
static void llm_tenant_fly(struct llm_tenant *leaf)
{
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		if (++tenant->usage.in_flight == tenant->quota.in_flight) {
			llm_tenant_bar(tenant);
			llm_tenant_update(tenant);
		}
}

/**
 * llm_tenant_begin() - a request of a leaf is served; no longer wants to be
 * @leaf: as llm_policy_pick() said, or as given to llm_tenant_want()
 * @band: as well
 * @want: as well
 * @units: as for llm_tenant_grant()
 * @now_ns: the time
 *
 * Return: its budget; with 0 it goes on wanting.
 */
u64 llm_tenant_begin(struct llm_tenant *leaf, enum llm_band band, enum llm_want want, u64 units,
		     u64 now_ns)
{
	units = llm_tenant_grant(leaf, band, units, now_ns);
	if (!units)
		return 0;
	llm_tenant_unwant(leaf, band, want);
	if (want == LLM_WANT_START)
		llm_tenant_fly(leaf);
	return units;
}

/**
 * llm_tenant_end() - a request that had begun has ended
 * @leaf: whose; its last grant was settled
 */
void llm_tenant_end(struct llm_tenant *leaf)
{
	llm_stock_drain(leaf->policy);
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		if (tenant->usage.in_flight-- == tenant->quota.in_flight)
			llm_tenant_update(tenant);
}

/**
 * llm_tenant_settle() - what became of a grant
 * @leaf: to whom
 * @band: where
 * @granted: what is given up of it: all, or what goes with @used
 * @used: units
 * @now_ns: the time
 */
void llm_tenant_settle(struct llm_tenant *leaf, enum llm_band band, u64 granted, u64 used,
		       u64 now_ns)
{
	llm_stock_drain(leaf->policy);
	if (used > LLM_USE_MAX)
		used = LLM_USE_MAX;
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent) {
		struct llm_entity *entity = &tenant->bands[band];

		if (tenant->parent) {
			llm_entity_move(tenant, band, entity->start + llm_tenant_tag(tenant, used) -
					llm_tenant_tag(tenant, granted));
			entity->out -= granted;
		}
		tenant->usage.units += used;
		llm_quota_settle(tenant, granted, used, now_ns);
	}
}

/**
 * llm_tenant_computed() - a leaf's requests took compute time
 * @leaf: whose
 * @compute_ns: how much
 * @now_ns: the time
 */
void llm_tenant_computed(struct llm_tenant *leaf, u64 compute_ns, u64 now_ns)
{
	llm_stock_drain(leaf->policy);
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent) {
		tenant->usage.compute_ns = llm_sum(tenant->usage.compute_ns, compute_ns);
		llm_quota_computed(tenant, compute_ns, now_ns);
	}
}

/**
 * llm_tenant_hurry() - a leaf has requests that are not to wait for a quota
 * @leaf: whose
 * @more: how many more; less than 0: they have ended
 */
void llm_tenant_hurry(struct llm_tenant *leaf, int more)
{
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		tenant->impatient += more;
}

static void llm_tally_add(struct llm_tally *tally, const struct llm_tally *more)
{
	tally->prompt_tokens += more->prompt_tokens;
	tally->output_tokens += more->output_tokens;
	tally->submitted += more->submitted;
	tally->dispatched += more->dispatched;
	tally->ended += more->ended;
	tally->refused += more->refused;
	tally->queued_ns += more->queued_ns;
}

/**
 * llm_tenant_tally() - counts what a leaf's requests did or what became of them
 * @leaf: whose
 * @more: to be added
 */
void llm_tenant_tally(struct llm_tenant *leaf, const struct llm_tally *more)
{
	struct llm_stock *stock = &leaf->policy->stock;

	if (stock->leaf == leaf) {
		llm_tally_add(&stock->tally, more);
		return;
	}
	for (struct llm_tenant *tenant = leaf; tenant; tenant = tenant->parent)
		llm_tally_add(&tenant->usage.tally, more);
}
