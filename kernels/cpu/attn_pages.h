/* SPDX-License-Identifier: MIT */
/*
 * Attention to a part of the keys, page by page: included behind what a file defines for its
 * instruction set (score_keys(), softmax(), sum_page(), widen_keys(), widen_values()), it defines
 * the function that ATTN_PART names.
 */
#include "kernels/cpu/attn.h"

KERN_INLINE void score_block(const struct kern_attn *a, const struct attn_rows *r,
			     const uint8_t *keys, bool f16, int rows)
{
	for (uint32_t t = r->any.begin / 32 * 32; t < r->any.end; t += 32)
		score_keys(a, r, keys, t, f16, rows);
}

/* scores of all rows for the page that begins with key @first of the part */
KERN_INLINE void score_page(const struct attn_part *p, const uint8_t *keys, uint32_t first,
			    bool f16)
{
	for (uint32_t row = 0; row < p->rows; row += ATTN_ROWS) {
		const uint32_t rows = p->rows - row < ATTN_ROWS ? p->rows - row : ATTN_ROWS;
		struct attn_rows r;

		attn_rows_at(p, row, rows, first, &r);
		if (r.any.begin >= r.any.end)
			continue;
		if (rows == 4)
			score_block(p->a, &r, keys, f16, 4);
		else if (rows == 3)
			score_block(p->a, &r, keys, f16, 3);
		else if (rows == 2)
			score_block(p->a, &r, keys, f16, 2);
		else
			score_block(p->a, &r, keys, f16, 1);
	}
}

/* adds a page's values to the outputs of all rows */
KERN_INLINE void add_page(const struct attn_part *p, const uint8_t *values, uint32_t first,
			  bool f16)
{
	for (uint32_t row = 0; row < p->rows; row += ATTN_ROWS) {
		const uint32_t rows = p->rows - row < ATTN_ROWS ? p->rows - row : ATTN_ROWS;
		struct attn_rows r;

		attn_rows_at(p, row, rows, first, &r);
		if (r.any.begin >= r.any.end)
			continue;
		if (rows == 4)
			sum_page(p->a, &r, values, f16, 4);
		else if (rows == 3)
			sum_page(p->a, &r, values, f16, 3);
		else if (rows == 2)
			sum_page(p->a, &r, values, f16, 2);
		else
			sum_page(p->a, &r, values, f16, 1);
	}
}

static void softmax_rows(const struct attn_part *p, struct kern_attn_sum *sums)
{
	for (uint32_t row = 0; row < p->rows; row++) {
		const struct kern_span s = attn_row_span(p, row);

		if (s.begin == s.end)
			continue;
		sums[row] = softmax(p->scores + (size_t)row * KERN_ATTN_KEYS, s,
				    p->a->softcap);
		memset(p->out + (size_t)row * p->a->kv.head_dim, 0,
		       p->a->kv.head_dim * sizeof(float));
	}
}

void ATTN_PART(const struct kern_attn *a, uint32_t part, float *out, struct kern_attn_sum *sums)
{
	const uint32_t tokens = a->kv.page_tokens, pages = KERN_ATTN_KEYS / tokens;
	const struct attn_part p = attn_part_begin(a, part, out);
	const bool is_wide = attn_is_wide(a);
	const bool is_f16 = a->kv.type == KERN_F16 && !is_wide;

	for (uint32_t first = p.all.begin / tokens * tokens; first < p.all.end; first += tokens) {
		const struct kern_span all = attn_span_of_page(p.all, first, tokens);
		const uint8_t *keys = a->k_pages[part * pages + first / tokens];

		if (is_wide)
			widen_keys(&a->kv, keys, all.begin / 32 * 32, (all.end + 31) / 32 * 32,
				   p.wide);
		if (is_f16)
			score_page(&p, keys, first, true);
		else
			score_page(&p, is_wide ? (const void *)p.wide : keys, first, false);
	}
	softmax_rows(&p, sums);
	for (uint32_t first = p.all.begin / tokens * tokens; first < p.all.end; first += tokens) {
		const struct kern_span all = attn_span_of_page(p.all, first, tokens);
		const uint8_t *values = a->v_pages[part * pages + first / tokens];

		if (is_wide)
			widen_values(&a->kv, values, all.begin, all.end, p.wide);
		if (is_f16)
			add_page(&p, values, first, true);
		else
			add_page(&p, is_wide ? (const void *)p.wide : values, first, false);
	}
}
