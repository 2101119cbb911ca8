// SPDX-License-Identifier: MIT
/*
 * Root-mean-square normalisation, the truth: sum of squares in double.
 */
#include <math.h>

#include "kernels/ref/ref.h"

void kern_rms_norm_ref(float *y, const float *x, const float *w, uint32_t n, float eps)
{
	double sum = 0, scale;

	if (!n)
		return;
	for (uint32_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	scale = 1 / sqrt(sum / n + eps);
	for (uint32_t i = 0; i < n; i++)
		y[i] = (float)(x[i] * scale * w[i]);
}
