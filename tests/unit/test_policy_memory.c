// SPDX-License-Identifier: MIT
/*
 * Memory in the name of tenants: limits on a tree, who waits for room and who is asked to give back.
 * A server that does what it is told serves random requests under random limits; after each step all
 * sums are taken anew, and in the end everybody has had what he asked for or could not have it:
 * nobody waits for ever. LLMOS_SEED repeats a run.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kmod/policy/memory.h"
#include "kmod/policy/quota.h"

#define TREES		400
#define TENANTS		12
#define REQUESTS	24
#define REGIONS		3

/* What a request wants of memory, one charge after the other; then it ends. */
struct request {
	struct llm_ledger ledger;
	unsigned int leaf;
	unsigned int steps;	/* left */
	unsigned int region;	/* of the charge that it is at */
	u64 bytes;
	bool dropped;		/* was made to give back all it had, and needs it again */
	bool unread;		/* its reader is slow */
	bool hasty;		/* waits for what is kept alone */
	bool over;
	u64 lost[REGIONS];
};

static struct llm_policy policy;
static struct llm_tenant tenants[TENANTS];
static int parents[TENANTS];
static struct llm_ledger kept[TENANTS];
static struct request requests[REQUESTS];
static u64 seed, age;
static unsigned long waited, asked, refused, keeps, refused_now, waited_for_kept;

static u64 random_below(u64 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed * 0x2545f4914f6cdd1dULL >> 11) % n;
}

/* ---- what must be so at any time ---- */

static bool below(unsigned int tenant, unsigned int above)
{
	for (int at = (int)tenant; at >= 0; at = parents[at])
		if (at == (int)above)
			return true;
	return false;
}

static void add(u64 *sum, u64 *stuck, const struct llm_ledger *ledger, unsigned int region)
{
	*sum += ledger->held[region] + (ledger->region == region ? ledger->reserve : 0);
	assert_true(ledger->asked[region] <= ledger->held[region]);
	if (ledger->stuck)
		*stuck += ledger->held[region];
}

static void check_tenant(const struct llm_tenant *tenant, unsigned int index, unsigned int region)
{
	u64 sum = 0, stuck = 0, keeping = 0;

	for (unsigned int i = 0; i < REQUESTS; i++)
		if (requests[i].ledger.payer &&
		    (tenant == &policy.root || below(requests[i].leaf, index)))
			add(&sum, &stuck, &requests[i].ledger, region);
	for (unsigned int i = 0; i < TENANTS; i++)
		if (tenant == &policy.root || below(i, index)) {
			add(&sum, &stuck, &kept[i], region);
			keeping += kept[i].held[region];
		}
	assert_int_equal(tenant->kept[region], keeping);
	assert_int_equal(tenant->usage.memory[region], sum);
	assert_int_equal(tenant->stuck[region], stuck);
}

static void check_ledger(const struct llm_ledger *ledger)
{
	const bool still = ledger->kept || ledger->idle || ledger->waits;

	assert_int_equal(ledger->waits, ledger->full != NULL);
	assert_int_equal(llm_tree_has(&ledger->waiting), ledger->waits);
	assert_int_equal(llm_tree_has(&ledger->in_line), ledger->waits);
	assert_int_equal(llm_tree_has(&ledger->node), still && !llm_ledger_empty(ledger));
	assert_false(ledger->waits && ledger->reserve);
}

static void check(void)
{
	for (unsigned int region = 0; region < REGIONS; region++) {
		check_tenant(&policy.root, 0, region);
		for (unsigned int i = 0; i < TENANTS; i++)
			check_tenant(&tenants[i], i, region);
	}
	for (unsigned int i = 0; i < REQUESTS; i++)
		check_ledger(&requests[i].ledger);
	for (unsigned int i = 0; i < TENANTS; i++)
		check_ledger(&kept[i]);
}

static void check_limits(void)
{
	for (unsigned int i = 0; i < TENANTS; i++)
		for (unsigned int region = 0; region < REGIONS; region++)
			assert_true(tenants[i].usage.memory[region] <=
				    tenants[i].quota.memory[region]);
}

/* ---- the broker's part ---- */

static void retry_all(void)
{
	struct llm_ledger *claim;

	for (u64 at = 0; (claim = llm_policy_claim_after(&policy, at));) {
		at = claim->age;
		llm_ledger_retry(claim);
	}
}

