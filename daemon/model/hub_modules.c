/* SPDX-License-Identifier: MIT */
/* What sentence-transformers keeps beside a model; see hub_modules.h. */
#include "model/hub_modules.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "model/model.h"

#define HUB_SENTENCE	"sentence_bert_config.json"	/* whatever the model is, today */
#define HUB_SETTINGS	"config_sentence_transformers.json"
#define MODULE_CONFIG	"config.json"

/* ---- modules.json ---- */

/* a class by its last name: where its file is has changed between versions */
static const char *class_of(const json_t *module)
{
	const char *type = json_string_value(json_object_get(module, "type"));
	const char *dot = type ? strrchr(type, '.') : NULL;

	return dot ? dot + 1 : type ?: "";
}

/* a folder in this one */
static bool is_folder_name(const char *path)
{
	return path && *path && *path != '.' && !strchr(path, '/') && strlen(path) <= NAME_MAX;
}

static int refuse_module(const json_t *module, struct error *error)
{
	return error_set(error, -EOPNOTSUPP, HUB_MODULES ": module '%s' is not supported here",
			 json_show(json_object_get(module, "type")).text);
}

/* the folder of a module */
static int read_path(const json_t *module, const char **ret, struct error *error)
{
	const json_t *path = json_object_get(module, "path");

	*ret = json_string_value(path);
	return is_folder_name(*ret) ? 0 : error_set(error, -EBADMSG,
						    HUB_MODULES ": '%s' is no folder",
						    json_show(path).text);
}

int hub_modules_read(const json_t *json, struct hub_module_paths *ret, struct error *error)
{
	struct hub_module_paths paths = { 0 };
	bool is_normal = false;
	int r = 0;

	if (!json_array_size(json))
		return error_set(error, -EBADMSG, HUB_MODULES ": there are no modules");
	for (size_t i = 0; i < json_array_size(json) && r >= 0; i++) {
		const json_t *module = json_array_get(json, i);
		const bool is_first = !paths.pooling && !paths.score && !is_normal;
		const char *class = class_of(module);

		if (!i && !strcmp(class, "Transformer")) {
			/* the files of the model are those of this folder */
			if (!json_is(json_object_get(module, "path"), ""))
				return refuse_module(module, error);
		} else if (i && is_first && !strcmp(class, "Pooling")) {
			r = read_path(module, &paths.pooling, error);
		} else if (i && is_first && !strcmp(class, "LogitScore")) {
			r = read_path(module, &paths.score, error);
		} else if (i && paths.pooling && !strcmp(class, "Normalize")) {
			/* vectors are, unless a request wants them raw */
			is_normal = true;
		} else {
			return refuse_module(module, error);
		}
	}
	if (r >= 0)
		*ret = paths;
	return r;
}

/* ---- scores ---- */

const char *hub_activation_class(const json_t *json)
{
	static const char trusted[] = "torch.";
	const char *name = json_string_value(json);

	return name && !strncmp(name, trusted, strlen(trusted)) ? strrchr(name, '.') + 1 : NULL;
}

void hub_activation_read(struct hub_modules *m, const json_t *settings)
{
	const char *name = NULL;

	if (json_is(json_object_get(settings, "model_type"), "CrossEncoder"))
		name = hub_activation_class(json_object_get(settings, "activation_fn"));
	snprintf(m->activation, sizeof(m->activation), "%s", name ?: "");
}

int hub_score_read(const json_t *json, struct hub_score *ret, struct error *error)
{
	const json_t *yes = json_object_get(json, "true_token_id");
	const json_t *no = json_object_get(json, "false_token_id");
	struct hub_score score = { .is_said = true, .has_no_other = !no || json_is_null(no) };

	if (json_get_u32(yes, &score.yes) < 0 ||
	    (!score.has_no_other && json_get_u32(no, &score.no) < 0))
		return error_set(error, -EBADMSG, "a token to rank by is no number");
	*ret = score;
	return 0;
}

/* ---- pooling ---- */

/* by both names: that of later writers, and of a switch that earlier ones had for each */
static const struct {
	const char *name, *key;
	uint32_t pooling;		/* MODEL_POOL_NONE: not supported */
} modes[] = {
	{ "cls", "pooling_mode_cls_token", MODEL_POOL_FIRST },
	{ "mean", "pooling_mode_mean_tokens", MODEL_POOL_MEAN },
	{ "lasttoken", "pooling_mode_lasttoken", MODEL_POOL_LAST },
	{ "max", "pooling_mode_max_tokens", MODEL_POOL_NONE },
	{ "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", MODEL_POOL_NONE },
	{ "weightedmean", "pooling_mode_weightedmean_tokens", MODEL_POOL_NONE },
};

static int refuse_pooling(const char *name, struct error *error)
{
	return error_set(error, -EOPNOTSUPP, "pooling '%s' is not supported", name);
}

