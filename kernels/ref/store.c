// SPDX-License-Identifier: MIT
/*
 * Keys and values on their way into the cache: copied, or rounded to nearest-even F16.
 */
#include "kernels/half.h"
#include "kernels/ref/ref.h"

void kern_store_kv_ref(void *y, const float *x, uint32_t n, bool f16)
{
	if (!f16) {
		memcpy(y, x, (size_t)n * sizeof(float));
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint16_t h = kern_half_of_float(x[i]);

		memcpy((uint8_t *)y + (size_t)i * 2, &h, sizeof(h));
	}
}