static void ask_kept(struct llm_ledger *claim, u64 need)
{
	struct llm_ledger *ledger;

	for (u64 at = 0; need && (ledger = llm_policy_kept_after(&policy, at)); at = ledger->age) {
		const u64 owes = llm_ledger_owes(ledger, claim);
		u64 bytes = llm_ledger_can_give(ledger, claim);

		need -= owes < need ? owes : need;
		bytes = bytes < need ? bytes : need;
		if (!bytes)
			continue;
		llm_ledger_ask(ledger, claim->region, bytes);
		need -= bytes;
		asked++;
	}
}

static void ask_youngest(struct llm_ledger *claim)
{
	struct llm_ledger *ledger;

	for (u64 at = age + 1; (ledger = llm_policy_stuck_before(&policy, at)); at = ledger->age) {
		if (!llm_ledger_can_give(ledger, claim))
			continue;
		llm_ledger_ask(ledger, 0, 0);
		asked++;
		return;
	}
}

static void ask_all(void)
{
	struct llm_ledger *claim;

	for (u64 at = 0; (claim = llm_policy_claim_after(&policy, at)); at = claim->age) {
		ask_kept(claim, llm_ledger_missing(claim));
		if (llm_ledger_missing(claim) && llm_ledger_wedged(claim))
			ask_youngest(claim);
	}
}

/* ---- the server's part ---- */

static void give_back(struct request *request)
{
	for (unsigned int region = 0; region < REGIONS; region++) {
		const u64 bytes = request->ledger.held[region];

		request->lost[region] += bytes;
		assert_true(llm_ledger_uncharge(&request->ledger, region, bytes));
	}
	request->dropped = true;
}

static void answer_asks(void)
{
	for (unsigned int i = 0; i < REQUESTS; i++)
		for (unsigned int region = 0; region < REGIONS; region++)
			if (requests[i].ledger.asked[region] && random_below(2)) {
				give_back(&requests[i]);
				break;
			}
	for (unsigned int i = 0; i < TENANTS; i++)
		for (unsigned int region = 0; region < REGIONS; region++)
			if (kept[i].asked[region])
				assert_true(llm_ledger_uncharge(&kept[i], region, 1 +
						random_below(kept[i].asked[region])));
}

/* Return: others, and not only what is kept, are in the way of a charge */
static bool used_by_others(const struct request *request, unsigned int region, u64 bytes)
{
	const struct llm_ledger *own = &request->ledger;
	const u64 reserve = own->region == region ? own->reserve : 0;

	for (const struct llm_tenant *at = own->payer; at; at = at->parent) {
		const u64 used = at->usage.memory[region] - reserve - at->kept[region];
		const struct llm_tree_node *first = llm_tree_first(&at->lines[region]);

		if (bytes > at->quota.memory[region] || used > at->quota.memory[region] - bytes)
			return true;
		if (!own->held[region] && first && first->key < own->age)
			return true;
	}
	return false;
}

/* Return: it could not be charged now, or ever, and the request has to do something about it. */
static bool charge(struct request *request, unsigned int region, u64 bytes)
{
	const u64 used = used_by_others(request, region, bytes);

	switch (llm_ledger_charge(&request->ledger, region, bytes, !request->hasty)) {
	case LLM_CHARGE_DONE:
		assert_false(request->ledger.waits);
		return false;
	case LLM_CHARGE_FULL:
		assert_int_equal(request->ledger.waits, !request->hasty || !used);
		if (!request->ledger.waits) {
			llm_ledger_release(&request->ledger);
			request->over = true;
			refused_now++;
			return true;
		}
		waited++;
		waited_for_kept += request->hasty;
		return true;
	case LLM_CHARGE_NEVER:
		llm_ledger_release(&request->ledger);
		request->over = true;
		refused++;
		return true;
	}
	return true;
}

