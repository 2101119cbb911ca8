/* SPDX-License-Identifier: MIT */
/* Fuzzes the header of safetensors files. What opens must be readable to its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct safetensors *file = NULL;
	unsigned int sum = 0;

	if (safetensors_open_memory(&file, data, size, NULL) < 0)
		return 0;
	for (size_t i = 0; i < safetensors_count(file); i++) {
		const struct safetensor *t = safetensors_at(file, i);

		require(safetensors_find(file, t->name) == t && t->dtype && *t->name);
		for (size_t j = 0; j < t->size_bytes; j++)
			sum += (unsigned char)t->data[j];
	}
	require(sum <= size * UINT8_MAX);
	safetensors_free(file);
	return 0;
}
