/* SPDX-License-Identifier: MIT */
/*
 * The rotary embedding of config.json: "rope_theta" and "rope_scaling", or both in
 * "rope_parameters" as later writers have it. Hubs keep the two elements of a pair half a head
 * apart, and so they stay: the key "llmos.rope.neox" says it. What scales the frequencies of Llama 3
 * becomes the tensor of divisors that GGUF has for it; source: Dubey et al., "The Llama 3 Herd of
 * Models" (2024), and the reference code of the model.
 */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "model/hub_internal.h"

static int factor_key(const struct hub_config *c, const json_t *json, const char *key, float *ret)
{
	int r = hub_key_f32(c, json, key, ret);

	if (r >= 0 && !(*ret > 0 && *ret <= 1e9f))
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' is %g", key, (double)*ret);
	return r;
}

/* *ret stays as it is where the key is missing */
static int optional_key(const struct hub_config *c, const json_t *json, const char *key, float *ret)
{
	const json_t *value = json_object_get(json, key);

	return value && !json_is_null(value) ? factor_key(c, json, key, ret) : 0;
}

/* what is said of the model goes before what is said of the rope, and nothing is all positions */
static int original_context(const struct hub_config *c, const json_t *json, float *ret)
{
	static const char key[] = "original_max_position_embeddings";
	int r;

	*ret = (float)c->context;
	r = optional_key(c, json, key, ret);
	return r < 0 ? r : optional_key(c, c->json, key, ret);
}

/* the divisor of a frequency: 1 for fast pairs, the factor for slow ones, between them a blend */
static float llama3_divisor(double freq, double factor, double low, double high, double context)
{
	double turns = context * freq / (2 * M_PI), share;

	if (turns < low)
		return (float)factor;
	if (turns > high)
		return 1;
	share = (turns - low) / (high - low);
	return (float)(1 / ((1 - share) / factor + share));
}

static int add_llama3(const struct hub_config *c, const json_t *json, uint32_t dim, float base)
{
	const uint64_t pairs = dim / 2;
	float factor, low, high, context, *divisors;
	int r = factor_key(c, json, "factor", &factor);

	if (r >= 0)
		r = factor_key(c, json, "low_freq_factor", &low);
	if (r >= 0)
		r = factor_key(c, json, "high_freq_factor", &high);
	if (r >= 0)
		r = original_context(c, json, &context);
	if (r < 0)
		return r;
	if (high <= low)
		return hub_refuse(c, "rope_scaling");
	divisors = gguf_alloc(c->gguf, pairs * sizeof(*divisors));
	if (!divisors)
		return error_set(c->error, -ENOMEM, HUB_CONFIG ": %s", strerror(ENOMEM));
	for (uint64_t i = 0; i < pairs; i++)
		divisors[i] = llama3_divisor(pow((double)base, -2.0 * i / dim), (double)factor,
					     (double)low, (double)high, (double)context);
	r = gguf_add_tensor(c->gguf, "rope_freqs.weight", KERN_F32, 1, &pairs, divisors);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": rope: %s", strerror(-r)) : 0;
}

/* *ret: what YaRN makes of a factor, or of two scales of it, where both are there */
static int yarn_magnitude(const struct hub_config *c, const json_t *json, float factor, float *ret)
{
	const float log_factor = 0.1f * logf(fmaxf(1, factor));
	const char *const keys[] = { "mscale", "mscale_all_dim" };
	float scales[] = { 0, 0 };

	*ret = 1 + log_factor;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const json_t *value = json_object_get(json, keys[i]);
		int r = value && !json_is_null(value) ? hub_key_f32(c, json, keys[i], &scales[i])
						      : 0;

		if (r < 0)
			return r;
		if (!(scales[i] >= 0 && scales[i] <= 1e3f))
			return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' is %g", keys[i],
					 (double)scales[i]);
	}
	if (scales[0] > 0 && scales[1] > 0)
		*ret = (1 + log_factor * scales[0]) / (1 + log_factor * scales[1]);
	return 0;
}

/* the ends of the ramp are whole pairs, unless they are not to be truncated */
static int add_yarn_ends(const struct hub_config *c, const json_t *json)
{
	static const char key[] = "llmos.rope.yarn_truncate";
	const json_t *truncate = json_object_get(json, "truncate");
	int r;

	if (!truncate || json_is_true(truncate))
		return 0;
	if (!json_is_false(truncate))
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": 'truncate' is no boolean");
	r = gguf_add_bool(c->gguf, key, false);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": rope: %s", strerror(-r)) : 0;
}

/* "attention_factor" is all of the magnitude; the key in GGUF is on top of what YaRN has by itself */
static int add_yarn(const struct hub_config *c, const json_t *json)
{
	float factor, context, fast = 32, slow = 1, own, magnitude;
	int r = factor_key(c, json, "factor", &factor);

	if (r < 0)
		return r;
	own = 1 + 0.1f * logf(fmaxf(1, factor));
	if ((r = original_context(c, json, &context)) < 0 ||
	    (r = optional_key(c, json, "beta_fast", &fast)) < 0 ||
	    (r = optional_key(c, json, "beta_slow", &slow)) < 0 ||
	    (r = yarn_magnitude(c, json, factor, &magnitude)) < 0 ||
	    (r = optional_key(c, json, "attention_factor", &magnitude)) < 0 ||
	    (r = add_yarn_ends(c, json)) < 0 ||
	    (r = hub_add_f32(c, "rope.scaling.attn_factor", magnitude / own)) < 0 ||
	    (r = hub_add_string(c, "rope.scaling.type", "yarn")) < 0 ||
	    (r = hub_add_f32(c, "rope.scaling.factor", factor)) < 0 ||
	    (r = hub_add_u32(c, "rope.scaling.original_context_length", (uint32_t)context)) < 0 ||
	    (r = hub_add_f32(c, "rope.scaling.yarn_beta_fast", fast)) < 0)
		return r;
	return hub_add_f32(c, "rope.scaling.yarn_beta_slow", slow);
}

