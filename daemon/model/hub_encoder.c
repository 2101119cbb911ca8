/* SPDX-License-Identifier: MIT */
/*
 * BERT, RoBERTa, DistilBERT and MPNet as hubs have them. The first three are one architecture in
 * GGUF: RoBERTa counts positions from behind the number of its padding token, so the first rows of
 * that matrix are left out, as of MPNet; DistilBERT has no types of tokens, and other names. What was
 * only there for training (the head that guesses masked words) is ignored, and so is the pooler but
 * for models that label texts.
 */
#include <stddef.h>

#include "model/hub_internal.h"

#define NAMES_ENCODER \
	{ "embeddings.word_embeddings", "token_embd", HUB_AS_IS }, \
	{ "embeddings.position_embeddings", "position_embd", HUB_POSITIONS }, \
	{ "embeddings.token_type_embeddings", "token_types", HUB_AS_IS }, \
	{ "embeddings.LayerNorm", "token_embd_norm", HUB_AS_IS }, \
	/* numbers from 0 on, which early writers kept */ \
	{ "embeddings.position_ids", "", HUB_IGNORE }, \
	{ "embeddings.token_type_ids", "", HUB_IGNORE }, \
	{ "encoder.layer.#.attention.self.query", "blk.#.attn_q", HUB_AS_IS }, \
	{ "encoder.layer.#.attention.self.key", "blk.#.attn_k", HUB_AS_IS }, \
	{ "encoder.layer.#.attention.self.value", "blk.#.attn_v", HUB_AS_IS }, \
	{ "encoder.layer.#.attention.output.dense", "blk.#.attn_output", HUB_AS_IS }, \
	{ "encoder.layer.#.attention.output.LayerNorm", "blk.#.attn_output_norm", HUB_AS_IS }, \
	{ "encoder.layer.#.intermediate.dense", "blk.#.ffn_up", HUB_AS_IS }, \
	{ "encoder.layer.#.output.dense", "blk.#.ffn_down", HUB_AS_IS }, \
	{ "encoder.layer.#.output.LayerNorm", "blk.#.layer_output_norm", HUB_AS_IS }

static const struct hub_name names_bert[] = {
	NAMES_ENCODER,
	{ "pooler.dense", "cls", HUB_POOLER },
	{ "classifier", "cls.output", HUB_HEAD },
	{ "cls.predictions", "", HUB_IGNORE },
	{ "cls.predictions.decoder", "", HUB_IGNORE },
	{ "cls.predictions.transform.dense", "", HUB_IGNORE },
	{ "cls.predictions.transform.LayerNorm", "", HUB_IGNORE },
	{ "cls.seq_relationship", "", HUB_IGNORE },
	{ 0 },
};

/* behind the layers: a pooler that nothing asks for, labels, and what guesses words */
#define NAMES_ROBERTA_HEADS \
	{ "pooler.dense", "", HUB_IGNORE }, \
	{ "classifier.dense", "cls", HUB_HEAD }, \
	{ "classifier.out_proj", "cls.output", HUB_HEAD }, \
	{ "lm_head", "", HUB_IGNORE }, \
	{ "lm_head.dense", "", HUB_IGNORE }, \
	{ "lm_head.decoder", "", HUB_IGNORE }, \
	{ "lm_head.layer_norm", "", HUB_IGNORE }

static const struct hub_name names_roberta[] = {
	NAMES_ENCODER,
	NAMES_ROBERTA_HEADS,
	{ 0 },
};

static const struct hub_name names_mpnet[] = {
	{ "embeddings.word_embeddings", "token_embd", HUB_AS_IS },
	{ "embeddings.position_embeddings", "position_embd", HUB_POSITIONS },
	{ "embeddings.LayerNorm", "token_embd_norm", HUB_AS_IS },
	{ "embeddings.position_ids", "", HUB_IGNORE },
	{ "encoder.relative_attention_bias", "attn_rel_b", HUB_AS_IS },
	{ "encoder.layer.#.attention.attn.q", "blk.#.attn_q", HUB_AS_IS },
	{ "encoder.layer.#.attention.attn.k", "blk.#.attn_k", HUB_AS_IS },
	{ "encoder.layer.#.attention.attn.v", "blk.#.attn_v", HUB_AS_IS },
	{ "encoder.layer.#.attention.attn.o", "blk.#.attn_output", HUB_AS_IS },
	{ "encoder.layer.#.attention.LayerNorm", "blk.#.attn_output_norm", HUB_AS_IS },
	{ "encoder.layer.#.intermediate.dense", "blk.#.ffn_up", HUB_AS_IS },
	{ "encoder.layer.#.output.dense", "blk.#.ffn_down", HUB_AS_IS },
	{ "encoder.layer.#.output.LayerNorm", "blk.#.layer_output_norm", HUB_AS_IS },
	NAMES_ROBERTA_HEADS,
	{ 0 },
};

