/* SPDX-License-Identifier: MIT */
/*
 * What models there are. The array returned owns the infos and keys that its strings lie in.
 */
#include <errno.h>
#include <string.h>

#include "request.h"

/* bounds on what a broken server can make us hold */
#define MODELS_MAX	4096U
#define META_MAX	65536U
#define META_BYTES_MAX	(16U * 1024 * 1024)

/**
 * struct model_entry - where the strings of one model lie
 * @info: as it came
 * @keys: of its file
 * @values: of those keys
 * @count: number of them
 */
struct model_entry {
	struct llm_model_info info;
	char **keys;
	char **values;
	size_t count;
};

struct model_list {
	struct llmos_models models;
	struct model_entry **entries;	/* as many as models.count */
	size_t meta_bytes;
};

static void model_entry_free(struct model_entry *entry)
{
	size_t i;

	for (i = 0; i < entry->count; i++) {
		free(entry->keys[i]);
		free(entry->values[i]);
	}
	free(entry->keys);
	free(entry->values);
	free(entry);
}

void llmos_models_free(struct llmos_models *models)
{
	struct model_list *list;
	size_t i;

	if (!models)
		return;
	list = llmos_container(models, struct model_list, models);
	for (i = 0; i < models->count; i++)
		model_entry_free(list->entries[i]);
	free(list->entries);
	free(models->models);
	free(list);
}

static void model_fill(struct llmos_model *model, const struct llm_model_info *info)
{
	*model = (struct llmos_model){
		.name = info->name,
		.arch = info->arch,
		.weights = info->weights,
		.tokenizer = info->tokenizer,
		.chat = info->chat,
		.error = info->error,
		.loaded = info->flags & LLM_MODEL_LOADED,
		.is_default = info->flags & LLM_MODEL_DEFAULT,
		.is_adapter = info->flags & LLM_MODEL_ADAPTER,
		.has_labels = info->flags & LLM_MODEL_LABELS,
		.makes_no_text = info->flags & LLM_MODEL_ENCODER,
		.parameters = info->parameters,
		.file_bytes = info->file_bytes,
		.memory_bytes = info->memory_bytes,
		.context = info->context,
		.context_used = info->context_used,
		.layers = info->layers,
		.width = info->width,
		.heads = info->heads,
		.kv_heads = info->kv_heads,
		.ff_width = info->ff_width,
		.vocab = info->vocab,
		.labels = info->labels,
	};
}

static int model_list_add(struct model_list *list, const uint8_t *body, size_t len)
{
	size_t count = list->models.count;
	struct model_entry **entries;
	struct model_entry *entry;
	struct llmos_model *models;
	int r;

	if (count >= MODELS_MAX)
		return -EMSGSIZE;
	entries = reallocarray(list->entries, count + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	list->entries = entries;
	models = reallocarray(list->models.models, count + 1, sizeof(*models));
	if (!models)
		return -ENOMEM;
	list->models.models = models;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	r = llmos_record_model(body, len, &entry->info);
	if (r < 0) {
		free(entry);
		return r;
	}
	/* a broken model always says so */
	if (entry->info.flags & LLM_MODEL_BROKEN && !*entry->info.error)
		strcpy(entry->info.error, "broken");
	entries[count] = entry;
	model_fill(&models[count], &entry->info);
	list->models.count++;
	return 0;
}

static int model_entry_room(struct model_entry *entry)
{
	char **grown;

	/* powers of two: full exactly when the count is one */
	if (entry->count & (entry->count - 1))
		return 0;
	grown = reallocarray(entry->keys, entry->count ? entry->count * 2 : 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	entry->keys = grown;
	grown = reallocarray(entry->values, entry->count ? entry->count * 2 : 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	entry->values = grown;
	return 0;
}

static int model_list_add_meta(struct model_list *list, const uint8_t *body, size_t len)
{
	_cleanup_free_ char *key = NULL, *value = NULL;
	size_t key_len, value_len;
	struct model_entry *entry;
	const char *k, *v;
	int r;

	r = llmos_record_meta(body, len, &k, &key_len, &v, &value_len);
	if (r < 0)
		return r;
	if (!list->models.count)
		return -EPROTO;
	entry = list->entries[list->models.count - 1];
	if (entry->count >= META_MAX || len > META_BYTES_MAX - list->meta_bytes)
		return -EMSGSIZE;
	r = model_entry_room(entry);
	if (r < 0)
		return r;
	key = strndup(k, key_len);
	value = strndup(v, value_len);
	if (!key || !value)
		return -ENOMEM;
	list->meta_bytes += len;
	entry->keys[entry->count] = key;
	entry->values[entry->count++] = value;
	key = NULL;
	value = NULL;
	return 0;
}

static int models_sink(struct llmos_request *request, unsigned int type, const uint8_t *body,
		       size_t len)
{
	switch (type) {
	case LLM_RECORD_MODEL:
		return model_list_add(request->sink_data, body, len);
	case LLM_RECORD_META:
		return model_list_add_meta(request->sink_data, body, len);
	default:
		return 0;
	}
}

static void model_list_settle(struct model_list *list)
{
	size_t i;

	for (i = 0; i < list->models.count; i++) {
		struct llmos_model *model = &list->models.models[i];
		struct model_entry *entry = list->entries[i];

		model->meta_count = entry->count;
		model->meta_keys = (const char *const *)entry->keys;
		model->meta_values = (const char *const *)entry->values;
	}
}

static int models_run(struct llmos *llmos, struct llmos_models **ret, const struct llmos_spec *spec)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	_cleanup_(llmos_models_freep) struct llmos_models *models = NULL;
	struct model_list *list = calloc(1, sizeof(*list));
	int r;

	if (!list)
		return llmos_fail(llmos, -ENOMEM, "models");
	models = &list->models;
	r = llmos_request_new(llmos, &request, spec, models_sink, list);
	if (r < 0)
		return r;
	r = llmos_request_run(request);
	if (r < 0)
		return r;
	model_list_settle(list);
	*ret = models;
	models = NULL;
	return 0;
}

int llmos_models(struct llmos *llmos, struct llmos_models **ret)
{
	struct llmos_spec spec = { .op = LLM_OP_MODELS };

	return models_run(llmos, ret, &spec);
}

int llmos_show(struct llmos *llmos, struct llmos_models **ret, const char *model)
{
	_cleanup_(llmos_models_freep) struct llmos_models *models = NULL;
	struct llmos_spec spec = { .op = LLM_OP_SHOW, .model = model };
	int r;

	r = models_run(llmos, &models, &spec);
	if (r < 0)
		return r;
	if (models->count != 1)
		return llmos_fail(llmos, -EPROTO, "'%zu' models shown instead of one",
				  models->count);
	*ret = models;
	models = NULL;
	return 0;
}
