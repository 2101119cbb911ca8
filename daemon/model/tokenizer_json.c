/* SPDX-License-Identifier: MIT */
/* Reading a hub's tokenizer; see tokenizer_json.h. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mapped.h"
#include "model/tokenizer_json_internal.h"

#define CHAT_FILE	"chat_template.jinja"
#define CHAT_MAX	(1U << 20)	/* bytes */

void tokenizer_files_done(struct tokenizer_files *files)
{
	json_decref(files->tokenizer);
	json_decref(files->settings);
	json_decref(files->specials);
	json_decref(files->generation);
	free(files->chat);
	*files = (struct tokenizer_files){ 0 };
}

static int path_of(char *path, size_t size, const char *folder, const char *file,
		   struct error *error)
{
	if (snprintf(path, size, "%s/%s", folder, file) < (int)size)
		return 0;
	return error_set(error, -ENAMETOOLONG, "'%s': %s", file, strerror(ENAMETOOLONG));
}

/* *ret stays NULL where there is no such file */
static int read_optional(json_t **ret, const char *folder, const char *file, size_t max,
			 struct error *error)
{
	char path[PATH_MAX];
	struct stat st;
	int r = path_of(path, sizeof(path), folder, file, error);

	if (r < 0 || (stat(path, &st) < 0 && errno == ENOENT))
		return r;
	return json_read(ret, folder, file, max, error);
}

static int read_chat(struct tokenizer_files *files, const char *folder, struct error *error)
{
	struct mapped mapped = { 0 };
	char path[PATH_MAX];
	struct stat st;
	int r = path_of(path, sizeof(path), folder, CHAT_FILE, error);

	if (r < 0 || (stat(path, &st) < 0 && errno == ENOENT))
		return r;
	r = mapped_read_all(&mapped, path, CHAT_MAX, error);
	if (r < 0)
		return r;
	files->chat = malloc(mapped.size_bytes);
	if (files->chat)
		memcpy(files->chat, mapped.data, mapped.size_bytes);
	else
		r = error_set(error, -ENOMEM, "'" CHAT_FILE "': %s", strerror(ENOMEM));
	files->chat_len = mapped.size_bytes;
	mapped_close(&mapped);
	return r;
}

int tokenizer_files_read(struct tokenizer_files *files, const char *folder, const json_t *config,
			 struct error *error)
{
	int r;

	*files = (struct tokenizer_files){ .config = config };
	r = json_read(&files->tokenizer, folder, TOKENIZER_JSON, TOKENIZER_JSON_MAX, error);
	if (r >= 0)
		r = read_optional(&files->settings, folder, "tokenizer_config.json",
				  JSON_CONFIG_MAX, error);
	if (r >= 0)
		r = read_optional(&files->specials, folder, "special_tokens_map.json",
				  JSON_CONFIG_MAX, error);
	if (r >= 0)
		r = read_optional(&files->generation, folder, "generation_config.json",
				  JSON_CONFIG_MAX, error);
	return r < 0 ? r : read_chat(files, folder, error);
}

int reader_added(struct reader *r, int e)
{
	return e < 0 ? error_set(r->error, e, TOKENIZER_JSON ": %s", strerror(-e)) : 0;
}

static int load(struct reader *r)
{
	int e = tokenizer_kind_find(r);

	if (e >= 0)
		e = tokenizer_vocab_load(r);
	return e < 0 ? e : tokenizer_ids_load(r);
}

int tokenizer_json_load(struct gguf *gguf, const struct tokenizer_files *files, uint32_t n_vocab,
			struct error *error)
{
	struct reader r = {
		.gguf = gguf, .files = files, .n_vocab = n_vocab, .is_padded = n_vocab > 0,
		.bos = TABLE_NONE, .eos = TABLE_NONE, .sep = TABLE_NONE, .unk = TABLE_NONE,
		.model = json_object_get(files->tokenizer, "model"), .error = error,
	};
	int e;

	if (!json_is_object(r.model))
		return error_set(error, -EBADMSG, TOKENIZER_JSON ": 'model' is missing");
	e = load(&r);
	table_free(&r.ids);
	return e;
}
