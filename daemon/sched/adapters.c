/* SPDX-License-Identifier: MIT */
/* The adapters folder; see adapters.h. */
#include "sched/adapters.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sched/model_place.h"
#include "sched/models.h"

#define ADAPTERS_MAX	1024
#define LOAD_FAILED_NS	NS_PER_S	/* so long those who waited are told of it */
#define ADAPTERS_DIR	"adapters"
#define ADAPTERS_MARKER	"adapter_config.json"	/* what makes a folder an adapter */

struct adapters {
	struct models *models;
	struct adapter *reading;	/* beside the steps, for @reading_for; one of its users */
	struct model *reading_for;
	bool has_fresh;
	char *usual;			/* where to look, while there is no @directory */
	char *directory;		/* resolved; NULL: there is none */
	struct list list;
	unsigned int count;
};

/* ---- one adapter ---- */

void adapter_unload(struct adapter_bound *bound)
{
	log_info("adapter '%s': unloaded", bound->adapter->name);
	list_remove(&bound->adapter_link);
	list_remove(&bound->model_link);
	engine_adapter_free(bound->loaded);
	/* steps may need less memory now */
	models_measure(bound->model);
	free(bound);
}

static void adapter_forget(struct adapter *adapter)
{
	while (!list_empty(&adapter->bound))
		adapter_unload(list_first(&adapter->bound, struct adapter_bound, adapter_link));
	if (adapter->opening) {
		opening_forget(steal_ptr(adapter->opening));
		adapter->users--;
	}
	opened_unref(adapter->file);
	adapter->file = NULL;
	adapter->open_result = 0;
	adapter->open_why = (struct error){ "" };
	adapter->error = 0;
	adapter->load_result = 0;
}

static void adapter_free(struct adapters *adapters, struct adapter *adapter)
{
	adapter_forget(adapter);
	list_remove(&adapter->link);
	adapters->count--;
	free(adapter->path);
	free(adapter);
}

static struct adapter *adapter_get(const struct adapters *adapters, const char *name)
{
	struct adapter *adapter;

	list_each(adapter, &adapters->list, link)
		if (!strcmp(adapter->name, name))
			return adapter;
	return NULL;
}

/* keep the list in the order of names */
static struct adapter *adapter_new(struct adapters *adapters, const char *name)
{
	struct adapter *adapter, *other;

	if (adapters->count >= ADAPTERS_MAX)
		return NULL;
	adapter = calloc(1, sizeof(*adapter));
	if (!adapter)
		return NULL;
	list_init(&adapter->bound);
	snprintf(adapter->name, sizeof(adapter->name), "%s", name);
	list_each(other, &adapters->list, link)
		if (strcmp(other->name, name) > 0)
			break;
	list_insert(&other->link, &adapter->link);
	adapters->count++;
	return adapter;
}

/* ---- the folder ---- */

static bool adapter_is_same(const struct adapter *adapter, int r, const struct model_place *place)
{
	return r == adapter->found && !r == !!adapter->path &&
	       adapter->size_bytes == place->size_bytes &&
	       adapter->changed_ns == place->changed_ns;
}

/* of its users, the one that no request is */
static unsigned int own_users(const struct adapter *adapter)
{
	return adapter->opening != NULL;
}

static void adapters_look(struct adapters *adapters, const char *name)
{
	struct error error = { "" };
	struct model_place place;
	struct adapter *adapter;
	int r;

	r = model_place_find(adapters->directory, ADAPTERS_MARKER, name, &place, &error);
	adapter = adapter_get(adapters, name);
	if (!adapter)
		adapter = adapter_new(adapters, name);
	if (adapter)
		adapter->present = true;
	/* what is in use stays as it is */
	if (!adapter || adapter->users > own_users(adapter) ||
	    adapter_is_same(adapter, r, &place)) {
		free(place.path);
		return;
	}
	adapter_forget(adapter);
	adapter->memory_bytes = 0;
	free(adapter->path);
	adapter->path = place.path;
	adapter->found = r;
	adapter->size_bytes = place.size_bytes;
	adapter->device = place.device;
	adapter->changed_ns = place.changed_ns;
	adapter->error = r;
	adapter->error_text = error;
}

