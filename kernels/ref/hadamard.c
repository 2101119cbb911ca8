// SPDX-License-Identifier: MIT
/*
 * The Walsh-Hadamard transform. In float32, unlike the other truths: each addition is one that all
 * tables make, in this order, so that what a cache holds does not depend on the instruction set.
 */
#include <math.h>

#include "kernels/ref/ref.h"

static void transform(float *x, uint32_t n)
{
	const float scale = 1 / sqrtf((float)n);

	for (uint32_t apart = 1; apart < n; apart *= 2)
		for (uint32_t i = 0; i < n; i++) {
			const float a = x[i], b = x[i ^ apart];

			if (i & apart)
				continue;
			x[i] = a + b;
			x[i + apart] = a - b;
		}
	for (uint32_t i = 0; i < n; i++)
		x[i] *= scale;
}

void kern_hadamard_ref(float *x, uint32_t n, uint32_t block)
{
	for (uint32_t i = 0; i < n; i += block)
		transform(x + i, block);
}
