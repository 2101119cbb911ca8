/* SPDX-License-Identifier: MIT */
/*
 * Reads the hyperparameters that all architectures have from the keys of a file, and lets the
 * architecture read its own. The file is hostile: each number is checked against its bound before
 * anything is computed from it.
 */
#include <math.h>
#include <string.h>

#include "model/arch.h"

#define HEAD_UNIT	8U	/* elements; kernels have heads of its multiples */

static const struct model_arch *const families[] = {
	model_arch_llama, model_arch_qwen, model_arch_gemma, model_arch_phi, model_arch_gpt2,
	model_arch_bert,
};

static const struct model_arch *find_arch(struct gguf_string name)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (const struct model_arch *a = families[i]; a->name; a++)
			if (gguf_string_is(name, a->name))
				return a;
	return NULL;
}

static int read_architecture(const struct model_arch **ret, const struct keys *keys)
{
	struct gguf_string name;

	if (gguf_get_string(keys->gguf, "general.architecture", &name) < 0)
		return error_set(keys->error, -EBADMSG,
				 "model: key 'general.architecture' is missing");
	*ret = find_arch(name);
	if (!*ret)
		return error_set(keys->error, -EOPNOTSUPP,
				 "model: architecture '%s' is not supported", gguf_show(name).text);
	return 0;
}

static int read_heads(struct model_hparams *p, const struct keys *keys)
{
	uint32_t value_dim;
	int r;

	r = keys_u32(keys, "attention.head_count", 1, MODEL_HEADS_MAX, 0, &p->heads);
	if (r >= 0)
		r = keys_u32(keys, "attention.head_count_kv", 1, MODEL_HEADS_MAX, p->heads,
			     &p->kv_heads);
	if (r < 0)
		return r;
	if (p->heads % p->kv_heads)
		return error_set(keys->error, -EBADMSG,
				 "model: %u heads can't share %u key-value heads", p->heads,
				 p->kv_heads);
	p->head_dim = p->width % p->heads ? 0 : p->width / p->heads;
	r = keys_u32(keys, "attention.key_length", 1, MODEL_HEAD_DIM_MAX, p->head_dim,
		     &p->head_dim);
	if (r >= 0)
		r = keys_u32(keys, "attention.value_length", 1, MODEL_HEAD_DIM_MAX, p->head_dim,
			     &value_dim);
	if (r < 0)
		return r;
	if (value_dim != p->head_dim)
		return error_set(keys->error, -EOPNOTSUPP,
				 "model: heads of %u and %u elements are not supported",
				 p->head_dim, value_dim);
	p->attn_scale = 1.0f / sqrtf((float)p->head_dim);
	return 0;
}

/* pad_heads() - once nothing else is computed from their size */
static void pad_heads(struct model_hparams *p)
{
	p->head_elems = p->head_dim;
	p->head_dim = (p->head_dim + HEAD_UNIT - 1) / HEAD_UNIT * HEAD_UNIT;
}

static int read_scaling_type(struct model_rope *rope, const struct keys *keys)
{
	struct gguf_string type = { .data = "linear", .len = 6 };
	int r;

	r = gguf_get_arch_string(keys->gguf, "rope.scaling.type", &type);
	if (r == -EINVAL)
		return error_set(keys->error, -EBADMSG,
				 "model: key 'rope.scaling.type' is not a string");
	/* LongRoPE is all in its divisors */
	if (gguf_string_is(type, "none") ||
	    (gguf_string_is(type, "longrope") &&
	     gguf_tensor_find(keys->gguf, "rope_factors_long.weight")))
		rope->scaling = MODEL_ROPE_NONE;
	else if (gguf_string_is(type, "linear"))
		rope->scaling = MODEL_ROPE_LINEAR;
	else if (gguf_string_is(type, "yarn"))
		rope->scaling = MODEL_ROPE_YARN;
	else
		return error_set(keys->error, -EOPNOTSUPP,
				 "model: rope scaling '%s' is not supported", gguf_show(type).text);
	return 0;
}

/* read_ends() - of the ramp of YaRN: at whole pairs, unless a file says that they are not */
static int read_ends(struct model_rope *rope, const struct keys *keys)
{
	static const char key[] = "llmos.rope.yarn_truncate";
	bool truncates = true;
	int r = gguf_get_bool(keys->gguf, key, &truncates);

	if (r < 0 && r != -ENOENT)
		return error_set(keys->error, -EBADMSG, "model: key '%s' is no boolean", key);
	rope->has_real_ends = !truncates;
	return 0;
}

