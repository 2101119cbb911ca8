// SPDX-License-Identifier: MIT
/*
 * The policy driven by bytes: a tree of tenants, requests that wait, run, report and end, quotas
 * that change under them, memory that is charged, kept, asked back and given up, all as a broker
 * may call it. The first bytes shape the tree, the rest choose what happens. After each step: sums
 * are those of the children, counts those of the requests, no limit is exceeded (but by what was
 * there when it was lowered), and no slot is empty while somebody could have it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/policy/memory.h"
#include "kmod/policy/quota.h"
#include "kmod/policy/stage.h"
#include "kmod/policy/stock.h"

#define TENANTS		10
#define SHARES		12
#define TICKETS		24
#define REGIONS		2
#define STEPS_MAX	20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** struct fuzz_tenant - a cgroup, with what it keeps; the excess is what lowered limits left */
struct fuzz_tenant {
	struct llm_tenant tenant;
	struct llm_ledger kept;
	u32 in_flight_most;
	u64 memory_most[REGIONS];
};

struct fuzz_ticket {
	struct llm_ticket ticket;
	struct llm_ledger ledger;
	u32 prompt_tokens;
	u32 output_tokens;
};

static struct llm_stage stage;
static struct fuzz_tenant tenants[TENANTS];
static struct llm_share shares[SHARES];
static struct fuzz_ticket tickets[TICKETS];
static unsigned int tenant_count;
static u64 now_ns, age;
static u32 slots_most;
static const uint8_t *bytes;
static size_t left;

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_policy: %s\n", what);
	abort();
}

/* ---- chance ---- */

static unsigned int byte(void)
{
	if (!left)
		return 0;
	left--;
	return *bytes++;
}

static unsigned int below(unsigned int n)
{
	return byte() % n;
}

/* of any magnitude up to 2^@bits */
static u64 magnitude(unsigned int bits)
{
	const unsigned int shift = below(bits);

	return ((u64)byte() << 8 | byte()) << shift >> 16 & ((1ULL << bits) - 1);
}

/* ---- what must be so at any time ---- */

static bool is_below(const struct llm_tenant *tenant, const struct llm_tenant *above)
{
	while (tenant && tenant != above)
		tenant = tenant->parent;
	return tenant;
}

static void add_usage(struct llm_usage *sum, const struct llm_usage *usage)
{
	sum->in_flight += usage->in_flight;
	sum->queued += usage->queued;
	sum->units += usage->units;
	sum->compute_ns += usage->compute_ns;
	sum->tally.prompt_tokens += usage->tally.prompt_tokens;
	sum->tally.output_tokens += usage->tally.output_tokens;
}

static void check_sums(const struct llm_tenant *tenant)
{
	const struct llm_usage *usage = &tenant->usage;
	struct llm_usage sum = { .in_flight = 0 };

	for (unsigned int i = 0; i < tenant_count; i++)
		if (tenants[i].tenant.parent == tenant)
			add_usage(&sum, &tenants[i].tenant.usage);
	for (unsigned int i = 0; i < SHARES; i++)
		if (shares[i].tenant.parent == tenant)
			add_usage(&sum, &shares[i].tenant.usage);
	check(usage->in_flight == sum.in_flight, "requests in flight are not those of the children");
	check(usage->queued == sum.queued, "queued requests are not those of the children");
	check(usage->units == sum.units, "units are not those of the children");
	check(usage->compute_ns == sum.compute_ns, "compute time is not that of the children");
	check(usage->tally.prompt_tokens == sum.tally.prompt_tokens &&
	      usage->tally.output_tokens == sum.tally.output_tokens,
	      "tokens are not those of the children");
}

/* Requests that a tenant has in flight, with those it has yet to hear of. */
static u32 in_flight(const struct llm_tenant *tenant)
{
	const struct llm_stock *stock = &stage.policy.stock;

	return tenant->usage.in_flight + (is_below(stock->leaf, tenant) ? stock->in_flight : 0);
}

static void check_counts(const struct llm_tenant *tenant)
{
	u32 waiting = 0, running = 0, begun = 0, queued = 0;

	for (unsigned int i = 0; i < TICKETS; i++) {
		const struct llm_ticket *ticket = &tickets[i].ticket;

		if (!is_below(&ticket->share->tenant, tenant))
			continue;
		waiting += ticket->state == LLM_TICKET_WAITS || ticket->stalled;
		running += ticket->state == LLM_TICKET_RUNS;
		begun += ticket->begun;
		queued += !ticket->begun && ticket->state == LLM_TICKET_WAITS;
	}
	check(tenant->pressure.waiting == waiting, "pressure: who waits");
	check(tenant->pressure.running + in_flight(tenant) - tenant->usage.in_flight == running,
	      "pressure: who runs");
	check(in_flight(tenant) == begun, "in flight is not who has begun");
	check(tenant->usage.queued == queued, "queued is not who waits to begin");
}

