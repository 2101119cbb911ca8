/* SPDX-License-Identifier: MIT */
/*
 * Vectors of eight float32 lanes: loads that stop at the end, sums in the fixed order, and exp.
 */
#ifndef LLMOS_KERNELS_SIMD_AVX2_H
#define LLMOS_KERNELS_SIMD_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

/** first_lanes() - a mask of the first @count lanes; all for 8 and more */
KERN_INLINE __m256i first_lanes(uint32_t count)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32(count < 8 ? (int)count : 8),
				  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/** reduce8() - one float from eight lanes */
KERN_INLINE float reduce8(__m256 v)
{
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* lanes i + 4 are added to i: of a in the lower half, of b in the upper */
KERN_INLINE __m256 fold4(__m256 a, __m256 b)
{
	return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20),
			     _mm256_permute2f128_ps(a, b, 0x31));
}

KERN_INLINE __m256 fold2(__m256 a, __m256 b)
{
	__m256d x = _mm256_castps_pd(a), y = _mm256_castps_pd(b);

	return _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)),
			     _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
}

KERN_INLINE __m256 fold1(__m256 a, __m256 b)
{
	return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}

/** reduce8_8() - reduce8() of eight vectors at once: v[i] ends in lane i */
KERN_INLINE __m256 reduce8_8(const __m256 v[8])
{
	__m256 a = fold2(fold4(v[0], v[4]), fold4(v[1], v[5]));
	__m256 b = fold2(fold4(v[2], v[6]), fold4(v[3], v[7]));

	return fold1(a, b);
}

/* exp(x) = 2^n exp(r): the polynomial's coefficients for (exp(r) - 1 - r) / r^2, |r| <= ln(2)/2 */
#define EXP_C0	0x1.fffffcp-2f
#define EXP_C1	0x1.555492p-3f
#define EXP_C2	0x1.5558f2p-5f
#define EXP_C3	0x1.123a2p-7f
#define EXP_C4	0x1.6a23cep-10f

#define EXP_MIN	-87.33f		/* below it, exp is no normal float32 any more */

/**
 * exp_clamped() - exp(x), for x below EXP_MIN exp(EXP_MIN), inf above 88.73, NaN for NaN
 *
 * Relative error below 9e-8.
 */
KERN_INLINE __m256 exp_clamped(__m256 x)
{
	__m256 n, r, p;
	__m256i i, half;

	/* in this order of operands NaN gets through */
	x = _mm256_max_ps(_mm256_set1_ps(EXP_MIN), x);
	x = _mm256_min_ps(_mm256_set1_ps(100), x);
	n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
			    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
	p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C4), r, _mm256_set1_ps(EXP_C3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C1));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C0));
	p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
	p = _mm256_add_ps(p, _mm256_set1_ps(1));
	/* 2^n in two factors: n can be 144 */
	i = _mm256_cvtps_epi32(n);
	half = _mm256_srai_epi32(i, 1);
	i = _mm256_sub_epi32(i, half);
	half = _mm256_slli_epi32(_mm256_add_epi32(half, _mm256_set1_epi32(127)), 23);
	i = _mm256_slli_epi32(_mm256_add_epi32(i, _mm256_set1_epi32(127)), 23);
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(half));
	return _mm256_mul_ps(p, _mm256_castsi256_ps(i));
}

/** exp_or_zero() - exp(x) for x <= 0, exactly 0 below EXP_MIN */
KERN_INLINE __m256 exp_or_zero(__m256 x)
{
	__m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_MIN), _CMP_LT_OQ);

	return _mm256_andnot_ps(tiny, exp_clamped(x));
}

/* tanh(x) = x + x^3 p(x^2) for |x| below TANH_SMALL: Chebyshev fit, relative error below 2e-8 */
#define TANH_SMALL	0.625f
#define TANH_C0	-0x1.555552p-2f
#define TANH_C1	0x1.110e2ep-3f
#define TANH_C2	-0x1.b928ep-5f
#define TANH_C3	0x1.581fa6p-6f
#define TANH_C4	-0x1.9017fep-8f

/** tanh_all() - tanh(x); relative error below 2e-7 */
KERN_INLINE __m256 tanh_all(__m256 x)
{
	const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1);
	__m256 size = _mm256_andnot_ps(sign, x), z = _mm256_mul_ps(x, x), p, far;

	p = _mm256_fmadd_ps(_mm256_set1_ps(TANH_C4), z, _mm256_set1_ps(TANH_C3));
	p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(TANH_C2));
	p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(TANH_C1));
	p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(TANH_C0));
	p = _mm256_fmadd_ps(_mm256_mul_ps(x, z), p, x);
	far = _mm256_add_ps(exp_clamped(_mm256_add_ps(size, size)), one);
	far = _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2), far));
	p = _mm256_blendv_ps(far, p,
			     _mm256_cmp_ps(size, _mm256_set1_ps(TANH_SMALL), _CMP_LT_OQ));
	return _mm256_or_ps(p, _mm256_and_ps(sign, x));
}

/** softcap_all() - cap * tanh(x / cap) */
KERN_INLINE __m256 softcap_all(__m256 x, float cap)
{
	const __m256 c = _mm256_set1_ps(cap);

	return _mm256_mul_ps(c, tanh_all(_mm256_div_ps(x, c)));
}

#endif /* LLMOS_KERNELS_SIMD_AVX2_H */
