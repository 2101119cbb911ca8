// SPDX-License-Identifier: MIT
/*
 * The gated activation silu(g) * u with silu(g) = g / (1 + exp(-g)), the truth: its limit for
 * g = -inf is -0, not the quotient of two infinities.
 */
#include <math.h>

#include "kernels/ref/ref.h"

static double silu(double g)
{
	return g == -INFINITY ? -0.0 : g / (1 + exp(-g));
}

void kern_silu_mul_ref(float *y, const float *gate, const float *up, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = (float)(silu(gate[i]) * up[i]);
}
