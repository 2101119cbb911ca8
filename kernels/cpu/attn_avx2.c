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

#define VECTORS	2	/* of the output at once */

/* elements [i, i + 8) of @p */
KERN_INLINE __m256 load8(const uint8_t *p, size_t i, enum attn_form form)
{
	if (form == ATTN_F16)
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + i * 2)));
	return _mm256_loadu_ps((const float *)(const void *)(p + i * 4));
}

/* ---- blocks to float32 ---- */

/* the lower eight bytes of @numbers */
KERN_INLINE __m256 scaled(__m128i numbers, __m256 scale)
{
	return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(numbers)), scale);
}

KERN_INLINE __m128i load_bytes8(const uint8_t *p)
{
	return _mm_loadl_epi64((const __m128i *)(const void *)p);
}

/* keys [at, at + 8) of a page */
static void widen_keys8(const struct kern_kv *kv, const uint8_t *plane, uint32_t at, float *to)
{
	const uint8_t *scales = plane + kern_kv_elem_bytes(kv);
	const size_t tokens = kv->page_tokens;
	const __m128i low = _mm_set1_epi8(0xf), eight = _mm_set1_epi8(8);
	__m256 scale = _mm256_setzero_ps();

	for (uint32_t i = 0; i < kv->head_dim; i += 2) {
		const size_t line = i * tokens + at;
		__m128i a, b;

		if (i % KERN_KV_BLOCK == 0)
			scale = load8(scales, i / KERN_KV_BLOCK * tokens + at, ATTN_F16);
		if (kv->type == KERN_Q8_0) {
			a = load_bytes8(plane + line);
			b = load_bytes8(plane + line + tokens);
		} else {
			b = load_bytes8(plane + i / 2 * tokens + at);
			a = _mm_sub_epi8(_mm_and_si128(b, low), eight);
			b = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(b, 4), low), eight);
		}
		_mm256_storeu_ps(to + line, scaled(a, scale));
		_mm256_storeu_ps(to + line + tokens, scaled(b, scale));
	}
}

static void widen_value(const struct kern_kv *kv, const uint8_t *elems, const uint8_t *scales,
			float *to)
{
	const __m128i low = _mm_set1_epi8(0xf), eight = _mm_set1_epi8(8);

	for (uint32_t i = 0; i < kv->head_dim; i += 8) {
		const __m256 scale =
			_mm256_set1_ps(kern_kv_scale(scales + i / KERN_KV_BLOCK * 2));
		uint32_t four;
		__m128i x;

		if (kv->type == KERN_Q8_0) {
			x = load_bytes8(elems + i);
		} else {
			memcpy(&four, elems + i / 2, sizeof(four));
			x = _mm_cvtsi32_si128((int)four);
			x = _mm_unpacklo_epi8(_mm_and_si128(x, low),
					      _mm_and_si128(_mm_srli_epi16(x, 4), low));
			x = _mm_sub_epi8(x, eight);
		}
		_mm256_storeu_ps(to + i, scaled(x, scale));
	}
}

/* @ahead: the same place of the plane that is read next */
static void widen_f16(const uint8_t *from, const uint8_t *ahead, float *to, size_t elems)
{
	attn_ask(ahead, 0, elems * 2);
	for (size_t i = 0; i < elems; i += 8)
		_mm256_storeu_ps(to + i, load8(from, i, ATTN_F16));
}

/* keys [begin, end) of a page, a multiple of 32 each */
static void widen_keys(const struct kern_kv *kv, const uint8_t *plane, uint32_t begin, uint32_t end,
		       const uint8_t *ahead, float *to)
{
	const size_t share = kern_kv_plane_bytes(kv) / kv->page_tokens;

	for (uint32_t i = 0; kv->type == KERN_F16 && i < kv->head_dim; i++) {
		const size_t at = (size_t)i * kv->page_tokens + begin;

		widen_f16(plane + at * 2, ahead + at * 2, to + at, end - begin);
	}
	for (uint32_t t = begin; kv->type != KERN_F16 && t < end; t += 8) {
		attn_ask(ahead, t * share, 8 * share);
		widen_keys8(kv, plane, t, to);
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
		widen_value(kv, plane + t * row, plane + elems + t * scales, to + t * dim);
	}
}

/* ---- scores ---- */

/* of 16 keys that follow one another in a page; @rows: constant */
KERN_INLINE void score_keys16(const struct kern_attn *a, const struct attn_rows *r,
			      const uint8_t *keys, uint32_t at, enum attn_form form, int rows)
{
	const size_t tokens = a->kv.page_tokens;
	__m256 acc[ATTN_ROWS][2];

	for (int h = 0; h < rows; h++)
		acc[h][0] = acc[h][1] = _mm256_setzero_ps();
	for (uint32_t i = 0; i < a->kv.head_dim; i++) {
		const __m256 low = load8(keys, i * tokens + at, form);
		const __m256 high = load8(keys, i * tokens + at + 8, form);

		attn_ask_elems(r->ahead, i * tokens + at, 16, form);

		for (int h = 0; h < rows; h++) {
			const __m256 q = _mm256_broadcast_ss(r->q[h] + i);

			acc[h][0] = _mm256_fmadd_ps(q, low, acc[h][0]);
			acc[h][1] = _mm256_fmadd_ps(q, high, acc[h][1]);
		}
	}
	for (int h = 0; h < rows; h++) {
		const __m256 scale = _mm256_set1_ps(a->scale);

		_mm256_storeu_ps(r->weights[h] + at, _mm256_mul_ps(acc[h][0], scale));
		_mm256_storeu_ps(r->weights[h] + at + 8, _mm256_mul_ps(acc[h][1], scale));
	}
}

