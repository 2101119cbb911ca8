// SPDX-License-Identifier: MIT
/*
 * The policy, case by case: the ordered set, shares by weight, coming back from idleness, bands, rates
 * and bursts, compute time, requests in flight, memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "kmod/policy/quota.h"
#include "kmod/policy/tenant.h"

#define TOKEN	((u64)LLM_COST_UNIT)
#define GRANT	(16 * TOKEN)
#define SECOND	1000000000ULL

static struct llm_policy policy;
static struct llm_tenant a, b, a1, a2;
static u64 now_ns;

static int setup(void **state)
{
	(void)state;
	now_ns = 1000;
	llm_policy_init(&policy, now_ns);
	llm_tenant_init(&a, &policy.root, 300, now_ns);
	llm_tenant_init(&b, &policy.root, 100, now_ns);
	return 0;
}

/* one grant, used up at once; its request goes on wanting. Return: whose, or NULL */
static struct llm_tenant *serve(void)
{
	enum llm_band band;
	enum llm_want want;
	struct llm_tenant *leaf = llm_policy_pick(&policy, true, &band, &want);
	u64 units;

	if (!leaf)
		return NULL;
	units = llm_tenant_begin(leaf, band, want, GRANT, now_ns);
	llm_tenant_settle(leaf, band, units, units, now_ns);
	llm_tenant_want(leaf, band, LLM_WANT_GO_ON);
	return leaf;
}

static void want(struct llm_tenant *leaf, enum llm_band band)
{
	llm_tenant_want(leaf, band, LLM_WANT_START);
}

/* ---- the ordered set ---- */

static unsigned int depth(const struct llm_tree_node *node)
{
	unsigned int left, right;

	if (!node)
		return 0;
	left = depth(node->child[0]);
	right = depth(node->child[1]);
	return 1 + (left > right ? left : right);
}

static void test_tree(void **state)
{
	static struct llm_tree_node nodes[4096];
	struct llm_tree tree = { NULL, 0 };
	const u64 first = U64_MAX - 1000; /* so that keys wrap */
	unsigned int i;

	(void)state;
	for (i = 0; i < 4096; i++)
		llm_tree_insert(&tree, &nodes[i], first + i / 2);
	assert_true(depth(tree.root) < 64);
	for (i = 0; i < 4096; i++) {
		struct llm_tree_node *node = llm_tree_first(&tree);

		assert_ptr_equal(node, &nodes[i]); /* equal keys in the order they came */
		llm_tree_remove(&tree, node);
		assert_false(llm_tree_has(node));
		llm_tree_remove(&tree, node); /* which changes nothing */
	}
	assert_true(llm_tree_empty(&tree));
}

/* ---- order ---- */

static void test_weights(void **state)
{
	unsigned int i, served = 0;

	(void)state;
	want(&a, LLM_BAND_FAIR);
	want(&b, LLM_BAND_FAIR);
	for (i = 0; i < 4000; i++)
		served += serve() == &a;
	assert_in_range(served, 2999, 3001);
}

static void test_nested(void **state)
{
	unsigned int i, served[3] = { 0 };

	(void)state;
	llm_tenant_init(&a1, &a, 50, now_ns);
	llm_tenant_init(&a2, &a, 100, now_ns);
	want(&a1, LLM_BAND_FAIR);
	want(&a2, LLM_BAND_FAIR);
	want(&b, LLM_BAND_FAIR);
	for (i = 0; i < 4000; i++) {
		struct llm_tenant *leaf = serve();

		served[leaf == &b ? 0 : leaf == &a1 ? 1 : 2]++;
	}
	assert_in_range(served[0], 998, 1002);
	assert_in_range(served[1], 998, 1002);
	assert_in_range(served[2], 1998, 2002);
	llm_tenant_unwant(&a1, LLM_BAND_FAIR, LLM_WANT_GO_ON);
	llm_tenant_unwant(&a2, LLM_BAND_FAIR, LLM_WANT_GO_ON);
	llm_tenant_exit(&a1);
	llm_tenant_exit(&a2);
}

/* who was idle neither owes nor has saved anything */
static void test_idleness(void **state)
{
	unsigned int i, served = 0;

	(void)state;
	want(&a, LLM_BAND_FAIR);
	for (i = 0; i < 4000; i++)
		assert_ptr_equal(serve(), &a);
	want(&b, LLM_BAND_FAIR);
	for (i = 0; i < 400; i++)
		served += serve() == &b;
	assert_in_range(served, 99, 102);
}

/* what was granted and not used is given back */
static void test_refund(void **state)
{
	unsigned int i;
	u64 used[2] = { 0, 0 };

	(void)state;
	want(&a, LLM_BAND_FAIR);
	want(&b, LLM_BAND_FAIR);
	for (i = 0; i < 40000; i++) {
		enum llm_band band;
		enum llm_want wants;
		struct llm_tenant *leaf = llm_policy_pick(&policy, true, &band, &wants);
		u64 units = llm_tenant_begin(leaf, band, wants, GRANT, now_ns);
		u64 part = leaf == &a ? TOKEN : units;

		llm_tenant_settle(leaf, band, units, part, now_ns);
		llm_tenant_want(leaf, band, LLM_WANT_GO_ON);
		used[leaf == &b] += part;
	}
	assert_in_range(used[0], 295 * used[1] / 100, 305 * used[1] / 100);
}

