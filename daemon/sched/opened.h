/* SPDX-License-Identifier: MIT */
/*
 * A file of a model or an adapter that has been read, but for its weights: what it says of itself,
 * and a model's tokenizer. That takes as long as there are tokens: of a large vocabulary, seconds.
 * Immutable, so that a thread may use what another one holds; references are the scheduler's
 * thread's alone.
 */
#ifndef LLMOS_SCHED_OPENED_H
#define LLMOS_SCHED_OPENED_H

#include "base/util.h"
#include "engine/engine.h"

/**
 * struct opened - a file
 * @refs: of those who use it
 * @gguf: it, or a view of a folder as one
 * @tokenizer: of its vocabulary, which is always there; NULL of an adapter, as the next two are 0
 * @chat: recognised chat template
 * @info: its facts
 * @adapter: those of an adapter
 */
struct opened {
	unsigned int refs;
	struct gguf *gguf;
	struct tokenizer *tokenizer;
	enum chat_template chat;
	struct engine_model_info info;
	struct engine_adapter_info adapter;
};

/**
 * opened_new() - read the file at @path, by any thread; the caller has the one reference
 * @name: of the model, for whoever has to tell that the file can not be read any more
 *
 * Return: 0; as engine_model_load().
 */
int opened_new(struct opened **ret, const char *name, const char *path, struct error *error);
/** opened_new_adapter() - the same of an adapter; 0; as engine_adapter_read() */
int opened_new_adapter(struct opened **ret, const char *name, const char *path,
		       struct error *error);
struct opened *opened_ref(struct opened *opened);
/** opened_unref() - NULL is fine; the last one closes it */
void opened_unref(struct opened *opened);
DEFINE_CLEANUP(struct opened *, opened_unref);

#endif /* LLMOS_SCHED_OPENED_H */
