// SPDX-License-Identifier: MIT
/*
 * Matrix products of F32, F16 and BF16 weights with float32 activations: a tile of rows and tokens
 * keeps 16 lanes for each pair of them in registers.
 */
#include "kernels/cpu/simd_avx2.h"

#define TILE_ROWS	2
#define TILE_TOKENS	3
#define BLOCK_BYTES	131072	/* weights that stay in the second-level cache */

KERN_INLINE __m256 widen(enum kern_type type, __m128i v)
{
	if (type == KERN_F16)
		return _mm256_cvtph_ps(v);
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}

/* eight weights, of which the first @count are there */
KERN_INLINE __m256 load_weights(enum kern_type type, const uint8_t *row, size_t i, uint32_t count)
{
	uint16_t rest[8] = {0};

	if (type == KERN_F32)
		return count >= 8 ? _mm256_loadu_ps((const float *)(const void *)(row + 4 * i)) :
				    _mm256_maskload_ps((const float *)(const void *)(row + 4 * i),
						       first_lanes(count));
	if (count >= 8)
		return widen(type, _mm_loadu_si128((const __m128i *)(row + 2 * i)));
	memcpy(rest, row + 2 * i, count * sizeof(*rest));
	return widen(type, _mm_loadu_si128((const __m128i *)rest));
}

/* lanes of one half of 16 columns; @count of its eight are there */
KERN_INLINE void tile_half(enum kern_type type, const uint8_t *w, size_t row_bytes, uint32_t i,
			   int half, uint32_t count, const uint8_t *act, size_t act_stride,
			   __m256 acc[][TILE_TOKENS][2], int rows, int tokens)
{
	__m256 v[TILE_ROWS];

	for (int r = 0; r < rows; r++)
		v[r] = load_weights(type, w + r * row_bytes, i, count);
	for (int t = 0; t < tokens; t++) {
		__m256 x = _mm256_load_ps((const float *)(const void *)(act + t * act_stride) + i);

		for (int r = 0; r < rows; r++)
			acc[r][t][half] = _mm256_fmadd_ps(v[r], x, acc[r][t][half]);
	}
}

/* sums of @rows rows (bytes apart) and @tokens tokens, both constants */
KERN_INLINE void tile(enum kern_type type, const uint8_t *w, size_t row_bytes, uint32_t cols,
		      const uint8_t *act, size_t act_stride, float *y, size_t y_stride, int rows,
		      int tokens)
{
	const size_t ahead = kern_ahead(cols * sizeof(float));
	__m256 acc[TILE_ROWS][TILE_TOKENS][2];
	uint32_t i = 0;

	for (int r = 0; r < rows; r++)
		for (int t = 0; t < tokens; t++)
			acc[r][t][0] = acc[r][t][1] = _mm256_setzero_ps();
	for (; i + 16 <= cols; i += 16) {
		/* one row and one token: a stream; that of F32 is seen without help */
		if (rows == 1 && tokens == 1 && type != KERN_F32 && i % 32 == 0)
			kern_prefetch_at((uintptr_t)w + 2 * (size_t)i + ahead, 64);
		tile_half(type, w, row_bytes, i, 0, 8, act, act_stride, acc, rows, tokens);
		tile_half(type, w, row_bytes, i + 8, 1, 8, act, act_stride, acc, rows, tokens);
	}
	if (i < cols)
		tile_half(type, w, row_bytes, i, 0, cols - i, act, act_stride, acc, rows, tokens);
	if (i + 8 < cols)
		tile_half(type, w, row_bytes, i + 8, 1, cols - i - 8, act, act_stride, acc, rows,
			  tokens);
	for (int r = 0; r < rows; r++)
		for (int t = 0; t < tokens; t++)
			y[t * y_stride + r] =
				reduce8(_mm256_add_ps(acc[r][t][0], acc[r][t][1]));
}

KERN_INLINE void mul_token(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			   uint32_t end, const uint8_t *act, float *y)
{
	const uint8_t *row = (const uint8_t *)w->data + begin * w->row_bytes;

	for (uint32_t r = begin; r < end; r++, row += w->row_bytes)
		tile(type, row, w->row_bytes, w->cols, act, 0, y + r, 0, 1, 1);
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
	void kern_mul_##lower##_avx2(const struct kern_weights *w, uint32_t row_begin,             \
				     uint32_t row_end, const void *act, size_t act_stride,         \
				     uint32_t tokens, float *y, size_t y_stride)                   \
	{                                                                                          \
		mul_rows(KERN_##upper, w, row_begin, row_end, act, act_stride, tokens, y,          \
			 y_stride);                                                                \
	}

DEFINE_MUL(f32, F32)
DEFINE_MUL(f16, F16)
DEFINE_MUL(bf16, BF16)