static int read_mode(const json_t *mode, uint32_t *ret, struct error *error)
{
	if (json_array_size(mode) == 1)
		mode = json_array_get(mode, 0);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!json_is(mode, modes[i].name))
			continue;
		*ret = modes[i].pooling;
		return *ret ? 0 : refuse_pooling(modes[i].name, error);
	}
	return refuse_pooling(json_is_array(mode) ? "of several kinds" : json_show(mode).text,
			      error);
}

int hub_pooling_read(const json_t *json, uint32_t *ret, struct error *error)
{
	const json_t *mode = json_object_get(json, "pooling_mode");
	const char *found = NULL;

	if (!json_is_object(json))
		return error_set(error, -EBADMSG, "pooling: not an object");
	if (mode)
		return read_mode(mode, ret, error);
	*ret = MODEL_POOL_MEAN;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!json_is_true(json_object_get(json, modes[i].key)))
			continue;
		if (found)
			return refuse_pooling("of several kinds", error);
		found = modes[i].name;
		*ret = modes[i].pooling;
	}
	return *ret ? 0 : refuse_pooling(found, error);
}

/* ---- the length of a text ---- */

int hub_sentence_read(struct hub_modules *m, const json_t *sentence, const json_t *tokenizer,
		      struct error *error)
{
	const json_t *max = json_object_get(sentence, "max_seq_length");
	uint64_t tokens;

	m->lowercases = json_is_true(json_object_get(sentence, "do_lower_case"));
	if (max && !json_is_null(max)) {
		if (json_get_u32(max, &m->context_max) < 0 || !m->context_max)
			return error_set(error, -EBADMSG,
					 HUB_SENTENCE ": 'max_seq_length' is no number in range");
		return 0;
	}
	/* where it has none, writers put a number with thirty digits */
	max = json_object_get(tokenizer, "model_max_length");
	if (!json_get_u64(max, &tokens) && tokens && tokens <= UINT32_MAX)
		m->context_max = (uint32_t)tokens;
	return 0;
}

/* ---- the folder ---- */

/* *ret stays NULL where there is no such file */
static int read_optional(json_t **ret, const char *folder, const char *file, struct error *error)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
		return error_set(error, -ENAMETOOLONG, "'%s': %s", file, strerror(ENAMETOOLONG));
	if (stat(path, &st) < 0 && errno == ENOENT)
		return 0;
	return json_read(ret, folder, file, JSON_CONFIG_MAX, error);
}

/* settings of a module, from the folder @name */
static int read_settings(json_t **ret, const char *folder, const char *name, struct error *error)
{
	char file[NAME_MAX + sizeof(MODULE_CONFIG) + 1];

	snprintf(file, sizeof(file), "%s/" MODULE_CONFIG, name);
	return json_read(ret, folder, file, JSON_CONFIG_MAX, error);
}

static int refuse_settings(const char *name, int r, const struct error *why, struct error *error)
{
	return error_set(error, r, "'%s/" MODULE_CONFIG "': %s",
			 gguf_show((struct gguf_string){ name, strlen(name) }).text, why->text);
}

enum module_kind { MODULE_POOLING, MODULE_SCORE };

/* load_module() - what the folder of a module says; @name NULL: there is no such module */
static int load_module(struct hub_modules *m, enum module_kind kind, const char *folder,
		       const char *name, struct error *error)
{
	_cleanup_json_ json_t *json = NULL;
	struct error why = { "" };
	int r = name ? read_settings(&json, folder, name, error) : 0;

	if (r < 0 || !name)
		return r;
	r = kind == MODULE_SCORE ? hub_score_read(json, &m->score, &why) :
				   hub_pooling_read(json, &m->pooling, &why);
	return r < 0 ? refuse_settings(name, r, &why, error) : 0;
}

/* and by the name of the architecture, before that */
static const char *const sentence_files[] = {
	HUB_SENTENCE, "sentence_roberta_config.json",
};

int hub_modules_load(struct hub_modules *ret, const char *folder, struct error *error)
{
	_cleanup_json_ json_t *json = NULL, *sentence = NULL, *tokenizer = NULL, *settings = NULL;
	struct hub_module_paths paths = { 0 };
	int r;

	*ret = (struct hub_modules){ 0 };
	r = read_optional(&json, folder, HUB_MODULES, error);
	if (r < 0 || !json)
		return r;
	r = read_optional(&settings, folder, HUB_SETTINGS, error);
	if (r < 0)
		return r;
	hub_activation_read(ret, settings);
	r = hub_modules_read(json, &paths, error);
	if (r >= 0)
		r = load_module(ret, MODULE_POOLING, folder, paths.pooling, error);
	if (r >= 0)
		r = load_module(ret, MODULE_SCORE, folder, paths.score, error);
	for (size_t i = 0; r >= 0 && !sentence && i < ARRAY_SIZE(sentence_files); i++)
		r = read_optional(&sentence, folder, sentence_files[i], error);
	if (r >= 0)
		r = read_optional(&tokenizer, folder, "tokenizer_config.json", error);
	return r < 0 ? r : hub_sentence_read(ret, sentence, tokenizer, error);
}
