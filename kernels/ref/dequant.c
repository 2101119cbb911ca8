// SPDX-License-Identifier: MIT
/*
 * What the bytes of each weight type mean, exactly: every value of every type here is a double
 * without rounding. The layouts are those of the GGUF format: the blocks of 32 have one scale d
 * (and one minimum m); the K types and IQ4_XS have superblocks of 256 with scales of 4 to 8 bits in
 * them. The nibbles of the last three types number the entries of a table.
 */
#include "kernels/half.h"
#include "kernels/ref/ref.h"
#include "kernels/tables.h"

static double load_half(const uint8_t *p)
{
	return kern_half_to_float(kern_load_u16(p));
}

static void decode_f32(double *y, const uint8_t *block)
{
	float f;

	memcpy(&f, block, sizeof(f));
	*y = f;
}

static void decode_f16(double *y, const uint8_t *block)
{
	*y = load_half(block);
}

static void decode_bf16(double *y, const uint8_t *block)
{
	*y = kern_bf16_to_float(kern_load_u16(block));
}

/* d, 32 int8 */
static void decode_q8_0(double *y, const uint8_t *block)
{
	double d = load_half(block);

	for (int i = 0; i < 32; i++)
		y[i] = d * (int8_t)block[2 + i];
}

/* 16 bytes: element i in the low nibble of byte i, element i + 16 in its high nibble */
static int nibble(const uint8_t *quants, int i)
{
	return i < 16 ? quants[i] & 0xf : quants[i - 16] >> 4;
}

/* the fifth bits: bit i of 32 belongs to element i */
static int fifth_bit(const uint8_t *bits, int i)
{
	return (bits[i / 8] >> i % 8 & 1) << 4;
}

/* d, nibbles */
static void decode_q4_0(double *y, const uint8_t *block)
{
	double d = load_half(block);

	for (int i = 0; i < 32; i++)
		y[i] = d * (nibble(block + 2, i) - 8);
}

/* d, m, nibbles */
static void decode_q4_1(double *y, const uint8_t *block)
{
	double d = load_half(block), m = load_half(block + 2);

	for (int i = 0; i < 32; i++)
		y[i] = d * nibble(block + 4, i) + m;
}

/* d, fifth bits, nibbles */
static void decode_q5_0(double *y, const uint8_t *block)
{
	double d = load_half(block);

	for (int i = 0; i < 32; i++)
		y[i] = d * ((nibble(block + 6, i) | fifth_bit(block + 2, i)) - 16);
}

/* d, m, fifth bits, nibbles */
static void decode_q5_1(double *y, const uint8_t *block)
{
	double d = load_half(block), m = load_half(block + 2);

	for (int i = 0; i < 32; i++)
		y[i] = d * (nibble(block + 8, i) | fifth_bit(block + 4, i)) + m;
}

/* 12 bytes hold 8 scales and 8 minima of 6 bits; the last four of each are split */
static void scale_min_k(const uint8_t *s, int b, int *ret_scale, int *ret_min)
{
	if (b < 4) {
		*ret_scale = s[b] & 63;
		*ret_min = s[b + 4] & 63;
	} else {
		*ret_scale = (s[b + 4] & 0xf) | s[b - 4] >> 6 << 4;
		*ret_min = s[b + 4] >> 4 | s[b] >> 6 << 4;
	}
}

/* of block b of 8: blocks 2c and 2c + 1 are the low and high nibbles of 32 bytes */
static int nibble_k(const uint8_t *quants, int b, int i)
{
	return quants[b / 2 * 32 + i] >> b % 2 * 4 & 0xf;
}

/* element e of 256 in 64 bytes of bit pairs: each half of 128 has 32 bytes, its block b the pair b */
static int bit_pair(const uint8_t *quants, int e)
{
	return quants[e / 128 * 32 + e % 32] >> e % 128 / 32 * 2 & 3;
}

/* a byte for each 16 elements (scale, minimum), bit pairs, d, dmin */
static void decode_q2_k(double *y, const uint8_t *block)
{
	double d = load_half(block + 80), dmin = load_half(block + 82);

	for (int e = 0; e < 256; e++) {
		int scale = block[e / 16] & 0xf, min = block[e / 16] >> 4;

		y[e] = d * scale * bit_pair(block + 16, e) - dmin * min;
	}
}

/* scale s of 16: its low four bits are nibbles of 8 bytes, its high two bit pairs of 4 more */
static int scale_q3_k(const uint8_t *scales, int s)
{
	int low = scales[s % 8] >> s / 8 * 4 & 0xf, high = scales[8 + s % 4] >> s / 4 * 2 & 3;

	return (low | high << 4) - 32;
}

/* third bits (bit b of byte i: element i of block b of 8), bit pairs, scales, d */
static void decode_q3_k(double *y, const uint8_t *block)
{
	double d = load_half(block + 108);

	for (int e = 0; e < 256; e++) {
		int high = (block[e % 32] >> e / 32 & 1) << 2;

		y[e] = d * scale_q3_k(block + 96, e / 16) *
		       ((bit_pair(block + 32, e) | high) - 4);
	}
}

