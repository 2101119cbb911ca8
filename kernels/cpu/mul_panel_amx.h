/* SPDX-License-Identifier: MIT */
/*
 * Panels of 16 rows times activations in plain order, on tiles: a multiplication gives the sums of
 * a block for 16 tokens and 16 rows. They are whole numbers, and are scaled and added in the order
 * of mul_panel_avx512vnni.h: the same bits. So what does not fill a tile, less than 16 tokens, is
 * left to that.
 */
#ifndef LLMOS_KERNELS_MUL_PANEL_AMX_H
#define LLMOS_KERNELS_MUL_PANEL_AMX_H

#include "kernels/cpu/amx.h"
#include "kernels/cpu/mul_panel_avx512vnni.h"

#define AMX_TOKENS	AMX_ROWS

/* sums of even and of odd blocks: one is multiplied while the other is added */
#define SUMS_EVEN	0
#define SUMS_ODD	1
#define TOKENS		2
#define WEIGHTS		3

/** struct block_sums - of a block, or of its halves where they have scales of their own */
struct block_sums {
	__m512i token[2][AMX_TOKENS];
};

KERN_INLINE int block_parts(enum kern_type type)
{
	return type == KERN_Q6_K || type_has_halves(type) ? 2 : 1;
}

static void tiles_configure(int parts)
{
	struct amx_config c = {.palette = AMX_PALETTE};

	for (int i = SUMS_EVEN; i <= TOKENS; i++) {
		c.rows[i] = AMX_TOKENS;
		c.row_bytes[i] = AMX_ROW_BYTES;
	}
	c.row_bytes[TOKENS] = (uint16_t)(32 / parts);
	c.rows[WEIGHTS] = (uint8_t)(8 / parts);
	c.row_bytes[WEIGHTS] = AMX_ROW_BYTES;
	amx_configure(&c);
}

/* one product for all: weights without their zero point are signed as the activations are */
KERN_INLINE void take_zero_point(enum kern_type type, void *unpacked, uint32_t blocks)
{
	const __m512i zero = _mm512_set1_epi8((char)(1 << panel_zero_shift(type)));

	if (!panel_zero_shift(type))
		return;
	for (uint32_t i = 0; i < blocks; i++) {
		struct unpacked *u = unpacked_at(type, unpacked, i);

		for (int j = 0; j < 8; j++)
			u->q[j] = _mm512_sub_epi8(u->q[j], zero);
	}
}

#define BLOCK_DOT(tile, sums, x, w, stride)                                                        \
	do {                                                                                       \
		amx_zero(tile);                                                                    \
		amx_load(TOKENS, x, stride);                                                       \
		amx_load(WEIGHTS, w, AMX_ROW_BYTES);                                               \
		amx_dot_s8(tile, TOKENS, WEIGHTS);                                                 \
		amx_store(tile, sums, sizeof(__m512i));                                            \
	} while (0)

/* @x: 32 activations of the first token */
KERN_INLINE void block_dot(enum kern_type type, struct block_sums *sums, const int8_t *x,
			   size_t stride, const struct unpacked *u, bool odd)
{
	const int parts = block_parts(type);

	for (int part = 0; part < parts; part++) {
		if (odd)
			BLOCK_DOT(SUMS_ODD, sums->token[part], x + 16 * part, u->q + 4 * part,
				  stride);
		else
			BLOCK_DOT(SUMS_EVEN, sums->token[part], x + 16 * part, u->q + 4 * part,
				  stride);
	}
}

/* acc plus a block, in the order of block_apply(); @a: the first token's chunk */
KERN_INLINE void block_scale(enum kern_type type, __m512 acc[AMX_TOKENS],
			     const struct block_sums *sums, const struct act_plain *a,
			     size_t stride, const struct unpacked *u, uint32_t lane)
{
#pragma GCC unroll 16
	for (int t = 0; t < AMX_TOKENS; t++) {
		const struct act_plain *at =
			(const struct act_plain *)((const uint8_t *)a + t * stride);
		const __m512 d_act = _mm512_set1_ps(at->d[lane]);

		__m512i sum = sums->token[0][t];

		if (type_has_halves(type))
			sum = halves_times(sum, sums->token[1][t], u->pairs);
		acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(u->d, d_act),
					 acc[t]);
		if (type == KERN_Q2_K) {
			sum = _mm512_dpwssd_epi32(_mm512_setzero_si512(), u->minima,
						  act_halves(at, lane));
			acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum),
						 _mm512_mul_ps(u->m, d_act), acc[t]);
		}
		if (type == KERN_Q6_K)
			acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums->token[1][t]),
						 _mm512_mul_ps(u->m, d_act), acc[t]);
		if (type_has_min(type))
			acc[t] = _mm512_fmadd_ps(u->m, _mm512_set1_ps(at->s[lane]), acc[t]);
	}
}

