// SPDX-License-Identifier: MIT
/*
 * The gated activation.
 */
#include "kernels/cpu/simd_avx2.h"

/* below -200 exp(-g) is inf whatever g is; with g = -inf too the quotient is then -0 */
static __m256 silu(__m256 g)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	__m256 e = exp_clamped(_mm256_xor_ps(g, sign));

	g = _mm256_max_ps(_mm256_set1_ps(-200), g);
	return _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1), e));
}

void kern_silu_mul_avx2(float *y, const float *gate, const float *up, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, _mm256_mul_ps(silu(_mm256_loadu_ps(gate + i)),
						      _mm256_loadu_ps(up + i)));
	if (i < n) {
		__m256i mask = first_lanes(n - i);
		__m256 g = _mm256_maskload_ps(gate + i, mask);

		_mm256_maskstore_ps(y + i, mask,
				    _mm256_mul_ps(silu(g), _mm256_maskload_ps(up + i, mask)));
	}
}
