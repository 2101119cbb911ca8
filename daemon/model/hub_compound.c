/* SPDX-License-Identifier: MIT */
/*
 * Models that also see: config.json has the settings of their text half in an object of its own, and
 * the tensors of that have a name of their own before theirs. The text half is a model like any
 * other; what sees is left out.
 */
#include <string.h>

#include "model/hub_internal.h"

/** struct compound - @text: the kind of the text half; @defaults: what that says where nothing is */
static const struct compound {
	const char *model_type, *text, *defaults;
} compounds[] = {
	{ "gemma3", "gemma3_text",
	  "{\"vocab_size\":262208,\"hidden_size\":2304,\"intermediate_size\":9216,"
	  "\"num_hidden_layers\":26,\"num_attention_heads\":8,\"num_key_value_heads\":4,"
	  "\"head_dim\":256,\"max_position_embeddings\":131072,\"rms_norm_eps\":1e-6,"
	  "\"query_pre_attn_scalar\":256,\"sliding_window\":4096,"
	  "\"hidden_activation\":\"gelu_pytorch_tanh\",\"tie_word_embeddings\":true}" },
	{ "mistral3", "mistral", "{}" },
};

static const struct compound *find(const json_t *json)
{
	const json_t *type = json_object_get(json, "model_type");

	for (size_t i = 0; i < ARRAY_SIZE(compounds); i++)
		if (json_is(type, compounds[i].model_type))
			return &compounds[i];
	return NULL;
}

/*
 * What is said of the text counts, then what is said of all, then what goes without saying. Whether
 * the output is the embedding is said of all, if it is.
 */
int hub_compound_unfold(json_t **json, bool *ret, struct error *error)
{
	const struct compound *compound = find(*json);
	_cleanup_json_ json_t *text = NULL, *defaults = NULL;
	json_t *inner, *tied;

	*ret = compound != NULL;
	if (!compound)
		return 0;
	inner = json_object_get(*json, "text_config");
	if (!json_is_object(inner))
		return error_set(error, -EBADMSG, HUB_CONFIG ": 'text_config' is missing");
	if (json_object_get(inner, "model_type") &&
	    !json_is(json_object_get(inner, "model_type"), compound->text))
		return error_set(error, -EOPNOTSUPP, HUB_CONFIG ": a '%s' of '%s' is not supported",
				 compound->model_type,
				 json_show(json_object_get(inner, "model_type")).text);
	text = json_copy(inner);
	tied = json_object_get(*json, "tie_word_embeddings");
	defaults = json_loads(compound->defaults, JSON_DECODE_INT_AS_REAL, NULL);
	if (!text || !defaults || json_object_set_new(text, "model_type",
						      json_string(compound->text)) < 0 ||
	    (tied && json_object_set(text, "tie_word_embeddings", tied) < 0) ||
	    json_object_update_missing(text, *json) < 0 ||
	    json_object_update_missing(text, defaults) < 0)
		return error_set(error, -ENOMEM, HUB_CONFIG ": %s", strerror(ENOMEM));
	json_decref(*json);
	*json = steal_ptr(text);
	return 0;
}

/* "model." before the half, as newer writers have it, or behind it */
const char *hub_compound_name(const char *name)
{
	static const char *const text[] = { "model.language_model.", "language_model." };
	static const char *const others[] = {
		"model.vision_tower.", "vision_tower.", "model.multi_modal_projector.",
		"multi_modal_projector.",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!strncmp(name, others[i], strlen(others[i])))
			return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		if (!strncmp(name, text[i], strlen(text[i])))
			return name + strlen(text[i]);
	return name;
}
