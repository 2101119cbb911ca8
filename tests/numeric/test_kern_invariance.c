/* SPDX-License-Identifier: MIT */
/*
 * A product is the same bits whatever else is computed with it: any number of tokens, any range of
 * rows, and whichever SIMD table computes it.
 */
#include "kern_test.h"

#define TOKENS	17
#define ROWS	45

static uint64_t seed;

static void same_bits(const float *a, const float *b, size_t n, const char *what,
		      enum kern_type type, uint32_t at)
{
	if (memcmp(a, b, n * sizeof(*a)))
		fail_msg("%s %s: other bits at %u (%a, %a)", what, kern_type_info(type)->name, at,
			 (double)*a, (double)*b);
}

/* tokens [t, t + count), rows [begin, end) against the whole; nothing else may be written */
static void check_part(const struct product *p, const struct kern_ops *ops, const uint8_t *act,
		       const float *whole, uint32_t t, uint32_t count, uint32_t begin, uint32_t end)
{
	size_t stride = product_stride(p, ops), n = (size_t)p->w.rows * count;
	float *y = aligned_new(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		y[i] = 12345;
	product_matmul(p, ops)->mul(product_weights(p), begin, end, act + t * stride, stride, count,
				    y, p->w.rows);
	for (uint32_t i = 0; i < count; i++) {
		const float *row = y + (size_t)i * p->w.rows;

		same_bits(row + begin, whole + (size_t)(t + i) * p->w.rows + begin, end - begin,
			  ops->name, p->type, (t + i) * p->w.rows + begin);
		for (uint32_t r = 0; r < p->w.rows; r++)
			if ((r < begin || r >= end) && row[r] != 12345)
				fail_msg("row %u was written outside of %u..%u", r, begin, end);
	}
	free(y);
}

static void check_parts(uint64_t *rng, const struct product *p, const struct kern_ops *ops,
			const float *whole)
{
	uint8_t *act = product_pack(p, ops);

	for (uint32_t count = 1; count <= TOKENS; count++)
		check_part(p, ops, act, whole, rng_range(rng, 0, TOKENS - count), count, 0, ROWS);
	for (uint32_t t = 0; t < TOKENS; t++)
		check_part(p, ops, act, whole, t, 1, 0, ROWS);
	for (int i = 0; i < 40; i++) {
		uint32_t t = rng_range(rng, 0, TOKENS - 1), begin = rng_range(rng, 0, ROWS);

		check_part(p, ops, act, whole, t, rng_range(rng, 1, TOKENS - t), begin,
			   rng_range(rng, begin, ROWS));
	}
	free(act);
}

/* panels must give what rows give */
static void check_type(uint64_t *rng, const struct kern_ops *ops, enum kern_type type,
		       uint32_t cols)
{
	struct product p;
	float *whole;

	product_new(&p, rng, type, ROWS, cols, TOKENS, false);
	whole = product_mul(&p, ops);
	check_parts(rng, &p, ops, whole);
	if (product_panels(&p, ops))
		check_parts(rng, &p, ops, whole);
	free(whole);
	product_free(&p);
}

static void test_matmul(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		if (kern_test_elsewhere(ops, kern_test_types[i]))
			continue;
		check_type(&rng, ops, kern_test_types[i], 256);
		check_type(&rng, ops, kern_test_types[i],
			   random_cols(&rng, kern_test_types[i], 1600));
		check_type(&rng, ops, kern_test_types[i],
			   random_cols(&rng, kern_test_types[i], 9000));
	}
	/* 18 and 48 blocks: the widths of a small model */
	check_type(&rng, ops, KERN_Q4_1, 576);
	check_type(&rng, ops, KERN_Q8_0, 1536);
	/* activations that fill the first-level cache: one token goes another way than many */
	if (!kern_test_elsewhere(ops, KERN_F16))
		check_type(&rng, ops, KERN_F16, 4101);
	if (!kern_test_elsewhere(ops, KERN_BF16))
		check_type(&rng, ops, KERN_BF16, 8211);
	/* more than can be unpacked at once */
	check_type(&rng, ops, KERN_Q4_0, 18432);
	check_type(&rng, ops, KERN_Q6_K, 20480);
}

static void check_many(uint64_t *rng, const struct kern_ops *ops, enum kern_type type,
		       uint32_t rows, uint32_t cols, uint32_t tokens)
{
	struct product p;
	uint8_t *act;
	float *whole;

	product_new(&p, rng, type, rows, cols, tokens, false);
	act = product_pack(&p, ops);
	whole = product_mul(&p, ops);
	for (uint32_t t = 0; t < tokens; t += rng_range(rng, 1, 12))
		check_part(&p, ops, act, whole, t, 1, 0, rows);
	if (product_panels(&p, ops)) {
		float *panels = product_mul(&p, ops);

		same_bits(panels, whole, (size_t)rows * tokens, ops->name, type, 0);
		free(panels);
	}
	free(act);
	free(whole);
	product_free(&p);
}

/* more tokens than tiles or registers hold at once: each must be as it is alone */
static void test_many_tokens(void **state)
{
	static const uint32_t tokens[] = {31, 32, 33, 63, 80};
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 3;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		enum kern_type type = kern_test_types[i];

		if (kern_test_elsewhere(ops, type))
			continue;
		for (size_t k = 0; k < COUNT(tokens); k++)
			check_many(&rng, ops, type, rng_range(&rng, 1, 70),
				   random_cols(&rng, type, 1300), tokens[k]);
	}
	/* and rows longer than can be unpacked */
	check_many(&rng, ops, KERN_Q4_0, 17, 18432, 35);
	check_many(&rng, ops, KERN_Q2_K, 17, 14336, 35);
}

static void test_matmul_tables_agree(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state), *avx2 = kern_test_ops("avx2");
	uint64_t rng = seed + 1;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		for (int round = 0; round < 6; round++) {
			enum kern_type type = kern_test_types[i];
			uint32_t cols = random_cols(&rng, type, round ? 1600 : 9000);
			struct product p;
			float *a, *b;

			if (kern_test_parts(ops, type))
				continue;
			product_new(&p, &rng, type, ROWS, cols, 1 + round, false);
			a = product_mul(&p, avx2);
			b = product_mul(&p, ops);
			for (uint32_t k = 0; k < ROWS * p.tokens; k++)
				same_bits(a + k, b + k, 1, ops->name, type, k);
			free(a);
			free(b);
			product_free(&p);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KERN_TESTS(test_matmul),
		KERN_TESTS(test_many_tokens),
		KERN_TESTS(test_matmul_tables_agree),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