/* the classifier has no pooler before it, but a matrix of its own */
static const struct hub_name names_distilbert[] = {
	{ "embeddings.word_embeddings", "token_embd", HUB_AS_IS },
	{ "embeddings.position_embeddings", "position_embd", HUB_AS_IS },
	{ "embeddings.LayerNorm", "token_embd_norm", HUB_AS_IS },
	{ "transformer.layer.#.attention.q_lin", "blk.#.attn_q", HUB_AS_IS },
	{ "transformer.layer.#.attention.k_lin", "blk.#.attn_k", HUB_AS_IS },
	{ "transformer.layer.#.attention.v_lin", "blk.#.attn_v", HUB_AS_IS },
	{ "transformer.layer.#.attention.out_lin", "blk.#.attn_output", HUB_AS_IS },
	{ "transformer.layer.#.sa_layer_norm", "blk.#.attn_output_norm", HUB_AS_IS },
	{ "transformer.layer.#.ffn.lin1", "blk.#.ffn_up", HUB_AS_IS },
	{ "transformer.layer.#.ffn.lin2", "blk.#.ffn_down", HUB_AS_IS },
	{ "transformer.layer.#.output_layer_norm", "blk.#.layer_output_norm", HUB_AS_IS },
	{ "pre_classifier", "cls", HUB_HEAD },
	{ "classifier", "cls.output", HUB_HEAD },
	{ "vocab_transform", "", HUB_IGNORE },
	{ "vocab_layer_norm", "", HUB_IGNORE },
	{ "vocab_projector", "", HUB_IGNORE },
	{ 0 },
};

static int keys_encoder(const struct hub_config *c)
{
	static const char *const positions[] = { "absolute", NULL };
	static const char *const never[] = { "is_decoder", "add_cross_attention" };
	const json_t *eps_key = json_object_get(c->json, "layer_norm_eps");
	float eps = 1e-12f;
	int r = hub_activation_load(c, "hidden_act", "gelu_erf", false);

	if (r >= 0 && json_object_get(c->json, "position_embedding_type"))
		r = hub_activation(c, "position_embedding_type", positions);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(never); i++)
		if (hub_key_bool(c, never[i], false))
			r = hub_refuse(c, never[i]);
	if (r >= 0 && eps_key)
		r = hub_key_f32(c, c->json, "layer_norm_eps", &eps);
	return r < 0 ? r : hub_add_f32(c, "attention.layer_norm_epsilon", eps);
}

static int keys_mpnet(const struct hub_config *c)
{
	uint32_t buckets = 0;
	int r = hub_key_u32(c, "relative_attention_num_buckets", 32, &buckets);

	if (r >= 0 && buckets != 32)
		return hub_refuse(c, "relative_attention_num_buckets");
	/* positions begin behind this number, whatever else is said */
	if (r >= 0 && c->first_position != 2)
		return hub_refuse(c, "pad_token_id");
	return r < 0 ? r : keys_encoder(c);
}

static int keys_distilbert(const struct hub_config *c)
{
	int r = hub_activation_load(c, "activation", "gelu_erf", false);

	if (r >= 0)
		r = hub_add_head(c, "relu");
	return r < 0 ? r : hub_add_f32(c, "attention.layer_norm_epsilon", 1e-12f);
}

#define DEFAULT_GELU	"{\"hidden_act\":\"gelu\"}"

const struct hub_arch hub_encoders[] = {
	{ .model_type = "bert", .arch = "bert", .prefix = "bert.", .names = names_bert,
	  .is_tied = true, .add_keys = keys_encoder, .kind = HUB_ENCODER,
	  .defaults = DEFAULT_GELU },
	{ .model_type = "distilbert", .arch = "bert", .prefix = "distilbert.",
	  .names = names_distilbert, .is_tied = true, .add_keys = keys_distilbert,
	  .kind = HUB_ENCODER, .defaults = "{\"activation\":\"gelu\"}" },
	{ .model_type = "roberta", .arch = "bert", .prefix = "roberta.", .names = names_roberta,
	  .is_tied = true, .add_keys = keys_encoder, .kind = HUB_ENCODER_PADDED,
	  .defaults = DEFAULT_GELU },
	{ .model_type = "xlm-roberta", .arch = "bert", .prefix = "roberta.",
	  .names = names_roberta, .is_tied = true, .add_keys = keys_encoder,
	  .kind = HUB_ENCODER_PADDED, .defaults = DEFAULT_GELU },
	{ .model_type = "mpnet", .arch = "mpnet", .prefix = "mpnet.", .names = names_mpnet,
	  .is_tied = true, .add_keys = keys_mpnet, .kind = HUB_ENCODER_PADDED,
	  .defaults = DEFAULT_GELU },
	{ .model_type = "camembert", .arch = "bert", .prefix = "roberta.", .names = names_roberta,
	  .is_tied = true, .add_keys = keys_encoder, .kind = HUB_ENCODER_PADDED,
	  .defaults = DEFAULT_GELU },
	{ 0 },
};
