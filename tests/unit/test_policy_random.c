// SPDX-License-Identifier: MIT
/*
 * The policy under random use: trees, weights, limits, arrivals and service, beside a naive reading of
 * the same rules. LLMOS_SEED repeats a run. After every step: who was served could be, and nobody
 * else could be when nobody was; no limit is exceeded; the sums of the children are their parent's;
 * tenants that wanted all along got what their weights say, but for what is under way.
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
#include "kmod/policy/tenant.h"

#define TREES		300
#define STEPS		3000
#define TENANTS		40
#define SLOTS_MAX	12
#define GRANT		16000U

struct test_tenant {
	struct llm_tenant tenant;
	struct test_tenant *parent;
	unsigned int children;
	unsigned int index;
	u64 limit_ns;		/* since when the limits are what they are */
	s64 granted;		/* units, since then; what was given back is taken off */
	u32 in_flight_most;	/* more than its limit, where that was lowered */
};

struct test_run {
	struct test_tenant *leaf;
	enum llm_band band;
	u64 units;
};

static struct llm_policy policy;
static struct test_tenant tenants[TENANTS];
static unsigned int count;
static struct test_run runs[SLOTS_MAX];
static unsigned int slots;
static u64 now_ns;
static u64 seed;

static u64 random_below(u64 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed * 0x2545f4914f6cdd1dULL >> 11) % n;
}

static bool is_leaf(const struct test_tenant *tenant)
{
	return !tenant->children;
}

static struct test_tenant *test_tenant_of(struct llm_tenant *tenant)
{
	return container_of(tenant, struct test_tenant, tenant);
}

/* ---- a naive reading of the rules ---- */

static bool naive_asleep(const struct llm_tenant *tenant)
{
	return llm_tree_has(&tenant->asleep);
}

static bool naive_servable(struct llm_tenant *leaf, enum llm_band band, enum llm_want want)
{
	struct llm_tenant *at;

	if (!leaf->bands[band].wants[want])
		return false;
	for (at = leaf; at; at = at->parent)
		if (naive_asleep(at) ||
		    (want == LLM_WANT_START && at->usage.in_flight >= at->quota.in_flight))
			return false;
	return true;
}

static bool naive_any(enum llm_band band)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (is_leaf(&tenants[i]) &&
		    (naive_servable(&tenants[i].tenant, band, LLM_WANT_GO_ON) ||
		     naive_servable(&tenants[i].tenant, band, LLM_WANT_START)))
			return true;
	return false;
}

static void check_sums(void)
{
	struct llm_usage sums[TENANTS + 1];
	const struct llm_usage *usage;
	unsigned int i, to;

	memset(sums, 0, sizeof(sums));
	for (i = 0; i < count; i++) {
		usage = &tenants[i].tenant.usage;
		to = tenants[i].parent ? tenants[i].parent->index : TENANTS;
		sums[to].in_flight += usage->in_flight;
		sums[to].queued += usage->queued;
		sums[to].units += usage->units;
		sums[to].compute_ns += usage->compute_ns;
	}
	for (i = 0; i <= count; i++) {
		usage = i < count ? &tenants[i].tenant.usage : &policy.root.usage;
		to = i < count ? i : TENANTS;
		if (i < count && is_leaf(&tenants[i]))
			continue;
		assert_int_equal(usage->in_flight, sums[to].in_flight);
		assert_int_equal(usage->queued, sums[to].queued);
		assert_int_equal(usage->units, sums[to].units);
		assert_int_equal(usage->compute_ns, sums[to].compute_ns);
	}
}

/* a bucket never gives more than it held at first and what flowed in since */
static void check_rates(void)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		const struct test_tenant *tenant = &tenants[i];
		const struct llm_quota *limits = &tenant->tenant.quota;
		u128 flowed;

		if (limits->rate == U64_MAX)
			continue;
		flowed = (u128)limits->rate * (now_ns - tenant->limit_ns);
		assert_true(tenant->granted <=
			    (s64)(limits->burst + (u64)(flowed / 1000000000) + 1));
	}
}

/* ---- what happens ---- */

