/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who is on: a server steps so many requests at once, its slots, and the stage says which. Each
 * request has a ticket. One that wants to be stepped waits at its leaf, in order of age; one that
 * is stepped runs on credit, reports what it used, and gives way when the credit is used up, or
 * sooner when somebody new has come, unless it would be picked again.
 *
 * The caller hands out or resumes what llm_stage_next() names, until it names nobody.
 */
#ifndef LLM_POLICY_STAGE_H
#define LLM_POLICY_STAGE_H

#include "tenant.h"

#define LLM_PROMPT_COST	(LLM_COST_UNIT / 4) /* many at once take less time each */

/**
 * enum llm_ticket_state - what a request has to do with the stage
 * @LLM_TICKET_AWAY: nothing: it is new, waits for its reader, or has ended
 * @LLM_TICKET_WAITS: it wants to be stepped
 * @LLM_TICKET_RUNS: it has a slot and credit
 */
enum llm_ticket_state {
	LLM_TICKET_AWAY,
	LLM_TICKET_WAITS,
	LLM_TICKET_RUNS,
};

/**
 * struct llm_share - a leaf of the tree, and those who wait there
 * @tenant: the leaf
 * @waiting: tickets by age, of each band, that go on or start
 */
struct llm_share {
	struct llm_tenant tenant;
	struct llm_tree waiting[LLM_BANDS][LLM_WANTS];
};

/**
 * struct llm_ticket - a request, as the stage knows it
 * @node: among those that wait
 * @share: whose; constant
 * @band: where it competes; constant
 * @age: its place among those of the same share; constant
 * @state: enum llm_ticket_state
 * @stalled: it is away, but would want to be stepped: it counts as pressure
 * @begun: it has run before, and counts as in flight
 * @stock: out of which it began, by its number; 0: none
 * @granted: units, since it was last picked
 * @used: of those; may be more, by what one step does
 * @prompt_tokens: processed, as last told
 * @output_tokens: generated, as last told
 */
struct llm_ticket {
	struct llm_tree_node node;
	struct llm_share *share;
	enum llm_band band;
	u64 age;
	enum llm_ticket_state state;
	bool stalled;
	bool begun;
	u64 stock;
	u64 granted;
	u64 used;
	u32 prompt_tokens;
	u32 output_tokens;
};

/**
 * struct llm_stage - the server's slots and who competes for them
 * @policy: the tree
 * @slots: requests stepped at once
 * @sequences: requests that have begun and not ended, past which it becomes harder to begin
 * @running: tickets that run
 * @waiting: tickets that wait
 * @contended: reports of running tickets that still have to be weighed against who came last
 * @prompt_cost: units of a token of a prompt
 * @output_cost: units of a generated token
 * @grant: units that each is granted at once
 */
struct llm_stage {
	struct llm_policy policy;
	u32 slots;
	u32 sequences;
	u32 running;
	u32 waiting;
	u32 contended;
	u32 prompt_cost;
	u32 output_cost;
	u64 grant;
};

void llm_stage_init(struct llm_stage *stage, u32 slots, u64 now_ns);
void llm_stage_set_slots(struct llm_stage *stage, u32 slots, u32 sequences);
void llm_stage_contend(struct llm_stage *stage);
void llm_share_init(struct llm_share *share, struct llm_tenant *parent, u32 weight, u64 now_ns);
void llm_ticket_init(struct llm_ticket *ticket, struct llm_share *share, enum llm_band band,
		     u64 age);

void llm_ticket_wait(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns);
void llm_ticket_stall(struct llm_ticket *ticket, u64 now_ns);
bool llm_ticket_begin(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns);
struct llm_ticket *llm_stage_next(struct llm_stage *stage, bool may_start, u64 now_ns);
void llm_ticket_use(struct llm_stage *stage, struct llm_ticket *ticket, u32 prompt_tokens,
		    u32 output_tokens, u64 compute_ns, u64 now_ns);
bool llm_ticket_renew(struct llm_stage *stage, struct llm_ticket *ticket, bool may_start,
		      u64 now_ns);
void llm_ticket_leave(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns);
void llm_ticket_end(struct llm_stage *stage, struct llm_ticket *ticket, u64 now_ns);

/** llm_ticket_credit() - units it may still use before it has to report */
static inline u64 llm_ticket_credit(const struct llm_ticket *ticket)
{
	return ticket->used < ticket->granted ? ticket->granted - ticket->used : 0;
}

#endif /* LLM_POLICY_STAGE_H */
