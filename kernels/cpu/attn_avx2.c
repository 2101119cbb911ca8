// SPDX-License-Identifier: MIT
/*
 * Attention of one token: scores of all keys, softmax, then the sum of the values, with the heads
 * of a group side by side so that keys and values are read once for up to four of them. Every head
 * is summed as if it were alone: a score in 16 lanes over the elements, the softmax's sum in 16
 * lanes over the keys, an element of the output over the keys from the first to the last.
 */
#include <math.h>

#include "kernels/cpu/simd_avx2.h"

#define HEADS	4	/* at once */
#define VECTORS	2	/* of the output at once */

/* elements [i, i + 8) of a row */
KERN_INLINE __m256 load8(const uint8_t *row, uint32_t i, bool f16)
{
	if (f16)
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row + i * 2)));
	return _mm256_loadu_ps((const float *)(const void *)(row + i * 4));
}

/* products of one key and the queries, lanes 8 to 15 already added to 0 to 7 */
KERN_INLINE void score_lanes(const struct kern_attn *a, const float *q, const uint8_t *key,
			     bool f16, int heads, __m256 lanes[][8])
{
	__m256 low[HEADS], high[HEADS];
	uint32_t i = 0;

	for (int h = 0; h < heads; h++)
		low[h] = high[h] = _mm256_setzero_ps();
	for (; i + 16 <= a->head_dim; i += 16) {
		__m256 k0 = load8(key, i, f16), k1 = load8(key, i + 8, f16);

		for (int h = 0; h < heads; h++) {
			const float *x = q + (size_t)h * a->head_dim + i;

			low[h] = _mm256_fmadd_ps(_mm256_loadu_ps(x), k0, low[h]);
			high[h] = _mm256_fmadd_ps(_mm256_loadu_ps(x + 8), k1, high[h]);
		}
	}
	if (i < a->head_dim) {
		__m256 k0 = load8(key, i, f16);

		for (int h = 0; h < heads; h++)
			low[h] = _mm256_fmadd_ps(_mm256_loadu_ps(q + (size_t)h * a->head_dim + i),
						 k0, low[h]);
	}
	for (int h = 0; h < heads; h++)
		lanes[h][0] = _mm256_add_ps(low[h], high[h]);
}

/* scores of @count keys, at most eight, that follow one another in a page; -inf behind them */
KERN_INLINE void score_keys(const struct kern_attn *a, const float *q, const uint8_t *keys,
			    uint32_t count, float *scores, size_t stride, bool f16, int heads)
{
	const size_t row_bytes = (size_t)a->head_dim * (f16 ? 2 : 4);
	const __m256 there = _mm256_castsi256_ps(first_lanes(count));
	__m256 lanes[HEADS][8];

	for (uint32_t t = 0; t < count; t++, keys += row_bytes)
		score_lanes(a, q, keys, f16, heads, (__m256(*)[8]) & lanes[0][t]);
	for (int h = 0; h < heads; h++) {
		__m256 sums;

		for (uint32_t t = count; t < 8; t++)
			lanes[h][t] = _mm256_setzero_ps();
		sums = _mm256_mul_ps(reduce8_8(lanes[h]), _mm256_set1_ps(a->scale));
		if (a->softcap != 0)
			sums = softcap_all(sums, a->softcap);
		_mm256_storeu_ps(scores + h * stride,
				 _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), sums, there));
	}
}

/* scores up to the next multiple of 16, and -inf for keys before the first */
KERN_INLINE void score_all(const struct kern_attn *a, const float *q, float *scores, size_t stride,
			   bool f16, int heads)
{
	const size_t row_bytes = (size_t)a->head_dim * (f16 ? 2 : 4);

	for (uint32_t t = 0; t < stride; t += 8) {
		const uint8_t *page = a->k_pages[t / 16 * 16 / a->page_tokens];
		uint32_t count = t >= a->tokens ? 0 : a->tokens - t < 8 ? a->tokens - t : 8;

		score_keys(a, q, page + t % a->page_tokens * row_bytes, count, scores + t, stride,
			   f16, heads);
	}
	for (int h = 0; h < heads; h++)
		for (uint32_t t = 0; t < a->first; t++)
			scores[h * stride + t] = -INFINITY;
}

