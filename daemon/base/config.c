/* SPDX-License-Identifier: MIT */
/* The daemon's configuration; see config.h. */
#include "base/config.h"

#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum config_type {
	CONFIG_STRING,
	CONFIG_LISTEN,
	CONFIG_NUMBER,
	CONFIG_SIZE,
	CONFIG_PREFIX,
	CONFIG_BOOL,
	CONFIG_LEVEL,
};

/** struct config_key - @max: of a number; @choices: of a string, NULL: any */
static const struct config_key {
	const char *name;
	enum config_type type;
	size_t offset;
	uint64_t min;
	uint64_t max;
	const char *choices;
} config_keys[] = {
	{ .name = "models", .offset = offsetof(struct config, models) },
	{ .name = "adapters", .offset = offsetof(struct config, adapters) },
	{ .name = "default_model", .offset = offsetof(struct config, default_model) },
	{ .name = "device", .offset = offsetof(struct config, device) },
	{ .name = "listen", .type = CONFIG_LISTEN },
	{ .name = "user", .offset = offsetof(struct config, user) },
	{ .name = "isa", .offset = offsetof(struct config, isa) },
	{ .name = "kv_type", .offset = offsetof(struct config, kv_type),
	  .choices = " auto f32 f16 q8_0 q4_0 " },
	{ .name = "log_level", .type = CONFIG_LEVEL, .offset = offsetof(struct config, log_level) },
	{ .name = "threads", .type = CONFIG_NUMBER, .max = 1024,
	  .offset = offsetof(struct config, threads) },
	{ .name = "slots", .type = CONFIG_NUMBER, .min = 1, .max = 256,
	  .offset = offsetof(struct config, slots) },
	{ .name = "sequences", .type = CONFIG_NUMBER, .max = 4096,
	  .offset = offsetof(struct config, sequences) },
	{ .name = "order", .offset = offsetof(struct config, order),
	  .choices = " fair arrival " },
	{ .name = "batch_tokens", .type = CONFIG_NUMBER, .min = 1, .max = 65536,
	  .offset = offsetof(struct config, batch_tokens) },
	{ .name = "step_ms", .type = CONFIG_NUMBER, .max = 3600000,
	  .offset = offsetof(struct config, step_ms) },
	{ .name = "draft_tokens", .type = CONFIG_NUMBER, .max = 16,
	  .offset = offsetof(struct config, draft_tokens) },
	{ .name = "draft_model", .offset = offsetof(struct config, draft_model) },
	{ .name = "context", .type = CONFIG_NUMBER, .max = 1U << 24,
	  .offset = offsetof(struct config, context) },
	{ .name = "model_memory", .type = CONFIG_SIZE, .max = UINT64_C(1) << 50,
	  .offset = offsetof(struct config, model_memory) },
	{ .name = "kv_memory", .type = CONFIG_SIZE, .max = UINT64_C(1) << 50,
	  .offset = offsetof(struct config, kv_memory) },
	{ .name = "prefix_memory", .type = CONFIG_PREFIX, .max = UINT64_C(1) << 50 },
	{ .name = "prefix_cache", .type = CONFIG_BOOL,
	  .offset = offsetof(struct config, prefix_cache) },
	{ .name = "pack_cache", .offset = offsetof(struct config, pack_cache) },
	{ .name = "pack_cache_size", .type = CONFIG_SIZE, .max = UINT64_C(1) << 50,
	  .offset = offsetof(struct config, pack_cache_size) },
	{ .name = "grammar_memory", .type = CONFIG_SIZE, .min = UINT64_C(128) << 20,
	  .max = UINT64_C(1) << 50, .offset = offsetof(struct config, grammar_memory) },
	{ .name = "swap_size", .type = CONFIG_SIZE, .max = UINT64_C(1) << 50,
	  .offset = offsetof(struct config, swap_size) },
	{ .name = "swap_folder", .offset = offsetof(struct config, swap_folder) },
	{ .name = "preload", .type = CONFIG_BOOL, .offset = offsetof(struct config, preload) },
};

