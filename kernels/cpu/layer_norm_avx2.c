// SPDX-License-Identifier: MIT
/*
 * Layer normalisation. Both sums are taken in 16 lanes of double: no magnitude of float32 overflows
 * them, and a mean far from zero costs no digits.
 */
#include <math.h>

#include "kernels/cpu/simd_avx2.h"

static double sum_lanes(const __m256d acc[4])
{
	__m256d s = _mm256_add_pd(_mm256_add_pd(acc[0], acc[2]), _mm256_add_pd(acc[1], acc[3]));
	__m128d h = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));

	return _mm_cvtsd_f64(h) + _mm_cvtsd_f64(_mm_unpackhi_pd(h, h));
}

static double sum(const float *x, uint32_t n)
{
	__m256d acc[4];
	double rest = 0;
	uint32_t i = 0;

	for (int k = 0; k < 4; k++)
		acc[k] = _mm256_setzero_pd();
	for (; i + 16 <= n; i += 16)
		for (int k = 0; k < 4; k++)
			acc[k] = _mm256_add_pd(acc[k],
					       _mm256_cvtps_pd(_mm_loadu_ps(x + i + 4 * k)));
	for (; i < n; i++)
		rest += x[i];
	return sum_lanes(acc) + rest;
}

static double sum_squares(const float *x, uint32_t n, double mean)
{
	const __m256d m = _mm256_set1_pd(mean);
	__m256d acc[4];
	double rest = 0;
	uint32_t i = 0;

	for (int k = 0; k < 4; k++)
		acc[k] = _mm256_setzero_pd();
	for (; i + 16 <= n; i += 16)
		for (int k = 0; k < 4; k++) {
			__m256d d = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i + 4 * k)), m);

			acc[k] = _mm256_fmadd_pd(d, d, acc[k]);
		}
	for (; i < n; i++)
		rest += (x[i] - mean) * (x[i] - mean);
	return sum_lanes(acc) + rest;
}

void kern_layer_norm_avx2(float *y, const float *x, const float *w, const float *b, uint32_t n,
			  float eps)
{
	double mean, scale;
	uint32_t i = 0;

	if (!n)
		return;
	mean = sum(x, n) / n;
	scale = 1 / sqrt(sum_squares(x, n, mean) / n + eps);
	for (; i + 4 <= n; i += 4) {
		__m256d d = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i)),
					  _mm256_set1_pd(mean));

		_mm_storeu_ps(y + i, _mm_fmadd_ps(_mm256_cvtpd_ps(_mm256_mul_pd(
							  d, _mm256_set1_pd(scale))),
						  _mm_loadu_ps(w + i), _mm_loadu_ps(b + i)));
	}
	for (; i < n; i++)
		y[i] = fmaf((float)((x[i] - mean) * scale), w[i], b[i]);
}
