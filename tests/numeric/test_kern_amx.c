/* SPDX-License-Identifier: MIT */
/*
 * The emulated tiles themselves, against a second reading of the manual that is slower and knows no
 * MXCSR; and that the kernels on tiles use them, and give them back.
 */
#include <float.h>

#include "kern_test.h"

#include "tests/numeric/amx/emulator.h"

#define ROUNDS	200

static uint64_t seed;

/** struct shapes - of c, a and b in tiles 0, 1 and 2 */
struct shapes {
	uint32_t m, n, k;	/* k and n in dwords */
};

struct operands {
	uint32_t c[AMX_ROWS][16], a[AMX_ROWS][16], b[AMX_ROWS][16];
};

static void configure(const struct shapes *s)
{
	struct amx_config config = {.palette = AMX_PALETTE};

	config.rows[0] = (uint8_t)s->m;
	config.rows[1] = (uint8_t)s->m;
	config.rows[2] = (uint8_t)s->k;
	config.row_bytes[0] = (uint16_t)(4 * s->n);
	config.row_bytes[1] = (uint16_t)(4 * s->k);
	config.row_bytes[2] = (uint16_t)(4 * s->n);
	amx_configure(&config);
}

static struct shapes random_shapes(uint64_t *rng)
{
	return (struct shapes){rng_range(rng, 1, 16), rng_range(rng, 1, 16), rng_range(rng, 1, 16)};
}

/* what the instruction leaves of @o->c, read back with all 16 columns of what is behind it */
static void run(const struct shapes *s, const struct operands *o, uint32_t c[AMX_ROWS][16],
		void (*dot)(int c, int a, int b))
{
	configure(s);
	amx_load(0, o->c, AMX_ROW_BYTES);
	amx_load(1, o->a, AMX_ROW_BYTES);
	amx_load(2, o->b, AMX_ROW_BYTES);
	dot(0, 1, 2);
	amx_store(0, c, AMX_ROW_BYTES);
	amx_release();
}

/* ---- floats ---- */

static float flushed(float f)
{
	return fabsf(f) < FLT_MIN ? copysignf(0, f) : f;
}

/* without FMA and MXCSR of the processor: the C library's, and zeros put in by hand */
static float oracle_fma(float a, float b, float c)
{
	return flushed(fmaf(flushed(a), flushed(b), flushed(c)));
}

static float bf16_at(uint32_t pair, int odd)
{
	return kern_bf16_to_float((uint16_t)(pair >> 16 * odd));
}

static float oracle_bf16(const struct shapes *s, const struct operands *o, uint32_t m, uint32_t n)
{
	float sums[2] = {0, 0}, both, c;

	for (uint32_t k = 0; k < s->k; k++)
		for (int odd = 0; odd < 2; odd++)
			sums[odd] = oracle_fma(bf16_at(o->a[m][k], odd), bf16_at(o->b[k][n], odd),
					       sums[odd]);
	both = flushed(sums[0] + sums[1]);
	memcpy(&c, &o->c[m][n], sizeof(c));
	return flushed(flushed(c) + both);
}

/* numbers of a few magnitudes, so that sums round, cancel and become subnormal */
static uint32_t random_bf16_pair(uint64_t *rng, int exponent)
{
	uint32_t pair = 0;

	for (int odd = 0; odd < 2; odd++) {
		float f = ldexpf(rng_normal(rng), exponent - (int)rng_range(rng, 0, 12));

		pair |= kern_bits_of_float(f) >> 16 << 16 * odd;
	}
	return pair;
}

static void random_operands(struct operands *o, uint64_t *rng, int exponent)
{
	for (uint32_t i = 0; i < AMX_ROWS; i++) {
		for (uint32_t j = 0; j < 16; j++) {
			o->a[i][j] = random_bf16_pair(rng, exponent);
			o->b[i][j] = random_bf16_pair(rng, exponent);
			o->c[i][j] = kern_bits_of_float(
				ldexpf(rng_normal(rng), 2 * exponent + (int)rng_range(rng, 0, 3)));
		}
	}
}

static void check_bf16(const struct shapes *s, const struct operands *o)
{
	uint32_t c[AMX_ROWS][16];

	memset(c, 0xa5, sizeof(c));
	run(s, o, c, amx_emulate_dot_bf16);
	for (uint32_t m = 0; m < AMX_ROWS; m++) {
		for (uint32_t n = 0; n < 16; n++) {
			uint32_t want = 0xa5a5a5a5;

			if (m < s->m && n < s->n)
				want = kern_bits_of_float(oracle_bf16(s, o, m, n));
			if (c[m][n] != want)
				fail_msg("%ux%ux%u: c[%u][%u] is %08x, not %08x", s->m, s->n, s->k,
					 m, n, c[m][n], want);
		}
	}
}

