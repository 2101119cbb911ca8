/* SPDX-License-Identifier: MIT */
/*
 * How the daemon is set up: defaults, then the configuration file, then the command line. Both
 * speak of the same keys. See llmosd.conf(5).
 */
#ifndef LLMOS_BASE_CONFIG_H
#define LLMOS_BASE_CONFIG_H

#include "base/util.h"

#define CONFIG_PATH		"/etc/llmos/llmosd.conf"
#define CONFIG_LISTEN_MAX	8
#define CONFIG_STRING_MAX	256

/**
 * struct config - each field is a key of the section [daemon]
 * @models: folder of the models
 * @adapters: folder of the adapters, "": "adapters" in that of the models
 * @default_model: "": the only one, else the first by name
 * @draft_model: that guesses for the others; "": none
 * @device: "auto", "none", or a path
 * @listen: "unix:PATH", @listen_count of them
 * @user: to become once everything is open, "": stay
 * @isa: "auto", or the instruction set to use at most
 * @kv_type: "auto", "f32", "f16", "q8_0", "q4_0"
 * @log_level: as syslog(3) counts
 * @threads: 0: one for each processor
 * @slots: requests stepped at once
 * @sequences: requests that keep their place in the cache, 0: four for each slot
 * @order: "fair", or "arrival"
 * @batch_tokens: of one step
 * @step_ms: milliseconds that a step may take, 0: as long as @batch_tokens take
 * @draft_tokens: guessed ahead for one request in one step at most, 0: none
 * @context: of one request, 0: as the model was made for
 * @model_memory: bytes that all loaded models may take, 0: three quarters of what there is
 * @kv_memory: bytes of one model's cache, 0: as the engine thinks best
 * @prefix_cache: keep what was computed, for requests that begin in the same way
 * @prefix_memory: bytes of one model's cache that it may keep, 0: see @prefix_percent
 * @prefix_percent: of that cache; both 0: none
 * @grammar_memory: bytes that what answers are held to may take
 * @pack_cache: folder in which packed weights are kept; "auto", "no"
 * @pack_cache_size: bytes that they may take there, 0: a quarter of the file system
 * @swap_size: bytes of one model's cache that are written to the disk rather than lost, 0: none
 * @swap_folder: where; "auto"
 * @preload: load the default model at start
 */
struct config {
	char models[CONFIG_STRING_MAX];
	char adapters[CONFIG_STRING_MAX];
	char default_model[CONFIG_STRING_MAX];
	char draft_model[CONFIG_STRING_MAX];
	char device[CONFIG_STRING_MAX];
	char listen[CONFIG_LISTEN_MAX][CONFIG_STRING_MAX];
	unsigned int listen_count;
	char user[CONFIG_STRING_MAX];
	char isa[CONFIG_STRING_MAX];
	char kv_type[CONFIG_STRING_MAX];
	char order[CONFIG_STRING_MAX];
	uint64_t log_level;
	uint64_t threads;
	uint64_t slots;
	uint64_t sequences;
	uint64_t batch_tokens;
	uint64_t step_ms;
	uint64_t draft_tokens;
	uint64_t context;
	uint64_t model_memory;
	uint64_t kv_memory;
	uint64_t prefix_memory;
	uint64_t prefix_percent;
	uint64_t grammar_memory;
	char pack_cache[CONFIG_STRING_MAX];
	uint64_t pack_cache_size;
	char swap_folder[CONFIG_STRING_MAX];
	uint64_t swap_size;
	bool prefix_cache;
	bool preload;
};

void config_init(struct config *config);
/** config_set() - one key; 0, -ENOENT no such key, -EINVAL not a value for it */
int config_set(struct config *config, const char *key, const char *value, struct error *error);
/**
 * config_read() - a file over what is there
 *
 * Return: 0; -ENOENT there is none, -EINVAL (the text names file and line), ...
 */
int config_read(struct config *config, const char *path, struct error *error);

#endif /* LLMOS_BASE_CONFIG_H */
