/* SPDX-License-Identifier: MIT */
/*
 * What sentence-transformers keeps beside a model: modules.json says through which modules a text
 * passes, a folder of its own how tokens become one vector, sentence_bert_config.json how long a
 * text may be. Modules that compute anything else are refused: without them vectors would be wrong.
 */
#ifndef LLMOS_MODEL_HUB_MODULES_H
#define LLMOS_MODEL_HUB_MODULES_H

#include "model/json.h"

#define HUB_MODULES	"modules.json"

/**
 * struct hub_score - which words a decoder that ranks would answer with
 * @is_said: there is such a module
 * @has_no_other: the logit of @yes counts by itself
 * @yes, @no: tokens
 */
struct hub_score {
	bool is_said;
	bool has_no_other;
	uint32_t yes, no;
};

/**
 * struct hub_modules - what was read
 * @pooling: enum model_pooling; MODEL_POOL_NONE: nothing says so
 * @context_max: tokens of a text; 0: nothing bounds them
 * @score: of a decoder that ranks
 * @activation: what becomes of a score, by the name of its class; "": nothing says so
 * @lowercases: the tokenizer must do so
 */
struct hub_modules {
	uint32_t pooling;
	uint32_t context_max;
	struct hub_score score;
	char activation[64];
	bool lowercases;
};

/**
 * hub_modules_load() - all that a folder has of it, which may be nothing
 *
 * Return: 0; -EBADMSG a file is broken, -EOPNOTSUPP a module or a pooling that is not supported; as
 * json_read().
 */
int hub_modules_load(struct hub_modules *ret, const char *folder, struct error *error);

/* its parts, for tests and fuzzing */

/** struct hub_module_paths - folders of modules with settings, NULL: there is no such module */
struct hub_module_paths {
	const char *pooling;
	const char *score;
};

/** hub_modules_read() - modules.json; the folders' names are its */
int hub_modules_read(const json_t *json, struct hub_module_paths *ret, struct error *error);
/**
 * hub_activation_class() - what becomes of a score, by the name of its class without where it is;
 * NULL: @json says nothing, or has code that is not torch's, which nobody runs unasked
 */
const char *hub_activation_class(const json_t *json);
/** hub_activation_read() - the same, out of the settings of a whole model: whatever they are */
void hub_activation_read(struct hub_modules *m, const json_t *settings);
/** hub_score_read() - the settings of a LogitScore */
int hub_score_read(const json_t *json, struct hub_score *ret, struct error *error);
/** hub_pooling_read() - the pooling's own config.json */
int hub_pooling_read(const json_t *json, uint32_t *ret, struct error *error);
/** hub_sentence_read() - sentence_bert_config.json; where it has no length, the tokenizer's */
int hub_sentence_read(struct hub_modules *m, const json_t *sentence, const json_t *tokenizer,
		      struct error *error);

#endif /* LLMOS_MODEL_HUB_MODULES_H */