static void check_memory(const struct llm_tenant *tenant, unsigned int region)
{
	u64 held = 0, stuck = 0, kept = 0;

	for (unsigned int i = 0; i < TICKETS; i++) {
		const struct llm_ledger *ledger = &tickets[i].ledger;

		if (!is_below(ledger->payer, tenant))
			continue;
		held += ledger->held[region];
		held += ledger->region == region ? ledger->reserve : 0;
		stuck += ledger->stuck ? ledger->held[region] : 0;
	}
	for (unsigned int i = 0; i < tenant_count; i++) {
		const struct llm_ledger *ledger = &tenants[i].kept;

		if (!is_below(ledger->payer, tenant))
			continue;
		held += ledger->held[region];
		kept += ledger->held[region];
		stuck += ledger->stuck ? ledger->held[region] : 0;
		check(ledger->asked[region] <= ledger->held[region], "asked for more than is kept");
	}
	check(tenant->usage.memory[region] == held, "charged is not what is held");
	check(tenant->kept[region] == kept, "kept is not what is held for later");
	check(tenant->stuck[region] == stuck, "stuck is not what stands still");
}

static void check_limits(struct fuzz_tenant *at)
{
	const struct llm_usage *usage = &at->tenant.usage;
	const struct llm_quota *quota = &at->tenant.quota;
	const u32 flying = in_flight(&at->tenant);

	check(flying <= quota->in_flight || flying <= at->in_flight_most,
	      "more in flight than the limit");
	if (flying < at->in_flight_most)
		at->in_flight_most = flying;
	for (unsigned int region = 0; region < REGIONS; region++) {
		check(usage->memory[region] <= quota->memory[region] ||
		      usage->memory[region] <= at->memory_most[region],
		      "more memory than the limit");
		if (usage->memory[region] < at->memory_most[region])
			at->memory_most[region] = usage->memory[region];
	}
}

static void check_all(void)
{
	u32 waiting = 0, running = 0;

	check_sums(&stage.policy.root);
	check_counts(&stage.policy.root);
	for (unsigned int i = 0; i < tenant_count; i++) {
		check_sums(&tenants[i].tenant);
		check_counts(&tenants[i].tenant);
		check_limits(&tenants[i]);
	}
	for (unsigned int region = 0; region < REGIONS; region++) {
		check_memory(&stage.policy.root, region);
		for (unsigned int i = 0; i < tenant_count; i++)
			check_memory(&tenants[i].tenant, region);
	}
	for (unsigned int i = 0; i < TICKETS; i++) {
		waiting += tickets[i].ticket.state == LLM_TICKET_WAITS;
		running += tickets[i].ticket.state == LLM_TICKET_RUNS;
	}
	check(stage.waiting == waiting && stage.running == running, "the stage has lost somebody");
	check(running <= stage.slots || running <= slots_most, "more run than there are slots");
	if (running < slots_most)
		slots_most = running;
}

/* Whether a request that waits could have a slot, read from the rules alone. */
static bool servable(const struct llm_ticket *ticket)
{
	if (ticket->state != LLM_TICKET_WAITS)
		return false;
	for (const struct llm_tenant *at = &ticket->share->tenant; at; at = at->parent)
		if (llm_tree_has(&at->asleep) ||
		    (!ticket->begun && in_flight(at) >= at->quota.in_flight))
			return false;
	return true;
}

/* Gives the slots away. One that gets nothing after all is asleep from then on. */
static void hand_out(void)
{
	unsigned int tries = 0;

	llm_policy_wake(&stage.policy, now_ns);
	for (;;) {
		bool any = false, fair = false;
		const struct llm_ticket *next = llm_stage_next(&stage, true, now_ns);

		if (next) {
			check(next->state == LLM_TICKET_RUNS && next->granted, "it got no slot");
			for (unsigned int i = 0; i < TICKETS; i++)
				fair = fair || (servable(&tickets[i].ticket) &&
						tickets[i].ticket.begun &&
						tickets[i].ticket.band == LLM_BAND_FAIR);
			check(next->band == LLM_BAND_FAIR || !fair, "an idle one came first");
			continue;
		}
		if (stage.running >= stage.slots || stage.sequences != U32_MAX)
			return;
		for (unsigned int i = 0; i < TICKETS; i++)
			any = any || servable(&tickets[i].ticket);
		if (!any)
			return;
		check(tries++ <= TENANTS + SHARES, "a slot is empty, and somebody wants it");
	}
}