/* greatest score; 0 if all are -inf */
static float max_score(const float *scores, size_t count)
{
	__m256 max = _mm256_set1_ps(-INFINITY);
	float m[8], result = -INFINITY;

	for (size_t t = 0; t < count; t += 8)
		max = _mm256_max_ps(_mm256_loadu_ps(scores + t), max);
	_mm256_storeu_ps(m, max);
	for (int i = 0; i < 8; i++)
		result = m[i] > result ? m[i] : result;
	return result == -INFINITY ? 0 : result;
}

/* scores become exp(score - max); returns what to multiply their products with */
static float softmax(float *scores, size_t count)
{
	__m256 max = _mm256_set1_ps(max_score(scores, count));
	__m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
	float sum;

	for (size_t t = 0; t < count; t += 16) {
		__m256 a = exp_or_zero(_mm256_sub_ps(_mm256_loadu_ps(scores + t), max));
		__m256 b = exp_or_zero(_mm256_sub_ps(_mm256_loadu_ps(scores + t + 8), max));

		_mm256_storeu_ps(scores + t, a);
		_mm256_storeu_ps(scores + t + 8, b);
		low = _mm256_add_ps(low, a);
		high = _mm256_add_ps(high, b);
	}
	sum = reduce8(_mm256_add_ps(low, high));
	return sum == 0 ? 0 : 1 / sum;
}

/* adds @count values of one page to @vectors of the output from @i; heads, vectors: constants */
KERN_INLINE void add_values(const struct kern_attn *a, const uint8_t *values, uint32_t count,
			    const float *weights, size_t stride, uint32_t i, bool f16, int heads,
			    int vectors, __m256 acc[][VECTORS])
{
	const size_t row_bytes = (size_t)a->head_dim * (f16 ? 2 : 4);

	for (uint32_t t = 0; t < count; t++, values += row_bytes) {
		__m256 v[VECTORS];

		for (int k = 0; k < vectors; k++)
			v[k] = load8(values, i + 8 * k, f16);
		for (int h = 0; h < heads; h++) {
			__m256 p = _mm256_broadcast_ss(weights + h * stride + t);

			for (int k = 0; k < vectors; k++)
				acc[h][k] = _mm256_fmadd_ps(p, v[k], acc[h][k]);
		}
	}
}

/* elements of the output from @i: @vectors vectors */
KERN_INLINE void sum_values(const struct kern_attn *a, float *out, const float *weights,
			    size_t stride, const float *factors, uint32_t i, bool f16, int heads,
			    int vectors)
{
	__m256 acc[HEADS][VECTORS];

	for (int h = 0; h < heads; h++)
		for (int k = 0; k < vectors; k++)
			acc[h][k] = _mm256_setzero_ps();
	for (uint32_t t = 0, skip = a->first; t < a->tokens; t += a->page_tokens, skip = 0) {
		const uint8_t *values = a->v_pages[t / a->page_tokens];
		uint32_t left = a->tokens - t;

		add_values(a, values + (size_t)skip * a->head_dim * (f16 ? 2 : 4),
			   (left < a->page_tokens ? left : a->page_tokens) - skip,
			   weights + t + skip, stride, i, f16, heads, vectors, acc);
	}
	for (int h = 0; h < heads; h++)
		for (int k = 0; k < vectors; k++)
			_mm256_storeu_ps(out + (size_t)h * a->head_dim + i + 8 * k,
					 _mm256_mul_ps(acc[h][k], _mm256_set1_ps(factors[h])));
}

KERN_INLINE void attend(const struct kern_attn *a, uint32_t head, bool f16, int heads)
{
	const size_t stride = ((size_t)a->tokens + 15) / 16 * 16;
	const float *q = a->q + (size_t)head * a->head_dim;
	float *out = a->out + (size_t)head * a->head_dim;
	float *scores = a->scores + head * stride;
	float factors[HEADS];
	uint32_t i = 0;

	score_all(a, q, scores, stride, f16, heads);
	for (int h = 0; h < heads; h++)
		factors[h] = softmax(scores + h * stride, stride);
	for (; i + 8 * VECTORS <= a->head_dim; i += 8 * VECTORS)
		sum_values(a, out, scores, stride, factors, i, f16, heads, VECTORS);
	if (i < a->head_dim)
		sum_values(a, out, scores, stride, factors, i, f16, heads, 1);
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

void kern_attn_avx2(const struct kern_attn *a)
{
	for (uint32_t head = 0; head < a->group; head += HEADS) {
		uint32_t heads = a->group - head < HEADS ? a->group - head : HEADS;

		if (a->kv_f16)
			attend_f16(a, head, heads);
		else
			attend_f32(a, head, heads);
	}
}
