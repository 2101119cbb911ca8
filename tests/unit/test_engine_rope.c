/* SPDX-License-Identifier: MIT */
/*
 * Frequencies of the rotary embedding, with each scaling: at the pairs where the papers' formulas
 * come to plain numbers, and the angles at far positions, where float32 would have lost them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "engine/rope.h"

static const struct model_rope plain = {
	.dim = 128, .freq_base = 10000, .scaling = MODEL_ROPE_NONE, .factor = 1, .attn_factor = 1,
	.beta_fast = 32, .beta_slow = 1, .original_context = 4096,
};

static void near(double have, double want)
{
	if (fabs(have - want) > 1e-12 * fabs(want))
		fail_msg("have %.17g, want %.17g", have, want);
}

static void test_plain(void **state)
{
	float c[64], s[64];
	struct rope rope;

	(void)state;
	assert_int_equal(rope_open(&rope, &plain), 0);
	assert_int_equal(rope.pairs, 64);
	near(rope.freq[0], 1);
	near(rope.freq[16], 0.1);
	near(rope.freq[32], 0.01);
	near(rope.freq[48], 0.001);
	rope_angles(&rope, 0, c, s);
	for (int i = 0; i < 64; i++) {
		assert_float_equal(c[i], 1, 0);
		assert_float_equal(s[i], 0, 0);
	}
	rope_angles(&rope, 1000000, c, s);
	assert_float_equal(c[0], 0.93675212753314478, 1e-7);	/* cos(10^6) */
	assert_float_equal(s[0], -0.34999350217129294, 1e-7);
	assert_float_equal(c[32], -0.95215536825901481, 1e-7);	/* cos(10^4) */
	rope_close(&rope);
	rope_close(&rope);
}

static void test_linear(void **state)
{
	struct model_rope config = plain;
	struct rope rope;

	(void)state;
	config.scaling = MODEL_ROPE_LINEAR;
	config.factor = 4;
	assert_int_equal(rope_open(&rope, &config), 0);
	near(rope.freq[0], 0.25);
	near(rope.freq[16], 0.025);
	near(rope.magnitude, 1);
	rope_close(&rope);
}

/* a file may give it with any scaling, and with none */
static void test_attn_factor(void **state)
{
	const enum model_rope_scaling scalings[] = { MODEL_ROPE_NONE, MODEL_ROPE_LINEAR };
	struct model_rope config = plain;
	float c[64], s[64];
	struct rope rope;

	(void)state;
	config.attn_factor = 0.5f;
	for (size_t i = 0; i < ARRAY_SIZE(scalings); i++) {
		config.scaling = scalings[i];
		assert_int_equal(rope_open(&rope, &config), 0);
		near(rope.magnitude, 0.5);
		near(rope.freq[16], 0.1);
		rope_angles(&rope, 0, c, s);
		assert_float_equal(c[7], 0.5, 0);
		rope_close(&rope);
	}
}

/*
 * With these numbers 32 turns are made by pair 20.9 and one by pair 45.03, so that pairs up to 20 keep
 * their frequency, those from 46 on have a 16th of it, and 33 is half way between.
 */
static void test_yarn(void **state)
{
	struct model_rope config = plain;
	struct rope rope;

	(void)state;
	config.scaling = MODEL_ROPE_YARN;
	config.factor = 16;
	config.attn_factor = 0.5f;
	assert_int_equal(rope_open(&rope, &config), 0);
	near(rope.freq[0], 1);
	near(rope.freq[16], 0.1);
	near(rope.freq[20], pow(10, -1.25));
	near(rope.freq[33], pow(10, -33.0 / 16) * (0.5 + 0.5 / 16));
	near(rope.freq[46], pow(10, -46.0 / 16) / 16);
	near(rope.freq[48], 0.001 / 16);
	near(rope.magnitude, 0.5 * (1 + 0.1 * log(16)));
	rope_close(&rope);
}

/* the same, where the ramp is between pairs 20.94 and 45.03: 33 is beyond the middle of it */
static void test_yarn_real_ends(void **state)
{
	const double low = 64 * log(4096 / (32 * 2 * M_PI)) / log(10000);
	const double high = 64 * log(4096 / (2 * M_PI)) / log(10000);
	const double share = 1 - (33 - low) / (high - low);
	struct model_rope config = plain;
	struct rope rope;

	(void)state;
	config.scaling = MODEL_ROPE_YARN;
	config.factor = 16;
	config.has_real_ends = true;
	assert_int_equal(rope_open(&rope, &config), 0);
	assert_true(low > 20.9 && low < 21 && high > 45 && high < 45.1);
	near(rope.freq[20], pow(10, -1.25));
	near(rope.freq[33], pow(10, -33.0 / 16) * (share + (1 - share) / 16));
	near(rope.freq[46], pow(10, -46.0 / 16) / 16);
	rope_close(&rope);
}

/* the ends of the ramp in one place, and no turns at all: nothing is divided by nothing */
static void test_yarn_extremes(void **state)
{
	const float betas[] = { 0, 1e-30f, 1, 32, 1e30f };
	struct model_rope config = plain;
	struct rope rope;

	(void)state;
	config.scaling = MODEL_ROPE_YARN;
	for (int i = 0; i < 5 * 5 * 4; i++) {
		config.has_real_ends = i >= 50;
		config.beta_fast = betas[i % 5];
		config.beta_slow = betas[i / 5 % 5];
		config.freq_base = i % 50 < 25 ? 10000 : 1;
		config.original_context = i % 3 ? 4096 : 1;
		config.factor = i % 2 ? 8 : 0.5f;
		assert_int_equal(rope_open(&rope, &config), 0);
		for (uint32_t j = 0; j < rope.pairs; j++)
			assert_true(rope.freq[j] > 0 && rope.freq[j] <= 2);
		assert_true(rope.magnitude >= 1 && rope.magnitude < 2);
		rope_close(&rope);
	}
}

static void test_divisors(void **state)
{
	struct model_rope config = plain;
	float divisors[64];
	struct rope rope;

	(void)state;
	for (int i = 0; i < 64; i++)
		divisors[i] = i < 32 ? 1 : 8;
	config.divisors = divisors;
	assert_int_equal(rope_open(&rope, &config), 0);
	near(rope.freq[16], 0.1);
	near(rope.freq[48], 0.001 / 8);
	rope_close(&rope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_attn_factor),
		cmocka_unit_test(test_yarn),
		cmocka_unit_test(test_yarn_real_ends),
		cmocka_unit_test(test_yarn_extremes),
		cmocka_unit_test(test_divisors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
