// SPDX-License-Identifier: MIT
/*
 * The stock against a stage that never opens one: the same requests, one stage by way of
 * llm_ticket_begin(), the other by way of the trees. Who is stepped must be the same after each
 * operation, and what every tenant has once the stock is drained. Rates are left out there, for what
 * flows into a bucket that is full is lost a moment sooner with a stock; that it never lets through
 * more than the rate is a test of its own. Weights are powers of two, so virtual time is not
 * rounded. LLMOS_SEED repeats a run.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kmod/policy/quota.h"
#include "kmod/policy/stage.h"
#include "kmod/policy/stock.h"

#define GROUPS	4
#define LEAVES	6
#define TICKETS	24
#define ROUNDS	60
#define STEPS	2000

/* one of the two worlds */
struct world {
	bool straight;
	struct llm_stage stage;
	struct llm_tenant groups[GROUPS];
	struct llm_share leaves[LEAVES];
	struct llm_ticket tickets[TICKETS];
};

static struct world worlds[2];
static u64 now_ns, age, seed, opened, drained;

static u64 random_below(u64 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed * 0x2545f4914f6cdd1dULL >> 11) % n;
}

/* groups 1 and 2 are in group 0, group 3 beside it; leaves are spread over 1, 2 and 3 */
static void world_init(struct world *world, bool straight, u32 slots, u32 sequences)
{
	*world = (struct world){ .straight = straight };
	llm_stage_init(&world->stage, slots, now_ns);
	llm_stage_set_slots(&world->stage, slots, sequences);
	for (int i = 0; i < GROUPS; i++)
		llm_tenant_init(&world->groups[i], i == 1 || i == 2 ? &world->groups[0] :
				&world->stage.policy.root, 64 << (i % 3), now_ns);
	for (int i = 0; i < LEAVES; i++)
		llm_share_init(&world->leaves[i], &world->groups[1 + i % 3], 128, now_ns);
	for (int i = 0; i < TICKETS; i++)
		llm_ticket_init(&world->tickets[i], &world->leaves[i % LEAVES],
				i % 7 ? LLM_BAND_FAIR : LLM_BAND_IDLE, 0);
}

static void fill(struct world *world)
{
	while (llm_stage_next(&world->stage, true, now_ns))
		;
}

static void begin(struct world *world, int i)
{
	struct llm_ticket *ticket = &world->tickets[i];
	const u32 contended = world->stage.contended;

	llm_ticket_init(ticket, ticket->share, ticket->band, age);
	if (world->straight && llm_ticket_begin(&world->stage, ticket, now_ns))
		return;
	llm_ticket_wait(&world->stage, ticket, now_ns);
	fill(world);
	/* who took nothing from anybody need not be weighed against them */
	if (!world->stage.waiting)
		world->stage.contended = contended;
}

/* what is in the stock belongs to its leaf and to all above it */
static bool owes(const struct world *world, const struct llm_tenant *tenant)
{
	const struct llm_tenant *at = world->stage.policy.stock.leaf;

	while (at && at != tenant)
		at = at->parent;
	return at;
}

static void check_tenant(int which, const struct llm_tenant *tenant, const struct llm_tenant *other)
{
	const struct llm_stock *stock = &worlds[which].stage.policy.stock;
	const struct llm_stock none = { .leaf = NULL };

	if (!owes(&worlds[which], tenant))
		stock = &none;
	assert_int_equal(tenant->usage.in_flight + stock->in_flight, other->usage.in_flight);
	assert_int_equal(tenant->pressure.running + stock->in_flight, other->pressure.running);
	assert_int_equal(tenant->usage.tally.submitted + stock->tally.submitted,
			 other->usage.tally.submitted);
	assert_int_equal(tenant->usage.tally.ended + stock->tally.ended, other->usage.tally.ended);
	assert_int_equal(tenant->usage.queued, other->usage.queued);
	assert_int_equal(tenant->pressure.waiting, other->pressure.waiting);
	assert_int_equal(tenant->usage.units, other->usage.units);
	assert_int_equal(tenant->usage.compute_ns, other->usage.compute_ns);
	assert_int_equal(llm_tree_has(&tenant->asleep), llm_tree_has(&other->asleep));
}

/* With nothing left in the stock there is no difference at all. */
static void check_drained(struct llm_tenant *tenant, struct llm_tenant *other)
{
	llm_pressure_update(&tenant->pressure, now_ns);
	llm_pressure_update(&other->pressure, now_ns);
	assert_memory_equal(tenant->pressure.total_ns, other->pressure.total_ns,
			    sizeof(tenant->pressure.total_ns));
	assert_int_equal(tenant->usage.throttled_ns, other->usage.throttled_ns);
	for (int band = 0; band < LLM_BANDS; band++) {
		assert_int_equal(tenant->bands[band].out, other->bands[band].out);
		assert_int_equal(tenant->bands[band].vtime, other->bands[band].vtime);
		/* where a child stands that wants nothing shows when it comes back */
		if (tenant->parent)
			assert_int_equal(llm_key_max(tenant->bands[band].start,
						     tenant->parent->bands[band].vtime),
					 llm_key_max(other->bands[band].start,
						     other->parent->bands[band].vtime));
	}
}

