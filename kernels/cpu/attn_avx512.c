// SPDX-License-Identifier: MIT
/*
 * Attention to a part of the keys, page by page: scores of all rows (heads of queries), softmax,
 * then the sum of the values, up to four rows side by side so that what was loaded is used for all.
 * What is not float32, or not F16 for few rows, is made float32 first, a page at a time, which takes
 * nothing from its exactness.
 *
 * Every row is summed as if it were alone: a score over the elements from the first to the last, the
 * softmax's sum in 16 lanes over the keys, an element of the output over the keys from the first to
 * the last.
 */
#include <math.h>

#include "kernels/cpu/attn.h"
#include "kernels/cpu/simd_avx512.h"

#define VECTORS	4	/* of the output at once */

/* sixteen elements from element @i of @p */
KERN_INLINE __m512 load16(const uint8_t *p, size_t i, __mmask16 mask, enum attn_form form)
{
	if (form == ATTN_F16)
		return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p + i * 2));
	return _mm512_maskz_loadu_ps(mask, p + i * 4);
}

/* ---- blocks to float32 ---- */

KERN_INLINE __m512 load_scales(const uint8_t *scales)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)scales));
}

KERN_INLINE __m512 scaled(__m128i numbers, __m512 scale)
{
	return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(numbers)), scale);
}

/* keys [at, at + 16) of a page; q4: constant */
KERN_INLINE void widen_keys16(const struct kern_kv *kv, const uint8_t *plane, size_t elems,
			      uint32_t at, float *to, bool q4)
{
	const uint8_t *scales = plane + elems;
	const size_t tokens = kv->page_tokens;
	const __m128i low = _mm_set1_epi8(0xf), eight = _mm_set1_epi8(8);
	__m512 scale = _mm512_setzero_ps();

	for (uint32_t i = 0; i < kv->head_dim; i += 2) {
		const size_t line = i * tokens + at;
		__m128i a, b;

		if (i % KERN_KV_BLOCK == 0)
			scale = load_scales(scales + (i / KERN_KV_BLOCK * tokens + at) * 2);
		if (!q4) {
			a = _mm_loadu_si128((const __m128i *)(plane + line));
			b = _mm_loadu_si128((const __m128i *)(plane + line + tokens));
		} else {
			b = _mm_loadu_si128((const __m128i *)(plane + i / 2 * tokens + at));
			a = _mm_sub_epi8(_mm_and_si128(b, low), eight);
			b = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(b, 4), low), eight);
		}
		_mm512_storeu_ps(to + line, scaled(a, scale));
		_mm512_storeu_ps(to + line + tokens, scaled(b, scale));
	}
}

/* elements [i, i + 16) of a value, or 8; mask, q4: constants */
KERN_INLINE void widen16(const uint8_t *elems, uint32_t i, __mmask16 mask, __m512 scale, float *to,
			 bool q4)
{
	const __m128i low = _mm_set1_epi8(0xf), eight = _mm_set1_epi8(8);
	__m128i x;

	if (!q4) {
		x = _mm_maskz_loadu_epi8(mask, elems + i);
	} else {
		x = _mm_maskz_loadu_epi8(mask & (mask >> 8 | 0xf), elems + i / 2);
		x = _mm_unpacklo_epi8(_mm_and_si128(x, low),
				      _mm_and_si128(_mm_srli_epi16(x, 4), low));
		x = _mm_sub_epi8(x, eight);
	}
	_mm512_mask_storeu_ps(to + i, mask, scaled(x, scale));
}

/* q4: constant */
KERN_INLINE void widen_value(const struct kern_kv *kv, const uint8_t *elems, const uint8_t *scales,
			     float *to, bool q4)
{
	uint32_t i = 0;

	for (; i + KERN_KV_BLOCK <= kv->head_dim; i += KERN_KV_BLOCK) {
		const __m512 scale =
			_mm512_set1_ps(kern_kv_scale(scales + i / KERN_KV_BLOCK * 2));

		widen16(elems, i, 0xffff, scale, to, q4);
		widen16(elems, i + 16, 0xffff, scale, to, q4);
	}
	for (; i < kv->head_dim; i += 16) {
		const __m512 scale =
			_mm512_set1_ps(kern_kv_scale(scales + i / KERN_KV_BLOCK * 2));

		if (kv->head_dim - i < 16)
			widen16(elems, i, 0xff, scale, to, q4);
		else
			widen16(elems, i, 0xffff, scale, to, q4);
	}
}

