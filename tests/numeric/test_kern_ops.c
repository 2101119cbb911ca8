/* SPDX-License-Identifier: MIT */
/*
 * Norm, rotation, activation and sum of every table against the reference, at random sizes and at
 * the values where formulas break.
 */
#include <float.h>

#include "kern_test.h"

#define ROUNDS	60

static uint64_t seed;

static const struct kern_ops *reference(void)
{
	return kern_ops_get("ref");
}

static void test_rms_norm(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed;
	float x[700], w[700], y[700], truth[700];

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = rng_range(&rng, 1, 700);
		/* squares of the greatest would overflow float32 */
		float scale = round % 3 == 0 ? 1e30f : round % 3 == 1 ? 1e-12f : 1;

		random_floats(&rng, x, n);
		random_floats(&rng, w, n);
		for (uint32_t i = 0; i < n; i++)
			x[i] *= scale;
		reference()->rms_norm(truth, x, w, n, 1e-5f);
		ops->rms_norm(y, x, w, n, 1e-5f);
		assert_nmse(y, truth, n, 1e-12);
		ops->rms_norm(x, x, w, n, 1e-5f);
		assert_memory_equal(x, y, n * sizeof(float));
	}
	memset(x, 0, sizeof(x));
	ops->rms_norm(y, x, w, 64, 1e-5f);
	for (int i = 0; i < 64; i++)
		assert_true(y[i] == 0);
	x[3] = NAN;
	ops->rms_norm(y, x, w, 64, 1e-5f);
	for (int i = 0; i < 64; i++)
		assert_true(isnan(y[i]));
}

static void test_layer_norm(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 7;
	float x[700], w[700], b[700], y[700], truth[700];

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = rng_range(&rng, 1, 700);
		/* a mean far from zero, squares that would overflow float32 */
		float scale = round % 3 == 0 ? 1e30f : 1, mean = round % 3 == 1 ? 1000 : 0;

		random_floats(&rng, x, n);
		random_floats(&rng, w, n);
		random_floats(&rng, b, n);
		for (uint32_t i = 0; i < n; i++)
			x[i] = x[i] * scale + mean;
		reference()->layer_norm(truth, x, w, b, n, 1e-5f);
		ops->layer_norm(y, x, w, b, n, 1e-5f);
		assert_nmse(y, truth, n, 1e-12);
		ops->layer_norm(x, x, w, b, n, 1e-5f);
		assert_memory_equal(x, y, n * sizeof(float));
	}
	for (int i = 0; i < 64; i++)
		x[i] = 7;
	ops->layer_norm(y, x, w, b, 64, 1e-5f);
	assert_memory_equal(y, b, 64 * sizeof(float));
	x[3] = NAN;
	ops->layer_norm(y, x, w, b, 64, 1e-5f);
	for (int i = 0; i < 64; i++)
		assert_true(isnan(y[i]));
}

static void test_rope(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 1;

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t rot_dim = 2 * rng_range(&rng, 1, 80);
		uint32_t head_dim = rot_dim + rng_range(&rng, 0, 3) * 8;
		uint32_t heads = rng_range(&rng, 1, 5);
		float x[5 * 200], truth[5 * 200], cosines[80], sines[80];
		size_t n = (size_t)heads * head_dim;

		random_floats(&rng, x, n);
		for (uint32_t i = 0; i < rot_dim / 2; i++) {
			double angle = rng_unit(&rng) * 1000;

			cosines[i] = (float)cos(angle);
			sines[i] = (float)sin(angle);
		}
		memcpy(truth, x, sizeof(x));
		reference()->rope(truth, heads, head_dim, rot_dim, cosines, sines, round % 2);
		ops->rope(x, heads, head_dim, rot_dim, cosines, sines, round % 2);
		assert_nmse(x, truth, n, 1e-12);
		for (uint32_t h = 0; h < heads; h++)
			assert_memory_equal(x + h * head_dim + rot_dim,
					    truth + h * head_dim + rot_dim,
					    (head_dim - rot_dim) * sizeof(float));
	}
}

