/* SPDX-License-Identifier: MIT */
/*
 * Rows of quantised weights times packed activations, for a type that is known when this is
 * compiled. One token: each chunk of a row is decoded into registers and used at once. More: a
 * panel of rows is decoded once, into the first-level cache, and every token goes over it. Both add
 * in the same order.
 */
#ifndef LLMOS_KERNELS_MUL_AVX2_H
#define LLMOS_KERNELS_MUL_AVX2_H

#include "kernels/cpu/chunk.h"
#include "kernels/cpu/chunk_avx2.h"

#define MUL_ROWS	8	/* whose lanes are added up together */
#define MUL_TOKENS	4	/* of a tile */
#define PANEL_BYTES	61440	/* of stack */

KERN_INLINE uint32_t panel_chunks(enum kern_type type)
{
	return PANEL_BYTES / chunk_stride(type);
}

/* block sums of the vectors q[from] to q[from + count - 1] */
KERN_INLINE __m256i dot_range(enum kern_type type, const struct chunk *c, const struct act8 *a,
			      int from, int count)
{
	const int narrow = type_narrow(type);
	__m256i sum = _mm256_setzero_si256();

	for (int j = from; j < from + count; j += narrow) {
		__m256i pairs = _mm256_setzero_si256();

		for (int k = j; k < j + narrow; k++) {
			__m256i w = c->q[k];
			__m256i q = _mm256_load_si256((const __m256i *)a->q[k]);

			if (type_is_signed(type)) {
				q = _mm256_sign_epi8(q, w);
				w = _mm256_abs_epi8(w);
			}
			w = _mm256_maddubs_epi16(w, q);
			pairs = k == j ? w : _mm256_add_epi16(pairs, w);
		}
		pairs = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
		sum = j == from ? pairs : _mm256_add_epi32(sum, pairs);
	}
	return sum;
}

KERN_INLINE __m256 add_scaled(__m256 acc, __m256i sum, __m256 d, const struct act8 *a)
{
	return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(d, _mm256_load_ps(a->d)),
			       acc);
}

KERN_INLINE __m256 chunk_apply_q6_k(__m256 acc, const struct chunk *c, const struct act8 *a)
{
	__m256i low = dot_range(KERN_Q6_K, c, a, 0, 4);
	__m256i high = dot_range(KERN_Q6_K, c, a, 4, 4);
	__m256i neg = _mm256_load_si256((const __m256i *)a->neg_halves);

	low = _mm256_add_epi32(low, _mm256_srai_epi32(_mm256_slli_epi32(neg, 16), 11));
	high = _mm256_add_epi32(high, _mm256_slli_epi32(_mm256_srai_epi32(neg, 16), 5));
	return add_scaled(add_scaled(acc, low, c->d, a), high, c->m, a);
}

KERN_INLINE __m256 chunk_apply_q2_k(__m256 acc, const struct chunk *c, const struct act8 *a)
{
	__m256i sum = dot_range(KERN_Q2_K, c, a, 0, 8);
	__m256i neg = _mm256_load_si256((const __m256i *)a->neg_halves);

	acc = add_scaled(acc, sum, c->d, a);
	return add_scaled(acc, _mm256_madd_epi16(neg, c->s), c->m, a);
}

/* sums of halves fit into 16 bits: 16 * 127 * 7 = 14224 */
KERN_INLINE __m256 chunk_apply_q3_k(__m256 acc, const struct chunk *c, const struct act8 *a)
{
	__m256i low = dot_range(KERN_Q3_K, c, a, 0, 4);
	__m256i high = dot_range(KERN_Q3_K, c, a, 4, 4);
	__m256i neg = _mm256_load_si256((const __m256i *)a->neg_halves);
	__m256i sums = _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);

	sums = _mm256_add_epi16(sums, _mm256_slli_epi16(neg, ZERO_Q3_K_SHIFT));
	return add_scaled(acc, _mm256_madd_epi16(sums, c->s), c->d, a);
}