/* @elems: a multiple of 8; @ahead: the same place of the plane that is read next */
static void widen_f16(const uint8_t *from, const uint8_t *ahead, float *to, size_t elems)
{
	size_t i;

	attn_ask(ahead, 0, elems * 2);
	for (i = 0; i + 16 <= elems; i += 16)
		_mm512_storeu_ps(to + i, load16(from, i, 0xffff, ATTN_F16));
	if (i < elems)
		_mm512_mask_storeu_ps(to + i, 0xff, load16(from, i, 0xff, ATTN_F16));
}

/* keys [begin, end) of a page, a multiple of 32 each */
static void widen_keys(const struct kern_kv *kv, const uint8_t *plane, uint32_t begin, uint32_t end,
		       const uint8_t *ahead, float *to)
{
	const size_t share = kern_kv_plane_bytes(kv) / kv->page_tokens;
	const size_t elems = kern_kv_elem_bytes(kv);

	for (uint32_t i = 0; kv->type == KERN_F16 && i < kv->head_dim; i++) {
		const size_t at = (size_t)i * kv->page_tokens + begin;

		widen_f16(plane + at * 2, ahead + at * 2, to + at, end - begin);
	}
	for (uint32_t t = begin; kv->type != KERN_F16 && t < end; t += 16) {
		attn_ask(ahead, t * share, 16 * share);
		if (kv->type == KERN_Q4_0)
			widen_keys16(kv, plane, elems, t, to, true);
		else
			widen_keys16(kv, plane, elems, t, to, false);
	}
}

/* values [begin, end) of a page */
static void widen_values(const struct kern_kv *kv, const uint8_t *plane, uint32_t begin,
			 uint32_t end, const uint8_t *ahead, float *to)
{
	const size_t elems = kern_kv_elem_bytes(kv), row = elems / kv->page_tokens;
	const size_t scales = (size_t)kern_kv_blocks(kv) * 2, dim = kv->head_dim;

	if (kv->type == KERN_F16) {
		for (size_t t = begin; t < end; t++)
			widen_f16(plane + t * row, ahead + t * row, to + t * dim, dim);
		return;
	}
	for (size_t t = begin; t < end; t++) {
		attn_ask(ahead, t * (row + scales), row + scales);
		if (kv->type == KERN_Q4_0)
			widen_value(kv, plane + t * row, plane + elems + t * scales, to + t * dim,
				    true);
		else
			widen_value(kv, plane + t * row, plane + elems + t * scales, to + t * dim,
				    false);
	}
}

/* ---- scores ---- */

/* of 32 keys that follow one another in a page; @rows: constant */
KERN_INLINE void score_keys(const struct kern_attn *a, const struct attn_rows *r,
			    const uint8_t *keys, uint32_t at, enum attn_form form, int rows)
{
	const size_t tokens = a->kv.page_tokens;
	__m512 acc[ATTN_ROWS][2];

	for (int h = 0; h < rows; h++)
		acc[h][0] = acc[h][1] = _mm512_setzero_ps();
	for (uint32_t i = 0; i < a->kv.head_dim; i++) {
		const __m512 low = load16(keys, i * tokens + at, 0xffff, form);
		const __m512 high = load16(keys, i * tokens + at + 16, 0xffff, form);

		attn_ask_elems(r->ahead, i * tokens + at, 32, form);

		for (int h = 0; h < rows; h++) {
			const __m512 q = _mm512_set1_ps(r->q[h][i]);

			acc[h][0] = _mm512_fmadd_ps(q, low, acc[h][0]);
			acc[h][1] = _mm512_fmadd_ps(q, high, acc[h][1]);
		}
	}
	for (int h = 0; h < rows; h++) {
		const __m512 scale = _mm512_set1_ps(a->scale);

		_mm512_storeu_ps(r->weights[h] + at, _mm512_mul_ps(acc[h][0], scale));
		_mm512_storeu_ps(r->weights[h] + at + 16, _mm512_mul_ps(acc[h][1], scale));
	}
}

/* ---- softmax ---- */

KERN_INLINE __mmask16 span_mask(struct kern_span s, uint32_t at)
{
	const uint32_t end = s.end - at < 16 ? s.end - at : 16;

	return (__mmask16)(low_mask(end) & ~low_mask(s.begin > at ? s.begin - at : 0));
}

/* scores of a span become exp(score - max); those beside it up to a multiple of 16 are zero */
static struct kern_attn_sum softmax(float *scores, struct kern_span s, float softcap)
{
	const uint32_t begin = s.begin / 16 * 16;
	__m512 max = _mm512_set1_ps(-INFINITY), acc = _mm512_setzero_ps(), top;
	struct kern_attn_sum result;

