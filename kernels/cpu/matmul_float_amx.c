// SPDX-License-Identifier: MIT
/*
 * Matrix products of BF16 and F16 weights on tiles. Activations are in two parts of BF16, weights
 * of F16 too, so that no product is rounded to what BF16 holds; the product of the two lesser parts
 * is left out.
 *
 * Tiles of weights (pairs of columns, rows) are turned out of the matrix into the cache, for two
 * times 16 rows and BLOCK_COLS columns; then every token goes over them. Sums wait in y between
 * blocks of columns. Each (token, row) is one element of a tile, to which step after step of 32
 * columns is added in one order, whatever else is in the tile: one token is a tile of one row.
 */
#include "kernels/cpu/act_bf16.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/simd_avx512.h"

#define STEP_COLS	ACT_BF16_ELEMS	/* of a multiplication of tiles */
#define BLOCK_COLS	512
#define BLOCK_STEPS	(BLOCK_COLS / STEP_COLS)
#define BLOCK_ROWS	(2 * AMX_ROWS)
#define BLOCK_TOKENS	(2 * AMX_ROWS)

/* sums of the first and the second 16 tokens with the first and the second 16 rows */
#define SUM_00		0
#define SUM_01		1
#define SUM_10		2
#define SUM_11		3
#define TOKENS_0	4
#define TOKENS_1	5
#define ROWS_0		6
#define ROWS_1		7

/** struct weight_tile - pairs of columns of 16 rows, which lie beside each other */
struct weight_tile {
	__m512i pairs[AMX_ROWS];
};

/**
 * struct panel - a block of weights as tiles
 * @high: by half of the rows and step
 * @low: what F16 has besides; of BF16, not written
 */
struct panel {
	struct weight_tile high[2][BLOCK_STEPS];
	struct weight_tile low[2][BLOCK_STEPS];
};

/** struct block - tokens and rows that are multiplied at once */
struct block {
	const uint8_t *act;
	size_t act_stride;
	float *y;
	size_t y_stride;
	uint32_t steps;
	uint32_t tokens;
	uint32_t rows;
	bool is_first;		/* block of columns */
};

/* ---- weights to tiles ---- */

