// SPDX-License-Identifier: MIT
/*
 * The Gaussian error linear unit, approximated by tanh: x / (1 + exp(-2u)) with
 * u = sqrt(2 / pi) * (x + 0.044715 x^3), as in kernels/ref.
 */
#include "kernels/cpu/simd_avx2.h"

#define TWO_SQRT_2_PI	0x1.988454p+0f	/* 2 sqrt(2 / pi) */
#define CUBIC		0.044715f

/* below -20 exp(-2u) is inf whatever x is; with x = -inf too the quotient is then -0 */
static __m256 gelu(__m256 x)
{
	__m256 e, t = _mm256_max_ps(_mm256_set1_ps(-20), x);

	/* t in both factors, or x^3 could be inf where x is finite; that does no harm above */
	e = _mm256_fmadd_ps(_mm256_mul_ps(t, t), _mm256_set1_ps(CUBIC), _mm256_set1_ps(1));
	e = _mm256_mul_ps(_mm256_mul_ps(t, e), _mm256_set1_ps(-TWO_SQRT_2_PI));
	return _mm256_div_ps(t, _mm256_add_ps(_mm256_set1_ps(1), exp_clamped(e)));
}

void kern_gelu_mul_avx2(float *y, const float *gate, const float *up, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, _mm256_mul_ps(gelu(_mm256_loadu_ps(gate + i)),
						      _mm256_loadu_ps(up + i)));
	if (i < n) {
		__m256i mask = first_lanes(n - i);
		__m256 g = _mm256_maskload_ps(gate + i, mask);

		_mm256_maskstore_ps(y + i, mask,
				    _mm256_mul_ps(gelu(g), _mm256_maskload_ps(up + i, mask)));
	}
}

void kern_gelu_avx2(float *y, const float *x, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, gelu(_mm256_loadu_ps(x + i)));
	if (i < n) {
		__m256i mask = first_lanes(n - i);

		_mm256_maskstore_ps(y + i, mask, gelu(_mm256_maskload_ps(x + i, mask)));
	}
}
