/* SPDX-License-Identifier: MIT */
/*
 * A model's file that has been read, but for its weights: what it says of itself, and its
 * tokenizer. That takes as long as there are tokens: of a large vocabulary, seconds. Immutable, so
 * that a thread may use what another one holds; references are the scheduler's thread's alone.
 */
#ifndef LLMOS_SCHED_OPENED_H
#define LLMOS_SCHED_OPENED_H

#include "base/util.h"
#include "engine/engine.h"

/**
 * struct opened - a file
 * @refs: of those who use it
 * @gguf: it, or a view of a folder as one
 * @tokenizer: of its vocabulary, which is always there
 * @chat: recognised chat template
 * @info: its facts
 */
struct opened {
	unsigned int refs;
	struct gguf *gguf;
	struct tokenizer *tokenizer;
	enum chat_template chat;
	struct engine_model_info info;
};

/**
 * opened_new() - read the file at @path, by any thread; the caller has the one reference
 * @name: of the model, for whoever has to tell that the file can not be read any more
 *
 * Return: 0; as engine_model_load().
 */
int opened_new(struct opened **ret, const char *name, const char *path, struct error *error);
struct opened *opened_ref(struct opened *opened);
/** opened_unref() - NULL is fine; the last one closes it */
void opened_unref(struct opened *opened);
DEFINE_CLEANUP(struct opened *, opened_unref);

#endif /* LLMOS_SCHED_OPENED_H */