/* What it was made to give back first; then its next charge. */
static void step(struct request *request)
{
	if (request->over || request->ledger.waits || request->unread)
		return;
	for (unsigned int region = 0; region < REGIONS; region++) {
		if (!request->lost[region])
			continue;
		if (charge(request, region, request->lost[region]))
			return;
		request->lost[region] = 0;
	}
	if (request->steps--) {
		if (charge(request, request->region, request->bytes)) {
			request->steps++;
			return;
		}
		request->region = (unsigned int)random_below(REGIONS);
		request->bytes = 1 + random_below(60);
		return;
	}
	if (random_below(2)) {
		const unsigned int region = (unsigned int)random_below(REGIONS);
		const u64 bytes = request->ledger.held[region] / (1 + random_below(2));
		const unsigned int to = parents[request->leaf] < 0 ? request->leaf :
				       (unsigned int)parents[request->leaf];

		assert_true(llm_ledger_keep(&request->ledger, &kept[to], region, bytes));
		keeps += bytes > 0;
	}
	llm_ledger_release(&request->ledger);
	request->over = true;
}

/* ---- the tests ---- */

static void set_limit(unsigned int tenant, unsigned int region, u64 bytes)
{
	struct llm_quota quota = tenants[tenant].quota;

	quota.memory[region] = bytes;
	llm_tenant_set_quota(&tenants[tenant], &quota, 1);
}

static void make_tree(void)
{
	llm_policy_init(&policy, 1);
	age = 0;
	for (unsigned int i = 0; i < TENANTS; i++) {
		parents[i] = i ? (int)random_below(i + 1) - 1 : -1;
		llm_tenant_init(&tenants[i], parents[i] < 0 ? &policy.root : &tenants[parents[i]],
				LLM_WEIGHT_DEFAULT, 1);
		for (unsigned int region = 0; region < REGIONS; region++)
			if (random_below(3))
				set_limit(i, region, 40 + random_below(300));
		llm_ledger_init(&kept[i], &tenants[i], i + 1, true);
	}
}

static void make_request(struct request *request)
{
	*request = (struct request){
		.leaf = (unsigned int)random_below(TENANTS),
		.steps = (unsigned int)random_below(6),
		.region = (unsigned int)random_below(REGIONS),
		.bytes = 1 + random_below(60),
		.hasty = !random_below(4),
	};
	llm_ledger_init(&request->ledger, &tenants[request->leaf], ++age, false);
}

static bool all_over(void)
{
	for (unsigned int i = 0; i < REQUESTS; i++)
		if (!requests[i].over)
			return false;
	return true;
}

/* A slow reader keeps what his request holds, until it is asked for. */
static void toggle_reader(struct request *request)
{
	if (request->over || request->ledger.waits)
		return;
	request->unread = !request->unread;
	llm_ledger_set_idle(&request->ledger, request->unread);
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned int tree = 0; tree < TREES; tree++) {
		unsigned int rounds = 0;

		make_tree();
		for (unsigned int i = 0; i < REQUESTS; i++)
			make_request(&requests[i]);
		while (!all_over()) {
			struct request *request = &requests[random_below(REQUESTS)];

			/* in the end some readers never read again */
			if (rounds < 2000 && random_below(8) == 0)
				toggle_reader(request);
			if (rounds > 3000 && request->unread) {
				llm_ledger_release(&request->ledger);
				request->over = true;
				request->unread = false;
			}
			step(request);
			retry_all();
			ask_all();
			answer_asks();
			check();
			check_limits();
			/* as long as every one of them may have to do it all over for every other */
			assert_true(rounds++ < 200000);
		}
		for (unsigned int i = 0; i < TENANTS; i++)
			llm_ledger_release(&kept[i]);
		check();
		assert_null(llm_policy_claim_after(&policy, 0));
		assert_null(llm_policy_kept_after(&policy, 0));
		assert_null(llm_policy_stuck_before(&policy, age + 1));
		for (unsigned int region = 0; region < REGIONS; region++)
			assert_int_equal(policy.root.usage.memory[region], 0);
	}
	print_message("# %lu charges waited, %lu of them for what is kept alone, %lu were never to "
		      "be, %lu not to be at once, %lu times something was asked back, %lu times kept\n",
		      waited, waited_for_kept, refused, refused_now, asked, keeps);
	assert_true(waited > 100 && refused > 100 && asked > 100 && keeps > 100);
	assert_true(waited_for_kept > 0 && refused_now > 100);
}

static struct llm_ledger a, b, c;

