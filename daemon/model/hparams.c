/* SPDX-License-Identifier: MIT */
/*
 * Reads the hyperparameters of a Llama-shaped model from the keys of its file. The file is hostile:
 * each number is checked against its bound before anything is computed from it.
 */
#include <math.h>
#include <string.h>

#include "model/gguf.h"
#include "model/model.h"

/* read_u32() - a number in [min, max]; @fallback where the key is missing, 0: it must be there */
static int read_u32(const struct gguf *gguf, const char *suffix, uint32_t min, uint32_t max,
		    uint32_t fallback, uint32_t *ret, struct error *error)
{
	uint32_t value = fallback;
	int r = gguf_get_arch_u32(gguf, suffix, &value);

	if (r == -ENOENT && !fallback)
		return error_set(error, -EBADMSG, "model: key '%s' is missing", suffix);
	if (r < 0 && r != -ENOENT)
		return error_set(error, -EOPNOTSUPP, "model: key '%s' is not one number in range",
				 suffix);
	if (value < min || value > max)
		return error_set(error, -EBADMSG, "model: '%s' is %u, not %u to %u", suffix, value,
				 min, max);
	*ret = value;
	return 0;
}

/* read_f32() - a finite number >= min; a missing key leaves *ret as it is, NaN: it must be there */
static int read_f32(const struct gguf *gguf, const char *suffix, float min, float *ret,
		    struct error *error)
{
	float value = *ret;
	int r = gguf_get_arch_f32(gguf, suffix, &value);

	if (r == -ENOENT && isnan(value))
		return error_set(error, -EBADMSG, "model: key '%s' is missing", suffix);
	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG, "model: key '%s' is not a floating-point number",
				 suffix);
	if (!isfinite(value) || value < min)
		return error_set(error, -EBADMSG, "model: '%s' is %g, not %g or more", suffix,
				 (double)value, (double)min);
	*ret = value;
	return 0;
}

static int check_architecture(const struct gguf *gguf, struct error *error)
{
	struct gguf_string arch;
	uint32_t experts = 0;
	int r;

	r = gguf_get_string(gguf, "general.architecture", &arch);
	if (r < 0)
		return error_set(error, -EBADMSG, "model: key 'general.architecture' is missing");
	if (!gguf_string_is(arch, "llama"))
		return error_set(error, -EOPNOTSUPP,
				 "model: architecture '%s' is not supported, only 'llama' is",
				 gguf_show(arch).text);
	r = gguf_get_arch_u32(gguf, "expert_count", &experts);
	if (r == -EINVAL || experts)
		return error_set(error, -EOPNOTSUPP,
				 "model: mixtures of experts (here %u) are not supported", experts);
	return 0;
}

static int read_heads(struct model_hparams *p, const struct gguf *gguf, struct error *error)
{
	uint32_t value_dim;
	int r;

	r = read_u32(gguf, "attention.head_count", 1, MODEL_HEADS_MAX, 0, &p->heads, error);
	if (r >= 0)
		r = read_u32(gguf, "attention.head_count_kv", 1, MODEL_HEADS_MAX, p->heads,
			     &p->kv_heads, error);
	if (r < 0)
		return r;
	if (p->heads % p->kv_heads)
		return error_set(error, -EBADMSG, "model: %u heads can't share %u key-value heads",
				 p->heads, p->kv_heads);
	p->head_dim = p->width % p->heads ? 0 : p->width / p->heads;
	r = read_u32(gguf, "attention.key_length", 1, MODEL_HEAD_DIM_MAX, p->head_dim, &p->head_dim,
		     error);
	if (r >= 0)
		r = read_u32(gguf, "attention.value_length", 1, MODEL_HEAD_DIM_MAX, p->head_dim,
			     &value_dim, error);
	if (r < 0)
		return r;
	if (p->head_dim % 8 || value_dim != p->head_dim)
		return error_set(error, -EOPNOTSUPP,
				 "model: heads of %u and %u elements are not supported",
				 p->head_dim, value_dim);
	return 0;
}

