// SPDX-License-Identifier: MIT
/*
 * Attention of one token: scores of all keys, softmax, then the sum of the values, with the heads
 * of a group side by side so that keys and values are read once for up to four of them. Every head
 * is summed as if it were alone: a score in 16 lanes over the elements, the softmax's sum in 16
 * lanes over the keys, an element of the output over the keys from the first to the last.
 */
#include <math.h>

#include "kernels/cpu/simd_avx512.h"

#define HEADS	4	/* at once */
#define VECTORS	4	/* of the output at once */
#define USUAL_DIM	64	/* of a head, and few enough for registers */

/* elements [i, i + 16) of a row, of which those in @mask are there */
KERN_INLINE __m512 load_row(const uint8_t *row, uint32_t i, __mmask16 mask, bool f16)
{
	if (f16)
		return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, row + i * 2));
	return _mm512_maskz_loadu_ps(mask, row + i * 4);
}

KERN_INLINE void score_step(const float *q, uint32_t head_dim, const uint8_t *key, uint32_t i,
			    __mmask16 mask, bool f16, int heads, __m512 acc[])
{
	__m512 k = load_row(key, i, mask, f16);

	for (int h = 0; h < heads; h++)
		acc[h] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, q + (size_t)h * head_dim + i),
					 k, acc[h]);
}

/*
 * Scores of @count keys that follow one another in a page; -inf behind them. Where @head_dim is a
 * constant, the queries stay in registers.
 */
KERN_INLINE void score_keys(const struct kern_attn *a, const float *q, const uint8_t *keys,
			    uint32_t count, float *scores, size_t stride, bool f16, int heads,
			    uint32_t head_dim)
{
	const size_t row_bytes = (size_t)head_dim * (f16 ? 2 : 4);
	__m512 lanes[HEADS][16];

	for (uint32_t t = 0; t < count; t++, keys += row_bytes) {
		__m512 acc[HEADS];
		uint32_t i = 0;

		for (int h = 0; h < heads; h++)
			acc[h] = _mm512_setzero_ps();
		for (; i + 16 <= head_dim; i += 16)
			score_step(q, head_dim, keys, i, 0xffff, f16, heads, acc);
		if (i < head_dim)
			score_step(q, head_dim, keys, i, 0xff, f16, heads, acc);
		for (int h = 0; h < heads; h++)
			lanes[h][t] = acc[h];
	}
	for (int h = 0; h < heads; h++) {
		__m512 sums;

		for (uint32_t t = count; t < 16; t++)
			lanes[h][t] = _mm512_setzero_ps();
		sums = _mm512_mul_ps(reduce16_16(lanes[h]), _mm512_set1_ps(a->scale));
		if (a->softcap != 0)
			sums = softcap_all_512(sums, a->softcap);
		_mm512_storeu_ps(scores + h * stride,
				 _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY),
						    (__mmask16)low_mask(count), sums));
	}
}

/* scores up to the next multiple of 16, and -inf for keys before the first */
KERN_INLINE void score_all(const struct kern_attn *a, const float *q, float *scores, size_t stride,
			   bool f16, int heads, uint32_t head_dim)
{
	const size_t row_bytes = (size_t)head_dim * (f16 ? 2 : 4);

	for (uint32_t t = 0; t < a->tokens; t += 16) {
		const uint8_t *page = a->k_pages[t / a->page_tokens];
		uint32_t count = a->tokens - t < 16 ? a->tokens - t : 16;

		score_keys(a, q, page + t % a->page_tokens * row_bytes, count, scores + t, stride,
			   f16, heads, head_dim);
	}
	for (int h = 0; h < heads; h++)
		for (uint32_t t = 0; t < a->first; t++)
			scores[h * stride + t] = -INFINITY;
}

/* greatest score; 0 if all are -inf */
static float max_score(const float *scores, size_t count)
{
	__m512 max = _mm512_set1_ps(-INFINITY);
	float result;

	for (size_t t = 0; t < count; t += 16)
		max = _mm512_max_ps(_mm512_loadu_ps(scores + t), max);
	result = _mm512_reduce_max_ps(max);
	return result == -INFINITY ? 0 : result;
}

/* scores become exp(score - max); returns what to multiply their products with */
static float softmax(float *scores, size_t count)
{
	__m512 max = _mm512_set1_ps(max_score(scores, count));
	__m512 acc = _mm512_setzero_ps();
	float sum;

	for (size_t t = 0; t < count; t += 16) {
		__m512 p = exp_or_zero_512(_mm512_sub_ps(_mm512_loadu_ps(scores + t), max));

		_mm512_storeu_ps(scores + t, p);
		acc = _mm512_add_ps(acc, p);
	}
	sum = reduce8(_mm512_castps512_ps256(fold8_512(acc, acc)));
	return sum == 0 ? 0 : 1 / sum;
}