/* one lane of cpu.h, from @count blocks */
KERN_INLINE void lane_add(enum kern_type type, __m512 acc[AMX_TOKENS], const void *blocks,
			  uint32_t count, const uint8_t *act, size_t stride, uint32_t lane)
{
	const struct act_plain *a = (const struct act_plain *)act;
	struct block_sums sums[2];

#pragma GCC unroll 16
	for (int t = 0; t < AMX_TOKENS; t++)
		acc[t] = _mm512_setzero_ps();
	if (count)
		block_dot(type, &sums[0], a->q + 32 * lane, stride, unpacked_at(type, blocks, 0),
			  false);
	for (uint32_t i = 0; i < count; i++) {
		if (i + 1 < count)
			block_dot(type, &sums[(i + 1) % 2], a[i + 1].q + 32 * lane, stride,
				  unpacked_at(type, blocks, i + 1), (i + 1) % 2);
		block_scale(type, acc, &sums[i % 2], a + i, stride,
			    unpacked_at(type, blocks, i), lane);
	}
}

/* 16 tokens of one panel: the lanes in the order in which they are added, as in tile() */
KERN_INLINE void tokens_mul(enum kern_type type, const void *unpacked, uint32_t blocks,
			    const uint8_t *act, size_t stride, float *y, size_t y_stride,
			    __mmask16 rows)
{
	static const uint8_t order[PANEL_BLOCKS] = {0, 4, 2, 6, 1, 5, 3, 7};
	__m512 acc[AMX_TOKENS], waiting[3][AMX_TOKENS];

	for (uint32_t i = 0; i < PANEL_BLOCKS; i++) {
		uint32_t first = 0, depth = 0;

		for (uint32_t b = 0; b < order[i]; b++)
			first += lane_blocks(blocks, b);
		lane_add(type, acc, unpacked_at(type, unpacked, first),
			 lane_blocks(blocks, order[i]), act, stride, order[i]);
		for (; i >> depth & 1; depth++)
			for (int t = 0; t < AMX_TOKENS; t++)
				acc[t] = _mm512_add_ps(waiting[depth][t], acc[t]);
		for (int t = 0; t < AMX_TOKENS && depth < 3; t++)
			waiting[depth][t] = acc[t];
	}
	for (int t = 0; t < AMX_TOKENS; t++)
		_mm512_mask_storeu_ps(y + (size_t)t * y_stride, rows, acc[t]);
}

/* @tokens: a multiple of AMX_TOKENS */
KERN_INLINE void mul_tiles(enum kern_type type, const struct kern_weights *w, uint32_t begin,
			   uint32_t end, const uint8_t *act, size_t stride, uint32_t tokens,
			   float *y, size_t y_stride)
{
	const uint32_t blocks = w->cols / 32;
	__m512i unpacked[UNPACKED_BYTES / sizeof(__m512i)];

	tiles_configure(block_parts(type));
	for (uint32_t row = begin / 16 * 16; row < end; row += 16) {
		const __mmask16 rows = panel_rows(row, begin, end);

		unpack_panel(type, unpacked, panel_at(w, row), blocks);
		take_zero_point(type, unpacked, blocks);
		for (uint32_t t = 0; t < tokens; t += AMX_TOKENS)
			tokens_mul(type, unpacked, blocks, act + t * stride, stride,
				   y + t * y_stride + row, y_stride, rows);
	}
	amx_release();
}

/* how many of so many tokens fill tiles; none where a panel is too long to be unpacked */
KERN_INLINE uint32_t whole_tokens(enum kern_type type, const struct kern_weights *w,
				  uint32_t tokens)
{
	const size_t bytes = (size_t)(w->cols / 32) * unpacked_bytes(type);

	return bytes <= UNPACKED_BYTES ? tokens / AMX_TOKENS * AMX_TOKENS : 0;
}

/* not inlined: its stack is free again when the rest is multiplied, which needs as much */
#define KERN_DEFINE_MUL_PANEL_AMX(lower, upper)                                                    \
	static __attribute__((noinline)) void mul_tiles_##lower(                                   \
		const struct kern_weights *w, uint32_t row_begin, uint32_t row_end,                \
		const void *act, size_t act_stride, uint32_t tokens, float *y, size_t y_stride)    \
	{                                                                                          \
		mul_tiles(KERN_##upper, w, row_begin, row_end, act, act_stride, tokens, y,         \
			  y_stride);                                                               \
	}                                                                                          \
                                                                                                   \
	void kern_mul_panel_##lower##_amx(const struct kern_weights *w, uint32_t row_begin,        \
					  uint32_t row_end, const void *act, size_t act_stride,    \
					  uint32_t tokens, float *y, size_t y_stride)              \
	{                                                                                          \
		const uint32_t whole = whole_tokens(KERN_##upper, w, tokens);                      \
                                                                                                   \
		if (whole)                                                                         \
			mul_tiles_##lower(w, row_begin, row_end, act, act_stride, whole, y,        \
					  y_stride);                                               \
		if (whole < tokens)                                                                \
			kern_mul_panel_##lower##_avx512vnni(                                       \
				w, row_begin, row_end,                                             \
				(const uint8_t *)act + whole * act_stride, act_stride,             \
				tokens - whole, y + whole * y_stride, y_stride);                   \
	}

#endif /* LLMOS_KERNELS_MUL_PANEL_AMX_H */
