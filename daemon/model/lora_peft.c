/* SPDX-License-Identifier: MIT */
/*
 * Reads a folder that PEFT wrote, as the GGUF file that the same adapter would be. What changes the
 * arithmetic beyond B (A x) is refused by its name. Ranks are what the tensors say; their scales are
 * made of the settings.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model/gguf_build.h"
#include "model/hub_internal.h"
#include "model/lora_internal.h"

#define PREFIX	"base_model.model."
#define TAIL_A	".lora_A.weight"
#define TAIL_B	".lora_B.weight"

static struct gguf_shown show(const char *text)
{
	return gguf_show((struct gguf_string){ text, strlen(text) });
}

/* ---- settings ---- */

static int refuse(const char *key, struct error *error)
{
	return error_set(error, -EOPNOTSUPP, LORA_CONFIG ": '%s' is not supported as it is set",
			 key);
}

/* is it missing, null, false, or empty? */
static bool is_off(const json_t *json)
{
	return !json || json_is_null(json) || json_is_false(json) ||
	       (json_is_array(json) && !json_array_size(json)) ||
	       (json_is_object(json) && !json_object_size(json));
}

static int check_off(const json_t *json, struct error *error)
{
	static const char *const keys[] = {
		"modules_to_save", "trainable_token_indices", "layer_replication", "lora_bias",
		"alora_invocation_tokens", "target_parameters", "arrow_config", "velora_config",
		"monteclora_config", "kasa_config",
	};
	const char *key;
	json_t *value;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!is_off(json_object_get(json, keys[i])))
			return refuse(keys[i], error);
	/* variants are used by keys of such names, also those that are yet to come */
	json_object_foreach((json_t *)json, key, value)
		if (!strncmp(key, "use_", 4) && strcmp(key, "use_rslora") && !is_off(value))
			return refuse(show(key).text, error);
	return 0;
}

/* these begin with a change of the model's own weights, which are not what the adapter is for */
static int check_init(const json_t *json, struct error *error)
{
	static const char *const changing[] = { "pissa", "olora", "corda", "loftq", "lora_ga" };
	const char *init = json_string_value(json_object_get(json, "init_lora_weights"));

	for (size_t i = 0; init && i < ARRAY_SIZE(changing); i++)
		if (!strncasecmp(init, changing[i], strlen(changing[i])))
			return refuse("init_lora_weights", error);
	return 0;
}

int lora_peft_config(struct lora_peft *ret, const json_t *json, struct error *error)
{
	const json_t *alpha = json_object_get(json, "lora_alpha");
	const json_t *type = json_object_get(json, "peft_type");
	const json_t *bias = json_object_get(json, "bias");
	int r;

	if (!json_is_object(json))
		return error_set(error, -EBADMSG, LORA_CONFIG ": it is not an object");
	if (!json_is(type, "LORA"))
		return error_set(error, -EOPNOTSUPP, LORA_CONFIG ": 'peft_type' is '%s', not 'LORA'",
				 json_show(type).text);
	if (bias && !json_is(bias, "none"))
		return refuse("bias", error);
	r = check_off(json, error);
	if (r >= 0)
		r = check_init(json, error);
	if (r < 0)
		return r;
	*ret = (struct lora_peft){
		.json = json, .alpha = 8, .is_root = json_is_true(json_object_get(json, "use_rslora")),
	};
	if (alpha && !json_is_real(alpha))
		return error_set(error, -EBADMSG, LORA_CONFIG ": 'lora_alpha' is no number");
	if (alpha)
		ret->alpha = json_real_value(alpha);
	return 0;
}

/*
 * Keys of a pattern are regular expressions that stand for the end of a module's name, from a dot on.
 * Nearly all are names, and only those are taken: a dot is a dot.
 */
static bool is_name(const char *key)
{
	return *key && key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_.")] == '\0';
}

