/* SPDX-License-Identifier: MIT */
/*
 * Panels of 16 rows (panel.h) times activations in plain order, for a type that is known when this
 * is compiled: one product of bytes takes four columns of 16 rows, and the sums of a block end in
 * the rows' lanes. What cpu.h calls lane b % 8 of an output is a vector of its own here, so the
 * order of every sum, and with it every bit, is that of the other tables.
 *
 * Few tokens: all eight vectors of each are at hand and weights are used as they come from memory.
 * Some, as many as there are streams: these vectors are in the first-level cache, and a block is
 * unpacked into registers for all of them. Many: a panel is unpacked into memory, sorted by b % 8,
 * and tiles of tokens go over it with one sum each.
 */
#ifndef LLMOS_KERNELS_MUL_PANEL_AVX512VNNI_H
#define LLMOS_KERNELS_MUL_PANEL_AVX512VNNI_H

#include "kernels/cpu/chunk_panel_avx512.h"

#define FEW_TOKENS	2
#define TILE_TOKENS	8	/* of one panel, half as many of two */
#define TILE_PANELS	2
#define SOME_TOKENS	16	/* whose sums of a panel are kept at once */
#define SOME_MOST	(2 * SOME_TOKENS)
#define SOME_AHEAD	2048	/* bytes of a panel, asked for while a block is multiplied */
#define UNPACKED_BYTES	(640 * 512)	/* of stack: 16384 columns, of Q2_K and Q3_K 13632 */

/* ---- a block ---- */

/* minus the sums of a block's activations, times the zero point; @part: see block_add() */
KERN_INLINE __m512i block_start(enum kern_type type, const struct act_plain *a, uint32_t b,
				int part)
{
	const int32_t neg = part ? a->neg_halves[b][part - 1] : a->neg[b];

	if (!panel_zero_shift(type))
		return _mm512_setzero_si512();
	return _mm512_slli_epi32(_mm512_set1_epi32(neg), (unsigned int)panel_zero_shift(type));
}

KERN_INLINE __m512i act_dword(const struct act_plain *a, uint32_t b, int j)
{
	int32_t v;

	memcpy(&v, a->q + 32 * b + 4 * j, sizeof(v));
	return _mm512_set1_epi32(v);
}

/** struct tile_block - a block of one panel: its eight groups, scales and what else there is */
struct tile_block {
	const __m512i *q;
	__m512 d;
	__m512 m;
	__m512i pairs;
	__m512i minima;
};

/* sums of groups [from, to) of block @b, from block_start() on; each vector is loaded once */
KERN_INLINE void block_sums(enum kern_type type, __m512i sums[][TILE_TOKENS],
			    const struct tile_block w[], const struct act_plain *const a[],
			    uint32_t b, int part, int panels, int tokens)
{
	const int from = part == 2 ? 4 : 0, to = part == 1 ? 4 : 8;

#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++)
#pragma GCC unroll 2
		for (int p = 0; p < panels; p++)
			sums[p][t] = block_start(type, a[t], b, part);
#pragma GCC unroll 8
	for (int j = from; j < to; j++) {
		__m512i v[TILE_PANELS];

#pragma GCC unroll 2
		for (int p = 0; p < panels; p++)
			v[p] = w[p].q[j];
#pragma GCC unroll 8
		for (int t = 0; t < tokens; t++) {
			const __m512i x = act_dword(a[t], b, j);

#pragma GCC unroll 2
			for (int p = 0; p < panels; p++)
				sums[p][t] = _mm512_dpbusd_epi32(sums[p][t], v[p], x);
		}
	}
}

/*
 * acc plus groups of block @b of @panels panels and @tokens tokens, both constants; @part: 0: of
 * the block, 1: of its first half, 2: of the second, whose scale is @m
 */
KERN_INLINE void block_add(enum kern_type type, __m512 acc[][TILE_TOKENS],
			   const struct tile_block w[], const struct act_plain *const a[],
			   uint32_t b, int part, int panels, int tokens)
{
	__m512i sums[TILE_PANELS][TILE_TOKENS];

	block_sums(type, sums, w, a, b, part, panels, tokens);
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++) {
		const __m512 d_act = _mm512_set1_ps(a[t]->d[b]);

#pragma GCC unroll 2
		for (int p = 0; p < panels; p++)
			acc[p][t] = _mm512_fmadd_ps(
				_mm512_cvtepi32_ps(sums[p][t]),
				_mm512_mul_ps(part == 2 ? w[p].m : w[p].d, d_act), acc[p][t]);
	}
}

