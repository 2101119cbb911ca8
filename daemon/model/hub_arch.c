/* SPDX-License-Identifier: MIT */
/* The kinds of models that hubs have: what their tensors and settings are called in GGUF. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "model/hub_internal.h"

/* ---- names ---- */

#define NAMES_COMMON \
	{ "embed_tokens", "token_embd", HUB_AS_IS }, \
	{ "lm_head", "output", HUB_AS_IS }, \
	{ "score", "cls.output", HUB_HEAD }, \
	{ "layers.#.self_attn.q_proj", "blk.#.attn_q", HUB_AS_IS }, \
	{ "layers.#.self_attn.k_proj", "blk.#.attn_k", HUB_AS_IS }, \
	{ "layers.#.self_attn.v_proj", "blk.#.attn_v", HUB_AS_IS }, \
	{ "layers.#.self_attn.o_proj", "blk.#.attn_output", HUB_AS_IS }, \
	{ "layers.#.mlp.gate_proj", "blk.#.ffn_gate", HUB_AS_IS }, \
	{ "layers.#.mlp.up_proj", "blk.#.ffn_up", HUB_AS_IS }, \
	{ "layers.#.mlp.down_proj", "blk.#.ffn_down", HUB_AS_IS }

#define NAMES_LLAMA \
	NAMES_COMMON, \
	{ "norm", "output_norm", HUB_AS_IS }, \
	{ "layers.#.input_layernorm", "blk.#.attn_norm", HUB_AS_IS }, \
	{ "layers.#.post_attention_layernorm", "blk.#.ffn_norm", HUB_AS_IS }

static const struct hub_name names_llama[] = {
	NAMES_LLAMA,
	/* early writers kept what is computed */
	{ "layers.#.self_attn.rotary_emb.inv_freq", "", HUB_IGNORE },
	{ 0 },
};

static const struct hub_name names_qwen3[] = {
	NAMES_LLAMA,
	{ "layers.#.self_attn.q_norm", "blk.#.attn_q_norm", HUB_AS_IS },
	{ "layers.#.self_attn.k_norm", "blk.#.attn_k_norm", HUB_AS_IS },
	{ 0 },
};

static const struct hub_name names_qwen3moe[] = {
	NAMES_LLAMA,
	{ "layers.#.self_attn.q_norm", "blk.#.attn_q_norm", HUB_AS_IS },
	{ "layers.#.self_attn.k_norm", "blk.#.attn_k_norm", HUB_AS_IS },
	{ "layers.#.mlp.gate", "blk.#.ffn_gate_inp", HUB_AS_IS },
	{ "layers.#.mlp.experts.#.gate_proj", "blk.#.ffn_gate.#", HUB_AS_IS },
	{ "layers.#.mlp.experts.#.up_proj", "blk.#.ffn_up.#", HUB_AS_IS },
	{ "layers.#.mlp.experts.#.down_proj", "blk.#.ffn_down.#", HUB_AS_IS },
	{ 0 },
};

static const struct hub_name names_mixtral[] = {
	NAMES_LLAMA,
	{ "layers.#.block_sparse_moe.gate", "blk.#.ffn_gate_inp", HUB_AS_IS },
	{ "layers.#.block_sparse_moe.experts.#.w1", "blk.#.ffn_gate.#", HUB_AS_IS },
	{ "layers.#.block_sparse_moe.experts.#.w2", "blk.#.ffn_down.#", HUB_AS_IS },
	{ "layers.#.block_sparse_moe.experts.#.w3", "blk.#.ffn_up.#", HUB_AS_IS },
	{ 0 },
};

static const struct hub_name names_gemma1[] = {
	NAMES_COMMON,
	{ "norm", "output_norm", HUB_ADD_ONE },
	{ "layers.#.input_layernorm", "blk.#.attn_norm", HUB_ADD_ONE },
	{ "layers.#.post_attention_layernorm", "blk.#.ffn_norm", HUB_ADD_ONE },
	{ 0 },
};

