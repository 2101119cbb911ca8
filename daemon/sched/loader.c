/* SPDX-License-Identifier: MIT */
/* A thread that loads a model or an adapter, or reads a model's file; see loader.h. */
#include "sched/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/guard.h"

#define LOADER_NICE	10	/* a step has barriers: who takes a processor from one takes it from all */

enum loader_what { LOADER_MODEL, LOADER_FILE, LOADER_ADAPTER_FILE, LOADER_ADAPTER };

/**
 * struct loader - the thread, and the one thing that it loads
 * @file: of a model that is loaded
 * @model: that an adapter is for
 * @loaded, @opened, @adapter: what came of it, by @what
 * @is_begun: there is a thread to be joined
 * @is_ended: it has written what follows, and is about to end
 */
struct loader {
	struct engine *engine;
	int news_fd;
	pthread_t thread;
	bool is_begun;
	atomic_bool is_ended;
	enum loader_what what;
	char *name;
	char *path;
	struct opened *file;
	struct engine_model *model;
	struct engine_model *loaded;
	struct opened *opened;
	struct engine_adapter *adapter;
	int result;
	struct error why;
};

static void load_model(struct loader *loader)
{
	guard_loading(loader->name);
	loader->result = engine_model_load_opened(loader->engine, loader->path, loader->file->gguf,
						  loader->file->tokenizer, &loader->loaded,
						  &loader->why);
	guard_loading(NULL);
}

static void load_adapter(struct loader *loader)
{
	loader->result = engine_adapter_read(loader->model, loader->path, &loader->adapter,
					     &loader->why);
}

static void *loader_main(void *arg)
{
	struct loader *loader = arg;

	/* a thread's own, in Linux; without it the load disturbs the others more */
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), LOADER_NICE);
	if (loader->what == LOADER_MODEL)
		load_model(loader);
	else if (loader->what == LOADER_ADAPTER)
		load_adapter(loader);
	else if (loader->what == LOADER_ADAPTER_FILE)
		loader->result = opened_new_adapter(&loader->opened, loader->name, loader->path,
						    &loader->why);
	else
		loader->result = opened_new(&loader->opened, loader->name, loader->path,
					    &loader->why);
	atomic_store_explicit(&loader->is_ended, true, memory_order_release);
	eventfd_write(loader->news_fd, 1);
	return NULL;
}

static int start_thread(struct loader *loader)
{
	sigset_t all, before;
	int r;

	/* signals are the loop's */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&loader->thread, NULL, loader_main, loader);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	pthread_setname_np(loader->thread, "llmos-load");
	return 0;
}

static void clear(struct loader *loader)
{
	free(loader->name);
	free(loader->path);
	loader->name = NULL;
	loader->path = NULL;
	loader->file = NULL;
	loader->model = NULL;
	loader->loaded = NULL;
	loader->opened = NULL;
	loader->adapter = NULL;
	loader->is_begun = false;
}

static int begin(struct loader *loader, enum loader_what what, const char *name, const char *path)
{
	int r;

	loader->what = what;
	loader->name = strdup(name);
	loader->path = strdup(path);
	loader->why = (struct error){ "" };
	atomic_store_explicit(&loader->is_ended, false, memory_order_relaxed);
	r = loader->name && loader->path ? start_thread(loader) : -ENOMEM;
	if (r < 0)
		clear(loader);
	else
		loader->is_begun = true;
	return r;
}

int loader_begin(struct loader *loader, const char *name, const char *path, struct opened *opened)
{
	loader->file = opened;
	return begin(loader, LOADER_MODEL, name, path);
}

int loader_begin_open(struct loader *loader, const char *name, const char *path, bool is_adapter)
{
	return begin(loader, is_adapter ? LOADER_ADAPTER_FILE : LOADER_FILE, name, path);
}

int loader_begin_adapter(struct loader *loader, const char *name, const char *path,
			 struct engine_model *model)
{
	loader->model = model;
	return begin(loader, LOADER_ADAPTER, name, path);
}

bool loader_is_ended(const struct loader *loader)
{
	return loader->is_begun &&
	       atomic_load_explicit(&loader->is_ended, memory_order_acquire);
}

/* Return: how it ended; what came of it is the caller's to fetch, and then to clear() */
static int wait_for(struct loader *loader, struct error *error)
{
	pthread_join(loader->thread, NULL);
	*error = loader->why;
	return loader->result;
}

int loader_take(struct loader *loader, struct engine_model **ret, struct error *error)
{
	int r = wait_for(loader, error);

	*ret = r < 0 ? NULL : loader->loaded;
	clear(loader);
	return r;
}

int loader_take_adapter(struct loader *loader, struct engine_adapter **ret, struct error *error)
{
	int r = wait_for(loader, error);

	*ret = r < 0 ? NULL : loader->adapter;
	clear(loader);
	return r;
}

int loader_take_opened(struct loader *loader, struct opened **ret, struct error *error)
{
	int r = wait_for(loader, error);

	*ret = r < 0 ? NULL : loader->opened;
	clear(loader);
	return r;
}

int loader_new(struct loader **ret, struct engine *engine, int news_fd)
{
	struct loader *loader = calloc(1, sizeof(*loader));

	if (!loader)
		return -ENOMEM;
	loader->engine = engine;
	loader->news_fd = news_fd;
	*ret = loader;
	return 0;
}

void loader_free(struct loader *loader)
{
	struct error why;

	if (!loader)
		return;
	if (loader->is_begun && wait_for(loader, &why) >= 0) {
		if (loader->what == LOADER_MODEL)
			engine_model_free(loader->loaded);
		else if (loader->what == LOADER_ADAPTER)
			engine_adapter_free(loader->adapter);
		else
			opened_unref(loader->opened);
	}
	if (loader->is_begun)
		clear(loader);
	free(loader);
}