/* sums of halves times their scales; within 16 * 127 * 4, so 16 bits hold each */
KERN_INLINE __m512i halves_times(__m512i first, __m512i second, __m512i pairs)
{
	const __m512i both = _mm512_mask_blend_epi16(0xaaaaaaaa, first,
						     _mm512_slli_epi32(second, 16));

	return _mm512_dpwssd_epi32(_mm512_setzero_si512(), both, pairs);
}

/* minus the sums of both halves' activations, 16 bits each */
KERN_INLINE __m512i act_halves(const struct act_plain *a, uint32_t b)
{
	int32_t v;

	memcpy(&v, a->neg_halves[b], sizeof(v));
	return _mm512_set1_epi32(v);
}

/* acc plus block @b, whose halves have whole scales */
KERN_INLINE void block_add_halves(enum kern_type type, __m512 acc[][TILE_TOKENS],
				  const struct tile_block w[], const struct act_plain *const a[],
				  uint32_t b, int panels, int tokens)
{
	__m512i first[TILE_PANELS][TILE_TOKENS], second[TILE_PANELS][TILE_TOKENS];

	block_sums(type, first, w, a, b, 1, panels, tokens);
	block_sums(type, second, w, a, b, 2, panels, tokens);
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++) {
		const __m512 d_act = _mm512_set1_ps(a[t]->d[b]);

#pragma GCC unroll 2
		for (int p = 0; p < panels; p++) {
			acc[p][t] = _mm512_fmadd_ps(
				_mm512_cvtepi32_ps(
					halves_times(first[p][t], second[p][t], w[p].pairs)),
				_mm512_mul_ps(w[p].d, d_act), acc[p][t]);
			if (type != KERN_Q2_K)
				continue;
			acc[p][t] = _mm512_fmadd_ps(
				_mm512_cvtepi32_ps(_mm512_dpwssd_epi32(_mm512_setzero_si512(),
								       w[p].minima,
								       act_halves(a[t], b))),
				_mm512_mul_ps(w[p].m, d_act), acc[p][t]);
		}
	}
}

/* acc plus block @b of a chunk of activations, in the order of cpu.h */
KERN_INLINE void block_apply(enum kern_type type, __m512 acc[][TILE_TOKENS],
			     const struct tile_block w[], const struct act_plain *const a[],
			     uint32_t b, int panels, int tokens)
{
	if (type == KERN_Q6_K) {
		block_add(type, acc, w, a, b, 1, panels, tokens);
		block_add(type, acc, w, a, b, 2, panels, tokens);
		return;
	}
	if (type_has_halves(type)) {
		block_add_halves(type, acc, w, a, b, panels, tokens);
		return;
	}
	block_add(type, acc, w, a, b, 0, panels, tokens);
	if (!type_has_min(type))
		return;
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++) {
		const __m512 s = _mm512_set1_ps(a[t]->s[b]);

#pragma GCC unroll 2
		for (int p = 0; p < panels; p++)
			acc[p][t] = _mm512_fmadd_ps(w[p].m, s, acc[p][t]);
	}
}

/* @a: chunk @chunk of each of @tokens tokens */
KERN_INLINE void acts_at(const struct act_plain *a[], const uint8_t *act, size_t stride,
			 uint32_t chunk, int tokens)
{
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++)
		a[t] = (const struct act_plain *)(act + (size_t)t * stride) + chunk;
}

/* ---- few tokens ---- */

KERN_INLINE struct tile_block block_with(enum kern_type type, const __m512i *q,
					 const struct panel_scales *s, uint32_t b)
{
	struct tile_block w = {.q = q, .d = s->d[b]};

	if (panel_has_m(type))
		w.m = s->m[b];
	if (type_has_halves(type))
		w.pairs = s->pairs[b];
	if (type == KERN_Q2_K)
		w.minima = s->minima[b];
	return w;
}