static int setup(void **state)
{
	(void)state;
	llm_policy_init(&policy, 1);
	llm_tenant_init(&tenants[0], &policy.root, LLM_WEIGHT_DEFAULT, 1);
	llm_tenant_init(&tenants[1], &tenants[0], LLM_WEIGHT_DEFAULT, 1);
	set_limit(0, 1, 100);
	llm_ledger_init(&a, &tenants[1], 1, false);
	llm_ledger_init(&b, &tenants[1], 2, false);
	llm_ledger_init(&c, &tenants[0], 3, false);
	return 0;
}

static void test_limit(void **state)
{
	(void)state;
	assert_int_equal(llm_ledger_charge(&a, 1, 101, true), LLM_CHARGE_NEVER);
	assert_int_equal(llm_ledger_charge(&a, 1, U64_MAX, true), LLM_CHARGE_NEVER);
	assert_int_equal(llm_ledger_charge(&a, 1, 60, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&a, 1, 41, true), LLM_CHARGE_NEVER);
	assert_int_equal(llm_ledger_charge(&c, 1, 41, false), LLM_CHARGE_FULL);
	assert_false(c.waits);
	assert_int_equal(llm_ledger_charge(&c, 1, 40, false), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&c, 0, U64_MAX, false), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&a, 0, 1, false), LLM_CHARGE_FULL);
	assert_int_equal(policy.root.usage.memory[1], 100);
	assert_int_equal(tenants[1].usage.memory[1], 60);
	assert_false(llm_ledger_uncharge(&c, 1, 41));
	assert_true(llm_ledger_uncharge(&c, 1, 40));
	llm_ledger_release(&a);
	llm_ledger_release(&c);
	assert_int_equal(policy.root.usage.memory[1], 0);
	assert_int_equal(policy.root.usage.memory[0], 0);
}

static void test_line(void **state)
{
	(void)state;
	assert_int_equal(llm_ledger_charge(&a, 1, 50, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&b, 1, 60, true), LLM_CHARGE_FULL);
	assert_int_equal(llm_ledger_missing(&b), 10);
	assert_false(llm_ledger_wedged(&b));
	/* a younger one does not pass; who is under way does */
	assert_int_equal(llm_ledger_charge(&c, 1, 10, true), LLM_CHARGE_FULL);
	assert_int_equal(llm_ledger_charge(&a, 1, 10, true), LLM_CHARGE_DONE);
	assert_false(llm_ledger_retry(&b));
	assert_true(llm_ledger_uncharge(&a, 1, 30));
	assert_true(llm_ledger_retry(&b));
	assert_int_equal(tenants[0].usage.memory[1], 90);
	assert_true(llm_ledger_retry(&c));
	assert_int_equal(tenants[0].usage.memory[1], 100);
	/* what is reserved is theirs, whoever else comes; less than that gives the rest back */
	assert_int_equal(llm_ledger_charge(&a, 1, 1, true), LLM_CHARGE_FULL);
	assert_int_equal(llm_ledger_charge(&b, 1, 60, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&c, 1, 4, true), LLM_CHARGE_DONE);
	assert_int_equal(tenants[0].usage.memory[1], 94);
	assert_true(llm_ledger_retry(&a));
	llm_ledger_withdraw(&a);
	assert_int_equal(tenants[0].usage.memory[1], 94);
}

static void test_wedge(void **state)
{
	(void)state;
	assert_int_equal(llm_ledger_charge(&a, 1, 50, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&b, 1, 50, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&a, 1, 10, true), LLM_CHARGE_FULL);
	assert_false(llm_ledger_wedged(&a));
	assert_int_equal(llm_ledger_charge(&b, 1, 10, true), LLM_CHARGE_FULL);
	assert_true(llm_ledger_wedged(&a));
	/* the younger one gives way */
	assert_int_equal(llm_ledger_can_give(&a, &b), 0);
	assert_int_equal(llm_ledger_can_give(&b, &a), 50);
	assert_ptr_equal(llm_policy_stuck_before(&policy, U64_MAX / 4), &b);
	llm_ledger_ask(&b, 1, 50);
	assert_false(llm_ledger_wedged(&a));
	assert_int_equal(llm_ledger_owes(&b, &a), 50);
	assert_true(llm_ledger_uncharge(&b, 1, 50));
	assert_true(llm_ledger_retry(&a));
	assert_true(llm_ledger_retry(&b));
	assert_int_equal(b.reserve, 10);
	assert_int_equal(tenants[0].usage.memory[1], 70);
}