static void test_bands(void **state)
{
	(void)state;
	want(&a, LLM_BAND_IDLE);
	assert_ptr_equal(serve(), &a);
	want(&b, LLM_BAND_FAIR);
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(serve(), &b);
	llm_tenant_unwant(&b, LLM_BAND_FAIR, LLM_WANT_GO_ON);
	assert_ptr_equal(serve(), &a);
}

/* ---- limits ---- */

static void limit_rate(struct llm_tenant *tenant, u64 tokens, u64 burst)
{
	struct llm_quota limits = tenant->quota;

	limits.rate = tokens * TOKEN;
	limits.burst = burst * TOKEN;
	assert_true(llm_quota_valid(&limits));
	llm_tenant_set_quota(tenant, &limits, now_ns);
}

/* serves at will until a time, by the clock of the limits */
static void serve_until(u64 end_ns)
{
	while (now_ns < end_ns) {
		u64 next;

		while (serve())
			;
		next = llm_policy_wake(&policy, now_ns);
		assert_true(next > now_ns);
		now_ns = next < end_ns ? next : end_ns;
		llm_policy_wake(&policy, now_ns);
	}
}

static void test_rate(void **state)
{
	u64 start, before;

	(void)state;
	limit_rate(&a, 100, 50);
	want(&a, LLM_BAND_FAIR);
	serve_until(now_ns + SECOND);
	start = now_ns;
	before = a.usage.units;
	serve_until(start + 60 * SECOND);
	assert_in_range(a.usage.units - before, 60 * 97 * TOKEN, 60 * 101 * TOKEN);
	assert_in_range(a.usage.throttled_ns, 59 * SECOND, 61 * SECOND);
	/* after an hour's sleep there is the burst, not an hour's worth */
	llm_tenant_unwant(&a, LLM_BAND_FAIR, LLM_WANT_GO_ON);
	now_ns += 3600 * SECOND;
	llm_policy_wake(&policy, now_ns);
	llm_tenant_want(&a, LLM_BAND_FAIR, LLM_WANT_GO_ON);
	before = a.usage.units;
	while (serve())
		;
	assert_in_range(a.usage.units - before, 49 * TOKEN, 50 * TOKEN);
}

/* a debt that would take longer than time lasts keeps its debtor out, and nobody else */
static void test_rate_debt(void **state)
{
	static const u64 rates[] = { 1, 7, TOKEN, 1000 * TOKEN };

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct llm_quota quota = llm_quota_none(300);

		quota.rate = rates[i];
		quota.burst = 5 * TOKEN;
		llm_tenant_set_quota(&a, &quota, now_ns);
		want(&a, LLM_BAND_FAIR);
		want(&b, LLM_BAND_FAIR);
		for (u64 debt = 1ULL << 20; debt <= 1ULL << 32; debt <<= 1) {
			for (int n = 0; n < 5000; n++)
				llm_tenant_settle(&a, LLM_BAND_FAIR, 0, debt, now_ns);
			assert_true(llm_policy_next_ns(&policy) > now_ns);
			assert_true(llm_policy_next_ns(&policy) - now_ns <= 1ULL << 45);
			assert_ptr_equal(serve(), &b);
			llm_tenant_unwant(&b, LLM_BAND_FAIR, LLM_WANT_GO_ON);
			llm_tenant_end(&b);
			want(&b, LLM_BAND_FAIR);
		}
		llm_tenant_unwant(&a, LLM_BAND_FAIR, LLM_WANT_START);
		llm_tenant_unwant(&b, LLM_BAND_FAIR, LLM_WANT_START);
	}
}

static void test_rate_of_parent(void **state)
{
	u64 before;

	(void)state;
	llm_tenant_init(&a1, &a, 100, now_ns);
	llm_tenant_init(&a2, &a, 100, now_ns);
	limit_rate(&a, 100, 20);
	limit_rate(&a2, 10, 10);
	want(&a1, LLM_BAND_FAIR);
	want(&a2, LLM_BAND_FAIR);
	serve_until(now_ns + SECOND);
	before = a.usage.units;
	serve_until(now_ns + 60 * SECOND);
	assert_in_range(a.usage.units - before, 60 * 97 * TOKEN, 60 * 101 * TOKEN);
	assert_in_range(a2.usage.units, 58 * 10 * TOKEN, 63 * 10 * TOKEN);
	/* and nobody else is bound */
	want(&b, LLM_BAND_FAIR);
	for (int i = 0; i < 1000; i++)
		assert_non_null(serve());
}

