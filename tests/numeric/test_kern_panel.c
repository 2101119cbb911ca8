/* SPDX-License-Identifier: MIT */
/*
 * Packing loses nothing: every row comes back as the bytes it was packed from, whatever they are,
 * and dequantises to the same bits; rows that are not there are zeros, and nothing beside the
 * panels is touched. What panels cost in size is what panel.h says.
 */
#include "kern_test.h"
#include "kernels/panel.h"

static const enum kern_type panel_types[] = {
	KERN_Q8_0, KERN_Q4_0, KERN_Q4_1, KERN_Q5_0, KERN_Q5_1, KERN_Q4_K, KERN_Q5_K, KERN_Q6_K,
	KERN_IQ4_NL, KERN_Q2_K, KERN_Q3_K, KERN_IQ4_XS, KERN_MXFP4,
};

static uint64_t seed;

/* packed_new() - @w packed, against pages that can't be touched */
static struct kern_weights packed_new(struct guarded *g, enum kern_type type,
				      const struct kern_weights *w, bool at_end)
{
	const size_t bytes = kern_panel_bytes(type, w->cols);
	const uint32_t panels = kern_panel_count(w->rows);

	guarded_new(g, bytes * panels, at_end);
	memset(g->data, 0x5a, bytes * panels);
	/* in two parts, the later one first */
	kern_panel_pack(type, g->data, w, panels / 2, panels);
	kern_panel_pack(type, g->data, w, 0, panels / 2);
	return (struct kern_weights){g->data, bytes / KERN_PANEL_ROWS, w->rows, w->cols};
}

static void check_rows(enum kern_type type, const struct kern_weights *w,
		       const struct kern_weights *packed)
{
	uint8_t *row = malloc(w->row_bytes);
	float *a = aligned_new(w->cols * sizeof(float)), *b = aligned_new(w->cols * sizeof(float));

	assert_non_null(row);
	for (uint32_t r = 0; r < w->rows; r++) {
		const uint8_t *source = (const uint8_t *)w->data + r * w->row_bytes;

		memset(row, 0xa5, w->row_bytes);
		kern_panel_unpack_row(type, row, packed, r);
		if (memcmp(row, source, w->row_bytes))
			fail_msg("%s: row %u of (%u, %u) is not what it was",
				 kern_type_info(type)->name, r, w->rows, w->cols);
		kern_ops_get("ref")->dequant_row[type](a, source, w->cols);
		kern_panel_dequant_row(type, b, packed, r);
		if (memcmp(a, b, w->cols * sizeof(float)))
			fail_msg("%s: row %u of (%u, %u) has other values",
				 kern_type_info(type)->name, r, w->rows, w->cols);
	}
	free(row);
	free(a);
	free(b);
}

static void check(uint64_t *rng, enum kern_type type, uint32_t rows, uint32_t cols, bool at_end)
{
	const size_t row_bytes = kern_row_bytes(kern_type_info(type), cols);
	struct guarded source, g;
	struct kern_weights w, packed;

	guarded_new(&source, row_bytes * rows, at_end);
	for (size_t i = 0; i < row_bytes * rows; i++)	/* any bytes, NaN scales among them */
		source.data[i] = (uint8_t)rng_next(rng);
	w = (struct kern_weights){source.data, row_bytes, rows, cols};
	packed = packed_new(&g, type, &w, at_end);
	check_rows(type, &w, &packed);
	guarded_free(&source);
	guarded_free(&g);
}

static void test_lossless(void **state)
{
	uint64_t rng = seed;

	(void)state;
	for (size_t i = 0; i < COUNT(panel_types); i++) {
		enum kern_type type = panel_types[i];
		uint32_t unit = kern_type_info(type)->block_elems;

		for (uint32_t blocks = 1; blocks <= 20; blocks++)
			for (int at_end = 0; at_end < 2; at_end++)
				check(&rng, type, rng_range(&rng, 1, 50), unit * blocks, at_end);
		for (uint32_t rows = 1; rows <= 33; rows++)
			check(&rng, type, rows, random_cols(&rng, type, 1600), rows % 2);
	}
}

/* rows behind the last: their scales are zero, and so is all that is computed with them */
static void test_padding(void **state)
{
	uint64_t rng = seed + 1;

	(void)state;
	for (size_t i = 0; i < COUNT(panel_types); i++) {
		enum kern_type type = panel_types[i];
		struct kern_weights packed;
		struct product p;
		struct guarded g;
		float y[512];

		product_new(&p, &rng, type, 17, 512, 1, false);
		packed = packed_new(&g, type, &p.w, true);
		packed.rows = 32;
		for (uint32_t r = 17; r < 32; r++) {
			kern_panel_dequant_row(type, y, &packed, r);
			for (uint32_t c = 0; c < 512; c++)
				assert_true(y[c] == 0);
		}
		guarded_free(&g);
		product_free(&p);
	}
}

/* a matrix is packed to the same bytes whatever lay there: a file of it can be compared */
static void test_same_bytes(void **state)
{
	uint64_t rng = seed + 2;

	(void)state;
	for (size_t i = 0; i < COUNT(panel_types); i++) {
		enum kern_type type = panel_types[i];
		uint32_t cols = kern_type_info(type)->block_elems * 3;
		size_t bytes = kern_panel_bytes(type, cols) * 2;
		uint8_t *a = aligned_new(bytes), *b = aligned_new(bytes);
		struct product p;

		memset(a, 0, bytes);
		memset(b, 0xff, bytes);
		product_new(&p, &rng, type, 21, cols, 1, false);
		kern_panel_pack(type, a, &p.w, 0, 2);
		kern_panel_pack(type, b, &p.w, 0, 2);
		assert_memory_equal(a, b, bytes);
		free(a);
		free(b);
		product_free(&p);
	}
}

static void test_sizes(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < KERN_TYPE_COUNT + 2; type++) {
		const struct kern_type_info *info = kern_type_info(type);
		bool has = false;

		for (size_t i = 0; i < COUNT(panel_types); i++)
			has = has || panel_types[i] == type;
		assert_int_equal(kern_panel_has(type), has);
		assert_int_equal(!!kern_panel_bytes(type, 512), has);
		if (!has)
			continue;
		for (uint32_t cols = 256; cols <= 8192; cols += 256) {
			size_t rows = 16 * kern_row_bytes(info, cols);

			assert_int_equal(kern_panel_bytes(type, cols) % KERN_ALIGN, 0);
			assert_true(kern_panel_bytes(type, cols) >= rows);
			/* an odd number of superblocks of Q3_K ends within a cache line */
			if (type == KERN_Q3_K && cols % 512)
				rows += KERN_ALIGN / 2;
			assert_true(kern_panel_bytes(type, cols) - rows <= rows / 100);
		}
	}
	assert_int_equal(kern_panel_count(1), 1);
	assert_int_equal(kern_panel_count(16), 1);
	assert_int_equal(kern_panel_count(17), 2);
	assert_int_equal(kern_panel_count(UINT32_MAX), 1u << 28);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_lossless),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_same_bytes),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
