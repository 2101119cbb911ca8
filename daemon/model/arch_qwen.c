/* SPDX-License-Identifier: MIT */
/*
 * Qwen 2, 2.5 and 3. The second has biases on queries, keys and values, the third normalises the
 * heads of queries and keys instead, and comes with experts too.
 */
#include "model/arch.h"

/* read_window() - only where a file says it layer by layer: others have one that is not used */
static int read_window(struct model_hparams *p, const struct keys *keys)
{
	int r = keys_layers_bool(keys, "attention.sliding_window_pattern", p->layers,
				 &p->window.is_local);

	return r < 0 || !p->window.is_local ? r : model_read_window(p, keys);
}

static int read_qwen3moe(struct model_hparams *p, const struct keys *keys)
{
	int r = read_window(p, keys);

	return r < 0 ? r : model_read_experts(p, keys, true);
}

const struct model_arch model_arch_qwen[] = {
	{
		.name = "qwen2",
		.hparams = { .is_gated = true, .rope = { .is_neox = true } },
		.read = read_window,
	},
	{
		.name = "qwen3",
		.hparams = {
			.is_gated = true, .has_head_norms = true, .rope = { .is_neox = true },
		},
		.read = read_window,
	},
	{
		.name = "qwen3moe",
		.hparams = {
			.is_gated = true, .has_head_norms = true, .rope = { .is_neox = true },
		},
		.read = read_qwen3moe,
	},
	{ 0 },
};
