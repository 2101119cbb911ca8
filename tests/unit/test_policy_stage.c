// SPDX-License-Identifier: MIT
/*
 * The stage with a server that steps: shares by weight, one client against many, rates, time to the
 * first token, readers that stall, ends, a server that dies, all by a clock of the test's own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kmod/policy/quota.h"
#include "kmod/policy/stage.h"

#define SLOTS		8
#define CLIENTS		80
#define CHUNK		128U	/* prompt tokens of one step, of all together */
#define STEP_NS		10000000ULL

struct client {
	struct llm_share share;
	struct llm_ticket ticket;
	u32 prompt;		/* tokens it asks with */
	u32 output;		/* tokens it gets, then it ends and asks again; 0: no end */
	u32 prompt_done;
	u32 output_done;
	u64 total;		/* tokens generated, ever */
	u64 asked_ns;
	u64 first_ns;		/* the longest to a first token */
	bool once;
};

static struct llm_stage stage;
static struct llm_tenant a, b, a1, a2;
static struct client clients[CLIENTS];
static unsigned int count;
static u64 now_ns, age, seed;
static bool straight;	/* who finds nobody waiting begins at once */

static u64 random_below(u64 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed * 0x2545f4914f6cdd1dULL >> 11) % n;
}

static bool report(struct llm_ticket *ticket, u32 prompt_tokens, u32 output_tokens, u64 compute_ns,
		   bool may_start)
{
	llm_ticket_use(&stage, ticket, prompt_tokens, output_tokens, compute_ns, now_ns);
	return llm_ticket_renew(&stage, ticket, may_start, now_ns);
}

static int setup(void **state)
{
	(void)state;
	now_ns = 5;
	age = 0;
	count = 0;
	straight = false;
	llm_stage_init(&stage, SLOTS, now_ns);
	llm_tenant_init(&a, &stage.policy.root, 300, now_ns);
	llm_tenant_init(&b, &stage.policy.root, 100, now_ns);
	return 0;
}

static void ask(struct client *client)
{
	llm_ticket_init(&client->ticket, &client->share, LLM_BAND_FAIR, ++age);
	client->prompt_done = client->output_done = 0;
	client->asked_ns = now_ns;
	if (!straight || !llm_ticket_begin(&stage, &client->ticket, now_ns))
		llm_ticket_wait(&stage, &client->ticket, now_ns);
}

static struct client *add(struct llm_tenant *parent, u32 prompt, u32 output)
{
	struct client *client = &clients[count++];

	*client = (struct client){ .prompt = prompt, .output = output };
	llm_share_init(&client->share, parent, 100, now_ns);
	ask(client);
	return client;
}

static void end(struct client *client)
{
	llm_ticket_end(&stage, &client->ticket, now_ns);
	if (!client->once)
		ask(client);
}

/* one model step: a token for each that generates, and chunks of prompts in what is left */
static void step(void)
{
	struct client *batch[SLOTS];
	unsigned int i, n = 0, room = CHUNK;
	const u64 compute_ns = STEP_NS / SLOTS;

	llm_policy_wake(&stage.policy, now_ns);
	while (llm_stage_next(&stage, true, now_ns))
		;
	for (i = 0; i < count; i++)
		if (clients[i].ticket.state == LLM_TICKET_RUNS)
			batch[n++] = &clients[i];
	assert_int_equal(n, stage.running);
	assert_true(n <= stage.slots);
	now_ns += STEP_NS;
	for (i = 0; i < n; i++) {
		struct client *client = batch[i];
		u32 part = client->prompt - client->prompt_done;

		part = part < room ? part : room;
		room -= part;
		client->prompt_done += part;
		if (client->prompt_done == client->prompt && !part) {
			client->total++;
			if (!client->output_done++ && now_ns - client->asked_ns > client->first_ns)
				client->first_ns = now_ns - client->asked_ns;
		}
		if (client->output_done && client->output_done == client->output) {
			llm_ticket_use(&stage, &client->ticket, client->prompt_done,
				       client->output_done, compute_ns, now_ns);
			end(client);
		} else {
			report(&client->ticket, client->prompt_done, client->output_done,
			       compute_ns, true);
		}
	}
}

static void steps(unsigned int n)
{
	while (n--)
		step();
}

static u64 sum(unsigned int from, unsigned int to)
{
	u64 total = 0;

	while (from < to)
		total += clients[from++].total;
	return total;
}

