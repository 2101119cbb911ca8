// SPDX-License-Identifier: MIT
/*
 * The Gaussian error linear unit, by erfc(a) for a = |x| / sqrt(2): what lies in the tail is
 * erfc(a) / 2, which keeps its digits however small it is. With t = (a - 2) / (a + 2), which maps
 * all a to [-1, 1), (1 + 2a) exp(a^2) erfc(a) is nearly a straight line: a polynomial of degree 9
 * (Chebyshev fit for a up to 9.9, relative error below 3e-8) does.
 */
#include "kernels/cpu/simd_avx2.h"

#define ERFC_C0	0x1.46e80ep+0f
#define ERFC_C1	-0x1.7bf618p-4f
#define ERFC_C2	-0x1.54081ap-3f
#define ERFC_C3	0x1.4ffc4ep-3f
#define ERFC_C4	-0x1.bc1246p-5f
#define ERFC_C5	-0x1.082672p-7f
#define ERFC_C6	0x1.1b3df8p-7f
#define ERFC_C7	0x1.5a1c70p-10f
#define ERFC_C8	-0x1.45d8b2p-10f
#define ERFC_C9	-0x1.ae3d56p-12f

#define TAIL_END	14.0f	/* beyond it, exp(-x^2 / 2) is no normal float32 any more */

static __m256 gelu_erf(__m256 x)
{
	const __m256 one = _mm256_set1_ps(1), two = _mm256_set1_ps(2);
	const __m256 end = _mm256_set1_ps(TAIL_END);
	__m256 size, a, t, p, tail, below;

	/* in this order of operands NaN gets through */
	size = _mm256_min_ps(end, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x));
	a = _mm256_mul_ps(size, _mm256_set1_ps(0x1.6a09e6p-1f));
	t = _mm256_div_ps(_mm256_sub_ps(a, two), _mm256_add_ps(a, two));
	p = _mm256_fmadd_ps(_mm256_set1_ps(ERFC_C9), t, _mm256_set1_ps(ERFC_C8));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C7));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C6));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C5));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C4));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C3));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C2));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C1));
	p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(ERFC_C0));
	p = _mm256_div_ps(p, _mm256_fmadd_ps(two, a, one));
	/* size^2, not a^2: a was rounded */
	tail = exp_clamped(_mm256_mul_ps(_mm256_mul_ps(size, size), _mm256_set1_ps(-0.5f)));
	tail = _mm256_mul_ps(_mm256_mul_ps(tail, p), _mm256_set1_ps(0.5f));
	/* below -TAIL_END it is as good as nothing, but never inf times something */
	below = _mm256_mul_ps(_mm256_max_ps(_mm256_set1_ps(-TAIL_END), x), tail);
	return _mm256_blendv_ps(_mm256_mul_ps(x, _mm256_sub_ps(one, tail)), below, x);
}

void kern_gelu_erf_avx2(float *y, const float *x, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, gelu_erf(_mm256_loadu_ps(x + i)));
	if (i < n) {
		__m256i mask = first_lanes(n - i);

		_mm256_maskstore_ps(y + i, mask, gelu_erf(_mm256_maskload_ps(x + i, mask)));
	}
}
