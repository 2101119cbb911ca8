/* SPDX-License-Identifier: MIT */
/*
 * Norm, rotation, attention, activation, sum and cache store of every table against the reference,
 * at random sizes and at the values where formulas break.
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

/* every rounding of float32 to F16 that is special, against the reference, bit by bit */
static void test_store_kv(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 4;
	float x[1003], copy[1003];
	uint16_t y[1003], truth[1003];

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = rng_range(&rng, 1, 1003);

		for (uint32_t i = 0; i < n; i++) {
			uint32_t bits = (uint32_t)rng_next(&rng);

			/* half of them within the range of F16, some exactly between two halves */
			if (i % 2)
				bits = (bits & 0x8fffffff) | 0x30000000 | (bits & 0x08000000);
			if (i % 3 == 0)
				bits = (bits & ~0x1fffu) | (bits & 1 ? 0x1000 : 0);
			x[i] = kern_float_of_bits(bits);
		}
		x[0] = round % 2 ? 65520 : 65519.996f;
		reference()->store_kv(truth, x, n, true);
		ops->store_kv(y, x, n, true);
		for (uint32_t i = 0; i < n; i++)
			if (y[i] != truth[i])
				fail_msg("%a becomes %04x, not %04x", (double)x[i], y[i], truth[i]);
		ops->store_kv(copy, x, n, false);
		assert_memory_equal(copy, x, n * sizeof(float));
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

/* ---- attention ---- */

struct attn_data {
	struct kern_attn a;
	float q[9 * 256], out[9 * 256], truth[9 * 256];
	float *scores;
	uint8_t *k, *v;
	const void *k_pages[700], *v_pages[700];
};

static void attn_new(struct attn_data *d, uint64_t *rng, uint32_t group, uint32_t head_dim,
		     uint32_t tokens, bool f16)
{
	enum kern_type type = f16 ? KERN_F16 : KERN_F32;
	uint32_t page_tokens = 16 * rng_range(rng, 1, 4), size = f16 ? 2 : 4;
	uint32_t pages = (tokens + page_tokens - 1) / page_tokens;
	size_t elems = (size_t)page_tokens * head_dim;

	assert_true(pages <= 700 && head_dim <= 256 && group <= 9);
	d->scores = aligned_new(sizeof(float) * group * (tokens + 15));
	d->k = aligned_new(elems * pages * size);
	d->v = aligned_new(elems * pages * size);
	random_floats(rng, d->q, (size_t)group * head_dim);
	random_weights(rng, type, d->k, elems * pages);
	random_weights(rng, type, d->v, elems * pages);
	for (uint32_t i = 0; i < pages; i++) {
		d->k_pages[i] = d->k + elems * size * i;
		d->v_pages[i] = d->v + elems * size * (pages - 1 - i);
	}
	d->a = (struct kern_attn){d->q, d->out, d->k_pages, d->v_pages, d->scores, group, head_dim,
				  page_tokens, tokens, f16, 1 / sqrtf((float)head_dim), 0, 0};
}

static void attn_free(struct attn_data *d)
{
	free(d->scores);
	free(d->k);
	free(d->v);
}

static void attn_both(struct attn_data *d, const struct kern_ops *ops)
{
	d->a.out = d->truth;
	reference()->attn(&d->a);
	d->a.out = d->out;
	ops->attn(&d->a);
}

static void check_attn(uint64_t *rng, const struct kern_ops *ops, uint32_t group, uint32_t head_dim,
		       uint32_t tokens, bool f16, float scale)
{
	struct attn_data d;

	attn_new(&d, rng, group, head_dim, tokens, f16);
	d.a.scale *= scale;
	attn_both(&d, ops);
	assert_nmse(d.out, d.truth, (size_t)group * head_dim, 1e-10);
	attn_free(&d);
}

static void test_attention(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 5;

	for (int round = 0; round < ROUNDS; round++)
		check_attn(&rng, ops, rng_range(&rng, 1, 9), 8 * rng_range(&rng, 1, 32),
			   rng_range(&rng, 1, 200), round % 2, round % 5 == 4 ? 20 : 1);
	check_attn(&rng, ops, 3, 64, 8192, true, 1);
	check_attn(&rng, ops, 2, 128, 8192, false, 1);
}

/* scores that are infinite, all -inf, far apart, NaN; no keys at all */
static void test_attention_edges(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 6;
	struct attn_data d;
	float *k;

	attn_new(&d, &rng, 3, 64, 40, false);
	k = (float *)(void *)d.k;
	for (int i = 0; i < 64; i++)
		d.q[i] = d.q[64 + i] = 1;
	/* one key that must not count, one that outweighs all others */
	k[5 * 64] = -INFINITY;
	k[7 * 64] = 1e6f;
	for (int i = 0; i < 64; i++)
		d.q[128 + i] = i ? 0 : 1;
	attn_both(&d, ops);
	assert_nmse(d.out, d.truth, 3 * 64, 1e-10);
	/* every key at -inf */
	for (int t = 0; t < 40; t++)
		k[t * 64] = -INFINITY;
	attn_both(&d, ops);
	for (int i = 0; i < 3 * 64; i++)
		assert_true(d.out[i] == 0 && d.truth[i] == 0);
	/* NaN reaches the heads that look at it, and no others */
	for (int t = 0; t < 40; t++)
		k[t * 64] = 1;
	d.q[64] = NAN;
	attn_both(&d, ops);
	for (int i = 0; i < 3 * 64; i++)
		assert_true(!!isnan(d.out[i]) == (i / 64 == 1));
	d.a.tokens = 0;
	ops->attn(&d.a);
	for (int i = 0; i < 3 * 64; i++)
		assert_true(d.out[i] == 0);
	attn_free(&d);
}

/* what lies before the window has no influence, whatever it is; scores bend towards the cap */
static void test_attention_window(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 8;

	for (int round = 0; round < ROUNDS; round++) {
		const uint32_t group = rng_range(&rng, 1, 9), head_dim = 8 * rng_range(&rng, 1, 32);
		const uint32_t tokens = rng_range(&rng, 1, 200);
		const size_t n = (size_t)group * head_dim;
		float plain[9 * 256];
		struct attn_data d;

		attn_new(&d, &rng, group, head_dim, tokens, round % 2);
		attn_both(&d, ops);
		memcpy(plain, d.out, n * sizeof(float));
		d.a.first = rng_first_key(&rng, tokens, d.a.page_tokens);
		d.a.softcap = round % 3 ? 0.5f * (float)(round % 3) : 0;
		d.a.scale *= round % 3 == 1 ? 20 : 1;
		attn_both(&d, ops);
		assert_nmse(d.out, d.truth, n, 1e-10);
		if (d.a.first || d.a.softcap != 0)
			assert_true(tokens == 1 || memcmp(plain, d.out, n * sizeof(float)));
		memcpy(plain, d.out, n * sizeof(float));
		memset(d.k, 0x7f, (size_t)d.a.first * head_dim * (d.a.kv_f16 ? 2 : 4));
		memset((char *)(uintptr_t)d.v_pages[0], 0x7f,
		       (size_t)d.a.first * head_dim * (d.a.kv_f16 ? 2 : 4));
		ops->attn(&d.a);
		assert_memory_equal(d.out, plain, n * sizeof(float));
		attn_free(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_round_trip),
		KERN_TESTS(test_rms_norm),
		KERN_TESTS(test_layer_norm),
		KERN_TESTS(test_rope),
		KERN_TESTS(test_silu_mul),
		KERN_TESTS(test_add),
		KERN_TESTS(test_store_kv),
		KERN_TESTS(test_attention),
		KERN_TESTS(test_attention_edges),
		KERN_TESTS(test_attention_window),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
