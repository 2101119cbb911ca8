/* SPDX-License-Identifier: MIT */
/*
 * nomic-bert as hubs have it: by the names that its authors gave, after those of GPT-2, and by
 * those that transformers has for it.
 */
#include "model/hub_internal.h"

static const struct hub_name names_nomic[] = {
	{ "embeddings.word_embeddings", "token_embd", HUB_AS_IS },
	{ "embeddings.token_type_embeddings", "token_types", HUB_AS_IS },
	{ "emb_ln", "token_embd_norm", HUB_AS_IS },
	{ "encoder.layers.#.attn.Wqkv", "blk.#.attn_qkv", HUB_AS_IS },
	{ "encoder.layers.#.attn.out_proj", "blk.#.attn_output", HUB_AS_IS },
	{ "encoder.layers.#.norm1", "blk.#.attn_output_norm", HUB_AS_IS },
	{ "encoder.layers.#.mlp.fc11", "blk.#.ffn_up", HUB_AS_IS },
	{ "encoder.layers.#.mlp.fc12", "blk.#.ffn_gate", HUB_AS_IS },
	{ "encoder.layers.#.mlp.fc2", "blk.#.ffn_down", HUB_AS_IS },
	{ "encoder.layers.#.norm2", "blk.#.layer_output_norm", HUB_AS_IS },
	{ "embeddings.LayerNorm", "token_embd_norm", HUB_AS_IS },
	{ "layers.#.self_attn.q_proj", "blk.#.attn_q", HUB_AS_IS },
	{ "layers.#.self_attn.k_proj", "blk.#.attn_k", HUB_AS_IS },
	{ "layers.#.self_attn.v_proj", "blk.#.attn_v", HUB_AS_IS },
	{ "layers.#.self_attn.o_proj", "blk.#.attn_output", HUB_AS_IS },
	{ "layers.#.post_attention_layernorm", "blk.#.attn_output_norm", HUB_AS_IS },
	{ "layers.#.mlp.up_proj", "blk.#.ffn_up", HUB_AS_IS },
	{ "layers.#.mlp.gate_proj", "blk.#.ffn_gate", HUB_AS_IS },
	{ "layers.#.mlp.down_proj", "blk.#.ffn_down", HUB_AS_IS },
	{ "layers.#.post_mlp_layernorm", "blk.#.layer_output_norm", HUB_AS_IS },
	{ "pooler.dense", "", HUB_IGNORE },
	{ 0 },
};

/* what the authors' own settings may say besides, and no model that they published does */
static int check_variant(const struct hub_config *c)
{
	static const char *const never[] = {
		"prenorm", "use_rms_norm", "parallel_block", "rotary_emb_interleaved", "causal",
	};
	static const char *const none[] = { "rotary_scaling_factor", "rotary_emb_scale_base",
					    "num_experts" };
	const json_t *fraction = json_object_get(c->json, "rotary_emb_fraction");

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (hub_key_bool(c, never[i], false))
			return hub_refuse(c, never[i]);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		const json_t *value = json_object_get(c->json, none[i]);

		if (value && !json_is_null(value) &&
		    !(json_is_real(value) && json_real_value(value) == 0))
			return hub_refuse(c, none[i]);
	}
	if (fraction && !(json_is_real(fraction) && json_real_value(fraction) == 1))
		return hub_refuse(c, "rotary_emb_fraction");
	return 0;
}

static int rope_base(const struct hub_config *c)
{
	const json_t *rope = json_object_get(c->json, "rope_parameters");
	const json_t *type = json_object_get(rope, "rope_type");
	float base = 1000;
	int r = 0;

	if (type && !json_is(type, "default"))
		return hub_refuse(c, "rope_parameters");
	if (json_object_get(rope, "rope_theta"))
		r = hub_key_f32(c, rope, "rope_theta", &base);
	else if (json_object_get(c->json, "rotary_emb_base"))
		r = hub_key_f32(c, c->json, "rotary_emb_base", &base);
	return r < 0 ? r : hub_add_f32(c, "rope.freq_base", base);
}

static int keys_nomic(const struct hub_config *c)
{
	static const char *const silu[] = { "silu", "swiglu", NULL };
	static const char *const eps_keys[] = { "layer_norm_eps", "layer_norm_epsilon" };
	const bool is_new = json_object_get(c->json, "hidden_act");
	float eps = 1e-12f;
	int r = hub_activation(c, is_new ? "hidden_act" : "activation_function", silu);

	if (r >= 0)
		r = check_variant(c);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(eps_keys); i++)
		if (json_object_get(c->json, eps_keys[i]))
			r = hub_key_f32(c, c->json, eps_keys[i], &eps);
	if (r >= 0)
		r = hub_add_f32(c, "attention.layer_norm_epsilon", eps);
	return r < 0 ? r : rope_base(c);
}

const struct hub_arch hub_nomic = {
	.model_type = "nomic_bert", .arch = "nomic-bert", .prefix = "nomic_bert.",
	.names = names_nomic, .is_tied = true, .add_keys = keys_nomic, .kind = HUB_ENCODER,
};
