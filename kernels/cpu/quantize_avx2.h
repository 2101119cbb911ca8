/* SPDX-License-Identifier: MIT */
/*
 * One block of 32 activations to int8, for the packers of every width.
 */
#ifndef LLMOS_KERNELS_QUANTIZE_AVX2_H
#define LLMOS_KERNELS_QUANTIZE_AVX2_H

#include "kernels/cpu/act.h"
#include "kernels/cpu/simd_avx2.h"

/** struct quant_block - one block: q in order, d its scale, sums of the first and last 16 q */
struct quant_block {
	__m256i q;
	float d;
	int32_t sum_low, sum_high;
};

/* magnitudes are compared as integers, where NaN is greater than infinity */
KERN_INLINE uint32_t max_magnitude(const __m256 v[4])
{
	const __m256i mask = _mm256_set1_epi32(0x7fffffff);
	__m256i max = _mm256_and_si256(_mm256_castps_si256(v[0]), mask);
	__m128i m;

	for (int i = 1; i < 4; i++)
		max = _mm256_max_epi32(max, _mm256_and_si256(_mm256_castps_si256(v[i]), mask));
	m = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(m);
}

KERN_INLINE __m256i to_int8(const __m256 v[4], float inverse)
{
	__m256i i[4], q;

	for (int k = 0; k < 4; k++)
		i[k] = _mm256_cvtps_epi32(_mm256_mul_ps(v[k], _mm256_set1_ps(inverse)));
	q = _mm256_packs_epi16(_mm256_packs_epi32(i[0], i[1]), _mm256_packs_epi32(i[2], i[3]));
	return _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

KERN_INLINE int32_t sum4(__m128i v)
{
	v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
	v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1));
	return _mm_cvtsi128_si32(v);
}

KERN_INLINE void quantize_block(struct quant_block *b, const float *x)
{
	__m256 v[4];
	__m256i sums;
	uint32_t bits;
	float max;

	for (int i = 0; i < 4; i++)
		v[i] = _mm256_loadu_ps(x + 8 * i);
	bits = max_magnitude(v);
	memcpy(&max, &bits, sizeof(max));
	if (bits >= 0x7f800000 || max < ACT_TINY) {
		b->q = _mm256_setzero_si256();
		b->d = bits >= 0x7f800000 ? __builtin_nanf("") : 0;
		b->sum_low = b->sum_high = 0;
		return;
	}
	b->q = to_int8(v, 127 / max);
	b->d = max / 127;
	sums = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), b->q),
				 _mm256_set1_epi16(1));
	b->sum_low = sum4(_mm256_castsi256_si128(sums));
	b->sum_high = sum4(_mm256_extracti128_si256(sums, 1));
}

#endif /* LLMOS_KERNELS_QUANTIZE_AVX2_H */
