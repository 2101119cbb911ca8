// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who is stepped: see stage.h.
 */
#include "stage.h"
#include "stock.h"

#define LLM_GRANT	(16 * LLM_COST_UNIT)

/**
 * llm_stage_init() - nobody competes for the slots
 * @stage: it
 * @slots: how many
 * @now_ns: the time
 */
void llm_stage_init(struct llm_stage *stage, u32 slots, u64 now_ns)
{
	*stage = (struct llm_stage){
		.slots = slots,
		.sequences = U32_MAX,
		.prompt_cost = LLM_PROMPT_COST,
		.output_cost = LLM_COST_UNIT,
		.grant = LLM_GRANT,
	};
	llm_policy_init(&stage->policy, now_ns);
}

/**
 * llm_stage_set_slots() - what the server can do
 * @stage: whose
 * @slots: requests it steps at once; 0: any number
 * @sequences: requests it keeps the state of; 0: any number
 *
 * Where more run than there are slots, each of them is weighed at its next report, and those that are
 * too many wait.
 */
void llm_stage_set_slots(struct llm_stage *stage, u32 slots, u32 sequences)
{
	stage->slots = slots ? slots : U32_MAX;
	stage->sequences = sequences ? sequences : U32_MAX;
	if (stage->running > stage->slots)
		stage->contended = stage->running;
}

/**
 * llm_stage_contend() - those who have yet to begin can be handed out again
 * @stage: where they may have been passed over; each who runs is weighed against them once more
 */
void llm_stage_contend(struct llm_stage *stage)
{
	if (stage->policy.root.usage.queued)
		stage->contended = stage->running;
}

/** llm_share_init() - a leaf: see llm_tenant_init() */
void llm_share_init(struct llm_share *share, struct llm_tenant *parent, u32 weight, u64 now_ns)
{
	*share = (struct llm_share){ .tenant.parent = NULL };
	llm_tenant_init(&share->tenant, parent, weight, now_ns);
}

/**
 * llm_ticket_init() - a request that does not compete yet
 * @ticket: its ticket
 * @share: whose
 * @band: where it will compete
 * @age: the lower, the sooner, among those of the same share
 */
void llm_ticket_init(struct llm_ticket *ticket, struct llm_share *share, enum llm_band band,
		     u64 age)
{
	*ticket = (struct llm_ticket){ .share = share, .band = band, .age = age };
}

static enum llm_want llm_ticket_want(const struct llm_ticket *ticket)
{
	return ticket->begun ? LLM_WANT_GO_ON : LLM_WANT_START;
}

static struct llm_tree *llm_ticket_queue(const struct llm_ticket *ticket)
{
	return &ticket->share->waiting[ticket->band][llm_ticket_want(ticket)];
}

static void llm_ticket_queue_up(struct llm_stage *stage, struct llm_ticket *ticket)
{
	ticket->state = LLM_TICKET_WAITS;
	stage->waiting++;
	llm_tree_insert(llm_ticket_queue(ticket), &ticket->node, ticket->age);
	llm_tenant_want(&ticket->share->tenant, ticket->band, llm_ticket_want(ticket));
}

/* Tells all that are above it how many more wait and run. */
static void llm_ticket_press(const struct llm_ticket *ticket, int waiting, int running, u64 now_ns)
{
	struct llm_tenant *tenant = &ticket->share->tenant;

	llm_stock_drain(tenant->policy);
	for (; tenant; tenant = tenant->parent)
		llm_pressure_change(&tenant->pressure, waiting, running, now_ns);
}

/**
 * llm_ticket_stall() - a request would want to be stepped, but something else has to come first
 * @ticket: away; until it waits, leaves or ends, that counts as pressure
 * @now_ns: the time
 */
void llm_ticket_stall(struct llm_ticket *ticket, u64 now_ns)
{
	if (ticket->stalled)
		return;
	ticket->stalled = true;
	llm_ticket_press(ticket, 1, 0, now_ns);
}

static void llm_ticket_unstall(struct llm_ticket *ticket, u64 now_ns)
{
	if (!ticket->stalled)
		return;
	ticket->stalled = false;
	llm_ticket_press(ticket, -1, 0, now_ns);
}

/**
 * llm_ticket_wait() - a request wants to be stepped
 * @stage: where
 * @ticket: away
 * @now_ns: the time
 */
void llm_ticket_wait(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	llm_ticket_unstall(ticket, now_ns);
	llm_ticket_queue_up(stage, ticket);
	llm_ticket_press(ticket, 1, 0, now_ns);
	stage->contended = stage->running;
}

