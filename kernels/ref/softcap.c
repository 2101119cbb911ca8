// SPDX-License-Identifier: MIT
/*
 * Soft capping, the truth: what is far from zero is bent to stay between -cap and cap. Source:
 * "Gemma 2: Improving Open Language Models at a Practical Size" (2024).
 */
#include <math.h>

#include "kernels/ref/ref.h"

void kern_softcap_ref(float *y, uint32_t n, float cap)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = (float)(cap * tanh((double)y[i] / cap));
}