/* @blocks of a chunk: a constant, or fewer than it has; @acc: by block, one panel */
KERN_INLINE void few_chunk(enum kern_type type, __m512 acc[][1][TILE_TOKENS], const uint8_t *panel,
			   uint32_t blocks, const uint8_t *act, size_t stride, int tokens)
{
	const uint8_t *quants = panel + panel_scale_bytes(type, blocks);
	const struct act_plain *a[TILE_TOKENS];
	struct panel_scales s;

	acts_at(a, act, stride, 0, tokens);
	panel_scales_load(type, &s, panel, blocks);
#pragma GCC unroll 8
	for (uint32_t b = 0; b < PANEL_BLOCKS; b++) {
		struct tile_block w;
		__m512i q[8];

		if (b >= blocks)
			break;
		panel_quants(type, q, quants + b * panel_quant_bytes(type));
		w = block_with(type, q, &s, b);
		block_apply(type, acc[b], &w, a, b, 1, tokens);
	}
}

/* lanes, one for each block of a chunk, added as in cpu.h */
KERN_INLINE __m512 add_lanes(const __m512 l[PANEL_BLOCKS])
{
	__m512 a = _mm512_add_ps(l[0], l[4]), b = _mm512_add_ps(l[2], l[6]);
	__m512 c = _mm512_add_ps(l[1], l[5]), d = _mm512_add_ps(l[3], l[7]);

	return _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d));
}

KERN_INLINE __m512 few_reduce(__m512 acc[][1][TILE_TOKENS], int t)
{
	const __m512 lanes[PANEL_BLOCKS] = {
		acc[0][0][t], acc[1][0][t], acc[2][0][t], acc[3][0][t],
		acc[4][0][t], acc[5][0][t], acc[6][0][t], acc[7][0][t],
	};

	return add_lanes(lanes);
}

/* one panel; @y: of its first row; @tokens: a constant */
KERN_INLINE void few_tokens(enum kern_type type, const uint8_t *panel, uint32_t blocks,
			    const uint8_t *act, size_t stride, int tokens, float *y,
			    size_t y_stride, __mmask16 rows)
{
	__m512 acc[PANEL_BLOCKS][1][TILE_TOKENS];

#pragma GCC unroll 8
	for (int b = 0; b < PANEL_BLOCKS; b++)
#pragma GCC unroll 8
		for (int t = 0; t < tokens; t++)
			acc[b][0][t] = _mm512_setzero_ps();
	for (; blocks >= PANEL_BLOCKS; blocks -= PANEL_BLOCKS) {
		few_chunk(type, acc, panel, PANEL_BLOCKS, act, stride, tokens);
		panel += panel_chunk_bytes(type, PANEL_BLOCKS);
		act += sizeof(struct act_plain);
	}
	if (blocks && !type_is_super(type))
		few_chunk(type, acc, panel, blocks, act, stride, tokens);
#pragma GCC unroll 8
	for (int t = 0; t < tokens; t++)
		_mm512_mask_storeu_ps(y + (size_t)t * y_stride, rows, few_reduce(acc, t));
}

/* ---- some tokens ---- */

/* acc plus a block, for @count tokens, a constant */
KERN_INLINE void some_add(enum kern_type type, __m512 acc[], const struct tile_block *w,
			  const uint8_t *act, size_t stride, uint32_t b, int count)
{
	const struct act_plain *a[TILE_TOKENS];
	__m512 sums[1][TILE_TOKENS];

	acts_at(a, act, stride, 0, count);
#pragma GCC unroll 8
	for (int t = 0; t < count; t++)
		sums[0][t] = acc[t];
	block_apply(type, sums, w, a, b, 1, count);
#pragma GCC unroll 8
	for (int t = 0; t < count; t++)
		acc[t] = sums[0][t];
}

/* @blocks of a chunk of one panel; @acc: by block */
KERN_INLINE void some_chunk(enum kern_type type, __m512 acc[][SOME_TOKENS], const uint8_t *panel,
			    uint32_t blocks, const uint8_t *act, size_t stride, uint32_t tokens)
{
	const uint8_t *quants = panel + panel_scale_bytes(type, blocks);
	struct panel_scales s;

	panel_scales_load(type, &s, panel, blocks);
	for (uint32_t b = 0; b < blocks; b++) {
		struct tile_block w;
		__m512i q[8];
		uint32_t t = 0;

		kern_prefetch_at((uintptr_t)quants + b * panel_quant_bytes(type) + SOME_AHEAD,
				 panel_quant_bytes(type));
		panel_quants(type, q, quants + b * panel_quant_bytes(type));
		w = block_with(type, q, &s, b);
		for (; t + TILE_TOKENS <= tokens; t += TILE_TOKENS)
			some_add(type, acc[b] + t, &w, act + t * stride, stride, b, TILE_TOKENS);
		if (tokens & 4) {
			some_add(type, acc[b] + t, &w, act + t * stride, stride, b, 4);
			t += 4;
		}
		if (tokens & 2) {
			some_add(type, acc[b] + t, &w, act + t * stride, stride, b, 2);
			t += 2;
		}
		if (tokens & 1)
			some_add(type, acc[b] + t, &w, act + t * stride, stride, b, 1);
	}
}