static int read_scaling_type(struct model_rope *rope, const struct gguf *gguf, struct error *error)
{
	struct gguf_string type = { .data = "linear", .len = 6 };
	int r;

	r = gguf_get_arch_string(gguf, "rope.scaling.type", &type);
	if (r == -EINVAL)
		return error_set(error, -EBADMSG, "model: key 'rope.scaling.type' is not a string");
	if (gguf_string_is(type, "none"))
		rope->scaling = MODEL_ROPE_NONE;
	else if (gguf_string_is(type, "linear"))
		rope->scaling = MODEL_ROPE_LINEAR;
	else if (gguf_string_is(type, "yarn"))
		rope->scaling = MODEL_ROPE_YARN;
	else
		return error_set(error, -EOPNOTSUPP, "model: rope scaling '%s' is not supported",
				 gguf_show(type).text);
	return 0;
}

/* read_scaling() - the factor has an old name, and 0 means that there is none */
static int read_scaling(struct model_rope *rope, const struct gguf *gguf, uint32_t context,
			struct error *error)
{
	int r;

	rope->factor = 0;
	rope->attn_factor = 1;
	rope->beta_fast = 32;
	rope->beta_slow = 1;
	r = read_scaling_type(rope, gguf, error);
	if (r >= 0)
		r = read_f32(gguf, "rope.scale_linear", 0, &rope->factor, error);
	if (r >= 0)
		r = read_f32(gguf, "rope.scaling.factor", 0, &rope->factor, error);
	if (r >= 0)
		r = read_f32(gguf, "rope.scaling.attn_factor", 0, &rope->attn_factor, error);
	if (r >= 0)
		r = read_f32(gguf, "rope.scaling.yarn_beta_fast", 0, &rope->beta_fast, error);
	if (r >= 0)
		r = read_f32(gguf, "rope.scaling.yarn_beta_slow", 0, &rope->beta_slow, error);
	if (r >= 0)
		r = read_u32(gguf, "rope.scaling.original_context_length", 1, MODEL_CONTEXT_MAX,
			     context, &rope->original_context, error);
	if (r < 0)
		return r;
	if (rope->factor == 0 || rope->scaling == MODEL_ROPE_NONE)
		rope->factor = 1;
	if (rope->factor < 1e-3f || rope->factor > 1e6f)
		return error_set(error, -EBADMSG, "model: 'rope.scaling.factor' is %g",
				 (double)rope->factor);
	return 0;
}

static int read_rope(struct model_hparams *p, const struct gguf *gguf, struct error *error)
{
	int r;

	p->rope.freq_base = 10000;
	r = gguf_get_bool(gguf, "llmos.rope.neox", &p->rope.neox);
	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG, "model: key 'llmos.rope.neox' is no boolean");
	r = read_u32(gguf, "rope.dimension_count", 2, p->head_dim, p->head_dim, &p->rope.dim, error);
	if (r >= 0)
		r = read_f32(gguf, "rope.freq_base", 1, &p->rope.freq_base, error);
	if (r < 0)
		return r;
	if (p->rope.dim % 2)
		return error_set(error, -EBADMSG, "model: 'rope.dimension_count' is %u, not even",
				 p->rope.dim);
	return read_scaling(&p->rope, gguf, p->context, error);
}

int model_read_hparams(struct model_hparams *ret, const struct gguf *gguf, struct error *error)
{
	struct model_hparams p = { .norm_eps = NAN };
	int r;

	r = check_architecture(gguf, error);
	if (r >= 0)
		r = read_u32(gguf, "context_length", 1, MODEL_CONTEXT_MAX, 0, &p.context, error);
	if (r >= 0)
		r = read_u32(gguf, "block_count", 1, UINT32_MAX, 0, &p.layers, error);
	if (r >= 0)
		r = read_u32(gguf, "embedding_length", 1, MODEL_WIDTH_MAX, 0, &p.width, error);
	if (r >= 0)
		r = read_u32(gguf, "feed_forward_length", 1, MODEL_FF_MAX, 0, &p.ff_width, error);
	if (r >= 0)
		r = read_heads(&p, gguf, error);
	if (r >= 0)
		r = read_rope(&p, gguf, error);
	if (r >= 0)
		r = read_f32(gguf, "attention.layer_norm_rms_epsilon", 0, &p.norm_eps, error);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}
