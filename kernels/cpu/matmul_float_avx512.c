// SPDX-License-Identifier: MIT
/*
 * Matrix products of F32, F16 and BF16 weights with float32 activations: a tile of rows and tokens
 * keeps 16 lanes for each pair of them in registers.
 */
#include "kernels/cpu/simd_avx512.h"

#define TILE_ROWS	4	/* at most */
#define TILE_TOKENS	6
#define FEW_TOKENS	3
#define BLOCK_BYTES	131072	/* weights that stay in the second-level cache */

/* sixteen weights, of which those in @mask are there */
KERN_INLINE __m512 load_weights(enum kern_type type, const uint8_t *row, size_t i, __mmask16 mask)
{
	__m256i half;

	if (type == KERN_F32)
		return _mm512_maskz_loadu_ps(mask, row + 4 * i);
	half = _mm256_maskz_loadu_epi16(mask, row + 2 * i);
	if (type == KERN_F16)
		return _mm512_cvtph_ps(half);
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

KERN_INLINE void tile_step(enum kern_type type, const uint8_t *w, size_t row_bytes, uint32_t i,
			   __mmask16 mask, const uint8_t *act, size_t act_stride,
			   __m512 acc[][TILE_TOKENS], int rows, int tokens)
{
	__m512 v[TILE_ROWS];

	for (int r = 0; r < rows; r++)
		v[r] = load_weights(type, w + r * row_bytes, i, mask);
	for (int t = 0; t < tokens; t++) {
		__m512 x = _mm512_load_ps(act + t * act_stride + i * sizeof(float));

		for (int r = 0; r < rows; r++)
			acc[r][t] = _mm512_fmadd_ps(v[r], x, acc[r][t]);
	}
}

/* sums of @rows rows (bytes apart; TILE_ROWS or 1) and @tokens tokens, both constants */
KERN_INLINE void tile(enum kern_type type, const uint8_t *w, size_t row_bytes, uint32_t cols,
		      const uint8_t *act, size_t act_stride, float *y, size_t y_stride, int rows,
		      int tokens)
{
	__m512 acc[TILE_ROWS][TILE_TOKENS];
	uint32_t i = 0;

	for (int r = 0; r < rows; r++)
		for (int t = 0; t < tokens; t++)
			acc[r][t] = _mm512_setzero_ps();
	for (; i + 16 <= cols; i += 16)
		tile_step(type, w, row_bytes, i, 0xffff, act, act_stride, acc, rows, tokens);
	if (i < cols)
		tile_step(type, w, row_bytes, i, (__mmask16)low_mask(cols - i), act, act_stride,
			  acc, rows, tokens);
	for (int t = 0; t < tokens; t++, y += y_stride) {
		for (int r = 0; r + 4 <= rows; r += 4) {
			__m512 v[4] = {acc[r][t], acc[r + 1][t], acc[r + 2][t], acc[r + 3][t]};

			_mm_storeu_ps(y + r, reduce16_4(v));
		}
		if (rows == 1)
			*y = reduce8(_mm512_castps512_ps256(fold8_512(acc[0][t], acc[0][t])));
	}
}

/* lanes of one row and one token: the row is a stream, which the processor sees coming */
KERN_INLINE __m512 row_lanes(enum kern_type type, const uint8_t *row, uint32_t cols,
			     const uint8_t *act)
{
	__m512 acc = _mm512_setzero_ps();
	uint32_t i = 0;

	for (; i + 16 <= cols; i += 16) {
		if (type != KERN_F32 && i % 32 == 0)
			kern_prefetch(row + 2 * i, 64);
		acc = _mm512_fmadd_ps(load_weights(type, row, i, 0xffff),
				      _mm512_load_ps(act + i * sizeof(float)), acc);
	}
	if (i < cols)
		acc = _mm512_fmadd_ps(
			load_weights(type, row, i, (__mmask16)low_mask(cols - i)),
			_mm512_load_ps(act + i * sizeof(float)), acc);
	return acc;
}

KERN_INLINE void mul_token(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			   uint32_t end, const uint8_t *act, float *y)
{
	const uint8_t *row = (const uint8_t *)w->data + begin * w->row_bytes;
	uint32_t r = begin;

	for (; r + 4 <= end; r += 4) {
		__m512 lanes[4];

		for (int i = 0; i < 4; i++, row += w->row_bytes)
			lanes[i] = row_lanes(type, row, w->cols, act);
		_mm_storeu_ps(y + r, reduce16_4(lanes));
	}
	for (; r < end; r++, row += w->row_bytes) {
		__m512 lanes = row_lanes(type, row, w->cols, act);

		y[r] = reduce8(_mm512_castps512_ps256(fold8_512(lanes, lanes)));
	}
}

/* rows [begin, end) and @count tokens, a constant */
KERN_INLINE void mul_some(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			  uint32_t end, const uint8_t *act, size_t act_stride, float *y,
			  size_t y_stride, int count)
{
	const uint8_t *row = (const uint8_t *)w->data + begin * w->row_bytes;
	uint32_t r = begin;

	for (; r + TILE_ROWS <= end; r += TILE_ROWS, row += TILE_ROWS * w->row_bytes)
		tile(type, row, w->row_bytes, w->cols, act, act_stride, y + r, y_stride, TILE_ROWS,
		     count);
	for (; r < end; r++, row += w->row_bytes)
		tile(type, row, w->row_bytes, w->cols, act, act_stride, y + r, y_stride, 1, count);
}

/* so many rows that they stay in the cache while all tokens go over them */
KERN_INLINE void mul_block(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			   uint32_t end, const uint8_t *act, size_t act_stride, uint32_t tokens,
			   float *y, size_t y_stride)
{
	uint32_t t = 0;

	for (; t + TILE_TOKENS <= tokens; t += TILE_TOKENS)
		mul_some(type, w, begin, end, act + t * act_stride, act_stride, y + t * y_stride,
			 y_stride, TILE_TOKENS);
	for (; t + FEW_TOKENS <= tokens; t += FEW_TOKENS)
		mul_some(type, w, begin, end, act + t * act_stride, act_stride, y + t * y_stride,
			 y_stride, FEW_TOKENS);
	for (; t < tokens; t++)
		mul_some(type, w, begin, end, act + t * act_stride, act_stride, y + t * y_stride,
			 y_stride, 1);
}

KERN_INLINE void mul_rows(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			  uint32_t end, const uint8_t *act, size_t act_stride, uint32_t tokens,
			  float *y, size_t y_stride)
{
	const size_t fit = BLOCK_BYTES / (w->row_bytes + 1) / TILE_ROWS * TILE_ROWS;
	const uint32_t step = fit ? (uint32_t)fit : TILE_ROWS;

	if (tokens == 1) {
		mul_token(type, w, begin, end, act, y);
		return;
	}
	for (uint32_t r = begin; r < end; r += step)
		mul_block(type, w, r, end - r < step ? end : r + step, act, act_stride, tokens, y,
			  y_stride);
}

#define DEFINE_MUL(lower, upper)                                                                   \
	void kern_mul_##lower##_avx512(const struct kern_weights *w, uint32_t row_begin,           \
				       uint32_t row_end, const void *act, size_t act_stride,       \
				       uint32_t tokens, float *y, size_t y_stride)                 \
	{                                                                                          \
		mul_rows(KERN_##upper, w, row_begin, row_end, act, act_stride, tokens, y,          \
			 y_stride);                                                                \
	}

DEFINE_MUL(f32, F32)
DEFINE_MUL(f16, F16)
DEFINE_MUL(bf16, BF16)