static void test_three_to_one(void **state)
{
	unsigned int i;
	u64 of_a, of_b;

	(void)state;
	for (i = 0; i < 16; i++)
		add(i < 8 ? &a : &b, 1, 0);
	while (sum(0, 16) < 20000)
		step();
	of_a = sum(0, 8);
	of_b = sum(8, 16);
	assert_in_range(of_a * 1000 / (of_a + of_b), 742, 758);
}

static void test_nested(void **state)
{
	unsigned int i;
	u64 all;

	(void)state;
	llm_tenant_init(&a1, &a, 100, now_ns);
	llm_tenant_init(&a2, &a, 200, now_ns);
	for (i = 0; i < 24; i++)
		add(i < 8 ? &a1 : i < 16 ? &a2 : &b, 1, 0);
	while (sum(0, 24) < 20000)
		step();
	all = sum(0, 24);
	assert_in_range(sum(0, 8) * 1000 / all, 245, 255);
	assert_in_range(sum(8, 16) * 1000 / all, 490, 510);
	assert_in_range(sum(16, 24) * 1000 / all, 245, 255);
}

/* a cgroup with one client that asks for as much as the server has, against one with 64 */
static void test_one_against_many(void **state)
{
	struct llm_quota equal = llm_quota_none(100);
	struct llm_tenant one;
	unsigned int i;
	u64 of_one, of_many;

	(void)state;
	llm_tenant_set_quota(&a, &equal, now_ns);
	llm_tenant_init(&one, &a, 100, now_ns);
	for (i = 0; i < 8; i++)
		add(&one, 4, 50);
	for (i = 0; i < 64; i++)
		add(&b, 4, 50);
	steps(40000);
	of_one = sum(0, 8);
	of_many = sum(8, 72);
	assert_in_range(of_one * 1000 / of_many, 980, 1020);
	/* and within the crowd, all alike */
	for (i = 8; i < 72; i++)
		assert_in_range(clients[i].total * 64 * 100 / of_many, 95, 105);
}

/* one question after the other takes less than half of the server: nobody is in its way */
static void test_first_token(void **state)
{
	struct llm_quota equal = llm_quota_none(100);
	struct client *client;
	unsigned int i;
	u64 alone_ns;

	(void)state;
	llm_tenant_set_quota(&a, &equal, now_ns);
	client = add(&a, 100, 50);
	client->once = true;
	steps(60);
	alone_ns = client->first_ns;
	client->first_ns = 0;
	for (i = 0; i < 64; i++)
		add(&b, 4, 50);
	for (i = 0; i < 10000; i++) {
		step();
		if (client->ticket.state == LLM_TICKET_AWAY)
			ask(client);
	}
	assert_true(client->total > 50 * 120);
	assert_true(client->first_ns > 0);
	assert_in_range(client->first_ns, alone_ns, alone_ns + alone_ns / 2 + STEP_NS);
}

static void test_rate(void **state)
{
	struct llm_quota limits = llm_quota_none(100);
	u64 before;

	(void)state;
	limits.rate = 100 * (u64)LLM_COST_UNIT;
	limits.burst = 50 * (u64)LLM_COST_UNIT;
	llm_tenant_set_quota(&a, &limits, now_ns);
	for (int i = 0; i < 8; i++)
		add(i < 4 ? &a : &b, 1, 0);
	steps(200);
	before = sum(0, 4);
	steps(6000);
	assert_in_range(sum(0, 4) - before, 60 * 97, 60 * 101);
	/* the others have all the rest */
	assert_in_range(sum(4, 8), 4 * 6190, 4 * 6200);
}

/* three tenths of the compute time, in a machine that does nothing else */
static void test_compute(void **state)
{
	struct llm_quota limits = llm_quota_none(100);
	u64 before, start_ns;

	(void)state;
	limits.compute_ns = 30000000;
	limits.period_ns = 100000000;
	llm_tenant_set_quota(&a, &limits, now_ns);
	for (int i = 0; i < 8; i++)
		add(&a, 1, 0);
	steps(100);
	before = a.usage.compute_ns;
	start_ns = now_ns;
	steps(10000);
	assert_in_range((a.usage.compute_ns - before) * 1000 / (now_ns - start_ns), 290, 310);
}

/* who has used up the time stops at once, whatever is left of its credit */
static void test_spent(void **state)
{
	struct llm_quota limits = llm_quota_none(100);
	struct client *client;

	(void)state;
	limits.compute_ns = 1000000;
	llm_tenant_set_quota(&a, &limits, now_ns);
	client = add(&a, 1, 0);
	assert_ptr_equal(llm_stage_next(&stage, true, now_ns), &client->ticket);
	assert_true(report(&client->ticket, 1, 1, 999999, true));
	assert_true(llm_ticket_credit(&client->ticket) > 0);
	assert_false(report(&client->ticket, 1, 2, 1, true));
	assert_int_equal(stage.running, 0);
}