/** chunk_apply() - acc plus what this chunk gives, in the order of cpu.h */
KERN_INLINE __m256 chunk_apply(enum kern_type type, __m256 acc, const struct chunk *c,
			       const struct act8 *a)
{
	__m256i sum;

	if (type == KERN_Q6_K)
		return chunk_apply_q6_k(acc, c, a);
	if (type == KERN_Q2_K)
		return chunk_apply_q2_k(acc, c, a);
	if (type == KERN_Q3_K)
		return chunk_apply_q3_k(acc, c, a);
	sum = dot_range(type, c, a, 0, 8);
	if (type_zero_shift(type) && !type_is_signed(type))
		sum = _mm256_add_epi32(sum,
				       _mm256_slli_epi32(_mm256_load_si256((const __m256i *)a->neg),
							 type_zero_shift(type)));
	acc = add_scaled(acc, sum, c->d, a);
	if (type_has_min(type))
		acc = _mm256_fmadd_ps(c->m, _mm256_load_ps(a->s), acc);
	return acc;
}

/* rows [row, row + count) of one token */
KERN_INLINE void store_rows(float *y, const __m256 lanes[MUL_ROWS], uint32_t count)
{
	__m256 sums = reduce8_8(lanes);

	if (count == MUL_ROWS)
		_mm256_storeu_ps(y, sums);
	else
		_mm256_maskstore_ps(y, first_lanes(count), sums);
}

/* lanes of one row and one token */
KERN_INLINE __m256 row_dot(enum kern_type type, const uint8_t *row, const struct act8 *a,
			   uint32_t blocks)
{
	const uint32_t bytes = type_chunk_bytes(type, CHUNK_BLOCKS);
	__m256 acc = _mm256_setzero_ps();
	struct chunk c;

	for (; blocks >= CHUNK_BLOCKS; blocks -= CHUNK_BLOCKS, row += bytes, a++) {
		kern_prefetch(row, bytes);
		chunk_decode(type, &c, row, CHUNK_BLOCKS);
		acc = chunk_apply(type, acc, &c, a);
	}
	if (blocks) {
		kern_prefetch(row, type_chunk_bytes(type, blocks));
		chunk_decode(type, &c, row, blocks);
		acc = chunk_apply(type, acc, &c, a);
	}
	return acc;
}

KERN_INLINE void mul_token(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			   uint32_t end, const struct act8 *a, float *y)
{
	__m256 lanes[MUL_ROWS];

	for (uint32_t r = begin; r < end; r += MUL_ROWS) {
		uint32_t count = end - r < MUL_ROWS ? end - r : MUL_ROWS;

		for (uint32_t i = 0; i < count; i++)
			lanes[i] = row_dot(type, (const uint8_t *)w->data + (r + i) * w->row_bytes,
					   a, w->cols / 32);
		for (uint32_t i = count; i < MUL_ROWS; i++)
			lanes[i] = _mm256_setzero_ps();
		store_rows(y + r, lanes, count);
	}
}

/* a row into the chunks from @panel on */
KERN_INLINE void panel_decode(enum kern_type type, struct chunk *panel, const uint8_t *row,
			      uint32_t blocks)
{
	const uint32_t bytes = type_chunk_bytes(type, CHUNK_BLOCKS);

	for (; blocks >= CHUNK_BLOCKS; blocks -= CHUNK_BLOCKS, row += bytes) {
		kern_prefetch(row, bytes);
		chunk_decode(type, panel, row, CHUNK_BLOCKS);
		panel = chunk_at(type, panel, 1);
	}
	if (blocks)
		chunk_decode(type, panel, row, blocks);
}

