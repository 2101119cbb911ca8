/* SPDX-License-Identifier: MIT */
/* Opening a hub's folder: its settings, its files of weights, its tokenizer; see hub.h. */
#include "model/hub.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/table.h"
#include "model/hub_internal.h"
#include "model/hub_modules.h"
#include "model/hub_ranker.h"
#include "model/tokenizer_json.h"

#define INDEX_MAX	(64U << 20)	/* bytes */
#define SHARDS_MAX	1024
#define HEADERS_MAX	(64U << 20)	/* bytes of all shards' headers: they stay while all are read */

/** struct shards - the files of weights, open while their tensors are being added */
struct shards {
	struct safetensors *files[SHARDS_MAX];
	struct stat stats[SHARDS_MAX];
	size_t count;
	size_t header_bytes;
	struct table table;		/* name to index; the names are the index's */
};

static void shards_close(struct shards **shards)
{
	for (size_t i = 0; *shards && i < (*shards)->count; i++)
		safetensors_free((*shards)->files[i]);
	if (*shards)
		table_free(&(*shards)->table);
	free(*shards);
}

static bool file_exists(const char *folder, const char *file)
{
	char path[PATH_MAX];
	struct stat st;

	return snprintf(path, sizeof(path), "%s/%s", folder, file) < (int)sizeof(path) &&
	       !stat(path, &st);
}

/* each name a file of its own: one file many times over would be parsed as often */
static int check_shard_new(struct shards *shards, const char *path, struct error *error)
{
	struct stat *st = &shards->stats[shards->count];

	if (stat(path, st) < 0)
		return error_set(error, -errno, "can't open '%s': %s", path, strerror(errno));
	for (size_t i = 0; i < shards->count; i++)
		if (shards->stats[i].st_dev == st->st_dev && shards->stats[i].st_ino == st->st_ino)
			return error_set(error, -EBADMSG, "'%s' is another shard as well", path);
	return 0;
}

static int open_shard(struct shards *shards, const char *folder, const char *file,
		      struct safetensors **ret, struct error *error)
{
	uint32_t known = table_find(&shards->table, file, strlen(file));
	char path[PATH_MAX];
	int r;

	if (known != TABLE_NONE) {
		*ret = shards->files[known];
		return 0;
	}
	if (shards->count == SHARDS_MAX)
		return error_set(error, -E2BIG, "more than %d files of weights", SHARDS_MAX);
	if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
		return error_set(error, -ENAMETOOLONG, "'%s': %s", file, strerror(ENAMETOOLONG));
	r = check_shard_new(shards, path, error);
	if (r >= 0)
		r = safetensors_open(&shards->files[shards->count], path, error);
	if (r < 0)
		return r;
	*ret = shards->files[shards->count];
	shards->header_bytes += safetensors_header_bytes(*ret);
	r = table_add(&shards->table, file, strlen(file), (uint32_t)shards->count++);
	if (r < 0)
		return error_set(error, r, "'%s': %s", file, strerror(-r));
	if (shards->header_bytes > HEADERS_MAX)
		return error_set(error, -E2BIG, "the files of weights have headers of %zu bytes",
				 shards->header_bytes);
	return 0;
}

/* a name in the same folder, and of a file that could be weights */
static bool is_shard_name(const char *file)
{
	static const char suffix[] = ".safetensors";
	size_t len = file ? strlen(file) : 0;

	return len > strlen(suffix) && len <= NAME_MAX && !strchr(file, '/') && *file != '.' &&
	       !strcmp(file + len - strlen(suffix), suffix);
}