static void test_bf16(void **state)
{
	/* products of the last ones are about the least normal number, 2^-126 */
	static const int exponents[] = {0, 20, -40, -58, -62};
	uint64_t rng = seed;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct shapes s = random_shapes(&rng);
		struct operands o;

		random_operands(&o, &rng, exponents[round % (int)COUNT(exponents)]);
		check_bf16(&s, &o);
	}
}

static uint32_t pair(float even, float odd)
{
	return kern_bits_of_float(even) >> 16 | (kern_bits_of_float(odd) & 0xffff0000);
}

/* one row, one column: c plus the products of pairs */
static float one_bf16(float c, const uint32_t *a, const uint32_t *b, uint32_t k)
{
	const struct shapes s = {1, 1, k};
	uint32_t out[AMX_ROWS][16];
	struct operands o = {0};
	float y;

	o.c[0][0] = kern_bits_of_float(c);
	for (uint32_t i = 0; i < k; i++) {
		o.a[0][i] = a[i];
		o.b[i][0] = b[i];
	}
	run(&s, &o, out, amx_emulate_dot_bf16);
	memcpy(&y, &out[0][0], sizeof(y));
	return y;
}

/* where the order of additions shows, by hand */
static void test_order(void **state)
{
	const uint32_t ones[] = {pair(1, 1), pair(1, 1), pair(1, 1)};
	const uint32_t apart[] = {pair(0x1p24f, 1), pair(-0x1p24f, 1)};
	const uint32_t chain[] = {pair(0x1p24f, 0), pair(1, 0), pair(-0x1p24f, 0)};
	const uint32_t halves[] = {pair(0x1p24f, 1)};
	const uint32_t subnormal[] = {0x00010001}, least[] = {pair(0x1p-126f, 0)};
	const uint32_t half[] = {pair(0.5f, 0)}, both[] = {pair(0x1p-126f, -0x1.8p-126f)};

	(void)state;
	/* the even ones cancel before the odd ones come to them */
	assert_true(one_bf16(0, apart, ones, 2) == 2);
	/* but in their own sum 1 is lost */
	assert_true(one_bf16(0, chain, ones, 3) == 0);
	/* c comes last: 2^24 + 1 is rounded, then 1 is added, and rounded again */
	assert_true(one_bf16(1, halves, ones, 1) == 0x1p24f);
	assert_true(one_bf16(2, halves, ones, 1) == 0x1p24f + 2);
	/* subnormal numbers are zero: those that come in, products, sums, and c */
	assert_true(one_bf16(0, subnormal, ones, 1) == 0);
	assert_true(one_bf16(0, least, half, 1) == 0);
	assert_true(one_bf16(0, both, ones, 1) == 0);
	assert_true(one_bf16(0x1p-127f, least, ones, 1) == 0x1p-126f);
	assert_true(isnan(one_bf16(0, (uint32_t[]){pair(INFINITY, 0)}, (uint32_t[]){0}, 1)));
}

/* ---- integers ---- */

static uint32_t oracle_int8(const struct shapes *s, const struct operands *o, uint32_t m,
			    uint32_t n, bool unsigned_b)
{
	int64_t sum = (int32_t)o->c[m][n];

	for (uint32_t k = 0; k < s->k; k++) {
		for (int i = 0; i < 4; i++) {
			int a = (int8_t)(o->a[m][k] >> 8 * i);
			int b = (int)(o->b[k][n] >> 8 * i & 0xff);

			sum += a * (unsigned_b || b < 128 ? b : b - 256);
		}
	}
	return (uint32_t)sum;
}

static void test_int8(void **state)
{
	uint64_t rng = seed + 1;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		const bool unsigned_b = round % 2;
		struct shapes s = random_shapes(&rng);
		uint32_t c[AMX_ROWS][16];
		struct operands o;

		for (size_t i = 0; i < sizeof(o) / 4; i++)
			((uint32_t *)&o)[i] = (uint32_t)rng_next(&rng);
		run(&s, &o, c, unsigned_b ? amx_emulate_dot_s8u8 : amx_emulate_dot_s8);
		for (uint32_t m = 0; m < s.m; m++)
			for (uint32_t n = 0; n < s.n; n++)
				assert_int_equal(c[m][n], oracle_int8(&s, &o, m, n, unsigned_b));
	}
}

/* ---- shapes ---- */