static void test_hadamard(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 7;
	float x[768], y[768], same[768], exact[768];

	for (int round = 0; round < ROUNDS; round++) {
		const uint32_t block = 8u << rng_range(&rng, 0, 5);
		const uint32_t n = block * rng_range(&rng, 1, 3);

		random_floats(&rng, x, n);
		for (uint32_t i = 0; i < n; i++) {
			double sum = 0;

			for (uint32_t j = 0; j < block; j++) {
				const double with = (double)x[i / block * block + j];

				sum += __builtin_parity(i % block & j) ? -with : with;
			}
			exact[i] = (float)(sum / sqrt(block));
		}
		memcpy(y, x, n * sizeof(float));
		ops->hadamard(y, n, block);
		assert_nmse(y, exact, n, 1e-13);
		memcpy(same, x, n * sizeof(float));
		reference()->hadamard(same, n, block);
		assert_memory_equal(y, same, n * sizeof(float));
		ops->hadamard(y, n, block);
		assert_nmse(y, x, n, 1e-13);
	}
}

static void test_silu_mul(void **state)
{
	static const float edges[] = {0, -0.0f, 1e-40f, -1e-40f, 88, -88, 87.4f, -87.4f, 89, -89,
				      104, -104, 1000, -1000, 3e38f, -3e38f, INFINITY, -INFINITY};
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 2;
	float gate[500], up[500], y[500], truth[500];

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = rng_range(&rng, 1, 500);
		float scale = round % 2 ? 30 : 1;

		random_floats(&rng, gate, n);
		random_floats(&rng, up, n);
		for (uint32_t i = 0; i < n; i++)
			gate[i] *= scale;
		reference()->silu_mul(truth, gate, up, n);
		ops->silu_mul(y, gate, up, n);
		assert_nmse(y, truth, n, 1e-12);
		/* each by itself, too: an error of exp of 9e-8, and some roundings */
		for (uint32_t i = 0; i < n; i++)
			if (fabs((double)y[i] - truth[i]) > 4e-7 * fabs(truth[i]) + 1e-35)
				fail_msg("silu(%a) * %a is %a, not %a", (double)gate[i],
					 (double)up[i], (double)y[i], (double)truth[i]);
		ops->silu_mul(gate, gate, up, n);
		assert_memory_equal(gate, y, n * sizeof(float));
	}
	for (size_t i = 0; i < COUNT(edges); i++)
		up[i] = 1;
	reference()->silu_mul(truth, edges, up, COUNT(edges));
	ops->silu_mul(y, edges, up, COUNT(edges));
	for (size_t i = 0; i < COUNT(edges); i++) {
		bool same = y[i] == truth[i] ||
			    fabs((double)y[i] - truth[i]) <= 4e-7 * fabs(truth[i]) + 1e-35;

		if (!same || signbit(y[i]) != signbit(truth[i]))
			fail_msg("silu(%a) is %a, not %a", (double)edges[i], (double)y[i],
				 (double)truth[i]);
	}
	gate[0] = NAN;
	ops->silu_mul(y, gate, up, 1);
	assert_true(isnan(y[0]));
}

static void test_add(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 3;
	float x[100], y[100], truth[100];

	for (uint32_t n = 1; n <= 100; n++) {
		random_floats(&rng, x, n);
		random_floats(&rng, y, n);
		memcpy(truth, y, n * sizeof(float));
		reference()->add(truth, x, n);
		ops->add(y, x, n);
		assert_memory_equal(y, truth, n * sizeof(float));
	}
}

/* every F16 there is: to float32 and back */
static void test_half_round_trip(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 0x10000; h++) {
		float f = kern_half_to_float((uint16_t)h);
		uint16_t back = kern_half_of_float(f);
		bool nan = (h & 0x7fff) > 0x7c00;

		assert_true(nan == !!isnan(f));
		if (nan)
			assert_int_equal(back, h | 0x200);
		else
			assert_int_equal(back, h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_round_trip),
		KERN_TESTS(test_rms_norm),
		KERN_TESTS(test_layer_norm),
		KERN_TESTS(test_rope),
		KERN_TESTS(test_hadamard),
		KERN_TESTS(test_silu_mul),
		KERN_TESTS(test_add),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