/* d, dmin, scales, nibbles */
static void decode_q4_k(double *y, const uint8_t *block)
{
	double d = load_half(block), dmin = load_half(block + 2);

	for (int b = 0; b < 8; b++) {
		int scale, min;

		scale_min_k(block + 4, b, &scale, &min);
		for (int i = 0; i < 32; i++)
			y[b * 32 + i] = d * scale * nibble_k(block + 16, b, i) - dmin * min;
	}
}

/* d, dmin, scales, fifth bits (bit b of byte i: element i of block b), nibbles */
static void decode_q5_k(double *y, const uint8_t *block)
{
	double d = load_half(block), dmin = load_half(block + 2);

	for (int b = 0; b < 8; b++) {
		int scale, min;

		scale_min_k(block + 4, b, &scale, &min);
		for (int i = 0; i < 32; i++) {
			int high = (block[16 + i] >> b & 1) << 4;

			y[b * 32 + i] =
				d * scale * (nibble_k(block + 48, b, i) | high) - dmin * min;
		}
	}
}

/*
 * 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales of 16 elements each, d. Each half
 * of 128 elements has its own 64 + 32 bytes; block b of its four: bytes 32 * (b % 2) + i, the low
 * nibbles for b < 2; pair b of byte i.
 */
static void decode_q6_k(double *y, const uint8_t *block)
{
	double d = load_half(block + 208);

	for (int e = 0; e < 256; e++) {
		int half = e / 128, b = e % 128 / 32, i = e % 32;
		int low = block[half * 64 + b % 2 * 32 + i] >> b / 2 * 4 & 0xf;
		int high = block[128 + half * 32 + i] >> b * 2 & 3;

		y[e] = d * (int8_t)block[192 + e / 16] * ((low | high << 4) - 32);
	}
}

/* d, nibbles */
static void decode_iq4_nl(double *y, const uint8_t *block)
{
	double d = load_half(block);

	for (int i = 0; i < 32; i++)
		y[i] = d * kern_table_iq4[nibble(block + 2, i)];
}

/*
 * d, 8 bit pairs, 8 nibbles, nibbles: block b of 8 has a scale of 6 bits, the high two of them pair
 * b, and 16 bytes of nibbles.
 */
static void decode_iq4_xs(double *y, const uint8_t *block)
{
	double d = load_half(block);

	for (int b = 0; b < 8; b++) {
		int low = block[4 + b / 2] >> b % 2 * 4 & 0xf;
		int high = block[2 + b / 4] >> b % 4 * 2 & 3;

		for (int i = 0; i < 32; i++)
			y[b * 32 + i] = d * ((low | high << 4) - 32) *
					kern_table_iq4[nibble(block + 8 + b * 16, i)];
	}
}

/* an exponent, nibbles; the table has twice the values that the nibbles stand for */
static void decode_mxfp4(double *y, const uint8_t *block)
{
	double d = kern_exponent_to_float(block[0]);

	for (int i = 0; i < 32; i++)
		y[i] = d * kern_table_mxfp4[nibble(block + 1, i)];
}

static void dequant_row(const struct kern_block *type, float *y, const uint8_t *row, uint32_t cols)
{
	double values[KERN_BLOCK_ELEMS_MAX];

	for (uint32_t c = 0; c + type->elems <= cols; c += type->elems) {
		type->decode(values, row);
		row += type->bytes;
		for (uint32_t i = 0; i < type->elems; i++)
			y[c + i] = (float)values[i];
	}
}

#define DEFINE_TYPE(lower, block_elems, block_bytes)                                               \
	const struct kern_block kern_block_##lower = {                                             \
		.elems = block_elems,                                                              \
		.bytes = block_bytes,                                                              \
		.decode = decode_##lower,                                                          \
	};                                                                                         \
	void kern_dequant_row_##lower(float *y, const void *row, uint32_t cols)                    \
	{                                                                                          \
		dequant_row(&kern_block_##lower, y, row, cols);                                    \
	}

DEFINE_TYPE(f32, 1, 4)
DEFINE_TYPE(f16, 1, 2)
DEFINE_TYPE(bf16, 1, 2)
DEFINE_TYPE(q8_0, 32, 34)
DEFINE_TYPE(q4_0, 32, 18)
DEFINE_TYPE(q4_1, 32, 20)
DEFINE_TYPE(q5_0, 32, 22)
DEFINE_TYPE(q5_1, 32, 24)
DEFINE_TYPE(q2_k, 256, 84)
DEFINE_TYPE(q3_k, 256, 110)
DEFINE_TYPE(q4_k, 256, 144)
DEFINE_TYPE(q5_k, 256, 176)
DEFINE_TYPE(q6_k, 256, 210)
DEFINE_TYPE(iq4_nl, 32, 18)
DEFINE_TYPE(iq4_xs, 256, 136)
DEFINE_TYPE(mxfp4, 32, 17)
