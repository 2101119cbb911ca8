/* SPDX-License-Identifier: MIT */
/*
 * BERT, an encoder: every token sees the whole text, norms stand behind the sums, and there is no
 * output but the hidden states. nomic-bert is the same with a rope and a gate. Sources: Devlin et
 * al., "BERT: Pre-training of Deep Bidirectional Transformers" (2018); Nussbaum et al., "Nomic
 * Embed" (2024).
 */
#include "model/arch.h"

static int check_causal(const struct keys *keys)
{
	bool is_causal = false;
	int r = keys_bool(keys, "attention.causal", &is_causal);

	if (r >= 0 && is_causal)
		return error_set(keys->error, -EOPNOTSUPP,
				 "model: an encoder whose tokens see only those before them");
	return r;
}

static int read_bert(struct model_hparams *p, const struct keys *keys)
{
	p->rope.dim = 0;
	return check_causal(keys);
}

static int read_nomic_bert(struct model_hparams *p, const struct keys *keys)
{
	(void)p;
	return check_causal(keys);
}

const struct model_arch model_arch_bert[] = {
	{
		.name = "bert",
		.hparams = {
			.norm = MODEL_NORM_LAYER, .act = MODEL_ACT_GELU_ERF, .has_positions = true,
			.is_encoder = true, .has_sum_norms = true,
		},
		.read = read_bert,
	},
	{
		.name = "nomic-bert",
		.hparams = {
			.norm = MODEL_NORM_LAYER, .is_gated = true, .is_encoder = true,
			.has_sum_norms = true, .rope = { .is_neox = true },
		},
		.read = read_nomic_bert,
	},
	{ 0 },
};