static const struct hub_name names_gemma[] = {
	NAMES_COMMON,
	{ "norm", "output_norm", HUB_ADD_ONE },
	{ "layers.#.input_layernorm", "blk.#.attn_norm", HUB_ADD_ONE },
	{ "layers.#.post_attention_layernorm", "blk.#.post_attention_norm", HUB_ADD_ONE },
	{ "layers.#.pre_feedforward_layernorm", "blk.#.ffn_norm", HUB_ADD_ONE },
	{ "layers.#.post_feedforward_layernorm", "blk.#.post_ffw_norm", HUB_ADD_ONE },
	{ "layers.#.self_attn.q_norm", "blk.#.attn_q_norm", HUB_ADD_ONE },
	{ "layers.#.self_attn.k_norm", "blk.#.attn_k_norm", HUB_ADD_ONE },
	{ 0 },
};

static const struct hub_name names_phi3[] = {
	{ "embed_tokens", "token_embd", HUB_AS_IS },
	{ "lm_head", "output", HUB_AS_IS },
	{ "score", "cls.output", HUB_HEAD },
	{ "norm", "output_norm", HUB_AS_IS },
	{ "layers.#.input_layernorm", "blk.#.attn_norm", HUB_AS_IS },
	{ "layers.#.post_attention_layernorm", "blk.#.ffn_norm", HUB_AS_IS },
	{ "layers.#.self_attn.qkv_proj", "blk.#.attn_qkv", HUB_AS_IS },
	{ "layers.#.self_attn.o_proj", "blk.#.attn_output", HUB_AS_IS },
	{ "layers.#.mlp.gate_up_proj", "blk.#.ffn_up", HUB_AS_IS },
	{ "layers.#.mlp.down_proj", "blk.#.ffn_down", HUB_AS_IS },
	{ 0 },
};

static const struct hub_name names_gpt2[] = {
	{ "wte", "token_embd", HUB_AS_IS },
	{ "wpe", "position_embd", HUB_AS_IS },
	{ "lm_head", "output", HUB_AS_IS },
	{ "score", "cls.output", HUB_HEAD },
	{ "ln_f", "output_norm", HUB_AS_IS },
	{ "h.#.ln_1", "blk.#.attn_norm", HUB_AS_IS },
	{ "h.#.ln_2", "blk.#.ffn_norm", HUB_AS_IS },
	{ "h.#.attn.c_attn", "blk.#.attn_qkv", HUB_TRANSPOSE },
	{ "h.#.attn.c_proj", "blk.#.attn_output", HUB_TRANSPOSE },
	{ "h.#.mlp.c_fc", "blk.#.ffn_up", HUB_TRANSPOSE },
	{ "h.#.mlp.c_proj", "blk.#.ffn_down", HUB_TRANSPOSE },
	/* masks of the attention, which early writers kept */
	{ "h.#.attn", "", HUB_IGNORE },
	{ "h.#.attn.masked_bias", "", HUB_IGNORE },
	{ 0 },
};

/* @name as @from, with the numbers where it has '#': their places are kept */
static bool match(const char *from, const char *name, size_t len, const char **numbers)
{
	const char *end = name + len;
	size_t n = 0;

	for (; *from; from++) {
		if (*from != '#') {
			if (name == end || *name++ != *from)
				return false;
			continue;
		}
		if (n == HUB_NUMBERS_MAX || name == end || !isdigit((unsigned char)*name))
			return false;
		numbers[n++] = name;
		while (name < end && isdigit((unsigned char)*name))
			name++;
	}
	return name == end;
}