	for (uint32_t t = begin; softcap != 0 && t < s.end; t += 16)
		_mm512_storeu_ps(scores + t,
				 softcap_all_512(_mm512_loadu_ps(scores + t), softcap));
	/* in this order of operands NaN leaves the greatest as it is */
	for (uint32_t t = begin; t < s.end; t += 16)
		max = _mm512_mask_max_ps(max, span_mask(s, t), _mm512_loadu_ps(scores + t), max);
	result.max = _mm512_reduce_max_ps(max);
	top = _mm512_set1_ps(result.max == -INFINITY ? 0 : result.max);
	for (uint32_t t = begin; t < s.end; t += 16) {
		const __m512 x = _mm512_sub_ps(_mm512_loadu_ps(scores + t), top);
		const __m512 p = _mm512_maskz_mov_ps(span_mask(s, t), exp_or_zero_512(x));

		_mm512_storeu_ps(scores + t, p);
		acc = _mm512_add_ps(acc, p);
	}
	result.sum = reduce8(_mm512_castps512_ps256(fold8_512(acc, acc)));
	return result;
}

/* ---- values ---- */

/* adds values [begin, end) to elements of one row's output from @i */
KERN_INLINE void add_values(const struct attn_rows *r, int h, const uint8_t *values, size_t dim,
			    uint32_t begin, uint32_t end, uint32_t i, __mmask16 mask,
			    enum attn_form form, int vectors)
{
	float *out = r->out[h] + i;
	__m512 acc[VECTORS];

	for (int k = 0; k < vectors; k++)
		acc[k] = _mm512_maskz_loadu_ps(mask, out + 16 * k);
	for (uint32_t t = begin; t < end; t++) {
		const __m512 p = _mm512_set1_ps(r->weights[h][t]);

		for (int k = 0; k < vectors; k++)
			acc[k] = _mm512_fmadd_ps(
				p, load16(values, t * dim + i + 16 * k, mask, form), acc[k]);
	}
	for (int k = 0; k < vectors; k++)
		_mm512_mask_storeu_ps(out + 16 * k, mask, acc[k]);
}

/* adds the values that all rows attend to; rows, vectors: constants */
KERN_INLINE void add_common(const struct attn_rows *r, const uint8_t *values, size_t dim,
			    uint32_t i, __mmask16 mask, enum attn_form form, int rows, int vectors)
{
	__m512 acc[ATTN_ROWS][VECTORS];

	for (int h = 0; h < rows; h++)
		for (int k = 0; k < vectors; k++)
			acc[h][k] = _mm512_maskz_loadu_ps(mask, r->out[h] + i + 16 * k);
	for (uint32_t t = r->common.begin; t < r->common.end; t++) {
		__m512 v[VECTORS];

		for (int k = 0; k < vectors; k++)
			v[k] = load16(values, t * dim + i + 16 * k, mask, form);
		attn_ask_elems(r->ahead, t * dim + i, 16 * (size_t)vectors, form);
		for (int h = 0; h < rows; h++) {
			const __m512 p = _mm512_set1_ps(r->weights[h][t]);

			for (int k = 0; k < vectors; k++)
				acc[h][k] = _mm512_fmadd_ps(p, v[k], acc[h][k]);
		}
	}
	for (int h = 0; h < rows; h++)
		for (int k = 0; k < vectors; k++)
			_mm512_mask_storeu_ps(r->out[h] + i + 16 * k, mask, acc[h][k]);
}

/* elements of the outputs from @i; rows, vectors: constants */
KERN_INLINE void sum_values(const struct kern_attn *a, const struct attn_rows *r,
			    const uint8_t *values, uint32_t i, __mmask16 mask,
			    enum attn_form form, int rows, int vectors)
{
	const size_t dim = a->kv.head_dim;

	for (int h = 0; r->has_edges && h < rows; h++)
		add_values(r, h, values, dim, r->span[h].begin, r->head[h], i, mask, form, vectors);
	add_common(r, values, dim, i, mask, form, rows, vectors);
	for (int h = 0; r->has_edges && h < rows; h++)
		add_values(r, h, values, dim, r->tail[h], r->span[h].end, i, mask, form, vectors);
}

KERN_INLINE void sum_page(const struct kern_attn *a, const struct attn_rows *r,
			  const uint8_t *values, enum attn_form form, int rows)
{
	const uint32_t dim = a->kv.head_dim;
	uint32_t i = 0;

	for (; i + 16 * VECTORS <= dim; i += 16 * VECTORS)
		sum_values(a, r, values, i, 0xffff, form, rows, VECTORS);
	for (; i + 16 <= dim; i += 16)
		sum_values(a, r, values, i, 0xffff, form, rows, 1);
	if (i < dim)
		sum_values(a, r, values, i, 0xff, form, rows, 1);
}

#define ATTN_PART	kern_attn_part_avx512
#include "kernels/cpu/attn_pages.h"