/* read_scaling() - the factor has an old name, and 0 means that there is none */
static int read_scaling(struct model_rope *rope, const struct keys *keys, uint32_t context)
{
	int r;

	rope->factor = 0;
	rope->attn_factor = 1;
	rope->beta_fast = 32;
	rope->beta_slow = 1;
	r = read_scaling_type(rope, keys);
	if (r >= 0)
		r = read_ends(rope, keys);
	if (r >= 0)
		r = keys_f32(keys, "rope.scale_linear", 0, &rope->factor);
	if (r >= 0)
		r = keys_f32(keys, "rope.scaling.factor", 0, &rope->factor);
	if (r >= 0)
		r = keys_f32(keys, "rope.scaling.attn_factor", 0, &rope->attn_factor);
	if (r >= 0)
		r = keys_f32(keys, "rope.scaling.yarn_beta_fast", 0, &rope->beta_fast);
	if (r >= 0)
		r = keys_f32(keys, "rope.scaling.yarn_beta_slow", 0, &rope->beta_slow);
	if (r >= 0)
		r = keys_u32(keys, "rope.scaling.original_context_length", 1, MODEL_CONTEXT_MAX,
			     context, &rope->original_context);
	if (r < 0)
		return r;
	if (rope->factor == 0 || rope->scaling == MODEL_ROPE_NONE)
		rope->factor = 1;
	if (rope->factor < 1e-3f || rope->factor > 1e6f)
		return error_set(keys->error, -EBADMSG, "model: 'rope.scaling.factor' is %g",
				 (double)rope->factor);
	return 0;
}

static int read_rope(struct model_hparams *p, const struct keys *keys)
{
	int r;

	p->rope.freq_base = 10000;
	r = keys_u32(keys, "rope.dimension_count", 2, p->head_dim, p->head_dim, &p->rope.dim);
	if (r >= 0)
		r = keys_f32(keys, "rope.freq_base", 1, &p->rope.freq_base);
	if (r < 0)
		return r;
	if (p->rope.dim % 2 && !p->has_positions)
		return error_set(keys->error, -EBADMSG,
				 "model: 'rope.dimension_count' is %u, not even", p->rope.dim);
	/* for weights that no converter has reordered, whatever is usual for the architecture */
	r = gguf_get_bool(keys->gguf, "llmos.rope.neox", &p->rope.is_neox);
	if (r < 0 && r != -ENOENT)
		return error_set(keys->error, -EBADMSG,
				 "model: key 'llmos.rope.neox' is no boolean");
	return read_scaling(&p->rope, keys, p->context);
}

static int read_norm(struct model_hparams *p, const struct keys *keys)
{
	p->norm_eps = NAN;
	return keys_f32(keys,
			p->norm == MODEL_NORM_RMS ? "attention.layer_norm_rms_epsilon"
						  : "attention.layer_norm_epsilon",
			0, &p->norm_eps);
}

int model_read_window(struct model_hparams *p, const struct keys *keys)
{
	return keys_u32_optional(keys, "attention.sliding_window", MODEL_CONTEXT_MAX,
				 &p->window.tokens);
}

int model_read_experts(struct model_hparams *p, const struct keys *keys, bool is_required)
{
	struct model_experts *e = &p->experts;
	int r;

	r = keys_u32_optional(keys, "expert_count", MODEL_EXPERTS_MAX, &e->count);
	if (r < 0)
		return r;
	if (!e->count)
		return is_required ? error_set(keys->error, -EBADMSG,
					       "model: key 'expert_count' is missing") : 0;
	e->scale = 1;
	e->is_normed = true;
	r = keys_u32(keys, "expert_used_count", 1, MIN(e->count, MODEL_EXPERTS_USED_MAX), 0,
		     &e->used);
	if (r >= 0)
		r = keys_u32(keys, "expert_feed_forward_length", 1, MODEL_FF_MAX, p->ff_width,
			     &e->width);
	if (r >= 0)
		r = keys_f32(keys, "expert_weights_scale", 0, &e->scale);
	if (e->scale == 0)
		e->scale = 1;
	return r < 0 ? r : keys_bool(keys, "expert_weights_norm", &e->is_normed);
}

/* read_pooling() - numbers that only others know say as little as none */
static int read_pooling(struct model_hparams *p, const struct keys *keys)
{
	uint32_t pooling = MODEL_POOL_NONE;
	int r = keys_u32_optional(keys, "pooling_type", UINT32_MAX, &pooling);

	if (pooling <= MODEL_POOL_LAST)
		p->pooling = (enum model_pooling)pooling;
	p->is_ranker = pooling == MODEL_POOL_RANK;
	return r;
}

