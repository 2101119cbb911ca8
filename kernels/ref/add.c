// SPDX-License-Identifier: MIT
/*
 * The sum of a layer and its residual.
 */
#include "kernels/ref/ref.h"

void kern_add_ref(float *y, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] += x[i];
}
