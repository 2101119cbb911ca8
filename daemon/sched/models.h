/* SPDX-License-Identifier: MIT */
/*
 * The models folder: every NAME.gguf in it is a model called NAME, and so is every folder NAME with a
 * hub's files. A model is opened when its facts or its tokenizer are asked for, loaded when it is
 * first run, and stays while there is memory for all; else who was idle longest goes. One that can't
 * be used is known as such, with the reason; the others do not mind. Owned by the scheduler.
 */
#ifndef LLMOS_SCHED_MODELS_H
#define LLMOS_SCHED_MODELS_H

#include "base/list.h"
#include "engine/engine.h"
#include "grammar/vocab.h"
#include "ipc/ipc.h"
#include "sched/openers.h"
#include "sched/pace.h"
#include "sched/read_time.h"

struct models;

/**
 * struct model - a model
 * @link: in the folder's list, ordered by name
 * @name: what requests call it
 * @path: of the file or folder, with symbolic links resolved
 * @present: found by the last look into the folder
 * @device: the disk that it is on
 * @changed_ns: when its files last changed, to notice a new one under the old name
 * @size_bytes: of its files of weights
 * @found: what that look brought: 0, or why it is no file to open
 * @error: 0, or why it can not be used; @error_text says it in words
 * @opening: its file is being read; it is one of @users
 * @file: its header and tokenizer, once they were read; the next three are of it
 * @gguf: open to look into, NULL before
 * @tokenizer: NULL before
 * @chat: recognised chat template
 * @piece_max: bytes of the longest token, once it was asked for
 * @info: facts, once @file is there
 * @loaded: NULL unless it can be stepped
 * @memory_bytes: that it takes beside its file, as far as is known
 * @sampler: for its vocabulary, once loaded
 * @vocab: its tokens as a tree, once an answer was held to a grammar
 * @users: jobs that point here: what they look at stays as it is
 * @adapters: those that are in memory for it, of struct adapter_bound
 * @turn: number of its last step: models take turns
 * @blocked: the round of admissions in which nobody more gets in
 * @draft_checked_ns: its changed_ns when it was found out whether the draft model fits it, 0 before
 * @draft_fits: it does
 * @has_told_swap: the log says why there is no swap for it
 * @open_failed_ns: when it could not be opened for want of something that may be there another time
 * @open_result: why; @open_why says it in words
 * @read_ns: when a thread had last read its file, 0: never
 * @rereads: how often since it was found changed soon behind that, without a pause
 * @pace: how fast its steps are, once loaded
 */
struct model {
	struct list link;
	char name[LLM_MODEL_NAME_MAX];
	char *path;
	bool present;
	uint64_t device;
	uint64_t changed_ns;
	uint64_t size_bytes;
	int found;
	int error;
	struct error error_text;
	struct opening *opening;
	struct opened *file;
	const struct gguf *gguf;
	const struct tokenizer *tokenizer;
	enum chat_template chat;
	size_t piece_max;
	struct engine_model_info info;
	struct engine_model *loaded;
	uint64_t memory_bytes;
	struct sampler *sampler;
	struct gram_vocab *vocab;
	unsigned int users;
	struct list adapters;
	uint64_t turn;
	uint64_t blocked;
	uint64_t draft_checked_ns;
	bool draft_fits;
	bool has_told_swap;
	bool is_fresh;
	uint64_t load_failed_ns;
	int load_result;
	struct error load_why;
	uint64_t open_failed_ns;
	int open_result;
	struct error open_why;
	uint64_t read_ns;
	unsigned int rereads;
	struct pace pace;
	struct read_time read_time;
};

/**
 * models_new() - look into a folder
 * @directory: where the models are
 * @default_name: "": the only one, else the first by name
 */
int models_new(struct models **ret, struct engine *engine, const char *directory,
	       const char *default_name, struct error *error);
void models_free(struct models *models);

/** models_scan() - look into the folder again */
int models_scan(struct models *models, struct error *error);
/** models_list() - the list of struct model */
struct list *models_list(struct models *models);
unsigned int models_loaded(const struct models *models);

/**
 * models_find() - by name, "" is the default one
 *
 * Return: 0; -ENOENT (the text names it and what there is), -EINVAL not a name.
 */
int models_find(struct models *models, const char *name, struct model **ret,
		struct error *error);
/** models_known() - the same as it was known, without a look at its files; NULL: there is none */
struct model *models_known(struct models *models, const char *name);
/**
 * models_open() - its gguf, facts and tokenizer
 *
 * Where models are loaded beside the others this only begins it, unless it is open; who asks again
 * behind models_heard() hears how it ended.
 *
 * Return: 0; -EINPROGRESS it is being read, or as many files are as may be; -ESTALE it was another
 * one whenever it had been read; or why it can not be used.
 */