/* a new weight holds at once, also for one with much under way at the old one */
static void test_new_weight(void **state)
{
	struct llm_quota limits = llm_quota_none(LLM_WEIGHT_MIN);
	unsigned int i;
	u64 before;

	(void)state;
	llm_tenant_set_quota(&a, &limits, now_ns);
	for (i = 0; i < 8; i++)
		add(&a, 1, 0);
	steps(4);
	for (i = 0; i < 8; i++)
		add(&b, 1, 0);
	steps(10);
	limits.weight = 300;
	llm_tenant_set_quota(&a, &limits, now_ns);
	before = sum(0, 8);
	steps(400);
	assert_in_range(sum(0, 8) - before, 6 * 380, 6 * 420);
}

/* each knows how many below it wait and run */
static void check_pressure(void)
{
	struct llm_tenant *const tenants[] = { &stage.policy.root, &a, &a1, &a2, &b };

	for (unsigned int n = 0; n < sizeof(tenants) / sizeof(tenants[0]); n++) {
		u32 waiting = 0, running = 0;

		for (unsigned int i = 0; i < count; i++) {
			const struct llm_tenant *at = &clients[i].share.tenant;

			while (at && at != tenants[n])
				at = at->parent;
			waiting += at && (clients[i].ticket.state == LLM_TICKET_WAITS ||
					  clients[i].ticket.stalled);
			assert_false(clients[i].ticket.stalled &&
				     clients[i].ticket.state != LLM_TICKET_AWAY);
			running += at && clients[i].ticket.state == LLM_TICKET_RUNS;
		}
		assert_int_equal(tenants[n]->pressure.waiting, waiting);
		assert_int_equal(tenants[n]->pressure.running, running);
	}
}

/* requests leave for their readers, end and are lost with their server, at random: sums hold */
/* a slot is free only when nobody wants it */
static void check_conserving(void)
{
	unsigned int i;

	while (llm_stage_next(&stage, true, now_ns))
		;
	for (i = 0; i < count && stage.running < stage.slots; i++)
		assert_int_not_equal(clients[i].ticket.state, LLM_TICKET_WAITS);
}

static void test_random(void **state)
{
	unsigned int i, n;

	(void)state;
	straight = true;
	llm_tenant_init(&a1, &a, 100, now_ns);
	llm_tenant_init(&a2, &a, 200, now_ns);
	for (i = 0; i < CLIENTS; i++)
		add(i % 3 == 0 ? &a1 : i % 3 == 1 ? &a2 : &b, random_below(300),
		    1 + random_below(60));
	for (n = 0; n < 20000; n++) {
		struct client *client = &clients[random_below(count)];

		check_conserving();
		check_pressure();
		switch (random_below(12)) {
		case 0:
			llm_ticket_leave(&stage, &client->ticket, now_ns);
			if (random_below(2))
				llm_ticket_stall(&client->ticket, now_ns);
			break;
		case 1:
			if (client->ticket.state == LLM_TICKET_AWAY)
				llm_ticket_wait(&stage, &client->ticket, now_ns);
			break;
		case 2:
			end(client);
			break;
		case 3:
			llm_stage_set_slots(&stage, SLOTS, random_below(CLIENTS));
			if (random_below(50))
				break;
			for (i = 0; i < count; i++) {
				if (clients[i].ticket.state != LLM_TICKET_RUNS)
					continue;
				llm_ticket_leave(&stage, &clients[i].ticket, now_ns);
				llm_ticket_wait(&stage, &clients[i].ticket, now_ns);
			}
			break;
		default:
			step();
		}
	}
	for (i = 0; i < count; i++)
		llm_ticket_end(&stage, &clients[i].ticket, now_ns);
	assert_int_equal(stage.running, 0);
	assert_int_equal(stage.waiting, 0);
	assert_int_equal(stage.policy.root.usage.in_flight, 0);
	assert_int_equal(stage.policy.root.usage.queued, 0);
	check_pressure();
	assert_int_equal(stage.policy.root.usage.tally.output_tokens,
			 a.usage.tally.output_tokens + b.usage.tally.output_tokens);
	assert_int_equal(stage.policy.root.usage.units, a.usage.units + b.usage.units);
	assert_null(llm_stage_next(&stage, true, now_ns));
	for (i = 0; i < count; i++)
		llm_tenant_exit(&clients[i].share.tenant);
}

