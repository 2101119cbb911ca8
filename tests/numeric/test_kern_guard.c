/* SPDX-License-Identifier: MIT */
/*
 * Nothing is read or written outside of what the contract names: weights, activations and
 * outputs lie against pages that can't be touched, first at their ends, then at their starts.
 */
#include "kern_test.h"

static uint64_t seed;

static void guarded_copy(struct guarded *g, const void *data, size_t bytes, bool at_end)
{
	guarded_new(g, bytes, at_end);
	memcpy(g->data, data, bytes);
}

/* @bytes: of the weights */
static void check_product(const struct product *p, const struct kern_ops *ops, size_t bytes,
			  bool at_end)
{
	const struct kern_matmul *m = product_matmul(p, ops);
	const uint32_t rows = p->w.rows, cols = p->w.cols, tokens = p->tokens;
	struct kern_weights w = *product_weights(p);
	size_t stride = m->act_bytes(cols);
	struct guarded weights, x, act, y;

	guarded_copy(&weights, w.data, bytes, at_end);
	guarded_copy(&x, p->x, sizeof(float) * cols * tokens, at_end);
	guarded_new(&act, stride * tokens, at_end);
	guarded_new(&y, sizeof(float) * rows * tokens, at_end);
	w.data = weights.data;
	for (uint32_t t = 0; t < tokens; t++)
		m->pack(act.data + t * stride, (float *)(void *)x.data + (size_t)t * cols, cols);
	m->mul(&w, 0, rows, act.data, stride, tokens, (float *)(void *)y.data, rows);
	guarded_free(&weights);
	guarded_free(&x);
	guarded_free(&act);
	guarded_free(&y);
}

static void check_mul(uint64_t *rng, const struct kern_ops *ops, enum kern_type type, uint32_t rows,
		      uint32_t cols, uint32_t tokens, bool at_end)
{
	struct product p;

	product_new(&p, rng, type, rows, cols, tokens, false);
	check_product(&p, ops, p.w.row_bytes * rows, at_end);
	if (product_panels(&p, ops))
		check_product(&p, ops, kern_panel_bytes(type, cols) * kern_panel_count(rows),
			      at_end);
	product_free(&p);
}

static void test_matmul(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		enum kern_type type = kern_test_types[i];
		uint32_t unit = kern_type_info(type)->block_elems;

		for (uint32_t blocks = 1; blocks <= 20; blocks++)
			for (int at_end = 0; at_end < 2; at_end++) {
				check_mul(&rng, ops, type, rng_range(&rng, 1, 19), unit * blocks, 1,
					  at_end);
				check_mul(&rng, ops, type, rng_range(&rng, 1, 19), unit * blocks,
					  rng_range(&rng, 2, 9), at_end);
			}
	}
}

static void test_dequant(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 1;

	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		enum kern_type type = kern_test_types[i];
		uint32_t cols = random_cols(&rng, type, 1024);
		size_t bytes = kern_row_bytes(kern_type_info(type), cols);

		for (int at_end = 0; at_end < 2; at_end++) {
			struct guarded row, y;

			guarded_new(&row, bytes, at_end);
			guarded_new(&y, cols * sizeof(float), at_end);
			random_weights(&rng, type, row.data, cols);
			ops->dequant_row[type]((float *)(void *)y.data, row.data, cols);
			guarded_free(&row);
			guarded_free(&y);
		}
	}
}

static void check_rows(uint64_t *rng, const struct kern_ops *ops, uint32_t n, bool at_end)
{
	struct guarded a, b;
	float *x, *y, *z;

	guarded_new(&a, n * sizeof(float), at_end);
	guarded_new(&b, n * sizeof(float), at_end);
	x = (float *)(void *)a.data;
	y = (float *)(void *)b.data;
	z = x;
	random_floats(rng, x, n);
	random_floats(rng, y, n);
	ops->rms_norm(z, x, y, n, 1e-5f);
	ops->layer_norm(z, x, y, y, n, 1e-5f);
	ops->silu_mul(z, x, y, n);
	ops->gelu_mul(z, x, y, n);
	ops->gelu(z, x, n);
	ops->softcap(z, n, 30);
	ops->add(y, x, n);
	guarded_free(&a);
	guarded_free(&b);
}

static void check_rope(uint64_t *rng, const struct kern_ops *ops, uint32_t pairs, bool neox,
		       bool at_end)
{
	uint32_t head_dim = 2 * pairs;
	struct guarded x, cosines, sines;

	guarded_new(&x, 3 * head_dim * sizeof(float), at_end);
	guarded_new(&cosines, pairs * sizeof(float), at_end);
	guarded_new(&sines, pairs * sizeof(float), at_end);
	random_floats(rng, (float *)(void *)x.data, 3 * head_dim);
	ops->rope((float *)(void *)x.data, 3, head_dim, head_dim, (float *)(void *)cosines.data,
		  (float *)(void *)sines.data, neox);
	guarded_free(&x);
	guarded_free(&cosines);
	guarded_free(&sines);
}

static void check_hadamard(uint64_t *rng, const struct kern_ops *ops, uint32_t block, bool at_end)
{
	struct guarded x;

	guarded_new(&x, 3 * block * sizeof(float), at_end);
	random_floats(rng, (float *)(void *)x.data, 3 * block);
	ops->hadamard((float *)(void *)x.data, 3 * block, block);
	guarded_free(&x);
}

static void test_vectors(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 2;

	for (uint32_t n = 1; n <= 70; n++)
		for (int at_end = 0; at_end < 2; at_end++) {
			check_rows(&rng, ops, n, at_end);
			check_rope(&rng, ops, n, false, at_end);
			check_rope(&rng, ops, n, true, at_end);
		}
	for (uint32_t block = 8; block <= 256; block *= 2)
		for (int at_end = 0; at_end < 2; at_end++)
			check_hadamard(&rng, ops, block, at_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KERN_TEST(test_matmul, "ref"),	  KERN_TESTS(test_matmul),
		KERN_TEST(test_dequant, "ref"),	  KERN_TESTS(test_dequant),
		KERN_TEST(test_vectors, "ref"),	  KERN_TESTS(test_vectors),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