/* one row of a panel and @tokens tokens, a constant */
KERN_INLINE void panel_tile(enum kern_type type, const struct chunk *row, uint32_t chunks,
			    const uint8_t *act, size_t act_stride, int tokens,
			    __m256 lanes[][MUL_ROWS])
{
	__m256 acc[MUL_TOKENS];

	for (int t = 0; t < tokens; t++)
		acc[t] = _mm256_setzero_ps();
	for (uint32_t c = 0; c < chunks; c++) {
		const struct act8 *a = (const struct act8 *)act + c;

		for (int t = 0; t < tokens; t++) {
			acc[t] = chunk_apply(type, acc[t], chunk_at(type, row, c), a);
			a = (const struct act8 *)((const uint8_t *)a + act_stride);
		}
	}
	for (int t = 0; t < tokens; t++)
		lanes[t][0] = acc[t];
}

/* a panel of @rows rows that begins at row y, and @tokens tokens, a constant */
KERN_INLINE void panel_mul(enum kern_type type, const struct chunk *panel, uint32_t rows,
			   uint32_t chunks, const uint8_t *act, size_t act_stride, int tokens,
			   float *y, size_t y_stride)
{
	__m256 lanes[MUL_TOKENS][MUL_ROWS];

	for (int t = 0; t < tokens; t++)
		for (uint32_t i = rows; i < MUL_ROWS; i++)
			lanes[t][i] = _mm256_setzero_ps();
	for (uint32_t i = 0; i < rows; i++)
		panel_tile(type, chunk_at(type, panel, (size_t)i * chunks), chunks, act, act_stride,
			   tokens, (__m256(*)[MUL_ROWS]) & lanes[0][i]);
	for (int t = 0; t < tokens; t++)
		store_rows(y + t * y_stride, lanes[t], rows);
}

KERN_INLINE void mul_tokens(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			    uint32_t end, const uint8_t *act, size_t act_stride, uint32_t tokens,
			    float *y, size_t y_stride)
{
	const uint32_t chunks = (w->cols + 32 * CHUNK_BLOCKS - 1) / (32 * CHUNK_BLOCKS);
	const uint32_t fit = panel_chunks(type) / chunks, rows = fit < MUL_ROWS ? fit : MUL_ROWS;
	__m256i space[PANEL_BYTES / sizeof(__m256i)];
	struct chunk *panel = chunk_at(type, space, 0);

	for (uint32_t r = begin; r < end; r += rows) {
		uint32_t count = end - r < rows ? end - r : rows, t = 0;

		for (uint32_t i = 0; i < count; i++)
			panel_decode(type, chunk_at(type, panel, (size_t)i * chunks),
				     (const uint8_t *)w->data + (r + i) * w->row_bytes,
				     w->cols / 32);
		for (; t + MUL_TOKENS <= tokens; t += MUL_TOKENS)
			panel_mul(type, panel, count, chunks, act + t * act_stride, act_stride,
				  MUL_TOKENS, y + t * y_stride + r, y_stride);
		for (; t < tokens; t++)
			panel_mul(type, panel, count, chunks, act + t * act_stride, act_stride, 1,
				  y + t * y_stride + r, y_stride);
	}
}

KERN_INLINE void mul_rows(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			  uint32_t end, const uint8_t *act, size_t act_stride, uint32_t tokens,
			  float *y, size_t y_stride)
{
	if (tokens > 1 && w->cols <= panel_chunks(type) * CHUNK_BLOCKS * 32 && w->cols) {
		mul_tokens(type, w, begin, end, act, act_stride, tokens, y, y_stride);
		return;
	}
	for (uint32_t t = 0; t < tokens; t++)
		mul_token(type, w, begin, end, (const struct act8 *)(act + t * act_stride),
			  y + t * y_stride);
}

#define KERN_DEFINE_MUL(lower, upper, isa)                                                         \
	void kern_mul_##lower##_##isa(const struct kern_weights *w, uint32_t row_begin,            \
				      uint32_t row_end, const void *act, size_t act_stride,        \
				      uint32_t tokens, float *y, size_t y_stride)                  \
	{                                                                                          \
		mul_rows(KERN_##upper, w, row_begin, row_end, act, act_stride, tokens, y,          \
			 y_stride);                                                                \
	}

#endif /* LLMOS_KERNELS_MUL_AVX2_H */
