/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory that a server holds in the name of tenants. A ledger says who pays and how much is held:
 * by a request, or, kept for later requests, by a cgroup. What is held counts for its payer and for
 * all above, by region, and a quota on any of them binds the sum.
 *
 * A charge for which there is no room waits in line at the tenant that is full, the oldest request
 * first. One that holds nothing yet does not pass an older one that waits there; one that does may,
 * because it is on its way to giving back. When there is room it is taken at once, as a reserve,
 * and the request is to ask again, which turns the reserve into what it asks for.
 *
 * Who does not want to wait for a quota does wait where all that is in the way is kept for later
 * requests: that is asked back, and no quota would have kept him out but for it.
 *
 * A charge that the quotas allow may have to be paid for elsewhere first, by its client, in another
 * ledger with limits of its own that are not known here. Until then it stands in line at the tenant
 * in whose name that is done. If it was tried in vain, then what may help is whatever is given back
 * below any tenant above; so it looks as high up as nobody goes on.
 *
 * Nobody waits for ever: kept memory is asked back as soon as somebody waits for room above it; and
 * where all that is held below a full tenant is held by requests that themselves stand still (they
 * wait for memory or for their reader), the youngest of those is asked to give back what it has,
 * which is then computed anew. A request is never asked in favour of a younger one.
 */
#ifndef LLM_POLICY_MEMORY_H
#define LLM_POLICY_MEMORY_H

#include "tenant.h"

/**
 * struct llm_ledger - what is held
 * @payer: who pays; constant; NULL: this one can hold nothing
 * @age: its place among all, lower is older; constant
 * @kept: a cgroup's, not a request's; constant
 * @idle: its request stands still for another reason than memory
 * @stuck: is counted as such: nothing of it comes back before it is asked for
 * @held: bytes by region
 * @asked: of these, to be given back; stands until they are, or until it goes on
 * @node: in the policy's @kept or @stuck, while it stands still and holds something
 * @waits: a charge waits for room
 * @patient: it does, or would, so also for what others hold, not only for what is kept
 * @region: of that charge
 * @bytes: of that charge
 * @unpaid: it waits to be paid for elsewhere, not for a quota
 * @refused: that was tried, and there was no room
 * @absent: it is not tried, for its client is not there
 * @reserve: bytes of it that were charged on its behalf, before it asks again
 * @full: the tenant where it stands in line
 * @waiting: in the policy's @claims
 * @in_line: in the line of @full
 */
struct llm_ledger {
	struct llm_tenant *payer;
	u64 age;
	bool kept;
	bool idle;
	bool stuck;
	u64 held[LLM_REGIONS_MAX];
	u64 asked[LLM_REGIONS_MAX];
	struct llm_tree_node node;
	bool waits;
	bool patient;
	unsigned int region;
	u64 bytes;
	bool unpaid;
	bool refused;
	bool absent;
	u64 reserve;
	struct llm_tenant *full;
	struct llm_tree_node waiting;
	struct llm_tree_node in_line;
};

/**
 * enum llm_charge_result - what became of a charge
 * @LLM_CHARGE_DONE: it was made
 * @LLM_CHARGE_FULL: not now; there is too much of others' below the same limit
 * @LLM_CHARGE_NEVER: with what the ledger holds it is more than a limit allows
 */
enum llm_charge_result {
	LLM_CHARGE_DONE,
	LLM_CHARGE_FULL,
	LLM_CHARGE_NEVER,
};

void llm_ledger_init(struct llm_ledger *ledger, struct llm_tenant *payer, u64 age, bool kept);
bool llm_ledger_empty(const struct llm_ledger *ledger);

enum llm_charge_result llm_ledger_charge(struct llm_ledger *ledger, unsigned int region, u64 bytes,
					 bool wait);
bool llm_ledger_uncharge(struct llm_ledger *ledger, unsigned int region, u64 bytes);
bool llm_ledger_keep(struct llm_ledger *ledger, struct llm_ledger *kept, unsigned int region,
		     u64 bytes);
void llm_ledger_release(struct llm_ledger *ledger);

void llm_ledger_defer(struct llm_ledger *ledger, struct llm_tenant *payer, unsigned int region,
		      u64 bytes, bool absent);
void llm_ledger_refuse(struct llm_ledger *ledger);
void llm_ledger_miss(struct llm_ledger *ledger);
bool llm_ledger_retry(struct llm_ledger *ledger);
void llm_ledger_withdraw(struct llm_ledger *ledger);
bool llm_ledger_involved(const struct llm_ledger *ledger);
void llm_ledger_set_idle(struct llm_ledger *ledger, bool idle);

u64 llm_ledger_missing(const struct llm_ledger *claim);
bool llm_ledger_wedged(const struct llm_ledger *claim);
u64 llm_ledger_owes(const struct llm_ledger *ledger, const struct llm_ledger *claim);
u64 llm_ledger_can_give(const struct llm_ledger *ledger, const struct llm_ledger *claim);
void llm_ledger_ask(struct llm_ledger *ledger, unsigned int region, u64 bytes);

struct llm_ledger *llm_policy_claim_after(const struct llm_policy *policy, u64 age);
struct llm_ledger *llm_policy_kept_after(const struct llm_policy *policy, u64 age);
struct llm_ledger *llm_policy_stuck_before(const struct llm_policy *policy, u64 age);

#endif /* LLM_POLICY_MEMORY_H */