/* @to with the numbers, and what followed the name */
static int write_name(char *buf, size_t size, const char *to, const char *const *numbers,
		      const char *suffix)
{
	size_t n = 0, number = 0;

	for (; *to; to++) {
		if (*to != '#') {
			if (n + 1 >= size)
				return -ENOENT;
			buf[n++] = *to;
			continue;
		}
		for (const char *p = numbers[number]; isdigit((unsigned char)*p); p++) {
			if (n + 1 >= size)
				return -ENOENT;
			buf[n++] = *p;
		}
		number++;
	}
	buf[n] = 0;
	return snprintf(buf + n, size - n, "%s", suffix) < (int)(size - n) ? 0 : -ENOENT;
}

int hub_name_map(const struct hub_arch *arch, const char *name, char *to, size_t size,
		 enum hub_change *change)
{
	/* the last but one are how early writers called them */
	static const struct {
		const char *from, *to;
	} suffixes[] = {
		{ ".weight", ".weight" }, { ".bias", ".bias" }, { ".gamma", ".weight" },
		{ ".beta", ".bias" }, { "", "" },
	};
	const char *numbers[HUB_NUMBERS_MAX];
	size_t prefix = strlen(arch->prefix), len;

	if (!strncmp(name, arch->prefix, prefix))
		name += prefix;
	len = strlen(name);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t suffix = strlen(suffixes[i].from);

		if (len < suffix || strcmp(name + len - suffix, suffixes[i].from))
			continue;
		for (const struct hub_name *n = arch->names; n->from; n++) {
			/* weights have a suffix; of two kinds, a bias is no mask */
			if ((!suffix && n->change != HUB_IGNORE) ||
			    !match(n->from, name, len - suffix, numbers))
				continue;
			*change = n->change;
			return n->change == HUB_IGNORE ? 0 :
			       write_name(to, size, n->to, numbers, suffixes[i].to);
		}
	}
	return -ENOENT;
}

/* ---- settings of their own ---- */

int hub_activation(const struct hub_config *c, const char *key, const char *const *known)
{
	const json_t *json = json_object_get(c->json, key);

	for (; json && *known; known++)
		if (json_is(json, *known))
			return 0;
	return hub_refuse(c, key);
}

static const json_t *rope_of(const struct hub_config *c)
{
	const json_t *rope = json_object_get(c->json, "rope_parameters");

	return json_is_object(rope) ? rope : json_object_get(c->json, "rope_scaling");
}

static int keys_rms(const struct hub_config *c)
{
	float eps = 0;
	int r = hub_key_f32(c, c->json, "rms_norm_eps", &eps);

	return r < 0 ? r : hub_add_f32(c, "attention.layer_norm_rms_epsilon", eps);
}

static int keys_llama(const struct hub_config *c)
{
	int r = hub_activation_load(c, "hidden_act", "silu", true);

	if (r >= 0)
		r = keys_rms(c);
	return r < 0 ? r : hub_rope_load(c, rope_of(c));
}

static int keys_llama1(const struct hub_config *c)
{
	int r = hub_window_refuse(c);

	return r < 0 ? r : keys_llama(c);
}

/* which layers are turned is said one by one; files have no other ways than GGUF knows */
static int keys_smollm3(const struct hub_config *c)
{
	const json_t *turned = json_object_get(c->json, "no_rope_layers");
	uint32_t period = 4;
	int r = hub_key_u32(c, "no_rope_layer_interval", period, &period);

	if (r >= 0 && json_is_array(turned)) {
		if (!c->layers || json_array_size(turned) < c->layers)
			return hub_refuse(c, "no_rope_layers");
		for (uint32_t i = 0; i < c->layers; i++)
			if (json_real_value(json_array_get(turned, i)) != ((i + 1) % 4 != 0))
				return hub_refuse(c, "no_rope_layers");
	} else if (r >= 0 && (period != 4 || (turned && !json_is_null(turned)))) {
		return hub_refuse(c, turned ? "no_rope_layers" : "no_rope_layer_interval");
	}
	if (r >= 0 && hub_key_bool(c, "use_sliding_window", false))
		return hub_refuse(c, "use_sliding_window");
	return r < 0 ? r : keys_llama1(c);
}