/**
 * llm_ticket_begin() - a new request gets a slot at once, where nobody else wants one
 * @stage: where
 * @ticket: away, and has never run; somebody could hand it out
 * @now_ns: the time
 *
 * The same as llm_ticket_wait() and llm_stage_next(), without the way through the trees. Whose
 * requests come one after the other has no way to go at all: see stock.h.
 *
 * Return: it runs now; false: it has to wait, or some quota wants to be asked in more words.
 */
bool llm_ticket_begin(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	struct llm_policy *policy = &stage->policy;
	struct llm_tenant *leaf = &ticket->share->tenant;
	const enum llm_band band = ticket->band;

	if (stage->waiting || stage->running >= stage->slots || ticket->begun ||
	    policy->root.usage.in_flight + policy->stock.in_flight >= stage->sequences)
		return false;
	if (!llm_stock_begin(leaf, band, stage->grant, now_ns)) {
		llm_stock_drain(policy);
		if (!llm_stock_open(policy, leaf, band, stage->grant, now_ns) ||
		    !llm_stock_begin(leaf, band, stage->grant, now_ns))
			return false;
	}
	ticket->stock = policy->stock.number;
	ticket->granted = stage->grant;
	ticket->state = LLM_TICKET_RUNS;
	ticket->begun = true;
	stage->running++;
	return true;
}

/*
 * Whether a request of a leaf may begin when the server has as many as it keeps the state of: where
 * nobody of the same user, or of one of the cgroups above, waits to go on, so that these get their
 * share.
 */
static bool llm_share_may_begin(const struct llm_share *share, enum llm_band band)
{
	const struct llm_tenant *tenant = &share->tenant;

	while ((tenant = tenant->parent))
		if (llm_tree_empty(&tenant->bands[band].children[LLM_WANT_GO_ON]))
			return true;
	return false;
}

/* The leaf to be served next, or NULL. */
static struct llm_tenant *llm_stage_pick(struct llm_stage *stage, bool may_start,
					 enum llm_band *ret_band, enum llm_want *ret_want)
{
	struct llm_policy *policy = &stage->policy;
	struct llm_tenant *leaf = llm_policy_pick(policy, may_start, ret_band, ret_want);

	if (!leaf || *ret_want != LLM_WANT_START ||
	    policy->root.usage.in_flight < stage->sequences ||
	    llm_share_may_begin(container_of(leaf, struct llm_share, tenant), *ret_band))
		return leaf;
	return llm_policy_pick(policy, false, ret_band, ret_want);
}

/* Who would be next, or NULL. */
static struct llm_ticket *llm_stage_peek(struct llm_stage *stage, bool may_start)
{
	enum llm_band band;
	enum llm_want want;
	struct llm_tenant *leaf;
	struct llm_share *share;

	if (!stage->waiting || stage->running >= stage->slots)
		return NULL;
	leaf = llm_stage_pick(stage, may_start, &band, &want);
	if (!leaf)
		return NULL;
	share = container_of(leaf, struct llm_share, tenant);
	return container_of(llm_tree_first(&share->waiting[band][want]), struct llm_ticket, node);
}

/* Gives it a slot and credit. Return: false: its quota leaves it nothing after all. */
static bool llm_ticket_run(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	struct llm_tree *queue = llm_ticket_queue(ticket);

	ticket->granted = llm_tenant_begin(&ticket->share->tenant, ticket->band,
					   llm_ticket_want(ticket), stage->grant, now_ns);
	if (!ticket->granted)
		return false;
	llm_tree_remove(queue, &ticket->node);
	stage->waiting--;
	ticket->state = LLM_TICKET_RUNS;
	ticket->begun = true;
	stage->running++;
	return true;
}

/**
 * llm_stage_next() - gives a slot to who deserves it most
 * @stage: whose slots
 * @may_start: somebody that has yet to begin could be handed out
 * @now_ns: the time
 *
 * Return: it runs now; NULL: there is no slot, or nobody for it.
 */
struct llm_ticket *llm_stage_next(struct llm_stage *stage, bool may_start, u64 now_ns)
{
	struct llm_ticket *ticket = llm_stage_peek(stage, may_start);

	if (!ticket || !llm_ticket_run(stage, ticket, now_ns))
		return NULL;
	llm_ticket_press(ticket, -1, 1, now_ns);
	return ticket;
}

/* Settles what was granted, and gives the slot back. */
static void llm_ticket_settle(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	llm_tenant_settle(&ticket->share->tenant, ticket->band, ticket->granted, ticket->used,
			  now_ns);
	ticket->granted = 0;
	ticket->used = 0;
	stage->running--;
}

