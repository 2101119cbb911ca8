/* SPDX-License-Identifier: MIT */
/*
 * What the bytes of each weight type mean, against blocks that another program has read: all are
 * float32 of what is exact but for one rounding, so every bit must be alike.
 */
#include "golden_blocks.h"
#include "kern_test.h"

#define GOLDEN(type, lower)                                                                        \
	{                                                                                          \
		type, golden_##lower##_bytes, sizeof(golden_##lower##_bytes),                      \
			golden_##lower##_values, COUNT(golden_##lower##_values)                    \
	}

static const struct golden {
	enum kern_type type;
	const uint8_t *bytes;
	size_t size;
	const uint32_t *values;		/* bits of float32 */
	size_t count;
} goldens[] = {
	GOLDEN(KERN_F32, f32),	   GOLDEN(KERN_F16, f16),	GOLDEN(KERN_BF16, bf16),
	GOLDEN(KERN_Q8_0, q8_0),   GOLDEN(KERN_Q4_0, q4_0),	GOLDEN(KERN_Q4_1, q4_1),
	GOLDEN(KERN_Q5_0, q5_0),   GOLDEN(KERN_Q5_1, q5_1),	GOLDEN(KERN_Q2_K, q2_k),
	GOLDEN(KERN_Q3_K, q3_k),   GOLDEN(KERN_Q4_K, q4_k),	GOLDEN(KERN_Q5_K, q5_k),
	GOLDEN(KERN_Q6_K, q6_k),   GOLDEN(KERN_IQ4_NL, iq4_nl), GOLDEN(KERN_IQ4_XS, iq4_xs),
	GOLDEN(KERN_MXFP4, mxfp4),
};

static void test_dequant(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);

	for (size_t i = 0; i < COUNT(goldens); i++) {
		const struct golden *g = &goldens[i];
		const struct kern_type_info *info = kern_type_info(g->type);
		float *y = aligned_new(g->count * sizeof(*y));

		assert_int_equal(g->count, 2 * info->block_elems);
		assert_int_equal(kern_row_bytes(info, g->count), g->size);
		ops->dequant_row[g->type](y, g->bytes, (uint32_t)g->count);
		for (size_t k = 0; k < g->count; k++) {
			float want = kern_float_of_bits(g->values[k]);

			/* zero has two signs, which mean the same */
			if (kern_bits_of_float(y[k]) != g->values[k] && (y[k] != 0 || want != 0))
				fail_msg("%s: element %zu is %a, not %a", info->name, k,
					 (double)y[k], (double)want);
		}
		free(y);
	}
}

/* no type is forgotten, by this test or by the others */
static void test_all_types(void **state)
{
	size_t known = 0;

	(void)state;
	for (uint32_t type = 0; type < KERN_TYPE_COUNT + 10; type++)
		known += kern_type_info(type) != NULL;
	assert_int_equal(known, COUNT(goldens));
	assert_int_equal(known, COUNT(kern_test_types));
	for (size_t i = 0; i < known; i++)
		assert_non_null(kern_type_info(kern_test_types[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KERN_TEST(test_dequant, "ref"),
		KERN_TESTS(test_dequant),
		cmocka_unit_test(test_all_types),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
