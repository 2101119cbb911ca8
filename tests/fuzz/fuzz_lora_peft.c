/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes adapters that PEFT wrote: behind a byte that chooses the model are the settings, up to the
 * first NUL, and then the weights. What binds has the model's shapes, and lies in its own memory.
 */
#include "lora_fuzz.h"

#include "model/gguf_build.h"
#include "model/json.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_weights(const struct lora_peft *peft, const void *data, size_t size,
			const struct model *model)
{
	_cleanup_(safetensors_freep) struct safetensors *tensors = NULL;
	struct lora_file file = { 0 };

	if (safetensors_open_memory(&tensors, data, size, NULL) < 0)
		return;
	require(!gguf_new(&file.gguf));
	if (!lora_peft_tensors(&file, peft, tensors, model ? model->hparams.arch : NULL, NULL)) {
		lora_fuzz_info(&file);
		if (model)
			lora_fuzz_bind(&file, model);
	}
	lora_file_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data + 1, 0, size - 1) : NULL;
	struct lora_peft peft;
	json_t *json = NULL;
	size_t len;
	void *copy;

	if (!end || json_parse(&json, (const char *)data + 1, (size_t)(end - data) - 1,
			       JSON_CONFIG_MAX, "fuzz", NULL) < 0)
		return 0;
	len = size - (size_t)(end - data) - 1;
	copy = malloc(len ? len : 1);
	require(copy);
	memcpy(copy, end + 1, len);
	if (!lora_peft_config(&peft, json, NULL))
		use_weights(&peft, copy, len, lora_fuzz_model(*data));
	free(copy);
	json_decref(json);
	return 0;
}
