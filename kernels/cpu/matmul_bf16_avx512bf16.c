// SPDX-License-Identifier: MIT
/*
 * Matrix products of BF16 weights with activations rounded to BF16: two products to a lane and
 * instruction, twice of what FMA does. The instruction takes subnormal numbers for zero.
 */
#include "kernels/cpu/act_bf16.h"
#include "kernels/cpu/simd_avx512.h"

#define TILE_ROWS	4	/* at most */
#define TILE_TOKENS	6
#define BLOCK_BYTES	131072	/* weights that stay in the second-level cache */
#define STEP		ACT_BF16_ELEMS
#define ALL		UINT32_MAX

KERN_INLINE __m512bh load_weights(const uint8_t *row, uint32_t i, uint32_t mask)
{
	return (__m512bh)_mm512_maskz_loadu_epi16(mask, row + 2 * (size_t)i);
}

KERN_INLINE __m512bh load_act(const uint8_t *act, uint32_t i)
{
	return (__m512bh)_mm512_load_si512(act + 2 * (size_t)i);
}

KERN_INLINE void tile_step(const uint8_t *w, size_t row_bytes, uint32_t i, uint32_t mask,
			   const uint8_t *act, size_t act_stride, __m512 acc[][TILE_TOKENS],
			   int rows, int tokens)
{
	__m512bh v[TILE_ROWS];

	for (int r = 0; r < rows; r++)
		v[r] = load_weights(w + r * row_bytes, i, mask);
	for (int t = 0; t < tokens; t++) {
		__m512bh x = load_act(act + t * act_stride, i);

		for (int r = 0; r < rows; r++)
			acc[r][t] = _mm512_dpbf16_ps(acc[r][t], v[r], x);
	}
}

/*
 * sums of @rows rows (TILE_ROWS or 1) and @tokens tokens, both constants; @is_first: these rows
 * come from memory, and so do those behind them
 */
KERN_INLINE void tile(const uint8_t *w, size_t row_bytes, uint32_t cols, const uint8_t *act,
		      size_t act_stride, float *y, size_t y_stride, int rows, int tokens,
		      bool is_first)
{
	__m512 acc[TILE_ROWS][TILE_TOKENS];
	uint32_t i = 0;

	for (int r = 0; r < rows; r++)
		for (int t = 0; t < tokens; t++)
			acc[r][t] = _mm512_setzero_ps();
	for (; i + STEP <= cols; i += STEP) {
		if (is_first)
			for (int r = 0; r < rows; r++)
				kern_prefetch_at((uintptr_t)w + (rows + r) * row_bytes +
							 2 * (size_t)i,
						 2 * STEP);
		tile_step(w, row_bytes, i, ALL, act, act_stride, acc, rows, tokens);
	}
	if (i < cols)
		tile_step(w, row_bytes, i, low_mask(cols - i), act, act_stride, acc, rows, tokens);
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
KERN_INLINE __m512 row_lanes(const uint8_t *row, uint32_t cols, const uint8_t *act)
{
	const size_t ahead = kern_ahead(2 * (size_t)cols);
	__m512 acc = _mm512_setzero_ps();
	uint32_t i = 0;

	for (; i + STEP <= cols; i += STEP) {
		kern_prefetch_at((uintptr_t)row + 2 * (size_t)i + ahead, 2 * STEP);
		acc = _mm512_dpbf16_ps(acc, load_weights(row, i, ALL), load_act(act, i));
	}
	if (i < cols)
		acc = _mm512_dpbf16_ps(acc, load_weights(row, i, low_mask(cols - i)),
				       load_act(act, i));
	return acc;
}

static void mul_token(const struct kern_weights *w, uint32_t begin, uint32_t end,
		      const uint8_t *act, float *y)
{
	const uint8_t *row = (const uint8_t *)w->data + begin * w->row_bytes;
	uint32_t r = begin;

	for (; r + 4 <= end; r += 4) {
		__m512 lanes[4];

		for (int i = 0; i < 4; i++, row += w->row_bytes)
			lanes[i] = row_lanes(row, w->cols, act);
		_mm_storeu_ps(y + r, reduce16_4(lanes));
	}
	for (; r < end; r++, row += w->row_bytes) {
		__m512 lanes = row_lanes(row, w->cols, act);

		y[r] = reduce8(_mm512_castps512_ps256(fold8_512(lanes, lanes)));
	}
}

/* rows [begin, end) and @count tokens, a constant */
KERN_INLINE void mul_some(const struct kern_weights *w, uint32_t begin, uint32_t end,
			  const uint8_t *act, size_t act_stride, float *y, size_t y_stride,
			  int count, bool is_first)
{
	const uint8_t *row = (const uint8_t *)w->data + begin * w->row_bytes;
	uint32_t r = begin;

	for (; r + TILE_ROWS <= end; r += TILE_ROWS, row += TILE_ROWS * w->row_bytes)
		tile(row, w->row_bytes, w->cols, act, act_stride, y + r, y_stride, TILE_ROWS,
		     count, is_first);
	for (; r < end; r++, row += w->row_bytes)
		tile(row, w->row_bytes, w->cols, act, act_stride, y + r, y_stride, 1, count, false);
}

#define MUL_SOME(count)                                                                            \
	mul_some(w, begin, end, act, act_stride, y, y_stride, count, is_first)

/* so many rows that they stay in the cache while all tokens go over them */
static void mul_block(const struct kern_weights *w, uint32_t begin, uint32_t end,
		      const uint8_t *act, size_t act_stride, uint32_t tokens, float *y,
		      size_t y_stride)
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

void kern_mul_bf16_avx512bf16(const struct kern_weights *w, uint32_t row_begin, uint32_t row_end,
			      const void *act, size_t act_stride, uint32_t tokens, float *y,
			      size_t y_stride)
{
	const size_t fit = BLOCK_BYTES / (w->row_bytes + 1) / TILE_ROWS * TILE_ROWS;
	const uint32_t step = fit ? (uint32_t)fit : TILE_ROWS;

	if (tokens == 1) {
		mul_token(w, row_begin, row_end, act, y);
		return;
	}
	for (uint32_t r = row_begin; r < row_end; r += step)
		mul_block(w, r, row_end - r < step ? row_end : r + step, act, act_stride, tokens, y,
			  y_stride);
}
