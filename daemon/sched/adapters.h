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
#include "sched/openers.h"

struct adapters;
struct model;
struct models;

/**
 * struct adapter - an adapter
 * @link: in the folder's list, ordered by name
 * @name: what requests call it
 * @path: of the file or folder, with symbolic links resolved; NULL: it can't be used
 * @present: found by the last look into the folder
 * @device: the disk that it is on
 * @changed_ns: when its files last changed
 * @size_bytes: of its weights' files
 * @memory_bytes: that it takes in memory, as far as is known
 * @found: what that look brought: 0, or why it is no file to open
 * @error: 0, or why it can not be used by any model; @error_text says it in words
 * @opening: its file is being read; it is one of @users
 * @file: what that says of itself, once it was read
 * @open_failed_ns: when it could not be, for want of something that may be there another time
 * @open_result: why; @open_why says it in words
 * @bound: where it is in memory
 * @users: jobs that point here: what they name stays as it is
 * @load_result: how the last attempt to read it beside the steps ended, for the model named
 *	@load_model, at @load_failed_ns; @load_why says it in words
 */
struct adapter {
	struct list link;
	char name[LLM_MODEL_NAME_MAX];
	char *path;
	bool present;
	uint64_t device;
	uint64_t changed_ns;
	uint64_t size_bytes;
	uint64_t memory_bytes;
	int found;
	int error;
	struct error error_text;
	struct opening *opening;
	struct opened *file;
	uint64_t open_failed_ns;
	int open_result;
	struct error open_why;
	struct list bound;
	unsigned int users;
	int load_result;
	char load_model[LLM_MODEL_NAME_MAX];
	uint64_t load_failed_ns;
	struct error load_why;
};

/**
 * struct adapter_bound - an adapter in memory, for one model
 * @adapter_link: in the adapter's list
 * @model_link: in the model's
 * @bytes: that it takes
 * @pins: jobs that use it; it is not unloaded under them
 * @turn: number of the last step in which it was used
 * @is_fresh: it was read just now: it makes way for nobody before those had their turn who asked
 * @is_new: nobody has used it yet, and it may turn out to be too much
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
	bool is_fresh;
	bool is_new;
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
 * adapters_open() - what its file says of itself
 * @is_for_list: as opening_begin() has it
 *
 * Return: 0; -EINPROGRESS it is being read, as models_open() has it; or why it can not be used.
 */
int adapters_open(struct adapters *adapters, struct adapter *adapter, bool is_for_list,
		  struct error *error);

/**
 * adapter_bind() - in memory for a model that is loaded, until adapter_unbind()
 * @held: bytes of those that the same request has bound already
 *
 * Where models are loaded beside the steps, so are adapters: this only begins it, and who asks
 * again behind adapters_heard() hears how it ended. Return: 0; -EINPROGRESS it is being read, or
 * something else is; -EAGAIN there is no room beside what is in use now, -ESTALE it was replaced
 * since the request came, or why it can not be used with this model.
 */
int adapter_bind(struct adapters *adapters, struct adapter *adapter, struct model *model,
		 uint64_t held, struct adapter_bound **ret, struct error *error);
void adapter_unbind(struct adapter_bound *bound);
/** adapters_heard() - what has been read is open, or can be bound, from now on */
void adapters_heard(struct adapters *adapters);
/** adapters_settle() - who asked for what was read has had his turn */
void adapters_settle(struct adapters *adapters);
/** adapter_unload() - nobody uses it */
void adapter_unload(struct adapter_bound *bound);

/** adapters_fill_info() - as LLM_RECORD_MODEL tells it, also while its file is being read */
void adapters_fill_info(const struct adapter *adapter, struct llm_model_info *info);

#endif /* LLMOS_SCHED_ADAPTERS_H */
