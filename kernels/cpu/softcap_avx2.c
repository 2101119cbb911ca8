// SPDX-License-Identifier: MIT
/*
 * Soft capping: cap * tanh(y / cap), in place.
 */
#include "kernels/cpu/simd_avx2.h"

void kern_softcap_avx2(float *y, uint32_t n, float cap)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, softcap_all(_mm256_loadu_ps(y + i), cap));
	if (i < n) {
		__m256i mask = first_lanes(n - i);

		_mm256_maskstore_ps(y + i, mask, softcap_all(_mm256_maskload_ps(y + i, mask), cap));
	}
}
