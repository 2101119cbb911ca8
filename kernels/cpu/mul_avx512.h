/* SPDX-License-Identifier: MIT */
/*
 * Rows of quantised weights times packed activations, two rows to a vector, for a type that is
 * known when this is compiled. A panel of rows is decoded once, into the cache, and every token
 * goes over it. One token is left to eight lanes: its weights come from memory, which is slower
 * than either, and faster where rows are read one behind the other. Both add in the same order.
 * Included behind one of dot_*.h.
 */
#ifndef LLMOS_KERNELS_MUL_AVX512_H
#define LLMOS_KERNELS_MUL_AVX512_H

#include "kernels/cpu/chunk.h"
#include "kernels/cpu/chunk_avx512.h"

#define MUL_ROWS	16	/* whose lanes are added up together */
#define MUL_PAIRS	(MUL_ROWS / 2)
#define MUL_TOKENS	DOT_TOKENS
#define PANEL_BYTES	81920	/* of stack */

KERN_INLINE uint32_t panel_chunks(enum kern_type type)
{
	return PANEL_BYTES / chunk_stride(type);
}

/* @count rows of one token, two in each of the lanes */
KERN_INLINE void store_rows(float *y, const __m512 lanes[MUL_PAIRS], uint32_t count)
{
	__m512 sums = reduce8_pairs(lanes);

	if (count == MUL_ROWS)
		_mm512_storeu_ps(y, sums);
	else
		_mm512_mask_storeu_ps(y, (__mmask16)low_mask(count), sums);
}

/* two neighbouring rows; the last of an odd number stands in for one that is not there */
KERN_INLINE void pair_rows(const uint8_t *rows[2], const struct kern_weights *w, uint32_t row,
			   uint32_t end)
{
	rows[0] = (const uint8_t *)w->data + row * w->row_bytes;
	rows[1] = row + 1 < end ? rows[0] + w->row_bytes : rows[0];
}

/**
 * chunk_decode_end() - the last @left blocks of two rows, fewer than a chunk
 * @behind: bytes of the matrix behind them
 *
 * Where there are enough, whatever they are, a whole chunk is read, which is faster; activations
 * are zero there, and so must the scales be.
 */
KERN_INLINE void chunk_decode_end(enum kern_type type, struct chunk *c,
				  const uint8_t *const rows[2], uint32_t left, size_t behind)
{
	const __mmask16 lanes = (__mmask16)(low_mask(left) * 0x101);

	if (behind < type_chunk_bytes(type, CHUNK_BLOCKS)) {
		chunk_decode(type, c, rows, left);
		return;
	}
	chunk_decode(type, c, rows, CHUNK_BLOCKS);
	c->d = _mm512_maskz_mov_ps(lanes, c->d);
	if (type_has_min(type))
		c->m = _mm512_maskz_mov_ps(lanes, c->m);
}

/* bytes of the matrix behind the second one of two rows */
KERN_INLINE size_t bytes_behind(const struct kern_weights *w, uint32_t row)
{
	return row + 2 < w->rows ? (w->rows - row - 2) * w->row_bytes : 0;
}

/* a pair of rows into the chunks from @panel on */
KERN_INLINE void panel_decode(enum kern_type type, struct chunk *panel, const uint8_t *rows[2],
			      uint32_t blocks, size_t behind)
{
	const uint32_t bytes = type_chunk_bytes(type, CHUNK_BLOCKS);

	for (; blocks >= CHUNK_BLOCKS; blocks -= CHUNK_BLOCKS) {
		kern_prefetch(rows[0], bytes);
		kern_prefetch(rows[1], bytes);
		chunk_decode(type, panel, rows, CHUNK_BLOCKS);
		panel = chunk_at(type, panel, 1);
		rows[0] += bytes;
		rows[1] += bytes;
	}
	if (blocks)
		chunk_decode_end(type, panel, rows, blocks, behind);
}

/* acc plus what the sums of a chunk of each pair and token give; @d: scales, of Q6_K of this half */
KERN_INLINE void tile_add(__m512 acc[][MUL_TOKENS], __m512i sums[][MUL_TOKENS], const __m512 d[],
			  const struct act8 *const a[], int pairs, int tokens)
{
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++) {
		__m512 d_act = _mm512_castsi512_ps(load_twice(a[t]->d));

#pragma GCC unroll 2
		for (int p = 0; p < pairs; p++)
			acc[p][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[p][t]),
						    _mm512_mul_ps(d[p], d_act), acc[p][t]);
	}
}