static bool is_end_of(const char *module, const char *key)
{
	const size_t len = strlen(module), n = strlen(key);

	return n <= len && !strcmp(module + len - n, key) &&
	       (n == len || module[len - n - 1] == '.');
}

int lora_peft_alpha(const struct lora_peft *peft, const char *module, double *ret,
		    struct error *error)
{
	const json_t *pattern = json_object_get(peft->json, "alpha_pattern");
	const char *key;
	json_t *value;

	*ret = peft->alpha;
	json_object_foreach((json_t *)pattern, key, value) {
		if (!is_name(key))
			return error_set(error, -EOPNOTSUPP,
					 LORA_CONFIG ": 'alpha_pattern': '%s' is not a module's name",
					 show(key).text);
		if (!is_end_of(module, key))
			continue;
		if (!json_is_real(value))
			return error_set(error, -EBADMSG,
					 LORA_CONFIG ": 'alpha_pattern': '%s' is no number",
					 show(key).text);
		*ret = json_real_value(value);
		return 0;
	}
	return 0;
}

/* ---- tensors ---- */

/* module_of() - the module's name; false: it is neither half of a pair */
static bool module_of(const char *name, char *module, size_t size, bool *is_a)
{
	const size_t len = strlen(name), prefix = strlen(PREFIX), tail = strlen(TAIL_A);

	if (len <= prefix + tail || strncmp(name, PREFIX, prefix))
		return false;
	*is_a = !strcmp(name + len - tail, TAIL_A);
	if (!*is_a && strcmp(name + len - tail, TAIL_B))
		return false;
	return snprintf(module, size, "%.*s", (int)(len - prefix - tail), name + prefix) < (int)size;
}

/*
 * A copy of weights of the model, which PEFT adds where the output is adapted. They are not trained,
 * and if there were others than the model has, the adapter's own shapes would not fit either.
 */
static bool is_base(const char *name)
{
	static const char tail[] = ".base_layer.weight";
	const size_t len = strlen(name);

	return len > strlen(tail) && !strncmp(name, PREFIX, strlen(PREFIX)) &&
	       !strcmp(name + len - strlen(tail), tail);
}

static int check_tensor(const struct safetensor *t, struct error *error)
{
	if (t->type < 0)
		return error_set(error, -EOPNOTSUPP,
				 "adapter: tensor '%s' is %s: only F32, F16 and BF16 are supported",
				 show(t->name).text, t->dtype);
	if (t->n_dims != 2 || !t->size_bytes)
		return error_set(error, -EBADMSG, "adapter: tensor '%s' is no matrix",
				 show(t->name).text);
	return 0;
}

static int add_tensor(struct gguf *gguf, const char *name, const struct safetensor *t,
		      struct error *error)
{
	const uint64_t dims[] = { t->shape[1], t->shape[0] };
	/* at any byte: who wants it copies it */
	int r = gguf_add_tensor(gguf, name, (uint32_t)t->type, 2, dims, t->data);

	if (r < 0)
		return error_set(error, r == -ENOMEM ? r : -EBADMSG, "adapter: tensor '%s': %s",
				 show(t->name).text, strerror(-r));
	return 0;
}

static int scale_of(const struct lora_peft *peft, const char *module, const struct safetensor *a,
		    float *ret, struct error *error)
{
	const double rank = (double)a->shape[0];
	double alpha;
	int r = lora_peft_alpha(peft, module, &alpha, error);

	if (r >= 0)
		*ret = (float)(alpha / (peft->is_root ? sqrt(rank) : rank));
	return r;
}

