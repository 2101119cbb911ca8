/* SPDX-License-Identifier: MIT */
/* config.json to the keys that a GGUF file would have. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/hub_internal.h"
#include "model/model.h"

/* ---- reading and adding ---- */

/* @fallback 0: the key must be there; null is as good as missing */
int hub_key_u32(const struct hub_config *c, const char *from, uint32_t fallback, uint32_t *ret)
{
	const json_t *json = json_object_get(c->json, from);

	if (!json || json_is_null(json)) {
		if (!fallback)
			return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' is missing", from);
		*ret = fallback;
		return 0;
	}
	if (json_get_u32(json, ret) < 0)
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' is not a number in range",
				 from);
	return 0;
}

int hub_key_f32(const struct hub_config *c, const json_t *json, const char *from, float *ret)
{
	const json_t *value = json_object_get(json, from);

	if (!value || json_is_null(value))
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' is missing", from);
	if (!json_is_real(value) || !(fabs(json_real_value(value)) <= (double)FLT_MAX))
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' is not a number in range",
				 from);
	*ret = (float)json_real_value(value);
	return 0;
}

bool hub_key_bool(const struct hub_config *c, const char *from, bool fallback)
{
	const json_t *json = json_object_get(c->json, from);

	return json_is_boolean(json) ? json_is_true(json) : fallback;
}

int hub_refuse(const struct hub_config *c, const char *key)
{
	const json_t *json = json_object_get(c->json, key);
	_cleanup_free_ char *text = NULL;

	if (json)
		text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
	return error_set(c->error, -EOPNOTSUPP,
			 HUB_CONFIG ": '%s' is '%.60s', which is not supported", key,
			 text ? text : "missing");
}

static int added(const struct hub_config *c, const char *to, int r)
{
	if (r == -EEXIST)
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": '%s' is there twice", to);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": %s", strerror(-r)) : 0;
}

struct key {
	char text[64];
};

static struct key full_key(const struct hub_config *c, const char *to)
{
	struct key key;

	snprintf(key.text, sizeof(key.text), "%s.%s", c->arch->arch, to);
	return key;
}

int hub_add_u32(const struct hub_config *c, const char *to, uint32_t value)
{
	return added(c, to, gguf_add_u32(c->gguf, full_key(c, to).text, value));
}

int hub_add_f32(const struct hub_config *c, const char *to, float value)
{
	return added(c, to, gguf_add_f32(c->gguf, full_key(c, to).text, value));
}

int hub_add_bool(const struct hub_config *c, const char *to, bool value)
{
	return added(c, to, gguf_add_bool(c->gguf, full_key(c, to).text, value));
}

int hub_add_string(const struct hub_config *c, const char *to, const char *value)
{
	return added(c, to, gguf_add_string(c->gguf, full_key(c, to).text, value, strlen(value)));
}

int hub_add_head(const struct hub_config *c, const char *activation)
{
	static const char key[] = "llmos.classifier.activation";

	return added(c, key, gguf_add_string(c->gguf, key, activation, strlen(activation)));
}

int hub_add_bools(const struct hub_config *c, const char *to, const uint8_t *values, size_t count)
{
	return added(c, to, gguf_add_array(c->gguf, full_key(c, to).text, GGUF_BOOL, values,
					   count));
}

static int add_activation(const struct hub_config *c, const char *activation)
{
	static const char key[] = "llmos.activation";

	return added(c, key, gguf_add_string(c->gguf, key, activation, strlen(activation)));
}

int hub_activation_load(const struct hub_config *c, const char *from, const char *own,
			bool is_gated)
{
	static const struct {
		const char *name, *activation;
	} known[] = {
		{ "gelu", "gelu_erf" }, { "gelu_new", "gelu" }, { "gelu_fast", "gelu" },
		{ "gelu_pytorch_tanh", "gelu" }, { "silu", "silu" }, { "swish", "silu" },
	};
	const json_t *json = json_object_get(c->json, from);

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!json_is(json, known[i].name))
			continue;
		if (!is_gated && !strcmp(known[i].activation, "silu"))
			break;
		return strcmp(known[i].activation, own) ? add_activation(c, known[i].activation)
							: 0;
	}
	return hub_refuse(c, from);
}

/* ---- what all models have ---- */

/* a size by one of its names: GPT-2 and DistilBERT came before they were settled */
enum size { KEY_WIDTH, KEY_LAYERS, KEY_HEADS, KEY_CONTEXT, KEY_FF };

static int size_key(const struct hub_config *c, enum size size, uint32_t fallback, uint32_t *ret)
{
	static const char *const names[][3] = {
		[KEY_WIDTH] = { "hidden_size", "n_embd", "dim" },
		[KEY_LAYERS] = { "num_hidden_layers", "n_layer", "n_layers" },
		[KEY_HEADS] = { "num_attention_heads", "n_head", "n_heads" },
		[KEY_CONTEXT] = { "max_position_embeddings", "n_positions" },
		[KEY_FF] = { "intermediate_size", "n_inner", "hidden_dim" },
	};
	const char *from = names[size][0];

	for (size_t i = 0; i < ARRAY_SIZE(names[size]) && names[size][i]; i++)
		if (json_object_get(c->json, names[size][i])) {
			from = names[size][i];
			break;
		}
	return hub_key_u32(c, from, fallback, ret);
}

