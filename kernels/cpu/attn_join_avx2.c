// SPDX-License-Identifier: MIT
/*
 * Attention of one row to the keys so far, and to the next part of them, become one.
 */
#include <math.h>

#include "kernels/cpu/simd_avx2.h"

/* of a row that had nothing the part is all; else both are weighed by their greatest scores */
void kern_attn_join_avx2(float *out, struct kern_attn_sum *all, const float *part,
			 const struct kern_attn_sum *sum, uint32_t head_dim)
{
	const float max = all->max > sum->max ? all->max : sum->max;
	const float top = max == -INFINITY ? 0 : max;
	__m256 old, new, both;

	if (all->sum == 0) {
		memcpy(out, part, head_dim * sizeof(*out));
		*all = *sum;
		return;
	}
	old = exp_or_zero(_mm256_set1_ps(all->max - top));
	new = exp_or_zero(_mm256_set1_ps(sum->max - top));
	for (uint32_t i = 0; i < head_dim; i += 8) {
		both = _mm256_mul_ps(_mm256_loadu_ps(out + i), old);
		both = _mm256_fmadd_ps(_mm256_loadu_ps(part + i), new, both);
		_mm256_storeu_ps(out + i, both);
	}
	both = _mm256_fmadd_ps(_mm256_set1_ps(sum->sum), new,
			       _mm256_mul_ps(_mm256_set1_ps(all->sum), old));
	*all = (struct kern_attn_sum){max, _mm256_cvtss_f32(both)};
}
