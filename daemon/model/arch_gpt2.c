/* SPDX-License-Identifier: MIT */
/*
 * GPT-2: layer norms, learned positions instead of a rope, biases everywhere, no gate. Source:
 * Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
 */
#include "model/arch.h"

static int read_gpt2(struct model_hparams *p, const struct keys *keys)
{
	(void)keys;
	p->rope.dim = 0;
	return 0;
}

const struct model_arch model_arch_gpt2[] = {
	{
		.name = "gpt2",
		.hparams = {
			.norm = MODEL_NORM_LAYER, .act = MODEL_ACT_GELU, .has_positions = true,
		},
		.read = read_gpt2,
	},
	{ 0 },
};
