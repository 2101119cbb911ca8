// SPDX-License-Identifier: MIT
/*
 * The length of steps, on machines whose steps are a formula: the bound is kept once the machine is
 * known, the time is used, and a disturbance is forgotten.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/util.h"
#include "sched/pace.h"

#define MS	UINT64_C(1000000)
#define BATCH	UINT64_C(512)

/* a machine: reading the weights, and each token */
struct machine {
	uint64_t weights_ns;
	uint64_t token_ns;
};

static uint64_t machine_step(const struct machine *m, uint64_t tokens)
{
	return m->weights_ns + tokens * m->token_ns;
}

/* one step beside @decoding others; Return: how long it took */
static uint64_t step(struct pace *pace, const struct machine *m, uint64_t bound_ns,
		     unsigned int decoding)
{
	const uint64_t prompt = MIN(pace_tokens(pace, bound_ns, decoding), BATCH - decoding);
	const uint64_t ns = machine_step(m, prompt + decoding);

	assert_true(prompt >= PACE_TOKENS_LEAST);
	pace_learn(pace, prompt + decoding, ns);
	return ns;
}

static void test_bound(void **state)
{
	static const struct machine machines[] = {
		{ 10 * MS, MS / 10 }, { 10 * MS, MS }, { 40 * MS, 2 * MS }, { MS / 100, MS / 50 },
	};
	const uint64_t bound_ns = 100 * MS;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		for (unsigned int decoding = 1; decoding <= 16; decoding += 5) {
			const struct machine *m = &machines[i];
			const uint64_t least = machine_step(m, PACE_TOKENS_LEAST + decoding);
			const uint64_t full = machine_step(m, BATCH);
			struct pace pace;
			uint64_t ns = 0;

			pace_guess(&pace, 135000000, 2);
			for (int k = 0; k < 40; k++) {
				ns = step(&pace, m, bound_ns, decoding);
				/* the first one is a guess, and of another size than the second */
				assert_true(k < 2 || ns <= MAX(bound_ns + bound_ns / 20, least));
			}
			assert_true(ns >= MIN(bound_ns - bound_ns / 10, full) || ns == least);
		}
	}
}

/* nobody waits for a next token: longer steps, and shorter ones as soon as somebody does */
static void test_alone(void **state)
{
	const struct machine m = { 10 * MS, MS };
	struct pace pace;

	(void)state;
	pace_guess(&pace, 135000000, 2);
	for (int i = 0; i < 20; i++)
		step(&pace, &m, 100 * MS, 0);
	assert_true(step(&pace, &m, 100 * MS, 0) >= 380 * MS);
	/* a shorter step reads the weights for fewer tokens */
	assert_true(step(&pace, &m, 100 * MS, 1) <= 110 * MS);
	for (int i = 0; i < 5; i++)
		step(&pace, &m, 100 * MS, 1);
	assert_true(step(&pace, &m, 100 * MS, 1) <= 105 * MS);
}

static void test_disturbance(void **state)
{
	const struct machine m = { 10 * MS, MS }, stopped = { 5000 * MS, MS };
	struct pace pace;
	uint64_t before, after;

	(void)state;
	pace_guess(&pace, 135000000, 2);
	for (int i = 0; i < 20; i++)
		step(&pace, &m, 100 * MS, 1);
	before = pace_tokens(&pace, 100 * MS, 1);
	step(&pace, &stopped, 100 * MS, 1);
	after = pace_tokens(&pace, 100 * MS, 1);
	assert_true(after >= before / 2);
	for (int i = 0; i < 12; i++)
		step(&pace, &m, 100 * MS, 1);
	assert_true(pace_tokens(&pace, 100 * MS, 1) >= before * 9 / 10);
}

static void test_edges(void **state)
{
	struct pace pace = { 0 };

	(void)state;
	assert_int_equal(pace_tokens(&pace, 0, 0), UINT64_MAX);
	assert_int_equal(pace_tokens(&pace, UINT64_MAX, 0), UINT64_MAX);
	assert_int_equal(pace_tokens(&pace, 1, 1000), PACE_TOKENS_LEAST);
	pace_guess(&pace, 0, 0);
	assert_int_equal(pace.token_ns, 1);
	pace_learn(&pace, PACE_TOKENS_LEAST, 1000 * PACE_TOKENS_LEAST);
	assert_int_equal(pace.token_ns, 1000);
	pace_guess(&pace, UINT64_MAX, 1);
	assert_int_equal(pace_tokens(&pace, 100 * MS, 1), PACE_TOKENS_LEAST);
	/* a step of few tokens reads the weights for nobody else: it tells nothing */
	pace = (struct pace){ .token_ns = 7 };
	pace_learn(&pace, PACE_TOKENS_LEAST - 1, 1000 * MS);
	assert_int_equal(pace.token_ns, 7);
	pace.token_ns = 1;
	pace_learn(&pace, PACE_TOKENS_LEAST, 0);
	assert_int_equal(pace.token_ns, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_disturbance),
		cmocka_unit_test(test_edges),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