static int keys_mistral(const struct hub_config *c)
{
	int r = hub_window_refuse(c);

	if (r >= 0)
		r = hub_window_add(c);
	return r < 0 ? r : keys_llama(c);
}

static int keys_mixtral(const struct hub_config *c)
{
	uint32_t experts = 0, used = 0;
	int r = hub_key_u32(c, "num_local_experts", 0, &experts);

	if (r >= 0)
		r = hub_key_u32(c, "num_experts_per_tok", 0, &used);
	if (r >= 0)
		r = hub_add_u32(c, "expert_count", experts);
	if (r >= 0)
		r = hub_add_u32(c, "expert_used_count", used);
	return r < 0 ? r : keys_mistral(c);
}

/* the first layers see all, where layer_types says nothing else */
static int keys_qwen(const struct hub_config *c)
{
	uint32_t first = 28;
	int r;

	if (!hub_key_bool(c, "use_sliding_window", false)) {
		r = hub_window_refuse(c);
		return r < 0 ? r : keys_llama(c);
	}
	r = hub_key_u32(c, "max_window_layers", first, &first);
	if (r >= 0)
		r = hub_window_add_layers(c, first, 0);
	return r < 0 ? r : keys_llama(c);
}

/* a window is for all layers here, whatever else Qwen's have */
static int keys_qwen3moe_window(const struct hub_config *c)
{
	int r = hub_window_refuse(c);

	if (r < 0 || !hub_key_bool(c, "use_sliding_window", false))
		return r;
	return hub_window_add_layers(c, 0, 0);
}

/* which layers have experts, their tensors tell */
static int keys_qwen3moe(const struct hub_config *c)
{
	const char *count = json_object_get(c->json, "num_experts") ? "num_experts" :
								      "num_local_experts";
	const bool norm = hub_key_bool(c, "norm_topk_prob", false);
	uint32_t experts = 0, used = 0, width = 0;
	int r = hub_key_u32(c, count, 0, &experts);

	if (r >= 0)
		r = hub_key_u32(c, "num_experts_per_tok", 0, &used);
	if (r >= 0)
		r = hub_key_u32(c, "moe_intermediate_size", 0, &width);
	if (r >= 0)
		r = hub_add_u32(c, "expert_count", experts);
	if (r >= 0)
		r = hub_add_u32(c, "expert_used_count", used);
	if (r >= 0)
		r = hub_add_u32(c, "expert_feed_forward_length", width);
	if (r >= 0)
		r = hub_add_bool(c, "expert_weights_norm", norm);
	if (r >= 0)
		r = keys_qwen3moe_window(c);
	return r < 0 ? r : keys_llama(c);
}

/* whatever "hidden_act" says: early files name another than the model was trained with */
static int keys_gemma1(const struct hub_config *c)
{
	static const char *const known[] = { "gelu_pytorch_tanh", NULL };
	const json_t *json = json_object_get(c->json, "hidden_activation");
	int r = json && !json_is_null(json) ? hub_activation(c, "hidden_activation", known) : 0;

	if (r >= 0)
		r = keys_rms(c);
	return r < 0 ? r : hub_rope_load(c, rope_of(c));
}

static int keys_gemma(const struct hub_config *c)
{
	float scalar = 0;
	int r = hub_activation_load(c, "hidden_activation", "gelu", true);

	if (r >= 0)
		r = keys_rms(c);
	if (r >= 0)
		r = hub_key_f32(c, c->json, "query_pre_attn_scalar", &scalar);
	if (r < 0)
		return r;
	if (!(scalar > 0))
		return hub_refuse(c, "query_pre_attn_scalar");
	return hub_add_f32(c, "attention.scale", 1 / __builtin_sqrtf(scalar));
}

static int add_softcap(const struct hub_config *c, const char *from, const char *to)
{
	const json_t *json = json_object_get(c->json, from);
	float value = 0;
	int r = 0;

	/* null is none, and nothing is what the architecture says */
	if (!json)
		return 0;
	if (!json_is_null(json))
		r = hub_key_f32(c, c->json, from, &value);
	return r < 0 ? r : hub_add_f32(c, to, value);
}