KERN_INLINE __m512 some_reduce(__m512 acc[][SOME_TOKENS], uint32_t t)
{
	const __m512 lanes[PANEL_BLOCKS] = {
		acc[0][t], acc[1][t], acc[2][t], acc[3][t],
		acc[4][t], acc[5][t], acc[6][t], acc[7][t],
	};

	return add_lanes(lanes);
}

/* one panel and up to SOME_TOKENS tokens; @y: of its first row */
KERN_INLINE void some_tokens(enum kern_type type, const uint8_t *panel, uint32_t blocks,
			     const uint8_t *act, size_t stride, uint32_t tokens, float *y,
			     size_t y_stride, __mmask16 rows)
{
	__m512 acc[PANEL_BLOCKS][SOME_TOKENS];

	for (int b = 0; b < PANEL_BLOCKS; b++)
		for (uint32_t t = 0; t < tokens; t++)
			acc[b][t] = _mm512_setzero_ps();
	for (; blocks >= PANEL_BLOCKS; blocks -= PANEL_BLOCKS) {
		some_chunk(type, acc, panel, PANEL_BLOCKS, act, stride, tokens);
		panel += panel_chunk_bytes(type, PANEL_BLOCKS);
		act += sizeof(struct act_plain);
	}
	if (blocks && !type_is_super(type))
		some_chunk(type, acc, panel, blocks, act, stride, tokens);
	for (uint32_t t = 0; t < tokens; t++)
		_mm512_mask_storeu_ps(y + (size_t)t * y_stride, rows, some_reduce(acc, t));
}

/* ---- many tokens ---- */

/** struct unpacked - a block of a panel in memory; from @m on only what its type has */
struct unpacked {
	__m512i q[8];
	__m512 d;
	__m512 m;
	__m512i pairs;
	__m512i minima;
};

KERN_INLINE uint32_t unpacked_bytes(enum kern_type type)
{
	if (type_has_halves(type))
		return sizeof(struct unpacked);
	return panel_has_m(type) ? offsetof(struct unpacked, pairs) : offsetof(struct unpacked, m);
}

KERN_INLINE struct unpacked *unpacked_at(enum kern_type type, const void *blocks, size_t i)
{
	return (struct unpacked *)((uint8_t *)(uintptr_t)blocks + i * unpacked_bytes(type));
}

KERN_INLINE struct tile_block block_of(enum kern_type type, const struct unpacked *u)
{
	struct tile_block w = {.q = u->q, .d = u->d};

	if (panel_has_m(type))
		w.m = u->m;
	if (type_has_halves(type))
		w.pairs = u->pairs;
	if (type == KERN_Q2_K)
		w.minima = u->minima;
	return w;
}

/* how many of so many blocks are the @lane-th of their chunk */
KERN_INLINE uint32_t lane_blocks(uint32_t blocks, uint32_t lane)
{
	return (blocks + PANEL_BLOCKS - 1 - lane) / PANEL_BLOCKS;
}

