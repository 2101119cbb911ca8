/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes adapters that are GGUF files: behind a byte that chooses the model is the file. What binds
 * has the model's shapes, and lies in its own memory.
 */
#include "lora_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lora_file file = { 0 };
	const struct model *model;
	void *copy;

	if (!size)
		return 0;
	model = lora_fuzz_model(*data);
	copy = malloc(size);
	require(copy);
	memcpy(copy, data + 1, size - 1);
	if (!gguf_open_memory(&file.gguf, copy, size - 1, NULL) &&
	    !lora_file_check(&file, model ? model->hparams.arch : NULL, NULL)) {
		lora_fuzz_info(&file);
		if (model)
			lora_fuzz_bind(&file, model);
	}
	lora_file_close(&file);
	free(copy);
	return 0;
}
