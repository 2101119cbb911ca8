/* SPDX-License-Identifier: MIT */
/* What the files of hub share. No one else includes this, but for tests and fuzzing. */
#ifndef LLMOS_MODEL_HUB_INTERNAL_H
#define LLMOS_MODEL_HUB_INTERNAL_H

#include "model/gguf_build.h"
#include "model/hub.h"
#include "model/json.h"
#include "model/safetensors.h"

/* how a tensor in GGUF differs from what the hub has */
enum hub_change {
	HUB_AS_IS,
	HUB_ADD_ONE,			/* norms of Gemma: stored without the one they add */
	HUB_TRANSPOSE,			/* GPT-2: stored as (inputs, outputs) */
	HUB_IGNORE,			/* is computed, or not wanted */
	HUB_HEAD,			/* of a model that labels texts */
	HUB_POOLER,			/* the same, and not wanted in other models */
	HUB_POSITIONS,			/* without the first rows, that no position has */
};

/** struct hub_name - a tensor's name without ".weight" or ".bias"; each '#' is the same number */
struct hub_name {
	const char *from;
	const char *to;
	enum hub_change change;
};

enum hub_kind {
	HUB_DECODER,
	HUB_ENCODER,
	HUB_ENCODER_PADDED,		/* positions begin behind the padding token's number */
};

#define HUB_NUMBERS_MAX	2		/* '#' in a name: layer, expert */

struct hub_config;
struct hub_ranker;

/**
 * struct hub_arch - a kind of model
 * @model_type: as config.json names it
 * @arch: as GGUF does
 * @prefix: of all names but the output's; base models are stored without
 * @names: ends with one whose @from is NULL
 * @is_tied: the output is the embedding, where config.json does not say
 * @window: tokens that sliding layers see, where it does not say; 0: all
 * @rope_base: of the rotary embedding, where it does not say
 * @add_keys: what is its own, beyond what hub_config_load() does for all
 * @defaults: settings that config.json may leave out, as an object; NULL: there are none
 */
struct hub_arch {
	const char *model_type;
	const char *arch;
	const char *prefix;
	const struct hub_name *names;
	bool is_tied;
	uint32_t window;
	float rope_base;
	int (*add_keys)(const struct hub_config *c);
	enum hub_kind kind;
	const char *defaults;
};

/**
 * struct hub_config - what is known while config.json is being read
 * @context_max: tokens of a text, as sentence-transformers has it; 0: no such bound
 * @first_position: rows of the positions' matrix that no token has
 * @is_compound: it is the text half of a model that also sees
 * @is_classifier: labels are what it was trained for
 * @is_base: of a class that has no output
 * @activation: what becomes of a score, as sentence-transformers has it; "": it does not say
 * @ranker: it ranks by two words, and makes no text; NULL: it does not
 */
struct hub_config {
	struct gguf *gguf;
	json_t *json;
	const struct hub_arch *arch;
	uint32_t width, ff_width, heads, head_dim, layers, context;
	uint32_t context_max, first_position;
	bool is_tied;
	bool is_compound;
	bool is_classifier;
	bool is_base;
	const char *activation;
	struct hub_ranker *ranker;
	struct error *error;
};

/** hub_encoders - those whose tokens see the whole text; ends with one without a name */
extern const struct hub_arch hub_encoders[];
/* those in files of their own: ModernBERT and nomic-bert */
extern const struct hub_arch hub_modern;
extern const struct hub_arch hub_nomic;

/** hub_arch_find() - by the model_type of config.json, NULL: not supported */
const struct hub_arch *hub_arch_find(const char *model_type);

/**
 * hub_name_map() - what GGUF calls a tensor
 * @change: what is to be done to it
 *
 * Return: 0; -ENOENT this architecture has no such tensor.
 */
int hub_name_map(const struct hub_arch *arch, const char *name, char *to, size_t size,
		 enum hub_change *change);

/**
 * hub_module_map() - what GGUF calls the weights of a module such as "model.layers.0.mlp.up_proj"
 * @arch: as GGUF names it: of all kinds of models that are of this one
 *
 * Return: 0; -ENOENT it has no such module.
 */