/* read_head() - what a head that labels texts does, where that is not what its architecture does */
static int read_head(struct model_hparams *p, const struct keys *keys)
{
	static const struct {
		const char *name;
		enum model_head_act act;
	} known[] = {
		{ "tanh", MODEL_HEAD_TANH }, { "relu", MODEL_HEAD_RELU },
		{ "gelu", MODEL_HEAD_GELU },
	};
	static const char key[] = "llmos.classifier.activation";
	uint32_t pooling = MODEL_POOL_NONE;
	struct gguf_string name;
	size_t i = 0;
	int r = gguf_get_string(keys->gguf, key, &name);

	while (r >= 0 && i < ARRAY_SIZE(known) && !gguf_string_is(name, known[i].name))
		i++;
	if (r == -EINVAL || i == ARRAY_SIZE(known))
		return error_set(keys->error, -EBADMSG, "model: key '%s' is no activation", key);
	if (r >= 0)
		p->head_act = known[i].act;
	r = gguf_get_u32(keys->gguf, "llmos.classifier.pooling", &pooling);
	if (r == -EINVAL || pooling > MODEL_POOL_LAST)
		return error_set(keys->error, -EBADMSG,
				 "model: key 'llmos.classifier.pooling' is no pooling");
	p->label_pooling = (enum model_pooling)pooling;
	return 0;
}

/* read_output() - decoders have one, unless they are for ranking, or were saved without */
static int read_output(struct model_hparams *p, const struct keys *keys)
{
	bool has_none = p->is_encoder || p->is_ranker;
	int r = gguf_get_bool(keys->gguf, "llmos.no_output", &has_none);

	if (r < 0 && r != -ENOENT)
		return error_set(keys->error, -EBADMSG,
				 "model: key 'llmos.no_output' is no boolean");
	p->has_output = !has_none && !p->is_encoder;
	return 0;
}

/* read_activation() - of the feed-forward networks, where that is not what its architecture has */
static int read_activation(struct model_hparams *p, const struct keys *keys)
{
	static const struct {
		const char *name;
		enum model_act act;
	} known[] = {
		{ "silu", MODEL_ACT_SILU }, { "gelu", MODEL_ACT_GELU },
		{ "gelu_erf", MODEL_ACT_GELU_ERF },
	};
	static const char key[] = "llmos.activation";
	struct gguf_string name;
	int r = gguf_get_string(keys->gguf, key, &name);

	if (r == -ENOENT)
		return 0;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(known); i++)
		if (gguf_string_is(name, known[i].name) &&
		    (p->is_gated || known[i].act != MODEL_ACT_SILU)) {
			p->act = known[i].act;
			return 0;
		}
	return error_set(keys->error, -EBADMSG, "model: key '%s' is no activation", key);
}

static int read_sizes(struct model_hparams *p, const struct keys *keys)
{
	int r;

	r = keys_u32(keys, "context_length", 1, MODEL_CONTEXT_MAX, 0, &p->context);
	if (r >= 0)
		r = keys_u32(keys, "block_count", 1, UINT32_MAX, 0, &p->layers);
	if (r >= 0)
		r = keys_u32(keys, "embedding_length", 1, MODEL_WIDTH_MAX, 0, &p->width);
	if (r >= 0)
		r = keys_u32(keys, "feed_forward_length", 1, MODEL_FF_MAX, 0, &p->ff_width);
	return r;
}

int model_read_hparams(struct model_hparams *ret, const struct gguf *gguf, struct error *error)
{
	const struct keys keys = { .gguf = gguf, .error = error };
	const struct model_arch *arch = NULL;
	struct model_hparams p;
	int r;

	r = read_architecture(&arch, &keys);
	if (r < 0)
		return r;
	p = arch->hparams;
	p.arch = arch->name;
	p.embedding_scale = 1;
	r = read_sizes(&p, &keys);
	if (r >= 0)
		r = read_heads(&p, &keys);
	if (r >= 0)
		r = read_rope(&p, &keys);
	if (r >= 0)
		r = read_norm(&p, &keys);
	if (r >= 0 && arch->read)
		r = arch->read(&p, &keys);
	if (r >= 0)
		r = keys_f32(&keys, "attention.scale", 1e-6f, &p.attn_scale);
	if (r >= 0)
		r = read_activation(&p, &keys);
	if (r >= 0)
		r = read_pooling(&p, &keys);
	if (r >= 0)
		r = read_head(&p, &keys);
	if (r >= 0)
		r = read_output(&p, &keys);
	if (r < 0)
		return r;
	pad_heads(&p);
	*ret = p;
	return 0;
}