/* of 32 keys */
KERN_INLINE void score_keys(const struct kern_attn *a, const struct attn_rows *r,
			    const uint8_t *keys, uint32_t at, enum attn_form form, int rows)
{
	score_keys16(a, r, keys, at, form, rows);
	score_keys16(a, r, keys, at + 16, form, rows);
}

/* ---- softmax ---- */

/* lanes of keys [at, at + 8) that are in the span */
KERN_INLINE __m256 span_mask(struct kern_span s, uint32_t at)
{
	const __m256i before = first_lanes(s.begin > at ? s.begin - at : 0);
	const __m256i all = first_lanes(s.end > at ? s.end - at : 0);

	return _mm256_castsi256_ps(_mm256_andnot_si256(before, all));
}

static float reduce8_max(__m256 v)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* scores of a span become exp(score - max); those beside it up to a multiple of 16 are zero */
static struct kern_attn_sum softmax(float *scores, struct kern_span s, float softcap)
{
	const uint32_t begin = s.begin / 16 * 16, end = (s.end + 15) / 16 * 16;
	const __m256 none = _mm256_set1_ps(-INFINITY);
	__m256 max = none, acc[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() }, top;
	struct kern_attn_sum result;

	for (uint32_t t = begin; softcap != 0 && t < end; t += 8)
		_mm256_storeu_ps(scores + t, softcap_all(_mm256_loadu_ps(scores + t), softcap));
	/* in this order of operands NaN leaves the greatest as it is */
	for (uint32_t t = begin; t < end; t += 8)
		max = _mm256_max_ps(_mm256_blendv_ps(none, _mm256_loadu_ps(scores + t),
						     span_mask(s, t)),
				    max);
	result.max = reduce8_max(max);
	top = _mm256_set1_ps(result.max == -INFINITY ? 0 : result.max);
	for (uint32_t t = begin; t < end; t += 8) {
		const __m256 x = _mm256_sub_ps(_mm256_loadu_ps(scores + t), top);
		const __m256 p = _mm256_and_ps(span_mask(s, t), exp_or_zero(x));

		_mm256_storeu_ps(scores + t, p);
		acc[t / 8 % 2] = _mm256_add_ps(acc[t / 8 % 2], p);
	}
	result.sum = reduce8(_mm256_add_ps(acc[0], acc[1]));
	return result;
}

/* ---- values ---- */

/* adds values [begin, end) to elements of one row's output from @i */
KERN_INLINE void add_values(const struct attn_rows *r, int h, const uint8_t *values, size_t dim,
			    uint32_t begin, uint32_t end, uint32_t i, enum attn_form form,
			    int vectors)
{
	float *out = r->out[h] + i;
	__m256 acc[VECTORS];

	for (int k = 0; k < vectors; k++)
		acc[k] = _mm256_loadu_ps(out + 8 * k);
	for (uint32_t t = begin; t < end; t++) {
		const __m256 p = _mm256_broadcast_ss(&r->weights[h][t]);

		for (int k = 0; k < vectors; k++)
			acc[k] = _mm256_fmadd_ps(p, load8(values, t * dim + i + 8 * k, form),
						 acc[k]);
	}
	for (int k = 0; k < vectors; k++)
		_mm256_storeu_ps(out + 8 * k, acc[k]);
}

/* adds the values that all rows attend to; rows, vectors: constants */
KERN_INLINE void add_common(const struct attn_rows *r, const uint8_t *values, size_t dim,
			    uint32_t i, enum attn_form form, int rows, int vectors)
{
	__m256 acc[ATTN_ROWS][VECTORS];

	for (int h = 0; h < rows; h++)
		for (int k = 0; k < vectors; k++)
			acc[h][k] = _mm256_loadu_ps(r->out[h] + i + 8 * k);
	for (uint32_t t = r->common.begin; t < r->common.end; t++) {
		__m256 v[VECTORS];

		for (int k = 0; k < vectors; k++)
			v[k] = load8(values, t * dim + i + 8 * k, form);
		attn_ask_elems(r->ahead, t * dim + i, 8 * (size_t)vectors, form);
		for (int h = 0; h < rows; h++) {
			const __m256 p = _mm256_broadcast_ss(&r->weights[h][t]);

			for (int k = 0; k < vectors; k++)
				acc[h][k] = _mm256_fmadd_ps(p, v[k], acc[h][k]);
		}
	}
	for (int h = 0; h < rows; h++)
		for (int k = 0; k < vectors; k++)
			_mm256_storeu_ps(r->out[h] + i + 8 * k, acc[h][k]);
}

/* elements of the outputs from @i; rows, vectors: constants */
KERN_INLINE void sum_values(const struct kern_attn *a, const struct attn_rows *r,
			    const uint8_t *values, uint32_t i, enum attn_form form, int rows,
			    int vectors)
{
	const size_t dim = a->kv.head_dim;

	for (int h = 0; r->has_edges && h < rows; h++)
		add_values(r, h, values, dim, r->span[h].begin, r->head[h], i, form, vectors);
	add_common(r, values, dim, i, form, rows, vectors);
	for (int h = 0; r->has_edges && h < rows; h++)
		add_values(r, h, values, dim, r->tail[h], r->span[h].end, i, form, vectors);
}

KERN_INLINE void sum_page(const struct kern_attn *a, const struct attn_rows *r,
			  const uint8_t *values, enum attn_form form, int rows)
{
	const uint32_t dim = a->kv.head_dim;
	uint32_t i = 0;

	for (; i + 8 * VECTORS <= dim; i += 8 * VECTORS)
		sum_values(a, r, values, i, form, rows, VECTORS);
	if (i < dim)
		sum_values(a, r, values, i, form, rows, 1);
}

#define ATTN_PART	kern_attn_part_avx2
#include "kernels/cpu/attn_pages.h"
