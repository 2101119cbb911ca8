/* SPDX-License-Identifier: MIT */
/*
 * BERT, an encoder: every token sees the whole text, norms stand behind the sums, and there is no
 * output but the hidden states. nomic-bert is the same with a rope and a gate. Sources: Devlin et
 * al., "BERT: Pre-training of Deep Bidirectional Transformers" (2018); Nussbaum et al., "Nomic
 * Embed" (2024). MPNet adds to scores what distances are worth: Song et al., "MPNet: Masked and
 * Permuted Pre-training" (2020), by names of our own, as GGUF has none. ModernBERT has norms before
 * each half of a layer, as decoders have them, and most layers see only what is near: Warner et al.,
 * "Smarter, Better, Faster, Longer" (2024).
 */
#include "model/arch.h"

#define MODERN_BERT_WINDOW	128
#define MODERN_BERT_PERIOD	3
#define MODERN_BERT_LOCAL_BASE	10000

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

/* one layer of three sees all, the others what is around a token, by a rope of their own */
static int read_modern_bert(struct model_hparams *p, const struct keys *keys)
{
	static const char pattern[] = "attention.sliding_window_pattern";
	const struct keys quiet = { .gguf = keys->gguf };
	int r = check_causal(keys);

	p->window.tokens = MODERN_BERT_WINDOW;
	p->window.period = MODERN_BERT_PERIOD;
	p->rope_local = (struct model_rope){
		.dim = p->rope.dim, .is_neox = p->rope.is_neox,
		.freq_base = MODERN_BERT_LOCAL_BASE, .factor = 1, .attn_factor = 1,
	};
	if (r >= 0)
		r = keys_u32_optional(keys, "attention.sliding_window", MODEL_CONTEXT_MAX,
				      &p->window.tokens);
	if (r >= 0)
		r = keys_f32(keys, "rope.freq_base_swa", 1, &p->rope_local.freq_base);
	/* a period, or a list */
	if (r >= 0 &&
	    keys_u32_optional(&quiet, pattern, MODEL_CONTEXT_MAX, &p->window.period) < 0)
		r = keys_layers_bool(keys, pattern, p->layers, &p->window.is_local);
	return r;
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
		.name = "mpnet",
		.hparams = {
			.norm = MODEL_NORM_LAYER, .act = MODEL_ACT_GELU_ERF, .has_positions = true,
			.is_encoder = true, .has_sum_norms = true, .has_attn_bias = true,
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
	{
		.name = "modern-bert",
		.hparams = {
			.norm = MODEL_NORM_LAYER, .act = MODEL_ACT_GELU_ERF, .is_gated = true,
			.is_encoder = true, .has_embedding_norm = true, .has_bare_norms = true,
			.head_act = MODEL_HEAD_GELU, .rope = { .is_neox = true },
			.window = { .sees_all_first = true, .has_rope = true },
		},
		.read = read_modern_bert,
	},
	{ 0 },
};