static void test_compute(void **state)
{
	struct llm_quota limits = a.quota;
	u64 units;

	(void)state;
	limits.compute_ns = SECOND / 10;
	limits.period_ns = SECOND;
	llm_tenant_set_quota(&a, &limits, now_ns);
	want(&a, LLM_BAND_FAIR);
	assert_ptr_equal(serve(), &a);
	units = llm_tenant_grant(&a, LLM_BAND_FAIR, GRANT, now_ns);
	assert_int_equal(units, GRANT);
	llm_tenant_computed(&a, 35 * SECOND / 100, now_ns);
	llm_tenant_settle(&a, LLM_BAND_FAIR, units, units, now_ns);
	assert_true(llm_tenant_spent(&a));
	assert_null(serve());
	assert_int_equal(llm_tenant_grant(&a, LLM_BAND_FAIR, GRANT, now_ns), 0);
	/* three and a half periods' worth was used: three more have to go by */
	now_ns += 29 * SECOND / 10;
	assert_in_range(llm_policy_wake(&policy, now_ns), now_ns + 1, now_ns + SECOND / 10 + 1);
	assert_null(serve());
	now_ns += SECOND / 10;
	llm_policy_wake(&policy, now_ns);
	assert_false(llm_tenant_spent(&a));
	assert_ptr_equal(serve(), &a);
}

static void test_in_flight(void **state)
{
	struct llm_quota limits = a.quota;
	enum llm_band band;
	enum llm_want wants;

	(void)state;
	limits.in_flight = 1;
	llm_tenant_set_quota(&a, &limits, now_ns);
	want(&a, LLM_BAND_FAIR);
	want(&a, LLM_BAND_FAIR);
	assert_int_equal(policy.root.usage.queued, 2);
	assert_ptr_equal(serve(), &a);
	assert_int_equal(policy.root.usage.queued, 1);
	assert_int_equal(policy.root.usage.in_flight, 1);
	/* the one that began goes on; the other waits until it has ended */
	assert_ptr_equal(llm_policy_pick(&policy, true, &band, &wants), &a);
	assert_int_equal(wants, LLM_WANT_GO_ON);
	llm_tenant_unwant(&a, LLM_BAND_FAIR, LLM_WANT_GO_ON);
	assert_null(llm_policy_pick(&policy, true, &band, &wants));
	llm_tenant_end(&a);
	assert_ptr_equal(llm_policy_pick(&policy, true, &band, &wants), &a);
	assert_int_equal(wants, LLM_WANT_START);
	/* a limit that is raised holds at once */
	assert_ptr_equal(serve(), &a);
	want(&a, LLM_BAND_FAIR);
	llm_tenant_unwant(&a, LLM_BAND_FAIR, LLM_WANT_GO_ON);
	assert_null(llm_policy_pick(&policy, true, &band, &wants));
	limits.in_flight = 2;
	llm_tenant_set_quota(&a, &limits, now_ns);
	assert_ptr_equal(llm_policy_pick(&policy, true, &band, &wants), &a);
}

static void test_queued(void **state)
{
	struct llm_quota limits = policy.root.quota;

	(void)state;
	limits.queued = 2;
	llm_tenant_set_quota(&policy.root, &limits, now_ns);
	want(&a, LLM_BAND_FAIR);
	assert_null(llm_tenant_full(&b));
	want(&b, LLM_BAND_FAIR);
	assert_ptr_equal(llm_tenant_full(&a), &policy.root);
	assert_non_null(serve());
	assert_null(llm_tenant_full(&a));
	assert_null(llm_tenant_never(&a));
	limits.rate = 0;
	limits.burst = LLM_COST_UNIT;
	llm_tenant_set_quota(&policy.root, &limits, now_ns);
	assert_ptr_equal(llm_tenant_never(&a), &policy.root);
}

static void test_valid(void **state)
{
	struct llm_quota limits = llm_quota_none(LLM_WEIGHT_DEFAULT);

	(void)state;
	assert_true(llm_quota_valid(&limits));
	limits.weight = 0;
	assert_false(llm_quota_valid(&limits));
	limits.weight = LLM_WEIGHT_MAX + 1;
	assert_false(llm_quota_valid(&limits));
	limits = llm_quota_none(1);
	limits.rate = TOKEN;
	assert_false(llm_quota_valid(&limits)); /* no burst */
	limits.burst = TOKEN - 1;
	assert_false(llm_quota_valid(&limits));
	limits.burst = TOKEN;
	assert_true(llm_quota_valid(&limits));
	limits.period_ns = 0;
	assert_false(llm_quota_valid(&limits));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test_setup(test_weights, setup),
		cmocka_unit_test_setup(test_nested, setup),
		cmocka_unit_test_setup(test_idleness, setup),
		cmocka_unit_test_setup(test_refund, setup),
		cmocka_unit_test_setup(test_bands, setup),
		cmocka_unit_test_setup(test_rate, setup),
		cmocka_unit_test_setup(test_rate_debt, setup),
		cmocka_unit_test_setup(test_rate_of_parent, setup),
		cmocka_unit_test_setup(test_compute, setup),
		cmocka_unit_test_setup(test_in_flight, setup),
		cmocka_unit_test_setup(test_queued, setup),
		cmocka_unit_test(test_valid),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
