/* SPDX-License-Identifier: MIT */
/*
 * ModernBERT as hubs have it: layers as decoders have them, most of which see only what is near.
 * The matrix and the norm before its labels are there in models that guess masked words, too.
 */
#include <stdio.h>
#include <string.h>

#include "model/hub_internal.h"
#include "model/model.h"

static const struct hub_name names_modern[] = {
	{ "embeddings.tok_embeddings", "token_embd", HUB_AS_IS },
	{ "embeddings.norm", "token_embd_norm", HUB_AS_IS },
	{ "final_norm", "output_norm", HUB_AS_IS },
	{ "layers.#.attn_norm", "blk.#.attn_norm", HUB_AS_IS },
	{ "layers.#.attn.Wqkv", "blk.#.attn_qkv", HUB_AS_IS },
	{ "layers.#.attn.Wo", "blk.#.attn_output", HUB_AS_IS },
	{ "layers.#.mlp_norm", "blk.#.ffn_norm", HUB_AS_IS },
	{ "layers.#.mlp.Wi", "blk.#.ffn_up", HUB_AS_IS },
	{ "layers.#.mlp.Wo", "blk.#.ffn_down", HUB_AS_IS },
	{ "head.dense", "cls", HUB_POOLER },
	{ "head.norm", "cls.norm", HUB_POOLER },
	{ "classifier", "cls.output", HUB_HEAD },
	{ "decoder", "", HUB_IGNORE },
	{ 0 },
};

/* of one kind of layers: in a place of its own, or by the name that early writers have for it */
static int rope_base(const struct hub_config *c, const char *kind, const char *old, float fallback,
		     const char *to)
{
	const json_t *all = json_object_get(c->json, "rope_parameters");
	const json_t *rope = json_object_get(all, kind);
	const json_t *type = json_object_get(rope, "rope_type");
	int r = 0;

	if ((type && !json_is(type, "default")) || json_object_get(all, "rope_theta"))
		return hub_refuse(c, "rope_parameters");
	if (json_object_get(rope, "rope_theta"))
		r = hub_key_f32(c, rope, "rope_theta", &fallback);
	else if (json_object_get(c->json, old))
		r = hub_key_f32(c, c->json, old, &fallback);
	return r < 0 ? r : hub_add_f32(c, to, fallback);
}

/* which layers see only what is near: a list, or all but one of so many */
static int add_pattern(const struct hub_config *c)
{
	uint32_t period = 3;
	bool has_types;
	int r = hub_window_add_types(c, &has_types);

	if (r < 0 || has_types)
		return r;
	r = hub_key_u32(c, "global_attn_every_n_layers", 3, &period);
	return r < 0 ? r : hub_add_u32(c, "attention.sliding_window_pattern", period);
}

static int add_label_pooling(const struct hub_config *c)
{
	static const char from[] = "classifier_pooling";
	const json_t *pooling = json_object_get(c->json, from);
	int r;

	if (pooling && !json_is(pooling, "cls") && !json_is(pooling, "mean"))
		return hub_refuse(c, from);
	r = gguf_add_u32(c->gguf, "llmos.classifier.pooling", json_is(pooling, "mean") ?
			 MODEL_POOL_MEAN : MODEL_POOL_FIRST);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": %s", strerror(-r)) : 0;
}

static int keys_modern(const struct hub_config *c)
{
	static const char *const activations[] = { "gelu", NULL };
	uint32_t window = 128;
	float eps = 1e-5f;
	int r = hub_activation_load(c, "hidden_activation", "gelu_erf", true);

	if (r >= 0 && json_object_get(c->json, "rope_scaling") &&
	    !json_is_null(json_object_get(c->json, "rope_scaling")))
		return hub_refuse(c, "rope_scaling");
	if (r >= 0 && json_object_get(c->json, "classifier_activation"))
		r = hub_activation(c, "classifier_activation", activations);
	if (r >= 0 && json_object_get(c->json, "norm_eps"))
		r = hub_key_f32(c, c->json, "norm_eps", &eps);
	if (r >= 0)
		r = hub_key_u32(c, "local_attention", 128, &window);
	if (r >= 0)
		r = hub_add_f32(c, "attention.layer_norm_epsilon", eps);
	if (r >= 0)
		r = hub_add_u32(c, "attention.sliding_window", window);
	if (r >= 0)
		r = add_pattern(c);
	if (r >= 0)
		r = rope_base(c, "full_attention", "global_rope_theta", 160000, "rope.freq_base");
	if (r >= 0)
		r = rope_base(c, "sliding_attention", "local_rope_theta", 10000,
			      "rope.freq_base_swa");
	return r < 0 ? r : add_label_pooling(c);
}

const struct hub_arch hub_modern = {
	.model_type = "modernbert", .arch = "modern-bert", .prefix = "model.",
	.names = names_modern, .is_tied = true, .add_keys = keys_modern, .kind = HUB_ENCODER,
	.defaults = "{\"hidden_activation\":\"gelu\"}",
};
