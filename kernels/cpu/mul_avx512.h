/* SPDX-License-Identifier: MIT */
/*
 * Rows of quantised weights times packed activations, two rows to a vector, for a type that is
 * known when this is compiled. One token: each chunk of a pair of rows is decoded into registers
 * and used at once. More: a panel of rows is decoded once, into the cache, and every token goes
 * over it. Both add in the same order. Included behind one of dot_*.h.
 */
#ifndef LLMOS_KERNELS_MUL_AVX512_H
#define LLMOS_KERNELS_MUL_AVX512_H

#include "kernels/cpu/chunk.h"
#include "kernels/cpu/chunk_avx512.h"

#define MUL_ROWS	16	/* whose lanes are added up together */
#define MUL_PAIRS	(MUL_ROWS / 2)
#define MUL_TOKENS	4	/* of a tile, with two pairs of rows */
#define PANEL_CHUNKS	128	/* 80 KiB of stack */

/** struct act_pair - a chunk of activations, the same in both halves of each vector */
struct act_pair {
	__m512i q[8];
	__m512 d;
	const struct act8 *a;
};

KERN_INLINE __m512i load_twice(const void *p)
{
	return _mm512_broadcast_i64x4(_mm256_load_si256(p));
}

KERN_INLINE void act_load(struct act_pair *ret, const struct act8 *a)
{
	for (int j = 0; j < 8; j++)
		ret->q[j] = load_twice(a->q[j]);
	ret->d = _mm512_castsi512_ps(load_twice(a->d));
	ret->a = a;
}

KERN_INLINE __m512 add_scaled(__m512 acc, __m512i sum, __m512 d, __m512 d_act)
{
	return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, d_act), acc);
}

