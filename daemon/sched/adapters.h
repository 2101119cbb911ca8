/* SPDX-License-Identifier: MIT */
/*
 * The adapters folder: every NAME.gguf in it is an adapter called NAME, and so is every folder NAME
 * that PEFT wrote. An adapter is read for a model when a request of that model first names it, and
 * stays in memory while there is room for all models and adapters; else who was idle longest goes.
 * Owned by the scheduler.
 */
#ifndef LLMOS_SCHED_ADAPTERS_H
#define LLMOS_SCHED_ADAPTERS_H

#include "base/list.h"
#include "engine/engine.h"
#include "ipc/ipc.h"

struct adapters;
struct model;
struct models;

/**
 * struct adapter - an adapter
 * @link: in the folder's list, ordered by name
 * @name: what requests call it
 * @path: of the file or folder, with symbolic links resolved; NULL: it can't be used
 * @present: found by the last look into the folder
 * @changed_ns: when its files last changed
 * @size_bytes: of its weights' files
 * @memory_bytes: that it takes in memory, as far as is known
 * @found: what that look brought: 0, or why it is no file to open
 * @error: 0, or why it can not be used by any model; @error_text says it in words
 * @info: facts, once @has_info
 * @bound: where it is in memory
 * @users: jobs that point here: what they name stays as it is
 */
struct adapter {
	struct list link;
	char name[LLM_MODEL_NAME_MAX];
	char *path;
	bool present;
	uint64_t changed_ns;
	uint64_t size_bytes;
	uint64_t memory_bytes;
	int found;
	int error;
	struct error error_text;
	bool has_info;
	struct engine_adapter_info info;
	struct list bound;
	unsigned int users;
};

/**
 * struct adapter_bound - an adapter in memory, for one model
 * @adapter_link: in the adapter's list
 * @model_link: in the model's
 * @bytes: that it takes
 * @pins: jobs that use it; it is not unloaded under them
 * @turn: number of the last step in which it was used
 */
struct adapter_bound {
	struct list adapter_link;
	struct list model_link;
	struct adapter *adapter;
	struct model *model;
	struct engine_adapter *loaded;
	uint64_t bytes;
	unsigned int pins;
	uint64_t turn;
};

/**
 * adapters_new() - look into a folder
 * @directory: where they are; NULL: "adapters" in the folder of the models, if there is one
 * @models: their folder
 * @loader: what loads models for them
 */
int adapters_new(struct adapters **ret, const char *directory, const char *models,
		 struct models *loader, struct error *error);
void adapters_free(struct adapters *adapters);

/** adapters_scan() - look into the folder again */
int adapters_scan(struct adapters *adapters, struct error *error);
/** adapters_list() - the list of struct adapter */
struct list *adapters_list(struct adapters *adapters);
/**
 * adapters_find() - by name
 *
 * Return: 0; -ENOENT there is none, -EINVAL not a name, or why it can not be used.
 */
int adapters_find(struct adapters *adapters, const char *name, struct adapter **ret,
		  struct error *error);

/**
 * adapter_bind() - in memory for a model that is loaded, until adapter_unbind()
 * @held: bytes of those that the same request has bound already
 *
 * Return: 0; -EAGAIN there is no room beside what is in use now, -ESTALE it was replaced since the
 * request came, or why it can not be used with this model.
 */
int adapter_bind(struct adapters *adapters, struct adapter *adapter, struct model *model,
		 uint64_t held, struct adapter_bound **ret, struct error *error);
void adapter_unbind(struct adapter_bound *bound);
/** adapter_unload() - nobody uses it */
void adapter_unload(struct adapter_bound *bound);

/** adapters_fill_info() - as LLM_RECORD_MODEL tells it */
void adapters_fill_info(struct adapter *adapter, struct llm_model_info *info);

#endif /* LLMOS_SCHED_ADAPTERS_H */
