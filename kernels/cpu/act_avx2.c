// SPDX-License-Identifier: MIT
/*
 * Activations for matrix products: packed as act8, in plain order for panels, or kept as float32
 * and filled up with zeros.
 */
#include "kernels/cpu/quantize_avx2.h"

size_t kern_act_q8_bytes_avx2(uint32_t cols)
{
	return ((size_t)cols + 255) / 256 * sizeof(struct act8);
}

static void put_block(struct act8 *a, int lane, const struct quant_block *b)
{
	int32_t q[8];

	_mm256_storeu_si256((__m256i *)q, b->q);
	for (int j = 0; j < 8; j++)
		memcpy(&a->q[j][lane * 4], &q[j], sizeof(q[j]));
	a->d[lane] = b->d;
	a->s[lane] = b->d * (float)(b->sum_low + b->sum_high);
	a->neg[lane] = -(b->sum_low + b->sum_high);
	a->neg_halves[lane][0] = (int16_t)-b->sum_low;
	a->neg_halves[lane][1] = (int16_t)-b->sum_high;
}

void kern_act_q8_pack_avx2(void *act, const float *x, uint32_t cols)
{
	uint32_t blocks = cols / 32;
	struct act8 *a = act;

	for (uint32_t c = 0; c < blocks; c += 8, a++) {
		uint32_t count = blocks - c < 8 ? blocks - c : 8;
		struct quant_block b;

		if (count < 8)
			memset(a, 0, sizeof(*a));
		for (uint32_t i = 0; i < count; i++, x += 32) {
			quantize_block(&b, x);
			put_block(a, (int)i, &b);
		}
	}
}

size_t kern_act_plain_bytes_avx2(uint32_t cols)
{
	return ((size_t)cols + 255) / 256 * sizeof(struct act_plain);
}

static void put_plain(struct act_plain *a, int lane, const struct quant_block *b)
{
	_mm256_storeu_si256((__m256i *)(a->q + 32 * lane), b->q);
	a->d[lane] = b->d;
	a->s[lane] = b->d * (float)(b->sum_low + b->sum_high);
	a->neg[lane] = -(b->sum_low + b->sum_high);
	a->neg_halves[lane][0] = (int16_t)-b->sum_low;
	a->neg_halves[lane][1] = (int16_t)-b->sum_high;
}

void kern_act_plain_pack_avx2(void *act, const float *x, uint32_t cols)
{
	uint32_t blocks = cols / 32;
	struct act_plain *a = act;

	for (uint32_t c = 0; c < blocks; c += 8, a++) {
		uint32_t count = blocks - c < 8 ? blocks - c : 8;
		struct quant_block b;

		if (count < 8)
			memset(a, 0, sizeof(*a));
		for (uint32_t i = 0; i < count; i++, x += 32) {
			quantize_block(&b, x);
			put_plain(a, (int)i, &b);
		}
	}
}

size_t kern_act_float_bytes_avx2(uint32_t cols)
{
	return ((size_t)cols + 15) / 16 * 16 * sizeof(float);
}

void kern_act_float_pack_avx2(void *act, const float *x, uint32_t cols)
{
	memset((float *)act + cols / 16 * 16, 0,
	       kern_act_float_bytes_avx2(cols) - cols / 16 * 16 * sizeof(float));
	memcpy(act, x, cols * sizeof(float));
}
