/* SPDX-License-Identifier: MIT */
/*
 * Vectors of sixteen float32 lanes: sums in the fixed order, and exp, with the same bits as the
 * vectors of eight.
 */
#ifndef LLMOS_KERNELS_SIMD_AVX512_H
#define LLMOS_KERNELS_SIMD_AVX512_H

#include "kernels/cpu/simd_avx2.h"

/** low_mask() - the first @count of up to 32 lanes */
KERN_INLINE uint32_t low_mask(uint32_t count)
{
	return count < 32 ? (1u << count) - 1 : ~0u;
}

/* lanes i + 8 are added to i: of a in the lower half, of b in the upper */
KERN_INLINE __m512 fold8_512(__m512 a, __m512 b)
{
	return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

/* in each half of a and b lanes i + 4 are added to i: quarters a low, a high, b low, b high */
KERN_INLINE __m512 fold4_512(__m512 a, __m512 b)
{
	return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

KERN_INLINE __m512 fold2_512(__m512 a, __m512 b)
{
	__m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);

	return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
			     _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}

KERN_INLINE __m512 fold1_512(__m512 a, __m512 b)
{
	return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/* four vectors whose quarters are 4 lanes of one sum each: sum q of v[i] ends in lane 4 * q + i */
KERN_INLINE __m512 reduce4_512(const __m512 v[4])
{
	return fold1_512(fold2_512(v[0], v[1]), fold2_512(v[2], v[3]));
}

/* lanes 0 to 3: first halves of v[0] to v[3], 4 to 7: second halves; 8 to 15: v[4] to v[7] */
KERN_INLINE __m512 reduce8_quarters(const __m512 v[8])
{
	__m512 q[4];

	for (int i = 0; i < 4; i++)
		q[i] = fold4_512(v[i], v[i + 4]);
	return reduce4_512(q);
}

/** reduce8_pairs() - the halves of v[i] become lanes 2 * i and 2 * i + 1 */
KERN_INLINE __m512 reduce8_pairs(const __m512 v[8])
{
	const __m512i order =
		_mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);

	return _mm512_permutexvar_ps(order, reduce8_quarters(v));
}

/** reduce16_16() - v[i] becomes lane i */
KERN_INLINE __m512 reduce16_16(const __m512 v[16])
{
	__m512 h[8];

	for (int i = 0; i < 8; i++)
		h[i] = fold8_512(v[i], v[i + 8]);
	h[0] = reduce8_quarters(h);
	return _mm512_shuffle_f32x4(h[0], h[0], 0xd8);
}

/** reduce16_4() - v[i] becomes lane i of four */
KERN_INLINE __m128 reduce16_4(const __m512 v[4])
{
	__m512 q = fold4_512(fold8_512(v[0], v[1]), fold8_512(v[2], v[3]));

	q = fold1_512(fold2_512(q, q), fold2_512(q, q));
	return _mm512_castps512_ps128(
		_mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4,
							8, 12),
				      q));
}

/** exp_clamped_512() - exp_clamped() of sixteen lanes */
KERN_INLINE __m512 exp_clamped_512(__m512 x)
{
	__m512 n, r, p;
	__m512i i, half;

	x = _mm512_max_ps(_mm512_set1_ps(EXP_MIN), x);
	x = _mm512_min_ps(_mm512_set1_ps(100), x);
	n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p+0f)),
				 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
	p = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C4), r, _mm512_set1_ps(EXP_C3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C1));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C0));
	p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r);
	p = _mm512_add_ps(p, _mm512_set1_ps(1));
	i = _mm512_cvtps_epi32(n);
	half = _mm512_srai_epi32(i, 1);
	i = _mm512_sub_epi32(i, half);
	half = _mm512_slli_epi32(_mm512_add_epi32(half, _mm512_set1_epi32(127)), 23);
	i = _mm512_slli_epi32(_mm512_add_epi32(i, _mm512_set1_epi32(127)), 23);
	p = _mm512_mul_ps(p, _mm512_castsi512_ps(half));
	return _mm512_mul_ps(p, _mm512_castsi512_ps(i));
}

/** exp_or_zero_512() - exp(x) for x <= 0, exactly 0 below EXP_MIN */
KERN_INLINE __m512 exp_or_zero_512(__m512 x)
{
	__mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_MIN), _CMP_NLT_UQ);

	return _mm512_maskz_mov_ps(keep, exp_clamped_512(x));
}

/** tanh_all_512() - tanh_all() of sixteen lanes */
KERN_INLINE __m512 tanh_all_512(__m512 x)
{
	const __m512 one = _mm512_set1_ps(1), sign = _mm512_set1_ps(-0.0f);
	__m512 size = _mm512_andnot_ps(sign, x), z = _mm512_mul_ps(x, x), p, far;

	p = _mm512_fmadd_ps(_mm512_set1_ps(TANH_C4), z, _mm512_set1_ps(TANH_C3));
	p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(TANH_C2));
	p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(TANH_C1));
	p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(TANH_C0));
	p = _mm512_fmadd_ps(_mm512_mul_ps(x, z), p, x);
	far = _mm512_add_ps(exp_clamped_512(_mm512_add_ps(size, size)), one);
	far = _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2), far));
	p = _mm512_mask_mov_ps(
		far, _mm512_cmp_ps_mask(size, _mm512_set1_ps(TANH_SMALL), _CMP_LT_OQ), p);
	return _mm512_or_ps(p, _mm512_and_ps(sign, x));
}

/** softcap_all_512() - softcap_all() of sixteen lanes */
KERN_INLINE __m512 softcap_all_512(__m512 x, float cap)
{
	const __m512 c = _mm512_set1_ps(cap);

	return _mm512_mul_ps(c, tanh_all_512(_mm512_div_ps(x, c)));
}

/** exponents_to_floats() - 2^(e - 128), e 0 to 255; the least two are no normal numbers */
KERN_INLINE __m512 exponents_to_floats(__m512i e)
{
	__m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
	__m512i tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
	__mmask16 is_tiny = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));

	return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, is_tiny, tiny));
}

#endif /* LLMOS_KERNELS_SIMD_AVX512_H */
