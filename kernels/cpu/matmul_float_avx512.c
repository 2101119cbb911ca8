// SPDX-License-Identifier: MIT
/*
 * Matrix products of F32, F16 and BF16 weights with float32 activations: a tile of rows and tokens
 * keeps 16 lanes for each pair of them in registers.
 */
#include "kernels/cpu/simd_avx512.h"

#define TILE_ROWS	4	/* at most */
#define TILE_TOKENS	6
#define STEP		32	/* columns: a cache line of 16-bit weights */
#define BLOCK_BYTES	131072	/* weights that stay in the second-level cache */

KERN_INLINE size_t elem_bytes(enum kern_type type)
{
	return type == KERN_F32 ? 4 : 2;
}

KERN_INLINE __mmask16 lanes_left(uint32_t count)
{
	return (__mmask16)low_mask(count < 16 ? count : 16);
}

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

/*
 * sums of @rows rows (bytes apart; TILE_ROWS or 1) and @tokens tokens, both constants; @is_first:
 * these rows come from memory, and so do those behind them
 */
KERN_INLINE void tile(enum kern_type type, const uint8_t *w, size_t row_bytes, uint32_t cols,
		      const uint8_t *act, size_t act_stride, float *y, size_t y_stride, int rows,
		      int tokens, bool is_first)
{
	const size_t size = elem_bytes(type);
	__m512 acc[TILE_ROWS][TILE_TOKENS];
	uint32_t i = 0;

	for (int r = 0; r < rows; r++)
		for (int t = 0; t < tokens; t++)
			acc[r][t] = _mm512_setzero_ps();
	for (; i + STEP <= cols; i += STEP) {
		if (is_first)
			for (int r = 0; r < rows; r++)
				kern_prefetch_at((uintptr_t)w + (rows + r) * row_bytes + i * size,
						 STEP * size);
		tile_step(type, w, row_bytes, i, 0xffff, act, act_stride, acc, rows, tokens);
		tile_step(type, w, row_bytes, i + 16, 0xffff, act, act_stride, acc, rows, tokens);
	}
	for (; i < cols; i += 16)
		tile_step(type, w, row_bytes, i, lanes_left(cols - i), act, act_stride, acc, rows,
			  tokens);
	for (int t = 0; t < tokens; t++, y += y_stride) {
		for (int r = 0; r + 4 <= rows; r += 4) {
			__m512 v[4] = {acc[r][t], acc[r + 1][t], acc[r + 2][t], acc[r + 3][t]};

			_mm_storeu_ps(y + r, reduce16_4(v));
		}
		if (rows == 1)
			*y = reduce8(_mm512_castps512_ps256(fold8_512(acc[0][t], acc[0][t])));
	}
}

/* sixteen more columns of one row and one token */
KERN_INLINE __m512 row_step(enum kern_type type, __m512 acc, const uint8_t *row, uint32_t i,
			    __mmask16 mask, const uint8_t *act)
{
	return _mm512_fmadd_ps(load_weights(type, row, i, mask),
			       _mm512_load_ps(act + i * sizeof(float)), acc);
}

/*
 * lanes of one row and one token: rows one behind the other are a stream, which the processor sees
 * coming, and reads faster than rows side by side
 */
KERN_INLINE __m512 row_lanes(enum kern_type type, const uint8_t *row, uint32_t cols,
			     const uint8_t *act)
{
	__m512 acc = _mm512_setzero_ps();
	uint32_t i = 0;

	for (; i + STEP <= cols; i += STEP) {
		if (type != KERN_F32)
			kern_prefetch(row + elem_bytes(type) * i, STEP * elem_bytes(type));
		acc = row_step(type, acc, row, i, 0xffff, act);
		acc = row_step(type, acc, row, i + 16, 0xffff, act);
	}
	for (; i < cols; i += 16)
		acc = row_step(type, acc, row, i, lanes_left(cols - i), act);
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
			  size_t y_stride, int count, bool is_first)
{
	const uint8_t *row = (const uint8_t *)w->data + begin * w->row_bytes;
	uint32_t r = begin;

	for (; r + TILE_ROWS <= end; r += TILE_ROWS, row += TILE_ROWS * w->row_bytes)
		tile(type, row, w->row_bytes, w->cols, act, act_stride, y + r, y_stride, TILE_ROWS,
		     count, is_first);
	for (; r < end; r++, row += w->row_bytes)
		tile(type, row, w->row_bytes, w->cols, act, act_stride, y + r, y_stride, 1, count,
		     false);
}

#define MUL_SOME(count)                                                                            \
	mul_some(type, w, begin, end, act, act_stride, y, y_stride, count, is_first)

/* so many rows that they stay in the cache while all tokens go over them */
KERN_INLINE void mul_block(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			   uint32_t end, const uint8_t *act, size_t act_stride, uint32_t tokens,
			   float *y, size_t y_stride)
{
	bool is_first = true;

	for (; tokens >= TILE_TOKENS; tokens -= TILE_TOKENS, is_first = false) {
		MUL_SOME(TILE_TOKENS);
		act += TILE_TOKENS * act_stride;
		y += TILE_TOKENS * y_stride;
	}
	switch (tokens) {
	case 5:
		MUL_SOME(5);
		break;
	case 4:
		MUL_SOME(4);
		break;
	case 3:
		MUL_SOME(3);
		break;
	case 2:
		MUL_SOME(2);
		break;
	case 1:
		MUL_SOME(1);
		break;
	}
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

/*
 * One token whose activations fill the first-level cache: halves of these vectors get through
 * a fifth more of a row's stream (Zen 4, 8192 columns), and have the same bits.
 */
#define DEFINE_MUL_16(lower, upper)                                                                \
	void kern_mul_##lower##_avx512(const struct kern_weights *w, uint32_t row_begin,           \
				       uint32_t row_end, const void *act, size_t act_stride,       \
				       uint32_t tokens, float *y, size_t y_stride)                 \
	{                                                                                          \
		if (tokens == 1 && kern_is_wide(w->cols * sizeof(float)))                          \
			kern_mul_##lower##_avx2(w, row_begin, row_end, act, act_stride, tokens, y, \
						y_stride);                                         \
		else                                                                               \
			mul_rows(KERN_##upper, w, row_begin, row_end, act, act_stride, tokens, y,  \
				 y_stride);                                                        \
	}

DEFINE_MUL(f32, F32)
DEFINE_MUL_16(f16, F16)
DEFINE_MUL_16(bf16, BF16)