/* a panel into @to: all first blocks of chunks, all second ones, ... */
KERN_INLINE void unpack_panel(enum kern_type type, void *to, const uint8_t *panel, uint32_t blocks)
{
	uint32_t first[PANEL_BLOCKS], n;

	first[0] = 0;
	for (uint32_t b = 1; b < PANEL_BLOCKS; b++)
		first[b] = first[b - 1] + lane_blocks(blocks, b - 1);
	for (uint32_t c = 0; c * PANEL_BLOCKS < blocks; c++) {
		const uint8_t *quants;
		struct panel_scales s;

		n = blocks - c * PANEL_BLOCKS;
		if (type_is_super(type) || n > PANEL_BLOCKS)
			n = PANEL_BLOCKS;
		quants = panel + panel_scale_bytes(type, n);
		panel_scales_load(type, &s, panel, n);
		for (uint32_t b = 0; b < n; b++) {
			struct unpacked *u = unpacked_at(type, to, first[b] + c);

			panel_quants(type, u->q, quants + b * panel_quant_bytes(type));
			u->d = s.d[b];
			if (panel_has_m(type))
				u->m = s.m[b];
			if (type_has_halves(type))
				u->pairs = s.pairs[b];
			if (type == KERN_Q2_K)
				u->minima = s.minima[b];
		}
		panel += panel_chunk_bytes(type, n);
	}
}

/*
 * One lane of cpu.h of the outputs of @panels panels and @tokens tokens, both constants, from
 * @count blocks of each panel; panels are @distance blocks apart.
 */
KERN_INLINE void tile_lane(enum kern_type type, __m512 acc[][TILE_TOKENS], const void *blocks,
			   size_t distance, uint32_t count, const uint8_t *act, size_t stride,
			   uint32_t lane, int panels, int tokens)
{
	const struct act_plain *a[TILE_TOKENS];

	for (int p = 0; p < panels; p++)
		for (int t = 0; t < tokens; t++)
			acc[p][t] = _mm512_setzero_ps();
	for (uint32_t i = 0; i < count; i++) {
		struct tile_block w[TILE_PANELS];

		acts_at(a, act, stride, i, tokens);
#pragma GCC unroll 2
		for (int p = 0; p < panels; p++) {
			const struct unpacked *u = unpacked_at(type, blocks, i + p * distance);

			w[p] = block_of(type, u);
		}
		block_apply(type, acc, w, a, lane, panels, tokens);
	}
}

/* the lanes in the order in which they are added: 0 + 4, 2 + 6, the sum of those, ... */
KERN_INLINE void tile(enum kern_type type, const void *unpacked, uint32_t blocks,
		      const uint8_t *act, size_t stride, int panels, int tokens, float *y,
		      size_t y_stride, const __mmask16 rows[])
{
	static const uint8_t order[PANEL_BLOCKS] = {0, 4, 2, 6, 1, 5, 3, 7};
	__m512 acc[TILE_PANELS][TILE_TOKENS], waiting[3][TILE_PANELS][TILE_TOKENS];

	for (uint32_t i = 0; i < PANEL_BLOCKS; i++) {
		const uint32_t lane = order[i];
		uint32_t first = 0, depth = 0;

		for (uint32_t b = 0; b < lane; b++)
			first += lane_blocks(blocks, b);
		tile_lane(type, acc, unpacked_at(type, unpacked, first), blocks,
			  lane_blocks(blocks, lane), act, stride, lane, panels, tokens);
		for (; i >> depth & 1; depth++)
			for (int p = 0; p < panels; p++)
				for (int t = 0; t < tokens; t++)
					acc[p][t] = _mm512_add_ps(waiting[depth][p][t], acc[p][t]);
		for (int p = 0; p < panels && depth < 3; p++)
			for (int t = 0; t < tokens; t++)
				waiting[depth][p][t] = acc[p][t];
	}
	for (int p = 0; p < panels; p++)
		for (int t = 0; t < tokens; t++)
			_mm512_mask_storeu_ps(y + (size_t)t * y_stride + p * KERN_PANEL_ROWS,
					      rows[p], acc[p][t]);
}

KERN_INLINE void many_tokens(enum kern_type type, const void *unpacked, uint32_t blocks,
			     const uint8_t *act, size_t stride, uint32_t tokens, int panels,
			     float *y, size_t y_stride, const __mmask16 rows[])
{
	const uint32_t wide = panels == 1 ? TILE_TOKENS : TILE_TOKENS / 2;
	uint32_t t = 0;

	for (; t + wide <= tokens; t += wide)
		tile(type, unpacked, blocks, act + t * stride, stride, panels, (int)wide,
		     y + t * y_stride, y_stride, rows);
	for (; t < tokens; t++)
		tile(type, unpacked, blocks, act + t * stride, stride, panels, 1, y + t * y_stride,
		     y_stride, rows);
}

/* ---- matrices ---- */

