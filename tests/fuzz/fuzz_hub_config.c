/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes config.json, and the names of tensors. Whatever is accepted must be readable as the keys of
 * a model; the texts up to the first NUL are settings, those behind it a tensor's name.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "model/hub_internal.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void use_name(const struct hub_arch *arch, const char *name)
{
	enum hub_change change = HUB_AS_IS;
	char to[64];

	if (!hub_name_map(arch, name, to, sizeof(to), &change) && change != HUB_IGNORE)
		require(strlen(to) < sizeof(to) && *to);
}

/* a head of two labels: their names are there, and as many, or there are none */
static void use_labels(const struct hub_config *config)
{
	static const float weights[2];
	const uint64_t dims[] = { 1, ARRAY_SIZE(weights) };

	require(!gguf_add_tensor(config->gguf, "cls.output.weight", KERN_F32, 2, dims, weights));
	require(!gguf_add_tensor(config->gguf, "cls.weight", KERN_F32, 2, dims, weights));
	if (!hub_labels_load(config))
		for (uint32_t i = 0; i < ARRAY_SIZE(weights); i++)
			require(model_label(config->gguf, i).data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	size_t len = end ? (size_t)(end - data) : size;
	struct model_hparams hparams;
	struct hub_config config = { 0 };
	json_t *json = NULL;
	char name[300] = "";

	if (json_parse(&json, (const char *)data, len, JSON_CONFIG_MAX, "fuzz", NULL) < 0)
		return 0;
	if (end)
		memcpy(name, end + 1, MIN(size - len - 1, sizeof(name) - 1));
	require(!gguf_new(&config.gguf));
	config.json = json;
	if (!hub_config_load(&config)) {
		require(config.arch && config.head_dim);
		use_name(config.arch, name);
		use_labels(&config);
		if (!model_read_hparams(&hparams, config.gguf, NULL))
			require(hparams.heads && hparams.head_dim && hparams.layers);
	}
	gguf_free(config.gguf);
	json_decref(json);
	return 0;
}