/* pairs of 64 bits of rows i and i + 1 beside each other, then of 128: z[j] is column j of x */
KERN_INLINE void turn16(__m512i x[AMX_ROWS])
{
	__m512i z[AMX_ROWS];

	for (int i = 0; i < 16; i += 4) {
		__m512i ab_low = _mm512_unpacklo_epi32(x[i], x[i + 1]);
		__m512i ab_high = _mm512_unpackhi_epi32(x[i], x[i + 1]);
		__m512i cd_low = _mm512_unpacklo_epi32(x[i + 2], x[i + 3]);
		__m512i cd_high = _mm512_unpackhi_epi32(x[i + 2], x[i + 3]);

		z[i] = _mm512_unpacklo_epi64(ab_low, cd_low);
		z[i + 1] = _mm512_unpackhi_epi64(ab_low, cd_low);
		z[i + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
		z[i + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
	}
	/* quarter q of z[4 * g + j] is column 4 * q + j of rows 4 * g to 4 * g + 3 */
	for (int j = 0; j < 4; j++) {
		__m512i low_01 = _mm512_shuffle_i32x4(z[j], z[j + 4], 0x88);
		__m512i low_23 = _mm512_shuffle_i32x4(z[j + 8], z[j + 12], 0x88);
		__m512i high_01 = _mm512_shuffle_i32x4(z[j], z[j + 4], 0xdd);
		__m512i high_23 = _mm512_shuffle_i32x4(z[j + 8], z[j + 12], 0xdd);

		x[j] = _mm512_shuffle_i32x4(low_01, low_23, 0x88);
		x[j + 4] = _mm512_shuffle_i32x4(high_01, high_23, 0x88);
		x[j + 8] = _mm512_shuffle_i32x4(low_01, low_23, 0xdd);
		x[j + 12] = _mm512_shuffle_i32x4(high_01, high_23, 0xdd);
	}
}

KERN_INLINE void tile_store(struct weight_tile *tile, __m512i x[AMX_ROWS])
{
	turn16(x);
	for (int i = 0; i < AMX_ROWS; i++)
		tile->pairs[i] = x[i];
}

/*
 * The upper halves of float32 of 32 F16, and those of what is left of them, which is exact: F16 has
 * 11 bits, the upper half 8 and so has the rest.
 */
KERN_INLINE void split_f16(__m512i *high, __m512i *low, __m512i halves)
{
	const __m512i order = _mm512_set_epi16(
		63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25, 23,
		21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
	const __m512i mask = _mm512_set1_epi32((int)0xffff0000);
	__m512 v[2], rest[2];

	v[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
	v[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
	for (int i = 0; i < 2; i++)
		rest[i] = _mm512_sub_ps(v[i], _mm512_castsi512_ps(_mm512_and_si512(
						      _mm512_castps_si512(v[i]), mask)));
	*high = _mm512_permutex2var_epi16(_mm512_castps_si512(v[0]), order,
					  _mm512_castps_si512(v[1]));
	*low = _mm512_permutex2var_epi16(_mm512_castps_si512(rest[0]), order,
					 _mm512_castps_si512(rest[1]));
}

/* @rows rows of 32 columns, of which those in @mask are there; the others are zero */
KERN_INLINE void decode_step(enum kern_type type, struct weight_tile *high,
			     struct weight_tile *low, const uint8_t *row, size_t row_bytes,
			     uint32_t rows, uint32_t mask)
{
	__m512i x[AMX_ROWS], rest[AMX_ROWS];

	for (uint32_t i = 0; i < AMX_ROWS; i++) {
		x[i] = rest[i] = _mm512_setzero_si512();
		if (i >= rows)
			continue;
		kern_prefetch(row + i * row_bytes, 64);
		x[i] = _mm512_maskz_loadu_epi16(mask, row + i * row_bytes);
		if (type == KERN_F16)
			split_f16(&x[i], &rest[i], x[i]);
	}
	tile_store(high, x);
	if (type == KERN_F16)
		tile_store(low, rest);
}

/* 16 rows at most, from @row on, and @cols columns */
KERN_INLINE void decode_rows(enum kern_type type, struct panel *panel, int half,
			     const uint8_t *row, size_t row_bytes, uint32_t rows, uint32_t cols)
{
	for (uint32_t s = 0; s * STEP_COLS < cols; s++, row += 2 * STEP_COLS) {
		const uint32_t mask = low_mask(cols - s * STEP_COLS);

		if (rows == AMX_ROWS)
			decode_step(type, &panel->high[half][s], &panel->low[half][s], row,
				    row_bytes, AMX_ROWS, mask);
		else
			decode_step(type, &panel->high[half][s], &panel->low[half][s], row,
				    row_bytes, rows, mask);
	}
}

/* ---- tiles ---- */

KERN_INLINE uint32_t first_half(uint32_t count)
{
	return count < AMX_ROWS ? count : AMX_ROWS;
}

KERN_INLINE void shape(struct amx_config *c, int tile, uint32_t rows, uint32_t row_bytes)
{
	c->rows[tile] = (uint8_t)(row_bytes ? rows : 0);
	c->row_bytes[tile] = (uint16_t)(rows ? row_bytes : 0);
}

static void configure(uint32_t tokens, uint32_t rows)
{
	const uint32_t t0 = first_half(tokens), t1 = tokens - t0;
	const uint32_t r0 = first_half(rows) * 4, r1 = rows * 4 - r0;
	struct amx_config c = {.palette = AMX_PALETTE};

	shape(&c, SUM_00, t0, r0);
	shape(&c, SUM_01, t0, r1);
	shape(&c, SUM_10, t1, r0);
	shape(&c, SUM_11, t1, r1);
	shape(&c, TOKENS_0, t0, AMX_ROW_BYTES);
	shape(&c, TOKENS_1, t1, AMX_ROW_BYTES);
	shape(&c, ROWS_0, AMX_ROWS, r0);
	shape(&c, ROWS_1, AMX_ROWS, r1);
	amx_configure(&c);
}

KERN_INLINE void load_sums(const struct block *b, bool two_tokens, bool two_rows)
{
	const size_t stride = b->y_stride * sizeof(float);

	amx_load(SUM_00, b->y, stride);
	if (two_rows)
		amx_load(SUM_01, b->y + AMX_ROWS, stride);
	if (two_tokens)
		amx_load(SUM_10, b->y + AMX_ROWS * b->y_stride, stride);
	if (two_tokens && two_rows)
		amx_load(SUM_11, b->y + AMX_ROWS * b->y_stride + AMX_ROWS, stride);
}

KERN_INLINE void zero_sums(bool two_tokens, bool two_rows)
{
	amx_zero(SUM_00);
	if (two_rows)
		amx_zero(SUM_01);
	if (two_tokens)
		amx_zero(SUM_10);
	if (two_tokens && two_rows)
		amx_zero(SUM_11);
}

KERN_INLINE void store_sums(const struct block *b, bool two_tokens, bool two_rows)
{
	const size_t stride = b->y_stride * sizeof(float);

	amx_store(SUM_00, b->y, stride);
	if (two_rows)
		amx_store(SUM_01, b->y + AMX_ROWS, stride);
	if (two_tokens)
		amx_store(SUM_10, b->y + AMX_ROWS * b->y_stride, stride);
	if (two_tokens && two_rows)
		amx_store(SUM_11, b->y + AMX_ROWS * b->y_stride + AMX_ROWS, stride);
}

KERN_INLINE void load_weights(const struct weight_tile tiles[2][BLOCK_STEPS], uint32_t step,
			      bool two_rows)
{
	amx_load(ROWS_0, &tiles[0][step], AMX_ROW_BYTES);
	if (two_rows)
		amx_load(ROWS_1, &tiles[1][step], AMX_ROW_BYTES);
}

KERN_INLINE void load_act(const struct block *b, const uint16_t *x, bool two_tokens)
{
	amx_load(TOKENS_0, x, b->act_stride);
	if (two_tokens)
		amx_load(TOKENS_1, (const uint8_t *)x + AMX_ROWS * b->act_stride, b->act_stride);
}

KERN_INLINE void dot(bool two_tokens, bool two_rows)
{
	amx_dot_bf16(SUM_00, TOKENS_0, ROWS_0);
	if (two_rows)
		amx_dot_bf16(SUM_01, TOKENS_0, ROWS_1);
	if (two_tokens)
		amx_dot_bf16(SUM_10, TOKENS_1, ROWS_0);
	if (two_tokens && two_rows)
		amx_dot_bf16(SUM_11, TOKENS_1, ROWS_1);
}

/* one to 16 or 17 to 32 tokens and rows */
KERN_INLINE void block_mul(enum kern_type type, const struct panel *panel, const struct block *b,
			   bool two_tokens, bool two_rows)
{
	const struct act_bf16x2 *x = (const struct act_bf16x2 *)b->act;

	if (b->is_first)
		zero_sums(two_tokens, two_rows);
	else
		load_sums(b, two_tokens, two_rows);
	for (uint32_t s = 0; s < b->steps; s++, x++) {
		load_act(b, x->high, two_tokens);
		if (type == KERN_F16) {
			load_weights(panel->low, s, two_rows);
			dot(two_tokens, two_rows);
		}
		load_weights(panel->high, s, two_rows);
		dot(two_tokens, two_rows);
		load_act(b, x->low, two_tokens);
		dot(two_tokens, two_rows);
	}
	store_sums(b, two_tokens, two_rows);
}

KERN_INLINE void block_choose(enum kern_type type, const struct panel *panel,
			      const struct block *b)
{
	const bool two_rows = b->rows > AMX_ROWS;

	if (b->tokens > AMX_ROWS && two_rows)
		block_mul(type, panel, b, true, true);
	else if (b->tokens > AMX_ROWS)
		block_mul(type, panel, b, true, false);
	else if (two_rows)
		block_mul(type, panel, b, false, true);
	else
		block_mul(type, panel, b, false, false);
}

/* ---- the matrix ---- */

/* all tokens with a panel; @all: the first block of them */
KERN_INLINE void panel_mul(enum kern_type type, const struct panel *panel, const struct block *all,
			   uint32_t tokens)
{
	struct block b = *all;
	uint32_t configured = 0;

	for (uint32_t t = 0; t < tokens; t += BLOCK_TOKENS) {
		b.tokens = tokens - t < BLOCK_TOKENS ? tokens - t : BLOCK_TOKENS;
		if (b.tokens != configured)
			configure(b.tokens, b.rows);
		configured = b.tokens;
		block_choose(type, panel, &b);
		b.act += BLOCK_TOKENS * b.act_stride;
		b.y += BLOCK_TOKENS * b.y_stride;
	}
}

/* @count rows from @row on, at most BLOCK_ROWS, in blocks of columns */
KERN_INLINE void rows_mul(enum kern_type type, const struct kern_weights *w, uint32_t row,
			  struct block *b, uint32_t tokens)
{
	const uint8_t *data = (const uint8_t *)w->data + row * w->row_bytes;
	const uint32_t first = first_half(b->rows);
	struct panel panel;
	uint32_t c = 0;

	do {
		const uint32_t cols = w->cols - c < BLOCK_COLS ? w->cols - c : BLOCK_COLS;

		decode_rows(type, &panel, 0, data, w->row_bytes, first, cols);
		if (b->rows > AMX_ROWS)
			decode_rows(type, &panel, 1, data + AMX_ROWS * w->row_bytes, w->row_bytes,
				    b->rows - first, cols);
		b->is_first = !c;
		b->steps = (cols + STEP_COLS - 1) / STEP_COLS;
		panel_mul(type, &panel, b, tokens);
		data += 2 * BLOCK_COLS;
		b->act += BLOCK_STEPS * sizeof(struct act_bf16x2);
		c += cols;
	} while (c < w->cols);
}

KERN_INLINE void mul(enum kern_type type, const struct kern_weights *w, uint32_t begin,
		     uint32_t end, const void *act, size_t act_stride, uint32_t tokens, float *y,
		     size_t y_stride)
{
	for (uint32_t r = begin; r < end; r += BLOCK_ROWS) {
		struct block b = {
			.act = act,
			.act_stride = act_stride,
			.y = y + r,
			.y_stride = y_stride,
			.rows = end - r < BLOCK_ROWS ? end - r : BLOCK_ROWS,
		};

		rows_mul(type, w, r, &b, tokens);
	}
	amx_release();
}

void kern_mul_bf16_amx(const struct kern_weights *w, uint32_t row_begin, uint32_t row_end,
		       const void *act, size_t act_stride, uint32_t tokens, float *y,
		       size_t y_stride)
{
	mul(KERN_BF16, w, row_begin, row_end, act, act_stride, tokens, y, y_stride);
}

void kern_mul_f16_amx(const struct kern_weights *w, uint32_t row_begin, uint32_t row_end,
		      const void *act, size_t act_stride, uint32_t tokens, float *y,
		      size_t y_stride)
{
	mul(KERN_F16, w, row_begin, row_end, act, act_stride, tokens, y, y_stride);
}
