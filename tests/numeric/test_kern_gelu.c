/* SPDX-License-Identifier: MIT */
/*
 * The activations of Gemma, GPT-2 and BERT, and soft capping, of every table against the reference: at
 * random sizes, and at the values where formulas break.
 */
#include "kern_test.h"

#define ROUNDS	60

static const float edges[] = {
	0, -0.0f, 1e-40f, -1e-40f, 0.624f, 0.626f, -0.624f, -0.626f, 3, -3, 10, -10, 13, -13,
	20, -20, 89, -89, 1e15f, -1e15f, 3e38f, -3e38f, INFINITY, -INFINITY,
};

static uint64_t seed;

static const struct kern_ops *reference(void)
{
	return kern_ops_get("ref");
}

/* near() - relative, but for what is as good as nothing; signs of zeros count */
static void near(const char *what, float x, float y, float truth, double tolerance)
{
	const bool same = y == truth ||
			  fabs((double)y - truth) <= tolerance * fabs(truth) + 1e-30;

	if (!same || signbit(y) != signbit(truth))
		fail_msg("%s(%a) is %a, not %a", what, (double)x, (double)y, (double)truth);
}

static void test_gelu(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	float x[500], up[500], y[500], truth[500];
	uint64_t rng = seed;

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = rng_range(&rng, 1, 500);

		random_floats(&rng, x, n);
		random_floats(&rng, up, n);
		for (uint32_t i = 0; i < n; i++)
			x[i] *= round % 2 ? 10 : 1;
		/* something that counts: of nothing but denormals no share can be wrong */
		x[0] = fabsf(x[0]) + 1;
		up[0] = fabsf(up[0]) + 1;
		reference()->gelu(truth, x, n);
		ops->gelu(y, x, n);
		assert_nmse(y, truth, n, 1e-12);
		/* exp() magnifies the roundings of its argument, which is 87 at most where it counts */
		for (uint32_t i = 0; i < n; i++)
			near("gelu", x[i], y[i], truth[i], 3e-5);
		reference()->gelu_mul(truth, x, up, n);
		ops->gelu_mul(y, x, up, n);
		assert_nmse(y, truth, n, 1e-12);
		ops->gelu_mul(up, x, up, n);
		assert_memory_equal(up, y, n * sizeof(float));
		ops->gelu(y, x, n);
		ops->gelu(x, x, n);
		assert_memory_equal(x, y, n * sizeof(float));
	}
	reference()->gelu(truth, edges, COUNT(edges));
	ops->gelu(y, edges, COUNT(edges));
	for (size_t i = 0; i < COUNT(edges); i++)
		near("gelu", edges[i], y[i], truth[i], 3e-5);
	x[0] = NAN;
	ops->gelu(y, x, 1);
	assert_true(isnan(y[0]));
}

static void test_gelu_erf(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	float x[500], y[500], truth[500];
	uint64_t rng = seed + 2;

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = rng_range(&rng, 1, 500);

		random_floats(&rng, x, n);
		for (uint32_t i = 0; i < n; i++)
			x[i] *= round % 2 ? 10 : 1;
		x[0] = fabsf(x[0]) + 1;
		reference()->gelu_erf(truth, x, n);
		ops->gelu_erf(y, x, n);
		assert_nmse(y, truth, n, 1e-12);
		for (uint32_t i = 0; i < n; i++)
			near("gelu_erf", x[i], y[i], truth[i], 3e-5);
		ops->gelu_erf(x, x, n);
		assert_memory_equal(x, y, n * sizeof(float));
	}
	reference()->gelu_erf(truth, edges, COUNT(edges));
	ops->gelu_erf(y, edges, COUNT(edges));
	for (size_t i = 0; i < COUNT(edges); i++)
		near("gelu_erf", edges[i], y[i], truth[i], 3e-5);
	/* where the approximation by tanh is off in the fourth digit */
	x[0] = 2;
	ops->gelu_erf(y, x, 1);
	near("gelu_erf", x[0], y[0], 1.9544997361f, 3e-7);
	x[0] = NAN;
	ops->gelu_erf(y, x, 1);
	assert_true(isnan(y[0]));
}

static void test_softcap(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 1;
	float y[500], truth[500];

	for (int round = 0; round < ROUNDS; round++) {
		const float cap = round % 2 ? 30 : 0.5f;
		uint32_t n = rng_range(&rng, 1, 500);

		random_floats(&rng, y, n);
		for (uint32_t i = 0; i < n; i++)
			y[i] *= round % 3 ? 40 : 1e-3f;
		memcpy(truth, y, n * sizeof(float));
		reference()->softcap(truth, n, cap);
		ops->softcap(y, n, cap);
		assert_nmse(y, truth, n, 1e-12);
		for (uint32_t i = 0; i < n; i++)
			near("softcap", 0, y[i], truth[i], 4e-7);
	}
	memcpy(y, edges, sizeof(edges));
	memcpy(truth, edges, sizeof(edges));
	reference()->softcap(truth, COUNT(edges), 1);
	ops->softcap(y, COUNT(edges), 1);
	for (size_t i = 0; i < COUNT(edges); i++)
		near("softcap", edges[i], y[i], truth[i], 4e-7);
	y[0] = NAN;
	ops->softcap(y, 1, 1);
	assert_true(isnan(y[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KERN_TESTS(test_gelu),
		KERN_TESTS(test_gelu_erf),
		KERN_TESTS(test_softcap),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