/* ---- what happens ---- */

static void set_quota(struct fuzz_tenant *at)
{
	struct llm_quota quota = llm_quota_none(1 + below(200));
	const unsigned int which = byte();

	if (which & 1)
		quota.in_flight = below(6);
	if (which & 2) {
		quota.rate = magnitude(24);
		quota.burst = LLM_COST_UNIT + magnitude(24);
	}
	if (which & 4) {
		quota.compute_ns = magnitude(30);
		quota.period_ns = LLM_PERIOD_MIN_NS + magnitude(30);
	}
	if (which & 8)
		quota.memory[below(REGIONS)] = magnitude(12);
	if (which & 16)
		quota.queued = below(6);
	check(llm_quota_valid(&quota), "a quota is not valid");
	llm_tenant_set_quota(&at->tenant, &quota, now_ns);
	at->in_flight_most = in_flight(&at->tenant);
	for (unsigned int region = 0; region < REGIONS; region++)
		at->memory_most[region] = at->tenant.usage.memory[region];
}

static void make_tree(void)
{
	tenant_count = 1 + below(TENANTS);
	for (unsigned int i = 0; i < tenant_count; i++) {
		const unsigned int above = below(i + 1);

		tenants[i] = (struct fuzz_tenant){ .in_flight_most = 0 };
		llm_tenant_init(&tenants[i].tenant, above ? &tenants[above - 1].tenant :
				&stage.policy.root, 1 + below(200), now_ns);
		llm_ledger_init(&tenants[i].kept, &tenants[i].tenant, i + 1, true);
	}
	for (unsigned int i = 0; i < SHARES; i++)
		llm_share_init(&shares[i], &tenants[below(tenant_count)].tenant, 1 + below(200),
			       now_ns);
}

static void ticket_new(struct fuzz_ticket *at)
{
	*at = (struct fuzz_ticket){ .prompt_tokens = 0 };
	llm_ticket_init(&at->ticket, &shares[below(SHARES)],
			below(4) ? LLM_BAND_FAIR : LLM_BAND_IDLE, ++age);
	llm_ledger_init(&at->ledger, &at->ticket.share->tenant, age, false);
}

static void ticket_end(struct fuzz_ticket *at)
{
	llm_ticket_end(&stage, &at->ticket, now_ns);
	llm_ledger_release(&at->ledger);
}

/* A request reports, and goes on or gives way. */
static void ticket_report(struct fuzz_ticket *at)
{
	at->prompt_tokens += magnitude(8);
	at->output_tokens += below(20);
	/* a server may also tell less than before */
	llm_ticket_use(&stage, &at->ticket, below(16) ? at->prompt_tokens : byte(),
		       below(16) ? at->output_tokens : byte(), magnitude(28), now_ns);
	llm_ticket_renew(&stage, &at->ticket, below(4), now_ns);
}

static void ticket_act(struct fuzz_ticket *at)
{
	struct llm_ticket *ticket = &at->ticket;

	switch (below(8)) {
	case 0:
		ticket_end(at);
		ticket_new(at);
		break;
	case 1:
		if (ticket->state == LLM_TICKET_AWAY &&
		    (ticket->begun || !llm_ticket_begin(&stage, ticket, now_ns)))
			llm_ticket_wait(&stage, ticket, now_ns);
		break;
	case 2:
		if (ticket->state == LLM_TICKET_AWAY)
			llm_ticket_wait(&stage, ticket, now_ns);
		break;
	case 3:
		llm_ticket_leave(&stage, ticket, now_ns);
		if (below(2))
			llm_ticket_stall(ticket, now_ns);
		break;
	default:
		ticket_report(at);
		break;
	}
}

/* The cgroup that keeps what a request leaves: any one above it. */
static struct fuzz_tenant *keeper(const struct llm_ledger *ledger)
{
	struct fuzz_tenant *at = container_of(ledger->payer->parent, struct fuzz_tenant, tenant);

	while (below(2) && at->tenant.parent != &stage.policy.root)
		at = container_of(at->tenant.parent, struct fuzz_tenant, tenant);
	return at;
}

static void ask(struct llm_ledger *ledger, const struct llm_ledger *claim)
{
	const u64 most = llm_ledger_can_give(ledger, claim);

	if (most)
		llm_ledger_ask(ledger, claim->region, 1 + magnitude(12) % most);
}