/* adapters_have_folder() - the usual one may have been made since; without text: -ENOENT none yet */
static int adapters_have_folder(struct adapters *adapters, struct error *error)
{
	if (!adapters->directory)
		adapters->directory = realpath(adapters->usual, NULL);
	if (adapters->directory)
		return 0;
	if (errno == ENOENT)
		return -ENOENT;
	return error_set(error, -errno, "adapters folder '%s': %s", adapters->usual,
			 strerror(errno));
}

int adapters_scan(struct adapters *adapters, struct error *error)
{
	char name[LLM_MODEL_NAME_MAX];
	struct adapter *adapter, *next;
	const struct dirent *entry;
	DIR *dir;
	int r;

	r = adapters_have_folder(adapters, error);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	dir = opendir(adapters->directory);
	if (!dir && errno != ENOENT)
		return error_set(error, -errno, "adapters folder '%s': %s", adapters->directory,
				 strerror(errno));
	list_each(adapter, &adapters->list, link)
		adapter->present = false;
	while (dir && (entry = readdir(dir))) {
		r = model_place_name(adapters->directory, ADAPTERS_MARKER, entry->d_name, name,
				     sizeof(name));
		/* of several entries that are one together, one is enough */
		adapter = r < 0 ? NULL : adapter_get(adapters, name);
		if (r >= 0 && !(adapter && adapter->present))
			adapters_look(adapters, name);
	}
	if (dir)
		closedir(dir);
	list_each_safe(adapter, next, &adapters->list, link)
		if (!adapter->present && !adapter->users)
			adapter_free(adapters, adapter);
	return 0;
}

/* the folder that was named must be there; the one that is usual may come later */
static int adapters_open_folder(struct adapters *adapters, const char *directory,
				const char *models, struct error *error)
{
	_cleanup_free_ char *folder = directory ? NULL : realpath(models, NULL);

	if (directory) {
		adapters->directory = realpath(directory, NULL);
		if (!adapters->directory)
			return error_set(error, -errno, "adapters folder '%s': %s", directory,
					 strerror(errno));
	} else if (!folder) {
		return error_set(error, -errno, "models folder '%s': %s", models, strerror(errno));
	} else if (asprintf(&adapters->usual, "%s/" ADAPTERS_DIR, folder) < 0) {
		adapters->usual = NULL;
		return error_set(error, -ENOMEM, "adapters: %s", strerror(ENOMEM));
	}
	return adapters_scan(adapters, error);
}

int adapters_new(struct adapters **ret, const char *directory, const char *models,
		 struct models *loader, struct error *error)
{
	struct adapters *adapters = calloc(1, sizeof(*adapters));
	int r;

	if (!adapters)
		return error_set(error, -ENOMEM, "adapters: %s", strerror(ENOMEM));
	list_init(&adapters->list);
	adapters->models = loader;
	r = adapters_open_folder(adapters, directory, models, error);
	if (r < 0) {
		adapters_free(adapters);
		return r;
	}
	*ret = adapters;
	return 0;
}

void adapters_free(struct adapters *adapters)
{
	if (!adapters)
		return;
	while (!list_empty(&adapters->list))
		adapter_free(adapters, list_first(&adapters->list, struct adapter, link));
	free(adapters->directory);
	free(adapters->usual);
	free(adapters);
}

struct list *adapters_list(struct adapters *adapters)
{
	return &adapters->list;
}

/* ---- finding ---- */

static int adapter_broken(const struct adapter *adapter, struct error *error)
{
	return error_set(error, adapter->error, "adapter '%s' can not be used: %s", adapter->name,
			 adapter->error_text.text);
}