void config_init(struct config *config)
{
	*config = (struct config){
		.models = "/var/lib/llmos/models",
		.device = "auto",
		.isa = "auto",
		.kv_type = "auto",
		.pack_cache = "auto",
		.swap_folder = "auto",
		.order = "fair",
		.log_level = LOG_INFO,
		.slots = 16,
		.batch_tokens = 128,
		.step_ms = 100,
		.draft_tokens = 8,
		.grammar_memory = UINT64_C(256) << 20,
		.prefix_percent = 50,
		.prefix_cache = true,
	};
}

/* ---- values ---- */

static int config_invalid(const char *key, const char *value, const char *why,
			  struct error *error)
{
	return error_set(error, -EINVAL, "%s: '%s' %s", key, value, why);
}

static int config_set_string(char *field, const struct config_key *key, const char *value,
			     struct error *error)
{
	char word[32];

	if (strlen(value) >= CONFIG_STRING_MAX)
		return config_invalid(key->name, value, "is too long", error);
	if (key->choices) {
		snprintf(word, sizeof(word), " %.28s ", value);
		if (!*value || strchr(value, ' ') || !strstr(key->choices, word))
			return error_set(error, -EINVAL, "%s: '%s' is none of%s", key->name, value,
					 key->choices);
	}
	strcpy(field, value);
	return 0;
}

static int config_add_listen(struct config *config, const char *value, struct error *error)
{
	if (strncmp(value, "unix:", 5) || !value[5])
		return config_invalid("listen", value, "is not unix:PATH", error);
	if (strlen(value) >= CONFIG_STRING_MAX)
		return config_invalid("listen", value, "is too long", error);
	if (config->listen_count == CONFIG_LISTEN_MAX)
		return config_invalid("listen", value, "is one socket too many", error);
	strcpy(config->listen[config->listen_count++], value);
	return 0;
}

/* what a number's unit multiplies it by, 0: no unit */
static uint64_t config_unit(const char *unit)
{
	switch (*unit ? unit[1] ? '?' : *unit : '\0') {
	case '\0':
		return 1;
	case 'K':
		return UINT64_C(1) << 10;
	case 'M':
		return UINT64_C(1) << 20;
	case 'G':
		return UINT64_C(1) << 30;
	default:
		return 0;
	}
}

static int config_set_number(uint64_t *field, const struct config_key *key, const char *value,
			     struct error *error)
{
	unsigned long long number;
	uint64_t unit, result;
	char *end;

	errno = 0;
	number = strtoull(value, &end, 10);
	unit = key->type == CONFIG_NUMBER ? !*end : config_unit(end);
	if (!isdigit((unsigned char)*value) || errno || !unit)
		return config_invalid(key->name, value, key->type == CONFIG_NUMBER ?
				      "is not a number" : key->type == CONFIG_SIZE ?
				      "is not a number of bytes (K, M, G)" :
				      "is neither bytes (K, M, G) nor a percentage", error);
	if (__builtin_mul_overflow(number, unit, &result) || result < key->min ||
	    result > key->max)
		return error_set(error, -EINVAL, "%s: '%s' is not between %llu and %llu",
				 key->name, value, (unsigned long long)key->min,
				 (unsigned long long)key->max);
	*field = result;
	return 0;
}

/* bytes, or a percentage of the cache: whichever was said last */
static int config_set_prefix(struct config *config, const struct config_key *key,
			     const char *value, struct error *error)
{
	char *end;
	unsigned long percent;
	uint64_t bytes;
	int r;

	errno = 0;
	percent = strtoul(value, &end, 10);
	if (isdigit((unsigned char)*value) && !errno && !strcmp(end, "%")) {
		if (percent > 100)
			return config_invalid(key->name, value, "is more than 100%", error);
		config->prefix_percent = percent;
		config->prefix_memory = 0;
		return 0;
	}
	r = config_set_number(&bytes, key, value, error);
	if (r < 0)
		return r;
	config->prefix_percent = 0;
	config->prefix_memory = bytes;
	return 0;
}

static int config_set_bool(bool *field, const struct config_key *key, const char *value,
			   struct error *error)
{
	bool yes = !strcmp(value, "yes") || !strcmp(value, "true") || !strcmp(value, "1");

	if (!yes && strcmp(value, "no") && strcmp(value, "false") && strcmp(value, "0"))
		return config_invalid(key->name, value, "is neither yes nor no", error);
	*field = yes;
	return 0;
}

