/* SPDX-License-Identifier: MIT */
/*
 * Products at the edges of number formats: the greatest sums that integers must hold, zeros,
 * subnormal scales, and what is not finite, which stays in its row and token.
 */
#include <float.h>

#include "kern_test.h"

#define ROWS	5
#define COLS	1024	/* four superblocks */
#define TOKENS	3

static uint64_t seed;

static bool is_float(enum kern_type type)
{
	return type == KERN_F32 || type == KERN_F16 || type == KERN_BF16;
}

static void set_all_scales(const struct product *p, float d, float min)
{
	const struct kern_type_info *info = kern_type_info(p->type);
	uint8_t *block = (uint8_t *)p->w.data;

	for (uint32_t i = 0; i < ROWS * COLS / info->block_elems; i++, block += info->block_bytes)
		set_scales(p->type, block, d, min);
}

static void compare(const struct product *p, const struct kern_ops *ops, double limit)
{
	float *y = product_mul(p, ops), *truth = product_mul(p, kern_ops_get("ref"));
	double error = product_error(p, y, truth);

	if (!(error <= limit))
		fail_msg("%s: error %g (%g, not %g)", kern_type_info(p->type)->name, error,
			 (double)y[0], (double)truth[0]);
	free(y);
	free(truth);
}

/* what is subnormal counts as zero where BF16 is multiplied by instructions of its own */
static void all_zero(const struct product *p, const struct kern_ops *ops)
{
	float *y = product_mul(p, ops);

	for (uint32_t i = 0; i < ROWS * TOKENS; i++)
		if (y[i] != 0)
			fail_msg("%s: %g at %u, not 0", kern_type_info(p->type)->name,
				 (double)y[i], i);
	free(y);
}

/* all bits alike, and activations that make every product as great as it gets */
static void test_greatest_sums(void **state)
{
	static const uint8_t bytes[] = {0x00, 0xff, 0x80, 0x7f, 0x88, 0x0f};
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		struct product p;

		if (is_float(kern_test_types[i]))
			continue;
		product_new(&p, &rng, kern_test_types[i], ROWS, COLS, TOKENS, true);
		for (size_t k = 0; k < COUNT(bytes); k++) {
			memset((uint8_t *)p.w.data, bytes[k], p.w.row_bytes * ROWS);
			set_all_scales(&p, 1, -0.5f);
			for (uint32_t c = 0; c < COLS; c++) {
				p.x[c] = 127;
				p.x[COLS + c] = -127;
				p.x[2 * COLS + c] = c % 2 ? -127 : c % 4 ? 127 : 126;
			}
			compare(&p, ops, 1e-12);
		}
		product_free(&p);
	}
}

static void test_zeros(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 1;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		struct product p;
		float *y;

		product_new(&p, &rng, kern_test_types[i], ROWS, COLS, TOKENS, false);
		/* token 0 is zero, 1 is negative zero; all of row 1 is zero */
		for (uint32_t c = 0; c < COLS; c++) {
			p.x[c] = 0;
			p.x[COLS + c] = -0.0f;
		}
		memset((uint8_t *)p.w.data + p.w.row_bytes, 0, p.w.row_bytes);
		y = product_mul(&p, ops);
		for (uint32_t r = 0; r < ROWS; r++)
			assert_true(y[r] == 0 && y[ROWS + r] == 0);
		assert_true(y[2 * ROWS + 1] == 0 && y[2 * ROWS] != 0);
		free(y);
		product_free(&p);
	}
}

static void test_subnormal_scales(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 2;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		struct product p;

		product_new(&p, &rng, kern_test_types[i], ROWS, COLS, TOKENS, true);
		if (is_float(p.type))
			memset((uint8_t *)p.w.data, 0, p.w.row_bytes * ROWS);
		else
			set_all_scales(&p, 0x1p-24f, 0x3p-24f);
		/* 1 in each F16 and BF16 is the least of them; in F32 it is 2^-133 */
		if (is_float(p.type))
			for (size_t k = 0; k < p.w.row_bytes * ROWS; k += 2)
				((uint8_t *)p.w.data)[k] = 1;
		if (p.type == KERN_BF16 && kern_test_parts(ops, p.type))
			all_zero(&p, ops);
		else
			compare(&p, ops, p.type == KERN_F32 || p.type == KERN_BF16 ? 1e-9 : 1e-12);
		product_free(&p);
	}
}

/* activations that are huge, small beyond a normal scale, and both in one row */
static void test_magnitudes(void **state)
{
	static const float scales[] = {1e30f, 1e-30f, 1e-33f};
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 3;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		for (size_t s = 0; s < COUNT(scales); s++) {
			struct product p;

			product_new(&p, &rng, kern_test_types[i], ROWS, COLS, TOKENS, false);
			for (uint32_t c = 0; c < COLS * TOKENS; c++)
				p.x[c] *= scales[s];
			compare(&p, ops, 2e-4);
			/* subnormal ones may count as zero: beside others they do not matter */
			for (uint32_t c = 0; c < COLS * TOKENS; c++)
				p.x[c] = c / 32 % 2 ? 1e-42f : p.x[c];
			compare(&p, ops, 2e-4);
			product_free(&p);
		}
	}
}

