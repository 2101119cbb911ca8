/* SPDX-License-Identifier: MIT */
/*
 * What the tests of kernels/ share: the tables of this machine, random weights and activations
 * from a seed that is printed, memory that ends where a page ends, and the error measure.
 */
#ifndef LLMOS_TESTS_KERN_TEST_H
#define LLMOS_TESTS_KERN_TEST_H

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "kernels/half.h"
#include "kernels/kernels.h"
#include "kernels/panel.h"

static const enum kern_type kern_test_types[] = {
	KERN_F32,  KERN_F16,  KERN_BF16, KERN_Q8_0, KERN_Q4_0,	 KERN_Q4_1,   KERN_Q5_0,  KERN_Q5_1,
	KERN_Q2_K, KERN_Q3_K, KERN_Q4_K, KERN_Q5_K, KERN_Q6_K,	 KERN_IQ4_NL, KERN_IQ4_XS,
	KERN_MXFP4,
};

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- chance ---- */

static inline uint64_t rng_next(uint64_t *rng)
{
	uint64_t z = *rng += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* from low to high, both included */
static inline uint32_t rng_range(uint64_t *rng, uint32_t low, uint32_t high)
{
	return low + (uint32_t)(rng_next(rng) % (high - low + 1));
}

static inline double rng_unit(uint64_t *rng)
{
	return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

static inline float rng_normal(uint64_t *rng)
{
	double radius = sqrt(-2 * log(1 - rng_unit(rng)));

	return (float)(radius * cos(6.283185307179586 * rng_unit(rng)));
}

/* KERN_TEST_SEED, or one from the clock; printed, since it may be needed again */
static inline uint64_t rng_seed(void)
{
	const char *text = getenv("KERN_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 0) : (uint64_t)now.tv_sec * 1000000007u + now.tv_nsec;
	fprintf(stderr, "# KERN_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* ---- memory ---- */

/** struct guarded - bytes with a page behind (or before) them that must not be touched */
struct guarded {
	uint8_t *data;
	uint8_t *map;
	size_t map_bytes;
};

static inline void guarded_new(struct guarded *g, size_t bytes, bool at_end)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t inner = (bytes + page - 1) / page * page + (bytes ? 0 : page);

	g->map_bytes = inner + 2 * page;
	g->map = mmap(NULL, g->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->map, MAP_FAILED);
	assert_int_equal(mprotect(g->map + page, inner, PROT_READ | PROT_WRITE), 0);
	g->data = g->map + page + (at_end ? inner - bytes : 0);
}

static inline void guarded_free(struct guarded *g)
{
	munmap(g->map, g->map_bytes);
}

static inline void *aligned_new(size_t bytes)
{
	void *p = aligned_alloc(KERN_ALIGN, (bytes + KERN_ALIGN) / KERN_ALIGN * KERN_ALIGN);

	assert_non_null(p);
	return p;
}

/* ---- weights and activations ---- */

static inline void put_half(uint8_t *p, float f)
{
	uint16_t h = kern_half_of_float(f);

	memcpy(p, &h, sizeof(h));
}

/** struct scales_at - where in a block of a quantised type the F16 are; negative: there is none */
struct scales_at {
	int d;
	int min;
};

static inline struct scales_at scales_at(enum kern_type type)
{
	switch (type) {
	case KERN_Q4_1:
	case KERN_Q5_1:
	case KERN_Q4_K:
	case KERN_Q5_K:
		return (struct scales_at){0, 2};
	case KERN_Q2_K:
		return (struct scales_at){80, 82};
	case KERN_Q3_K:
		return (struct scales_at){108, -1};
	case KERN_Q6_K:
		return (struct scales_at){208, -1};
	case KERN_MXFP4:
		return (struct scales_at){-1, -1};
	default:
		return (struct scales_at){0, -1};
	}
}

/* set_scales() - of one block; MXFP4 takes the nearest power of two that is no greater */
static inline void set_scales(enum kern_type type, uint8_t *block, float d, float min)
{
	struct scales_at at = scales_at(type);

	/* a nibble of MXFP4 stands for half of what its table has */
	if (type == KERN_MXFP4)
		block[0] = (uint8_t)(ilogbf(d) + 128);
	if (at.d >= 0)
		put_half(block + at.d, d);
	if (at.min >= 0)
		put_half(block + at.min, min);
}

/* scales and minima of a block whose other bytes are random */
static inline void random_scales(uint64_t *rng, enum kern_type type, uint8_t *block)
{
	float d = rng_normal(rng) * 0.01f;

	set_scales(type, block, d ? d : 0.01f, rng_normal(rng) * 0.01f);
}

static inline void random_weights(uint64_t *rng, enum kern_type type, uint8_t *row, uint64_t elems)
{
	const struct kern_type_info *info = kern_type_info(type);

	for (uint64_t i = 0; i < elems / info->block_elems; i++, row += info->block_bytes) {
		float f = rng_normal(rng);
		uint32_t bits = kern_bits_of_float(f);

		if (type == KERN_F32) {
			memcpy(row, &f, sizeof(f));
		} else if (type == KERN_F16) {
			put_half(row, f);
		} else if (type == KERN_BF16) {
			memcpy(row, (uint8_t *)&bits + 2, 2);
		} else {
			for (unsigned int k = 0; k < info->block_bytes; k++)
				row[k] = (uint8_t)rng_next(rng);
			random_scales(rng, type, row);
		}
	}
}

static inline void random_floats(uint64_t *rng, float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = rng_normal(rng);
}

/* whole numbers times a power of two, 127 among each 32: quantising them to 8 bits is exact */
static inline void random_exact(uint64_t *rng, float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float scale = ldexpf(1, (int)(i / 32 * 7 % 5) - 9);
		int q = (int)rng_range(rng, 0, 254) - 127;

		x[i] = scale * (float)(i % 32 == i / 32 % 32 ? (q < 0 ? -127 : 127) : q);
	}
}

/* columns that @type can have */
static inline uint32_t random_cols(uint64_t *rng, enum kern_type type, uint32_t max)
{
	uint32_t unit = kern_type_info(type)->block_elems;

	return rng_range(rng, 1, max / unit) * unit;
}

/* ---- one product ---- */

/** struct product - weights, in rows and perhaps in panels, and activations */
struct product {
	enum kern_type type;
	struct kern_weights w;
	struct kern_weights panels;	/* data: NULL: products are of the rows */
	uint32_t tokens;
	float *x;		/* (tokens, cols) */
	uint8_t *weights;
};

static inline void product_new(struct product *p, uint64_t *rng, enum kern_type type, uint32_t rows,
			       uint32_t cols, uint32_t tokens, bool exact)
{
	size_t row_bytes = kern_row_bytes(kern_type_info(type), cols);

	assert_int_not_equal(row_bytes, 0);
	p->type = type;
	p->tokens = tokens;
	p->panels.data = NULL;
	p->weights = aligned_new(row_bytes * rows + 16);
	/* rows lie where the file has them: any alignment */
	p->w = (struct kern_weights){p->weights + rng_range(rng, 0, 15), row_bytes, rows, cols};
	random_weights(rng, type, (uint8_t *)p->w.data, (uint64_t)rows * cols);
	p->x = aligned_new(sizeof(float) * cols * tokens);
	if (exact)
		random_exact(rng, p->x, (size_t)cols * tokens);
	else
		random_floats(rng, p->x, (size_t)cols * tokens);
}

static inline void product_free(struct product *p)
{
	free((void *)(uintptr_t)p->panels.data);
	free(p->weights);
	free(p->x);
}

/** product_panels() - products are of panels from now on; false if @ops has none of this type */
static inline bool product_panels(struct product *p, const struct kern_ops *ops)
{
	size_t bytes = kern_panel_bytes(p->type, p->w.cols);
	uint32_t count = kern_panel_count(p->w.rows);
	void *data;

	if (!ops->panel[p->type].mul)
		return false;
	data = aligned_new(bytes * count);
	kern_panel_pack(p->type, data, &p->w, 0, count);
	p->panels = (struct kern_weights){data, bytes / KERN_PANEL_ROWS, p->w.rows, p->w.cols};
	return true;
}

/** product_weights() - what product_matmul() takes */
static inline const struct kern_weights *product_weights(const struct product *p)
{
	return p->panels.data ? &p->panels : &p->w;
}

static inline const struct kern_matmul *product_matmul(const struct product *p,
							const struct kern_ops *ops)
{
	return p->panels.data ? &ops->panel[p->type] : &ops->matmul[p->type];
}

static inline size_t product_stride(const struct product *p, const struct kern_ops *ops)
{
	return product_matmul(p, ops)->act_bytes(p->w.cols);
}

static inline uint8_t *product_pack(const struct product *p, const struct kern_ops *ops)
{
	size_t stride = product_stride(p, ops);
	uint8_t *act = aligned_new(stride * p->tokens);

	assert_int_equal(stride % KERN_ALIGN, 0);
	for (uint32_t t = 0; t < p->tokens; t++)
		product_matmul(p, ops)->pack(act + t * stride, p->x + (size_t)t * p->w.cols,
					     p->w.cols);
	return act;
}

/** product_mul() - all of y (tokens, rows), to be freed */
static inline float *product_mul(const struct product *p, const struct kern_ops *ops)
{
	uint8_t *act = product_pack(p, ops);
	float *y = aligned_new(sizeof(float) * p->tokens * p->w.rows);

	product_matmul(p, ops)->mul(product_weights(p), 0, p->w.rows, act, product_stride(p, ops),
				    p->tokens, y, p->w.rows);
	free(act);
	return y;
}

/* ---- error ---- */

/** nmse() - |x - ref|^2 / |ref|^2 */
static inline double nmse(const float *x, const float *ref, size_t n)
{
	double error = 0, norm = 0;

	for (size_t i = 0; i < n; i++) {
		double d = (double)x[i] - ref[i];

		error += d * d;
		norm += (double)ref[i] * ref[i];
	}
	return error == 0 ? 0 : error / norm;
}

/*
 * What the error of a product is measured against: one that happens to cancel is no smaller than
 * its terms make it, the root of the sum of their squares.
 */
static inline double product_scale_squared(const struct product *p, const float *truth)
{
	float *row = aligned_new(p->w.cols * sizeof(float));
	double sum = 0;

	for (uint32_t r = 0; r < p->w.rows; r++) {
		const uint8_t *data = (const uint8_t *)p->w.data + r * p->w.row_bytes;

		kern_ops_get("ref")->dequant_row[p->type](row, data, p->w.cols);
		for (uint32_t t = 0; t < p->tokens; t++) {
			const float *x = p->x + (size_t)t * p->w.cols;
			double y = truth[(size_t)t * p->w.rows + r], terms = 0;

			for (uint32_t c = 0; c < p->w.cols; c++)
				terms += (double)row[c] * row[c] * x[c] * x[c];
			sum += fmax(y * y, terms);
		}
	}
	free(row);
	return sum;
}

/** product_error() - |y - truth|^2 over what product_scale_squared() says; both (tokens, rows) */
static inline double product_error(const struct product *p, const float *y, const float *truth)
{
	double error = 0;

	for (size_t i = 0; i < (size_t)p->tokens * p->w.rows; i++)
		error += ((double)y[i] - truth[i]) * ((double)y[i] - truth[i]);
	return error == 0 ? 0 : error / product_scale_squared(p, truth);
}

#define assert_nmse(x, ref, n, limit)                                                              \
	do {                                                                                       \
		double _nmse = nmse(x, ref, n);                                                    \
		if (!(_nmse <= (limit)))                                                           \
			fail_msg("NMSE %g is above %g", _nmse, (double)(limit));                   \
	} while (0)

/* ---- tests of one table ---- */

/** kern_test_ops() - the table, or this test is skipped with the reason */
static inline const struct kern_ops *kern_test_ops(const char *isa)
{
	const struct kern_ops *ops = kern_ops_get(isa);

	if (!ops) {
		fprintf(stderr, "# SKIP: this machine has no %s\n", isa);
		skip();
	}
	return ops;
}

#define KERN_TEST(function, isa)                                                                   \
	{                                                                                          \
		#function "_" isa, function, NULL, NULL, (void *)(uintptr_t)isa                    \
	}
#define KERN_TESTS(function)                                                                       \
	KERN_TEST(function, "avx2"), KERN_TEST(function, "avx512"),                                \
		KERN_TEST(function, "avx512vnni"), KERN_TEST(function, "avx512bf16"),              \
		KERN_TEST(function, "amx"), KERN_TEST(function, "amx-emulated")

/**
 * kern_test_parts() - in how many BF16 a table multiplies activations of a float type
 *
 * 0: in none, they stay float32. Such products have an order and a tolerance of their own.
 */
static inline int kern_test_parts(const struct kern_ops *ops, enum kern_type type)
{
	if (!strncmp(ops->name, "amx", 3))
		return type == KERN_BF16 || type == KERN_F16 ? 2 : 0;
	return !strcmp(ops->name, "avx512bf16") && type == KERN_BF16 ? 1 : 0;
}

/** kern_test_elsewhere() - products of this type are another table's, which is tested as well */
static inline bool kern_test_elsewhere(const struct kern_ops *ops, enum kern_type type)
{
	return !strcmp(ops->name, "amx-emulated") && !kern_test_parts(ops, type) &&
	       !ops->panel[type].mul;
}

#endif /* LLMOS_TESTS_KERN_TEST_H */