static int keys_gemma2(const struct hub_config *c)
{
	int r = keys_gemma(c);

	if (r >= 0)
		r = hub_window_add_layers(c, 0, 2);
	if (r >= 0)
		r = add_softcap(c, "attn_logit_softcapping", "attn_logit_softcapping");
	if (r >= 0)
		r = add_softcap(c, "final_logit_softcapping", "final_logit_softcapping");
	return r < 0 ? r : hub_rope_load(c, rope_of(c));
}

/* the base of the layers that slide: of its own, and without scaling */
static int keys_gemma3_local(const struct hub_config *c, const json_t *rope)
{
	const json_t *local = json_object_get(rope, "sliding_attention");
	float base = 10000;
	int r;

	if (local && json_object_get(local, "rope_type") &&
	    !json_is(json_object_get(local, "rope_type"), "default"))
		return hub_refuse(c, "rope_parameters");
	if (local)
		r = hub_key_f32(c, local, "rope_theta", &base);
	else if (json_object_get(c->json, "rope_local_base_freq"))
		r = hub_key_f32(c, c->json, "rope_local_base_freq", &base);
	else
		r = 0;
	return r < 0 ? r : hub_add_f32(c, "rope.freq_base_swa", base);
}

static int keys_gemma3(const struct hub_config *c)
{
	const json_t *rope = rope_of(c), *global = json_object_get(rope, "full_attention");
	uint32_t period = 6;
	int r = keys_gemma(c);

	/* the one with an underscore is what its writer made of the other */
	if (r >= 0)
		r = hub_key_u32(c, json_object_get(c->json, "sliding_window_pattern") ?
				"sliding_window_pattern" : "_sliding_window_pattern", 6, &period);
	if (r >= 0 && !period)
		return hub_refuse(c, "sliding_window_pattern");
	if (r >= 0)
		r = hub_window_add_layers(c, 0, period);
	if (r >= 0 && hub_key_bool(c, "use_bidirectional_attention", false))
		return hub_refuse(c, "use_bidirectional_attention");
	if (r >= 0)
		r = add_softcap(c, "final_logit_softcapping", "final_logit_softcapping");
	if (r >= 0 && !json_is_null(json_object_get(c->json, "attn_logit_softcapping")) &&
	    json_object_get(c->json, "attn_logit_softcapping"))
		return hub_refuse(c, "attn_logit_softcapping");
	if (r >= 0)
		r = keys_gemma3_local(c, rope);
	return r < 0 ? r : hub_rope_load(c, global ?: rope);
}

static int keys_phi3(const struct hub_config *c)
{
	int r = hub_activation_load(c, "hidden_act", "silu", true);

	if (r >= 0)
		r = keys_rms(c);
	if (r >= 0)
		r = hub_window_add(c);
	return r < 0 ? r : hub_rope_load(c, rope_of(c));
}

static int keys_gpt2(const struct hub_config *c)
{
	float eps = 1e-5f;
	int r = hub_activation_load(c, "activation_function", "gelu", false);

	if (r >= 0 && !hub_key_bool(c, "scale_attn_weights", true))
		r = hub_add_f32(c, "attention.scale", 1);
	if (r >= 0 && hub_key_bool(c, "scale_attn_by_inverse_layer_idx", false))
		return hub_refuse(c, "scale_attn_by_inverse_layer_idx");
	if (r >= 0)
		r = hub_key_f32(c, c->json, "layer_norm_epsilon", &eps);
	return r < 0 ? r : hub_add_f32(c, "attention.layer_norm_epsilon", eps);
}

/* ---- the table ---- */

/* what the writers of these leave out, where it is what their class has anyway; sizes are not */
#define DEFAULT_LLAMA	"\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-6"
#define DEFAULT_GEMMA	"\"hidden_activation\":\"gelu_pytorch_tanh\",\"rms_norm_eps\":1e-6," \
			"\"head_dim\":256,\"query_pre_attn_scalar\":256"