static int load_heads(struct hub_config *c)
{
	uint32_t kv_heads = 0, of_width;
	int r = size_key(c, KEY_HEADS, 0, &c->heads);

	if (r >= 0)
		r = hub_key_u32(c, "num_key_value_heads", c->heads, &kv_heads);
	if (r < 0)
		return r;
	of_width = c->heads && !(c->width % c->heads) ? c->width / c->heads : 0;
	r = hub_key_u32(c, "head_dim", of_width, &c->head_dim);
	if (r < 0)
		return r;
	if (!c->head_dim || c->head_dim > MODEL_HEAD_DIM_MAX)
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": heads of %u elements",
				 c->head_dim);
	r = hub_add_u32(c, "attention.head_count", c->heads);
	if (r >= 0)
		r = hub_add_u32(c, "attention.head_count_kv", kv_heads);
	if (r >= 0)
		r = hub_add_u32(c, "attention.key_length", c->head_dim);
	return r < 0 ? r : hub_add_u32(c, "attention.value_length", c->head_dim);
}

/* tokens that a text may have: fewer than there are positions, where some are for padding */
static int load_context(struct hub_config *c)
{
	uint32_t padding = 0;
	int r = size_key(c, KEY_CONTEXT, 0, &c->context);

	if (r >= 0 && c->arch->kind == HUB_ENCODER_PADDED) {
		r = hub_key_u32(c, "pad_token_id", 1, &padding);
		if (r >= 0 && (!c->context || padding >= c->context - 1))
			return hub_refuse(c, "pad_token_id");
		c->first_position = padding + 1;
		c->context -= c->first_position;
	}
	return r;
}

static int load_sizes(struct hub_config *c)
{
	uint32_t vocab = 0;
	int r = size_key(c, KEY_WIDTH, 0, &c->width);

	if (r >= 0)
		r = size_key(c, KEY_LAYERS, 0, &c->layers);
	if (r >= 0)
		r = load_context(c);
	if (r >= 0)
		r = size_key(c, KEY_FF, c->width <= UINT32_MAX / 4 ? 4 * c->width : 0,
			     &c->ff_width);
	if (r >= 0)
		r = hub_key_u32(c, "vocab_size", 0, &vocab);
	if (r >= 0)
		r = hub_add_u32(c, "embedding_length", c->width);
	if (r >= 0)
		r = hub_add_u32(c, "block_count", c->layers);
	if (r >= 0)
		/* a rope is scaled by what the model was made for, not by what a text is held to */
		r = hub_add_u32(c, "context_length", c->context_max ?
				MIN(c->context, c->context_max) : c->context);
	if (r >= 0)
		r = hub_add_u32(c, "feed_forward_length", c->ff_width);
	if (r >= 0)
		r = hub_add_u32(c, "vocab_size", vocab);
	return r;
}

static int add_defaults(const struct hub_config *c)
{
	_cleanup_json_ json_t *defaults = NULL;

	if (!c->arch->defaults)
		return 0;
	defaults = json_loads(c->arch->defaults, JSON_DECODE_INT_AS_REAL, NULL);
	if (!defaults || json_object_update_missing(c->json, defaults) < 0)
		return error_set(c->error, -ENOMEM, HUB_CONFIG ": %s", strerror(ENOMEM));
	return 0;
}

static int load_arch(struct hub_config *c)
{
	const char *type = json_string_value(json_object_get(c->json, "model_type"));
	const json_t *quantized = json_object_get(c->json, "quantization_config");

	if (!type)
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": 'model_type' is missing");
	c->arch = hub_arch_find(type);
	if (!c->arch)
		return hub_refuse(c, "model_type");
	if (quantized && !json_is_null(quantized))
		return error_set(c->error, -EOPNOTSUPP,
				 HUB_CONFIG ": weights quantized with '%s' are not supported",
				 json_show(json_object_get(quantized, "quant_method")).text);
	/* a decoder that was made to look ahead is another model */
	if (c->arch->kind == HUB_DECODER && !hub_key_bool(c, "is_causal", true))
		return hub_refuse(c, "is_causal");
	c->is_tied = hub_key_bool(c, "tie_word_embeddings", c->arch->is_tied);
	return added(c, "general.architecture",
		     gguf_add_string(c->gguf, "general.architecture", c->arch->arch,
				     strlen(c->arch->arch)));
}

int hub_config_load(struct hub_config *c)
{
	int r;

	if (!json_is_object(c->json))
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": not an object");
	r = load_arch(c);
	if (r >= 0)
		r = add_defaults(c);
	if (r >= 0)
		r = hub_classifier_find(c);
	if (r >= 0)
		r = load_sizes(c);
	if (r >= 0)
		r = load_heads(c);
	return r < 0 ? r : c->arch->add_keys(c);
}
