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
#define SLICE	16	/* elements of the output at once */

KERN_INLINE const void *row_of(const struct kern_attn *a, const void *const *pages, uint32_t token,
			       bool f16)
{
	const uint8_t *page = pages[token / a->page_tokens];
	size_t index = (size_t)(token % a->page_tokens) * a->head_dim;

	return page + index * (f16 ? 2 : 4);
}

KERN_INLINE __m256 load8(const void *row, uint32_t i, bool f16)
{
	if (f16)
		return _mm256_cvtph_ps(
			_mm_loadu_si128((const __m128i *)((const uint16_t *)row + i)));
	return _mm256_loadu_ps((const float *)row + i);
}

/* products of one key and the queries, lanes 8 to 15 already added to 0 to 7 */
KERN_INLINE void score_lanes(const struct kern_attn *a, const float *q, const void *key, bool f16,
			     int heads, __m256 lanes[][8])
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

/* scores up to the next multiple of 16, those behind the last key -inf */
KERN_INLINE void score_all(const struct kern_attn *a, const float *q, float *scores, size_t stride,
			   bool f16, int heads)
{
	const __m256 scale = _mm256_set1_ps(a->scale);
	__m256 lanes[HEADS][8];

	for (uint32_t t = 0; t < stride; t += 8) {
		uint32_t count = t >= a->tokens ? 0 : a->tokens - t < 8 ? a->tokens - t : 8;
		__m256 none = _mm256_castsi256_ps(first_lanes(count));

		for (uint32_t i = 0; i < count; i++)
			score_lanes(a, q, row_of(a, a->k_pages, t + i, f16), f16, heads,
				    (__m256(*)[8]) & lanes[0][i]);
		for (int h = 0; h < heads; h++) {
			for (uint32_t i = count; i < 8; i++)
				lanes[h][i] = _mm256_setzero_ps();
			_mm256_storeu_ps(scores + h * stride + t,
					 _mm256_blendv_ps(_mm256_set1_ps(-INFINITY),
							  _mm256_mul_ps(reduce8_8(lanes[h]), scale),
							  none));
		}
	}
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

/* elements [i, i + count) of the output, count 8 or SLICE, a constant */
KERN_INLINE void sum_values(const struct kern_attn *a, float *out, const float *weights,
			    size_t stride, const float *factors, uint32_t i, bool f16, int heads,
			    int count)
{
	__m256 acc[HEADS][SLICE / 8];

	for (int h = 0; h < heads; h++)
		for (int k = 0; k < count / 8; k++)
			acc[h][k] = _mm256_setzero_ps();
	for (uint32_t t = 0; t < a->tokens; t++) {
		const void *value = row_of(a, a->v_pages, t, f16);
		__m256 v[SLICE / 8];

		for (int k = 0; k < count / 8; k++)
			v[k] = load8(value, i + 8 * k, f16);
		for (int h = 0; h < heads; h++) {
			__m256 p = _mm256_broadcast_ss(weights + h * stride + t);

			for (int k = 0; k < count / 8; k++)
				acc[h][k] = _mm256_fmadd_ps(p, v[k], acc[h][k]);
		}
	}
	for (int h = 0; h < heads; h++)
		for (int k = 0; k < count / 8; k++)
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
	for (; i + SLICE <= a->head_dim; i += SLICE)
		sum_values(a, out, scores, stride, factors, i, f16, heads, SLICE);
	if (i < a->head_dim)
		sum_values(a, out, scores, stride, factors, i, f16, heads, 8);
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