/* what is finite stays so: the greatest numbers would become infinite if they were rounded */
static void test_greatest_activations(void **state)
{
	static const enum kern_type types[] = {KERN_F32, KERN_F16, KERN_BF16};
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 8;

	for (size_t i = 0; i < COUNT(types); i++) {
		struct product p;

		product_new(&p, &rng, types[i], ROWS, COLS, TOKENS, false);
		for (uint32_t c = 0; c < COLS * TOKENS; c++)
			p.x[c] = c % 64 ? 0 : c % 128 ? FLT_MAX : -FLT_MAX;
		/* no sum of 16 overflows */
		for (uint32_t r = 0; r < ROWS * COLS; r++) {
			uint8_t *w = (uint8_t *)p.w.data + r * (p.w.row_bytes / COLS);
			uint32_t bits = kern_bits_of_float(ldexpf(1 + r % 8 / 8.0f, -6));

			if (types[i] == KERN_F16)
				put_half(w, kern_float_of_bits(bits));
			else if (types[i] == KERN_BF16)
				memcpy(w, (uint8_t *)&bits + 2, 2);
			else
				memcpy(w, &bits, sizeof(bits));
		}
		/* cut and not rounded, a part loses twice as much */
		compare(&p, ops, kern_test_parts(ops, types[i]) == 1 ? 0x1p-16 : 0x1p-32);
		product_free(&p);
	}
}

static bool row_is_finite(const float *y, uint32_t token)
{
	for (uint32_t r = 0; r < ROWS; r++)
		if (!isfinite(y[token * ROWS + r]))
			return false;
	return true;
}

/* what is not finite in one token makes all of its sums so, and no other's */
static void test_activations_not_finite(void **state)
{
	static const float values[] = {INFINITY, -INFINITY, NAN};
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 4;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		for (size_t k = 0; k < COUNT(values); k++) {
			struct product p;
			float *clean, *y;

			product_new(&p, &rng, kern_test_types[i], ROWS, COLS, TOKENS, false);
			clean = product_mul(&p, ops);
			p.x[COLS + rng_range(&rng, 0, COLS - 1)] = values[k];
			y = product_mul(&p, ops);
			assert_memory_equal(y, clean, ROWS * sizeof(float));
			assert_memory_equal(y + 2 * ROWS, clean + 2 * ROWS, ROWS * sizeof(float));
			assert_true(row_is_finite(y, 0) && row_is_finite(y, 2));
			for (uint32_t r = 0; r < ROWS; r++)
				assert_false(isfinite(y[ROWS + r]));
			free(clean);
			free(y);
			product_free(&p);
		}
	}
}

/* a weight, or a scale, that is not finite stays in its row */
static void test_weights_not_finite(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 5;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		struct product p;
		float *clean, *y, inf = INFINITY;
		uint8_t *row;

		/* there is no MXFP4 that is not finite */
		if (kern_test_types[i] == KERN_MXFP4)
			continue;
		product_new(&p, &rng, kern_test_types[i], ROWS, COLS, TOKENS, false);
		clean = product_mul(&p, ops);
		row = (uint8_t *)p.w.data + 2 * p.w.row_bytes;
		if (p.type == KERN_F32)
			memcpy(row, &inf, sizeof(inf));
		else if (p.type == KERN_BF16)
			memcpy(row, (uint8_t *)&inf + 2, 2);
		else
			put_half(row + scales_at(p.type).d, INFINITY);
		y = product_mul(&p, ops);
		for (uint32_t t = 0; t < TOKENS; t++)
			for (uint32_t r = 0; r < ROWS; r++)
				if (r == 2)
					assert_false(isfinite(y[t * ROWS + r]));
				else
					assert_memory_equal(&y[t * ROWS + r], &clean[t * ROWS + r],
							    sizeof(float));
		free(clean);
		free(y);
		product_free(&p);
	}
}

/* MXFP4's scales from end to end: where the product is a normal number, it is the right one */
static void test_exponents(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 6;
	struct product p;

	product_new(&p, &rng, KERN_MXFP4, ROWS, COLS, TOKENS, true);
	for (int e = 0; e <= 255; e++) {
		for (size_t k = 0; k < p.w.row_bytes * ROWS; k += 17)
			((uint8_t *)p.w.data)[k] = (uint8_t)e;
		/* no sum of the greatest may overflow */
		for (uint32_t c = 0; e == 221 && c < COLS * TOKENS; c++)
			p.x[c] *= 0x1p-40f;
		compare(&p, ops, e < 16 ? 1e-9 : 1e-12);
	}
	product_free(&p);
}

/* any bytes at all, the worst that a file can bring: only the rows they are in may suffer */
static void test_random_bytes(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 7;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		struct product p;
		float *clean, *y;

		product_new(&p, &rng, kern_test_types[i], ROWS, COLS, TOKENS, false);
		clean = product_mul(&p, ops);
		for (size_t k = 0; k < p.w.row_bytes; k++)
			((uint8_t *)p.w.data)[p.w.row_bytes + k] = (uint8_t)rng_next(&rng);
		y = product_mul(&p, ops);
		for (uint32_t t = 0; t < TOKENS; t++)
			for (uint32_t r = 0; r < ROWS; r++)
				if (r != 1)
					assert_memory_equal(&y[t * ROWS + r], &clean[t * ROWS + r],
							    sizeof(float));
		free(clean);
		free(y);
		product_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KERN_TESTS(test_greatest_sums),
		KERN_TESTS(test_zeros),
		KERN_TESTS(test_subnormal_scales),
		KERN_TESTS(test_magnitudes),
		KERN_TESTS(test_greatest_activations),
		KERN_TESTS(test_activations_not_finite),
		KERN_TESTS(test_weights_not_finite),
		KERN_TESTS(test_exponents),
		KERN_TESTS(test_random_bytes),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