/* @part: of the blocks, 0: all, 1 and 2: the first and the second half */
KERN_INLINE void tile_start(enum kern_type type, __m512i sums[][MUL_TOKENS],
			    const struct act8 *const a[], int part, int pairs, int tokens)
{
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++) {
		__m512i neg = part ? load_twice(a[t]->neg_halves) : load_twice(a[t]->neg);

		if (part == 1)
			neg = _mm512_slli_epi32(neg, 16);
		if (part)
			neg = _mm512_srai_epi32(neg, 16);
		for (int p = 0; p < pairs; p++)
			sums[p][t] = dot_start(type, neg);
	}
}

/* the minima of Q2_K, times what the halves of the activations sum up to */
KERN_INLINE void tile_min_q2_k(__m512i sums[][MUL_TOKENS], const struct chunk *c, size_t stride,
			       const struct act8 *const a[], int pairs, int tokens)
{
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++)
#pragma GCC unroll 2
		for (int p = 0; p < pairs; p++)
			sums[p][t] = _mm512_madd_epi16(load_twice(a[t]->neg_halves),
						       chunk_at(KERN_Q2_K, c, p * stride)->s);
}

/* sums of halves fit into 16 bits: 16 * 127 * 7 = 14224 */
KERN_INLINE void tile_join_q3_k(__m512i low[][MUL_TOKENS], __m512i high[][MUL_TOKENS],
				const struct chunk *c, size_t stride, const struct act8 *const a[],
				int pairs, int tokens)
{
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++) {
		__m512i zero = _mm512_slli_epi16(load_twice(a[t]->neg_halves), ZERO_Q3_K_SHIFT);

#pragma GCC unroll 2
		for (int p = 0; p < pairs; p++) {
			__m512i sums = _mm512_mask_blend_epi16(
				0xaaaaaaaa, low[p][t], _mm512_slli_epi32(high[p][t], 16));

			low[p][t] = _mm512_madd_epi16(_mm512_add_epi16(sums, zero),
						      chunk_at(KERN_Q3_K, c, p * stride)->s);
		}
	}
}

/* chunks of @pairs pairs, @stride apart, and of @tokens tokens, in the order of cpu.h */
KERN_INLINE void tile_apply(enum kern_type type, __m512 acc[][MUL_TOKENS], const struct chunk *c,
			    size_t stride, const struct act8 *const a[], int pairs, int tokens)
{
	__m512i sums[DOT_PAIRS][MUL_TOKENS], high[DOT_PAIRS][MUL_TOKENS];
	__m512 d[DOT_PAIRS], m[DOT_PAIRS];

	for (int p = 0; p < pairs; p++) {
		d[p] = chunk_at(type, c, p * stride)->d;
		m[p] = chunk_at(type, c, p * stride)->m;
	}
	if (type == KERN_Q6_K) {
		tile_start(type, sums, a, 1, pairs, tokens);
		dot_tile(type, sums, c, stride, a, 0, 4, pairs, tokens);
		tile_add(acc, sums, d, a, pairs, tokens);
		tile_start(type, sums, a, 2, pairs, tokens);
		dot_tile(type, sums, c, stride, a, 4, 4, pairs, tokens);
		tile_add(acc, sums, m, a, pairs, tokens);
		return;
	}
	if (type == KERN_Q3_K) {
		tile_start(type, sums, a, 1, pairs, tokens);
		dot_tile(type, sums, c, stride, a, 0, 4, pairs, tokens);
		tile_start(type, high, a, 2, pairs, tokens);
		dot_tile(type, high, c, stride, a, 4, 4, pairs, tokens);
		tile_join_q3_k(sums, high, c, stride, a, pairs, tokens);
		tile_add(acc, sums, d, a, pairs, tokens);
		return;
	}
	tile_start(type, sums, a, 0, pairs, tokens);
	dot_tile(type, sums, c, stride, a, 0, 8, pairs, tokens);
	tile_add(acc, sums, d, a, pairs, tokens);
	if (type == KERN_Q2_K) {
		tile_min_q2_k(sums, c, stride, a, pairs, tokens);
		tile_add(acc, sums, m, a, pairs, tokens);
	}
	for (int t = 0; t < tokens && type_has_min(type); t++)
		for (int p = 0; p < pairs; p++)
			acc[p][t] = _mm512_fmadd_ps(m[p], _mm512_castsi512_ps(load_twice(a[t]->s)),
						    acc[p][t]);
}