/** chunk_apply() - acc plus what this chunk gives, in the order of cpu.h */
KERN_INLINE __m512 chunk_apply(enum kern_type type, __m512 acc, const struct chunk *c,
			       const struct act_pair *a)
{
	__m512i neg = type_zero_shift(type) ? load_twice(a->a->neg) : _mm512_setzero_si512();

	if (type == KERN_Q6_K) {
		__m512i neg_low = load_twice(a->a->neg_low);
		__m512i low = dot_range(type, c, a->q, neg_low, 0, 4);
		__m512i high =
			dot_range(type, c, a->q, _mm512_sub_epi32(neg, neg_low), 4, 4);

		return add_scaled(add_scaled(acc, low, c->d, a->d), high, c->m, a->d);
	}
	acc = add_scaled(acc, dot_range(type, c, a->q, neg, 0, 8), c->d, a->d);
	if (type_has_min(type))
		acc = _mm512_fmadd_ps(c->m, _mm512_castsi512_ps(load_twice(a->a->s)), acc);
	return acc;
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

/* lanes of a pair of rows and one token */
KERN_INLINE __m512 pair_dot(enum kern_type type, const uint8_t *rows[2], const struct act8 *a,
			    uint32_t blocks)
{
	const uint32_t bytes = type_chunk_bytes(type, CHUNK_BLOCKS);
	__m512 acc = _mm512_setzero_ps();
	struct act_pair pair;
	struct chunk c;

	for (; blocks >= CHUNK_BLOCKS; blocks -= CHUNK_BLOCKS, a++) {
		kern_prefetch(rows[0], bytes);
		kern_prefetch(rows[1], bytes);
		chunk_decode(type, &c, rows, CHUNK_BLOCKS);
		act_load(&pair, a);
		acc = chunk_apply(type, acc, &c, &pair);
		rows[0] += bytes;
		rows[1] += bytes;
	}
	if (blocks) {
		kern_prefetch(rows[0], type_chunk_bytes(type, blocks));
		kern_prefetch(rows[1], type_chunk_bytes(type, blocks));
		chunk_decode(type, &c, rows, blocks);
		act_load(&pair, a);
		acc = chunk_apply(type, acc, &c, &pair);
	}
	return acc;
}

KERN_INLINE void mul_token(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			   uint32_t end, const struct act8 *a, float *y)
{
	__m512 lanes[MUL_PAIRS];
	const uint8_t *rows[2];

	for (uint32_t r = begin; r < end; r += MUL_ROWS) {
		uint32_t count = end - r < MUL_ROWS ? end - r : MUL_ROWS;

		for (uint32_t i = 0; i < MUL_PAIRS; i++) {
			if (2 * i < count) {
				pair_rows(rows, w, r + 2 * i, end);
				lanes[i] = pair_dot(type, rows, a, w->cols / 32);
			} else {
				lanes[i] = _mm512_setzero_ps();
			}
		}
		store_rows(y + r, lanes, count);
	}
}

KERN_INLINE void panel_decode(enum kern_type type, struct chunk *panel, const uint8_t *rows[2],
			      uint32_t blocks)
{
	const uint32_t bytes = type_chunk_bytes(type, CHUNK_BLOCKS);

	for (; blocks >= CHUNK_BLOCKS; blocks -= CHUNK_BLOCKS) {
		kern_prefetch(rows[0], bytes);
		kern_prefetch(rows[1], bytes);
		chunk_decode(type, panel++, rows, CHUNK_BLOCKS);
		rows[0] += bytes;
		rows[1] += bytes;
	}
	if (blocks)
		chunk_decode(type, panel, rows, blocks);
}

/* @pairs pairs of rows of a panel and @tokens tokens, both constants */
KERN_INLINE void panel_tile(enum kern_type type, const struct chunk *panel, uint32_t chunks,
			    const uint8_t *act, size_t act_stride, int pairs, int tokens,
			    __m512 lanes[][MUL_PAIRS])
{
	__m512 acc[2][MUL_TOKENS];
	struct act_pair pair;

	for (int p = 0; p < pairs; p++)
		for (int t = 0; t < tokens; t++)
			acc[p][t] = _mm512_setzero_ps();
	for (uint32_t c = 0; c < chunks; c++) {
		for (int t = 0; t < tokens; t++) {
			act_load(&pair, (const struct act8 *)(act + t * act_stride) + c);
			for (int p = 0; p < pairs; p++)
				acc[p][t] = chunk_apply(type, acc[p][t], &panel[p * chunks + c],
							&pair);
		}
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
		panel_tile(type, panel + (size_t)i * chunks, chunks, act, act_stride, 2, tokens,
			   (__m512(*)[MUL_PAIRS]) & lanes[0][i]);
	if (i < pairs)
		panel_tile(type, panel + (size_t)i * chunks, chunks, act, act_stride, 1, tokens,
			   (__m512(*)[MUL_PAIRS]) & lanes[0][i]);
	for (int t = 0; t < tokens; t++) {
		for (i = pairs; i < MUL_PAIRS; i++)
			lanes[t][i] = _mm512_setzero_ps();
		store_rows(y + t * y_stride, lanes[t], count);
	}
}

/* rows of a panel: as many as fit, at best all whose sums are stored together */
KERN_INLINE uint32_t panel_rows(uint32_t chunks)
{
	return PANEL_CHUNKS / chunks >= MUL_PAIRS ? MUL_ROWS : PANEL_CHUNKS / chunks * 2;
}

KERN_INLINE void mul_tokens(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			    uint32_t end, const uint8_t *act, size_t act_stride, uint32_t tokens,
			    float *y, size_t y_stride)
{
	const uint32_t chunks = (w->cols + 32 * CHUNK_BLOCKS - 1) / (32 * CHUNK_BLOCKS);
	const uint32_t rows = panel_rows(chunks);
	struct chunk panel[PANEL_CHUNKS];
	const uint8_t *pair[2];

	for (uint32_t r = begin; r < end; r += rows) {
		uint32_t count = end - r < rows ? end - r : rows, t = 0;

		for (uint32_t i = 0; i < count; i += 2) {
			pair_rows(pair, w, r + i, end);
			panel_decode(type, panel + i / 2 * chunks, pair, w->cols / 32);
		}
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
	if (tokens > 1 && w->cols && w->cols <= PANEL_CHUNKS * CHUNK_BLOCKS * 32) {
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

#endif /* LLMOS_KERNELS_MUL_AVX512_H */