static void charge(struct llm_ledger *ledger, unsigned int region, u64 amount, bool wait)
{
	const u64 held = ledger->held[region];
	const enum llm_charge_result result = llm_ledger_charge(ledger, region, amount, wait);
	bool never = false;

	for (const struct llm_tenant *at = ledger->payer; at; at = at->parent)
		never = never || held + amount > at->quota.memory[region];
	if (result == LLM_CHARGE_DONE) {
		check(ledger->held[region] == held + amount, "not what was charged is held");
		return;
	}
	check(ledger->held[region] == held, "more is held than before");
	check((result == LLM_CHARGE_NEVER) == never, "it is never to be, or can be");
	check(!ledger->waits || result == LLM_CHARGE_FULL, "it waits for what it has, or can not");
	/* who would not wait does, for what is kept */
	check(ledger->waits || !wait || result != LLM_CHARGE_FULL, "it does not wait");
}

static void memory_act(struct llm_ledger *ledger)
{
	const unsigned int region = below(REGIONS);
	struct llm_ledger *claim;

	switch (below(8)) {
	case 0:
		llm_ledger_uncharge(ledger, region, magnitude(12));
		break;
	case 1:
		llm_ledger_keep(ledger, &keeper(ledger)->kept, region, magnitude(12));
		break;
	case 2:
		claim = llm_policy_claim_after(&stage.policy, 0);
		/* it is told, and asks again */
		if (claim && llm_ledger_retry(claim) && below(8))
			charge(claim, claim->region, claim->bytes, true);
		break;
	case 3:
		llm_ledger_withdraw(ledger);
		break;
	case 4:
		llm_ledger_set_idle(ledger, below(2));
		break;
	case 5:
		claim = llm_policy_claim_after(&stage.policy, 0);
		if (claim && (ledger->waits || ledger->idle))
			ask(ledger, claim);
		else if (claim)
			ask(&tenants[below(tenant_count)].kept, claim);
		break;
	default:
		charge(ledger, region, magnitude(12), below(2));
		break;
	}
}

static void step(void)
{
	struct fuzz_tenant *tenant = &tenants[below(tenant_count)];
	struct fuzz_ticket *ticket = &tickets[below(TICKETS)];

	switch (below(16)) {
	case 0:
		now_ns += magnitude(34);
		break;
	case 1:
		set_quota(tenant);
		break;
	case 2:
		slots_most = stage.running;
		llm_stage_set_slots(&stage, below(12), below(2) ? 0 : below(TICKETS));
		break;
	case 3:
		llm_stage_contend(&stage);
		break;
	case 4:
		llm_ledger_uncharge(&tenant->kept, below(REGIONS), magnitude(12));
		break;
	case 5:
		hand_out();
		break;
	case 6:
		llm_pressure_update(&tenant->tenant.pressure, now_ns);
		break;
	case 7:
	case 8:
	case 9:
		memory_act(&ticket->ledger);
		break;
	default:
		now_ns += magnitude(20);
		ticket_act(ticket);
		break;
	}
}

/* When all have ended nothing is left. */
static void finish(void)
{
	for (unsigned int i = 0; i < TICKETS; i++)
		ticket_end(&tickets[i]);
	for (unsigned int i = 0; i < tenant_count; i++)
		llm_ledger_release(&tenants[i].kept);
	check_all();
	check(!stage.running && !stage.waiting, "somebody is left on the stage");
	llm_stock_drain(&stage.policy);
	check(!stage.policy.root.usage.in_flight && !stage.policy.root.usage.queued,
	      "somebody is left in the tree");
	for (unsigned int region = 0; region < REGIONS; region++)
		check(!stage.policy.root.usage.memory[region], "memory is left");
	check(!llm_policy_claim_after(&stage.policy, 0) && !llm_policy_kept_after(&stage.policy, 0) &&
	      !llm_policy_stuck_before(&stage.policy, age + 1), "a ledger is left");
	check(!llm_stage_next(&stage, true, now_ns), "somebody is next");
	for (unsigned int i = 0; i < SHARES; i++)
		llm_tenant_exit(&shares[i].tenant);
	/* those below were made later */
	for (unsigned int i = tenant_count; i--;)
		llm_tenant_exit(&tenants[i].tenant);
	check(llm_tree_empty(&stage.policy.asleep), "somebody who is gone sleeps");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bytes = data;
	left = size;
	now_ns = magnitude(60);
	age = 0;
	slots_most = 0;
	llm_stage_init(&stage, 1 + below(8), now_ns);
	make_tree();
	for (unsigned int i = 0; i < TICKETS; i++)
		ticket_new(&tickets[i]);
	for (unsigned int n = 0; left && n < STEPS_MAX; n++) {
		step();
		check_all();
	}
	hand_out();
	finish();
	return 0;
}
