/* SPDX-License-Identifier: MIT */
/*
 * Qwen 2, 2.5 and 3. The second has biases on queries, keys and values, the third normalises the
 * heads of queries and keys instead, and comes with experts too.
 */
#include "model/arch.h"

static int read_qwen3moe(struct model_hparams *p, const struct keys *keys)
{
	return model_read_experts(p, keys, true);
}

const struct model_arch model_arch_qwen[] = {
	{
		.name = "qwen2",
		.hparams = { .is_gated = true, .rope = { .is_neox = true } },
	},
	{
		.name = "qwen3",
		.hparams = {
			.is_gated = true, .has_head_norms = true, .rope = { .is_neox = true },
		},
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
