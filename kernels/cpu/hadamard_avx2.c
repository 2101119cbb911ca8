// SPDX-License-Identifier: MIT
/*
 * The Walsh-Hadamard transform, a stage after the other: sums and differences of elements 1, 2, 4
 * and so on apart. Each is one addition, so that the bits are those of kernels/ref.
 */
#include <math.h>

#include "kernels/cpu/simd_avx2.h"

/* stages 1, 2 and 4: within eight elements; @v's lanes of a difference change their sign */
static __m256 transform8(__m256 v)
{
	const __m256 minus = _mm256_set1_ps(-0.0f), zero = _mm256_setzero_ps();
	const __m256 odd = _mm256_blend_ps(zero, minus, 0xaa);
	const __m256 odd_pair = _mm256_blend_ps(zero, minus, 0xcc);
	const __m256 upper = _mm256_blend_ps(zero, minus, 0xf0);

	v = _mm256_add_ps(_mm256_permute_ps(v, 0xb1), _mm256_xor_ps(v, odd));
	v = _mm256_add_ps(_mm256_permute_ps(v, 0x4e), _mm256_xor_ps(v, odd_pair));
	return _mm256_add_ps(_mm256_permute2f128_ps(v, v, 0x01), _mm256_xor_ps(v, upper));
}

/* stage() - sums of elements that are @apart become the first half, differences the second */
static void stage(float *x, uint32_t apart)
{
	for (uint32_t i = 0; i < apart; i += 8) {
		const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + apart + i);

		_mm256_storeu_ps(x + i, _mm256_add_ps(a, b));
		_mm256_storeu_ps(x + apart + i, _mm256_sub_ps(a, b));
	}
}

static void transform(float *x, uint32_t n)
{
	const __m256 scale = _mm256_set1_ps(1 / sqrtf((float)n));

	for (uint32_t i = 0; i < n; i += 8)
		_mm256_storeu_ps(x + i, transform8(_mm256_loadu_ps(x + i)));
	for (uint32_t apart = 8; apart < n; apart *= 2)
		for (uint32_t i = 0; i < n; i += 2 * apart)
			stage(x + i, apart);
	for (uint32_t i = 0; i < n; i += 8)
		_mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), scale));
}

void kern_hadamard_avx2(float *x, uint32_t n, uint32_t block)
{
	for (uint32_t i = 0; i < n; i += block)
		transform(x + i, block);
}