/* Whether what was granted has to be weighed against what others want. */
static bool llm_ticket_due(struct llm_stage *stage, const struct llm_ticket *ticket)
{
	if (stage->contended) {
		stage->contended--;
		return true;
	}
	return ticket->used >= ticket->granted || llm_tenant_spent(&ticket->share->tenant);
}

/* Something was done for a request: see llm_ticket_use(). */
static void llm_ticket_count(struct llm_stage *stage, struct llm_ticket *ticket,
				      u32 prompt_tokens, u32 output_tokens, u64 compute_ns,
				      u64 now_ns)
{
	struct llm_tenant *leaf = &ticket->share->tenant;
	struct llm_tally tally = { .refused = 0 };
	u64 units;

	if (prompt_tokens > ticket->prompt_tokens) {
		tally.prompt_tokens = prompt_tokens - ticket->prompt_tokens;
		ticket->prompt_tokens = prompt_tokens;
	}
	if (output_tokens > ticket->output_tokens) {
		tally.output_tokens = output_tokens - ticket->output_tokens;
		ticket->output_tokens = output_tokens;
	}
	if (tally.prompt_tokens || tally.output_tokens)
		llm_tenant_tally(leaf, &tally);
	units = tally.prompt_tokens * stage->prompt_cost + tally.output_tokens * stage->output_cost;
	if (ticket->state == LLM_TICKET_RUNS)
		ticket->used += units;
	else
		llm_tenant_settle(leaf, ticket->band, 0, units, now_ns);
	if (compute_ns)
		llm_tenant_computed(leaf, compute_ns, now_ns);
}

/**
 * llm_ticket_use() - what was done for a request since it was last told
 * @stage: where it competes
 * @ticket: it; one that does not run any more pays as well
 * @prompt_tokens: processed in all; what is less than before is not believed
 * @output_tokens: generated in all; the same
 * @compute_ns: compute time since then
 * @now_ns: the time
 */
void llm_ticket_use(struct llm_stage *stage, struct llm_ticket *ticket, u32 prompt_tokens,
		    u32 output_tokens, u64 compute_ns, u64 now_ns)
{
	if (compute_ns || prompt_tokens > ticket->prompt_tokens ||
	    output_tokens > ticket->output_tokens)
		llm_ticket_count(stage, ticket, prompt_tokens, output_tokens, compute_ns, now_ns);
}

/**
 * llm_ticket_renew() - whether a request goes on
 * @stage: where it runs
 * @ticket: it; what it used has been told
 * @may_start: as for llm_stage_next()
 * @now_ns: the time
 *
 * Return: it does; false: it waits, or had stopped before, and llm_stage_next() will name another.
 */
bool llm_ticket_renew(struct llm_stage *stage, struct llm_ticket *ticket, bool may_start,
		      u64 now_ns)
{
	if (ticket->state != LLM_TICKET_RUNS)
		return false;
	if (!llm_ticket_due(stage, ticket))
		return true;
	llm_ticket_settle(stage, ticket, now_ns);
	llm_ticket_queue_up(stage, ticket);
	if (llm_stage_peek(stage, may_start) == ticket && llm_ticket_run(stage, ticket, now_ns))
		return true;
	llm_ticket_press(ticket, 1, -1, now_ns);
	return false;
}

/**
 * llm_ticket_leave() - a request does not want to be stepped for now
 * @stage: where it runs or waits, if it does
 * @ticket: it
 * @now_ns: the time
 */
void llm_ticket_leave(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	llm_ticket_unstall(ticket, now_ns);
	if (ticket->state == LLM_TICKET_RUNS) {
		llm_ticket_settle(stage, ticket, now_ns);
		llm_ticket_press(ticket, 0, -1, now_ns);
	} else if (ticket->state == LLM_TICKET_WAITS) {
		llm_ticket_press(ticket, -1, 0, now_ns);
		stage->waiting--;
		llm_tree_remove(llm_ticket_queue(ticket), &ticket->node);
		llm_tenant_unwant(&ticket->share->tenant, ticket->band, llm_ticket_want(ticket));
	}
	ticket->state = LLM_TICKET_AWAY;
}

/** llm_ticket_end() - a request has ended, wherever it was: see llm_ticket_leave() */
void llm_ticket_end(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	if (ticket->state == LLM_TICKET_RUNS && !ticket->used &&
	    llm_stock_end(&ticket->share->tenant, ticket->stock, now_ns)) {
		stage->running--;
		ticket->granted = 0;
		ticket->state = LLM_TICKET_AWAY;
		ticket->begun = false;
		return;
	}
	llm_ticket_leave(stage, ticket, now_ns);
	if (ticket->begun)
		llm_tenant_end(&ticket->share->tenant);
	ticket->begun = false;
}