int adapters_find(struct adapters *adapters, const char *name, struct adapter **ret,
		  struct error *error)
{
	struct adapter *adapter;

	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return error_set(error, -EINVAL, "'%s' is not the name of an adapter", name);
	if (adapters_have_folder(adapters, NULL) < 0)
		return error_set(error, -ENOENT, "no adapter '%s': there is no adapters folder",
				 name);
	adapter = adapter_get(adapters, name);
	/* it may be new, another one by now, or gone */
	if (adapter)
		adapters_look(adapters, name);
	if (!adapter || adapter->found == -ENOENT)
		adapters_scan(adapters, NULL);
	adapter = adapter_get(adapters, name);
	if (!adapter)
		return error_set(error, -ENOENT, "no adapter '%s' in '%s'", name,
				 adapters->directory);
	if (adapter->error)
		return adapter_broken(adapter, error);
	*ret = adapter;
	return 0;
}

/* ---- what their files say ---- */

/* it may work another time */
static bool is_final(int r)
{
	return r != -ENOMEM && r != -EMFILE && r != -ENFILE && r != -EIO;
}

static int adapter_open_failed(struct adapter *adapter, int r, struct error *error)
{
	return error_set(error, r, "adapter '%s' can not be used: %s", adapter->name,
			 adapter->open_why.text);
}

/* it was read, or could not be: @r */
static int adapter_end_open(struct adapter *adapter, int r, struct opened *file,
			    const struct error *why, struct error *error)
{
	if (!r) {
		adapter->file = file;
		return 0;
	}
	if (is_final(r)) {
		adapter->error = r;
		adapter->error_text = *why;
	}
	adapter->open_result = r;
	adapter->open_why = *why;
	adapter->open_failed_ns = clock_ns();
	return adapter_open_failed(adapter, r, error);
}

static int adapter_open_here(struct adapter *adapter, struct error *error)
{
	struct error why = { "" };
	struct opened *file = NULL;
	int r = opened_new_adapter(&file, adapter->name, adapter->path, &why);

	return adapter_end_open(adapter, r, file, &why, error);
}

int adapters_open(struct adapters *adapters, struct adapter *adapter, bool is_for_list,
		  struct error *error)
{
	struct openers *openers = models_openers(adapters->models);
	const struct opening_what what = {
		.name = adapter->name,
		.path = adapter->path,
		.device = adapter->device,
		.is_adapter = true,
		.is_for_list = is_for_list,
	};
	int r;

	if (adapter->error)
		return adapter_broken(adapter, error);
	if (adapter->file)
		return 0;
	if (adapter->opening)
		return -EINPROGRESS;
	if (!openers)
		return adapter_open_here(adapter, error);
	if (adapter->open_result < 0 && clock_ns() < adapter->open_failed_ns + LOAD_FAILED_NS)
		return adapter_open_failed(adapter, adapter->open_result, error);
	adapter->open_result = 0;
	adapter->open_why = (struct error){ "" };
	r = opening_begin(openers, &what, &adapter->opening);
	if (r == -EBUSY)
		return -EINPROGRESS;
	if (r < 0)
		return adapter_open_here(adapter, error);
	adapter->users++;
	return -EINPROGRESS;
}

static void adapters_heard_open(struct adapters *adapters)
{
	struct error why = { "" }, error;
	struct opened *file = NULL;
	struct adapter *adapter;
	int r;

	list_each(adapter, &adapters->list, link) {
		if (!adapter->opening || !opening_is_heard(adapter->opening))
			continue;
		r = opening_take(steal_ptr(adapter->opening), &file, &why);
		adapter->users--;
		adapter_end_open(adapter, r, file, &why, &error);
	}
}

/* ---- in memory ---- */

/* those who name it have named the file as it was */
static int adapter_check_same(const struct adapters *adapters, const struct adapter *adapter,
			      struct error *error)
{
	struct model_place place = { 0 };
	struct error why = { "" };
	bool is_same;
	int r;

	r = model_place_find(adapters->directory, ADAPTERS_MARKER, adapter->name, &place, &why);
	is_same = adapter_is_same(adapter, r, &place);
	free(place.path);
	if (is_same)
		return 0;
	return error_set(error, -ESTALE, "adapter '%s' was replaced during the answer",
			 adapter->name);
}

static struct adapter_bound *adapter_find_bound(const struct adapter *adapter,
						const struct model *model)
{
	struct adapter_bound *bound;

	list_each(bound, &adapter->bound, adapter_link)
		if (bound->model == model)
			return bound;
	return NULL;
}

