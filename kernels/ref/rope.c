// SPDX-License-Identifier: MIT
/*
 * Rotary positions, the truth. The angles come from the caller, so one function serves every
 * scaling of them; what lies behind rot_dim in a head stays as it is.
 */
#include "kernels/ref/ref.h"

void kern_rope_ref(float *x, uint32_t heads, uint32_t head_dim, uint32_t rot_dim, const float *cos,
		   const float *sin, bool neox)
{
	uint32_t half = rot_dim / 2, step = neox ? 1 : 2, other = neox ? half : 1;

	for (uint32_t h = 0; h < heads; h++, x += head_dim) {
		for (uint32_t i = 0; i < half; i++) {
			double a = x[i * step], b = x[i * step + other];

			x[i * step] = (float)(a * cos[i] - b * sin[i]);
			x[i * step + other] = (float)(a * sin[i] + b * cos[i]);
		}
	}
}