static int config_set_level(uint64_t *field, const struct config_key *key, const char *value,
			    struct error *error)
{
	static const char *const names[] = {
		[LOG_ERROR] = "error",
		[LOG_WARNING] = "warning",
		[LOG_NOTICE] = "notice",
		[LOG_INFO] = "info",
		[LOG_DEBUG] = "debug",
	};
	size_t i;

	for (i = LOG_ERROR; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], value))
			continue;
		*field = i;
		return 0;
	}
	return config_invalid(key->name, value, "is none of error, warning, notice, info, debug",
			      error);
}

int config_set(struct config *config, const char *key, const char *value, struct error *error)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(config_keys); i++) {
		const struct config_key *known = &config_keys[i];
		void *field = (char *)config + known->offset;

		if (strcmp(known->name, key))
			continue;
		switch (known->type) {
		case CONFIG_STRING:
			return config_set_string(field, known, value, error);
		case CONFIG_LISTEN:
			return config_add_listen(config, value, error);
		case CONFIG_NUMBER:
		case CONFIG_SIZE:
			return config_set_number(field, known, value, error);
		case CONFIG_PREFIX:
			return config_set_prefix(config, known, value, error);
		case CONFIG_BOOL:
			return config_set_bool(field, known, value, error);
		case CONFIG_LEVEL:
			return config_set_level(field, known, value, error);
		}
	}
	return error_set(error, -ENOENT, "unknown key '%s'", key);
}

/* ---- the file ---- */

/** struct config_file - a file that is being read; @line: at hand; @bad_line: of the first error */
struct config_file {
	struct config *config;
	const char *path;
	FILE *file;
	unsigned int line;
	unsigned int bad_line;
	int r;
	struct error *error;
};

static int config_file_fail(struct config_file *file, int r, const char *why)
{
	if (!file->r) {
		file->bad_line = file->line;
		file->r = error_set(file->error, r, "%s:%u: %s", file->path, file->line, why);
	}
	return 0;
}

/* counts lines, which the parser does not tell everywhere */
static char *config_file_line(char *text, int size, void *stream)
{
	struct config_file *file = stream;
	size_t len;

	if (!fgets(text, size, file->file))
		return NULL;
	file->line++;
	len = strlen(text);
	if (len && text[len - 1] != '\n' && !feof(file->file)) {
		config_file_fail(file, -EINVAL, "line is too long");
		return NULL;
	}
	/* no value goes on in the next line: an indented key is a key */
	if (isspace((unsigned char)*text)) {
		size_t skip = strspn(text, " \t");

		memmove(text, text + skip, len - skip + 1);
	}
	return text;
}

static int config_file_key(void *user, const char *section, const char *name, const char *value)
{
	struct config_file *file = user;
	struct error why = { "" };
	char text[sizeof(why.text)];

	if (strcmp(section, "daemon")) {
		snprintf(text, sizeof(text), "'%.64s' is in the section '%.64s', not in [daemon]",
			 name, section);
		return config_file_fail(file, -EINVAL, text);
	}
	if (config_set(file->config, name, value ? value : "", &why) < 0)
		return config_file_fail(file, -EINVAL, why.text);
	return 1;
}

int config_read(struct config *config, const char *path, struct error *error)
{
	struct config_file file = { .config = config, .path = path, .error = error };
	int r;

	file.file = fopen(path, "re");
	if (!file.file)
		return error_set(error, -errno, "configuration '%s': %s", path, strerror(errno));
	r = ini_parse_stream(config_file_line, &file, config_file_key, &file);
	if (ferror(file.file) && !file.r)
		file.r = error_set(error, -EIO, "configuration '%s': it can not be read", path);
	fclose(file.file);
	/* the parser's own complaint, if it comes first: a line that is no key, section or comment */
	if (r > 0 && (!file.r || (unsigned int)r < file.bad_line))
		file.r = error_set(error, -EINVAL, "%s:%d: not a 'key = value'", path, r);
	else if (r < 0 && !file.r)
		file.r = error_set(error, -ENOMEM, "configuration '%s': %s", path,
				   strerror(ENOMEM));
	return file.r;
}