static int add_indexed(const struct hub_config *c, struct shards *shards, const char *folder,
		       const json_t *map)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)map, name, value) {
		const char *file = json_string_value(value);
		const struct safetensor *tensor;
		struct safetensors *shard = NULL;
		int r;

		if (!is_shard_name(file))
			return error_set(c->error, -EBADMSG, HUB_INDEX ": '%s' is in no file",
					 gguf_show((struct gguf_string){ name, strlen(name) }).text);
		r = open_shard(shards, folder, file, &shard, c->error);
		if (r < 0)
			return r;
		tensor = safetensors_find(shard, name);
		if (!tensor)
			return error_set(c->error, -EBADMSG, "tensor '%s' is not in '%s'",
					 gguf_show((struct gguf_string){ name, strlen(name) }).text,
					 file);
		r = hub_tensor_add(c->gguf, c, tensor);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_all(const struct hub_config *c, struct shards *shards, const char *folder)
{
	struct safetensors *file = NULL;
	int r = open_shard(shards, folder, HUB_WEIGHTS, &file, c->error);

	for (size_t i = 0; r >= 0 && i < safetensors_count(file); i++)
		r = hub_tensor_add(c->gguf, c, safetensors_at(file, i));
	return r;
}

/* the mappings outlive what was read of them */
static int keep_files(const struct hub_config *c, struct shards *shards)
{
	for (size_t i = 0; i < shards->count; i++) {
		struct mapped file = safetensors_steal(shards->files[i]);
		int r = gguf_adopt(c->gguf, &file);

		if (r < 0)
			return error_set(c->error, r, "%s", strerror(-r));
	}
	return 0;
}

/* one file goes before an index, as it does elsewhere */
static int load_weights(const struct hub_config *c, const char *folder)
{
	_cleanup_(shards_close) struct shards *shards = calloc(1, sizeof(*shards));
	_cleanup_json_ json_t *index = NULL;
	const json_t *map;
	int r;

	if (!shards || table_init(&shards->table, 16) < 0)
		return error_set(c->error, -ENOMEM, "%s", strerror(ENOMEM));
	if (file_exists(folder, HUB_WEIGHTS)) {
		r = add_all(c, shards, folder);
		return r < 0 ? r : keep_files(c, shards);
	}
	if (!file_exists(folder, HUB_INDEX))
		return error_set(c->error, -ENOENT, "neither '" HUB_WEIGHTS "' nor '" HUB_INDEX
				 "' is there");
	r = json_read(&index, folder, HUB_INDEX, INDEX_MAX, c->error);
	if (r < 0)
		return r;
	map = json_object_get(index, "weight_map");
	if (!json_is_object(map))
		return error_set(c->error, -EBADMSG, HUB_INDEX ": 'weight_map' is missing");
	r = add_indexed(c, shards, folder, map);
	return r < 0 ? r : keep_files(c, shards);
}

/* a model that labels texts has no output, or none that was trained; one without makes vectors */
static int check_output(const struct hub_config *c)
{
	const bool has_output = c->is_tied || gguf_tensor_find(c->gguf, "output.weight");
	int r;

	if (c->arch->kind != HUB_DECODER || c->ranker || (has_output && !c->is_classifier))
		return 0;
	if (!c->is_classifier && !c->is_base)
		return error_set(c->error, -EBADMSG, "tensor 'lm_head.weight' is missing");
	r = gguf_add_bool(c->gguf, "llmos.no_output", true);
	return r < 0 ? error_set(c->error, r, "%s", strerror(-r)) : 0;
}

static int add_name(const struct hub_config *c, const char *folder)
{
	const char *name = strrchr(folder, '/');
	int r;

	name = name ? name + 1 : folder;
	r = gguf_add_string(c->gguf, "general.name", name, strlen(name));
	return r < 0 ? error_set(c->error, r, "%s", strerror(-r)) : 0;
}

static int load_tokenizer(const struct hub_config *c, const char *folder)
{
	const struct gguf_tensor *embedding = gguf_tensor_find(c->gguf, "token_embd.weight");
	struct tokenizer_files files = { 0 };
	int r;

	if (!embedding || embedding->dims[1] > UINT32_MAX)
		return error_set(c->error, -EBADMSG, "there is no embedding of tokens");
	if (!file_exists(folder, TOKENIZER_JSON))
		/* known ids can be computed with all the same */
		r = gguf_add_string(c->gguf, "tokenizer.ggml.model", "no_vocab", 8);
	else
		r = tokenizer_files_read(&files, folder, c->json, c->error);
	if (r >= 0 && files.tokenizer)
		r = tokenizer_json_load(c->gguf, &files, (uint32_t)embedding->dims[1], c->error);
	tokenizer_files_done(&files);
	return r;
}

/* sentence-transformers may want letters made small before a tokenizer that does not */
static int check_letters(const struct hub_config *c, const struct hub_modules *modules)
{
	bool lowercases = false;

	gguf_get_bool(c->gguf, "tokenizer.ggml.normalizer.lowercase", &lowercases);
	if (!modules->lowercases || lowercases)
		return 0;
	return error_set(c->error, -EOPNOTSUPP,
			 "'do_lower_case' with a tokenizer that does not is not supported");
}

static int load_folder(struct hub_config *c, const char *folder)
{
	struct hub_ranker ranker = { 0 };
	struct hub_modules modules;
	int r = hub_modules_load(&modules, folder, c->error);

	c->context_max = modules.context_max;
	c->activation = modules.activation;
	if (r >= 0)
		r = hub_config_load(c);
	if (r >= 0 && modules.pooling)
		r = hub_add_u32(c, "pooling_type", modules.pooling);
	else if (r >= 0)
		r = hub_ranker_find(c, &ranker, &modules.score, folder);
	if (r >= 0)
		r = add_name(c, folder);
	if (r >= 0)
		r = load_weights(c, folder);
	if (r >= 0)
		r = hub_labels_load(c);
	if (r >= 0)
		r = check_output(c);
	if (r >= 0)
		r = load_tokenizer(c, folder);
	if (r >= 0)
		r = hub_ranker_load(c, &ranker);
	/* both are of this function */
	c->ranker = NULL;
	c->activation = NULL;
	return r < 0 ? r : check_letters(c, &modules);
}

int hub_open(struct gguf **ret, const char *folder, struct error *error)
{
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	_cleanup_json_ json_t *json = NULL;
	struct error inner = { 0 };
	struct hub_config config = { .error = &inner };
	int r = gguf_new(&gguf);

	if (r < 0)
		return error_set(error, r, "'%s': %s", folder, strerror(-r));
	r = json_read(&json, folder, HUB_CONFIG, JSON_CONFIG_MAX, &inner);
	if (r >= 0)
		r = hub_compound_unfold(&json, &config.is_compound, &inner);
	config.gguf = gguf;
	config.json = json;
	if (r >= 0)
		r = load_folder(&config, folder);
	/* what a file can't be opened for names its path already */
	if (r < 0)
		return strstr(inner.text, folder) ? error_set(error, r, "%s", inner.text) :
			error_set(error, r, "'%s': %s", folder, inner.text);
	*ret = steal_ptr(gguf);
	return 0;
}

int model_file_open(struct gguf **ret, const char *path, struct error *error)
{
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return hub_open(ret, path, error);
	return gguf_open(ret, path, error);
}
