// SPDX-License-Identifier: MIT
/*
 * Keys and values on their way into the cache: copied, or rounded to nearest-even F16.
 */
#include "kernels/cpu/simd_avx2.h"

void kern_store_kv_avx2(void *y, const float *x, uint32_t n, bool f16)
{
	uint16_t *out = y, rest[8];
	uint32_t i = 0;

	if (!f16) {
		memcpy(y, x, n * sizeof(float));
		return;
	}
	for (; i + 8 <= n; i += 8)
		_mm_storeu_si128((__m128i *)(out + i),
				 _mm256_cvtps_ph(_mm256_loadu_ps(x + i),
						 _MM_FROUND_TO_NEAREST_INT));
	if (i < n) {
		__m256 v = _mm256_maskload_ps(x + i, first_lanes(n - i));

		_mm_storeu_si128((__m128i *)rest, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
		memcpy(out + i, rest, (n - i) * sizeof(*out));
	}
}
