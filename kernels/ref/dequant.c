// SPDX-License-Identifier: MIT
/*
 * What the bytes of each weight type mean, exactly: every value of every type here is a double
 * without rounding. The layouts are those of the GGUF format: the blocks of 32 have one scale d
 * (and one minimum m); the K types have superblocks of 256 with 6-bit or 8-bit scales in them.
 */
#include "kernels/half.h"
#include "kernels/ref/ref.h"

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
DEFINE_TYPE(q4_k, 256, 144)
DEFINE_TYPE(q5_k, 256, 176)
DEFINE_TYPE(q6_k, 256, 210)
