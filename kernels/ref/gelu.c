// SPDX-License-Identifier: MIT
/*
 * The Gaussian error linear unit in its approximation by tanh, the truth: gelu(x) = x / 2 *
 * (1 + tanh(u)), and since 1 + tanh(u) = 2 / (1 + exp(-2u)), one quotient does. Its limit for
 * x = -inf is -0, not the quotient of two infinities. Source: Hendrycks and Gimpel, "Gaussian
 * Error Linear Units" (2016).
 */
#include <math.h>

#include "kernels/ref/ref.h"

static double gelu(double x)
{
	const double u = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);

	return x == -INFINITY ? -0.0 : x / (1 + exp(-2 * u));
}

void kern_gelu_mul_ref(float *y, const float *gate, const float *up, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = (float)(gelu(gate[i]) * up[i]);
}

void kern_gelu_ref(float *y, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = (float)gelu(x[i]);
}