static int adapter_failed(const struct adapter *adapter, const struct model *model, int r,
			  const struct error *why, struct error *error)
{
	/* the caller takes that for a lack of room that others could give up */
	return error_set(error, r == -EAGAIN ? -ENOMEM : r,
			 "adapter '%s' can not be used with model '%s': %s", adapter->name,
			 model->name, why->text);
}

/* @loaded becomes the model's, or is freed */
static int adapter_add(struct adapter *adapter, struct model *model,
		       struct engine_adapter *loaded, struct adapter_bound **ret, struct error *why)
{
	struct adapter_bound *bound = calloc(1, sizeof(*bound));
	struct engine_adapter_info info;
	int r;

	r = bound ? engine_adapter_ready(loaded, why) : error_set(why, -ENOMEM, "%s",
								  strerror(ENOMEM));
	if (r < 0) {
		free(bound);
		engine_adapter_free(loaded);
		return r;
	}
	engine_adapter_info(loaded, &info);
	bound->loaded = loaded;
	bound->adapter = adapter;
	bound->model = model;
	bound->bytes = info.memory_bytes;
	bound->is_new = true;
	adapter->memory_bytes = bound->bytes;
	list_append(&adapter->bound, &bound->adapter_link);
	list_append(&model->adapters, &bound->model_link);
	models_measure(model);
	log_info("adapter '%s': loaded for model '%s': rank=%u weights=%s", adapter->name,
		 model->name, info.rank, info.weights);
	*ret = bound;
	return 0;
}

static int adapter_get_room(struct adapters *adapters, const struct adapter *adapter,
			    const struct model *model, uint64_t bytes, uint64_t held,
			    struct error *error)
{
	int r = models_get_room_for(adapters->models, model, bytes, held);

	if (r == -ENOMEM)
		error_set(error, r, "there is no memory for adapter '%s' beside model '%s'",
			  adapter->name, model->name);
	return r;
}

/* what it takes is known for sure once it is there, and then it may be too much */
static int adapter_pin(struct adapters *adapters, struct adapter_bound *bound, uint64_t held,
		       struct adapter_bound **ret, struct error *error)
{
	int r = 0;

	bound->pins++;
	if (bound->is_new)
		r = adapter_get_room(adapters, bound->adapter, bound->model, 0, held + bound->bytes,
				     error);
	if (r < 0) {
		bound->pins--;
		/* whether there is room will be known then */
		if (r != -EINPROGRESS)
			adapter_unload(bound);
		return r;
	}
	bound->is_new = false;
	*ret = bound;
	return 0;
}

/* by the thread of the steps, who wait for it */
static int adapter_load_here(struct adapter *adapter, struct model *model,
			     struct adapter_bound **ret, struct error *error)
{
	struct engine_adapter *loaded;
	struct error why = { "" };
	int r;

	r = engine_adapter_read(model->loaded, adapter->path, &loaded, &why);
	if (!r)
		r = adapter_add(adapter, model, loaded, ret, &why);
	return r < 0 ? adapter_failed(adapter, model, r, &why, error) : 0;
}

/* was it tried just now? Who has waited for it is told; who comes later has it tried again */
static bool adapter_has_failed(const struct adapter *adapter, const struct model *model)
{
	return adapter->load_result < 0 && !strcmp(adapter->load_model, model->name) &&
	       clock_ns() < adapter->load_failed_ns + LOAD_FAILED_NS;
}

static int adapter_load(struct adapters *adapters, struct adapter *adapter, struct model *model,
			uint64_t held, struct adapter_bound **ret, struct error *error)
{
	const uint64_t bytes = MAX(adapter->size_bytes, adapter->memory_bytes);
	int r;

	/* nothing makes way before it can be read */
	if (models_is_loading(adapters->models))
		return -EINPROGRESS;
	if (adapter_has_failed(adapter, model))
		return adapter_failed(adapter, model, adapter->load_result, &adapter->load_why,
				      error);
	adapter->load_result = 0;
	r = adapter_check_same(adapters, adapter, error);
	if (r >= 0)
		r = adapter_get_room(adapters, adapter, model, bytes, held, error);
	if (r < 0)
		return r;
	r = models_read(adapters->models, model, adapter->name, adapter->path, bytes);
	if (r == -EINPROGRESS)
		return r;
	if (r < 0)
		return adapter_load_here(adapter, model, ret, error);
	adapters->reading = adapter;
	adapters->reading_for = model;
	adapter->users++;
	return -EINPROGRESS;
}

