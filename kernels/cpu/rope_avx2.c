// SPDX-License-Identifier: MIT
/*
 * Rotary positions: pairs that are neighbours, or a half of the rotated part apart.
 */
#include "kernels/cpu/simd_avx2.h"

static void rotate(float *a, float *b, float cos, float sin)
{
	float x = *a, y = *b;

	*a = x * cos - y * sin;
	*b = x * sin + y * cos;
}

static void rope_neighbours(float *x, uint32_t pairs, const float *cos, const float *sin)
{
	const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
	uint32_t i = 0;

	for (; i + 4 <= pairs; i += 4) {
		__m256 v = _mm256_loadu_ps(x + 2 * i);
		__m256 c = _mm256_permutevar8x32_ps(
			_mm256_castps128_ps256(_mm_loadu_ps(cos + i)), twice);
		__m256 s = _mm256_permutevar8x32_ps(
			_mm256_castps128_ps256(_mm_loadu_ps(sin + i)), twice);

		s = _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), s);
		_mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(v, c, s));
	}
	for (; i < pairs; i++)
		rotate(&x[2 * i], &x[2 * i + 1], cos[i], sin[i]);
}

static void rope_halves(float *x, uint32_t pairs, const float *cos, const float *sin)
{
	uint32_t i = 0;

	for (; i + 8 <= pairs; i += 8) {
		__m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + pairs + i);
		__m256 c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);

		_mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
		_mm256_storeu_ps(x + pairs + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
	}
	for (; i < pairs; i++)
		rotate(&x[i], &x[pairs + i], cos[i], sin[i]);
}

void kern_rope_avx2(float *x, uint32_t heads, uint32_t head_dim, uint32_t rot_dim,
		    const float *cos, const float *sin, bool neox)
{
	for (uint32_t h = 0; h < heads; h++, x += head_dim) {
		if (neox)
			rope_halves(x, rot_dim / 2, cos, sin);
		else
			rope_neighbours(x, rot_dim / 2, cos, sin);
	}
}
