// SPDX-License-Identifier: MIT
/*
 * Layer normalisation, the truth: mean and variance in double, one after the other.
 */
#include <math.h>

#include "kernels/ref/ref.h"

void kern_layer_norm_ref(float *y, const float *x, const float *w, const float *b, uint32_t n,
			 float eps)
{
	double mean = 0, sum = 0, scale;

	if (!n)
		return;
	for (uint32_t i = 0; i < n; i++)
		mean += x[i];
	mean /= n;
	for (uint32_t i = 0; i < n; i++)
		sum += (x[i] - mean) * (x[i] - mean);
	scale = 1 / sqrt(sum / n + eps);
	for (uint32_t i = 0; i < n; i++)
		y[i] = (float)((x[i] - mean) * scale * w[i] + b[i]);
}
