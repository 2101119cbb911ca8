/* SPDX-License-Identifier: MIT */
/*
 * Products of every weight type and table against the reference in double: with activations that
 * 8 bits hold exactly (then only float32 sums may differ), and with any (then within the tolerance
 * of quantising them).
 */
#include "kern_test.h"

#define ROUNDS	12

static uint64_t seed;

static bool is_float(enum kern_type type)
{
	return type == KERN_F32 || type == KERN_F16 || type == KERN_BF16;
}

/*
 * What the contract says. Of a part BF16 keeps 8 bits: 2^-9 of an activation is lost at most, 2^-18
 * of two parts, of which some 2^-16 of a product where weights are in two parts as well. What 8 bits
 * hold, one part does.
 */
static double tolerance(const struct kern_ops *ops, enum kern_type type, uint32_t cols, bool exact)
{
	switch (kern_test_parts(ops, type)) {
	case 1:
		if (exact)
			break;
		return 0x1p-18;
	case 2:
		return type == KERN_F16 ? 0x1p-32 : 0x1p-36;
	}
	return exact || is_float(type) ? fmax(1, cols / 32768.0) * 1e-12 : 2e-4;
}

static void compare(uint64_t *rng, const struct kern_ops *ops, enum kern_type type, uint32_t rows,
		    uint32_t cols, uint32_t tokens, bool exact)
{
	double limit = tolerance(ops, type, cols, exact);
	struct product p;
	float *y, *truth;
	double error;

	/* a few sums may be small by chance, and then nothing is known of their relative error */
	if (!exact && (!is_float(type) || kern_test_parts(ops, type)) &&
	    (uint64_t)rows * tokens < 64)
		return;
	product_new(&p, rng, type, rows, cols, tokens, exact);
	y = product_mul(&p, ops);
	truth = product_mul(&p, kern_ops_get("ref"));
	error = product_error(&p, y, truth);
	if (!(error <= limit))
		fail_msg("%s %s rows %u cols %u tokens %u exact %d: NMSE %g", ops->name,
			 kern_type_info(type)->name, rows, cols, tokens, exact, error);
	free(y);
	if (product_panels(&p, ops)) {
		y = product_mul(&p, ops);
		error = product_error(&p, y, truth);
		if (!(error <= limit))
			fail_msg("%s panels of %s rows %u cols %u tokens %u exact %d: NMSE %g",
				 ops->name, kern_type_info(type)->name, rows, cols, tokens, exact,
				 error);
		free(y);
	}
	free(truth);
	product_free(&p);
}

static void test_shapes(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		enum kern_type type = kern_test_types[i];
		uint32_t unit = kern_type_info(type)->block_elems;

		if (kern_test_elsewhere(ops, type))
			continue;
		for (int round = 0; round < ROUNDS; round++)
			compare(&rng, ops, type, rng_range(&rng, 1, 37),
				random_cols(&rng, type, 1700), rng_range(&rng, 1, 9), round % 2);
		/* each number of blocks up to some chunks, so every kind of tail */
		for (uint32_t cols = unit; cols <= (unit < 32 ? 70 : 40 * unit); cols += unit)
			compare(&rng, ops, type, 3, cols, cols / unit % 2 ? 1 : 5, true);
	}
}

/* the shapes of real models, and rows too long for a panel: enough that no few of them decide */
static void test_sizes(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 1;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		if (kern_test_elsewhere(ops, kern_test_types[i]))
			continue;
		compare(&rng, ops, kern_test_types[i], 64, 4096, 6, false);
		compare(&rng, ops, kern_test_types[i], 9, 14336, 5, true);
		compare(&rng, ops, kern_test_types[i], 48, 65536, 2, true);
	}
}

/* one element at a time: each must meet its own activation */
static void test_each_element(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 2;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		enum kern_type type = kern_test_types[i];
		uint32_t cols = 768, tokens = cols;
		struct product p;
		float *y, *row;

		if (kern_test_elsewhere(ops, type))
			continue;
		row = aligned_new(cols * sizeof(float));
		product_new(&p, &rng, type, 1, cols, tokens, false);
		memset(p.x, 0, sizeof(float) * cols * tokens);
		for (uint32_t c = 0; c < cols; c++)
			p.x[(size_t)c * cols + c] = 1;
		ops->dequant_row[type](row, p.w.data, cols);
		y = product_mul(&p, ops);
		for (uint32_t c = 0; c < cols; c++)
			if (fabsf(y[c] - row[c]) > 1e-6f * fabsf(row[c]) + 1e-7f)
				fail_msg("%s: element %u is %g, not %g", kern_type_info(type)->name,
					 c, (double)y[c], (double)row[c]);
		free(y);
		free(row);
		product_free(&p);
	}
}

/* each type that can be packed is multiplied so by the tables that have panels */
static void test_panel_types(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);

	for (unsigned int type = 0; type < KERN_TYPE_COUNT; type++) {
		const struct kern_matmul *m = &ops->panel[type];

		assert_int_equal(!!m->mul, kern_panel_has(type));
		assert_int_equal(!!m->pack, kern_panel_has(type));
		assert_int_equal(!!m->act_bytes, kern_panel_has(type));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KERN_TESTS(test_shapes),
		KERN_TESTS(test_sizes),
		KERN_TESTS(test_each_element),
		KERN_TEST(test_panel_types, "avx512vnni"),
		KERN_TEST(test_panel_types, "avx512bf16"),
		KERN_TEST(test_panel_types, "amx"),
		KERN_TEST(test_panel_types, "amx-emulated"),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
