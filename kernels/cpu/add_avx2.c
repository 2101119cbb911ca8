// SPDX-License-Identifier: MIT
/*
 * The sum of a layer and its residual.
 */
#include "kernels/cpu/simd_avx2.h"

void kern_add_avx2(float *y, const float *x, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i,
				 _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
	for (; i < n; i++)
		y[i] += x[i];
}