static int take_tensor(struct lora_file *file, const struct lora_peft *peft,
		       const struct safetensor *t, const char *arch, struct error *error)
{
	char module[256], matrix[256], name[256 + 16];
	const char *text;
	bool is_a;
	int r;

	if (is_base(t->name))
		return 0;
	if (!module_of(t->name, module, sizeof(module), &is_a))
		return error_set(error, -EOPNOTSUPP,
				 "adapter: tensor '%s' is no part of a LoRA of a matrix, which is not supported",
				 show(t->name).text);
	r = check_tensor(t, error);
	if (r < 0)
		return r;
	snprintf(matrix, sizeof(matrix), "%s", module);
	/* of a model that also sees, the text half alone is there */
	text = hub_compound_name(module);
	if (arch && (!text || hub_module_map(arch, text, matrix, sizeof(matrix)) < 0))
		return error_set(error, -EBADMSG,
				 "adapter: tensor '%s' is of a module that the model does not have",
				 show(t->name).text);
	snprintf(name, sizeof(name), "%s%s", matrix, is_a ? LORA_SUFFIX_A : LORA_SUFFIX_B);
	if (is_a)
		r = scale_of(peft, module, t, &file->scales[gguf_tensor_count(file->gguf)], error);
	return r < 0 ? r : add_tensor(file->gguf, name, t, error);
}

int lora_peft_tensors(struct lora_file *file, const struct lora_peft *peft,
		      const struct safetensors *tensors, const char *arch, struct error *error)
{
	int r = 0;

	file->is_neox = true;
	file->scales = calloc(safetensors_count(tensors) + 1, sizeof(*file->scales));
	if (!file->scales)
		return error_set(error, -ENOMEM, "adapter: %s", strerror(ENOMEM));
	for (size_t i = 0; i < safetensors_count(tensors) && r >= 0; i++)
		r = take_tensor(file, peft, safetensors_at(tensors, i), arch, error);
	return r;
}

/* ---- the folder ---- */

static int open_weights(struct lora_file *file, const struct lora_peft *peft, const char *folder,
			const char *arch, struct error *error)
{
	_cleanup_(safetensors_freep) struct safetensors *tensors = NULL;
	struct mapped mapped;
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/" LORA_WEIGHTS, folder) >= (int)sizeof(path))
		return error_set(error, -ENAMETOOLONG, "'%s': %s", folder, strerror(ENAMETOOLONG));
	r = safetensors_open_read(&tensors, path, error);
	if (r >= 0)
		r = lora_peft_tensors(file, peft, tensors, arch, error);
	if (r < 0)
		return r;
	mapped = safetensors_steal(tensors);
	r = gguf_adopt(file->gguf, &mapped);
	return r < 0 ? error_set(error, r, "adapter: %s", strerror(-r)) : 0;
}

/* add_keys() - settings as the keys of a GGUF file, for who shows them; the scales are known */
static int add_keys(struct gguf *gguf, const struct lora_peft *peft, struct error *error)
{
	const json_t *base = json_object_get(peft->json, "base_model_name_or_path");
	int r;

	r = gguf_add_string(gguf, "general.type", "adapter", 7);
	if (r >= 0 && json_is_string(base))
		r = gguf_add_string(gguf, "general.base_model.0.name", json_string_value(base),
				    json_string_length(base));
	if (r >= 0)
		r = gguf_add_string(gguf, "adapter.type", "lora", 4);
	if (r >= 0)
		r = gguf_add_f32(gguf, "adapter.lora.alpha", (float)peft->alpha);
	if (r >= 0)
		r = gguf_add_bool(gguf, "adapter.lora.rank_stabilized", peft->is_root);
	return r < 0 ? error_set(error, r, "adapter: %s", strerror(-r)) : 0;
}

int lora_peft_open(struct lora_file *ret, const char *folder, const char *arch,
		   struct error *error)
{
	_cleanup_json_ json_t *json = NULL;
	struct lora_peft peft;
	int r;

	r = gguf_new(&ret->gguf);
	if (r < 0)
		return error_set(error, r, "adapter: %s", strerror(-r));
	r = json_read(&json, folder, LORA_CONFIG, JSON_CONFIG_MAX, error);
	if (r >= 0)
		r = lora_peft_config(&peft, json, error);
	if (r >= 0)
		r = add_keys(ret->gguf, &peft, error);
	return r < 0 ? r : open_weights(ret, &peft, folder, arch, error);
}