static void test_configurations(void **state)
{
	struct amx_config good = {.palette = AMX_PALETTE}, bad;

	(void)state;
	for (int i = 0; i < 6; i++) {
		good.rows[i] = 16;
		good.row_bytes[i] = 64;
	}
	assert_null(amx_emulator_config_error(&good));
#define BAD(change)                                                                                \
	do {                                                                                       \
		bad = good;                                                                        \
		bad.change;                                                                        \
		assert_non_null(amx_emulator_config_error(&bad));                                  \
	} while (0)
	BAD(palette = 2);
	BAD(rows[0] = 17);
	BAD(row_bytes[3] = 65);
	BAD(rows[5] = 0);
	BAD(row_bytes[5] = 0);
	BAD(rows[6] = 1);
	BAD(reserved[0] = 1);
	BAD(reserved_row_bytes[7] = 1);
	BAD(reserved_rows[7] = 1);
#undef BAD
}

static void test_multiplications_that_fault(void **state)
{
	struct amx_config c = {
		.palette = AMX_PALETTE,
		.rows = {4, 4, 3, 5, 3, 0, 4},
		.row_bytes = {8, 12, 8, 12, 12, 0, 6},
	};

	(void)state;
	assert_non_null(amx_emulator_dot_error(0, 1, 2));
	amx_configure(&c);
	assert_null(amx_emulator_dot_error(0, 1, 2));
	assert_non_null(amx_emulator_dot_error(0, 1, 1));
	assert_non_null(amx_emulator_dot_error(0, 0, 2));
	assert_non_null(amx_emulator_dot_error(0, 3, 2));	/* rows */
	assert_non_null(amx_emulator_dot_error(0, 1, 4));	/* columns */
	assert_non_null(amx_emulator_dot_error(0, 1, 5));	/* not configured */
	assert_non_null(amx_emulator_dot_error(6, 1, 2));	/* half an element */
	assert_non_null(amx_emulator_dot_error(0, 1, 8));
	amx_release();
}

/* a load clears what its rows and columns leave of the tile, a configuration clears all of it */
static void test_moves(void **state)
{
	struct shapes s = {3, 5, 2};
	uint8_t in[AMX_ROWS * 70], out[AMX_ROWS * 64];

	(void)state;
	memset(in, 7, sizeof(in));
	configure(&s);
	assert_true(amx_emulator_in_use());
	amx_load(0, in, 70);
	memset(out, 1, sizeof(out));
	amx_store(0, out, 20);
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], i < 60 ? 7 : 1);
	configure(&s);
	amx_store(0, out, 20);
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(out[i], 0);
	amx_load(0, in, 70);
	amx_zero(0);
	amx_store(0, out, 20);
	assert_int_equal(out[0], 0);
	amx_release();
	assert_false(amx_emulator_in_use());
}

/* ---- kernels ---- */

/* products do go through tiles, of one token and of many, and leave none in use */
static void test_kernels(void **state)
{
	static const enum kern_type types[] = {KERN_BF16, KERN_F16};
	const struct kern_ops *ops = kern_test_ops("amx-emulated");
	uint64_t rng = seed + 2;

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		for (uint32_t tokens = 1; tokens <= 33; tokens += 16) {
			unsigned long dots = amx_emulator_dots(), steps = 96 / 32;
			unsigned long products = types[i] == KERN_F16 ? 3 : 2;
			struct product p;

			product_new(&p, &rng, types[i], 40, 96, tokens, false);
			free(product_mul(&p, ops));
			/* 40 rows are three tiles */
			assert_int_equal(amx_emulator_dots() - dots,
					 steps * products * 3 * ((tokens + 15) / 16));
			assert_false(amx_emulator_in_use());
			product_free(&p);
		}
	}
}

/* whether the halves of a block have scales of their own, and so tiles */
static bool has_halves(enum kern_type type)
{
	return type == KERN_Q2_K || type == KERN_Q3_K || type == KERN_Q6_K;
}

/* whole tiles of tokens do, the rest is left to vectors; a superblock is eight blocks */
static void test_panels(void **state)
{
	const struct kern_ops *ops = kern_test_ops("amx-emulated");
	uint64_t rng = seed + 3;

	(void)state;
	for (size_t i = 0; i < COUNT(kern_test_types); i++) {
		enum kern_type type = kern_test_types[i];
		unsigned long halves = has_halves(type) ? 2 : 1;

		for (uint32_t tokens = 15; tokens <= 33; tokens += 9) {
			unsigned long dots = amx_emulator_dots();
			struct product p;

			product_new(&p, &rng, type, 40, 512, tokens, false);
			if (product_panels(&p, ops)) {
				free(product_mul(&p, ops));
				assert_int_equal(amx_emulator_dots() - dots,
						 16 * halves * 3 * (tokens / 16));
				assert_false(amx_emulator_in_use());
			}
			product_free(&p);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bf16),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_int8),
		cmocka_unit_test(test_configurations),
		cmocka_unit_test(test_multiplications_that_fault),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_panels),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