static int add_linear(const struct hub_config *c, const json_t *json)
{
	float factor;
	int r = factor_key(c, json, "factor", &factor);

	if (r >= 0)
		r = hub_add_string(c, "rope.scaling.type", "linear");
	return r < 0 ? r : hub_add_f32(c, "rope.scaling.factor", factor);
}

/* the factors of one kind, one a pair */
static int add_longrope_factors(const struct hub_config *c, const json_t *json, const char *from,
				const char *to, uint32_t dim)
{
	const json_t *list = json_object_get(json, from);
	const uint64_t pairs = dim / 2;
	float *factors;
	int r;

	if (json_array_size(list) != pairs)
		return error_set(c->error, -EBADMSG,
				 HUB_CONFIG ": '%s' has %zu factors for %u pairs", from,
				 json_array_size(list), dim / 2);
	factors = gguf_alloc(c->gguf, pairs * sizeof(*factors));
	if (!factors)
		return error_set(c->error, -ENOMEM, HUB_CONFIG ": %s", strerror(ENOMEM));
	for (uint64_t i = 0; i < pairs; i++) {
		const double value = json_real_value(json_array_get(list, i));

		if (!(value > 0 && value < 1e30))
			return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' has a factor of %g",
					 from, value);
		factors[i] = (float)value;
	}
	r = gguf_add_tensor(c->gguf, to, KERN_F32, 1, &pairs, factors);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": rope: %s", strerror(-r)) : 0;
}

/* source: Ding et al., "LongRoPE" (2024), and what the model's own code takes for the magnitude */
static int add_longrope(const struct hub_config *c, const json_t *json, uint32_t dim)
{
	float context, scale, magnitude;
	uint32_t original;
	int r = original_context(c, json, &context);

	if (r < 0)
		return r;
	original = (uint32_t)context;
	if (original < 2)
		return hub_refuse(c, "original_max_position_embeddings");
	scale = (float)c->context / (float)original;
	r = optional_key(c, json, "factor", &scale);
	if (r < 0)
		return r;
	magnitude = scale <= 1 ? 1 : sqrtf(1 + logf(scale) / logf((float)original));
	if ((r = optional_key(c, json, "attention_factor", &magnitude)) < 0 ||
	    (r = add_longrope_factors(c, json, "long_factor", "rope_factors_long.weight", dim)) < 0 ||
	    (r = add_longrope_factors(c, json, "short_factor", "rope_factors_short.weight",
				      dim)) < 0 ||
	    (r = hub_add_f32(c, "rope.scaling.attn_factor", magnitude)) < 0)
		return r;
	return hub_add_u32(c, "rope.scaling.original_context_length", original);
}

static int add_scaling(const struct hub_config *c, const json_t *json, uint32_t dim, float base)
{
	const json_t *type = json_object_get(json, "rope_type") ?: json_object_get(json, "type");

	/* a dynamic one begins where positions end, which no text gets behind */
	if (!json || json_is_null(json) || json_is(type, "default") || json_is(type, "dynamic") ||
	    (!type && json_object_get(json, "rope_theta")))
		return 0;
	if (json_is(type, "linear"))
		return add_linear(c, json);
	if (json_is(type, "llama3"))
		return add_llama3(c, json, dim, base);
	if (json_is(type, "yarn"))
		return add_yarn(c, json);
	if (json_is(type, "longrope") || json_is(type, "su"))
		return add_longrope(c, json, dim);
	return error_set(c->error, -EOPNOTSUPP,
			 HUB_CONFIG ": rope scaling '%s' is not supported", json_show(type).text);
}

int hub_rope_load(const struct hub_config *c, const json_t *json)
{
	float base = c->arch->rope_base, part = 1;
	uint32_t dim;
	int r;

	if (json && !json_is_null(json) && !json_is_object(json))
		return hub_refuse(c, "rope_scaling");
	if ((r = optional_key(c, c->json, "partial_rotary_factor", &part)) < 0 ||
	    (r = optional_key(c, json, "partial_rotary_factor", &part)) < 0)
		return r;
	/* others turn whole heads, whatever it says */
	if (part < 1 && strcmp(c->arch->arch, "phi3"))
		return error_set(c->error, -EOPNOTSUPP,
				 HUB_CONFIG ": 'partial_rotary_factor' is not supported");
	/* a base may be larger than any factor */
	if (json_object_get(json, "rope_theta"))
		r = hub_key_f32(c, json, "rope_theta", &base);
	else if (!json_is_null(json_object_get(c->json, "rope_theta")) &&
		 json_object_get(c->json, "rope_theta"))
		r = hub_key_f32(c, c->json, "rope_theta", &base);
	if (r < 0)
		return r;
	dim = part < 1 ? (uint32_t)((float)c->head_dim * part) : c->head_dim;
	if (!(base >= 1) || dim < 2 || dim % 2)
		return error_set(c->error, -EBADMSG,
				 HUB_CONFIG ": a rotary embedding of %u elements, base %g", dim,
				 (double)base);
	r = gguf_add_bool(c->gguf, "llmos.rope.neox", true);
	if (r < 0)
		return error_set(c->error, r, HUB_CONFIG ": rope: %s", strerror(-r));
	if ((r = hub_add_u32(c, "rope.dimension_count", dim)) < 0 ||
	    (r = hub_add_f32(c, "rope.freq_base", base)) < 0)
		return r;
	return add_scaling(c, json, dim, base);
}