int models_open(struct models *models, struct model *model, struct error *error);
/** models_open_for_list() - the same, for who wants all: it leaves room for who wants one */
int models_open_for_list(struct models *models, struct model *model, struct error *error);
/**
 * models_load() - ready to step
 *
 * Others are unloaded for it where that is needed, as models_set_memory() says. Where it is loaded
 * beside the others this only begins it; who asks again behind models_heard() hears how it ended.
 *
 * Return: 0; -EINPROGRESS it is being loaded, or another one is, and models_heard() will have news;
 * -EAGAIN there is no room beside those that can not be unloaded now, and nothing else is
 * wrong; -ESTALE jobs point to it, and its file is another one by now, or gone; or why it can not
 * be used.
 */
int models_load(struct models *models, struct model *model, struct error *error);
/** models_load_now() - the same, and wait for it: never -EINPROGRESS */
int models_load_now(struct models *models, struct model *model, struct error *error);
/**
 * models_load_beside() - from now on models are loaded by a thread, one at a time
 * @news_fd: an eventfd that is written to when models_heard() is to be called
 *
 * Return: 0 or -ENOMEM.
 */
int models_load_beside(struct models *models, int news_fd);
/** models_openers() - the threads that read files; NULL: it is done by who asks */
struct openers *models_openers(const struct models *models);
/**
 * models_slowest() - whose file, or weights, have been read for longest, if that is long
 * @ret_ns: since when
 *
 * Return: its name, also that of an adapter; NULL: none.
 */
const char *models_slowest(const struct models *models, uint64_t *ret_ns);
/** models_is_loading() - is one being loaded, or an adapter, that was not heard of yet? */
bool models_is_loading(const struct models *models);
/**
 * models_read() - have an adapter read by the thread that loads models
 * @model: for which; it is loaded, and must not be unloaded before models_read_heard()
 * @name: of the adapter
 * @bytes: that it will take, as far as is known
 *
 * Return: 0: it is being read; -EINPROGRESS something else is; -EOPNOTSUPP there is no such thread;
 * -ENOMEM, -EAGAIN it can not be had.
 */
int models_read(struct models *models, struct model *model, const char *name, const char *path,
		uint64_t bytes);
/** models_measure() - what it takes now: adapters make that more, and less */
void models_measure(struct model *model);
/** models_is_reading() - an adapter for that model */
bool models_is_reading(const struct models *models, const struct model *model);
/**
 * models_read_heard() - has the adapter been read?
 * @ret_result: then: what engine_adapter_read() returned, and what it did
 */
bool models_read_heard(struct models *models, int *ret_result, struct engine_adapter **ret,
		       struct error *error);
/**
 * models_heard() - what was read is there from now on, and one that was loaded serves; says why one
 * has no swap
 *
 * Return: one was opened or loaded, or could not be.
 */
bool models_heard(struct models *models);
/**
 * models_unload() - its weights and its cache are given back
 * @model: nobody has a sequence of it; jobs may point to it and use its tokenizer, which stays
 */
void models_unload(struct model *model);
/**
 * models_set_memory() - all that are loaded may take so many bytes, their files included; 0: any
 * @is_strict: a model that is larger is refused, also when it is alone
 * @make_room: asked to unload another one than @model, or an adapter; false: none can be
 * @arg: its first argument
 */
void models_set_memory(struct models *models, uint64_t bytes, bool is_strict,
		       bool (*make_room)(void *arg, const struct model *model), void *arg);
/**
 * models_get_room_for() - room for an adapter of a model that is loaded, beside all others
 * @bytes: that it takes
 * @held: by adapters that who asks has loaded for the same request
 *
 * Return: 0; -EAGAIN others have to end before, -ENOMEM there will never be.
 */
int models_get_room_for(struct models *models, const struct model *model, uint64_t bytes,
			uint64_t held);
/** models_vocab() - its tokens as a tree; its tokenizer must be there; 0 or -ENOMEM */
int models_vocab(struct model *model, struct gram_vocab **ret);
/** models_piece_max() - bytes of its longest token; its tokenizer must be there */
size_t models_piece_max(struct model *model);
/** models_fill_info() - as LLM_RECORD_MODEL tells it, also while its file is being read */
void models_fill_info(struct models *models, struct model *model, struct llm_model_info *info);

/**
 * models_set_busy() - tell somebody that a model is being loaded, which may take long
 * @busy: called with the model before, and with NULL after
 */
void models_set_busy(struct models *models, void (*busy)(const char *name));

#endif /* LLMOS_SCHED_MODELS_H */