static const struct hub_arch archs[] = {
	{ "llama", "llama", "model.", names_llama, false, 0, 1e4f, keys_llama1, HUB_DECODER,
	  "{" DEFAULT_LLAMA "}" },
	{ "smollm3", "smollm3", "model.", names_llama, true, 0, 2e6f, keys_smollm3, HUB_DECODER,
	  "{" DEFAULT_LLAMA ",\"num_key_value_heads\":4}" },
	{ "mistral", "llama", "model.", names_llama, false, 4096, 1e4f, keys_mistral, HUB_DECODER,
	  "{" DEFAULT_LLAMA ",\"num_key_value_heads\":8}" },
	{ "mixtral", "llama", "model.", names_mixtral, false, 0, 1e6f, keys_mixtral, HUB_DECODER,
	  "{\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-5,\"num_key_value_heads\":8}" },
	{ "qwen2", "qwen2", "model.", names_llama, false, 4096, 1e4f, keys_qwen, HUB_DECODER,
	  "{" DEFAULT_LLAMA "}" },
	{ "qwen3", "qwen3", "model.", names_qwen3, false, 4096, 1e4f, keys_qwen, HUB_DECODER,
	  "{" DEFAULT_LLAMA ",\"head_dim\":128}" },
	{ "qwen3_moe", "qwen3moe", "model.", names_qwen3moe, false, 4096, 1e4f, keys_qwen3moe,
	  HUB_DECODER, "{" DEFAULT_LLAMA ",\"num_key_value_heads\":4}" },
	{ "gemma", "gemma", "model.", names_gemma1, true, 0, 1e4f, keys_gemma1, HUB_DECODER,
	  "{\"head_dim\":256,\"rms_norm_eps\":1e-6}" },
	{ "gemma2", "gemma2", "model.", names_gemma, true, 4096, 1e4f, keys_gemma2, HUB_DECODER,
	  "{" DEFAULT_GEMMA ",\"num_key_value_heads\":4}" },
	{ "gemma3_text", "gemma3", "model.", names_gemma, true, 4096, 1e6f, keys_gemma3,
	  HUB_DECODER, "{" DEFAULT_GEMMA ",\"num_key_value_heads\":4}" },
	{ "phi3", "phi3", "model.", names_phi3, false, 0, 1e4f, keys_phi3, HUB_DECODER,
	  "{\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-5}" },
	{ "gpt2", "gpt2", "transformer.", names_gpt2, true, 0, 1e4f, keys_gpt2, HUB_DECODER,
	  "{\"activation_function\":\"gelu_new\",\"layer_norm_epsilon\":1e-5}" },
};

const struct hub_arch *hub_arch_find(const char *model_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++)
		if (!strcmp(archs[i].model_type, model_type))
			return &archs[i];
	for (const struct hub_arch *arch = hub_encoders; arch->model_type; arch++)
		if (!strcmp(arch->model_type, model_type))
			return arch;
	if (!strcmp(hub_modern.model_type, model_type))
		return &hub_modern;
	return strcmp(hub_nomic.model_type, model_type) ? NULL : &hub_nomic;
}

/* adapters are for what all of a kind have, and not for what labels texts */
static bool is_adaptable(enum hub_change change)
{
	return change != HUB_IGNORE && change != HUB_HEAD && change != HUB_POOLER;
}

int hub_module_map(const char *arch, const char *module, char *to, size_t size)
{
	enum hub_change change = HUB_AS_IS;
	char name[256];

	if (snprintf(name, sizeof(name), "%s.weight", module) >= (int)sizeof(name))
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++)
		if (!strcmp(archs[i].arch, arch) &&
		    !hub_name_map(&archs[i], name, to, size, &change) && is_adaptable(change))
			return 0;
	return -ENOENT;
}
