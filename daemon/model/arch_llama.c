/* SPDX-License-Identifier: MIT */
/*
 * Llama 1 to 3, and what is shipped under its name: Mistral (some with a sliding window), Mixtral
 * (experts), SmolLM, TinyLlama. The converter has reordered queries and keys so that pairs are
 * neighbours. SmolLM3 is the same, but for every fourth layer, which knows of no positions.
 */
#include "model/arch.h"

static int read_llama(struct model_hparams *p, const struct keys *keys)
{
	int r = model_read_window(p, keys);

	return r < 0 ? r : model_read_experts(p, keys, false);
}

const struct model_arch model_arch_llama[] = {
	{
		.name = "llama",
		.hparams = { .is_gated = true },
		.read = read_llama,
	},
	{
		.name = "smollm3",
		.hparams = { .is_gated = true, .plain_period = 4 },
	},
	{ 0 },
};