static void test_reader(void **state)
{
	(void)state;
	assert_int_equal(llm_ledger_charge(&a, 1, 80, true), LLM_CHARGE_DONE);
	llm_ledger_set_idle(&a, true);
	assert_int_equal(llm_ledger_charge(&b, 1, 50, true), LLM_CHARGE_FULL);
	/* older, but it waits for nothing that could be in short supply */
	assert_true(llm_ledger_wedged(&b));
	assert_int_equal(llm_ledger_can_give(&a, &b), 80);
	llm_ledger_ask(&a, 1, 80);
	llm_ledger_set_idle(&a, false);
	assert_int_equal(a.asked[1], 0);
}

/* Charges that the quotas allow, and that have to be paid for elsewhere. */
static void test_unpaid(void **state)
{
	(void)state;
	assert_int_equal(llm_ledger_charge(&a, 0, 50, true), LLM_CHARGE_DONE);
	llm_ledger_defer(&a, &tenants[1], 0, 50, false);
	assert_int_equal(a.held[0], 0);
	assert_int_equal(policy.root.usage.memory[0], 0);
	assert_ptr_equal(llm_policy_claim_after(&policy, 0), &a);
	/* as long as it was not tried nobody has to give anything back for it */
	assert_int_equal(llm_ledger_missing(&a), 0);
	/* who comes later and holds nothing stands behind it, but only there */
	assert_int_equal(llm_ledger_charge(&b, 0, 1, true), LLM_CHARGE_FULL);
	assert_int_equal(llm_ledger_charge(&c, 0, 1, true), LLM_CHARGE_DONE);
	assert_true(llm_ledger_retry(&a));
	assert_false(a.unpaid);
	assert_int_equal(a.reserve, 50);
	assert_int_equal(llm_ledger_charge(&a, 0, 50, true), LLM_CHARGE_DONE);
	assert_int_equal(policy.root.usage.memory[0], 51);
	assert_true(llm_ledger_retry(&b));
	llm_ledger_withdraw(&b);
}

/* Who limits is not known, so it is tried as high up as all stand still. */
static void test_unpaid_wedge(void **state)
{
	(void)state;
	assert_int_equal(llm_ledger_charge(&a, 0, 50, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&c, 0, 50, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&a, 0, 10, true), LLM_CHARGE_DONE);
	llm_ledger_defer(&a, &tenants[1], 0, 10, false);
	llm_ledger_refuse(&a);
	assert_int_equal(llm_ledger_missing(&a), 10);
	/* below its own tenant nobody goes on, but nobody else has anything there */
	assert_true(llm_ledger_wedged(&a));
	assert_int_equal(llm_ledger_can_give(&c, &a), 0);
	assert_int_equal(llm_ledger_charge(&c, 0, 10, true), LLM_CHARGE_DONE);
	llm_ledger_defer(&c, &tenants[0], 0, 10, false);
	assert_int_equal(llm_ledger_can_give(&c, &a), 50);
	/* the older one does not give way, unless its client does not come */
	llm_ledger_refuse(&c);
	assert_int_equal(llm_ledger_can_give(&a, &c), 0);
	llm_ledger_withdraw(&a);
	assert_int_equal(llm_ledger_charge(&a, 0, 10, true), LLM_CHARGE_DONE);
	llm_ledger_defer(&a, &tenants[1], 0, 10, false);
	assert_int_equal(llm_ledger_can_give(&a, &c), 0);
	llm_ledger_miss(&a);
	assert_int_equal(llm_ledger_can_give(&a, &c), 50);
	llm_ledger_refuse(&a);
	llm_ledger_miss(&a);
	assert_int_equal(llm_ledger_can_give(&a, &c), 0);
	llm_ledger_release(&a);
	llm_ledger_release(&c);
	assert_null(llm_policy_claim_after(&policy, 0));
	assert_int_equal(policy.root.usage.memory[0], 0);
	assert_int_equal(policy.root.stuck[0], 0);
}