/* which of the 16 rows from @row on lie in [begin, end) */
KERN_INLINE __mmask16 panel_rows(uint32_t row, uint32_t begin, uint32_t end)
{
	uint32_t mask = low_mask(end - row);

	if (begin > row)
		mask &= ~low_mask(begin - row);
	return (__mmask16)mask;
}

KERN_INLINE const uint8_t *panel_at(const struct kern_weights *w, uint32_t row)
{
	return (const uint8_t *)w->data + row * w->row_bytes;
}

/* @tokens: FEW_TOKENS, which are two, or one */
KERN_INLINE void mul_few(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			 uint32_t end, const uint8_t *act, size_t stride, uint32_t tokens,
			 float *y, size_t y_stride)
{
	const uint32_t blocks = w->cols / 32;

	for (uint32_t row = begin / 16 * 16; row < end; row += 16) {
		const __mmask16 rows = panel_rows(row, begin, end);

		if (tokens == FEW_TOKENS)
			few_tokens(type, panel_at(w, row), blocks, act, stride, FEW_TOKENS,
				   y + row, y_stride, rows);
		else if (tokens)
			few_tokens(type, panel_at(w, row), blocks, act, stride, 1, y + row,
				   y_stride, rows);
	}
}

KERN_INLINE void mul_some(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			  uint32_t end, const uint8_t *act, size_t stride, uint32_t tokens,
			  float *y, size_t y_stride)
{
	for (uint32_t row = begin / 16 * 16; row < end; row += 16) {
		const __mmask16 rows = panel_rows(row, begin, end);

		for (uint32_t t = 0; t < tokens; t += SOME_TOKENS)
			some_tokens(type, panel_at(w, row), w->cols / 32, act + t * stride, stride,
				    tokens - t < SOME_TOKENS ? tokens - t : SOME_TOKENS,
				    y + t * y_stride + row, y_stride, rows);
	}
}

KERN_INLINE void mul_many(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			  uint32_t end, const uint8_t *act, size_t stride, uint32_t tokens,
			  float *y, size_t y_stride)
{
	const uint32_t blocks = w->cols / 32;
	const bool both = (size_t)blocks * 2 * unpacked_bytes(type) <= UNPACKED_BYTES;
	__m512i unpacked[UNPACKED_BYTES / sizeof(__m512i)];

	for (uint32_t row = begin / 16 * 16, panels; row < end; row += 16 * panels) {
		__mmask16 rows[TILE_PANELS];

		panels = both && row + 16 < end ? 2 : 1;
		for (uint32_t p = 0; p < panels; p++) {
			rows[p] = panel_rows(row + 16 * p, begin, end);
			unpack_panel(type, unpacked_at(type, unpacked, (size_t)p * blocks),
				     panel_at(w, row + 16 * p), blocks);
		}
		if (panels == 2)
			many_tokens(type, unpacked, blocks, act, stride, tokens, 2, y + row,
				    y_stride, rows);
		else
			many_tokens(type, unpacked, blocks, act, stride, tokens, 1, y + row,
				    y_stride, rows);
	}
}

KERN_INLINE void mul_panels(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			    uint32_t end, const uint8_t *act, size_t stride, uint32_t tokens,
			    float *y, size_t y_stride)
{
	const bool fits = (size_t)(w->cols / 32) * unpacked_bytes(type) <= UNPACKED_BYTES;

	if (tokens <= FEW_TOKENS)
		mul_few(type, w, begin, end, act, stride, tokens, y, y_stride);
	else if (tokens <= SOME_MOST || !fits)
		mul_some(type, w, begin, end, act, stride, tokens, y, y_stride);
	else
		mul_many(type, w, begin, end, act, stride, tokens, y, y_stride);
}

#define KERN_DEFINE_MUL_PANEL(lower, upper)                                                        \
	void kern_mul_panel_##lower##_avx512vnni(                                                  \
		const struct kern_weights *w, uint32_t row_begin, uint32_t row_end,                \
		const void *act, size_t act_stride, uint32_t tokens, float *y, size_t y_stride)    \
	{                                                                                          \
		mul_panels(KERN_##upper, w, row_begin, row_end, act, act_stride, tokens, y,        \
			   y_stride);                                                              \
	}

#endif /* LLMOS_KERNELS_MUL_PANEL_AVX512VNNI_H */