static void adapters_heard_read(struct adapters *adapters)
{
	struct engine_adapter *loaded = NULL;
	struct adapter_bound *bound;
	struct error why = { "" };
	struct adapter *adapter;
	struct model *model;
	int r;

	if (!models_read_heard(adapters->models, &r, &loaded, &why))
		return;
	adapter = steal_ptr(adapters->reading);
	model = steal_ptr(adapters->reading_for);
	/* the thread opened what was there by then; who named it finds out when he asks again */
	if (!r && adapter_check_same(adapters, adapter, &why) < 0)
		engine_adapter_free(loaded);
	else if (!r)
		r = adapter_add(adapter, model, loaded, &bound, &why);
	adapter->users--;
	if (r < 0) {
		adapter->load_result = r;
		adapter->load_why = why;
		adapter->load_failed_ns = clock_ns();
		snprintf(adapter->load_model, sizeof(adapter->load_model), "%s", model->name);
		return;
	}
	list_each(bound, &adapter->bound, adapter_link)
		bound->is_fresh |= bound->is_new;
	adapters->has_fresh = true;
}

void adapters_heard(struct adapters *adapters)
{
	adapters_heard_open(adapters);
	adapters_heard_read(adapters);
}

void adapters_settle(struct adapters *adapters)
{
	struct adapter_bound *bound;
	struct adapter *adapter;

	if (!adapters->has_fresh)
		return;
	adapters->has_fresh = false;
	list_each(adapter, &adapters->list, link)
		list_each(bound, &adapter->bound, adapter_link)
			bound->is_fresh = false;
}

int adapter_bind(struct adapters *adapters, struct adapter *adapter, struct model *model,
		 uint64_t held, struct adapter_bound **ret, struct error *error)
{
	struct adapter_bound *bound = adapter_find_bound(adapter, model);
	int r;

	if (!bound) {
		r = adapter_load(adapters, adapter, model, held, &bound, error);
		if (r < 0)
			return r;
	}
	return adapter_pin(adapters, bound, held, ret, error);
}

void adapter_unbind(struct adapter_bound *bound)
{
	bound->pins--;
}

/* ---- facts ---- */

static void adapter_print_why(const struct adapter *adapter, char *text, size_t size)
{
	if (adapter->error)
		snprintf(text, size, "%.*s", (int)size - 1, adapter->error_text.text);
	else if (adapter->opening)
		opening_print(adapter->opening, text, size);
	else
		snprintf(text, size, "%.*s", (int)size - 1,
			 *adapter->open_why.text ? adapter->open_why.text :
						   "its file has yet to be read");
}

void adapters_fill_info(const struct adapter *adapter, struct llm_model_info *info)
{
	const struct engine_adapter_info *facts;
	const struct adapter_bound *bound;

	*info = (struct llm_model_info){
		.size = sizeof(*info),
		.flags = LLM_MODEL_ADAPTER,
		.file_bytes = adapter->size_bytes,
	};
	snprintf(info->name, sizeof(info->name), "%s", adapter->name);
	if (!adapter->file || adapter->error) {
		info->flags |= LLM_MODEL_BROKEN;
		adapter_print_why(adapter, info->error, sizeof(info->error));
		return;
	}
	facts = &adapter->file->adapter;
	info->parameters = facts->parameters;
	info->width = facts->rank;
	snprintf(info->arch, sizeof(info->arch), "%s", facts->arch);
	snprintf(info->weights, sizeof(info->weights), "%s", facts->weights);
	list_each(bound, &adapter->bound, adapter_link) {
		info->flags |= LLM_MODEL_LOADED;
		info->memory_bytes += bound->bytes;
		snprintf(info->arch, sizeof(info->arch), "%s", bound->model->info.arch);
	}
}