static void test_kept(void **state)
{
	struct llm_ledger prefix;

	(void)state;
	llm_ledger_init(&prefix, &tenants[0], 1, true);
	assert_int_equal(llm_ledger_charge(&a, 1, 80, true), LLM_CHARGE_DONE);
	assert_false(llm_ledger_keep(&a, &prefix, 1, 81));
	assert_true(llm_ledger_keep(&a, &prefix, 1, 70));
	assert_int_equal(tenants[1].usage.memory[1], 10);
	assert_int_equal(tenants[0].usage.memory[1], 80);
	assert_ptr_equal(llm_policy_kept_after(&policy, 0), &prefix);
	assert_int_equal(llm_ledger_charge(&b, 1, 30, true), LLM_CHARGE_FULL);
	assert_false(llm_ledger_wedged(&b));
	assert_int_equal(llm_ledger_missing(&b), 10);
	assert_int_equal(llm_ledger_can_give(&prefix, &b), 70);
	llm_ledger_ask(&prefix, 1, 10);
	assert_int_equal(llm_ledger_owes(&prefix, &b), 10);
	assert_true(llm_ledger_uncharge(&prefix, 1, 10));
	assert_true(llm_ledger_retry(&b));
	llm_ledger_release(&prefix);
	assert_null(llm_policy_kept_after(&policy, 0));
}

/* who does not wait for others waits for what is kept, as long as that is all */
static void test_hasty(void **state)
{
	struct llm_ledger prefix;

	(void)state;
	llm_ledger_init(&prefix, &tenants[0], 1, true);
	assert_int_equal(llm_ledger_charge(&a, 1, 90, true), LLM_CHARGE_DONE);
	assert_true(llm_ledger_keep(&a, &prefix, 1, 60));
	assert_int_equal(tenants[0].kept[1], 60);
	assert_int_equal(policy.root.kept[1], 60);
	assert_int_equal(tenants[1].kept[1], 0);
	assert_int_equal(llm_ledger_charge(&b, 1, 71, false), LLM_CHARGE_FULL);
	assert_false(b.waits);
	assert_int_equal(llm_ledger_charge(&b, 1, 70, false), LLM_CHARGE_FULL);
	assert_true(b.waits);
	assert_false(llm_ledger_retry(&b));
	/* a younger one does not pass, and would have to wait for b */
	assert_int_equal(llm_ledger_charge(&c, 1, 5, false), LLM_CHARGE_FULL);
	assert_false(c.waits);
	assert_true(llm_ledger_uncharge(&prefix, 1, 20));
	assert_false(llm_ledger_retry(&b));
	/* who holds something may, and then b would have to wait for him */
	assert_int_equal(llm_ledger_charge(&a, 1, 1, true), LLM_CHARGE_DONE);
	assert_true(llm_ledger_retry(&b));
	assert_int_equal(b.reserve, 0);
	assert_int_equal(llm_ledger_charge(&b, 1, 70, false), LLM_CHARGE_FULL);
	assert_false(b.waits);
	llm_ledger_release(&prefix);
	assert_int_equal(policy.root.kept[1], 0);
}

static void test_lowered(void **state)
{
	(void)state;
	assert_int_equal(llm_ledger_charge(&a, 1, 80, true), LLM_CHARGE_DONE);
	assert_int_equal(llm_ledger_charge(&b, 1, 50, true), LLM_CHARGE_FULL);
	set_limit(0, 1, 40);
	assert_int_equal(llm_ledger_missing(&b), 80);
	assert_true(llm_ledger_retry(&b));
	assert_int_equal(b.reserve, 0);
	assert_int_equal(llm_ledger_charge(&b, 1, 50, true), LLM_CHARGE_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_limit, setup),
		cmocka_unit_test_setup(test_line, setup),
		cmocka_unit_test_setup(test_wedge, setup),
		cmocka_unit_test_setup(test_reader, setup),
		cmocka_unit_test_setup(test_unpaid, setup),
		cmocka_unit_test_setup(test_unpaid_wedge, setup),
		cmocka_unit_test_setup(test_kept, setup),
		cmocka_unit_test_setup(test_hasty, setup),
		cmocka_unit_test_setup(test_lowered, setup),
		cmocka_unit_test(test_random),
	};
	const char *given = getenv("LLMOS_SEED");

	seed = given && *given ? strtoull(given, NULL, 0) : (u64)time(NULL);
	seed = seed ? seed : 1;
	printf("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy_memory", tests, NULL, NULL);
}