/* adds @count values of one page to @vectors of the output from @i; heads, vectors: constants */
KERN_INLINE void add_values(const struct kern_attn *a, const uint8_t *values, uint32_t count,
			    const float *weights, size_t stride, uint32_t i, __mmask16 mask,
			    bool f16, int heads, int vectors, __m512 acc[][VECTORS])
{
	const size_t row_bytes = (size_t)a->head_dim * (f16 ? 2 : 4);

	for (uint32_t t = 0; t < count; t++, values += row_bytes) {
		__m512 v[VECTORS];

		for (int k = 0; k < vectors; k++)
			v[k] = load_row(values, i + 16 * k, mask, f16);
		for (int h = 0; h < heads; h++) {
			__m512 p = _mm512_set1_ps(weights[h * stride + t]);

			for (int k = 0; k < vectors; k++)
				acc[h][k] = _mm512_fmadd_ps(p, v[k], acc[h][k]);
		}
	}
}

/* elements of the output from @i: @vectors vectors, of whose lanes those in @mask are there */
KERN_INLINE void sum_values(const struct kern_attn *a, float *out, const float *weights,
			    size_t stride, const float *factors, uint32_t i, __mmask16 mask,
			    bool f16, int heads, int vectors)
{
	__m512 acc[HEADS][VECTORS];

	for (int h = 0; h < heads; h++)
		for (int k = 0; k < vectors; k++)
			acc[h][k] = _mm512_setzero_ps();
	for (uint32_t t = 0, skip = a->first; t < a->tokens; t += a->page_tokens, skip = 0) {
		const uint8_t *values = a->v_pages[t / a->page_tokens];
		uint32_t left = a->tokens - t;

		add_values(a, values + (size_t)skip * a->head_dim * (f16 ? 2 : 4),
			   (left < a->page_tokens ? left : a->page_tokens) - skip,
			   weights + t + skip, stride, i, mask, f16, heads, vectors, acc);
	}
	for (int h = 0; h < heads; h++)
		for (int k = 0; k < vectors; k++)
			_mm512_mask_storeu_ps(out + (size_t)h * a->head_dim + i + 16 * k, mask,
					      _mm512_mul_ps(acc[h][k],
							    _mm512_set1_ps(factors[h])));
}

KERN_INLINE void attend(const struct kern_attn *a, uint32_t head, bool f16, int heads)
{
	const size_t stride = ((size_t)a->tokens + 15) / 16 * 16;
	const float *q = a->q + (size_t)head * a->head_dim;
	float *out = a->out + (size_t)head * a->head_dim;
	float *scores = a->scores + head * stride;
	float factors[HEADS];
	uint32_t i = 0;

	if (a->head_dim == USUAL_DIM)
		score_all(a, q, scores, stride, f16, heads, USUAL_DIM);
	else
		score_all(a, q, scores, stride, f16, heads, a->head_dim);
	for (int h = 0; h < heads; h++)
		factors[h] = softmax(scores + h * stride, stride);
	for (; i + 16 * VECTORS <= a->head_dim; i += 16 * VECTORS)
		sum_values(a, out, scores, stride, factors, i, 0xffff, f16, heads, VECTORS);
	for (; i + 16 <= a->head_dim; i += 16)
		sum_values(a, out, scores, stride, factors, i, 0xffff, f16, heads, 1);
	if (i < a->head_dim)
		sum_values(a, out, scores, stride, factors, i, 0xff, f16, heads, 1);
}

static void attend_f16(const struct kern_attn *a, uint32_t head, uint32_t heads)
{
	if (heads == 4)
		attend(a, head, true, 4);
	else if (heads == 3)
		attend(a, head, true, 3);
	else if (heads == 2)
		attend(a, head, true, 2);
	else
		attend(a, head, true, 1);
}

static void attend_f32(const struct kern_attn *a, uint32_t head, uint32_t heads)
{
	if (heads == 4)
		attend(a, head, false, 4);
	else if (heads == 3)
		attend(a, head, false, 3);
	else if (heads == 2)
		attend(a, head, false, 2);
	else
		attend(a, head, false, 1);
}

void kern_attn_avx512(const struct kern_attn *a)
{
	for (uint32_t head = 0; head < a->group; head += HEADS) {
		uint32_t heads = a->group - head < HEADS ? a->group - head : HEADS;

		if (a->kv_f16)
			attend_f16(a, head, heads);
		else
			attend_f32(a, head, heads);
	}
}
