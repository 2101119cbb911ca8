// SPDX-License-Identifier: MIT
/*
 * The Gaussian error linear unit itself, the truth: x times the share of a normal distribution that
 * lies below x, x / 2 * erfc(-x / sqrt(2)). Its limit for x = -inf is -0. Source: Hendrycks and
 * Gimpel, "Gaussian Error Linear Units" (2016).
 */
#include <math.h>

#include "kernels/ref/ref.h"

void kern_gelu_erf_ref(float *y, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] == -INFINITY ? -0.0f
					 : (float)(x[i] / 2.0 * erfc(-x[i] * M_SQRT1_2));
}