/* whoever has yet to begin waits while nobody could hand it out; who has begun does not */
static void test_may_start(void **state)
{
	struct client *first, *second;

	(void)state;
	first = add(&a, 1, 0);
	assert_null(llm_stage_next(&stage, false, now_ns));
	assert_ptr_equal(llm_stage_next(&stage, true, now_ns), &first->ticket);
	second = add(&b, 1, 0);
	stage.slots = 1;
	assert_null(llm_stage_next(&stage, true, now_ns));
	/* used up, and the only one that could go on */
	assert_true(report(&first->ticket, 1, 1000, 0, false));
	/* the other one has waited longer in its own time */
	assert_false(report(&first->ticket, 1, 2000, 0, true));
	assert_ptr_equal(llm_stage_next(&stage, true, now_ns), &second->ticket);
}

/* past what the server keeps, who waits to go on comes before who would begin; a newcomer does not wait */
static void test_sequences(void **state)
{
	struct client *newcomer;
	unsigned int i;

	(void)state;
	llm_stage_set_slots(&stage, SLOTS, 20);
	for (i = 0; i < 60; i++)
		add(&a, 1, 0);
	for (i = 0; i < 500; i++) {
		step();
		assert_true(stage.policy.root.usage.in_flight <= 20);
	}
	newcomer = add(&b, 1, 0);
	steps(2);
	assert_int_equal(newcomer->ticket.state, LLM_TICKET_RUNS);
	assert_int_equal(stage.policy.root.usage.in_flight, 21);
	steps(100);
	assert_int_equal(stage.policy.root.usage.in_flight, 21);
	/* readers stall, all of them: their slots are for those who have yet to begin */
	for (i = 0; i < 60; i++)
		if (clients[i].ticket.begun)
			llm_ticket_leave(&stage, &clients[i].ticket, now_ns);
	step();
	assert_int_equal(stage.running, SLOTS);
	assert_int_equal(stage.policy.root.usage.in_flight, 21 + SLOTS - 1);
}

/* a server that waits can step others meanwhile; later the crowd gives its slots back */
static void test_fewer_slots(void **state)
{
	(void)state;
	llm_stage_set_slots(&stage, 4 * SLOTS, 0);
	for (unsigned int i = 0; i < 4 * SLOTS; i++)
		add(&a, 1, 0);
	while (llm_stage_next(&stage, true, now_ns))
		;
	/* each is weighed against the last one that came, and nobody has used anything */
	for (unsigned int i = 0; i < 4 * SLOTS; i++)
		assert_true(report(&clients[i].ticket, 0, 0, 0, true));
	assert_int_equal(stage.running, 4 * SLOTS);
	llm_stage_set_slots(&stage, SLOTS, 0);
	assert_null(llm_stage_next(&stage, true, now_ns));
	for (unsigned int i = 0; i < 4 * SLOTS; i++)
		if (!report(&clients[i].ticket, 0, 0, 0, true))
			while (llm_stage_next(&stage, true, now_ns))
				;
	assert_int_equal(stage.running, SLOTS);
}

/* who could not be handed out when slots were given away does not wait for the next time */
static void test_contend(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < SLOTS; i++)
		add(&b, 1, 0);
	steps(3);
	for (i = 0; i < SLOTS; i++)
		add(&a, 1, 0);
	for (i = 0; i < SLOTS; i++)
		assert_true(report(&clients[i].ticket, 1, clients[i].output_done, 0, false));
	assert_true(report(&clients[0].ticket, 1, clients[0].output_done, 0, true));
	llm_stage_contend(&stage);
	assert_false(report(&clients[0].ticket, 1, clients[0].output_done, 0, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_three_to_one, setup),
		cmocka_unit_test_setup(test_nested, setup),
		cmocka_unit_test_setup(test_one_against_many, setup),
		cmocka_unit_test_setup(test_first_token, setup),
		cmocka_unit_test_setup(test_rate, setup),
		cmocka_unit_test_setup(test_compute, setup),
		cmocka_unit_test_setup(test_spent, setup),
		cmocka_unit_test_setup(test_new_weight, setup),
		cmocka_unit_test_setup(test_random, setup),
		cmocka_unit_test_setup(test_may_start, setup),
		cmocka_unit_test_setup(test_fewer_slots, setup),
		cmocka_unit_test_setup(test_sequences, setup),
		cmocka_unit_test_setup(test_contend, setup),
	};
	const char *given = getenv("LLMOS_SEED");

	seed = given && *given ? strtoull(given, NULL, 0) : (u64)time(NULL);
	printf("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	seed = seed * 0x9e3779b97f4a7c15ULL | 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy_stage", tests, NULL, NULL);
}