/* @pairs pairs of rows of a panel and @tokens tokens, both constants */
KERN_INLINE void panel_tile(enum kern_type type, const struct chunk *panel, uint32_t chunks,
			    const uint8_t *act, size_t act_stride, int pairs, int tokens,
			    __m512 lanes[][MUL_PAIRS])
{
	__m512 acc[DOT_PAIRS][MUL_TOKENS];

	for (int p = 0; p < pairs; p++)
		for (int t = 0; t < tokens; t++)
			acc[p][t] = _mm512_setzero_ps();
	for (uint32_t c = 0; c < chunks; c++) {
		const struct act8 *a[MUL_TOKENS];

		for (int t = 0; t < tokens; t++)
			a[t] = (const struct act8 *)(act + t * act_stride) + c;
		tile_apply(type, acc, chunk_at(type, panel, c), chunks, a, pairs, tokens);
	}
	for (int p = 0; p < pairs; p++)
		for (int t = 0; t < tokens; t++)
			lanes[t][p] = acc[p][t];
}

/* a panel of @count rows, the first of which is row y, and @tokens tokens, a constant */
KERN_INLINE void panel_mul(enum kern_type type, const struct chunk *panel, uint32_t count,
			   uint32_t chunks, const uint8_t *act, size_t act_stride, int tokens,
			   float *y, size_t y_stride)
{
	const uint32_t pairs = (count + 1) / 2;
	__m512 lanes[MUL_TOKENS][MUL_PAIRS];
	uint32_t i = 0;

	for (; i + 2 <= pairs; i += 2)
		panel_tile(type, chunk_at(type, panel, (size_t)i * chunks), chunks, act, act_stride, 2,
			   tokens, (__m512(*)[MUL_PAIRS]) & lanes[0][i]);
	if (i < pairs)
		panel_tile(type, chunk_at(type, panel, (size_t)i * chunks), chunks, act, act_stride, 1,
			   tokens, (__m512(*)[MUL_PAIRS]) & lanes[0][i]);
	for (int t = 0; t < tokens; t++) {
		for (i = pairs; i < MUL_PAIRS; i++)
			lanes[t][i] = _mm512_setzero_ps();
		store_rows(y + t * y_stride, lanes[t], count);
	}
}

/* rows of a panel: as many as fit, at best all whose sums are stored together */
KERN_INLINE uint32_t panel_rows(enum kern_type type, uint32_t chunks)
{
	const uint32_t pairs = panel_chunks(type) / chunks;

	return pairs >= MUL_PAIRS ? MUL_ROWS : pairs * 2;
}

KERN_INLINE void mul_tokens(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			    uint32_t end, const uint8_t *act, size_t act_stride, uint32_t tokens,
			    float *y, size_t y_stride)
{
	const uint32_t chunks = (w->cols + 32 * CHUNK_BLOCKS - 1) / (32 * CHUNK_BLOCKS);
	const uint32_t rows = panel_rows(type, chunks);
	__m512i space[PANEL_BYTES / sizeof(__m512i)];
	struct chunk *panel = chunk_at(type, space, 0);
	const uint8_t *pair[2];

	for (uint32_t r = begin; r < end; r += rows) {
		uint32_t count = end - r < rows ? end - r : rows, t = 0;

		for (uint32_t i = 0; i < count; i += 2) {
			pair_rows(pair, w, r + i, end);
			panel_decode(type, chunk_at(type, panel, (size_t)i / 2 * chunks), pair,
				     w->cols / 32, bytes_behind(w, r + i));
		}
		for (; t + MUL_TOKENS <= tokens; t += MUL_TOKENS)
			panel_mul(type, panel, count, chunks, act + t * act_stride, act_stride,
				  MUL_TOKENS, y + t * y_stride + r, y_stride);
		for (; t < tokens; t++)
			panel_mul(type, panel, count, chunks, act + t * act_stride, act_stride, 1,
				  y + t * y_stride + r, y_stride);
	}
}

#define KERN_DEFINE_MUL(lower, upper, isa)                                                         \
	void kern_mul_##lower##_##isa(const struct kern_weights *w, uint32_t row_begin,            \
				      uint32_t row_end, const void *act, size_t act_stride,        \
				      uint32_t tokens, float *y, size_t y_stride)                  \
	{                                                                                          \
		if (tokens > 1 && w->cols &&                                                       \
		    w->cols <= panel_chunks(KERN_##upper) * CHUNK_BLOCKS * 32)                     \
			mul_tokens(KERN_##upper, w, row_begin, row_end, act, act_stride, tokens,   \
				   y, y_stride);                                                   \
		else                                                                               \
			kern_mul_##lower##_avx2(w, row_begin, row_end, act, act_stride, tokens, y, \
						y_stride);                                         \
	}

#endif /* LLMOS_KERNELS_MUL_AVX512_H */
