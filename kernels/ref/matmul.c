// SPDX-License-Identifier: MIT
/*
 * Matrix times vectors, the truth: exact weights, activations as they are, one sum in double from
 * the first column to the last.
 */
#include <string.h>

#include "kernels/ref/ref.h"

size_t kern_act_bytes_ref(uint32_t cols)
{
	return ((size_t)cols * sizeof(float) + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

void kern_act_pack_ref(void *act, const float *x, uint32_t cols)
{
	memcpy(act, x, (size_t)cols * sizeof(float));
}

static float dot(const struct kern_block *type, const uint8_t *row, const float *x, uint32_t cols)
{
	double values[KERN_BLOCK_ELEMS_MAX];
	double sum = 0;

	for (uint32_t c = 0; c + type->elems <= cols; c += type->elems) {
		type->decode(values, row);
		row += type->bytes;
		for (uint32_t i = 0; i < type->elems; i++)
			sum += values[i] * x[c + i];
	}
	return (float)sum;
}

static void mul(const struct kern_block *type, const struct kern_weights *w, uint32_t row_begin,
		uint32_t row_end, const uint8_t *act, size_t act_stride, uint32_t tokens, float *y,
		size_t y_stride)
{
	for (uint32_t r = row_begin; r < row_end; r++) {
		const uint8_t *row = (const uint8_t *)w->data + r * w->row_bytes;

		for (uint32_t t = 0; t < tokens; t++)
			y[t * y_stride + r] = dot(
				type, row, (const float *)(act + t * act_stride), w->cols);
	}
}

#define DEFINE_MUL(lower, upper)                                                                   \
	void kern_mul_##lower##_ref(const struct kern_weights *w, uint32_t row_begin,              \
				    uint32_t row_end, const void *act, size_t act_stride,          \
				    uint32_t tokens, float *y, size_t y_stride)                    \
	{                                                                                          \
		mul(&kern_block_##lower, w, row_begin, row_end, act, act_stride, tokens, y,        \
		    y_stride);                                                                     \
	}
kern_for_each_type(DEFINE_MUL)