static void check_all(void (*check)(struct llm_tenant *tenant, struct llm_tenant *other))
{
	check(&worlds[0].stage.policy.root, &worlds[1].stage.policy.root);
	for (int i = 0; i < GROUPS; i++)
		check(&worlds[0].groups[i], &worlds[1].groups[i]);
	for (int i = 0; i < LEAVES; i++)
		check(&worlds[0].leaves[i].tenant, &worlds[1].leaves[i].tenant);
}

static void check_as_is(struct llm_tenant *tenant, struct llm_tenant *other)
{
	check_tenant(0, tenant, other);
}

static void check(void)
{
	const struct llm_policy *policy = &worlds[0].stage.policy;

	for (int i = 0; i < TICKETS; i++) {
		assert_int_equal(worlds[0].tickets[i].state, worlds[1].tickets[i].state);
		assert_int_equal(worlds[0].tickets[i].granted, worlds[1].tickets[i].granted);
	}
	assert_null(worlds[1].stage.policy.stock.leaf);
	assert_true(!policy->stock.leaf || !worlds[0].stage.waiting);
	opened += policy->stock.leaf && policy->stock.in_flight;
	check_all(check_as_is);
	if (!random_below(8)) {
		drained += policy->stock.leaf && policy->stock.began;
		llm_stock_drain(&worlds[0].stage.policy);
		check_all(check_drained);
	}
}

static void use(int i, u32 tokens, u64 compute_ns, bool goes_on)
{
	for (int which = 0; which < 2; which++) {
		struct world *world = &worlds[which];
		struct llm_ticket *ticket = &world->tickets[i];

		llm_ticket_use(&world->stage, ticket, 0, ticket->output_tokens + tokens,
			       compute_ns, now_ns);
		if (goes_on)
			llm_ticket_renew(&world->stage, ticket, true, now_ns);
		fill(world);
	}
}

static void end(int i)
{
	const struct llm_tally once = { .ended = 1 };

	for (int which = 0; which < 2; which++) {
		struct world *world = &worlds[which];

		llm_ticket_end(&world->stage, &world->tickets[i], now_ns);
		llm_tenant_tally(&world->tickets[i].share->tenant, &once);
		fill(world);
	}
}

static void set_quota(void)
{
	const u64 group = random_below(GROUPS);
	struct llm_quota quota = llm_quota_none(1U << random_below(13));

	if (random_below(2))
		quota.in_flight = random_below(12);
	if (random_below(3) == 0)
		quota.compute_ns = 1000000 * (1 + random_below(50));
	for (int which = 0; which < 2; which++) {
		llm_tenant_set_quota(&worlds[which].groups[group], &quota, now_ns);
		fill(&worlds[which]);
	}
}

static void submit(int i)
{
	const struct llm_tally once = { .submitted = 1 };

	age++;
	for (int which = 0; which < 2; which++) {
		llm_tenant_tally(&worlds[which].tickets[i].share->tenant, &once);
		begin(&worlds[which], i);
	}
}

/* it waits for its reader, or comes back from there */
static void pause_or_go_on(int i, bool stalls)
{
	for (int which = 0; which < 2; which++) {
		struct world *world = &worlds[which];
		struct llm_ticket *ticket = &world->tickets[i];

		if (ticket->state == LLM_TICKET_AWAY) {
			llm_ticket_wait(&world->stage, ticket, now_ns);
		} else {
			llm_ticket_leave(&world->stage, ticket, now_ns);
			if (stalls)
				llm_ticket_stall(ticket, now_ns);
		}
		fill(world);
	}
}

static void let_in(void)
{
	for (int which = 0; which < 2; which++) {
		llm_policy_wake(&worlds[which].stage.policy, now_ns);
		fill(&worlds[which]);
	}
}

static void operate(unsigned int calm)
{
	const int i = (int)random_below(TICKETS);
	const bool fresh = worlds[0].tickets[i].state == LLM_TICKET_AWAY &&
			   !worlds[0].tickets[i].begun && !worlds[0].tickets[i].stalled;
	const u64 what = random_below(calm);

	now_ns += random_below(4000000);
	if (fresh)
		submit(i);
	else if (what == 0)
		pause_or_go_on(i, random_below(2));
	else if (what == 1)
		use(i, (u32)random_below(20), random_below(3) ? 0 : random_below(5000000), true);
	else if (what == 2 && !random_below(4))
		set_quota();
	else if (what == 3)
		now_ns += random_below(5000000000ULL);
	else
		end(i);
	let_in();
}

