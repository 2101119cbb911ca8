/* SPDX-License-Identifier: MIT */
/*
 * A model that is checked and packed while others answer, the file of one that is read, or an
 * adapter for one that is loaded: by a thread of its own, at a lower priority than those that compute, one
 * of them at a time. Called by the scheduler's thread.
 */
#ifndef LLMOS_SCHED_LOADER_H
#define LLMOS_SCHED_LOADER_H

#include <stdbool.h>

#include "base/util.h"
#include "engine/engine.h"
#include "sched/opened.h"

struct loader;

/**
 * loader_new() - without a thread before the first model
 * @engine: for models; NULL where only files are read
 * @news_fd: an eventfd that is written to when something has been loaded, or could not be
 *
 * Return: 0 or -ENOMEM.
 */
int loader_new(struct loader **ret, struct engine *engine, int news_fd);
/** loader_free() - waits for what it is loading; NULL is fine */
void loader_free(struct loader *loader);

/**
 * loader_begin() - load another one; there must be none that was begun and not taken
 * @name: of the model, for messages
 * @opened: its file, which outlives what is loaded
 *
 * Return: 0; -ENOMEM, -EAGAIN no thread can be had.
 */
int loader_begin(struct loader *loader, const char *name, const char *path, struct opened *opened);
/** loader_begin_open() - the same, and only read its file, or that of an adapter */
int loader_begin_open(struct loader *loader, const char *name, const char *path, bool is_adapter);
/** loader_begin_adapter() - the same, of an adapter for @model, which has to stay until then */
int loader_begin_adapter(struct loader *loader, const char *name, const char *path,
			 struct engine_model *model);
/** loader_is_ended() - can what was begun be taken? */
bool loader_is_ended(const struct loader *loader);
/** loader_take() - what engine_model_load_opened() returned; it may wait */
int loader_take(struct loader *loader, struct engine_model **ret, struct error *error);
/** loader_take_adapter() - what engine_adapter_read() returned; it may wait */
int loader_take_adapter(struct loader *loader, struct engine_adapter **ret, struct error *error);
/** loader_take_opened() - what opened_new() returned, or opened_new_adapter(); it may wait */
int loader_take_opened(struct loader *loader, struct opened **ret, struct error *error);

#endif /* LLMOS_SCHED_LOADER_H */
