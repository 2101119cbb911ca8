// SPDX-License-Identifier: MIT
/*
 * Root-mean-square normalisation. The sum of squares is taken in 16 lanes of double: no magnitude
 * of float32 overflows it.
 */
#include <math.h>

#include "kernels/cpu/simd_avx2.h"

static __m256d add_squares(__m256d acc, __m128 x)
{
	__m256d d = _mm256_cvtps_pd(x);

	return _mm256_fmadd_pd(d, d, acc);
}

static double sum_squares(const float *x, uint32_t n)
{
	__m256d acc[4], s;
	__m128d h;
	uint32_t i = 0;

	for (int k = 0; k < 4; k++)
		acc[k] = _mm256_setzero_pd();
	for (; i + 16 <= n; i += 16)
		for (int k = 0; k < 4; k++)
			acc[k] = add_squares(acc[k], _mm_loadu_ps(x + i + 4 * k));
	for (; i < n; i++)
		acc[0] = add_squares(acc[0], _mm_load_ss(x + i));
	s = _mm256_add_pd(_mm256_add_pd(acc[0], acc[2]), _mm256_add_pd(acc[1], acc[3]));
	h = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
	return _mm_cvtsd_f64(h) + _mm_cvtsd_f64(_mm_unpackhi_pd(h, h));
}

void kern_rms_norm_avx2(float *y, const float *x, const float *w, uint32_t n, float eps)
{
	float scale = (float)(1 / sqrt(sum_squares(x, n) / n + eps));
	__m256 s = _mm256_set1_ps(scale);
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), s),
						      _mm256_loadu_ps(w + i)));
	for (; i < n; i++)
		y[i] = x[i] * scale * w[i];
}
