/* SPDX-License-Identifier: MIT */
/* Opens the file or folder that an adapter comes as; see lora.h. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "model/lora_internal.h"

void lora_file_close(struct lora_file *file)
{
	gguf_free(file->gguf);
	free(file->scales);
	*file = (struct lora_file){ 0 };
}

static int check_key(const struct gguf *gguf, const char *key, const char *want,
		     struct error *error)
{
	struct gguf_string have = { .data = "" };
	int r = gguf_get_string(gguf, key, &have);

	if (r >= 0 && gguf_string_is(have, want))
		return 0;
	return error_set(error, -EOPNOTSUPP, "adapter: '%s' is '%s', not '%s'", key,
			 gguf_show(have).text, want);
}

int lora_file_check(struct lora_file *ret, const char *arch, struct error *error)
{
	int r = check_key(ret->gguf, "general.type", "adapter", error);

	if (r >= 0)
		r = check_key(ret->gguf, "adapter.type", "lora", error);
	if (r >= 0 && arch)
		r = check_key(ret->gguf, "general.architecture", arch, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < gguf_key_count(ret->gguf); i++) {
		char key[64], value[8];

		if (gguf_key_print(ret->gguf, i, key, sizeof(key), value, sizeof(value)) >= 0 &&
		    !strncmp(key, "adapter.alora.", 14))
			return error_set(error, -EOPNOTSUPP,
					 "adapter: '%s': adapters that begin within a text are not supported",
					 key);
	}
	/* converters have reordered what they reorder in the model */
	ret->is_neox = arch && strcmp(arch, "llama") && strcmp(arch, "smollm3");
	return 0;
}

int lora_file_open(struct lora_file *ret, const char *path, const char *arch, struct error *error)
{
	struct stat st;
	int r;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return lora_peft_open(ret, path, arch, error);
	r = gguf_open_read(&ret->gguf, path, error);
	return r < 0 ? r : lora_file_check(ret, arch, error);
}

int lora_open(struct lora **ret, const char *path, const struct model *model, struct error *error)
{
	_cleanup_(lora_file_close) struct lora_file file = { 0 };
	int r = lora_file_open(&file, path, model->hparams.arch, error);

	return r < 0 ? r : lora_bind(ret, &file, model, error);
}

static bool is_a(struct gguf_string name)
{
	const size_t len = strlen(LORA_SUFFIX_A);

	return name.len > len && !memcmp(name.data + name.len - len, LORA_SUFFIX_A, len);
}

void lora_file_info(const struct lora_file *file, struct lora_info *ret)
{
	uint64_t elems[KERN_TYPE_COUNT] = { 0 };
	struct gguf_string arch;
	uint32_t most = 0;

	*ret = (struct lora_info){ 0 };
	if (gguf_get_string(file->gguf, "general.architecture", &arch) >= 0)
		snprintf(ret->arch, sizeof(ret->arch), "%.31s", gguf_show(arch).text);
	for (size_t i = 0; i < gguf_tensor_count(file->gguf); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(file->gguf, i);
		const struct kern_type_info *info = kern_type_info(t->type);

		if (!info)
			continue;
		elems[t->type] += t->size_bytes / info->block_bytes * info->block_elems;
		if (is_a(t->name) && t->dims[1] <= LORA_RANK_MAX)
			ret->rank = MAX(ret->rank, (uint32_t)t->dims[1]);
	}
	for (uint32_t type = 0; type < KERN_TYPE_COUNT; type++) {
		ret->parameters += elems[type];
		if (elems[type] > elems[most])
			most = type;
	}
	snprintf(ret->weights, sizeof(ret->weights), "%s", kern_type_info(most)->name);
}

int lora_read_info(struct lora_info *ret, const char *path, struct error *error)
{
	_cleanup_(lora_file_close) struct lora_file file = { 0 };
	int r = lora_file_open(&file, path, NULL, error);

	if (r >= 0)
		lora_file_info(&file, ret);
	return r;
}

int lora_read_keys(struct gguf **ret, const char *path, struct error *error)
{
	_cleanup_(lora_file_close) struct lora_file file = { 0 };
	int r = lora_file_open(&file, path, NULL, error);

	if (r >= 0)
		*ret = steal_ptr(file.gguf);
	return r;
}
