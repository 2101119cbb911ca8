/* SPDX-License-Identifier: MIT */
/*
 * Attention to a part of the keys, page by page: included behind what a file defines for its
 * instruction set (score_keys(), softmax(), sum_page(), widen_keys(), widen_values()), it defines
 * the function that ATTN_PART names.
 */
#include "kernels/cpu/attn.h"

KERN_INLINE void score_block(const struct kern_attn *a, const struct attn_rows *r,
			     const uint8_t *keys, enum attn_form form, int rows)
{
	for (uint32_t t = r->any.begin / 32 * 32; t < r->any.end; t += 32)
		score_keys(a, r, keys, t, form, rows);
}

/* scores of all rows for the page that begins with key @first of the part */
KERN_INLINE void score_page(const struct attn_part *p, const uint8_t *keys, uint32_t first,
			    const uint8_t *ahead, enum attn_form form)
{
	for (uint32_t row = 0; row < p->rows; row += ATTN_ROWS) {
		const uint32_t rows = p->rows - row < ATTN_ROWS ? p->rows - row : ATTN_ROWS;
		struct attn_rows r;

		attn_rows_at(p, row, rows, first, ahead, &r);
		if (r.any.begin >= r.any.end)
			continue;
		if (rows == 4)
			score_block(p->a, &r, keys, form, 4);
		else if (rows == 3)
			score_block(p->a, &r, keys, form, 3);
		else if (rows == 2)
			score_block(p->a, &r, keys, form, 2);
		else
			score_block(p->a, &r, keys, form, 1);
	}
}

/* adds a page's values to the outputs of all rows */
KERN_INLINE void add_page(const struct attn_part *p, const uint8_t *values, uint32_t first,
			  const uint8_t *ahead, enum attn_form form)
{
	for (uint32_t row = 0; row < p->rows; row += ATTN_ROWS) {
		const uint32_t rows = p->rows - row < ATTN_ROWS ? p->rows - row : ATTN_ROWS;
		struct attn_rows r;

		attn_rows_at(p, row, rows, first, ahead, &r);
		if (r.any.begin >= r.any.end)
			continue;
		if (rows == 4)
			sum_page(p->a, &r, values, form, 4);
		else if (rows == 3)
			sum_page(p->a, &r, values, form, 3);
		else if (rows == 2)
			sum_page(p->a, &r, values, form, 2);
		else
			sum_page(p->a, &r, values, form, 1);
	}
}

static void softmax_rows(const struct attn_part *p, struct kern_attn_sum *sums)
{
	for (uint32_t row = 0; row < p->rows; row++) {
		const struct kern_span s = attn_row_span(p, row);

		if (s.begin == s.end)
			continue;
		if (p->a->bias)
			attn_add_bias(p, row, s);
		sums[row] = softmax(p->scores + (size_t)row * KERN_ATTN_KEYS, s,
				    p->a->softcap);
		memset(p->out + (size_t)row * p->a->kv.head_dim, 0,
		       p->a->kv.head_dim * sizeof(float));
	}
}

/* score_any() - scores for a page; what its numbers are is a constant in each of these calls */
KERN_INLINE void score_any(const struct attn_part *p, const uint8_t *keys, uint32_t first,
			   const uint8_t *ahead)
{
	const struct kern_attn *a = p->a;
	const struct kern_span all = attn_span_of_page(p->all, first, a->kv.page_tokens);

	if (attn_is_wide(a)) {
		widen_keys(&a->kv, keys, all.begin / 32 * 32, (all.end + 31) / 32 * 32, ahead,
			   p->wide);
		score_page(p, (const void *)p->wide, first, ahead, ATTN_WIDE);
	} else if (a->kv.type == KERN_F16) {
		score_page(p, keys, first, ahead, ATTN_F16);
	} else {
		score_page(p, keys, first, ahead, ATTN_F32);
	}
}

KERN_INLINE void add_any(const struct attn_part *p, const uint8_t *values, uint32_t first,
			 const uint8_t *ahead)
{
	const struct kern_attn *a = p->a;
	const struct kern_span all = attn_span_of_page(p->all, first, a->kv.page_tokens);

	if (attn_is_wide(a)) {
		widen_values(&a->kv, values, all.begin, all.end, ahead, p->wide);
		add_page(p, (const void *)p->wide, first, ahead, ATTN_WIDE);
	} else if (a->kv.type == KERN_F16) {
		add_page(p, values, first, ahead, ATTN_F16);
	} else {
		add_page(p, values, first, ahead, ATTN_F32);
	}
}

void ATTN_PART(const struct kern_attn *a, uint32_t part, float *out, struct kern_attn_sum *sums)
{
	const uint32_t tokens = a->kv.page_tokens, pages = KERN_ATTN_KEYS / tokens;
	const struct attn_part p = attn_part_begin(a, part, out);
	const void *const *keys = a->k_pages + (size_t)part * pages;
	const void *const *values = a->v_pages + (size_t)part * pages;
	const uint32_t begin = p.all.begin / tokens, end = (p.all.end + tokens - 1) / tokens;

	for (uint32_t i = begin; i < end; i++)
		score_any(&p, keys[i], i * tokens, i + 1 < end ? keys[i + 1] : values[begin]);
	softmax_rows(&p, sums);
	for (uint32_t i = begin; i < end; i++)
		add_any(&p, values[i], i * tokens,
			i + 1 < end ? values[i + 1] : a->next ? a->next : values[i]);
}