static void test_same(void **state)
{
	(void)state;
	opened = drained = 0;
	for (int round = 0; round < ROUNDS; round++) {
		const u32 slots = 1 + random_below(2 * TICKETS), sequences = random_below(30);
		const unsigned int calm = 5 + (unsigned int)random_below(200);

		world_init(&worlds[0], true, slots, sequences);
		world_init(&worlds[1], false, slots, sequences);
		for (int step = 0; step < STEPS; step++) {
			operate(calm);
			check();
		}
	}
	print_message("# a stock in use %llu times, drained %llu times\n",
		      (unsigned long long)opened, (unsigned long long)drained);
	assert_true(opened > 1000);
	assert_true(drained > 100);
}

/* In no window of time is more used than the bucket held and what flowed into it. */
static void test_rate(void **state)
{
	struct world *world = &worlds[0];
	struct llm_quota quota = llm_quota_none(100);
	u64 start_ns, used = 0;

	(void)state;
	quota.rate = 100 * LLM_COST_UNIT;
	quota.burst = 200 * LLM_COST_UNIT;
	world_init(world, true, TICKETS, 0);
	llm_tenant_set_quota(&world->groups[0], &quota, now_ns);
	start_ns = now_ns;
	opened = 0;
	for (int step = 0; step < 100 * STEPS; step++) {
		/* those in group 0 */
		const int i = (int)random_below(TICKETS / LEAVES) * LEAVES + (int)random_below(2);
		struct llm_ticket *ticket = &world->tickets[i];

		now_ns += random_below(20000000);
		llm_policy_wake(&world->stage.policy, now_ns);
		fill(world);
		opened += world->stage.policy.stock.leaf && world->stage.policy.stock.in_flight;
		if (ticket->state == LLM_TICKET_AWAY) {
			begin(world, i);
			continue;
		}
		if (ticket->state == LLM_TICKET_RUNS && random_below(2)) {
			const u32 tokens = 1 + (u32)random_below(llm_ticket_credit(ticket) /
								 LLM_COST_UNIT);

			llm_ticket_use(&world->stage, ticket, 0, tokens, 0, now_ns);
			used += tokens * LLM_COST_UNIT;
		}
		llm_ticket_end(&world->stage, ticket, now_ns);
		assert_true(used <= quota.burst + (now_ns - start_ns) / 1000 * quota.rate / 1000000 +
				    LLM_COST_UNIT);
	}
	llm_stock_drain(&world->stage.policy);
	assert_int_equal(world->groups[0].usage.units, used);
	assert_true(opened > 1000);
	assert_true(used > 100 * quota.burst);
}

/*
 * What began before a stock was drawn gives nothing back to it: the bucket has filled up meanwhile,
 * and holds no more than its burst for those that begin at once.
 */
static void test_burst(void **state)
{
	struct world *world = &worlds[0];
	struct llm_quota quota = llm_quota_none(100);
	const int early = 10;
	u64 at_once = 0;

	(void)state;
	quota.rate = 100 * LLM_COST_UNIT;
	quota.burst = 200 * LLM_COST_UNIT;
	world_init(world, true, TICKETS, 0);
	llm_tenant_set_quota(&world->groups[0], &quota, now_ns);
	for (int i = 0; i < TICKETS; i++)
		llm_ticket_init(&world->tickets[i], &world->leaves[0], LLM_BAND_FAIR, 0);
	for (int i = 0; i < early; i++)
		begin(world, i);
	llm_stock_drain(&world->stage.policy);
	now_ns += 10000000000ULL;
	begin(world, early);
	assert_non_null(world->stage.policy.stock.leaf);
	for (int i = 0; i < early; i++) {
		assert_int_equal(world->tickets[i].state, LLM_TICKET_RUNS);
		llm_ticket_end(&world->stage, &world->tickets[i], now_ns);
	}
	for (int i = 0; i < TICKETS; i++) {
		struct llm_ticket *ticket = &world->tickets[i];

		if (ticket->state == LLM_TICKET_AWAY)
			begin(world, i);
		if (ticket->state == LLM_TICKET_RUNS)
			at_once += ticket->granted;
	}
	assert_true(at_once >= quota.burst);
	/* what the others gave back filled it up beside the one that had begun */
	assert_true(at_once <= quota.burst + world->stage.grant);
}

/* The last place below a limit is never given out of a stock, and never twice. */
static void test_limit(void **state)
{
	struct world *world = &worlds[0];
	struct llm_quota quota = llm_quota_none(100);

	(void)state;
	for (quota.in_flight = 0; quota.in_flight < 6; quota.in_flight++) {
		world_init(world, true, TICKETS, 0);
		llm_tenant_set_quota(&world->groups[0], &quota, now_ns);
		for (int i = 0; i < TICKETS; i++)
			begin(world, i);
		llm_stock_drain(&world->stage.policy);
		assert_int_equal(world->groups[0].usage.in_flight, quota.in_flight);
		assert_int_equal(world->groups[3].usage.in_flight, TICKETS / 3);
	}
}

static int group_setup(void **state)
{
	const char *given = getenv("LLMOS_SEED");

	(void)state;
	seed = given && *given ? strtoull(given, NULL, 0) : (u64)time(NULL);
	print_message("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	seed = seed * 2 + 1;
	now_ns = 5;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_limit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy_stock", tests, group_setup, NULL);
}