int hub_module_map(const char *arch, const char *module, char *to, size_t size);

/**
 * hub_config_load() - the keys that config.json gives
 * @config: zeroed but for gguf, json and error; json is given what it leaves out
 */
int hub_config_load(struct hub_config *config);

/* hub_keys.c: reading config.json; errors name the key */
int hub_key_u32(const struct hub_config *c, const char *from, uint32_t fallback, uint32_t *ret);
int hub_key_f32(const struct hub_config *c, const json_t *json, const char *from, float *ret);
bool hub_key_bool(const struct hub_config *c, const char *from, bool fallback);
/** hub_add_u32() - add the key "<architecture>.<to>" */
int hub_add_u32(const struct hub_config *c, const char *to, uint32_t value);
int hub_add_f32(const struct hub_config *c, const char *to, float value);
int hub_add_bool(const struct hub_config *c, const char *to, bool value);
int hub_add_string(const struct hub_config *c, const char *to, const char *value);
/** hub_add_bools() - @values (count), each 0 or 1, which are not copied */
int hub_add_bools(const struct hub_config *c, const char *to, const uint8_t *values, size_t count);
/**
 * hub_activation_load() - of the feed-forward networks, under any of its names
 * @own: what the architecture has, as GGUF's reader names it ("silu", "gelu", "gelu_erf")
 * @is_gated: by a matrix of its own; others have no SiLU
 */
int hub_activation_load(const struct hub_config *c, const char *from, const char *own,
			bool is_gated);
/** hub_add_head() - what is between the two matrices of its labels, where that is no tanh */
int hub_add_head(const struct hub_config *c, const char *activation);
/** hub_refuse() - -EOPNOTSUPP: this key has a value that is not supported */
int hub_refuse(const struct hub_config *c, const char *key);

/**
 * hub_rope_load() - the rotary embedding: base, scaling, divisors
 * @json: rope_parameters or rope_scaling, NULL: there is none
 */
int hub_rope_load(const struct hub_config *c, const json_t *json);

/** hub_activation() - 0: the key has a value of @known, which ends with NULL; else hub_refuse() */
int hub_activation(const struct hub_config *c, const char *key, const char *const *known);

/* hub_window.c: layers that see a window only */

/** hub_window_add() - sliding_window, which is for all layers */
int hub_window_add(const struct hub_config *c);
/**
 * hub_window_add_layers() - sliding_window, and which layers have it
 * @first: where layer_types is missing, layers before see all
 * @period: and so does the last one of so many; 0: no other
 */
int hub_window_add_layers(const struct hub_config *c, uint32_t first, uint32_t period);
/** hub_window_add_types() - the layers that layer_types says; *ret: is it there? */
int hub_window_add_types(const struct hub_config *c, bool *ret);
/** hub_window_refuse() - 0, if layer_types has no layer that sees a window */
int hub_window_refuse(const struct hub_config *c);

/* hub_labels.c: heads that label texts */

/** hub_classifier_find() - is_classifier and is_base, by the class that config.json names */
int hub_classifier_find(struct hub_config *c);
/** hub_labels_load() - names of labels, once all tensors are there */
int hub_labels_load(const struct hub_config *c);
/** hub_labels_add_score() - what texts are ranked by, where there is one label */
int hub_labels_add_score(const struct hub_config *c);

/* hub_compound.c: models that also see */

/**
 * hub_compound_unfold() - of such a model, the settings of its text half
 * @json: replaced by them
 * @ret: is it one?
 *
 * Return: 0; -EBADMSG they are not there, -EOPNOTSUPP its text half is of an unknown kind, -ENOMEM.
 */
int hub_compound_unfold(json_t **json, bool *ret, struct error *error);
/** hub_compound_name() - what a tensor of it is called in its text half; NULL: it is not of that */
const char *hub_compound_name(const char *name);

/** hub_tensor_add() - add a tensor under its new name, as it is or changed */
int hub_tensor_add(struct gguf *gguf, const struct hub_config *config,
		   const struct safetensor *tensor);

#endif /* LLMOS_MODEL_HUB_INTERNAL_H */