/* from now on; also while requests below it run, are asleep, or are more than it allows */
static void set_quota(struct test_tenant *tenant)
{
	struct llm_quota limits = llm_quota_none(tenant->tenant.quota.weight);

	if (!random_below(4)) {
		limits.rate = 1 + random_below(2000000);
		limits.burst = LLM_COST_UNIT + random_below(500000);
	}
	if (!random_below(4))
		limits.in_flight = 1 + random_below(4);
	if (!random_below(6)) {
		limits.compute_ns = 1 + random_below(50000000);
		limits.period_ns = LLM_PERIOD_MIN_NS + random_below(200000000);
	}
	if (!random_below(8))
		limits.weight = 1 + random_below(400);
	assert_true(llm_quota_valid(&limits));
	llm_tenant_set_quota(&tenant->tenant, &limits, now_ns);
	tenant->limit_ns = now_ns;
	tenant->granted = 0;
	tenant->in_flight_most = tenant->tenant.usage.in_flight;
}

static void make_tree(bool limited)
{
	unsigned int i;

	now_ns = random_below(1ULL << 60);
	llm_policy_init(&policy, now_ns);
	count = 2 + random_below(TENANTS - 2);
	slots = 1 + random_below(SLOTS_MAX);
	memset(runs, 0, sizeof(runs));
	memset(tenants, 0, sizeof(tenants));
	for (i = 0; i < count; i++) {
		struct test_tenant *tenant = &tenants[i];
		const u32 weight = random_below(3) ? 1 + random_below(400) : 100;

		tenant->index = i;
		tenant->limit_ns = now_ns;
		if (i && random_below(5))
			tenant->parent = &tenants[random_below(i)];
		if (tenant->parent)
			tenant->parent->children++;
		llm_tenant_init(&tenant->tenant,
				tenant->parent ? &tenant->parent->tenant : &policy.root, weight,
				now_ns);
	}
	for (i = 0; limited && i < count; i++)
		set_quota(&tenants[i]);
}

static void account(struct test_tenant *leaf, s64 units)
{
	for (; leaf; leaf = leaf->parent)
		leaf->granted += units;
}

/* serves the next one in an empty slot */
static bool serve(struct test_run *run)
{
	enum llm_band band = LLM_BANDS;
	enum llm_want want = LLM_WANTS;
	struct llm_tenant *leaf = llm_policy_pick(&policy, true, &band, &want);

	if (!leaf) {
		assert_false(naive_any(LLM_BAND_FAIR));
		assert_false(naive_any(LLM_BAND_IDLE));
		return false;
	}
	assert_true(naive_servable(leaf, band, want));
	assert_true(band == LLM_BAND_FAIR || !naive_any(LLM_BAND_FAIR));
	run->units = llm_tenant_begin(leaf, band, want, GRANT, now_ns);
	if (!run->units)	/* a limit's period has just ended without a settle to notice it */
		return false;
	run->leaf = test_tenant_of(leaf);
	run->band = band;
	account(run->leaf, run->units);
	return true;
}

/* it used some or all of its budget, and goes on, wants more, or ends */
static void settle(struct test_run *run, bool may_end)
{
	const u64 used = random_below(4) ? run->units : random_below(run->units + 1);
	struct test_tenant *leaf = run->leaf;

	llm_tenant_computed(&leaf->tenant, random_below(20000000), now_ns);
	llm_tenant_settle(&leaf->tenant, run->band, run->units, used, now_ns);
	account(leaf, (s64)(used - run->units));
	run->leaf = NULL;
	if (!may_end || random_below(8))
		llm_tenant_want(&leaf->tenant, run->band, LLM_WANT_GO_ON);
	else
		llm_tenant_end(&leaf->tenant);
}

static void check_in_flight(void)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct test_tenant *tenant = &tenants[i];
		const u32 in_flight = tenant->tenant.usage.in_flight;

		assert_true(in_flight <= tenant->tenant.quota.in_flight ||
			    in_flight <= tenant->in_flight_most);
		if (in_flight < tenant->in_flight_most)
			tenant->in_flight_most = in_flight;
	}
}

static struct test_tenant *random_leaf(void)
{
	struct test_tenant *tenant;

	do
		tenant = &tenants[random_below(count)];
	while (!is_leaf(tenant));
	return tenant;
}

/* ---- the tests ---- */

