// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who is stepped: see stage.h.
 */
#include "stage.h"

#define LLM_PROMPT_COST	(LLM_COST_UNIT / 4) /* many at once take less time each */
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
		.prompt_cost = LLM_PROMPT_COST,
		.output_cost = LLM_COST_UNIT,
		.grant = LLM_GRANT,
	};
	llm_policy_init(&stage->policy, now_ns);
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

static void llm_ticket_queue_up(struct llm_ticket *ticket)
{
	ticket->state = LLM_TICKET_WAITS;
	llm_tree_insert(llm_ticket_queue(ticket), &ticket->node, ticket->age);
	llm_tenant_want(&ticket->share->tenant, ticket->band, llm_ticket_want(ticket));
}

/**
 * llm_ticket_wait() - a request wants to be stepped
 * @stage: where
 * @ticket: away
 */
void llm_ticket_wait(struct llm_stage *stage, struct llm_ticket *ticket)
{
	llm_ticket_queue_up(ticket);
	stage->contended = stage->running;
}

/* Who would be next, or NULL. */
static struct llm_ticket *llm_stage_peek(struct llm_stage *stage, bool may_start)
{
	enum llm_band band;
	enum llm_want want;
	struct llm_tenant *leaf;
	struct llm_share *share;

	if (stage->running >= stage->slots)
		return NULL;
	leaf = llm_policy_pick(&stage->policy, may_start, &band, &want);
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

	return ticket && llm_ticket_run(stage, ticket, now_ns) ? ticket : NULL;
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
	struct llm_tenant *leaf = &ticket->share->tenant;
	u64 units = 0;

	if (prompt_tokens > ticket->prompt_tokens) {
		units += (u64)(prompt_tokens - ticket->prompt_tokens) * stage->prompt_cost;
		ticket->prompt_tokens = prompt_tokens;
	}
	if (output_tokens > ticket->output_tokens) {
		units += (u64)(output_tokens - ticket->output_tokens) * stage->output_cost;
		ticket->output_tokens = output_tokens;
	}
	if (ticket->state == LLM_TICKET_RUNS)
		ticket->used += units;
	else
		llm_tenant_settle(leaf, ticket->band, 0, units, now_ns);
	llm_tenant_computed(leaf, compute_ns, now_ns);
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
	llm_ticket_queue_up(ticket);
	return llm_stage_peek(stage, may_start) == ticket && llm_ticket_run(stage, ticket, now_ns);
}

/**
 * llm_ticket_leave() - a request does not want to be stepped for now
 * @stage: where it runs or waits, if it does
 * @ticket: it
 * @now_ns: the time
 */
void llm_ticket_leave(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	if (ticket->state == LLM_TICKET_RUNS) {
		llm_ticket_settle(stage, ticket, now_ns);
	} else if (ticket->state == LLM_TICKET_WAITS) {
		llm_tree_remove(llm_ticket_queue(ticket), &ticket->node);
		llm_tenant_unwant(&ticket->share->tenant, ticket->band, llm_ticket_want(ticket));
	}
	ticket->state = LLM_TICKET_AWAY;
}

/** llm_ticket_end() - a request has ended, wherever it was: see llm_ticket_leave() */
void llm_ticket_end(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns)
{
	llm_ticket_leave(stage, ticket, now_ns);
	if (ticket->begun)
		llm_tenant_end(&ticket->share->tenant);
	ticket->begun = false;
}
