/* SPDX-License-Identifier: MIT */
/*
 * Gemma 1 to 3: the embedding is scaled, the gate is a GELU, and from the second on there are norms
 * behind attention and feed-forward network, and layers that see a window only. The second caps
 * scores and logits; the third normalises the heads, and its window layers have a rope of their own.
 * Norms come with their one already added. Sources: the reports on Gemma (2024), Gemma 2 (2024) and
 * Gemma 3 (2025).
 */
#include <math.h>

#include "model/arch.h"

#define GEMMA2_WINDOW	4096	/* where the file does not say */
#define GEMMA2_PERIOD	2
#define GEMMA3_PERIOD	6
#define GEMMA3_LOCAL_BASE	10000

static int read_gemma(struct model_hparams *p, const struct keys *keys)
{
	(void)keys;
	p->embedding_scale = sqrtf((float)p->width);
	return 0;
}

/* The files do not say how scores are scaled: only the models of 27 billion scale by the width. */
static void scale_by_width(struct model_hparams *p, uint32_t layers)
{
	if (p->layers == layers)
		p->attn_scale = 1 / sqrtf((float)(p->width / p->heads));
}

/* read_pattern() - which layers have the window; the pattern is a period or a list */
static int read_pattern(struct model_hparams *p, const struct keys *keys, uint32_t period)
{
	static const char key[] = "attention.sliding_window_pattern";
	const struct keys quiet = { .gguf = keys->gguf };

	p->window.period = period;
	if (keys_u32_optional(&quiet, key, MODEL_CONTEXT_MAX, &p->window.period) >= 0)
		return 0;
	return keys_layers_bool(keys, key, p->layers, &p->window.is_local);
}

static int read_gemma2(struct model_hparams *p, const struct keys *keys)
{
	int r;

	p->embedding_scale = sqrtf((float)p->width);
	p->attn_softcap = 50;
	p->logit_softcap = 30;
	p->window.tokens = GEMMA2_WINDOW;
	scale_by_width(p, 46);
	r = keys_u32_optional(keys, "attention.sliding_window", MODEL_CONTEXT_MAX,
			      &p->window.tokens);
	if (r >= 0)
		r = read_pattern(p, keys, GEMMA2_PERIOD);
	if (r >= 0)
		r = keys_f32(keys, "attn_logit_softcapping", 0, &p->attn_softcap);
	if (r >= 0)
		r = keys_f32(keys, "final_logit_softcapping", 0, &p->logit_softcap);
	return r;
}

static int read_gemma3(struct model_hparams *p, const struct keys *keys)
{
	int r;

	p->embedding_scale = sqrtf((float)p->width);
	scale_by_width(p, 62);
	r = keys_u32_optional(keys, "attention.sliding_window", MODEL_CONTEXT_MAX,
			      &p->window.tokens);
	if (r >= 0)
		r = read_pattern(p, keys, GEMMA3_PERIOD);
	if (r >= 0)
		r = keys_f32(keys, "final_logit_softcapping", 0, &p->logit_softcap);
	p->window.has_rope = true;
	p->rope_local = (struct model_rope){
		.dim = p->rope.dim, .is_neox = p->rope.is_neox, .freq_base = GEMMA3_LOCAL_BASE,
		.factor = 1, .attn_factor = 1,
	};
	if (r >= 0)
		r = keys_f32(keys, "rope.freq_base_swa", 1, &p->rope_local.freq_base);
	return r;
}

#define GEMMA	.is_gated = true, .act = MODEL_ACT_GELU, .rope = { .is_neox = true }

const struct model_arch model_arch_gemma[] = {
	{
		.name = "gemma",
		.hparams = { GEMMA },
		.read = read_gemma,
	},
	{
		.name = "gemma2",
		.hparams = { GEMMA, .has_post_norms = true },
		.read = read_gemma2,
	},
	{
		.name = "gemma3",
		.hparams = { GEMMA, .has_post_norms = true, .has_head_norms = true },
		.read = read_gemma3,
	},
	{ 0 },
};