static void test_limits(void **state)
{
	unsigned int tree, step, i;

	(void)state;
	for (tree = 0; tree < TREES; tree++) {
		make_tree(true);
		for (step = 0; step < STEPS / 4; step++) {
			now_ns += random_below(8) ? random_below(3000000) : random_below(400000000);
			llm_policy_wake(&policy, now_ns);
			for (i = random_below(3); i; i--)
				llm_tenant_want(&random_leaf()->tenant,
						random_below(5) ? LLM_BAND_FAIR : LLM_BAND_IDLE,
						LLM_WANT_START);
			if (!random_below(20))
				set_quota(&tenants[random_below(count)]);
			for (i = 0; i < slots; i++) {
				if (runs[i].leaf && random_below(2))
					settle(&runs[i], true);
				if (!runs[i].leaf)
					serve(&runs[i]);
			}
			check_in_flight();
			check_rates();
			check_sums();
		}
	}
}

/*
 * Without limits and with enough to do everywhere, two children of the same parent are never apart,
 * in service by weight, by more than the grants that are under way.
 */
static void check_fair(const u64 *served)
{
	unsigned int i, j;

	for (i = 0; i < count; i++)
		for (j = 0; j < i; j++) {
			const double wi = tenants[i].tenant.quota.weight;
			const double wj = tenants[j].tenant.quota.weight;
			double lag;

			if (tenants[i].parent != tenants[j].parent)
				continue;
			lag = served[i] / wi - served[j] / wj;
			if (lag < 0)
				lag = -lag;
			if (lag > (slots + 1.0) * GRANT * (1 / wi + 1 / wj))
				fail_msg("a lag of %f between %u and %u, %u slots", lag, i, j, slots);
		}
}

static void test_fair(void **state)
{
	unsigned int tree, step, i;

	(void)state;
	for (tree = 0; tree < TREES; tree++) {
		u64 served[TENANTS] = { 0 };

		make_tree(false);
		for (i = 0; i < count; i++)
			for (step = 0; is_leaf(&tenants[i]) && step < slots + 1; step++)
				llm_tenant_want(&tenants[i].tenant, LLM_BAND_FAIR, LLM_WANT_START);
		for (step = 0; step < STEPS; step++) {
			struct test_run *run = &runs[random_below(slots)];
			struct test_tenant *at;

			if (run->leaf) {
				const u64 before = run->leaf->tenant.usage.units;

				at = run->leaf;
				settle(run, false);
				for (i = at->tenant.usage.units - before; at; at = at->parent)
					served[at->index] += i;
			}
			assert_true(serve(run));
			now_ns += 1000;
			if (step % 16 == 0)
				check_fair(served);
		}
		check_sums();
	}
}

/* whoever wants something is served within a bounded number of grants, however light it is */
static void test_starvation(void **state)
{
	unsigned int tree, i, grants;

	(void)state;
	for (tree = 0; tree < TREES; tree++) {
		struct test_tenant *leaf;
		double share = 1;

		make_tree(false);
		slots = 1;
		for (i = 0; i < count; i++)
			for (grants = 0; is_leaf(&tenants[i]) && grants < 2; grants++)
				llm_tenant_want(&tenants[i].tenant, LLM_BAND_FAIR, LLM_WANT_START);
		leaf = random_leaf();
		for (struct test_tenant *at = leaf; at; at = at->parent) {
			double sum = 0;

			for (i = 0; i < count; i++)
				if (tenants[i].parent == at->parent)
					sum += tenants[i].tenant.quota.weight;
			share *= at->tenant.quota.weight / sum;
		}
		for (grants = 0; !leaf->tenant.usage.units; grants++) {
			assert_true(grants < 2 * TENANTS + 4 / share);
			assert_true(serve(&runs[0]));
			leaf->tenant.usage.units += runs[0].leaf == leaf;
			llm_tenant_settle(&runs[0].leaf->tenant, LLM_BAND_FAIR, runs[0].units,
					  runs[0].units, now_ns);
			llm_tenant_want(&runs[0].leaf->tenant, LLM_BAND_FAIR, LLM_WANT_GO_ON);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_starvation),
	};
	const char *given = getenv("LLMOS_SEED");

	seed = given && *given ? strtoull(given, NULL, 0) : (u64)time(NULL);
	printf("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	seed = seed * 0x9e3779b97f4a7c15ULL | 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy_random", tests, NULL, NULL);
}
