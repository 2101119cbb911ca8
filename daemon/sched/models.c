/* SPDX-License-Identifier: MIT */
/* The models folder; see models.h. */
#include "sched/models.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/hub.h"
#include "sched/adapters.h"
#include "sched/guard.h"
#include "sched/loader.h"
#include "sched/model_place.h"

#define MODELS_MAX	1024
#define FAILED_NS	NS_PER_S	/* so long those who waited are told of it */
#define REREADS_MAX	4	/* of a file that is another one each time that it has been read */

struct models {
	struct engine *engine;
	char *directory;		/* resolved */
	char default_name[LLM_MODEL_NAME_MAX];
	struct list list;
	unsigned int count;
	uint64_t memory_max;		/* bytes of all that are loaded, 0: any */
	bool is_strict;			/* that binds a model that is alone, too */
	bool (*make_room)(void *arg, const struct model *model);
	void *room_arg;
	bool named_long;		/* a name that is too long was told of, once */
	void (*busy)(const char *name);
	struct openers *openers;	/* read files; NULL: all is done by who asks */
	struct loader *loader;		/* NULL: nothing is loaded beside what is computed */
	struct model *loading;		/* by it; one of its users */
	struct opened *loading_file;	/* of which */
	uint64_t loading_ns;		/* when that began */
	struct model *reading;		/* for which it reads an adapter; one of its users */
	uint64_t reading_bytes;		/* that the adapter will take, as far as is known */
	bool is_outdated;		/* what is being loaded is not the model's file any more */
};

/* ---- one model ---- */

static void model_drop_adapters(struct model *model)
{
	while (!list_empty(&model->adapters))
		adapter_unload(list_first(&model->adapters, struct adapter_bound, model_link));
}

static void model_close_file(struct model *model)
{
	opened_unref(model->file);
	model->file = NULL;
	model->gguf = NULL;
	model->tokenizer = NULL;
	model->piece_max = 0;
	model->read_time.kib_ns = 0;
	model->open_result = 0;
	model->open_why = (struct error){ "" };
}

static void model_set_file(struct model *model, struct opened *file)
{
	model->file = file;
	model->gguf = file->gguf;
	model->tokenizer = file->tokenizer;
	model->chat = file->chat;
	model->info = file->info;
	read_time_measure(&model->read_time, model->tokenizer);
}

/* all but its file, which is what it is loaded from */
static void model_close_loaded(struct model *model)
{
	sampler_free(model->sampler);
	gram_vocab_unref(model->vocab);
	model_drop_adapters(model);
	if (model->loaded) {
		guard_remove(model->name);
		engine_model_free(model->loaded);
		log_info("model '%s': unloaded", model->name);
	}
	model->sampler = NULL;
	model->vocab = NULL;
	model->loaded = NULL;
	model->load_result = 0;
}

static void model_close(struct model *model)
{
	model_close_loaded(model);
	model_close_file(model);
}

/* the same, while those who are charged for what it keeps are there to be told */
static void model_forget(struct model *model)
{
	if (model->loaded)
		engine_prefix_clear(model->loaded);
	model_close(model);
}

static void model_free(struct models *models, struct model *model)
{
	model_close(model);
	list_remove(&model->link);
	models->count--;
	free(model->path);
	free(model);
}

static struct model *model_get(struct models *models, const char *name)
{
	struct model *model;

	list_each(model, &models->list, link)
		if (!strcmp(model->name, name))
			return model;
	return NULL;
}

/* keep the list in the order of names */
static struct model *model_new(struct models *models, const char *name)
{
	struct model *model, *other;

	if (models->count >= MODELS_MAX)
		return NULL;
	model = calloc(1, sizeof(*model));
	if (!model)
		return NULL;
	list_init(&model->adapters);
	snprintf(model->name, sizeof(model->name), "%s", name);
	list_each(other, &models->list, link)
		if (strcmp(other->name, name) > 0)
			break;
	list_insert(&other->link, &model->link);
	models->count++;
	return model;
}

static int model_fail(struct model *model, int r, const struct error *why)
{
	model->error = r;
	model->error_text = *why;
	log_warning("model '%s' can not be used: %s", model->name, why->text);
	return r;
}

/* ---- the folder ---- */

/* the name of a model that an entry of the folder belongs to, "" if it is none */
static void models_entry_name(struct models *models, const char *entry, char *name, size_t size)
{
	int r = model_place_name(models->directory, HUB_CONFIG, entry, name, size);

	if (r < 0)
		*name = '\0';
	if (r != -ENAMETOOLONG || models->named_long)
		return;
	models->named_long = true;
	log_warning("models: name of '%s' is longer than %zu bytes", entry, size - 1);
}

/* is all as it was when this model was last looked at? Then so is what is wrong with it. */
static bool model_is_same(const struct model *model, int r, const struct model_place *place)
{
	return r == model->found && !r == !!model->path &&
	       model->size_bytes == place->size_bytes && model->changed_ns == place->changed_ns;
}

/* of its users, those that no request is */
static unsigned int own_users(const struct models *models, const struct model *model)
{
	return (model == models->loading) + (model->opening != NULL);
}

/* what is being read is not its file any more: whoever wants that has it read anew */
static void model_forget_opening(struct model *model)
{
	if (!model->opening)
		return;
	opening_forget(steal_ptr(model->opening));
	model->users--;
	model->read_ns = clock_ns();
}

/* a file that is being written is another one at each look; see models_open() */
static void model_count_changes(struct model *model)
{
	const bool is_soon = model->read_ns && clock_ns() < model->read_ns + FAILED_NS;

	model->rereads = is_soon ? model->rereads + 1 : 0;
}

/* one model of the folder: new, as before, or another one under an old name */
static void models_look(struct models *models, const char *name)
{
	struct model_place place;
	struct error error = { "" };
	struct model *model;
	int r;

	r = model_place_find(models->directory, HUB_CONFIG, name, &place, &error);
	model = model_get(models, name);
	if (!model)
		model = model_new(models, name);
	if (model)
		model->present = true;
	/* what is in use stays as it is; what is only being loaded, for nobody, is not */
	if (!model || model->users > own_users(models, model) ||
	    model_is_same(model, r, &place)) {
		free(place.path);
		return;
	}
	models->is_outdated |= model == models->loading;
	model_count_changes(model);
	model_forget_opening(model);
	model_forget(model);
	model->memory_bytes = 0;
	free(model->path);
	model->path = place.path;
	model->found = r;
	model->size_bytes = place.size_bytes;
	model->device = place.device;
	model->changed_ns = place.changed_ns;
	model->error = 0;
	if (r < 0)
		model_fail(model, r, &error);
}

int models_scan(struct models *models, struct error *error)
{
	char name[LLM_MODEL_NAME_MAX];
	struct model *model, *next;
	struct dirent *entry;
	DIR *dir;

	dir = opendir(models->directory);
	if (!dir)
		return error_set(error, -errno, "models folder '%s': %s", models->directory,
				 strerror(errno));
	list_each(model, &models->list, link)
		model->present = false;
	while ((entry = readdir(dir))) {
		models_entry_name(models, entry->d_name, name, sizeof(name));
		/* of several entries that are one together, one is enough */
		model = *name ? model_get(models, name) : NULL;
		if (*name && !(model && model->present))
			models_look(models, name);
	}
	closedir(dir);
	list_each_safe(model, next, &models->list, link)
		if (!model->present && !model->users) {
			model_forget(model);
			model_free(models, model);
		}
	return 0;
}

int models_new(struct models **ret, struct engine *engine, const char *directory,
	       const char *default_name, struct error *error)
{
	struct models *models;
	int r;

	if (strlen(default_name) >= LLM_MODEL_NAME_MAX)
		return error_set(error, -EINVAL, "default model '%s': name is too long",
				 default_name);
	models = calloc(1, sizeof(*models));
	if (!models)
		return error_set(error, -ENOMEM, "models: %s", strerror(ENOMEM));
	list_init(&models->list);
	models->engine = engine;
	snprintf(models->default_name, sizeof(models->default_name), "%s", default_name);
	models->directory = realpath(directory, NULL);
	r = models->directory ? models_scan(models, error) :
	    error_set(error, -errno, "models folder '%s': %s", directory, strerror(errno));
	if (r < 0) {
		models_free(models);
		return r;
	}
	*ret = models;
	return 0;
}

void models_free(struct models *models)
{
	if (!models)
		return;
	openers_free(models->openers);
	loader_free(models->loader);
	opened_unref(models->loading_file);
	while (!list_empty(&models->list))
		model_free(models, list_first(&models->list, struct model, link));
	free(models->directory);
	free(models);
}

struct list *models_list(struct models *models)
{
	return &models->list;
}

unsigned int models_loaded(const struct models *models)
{
	const struct model *model;
	unsigned int count = 0;

	list_each(model, &models->list, link)
		count += model->loaded != NULL;
	return count;
}

void models_set_busy(struct models *models, void (*busy)(const char *name))
{
	models->busy = busy;
}

/* ---- finding ---- */

/* what the client may have meant, as far as it fits in a line */
static int models_not_found(struct models *models, const char *name, struct error *error)
{
	struct model *model;
	char all[160] = "";
	size_t len = 0;

	list_each(model, &models->list, link) {
		int n = snprintf(all + len, sizeof(all) - len, "%s%s", len ? ", " : "",
				 model->name);

		if (n < 0 || len + n >= sizeof(all)) {
			snprintf(all + len, sizeof(all) - len, "%s", len ? ", ..." : "");
			break;
		}
		len += n;
	}
	if (!len)
		return error_set(error, -ENOENT, "no model '%s': there are no models in '%s'", name,
				 models->directory);
	return error_set(error, -ENOENT, "no model '%s'; there is %s", name, all);
}

static struct model *models_default(struct models *models)
{
	struct model *model;

	if (*models->default_name)
		return model_get(models, models->default_name);
	/* the first that is not known to be broken */
	list_each(model, &models->list, link)
		if (!model->error)
			return model;
	return list_empty(&models->list) ? NULL : list_first(&models->list, struct model, link);
}

static struct model *models_lookup(struct models *models, const char *name)
{
	return *name ? model_get(models, name) : models_default(models);
}

int models_find(struct models *models, const char *name, struct model **ret,
		struct error *error)
{
	struct model *model;

	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return error_set(error, -EINVAL, "'%s' is not the name of a model", name);
	model = models_lookup(models, name);
	if (model) {
		/* it may be another one by now: mended, replaced or gone */
		models_look(models, model->name);
	}
	if (!model || model->found == -ENOENT) {
		/* it may be new, or gone */
		models_scan(models, NULL);
		model = models_lookup(models, name);
	}
	if (!model)
		return models_not_found(models, *name ? name : models->default_name, error);
	*ret = model;
	return 0;
}

struct model *models_known(struct models *models, const char *name)
{
	return model_get(models, name);
}

/* ---- opening and loading ---- */

static int models_broken(const struct model *model, struct error *error)
{
	return error_set(error, model->error, "model '%s' can not be used: %s", model->name,
			 model->error_text.text);
}

/* what is wrong with the file now, and not with the machine's memory or disk */
static bool models_is_final(int r)
{
	return r != -ENOMEM && r != -EMFILE && r != -ENFILE && r != -EINTR && r != -EAGAIN &&
	       r != -EIO;
}

static int models_failed(struct model *model, int r, const struct error *why,
			 struct error *error)
{
	if (models_is_final(r))
		model_fail(model, r, why);
	return error_set(error, r, "model '%s' can not be used: %s", model->name, why->text);
}

/* it was read, or could not be: @r */
static int models_end_open(struct model *model, int r, struct opened *file, const struct error *why,
			   struct error *error)
{
	if (r < 0) {
		model->open_result = r;
		model->open_why = *why;
		model->open_failed_ns = clock_ns();
		return models_failed(model, r, why, error);
	}
	model_set_file(model, file);
	return 0;
}

static int models_open_here(struct model *model, struct error *error)
{
	struct error why = { "" };
	struct opened *file;
	int r;

	if (model->error)
		return models_broken(model, error);
	if (model->file)
		return 0;
	r = opened_new(&file, model->name, model->path, &why);
	return models_end_open(model, r, file, &why, error);
}

/* who waits for a file that never stays as it was read would wait, and keep others waiting */
static int models_check_steady(struct model *model, struct error *error)
{
	if (model->rereads <= REREADS_MAX || clock_ns() >= model->read_ns + FAILED_NS)
		return 0;
	error_set(&model->open_why, -ESTALE, "its file is being written");
	return error_set(error, -ESTALE, "model '%s' can not be used: %s", model->name,
			 model->open_why.text);
}

static int models_begin_open(struct models *models, struct model *model, bool is_for_list)
{
	const struct opening_what what = {
		.name = model->name,
		.path = model->path,
		.device = model->device,
		.is_for_list = is_for_list,
	};
	int r = opening_begin(models->openers, &what, &model->opening);

	if (r == -EBUSY)
		return -EINPROGRESS;
	if (r < 0)
		return r;
	model->users++;
	return -EINPROGRESS;
}

static int models_open_for(struct models *models, struct model *model, bool is_for_list,
			   struct error *error)
{
	int r;

	if (!models->openers || model->error || model->file)
		return models_open_here(model, error);
	if (model->opening)
		return -EINPROGRESS;
	r = models_check_steady(model, error);
	if (r < 0)
		return r;
	if (model->open_result < 0 && clock_ns() < model->open_failed_ns + FAILED_NS)
		return models_failed(model, model->open_result, &model->open_why, error);
	model->open_result = 0;
	model->open_why = (struct error){ "" };
	r = models_begin_open(models, model, is_for_list);
	/* without a thread the others have to wait */
	return r == -EINPROGRESS ? r : models_open_here(model, error);
}

int models_open(struct models *models, struct model *model, struct error *error)
{
	return models_open_for(models, model, false, error);
}

int models_open_for_list(struct models *models, struct model *model, struct error *error)
{
	return models_open_for(models, model, true, error);
}

struct openers *models_openers(const struct models *models)
{
	return models->openers;
}

static void model_heard_open(struct model *model)
{
	struct error why = { "" }, error;
	struct opened *file;
	int r;

	r = opening_take(steal_ptr(model->opening), &file, &why);
	model->users--;
	model->read_ns = clock_ns();
	models_end_open(model, r, file, &why, &error);
}

static bool models_heard_open(struct models *models)
{
	struct model *model;
	bool any = false;

	list_each(model, &models->list, link)
		if (model->opening && opening_is_heard(model->opening)) {
			model_heard_open(model);
			any = true;
		}
	return any;
}

/* @loaded becomes the model's own, or is freed */
static int models_take(struct models *models, struct model *model, struct engine_model *loaded,
		       struct error *error)
{
	int r;

	engine_model_info(loaded, &model->info);
	r = sampler_new(&model->sampler, model->info.vocab);
	if (r < 0) {
		engine_model_free(loaded);
		return error_set(error, r, "sampler: %s", strerror(-r));
	}
	guard_add(model->name, loaded);
	model->loaded = loaded;
	pace_guess(&model->pace, model->info.parameters, engine_threads(models->engine));
	return 0;
}

/* ---- memory ---- */

void models_set_memory(struct models *models, uint64_t bytes, bool is_strict,
		       bool (*make_room)(void *arg, const struct model *model), void *arg)
{
	models->memory_max = bytes;
	models->is_strict = is_strict;
	models->make_room = make_room;
	models->room_arg = arg;
}

static uint64_t models_memory(const struct models *models)
{
	const struct adapter_bound *bound;
	const struct model *model;
	uint64_t bytes = 0;

	bytes += models->reading ? models->reading_bytes : 0;
	list_each(model, &models->list, link) {
		if (!model->loaded && model != models->loading)
			continue;
		bytes += model->size_bytes + model->memory_bytes;
		list_each(bound, &model->adapters, model_link)
			bytes += bound->bytes;
	}
	return bytes;
}

int models_get_room_for(struct models *models, const struct model *model, uint64_t bytes,
			uint64_t held)
{
	for (;;) {
		const uint64_t used = models_memory(models);

		if (!models->memory_max || used + bytes <= models->memory_max)
			return 0;
		if (models->make_room(models->room_arg, model))
			continue;
		/* what is being loaded makes way for nobody, until it is known what it takes */
		if (models->reading || (models->loading && models->loading != model))
			return -EINPROGRESS;
		/* others will end */
		if (used > model->size_bytes + model->memory_bytes + held)
			return -EAGAIN;
		return models->is_strict ? -ENOMEM : 0;
	}
}

/*
 * Room for it beside the others, as far as is known what it takes; without others it is always tried.
 * Return: there is.
 */
static bool models_get_room(struct models *models, const struct model *model)
{
	const uint64_t own = model->size_bytes + model->memory_bytes;

	for (;;) {
		const uint64_t used = models_memory(models) - (model->loaded ? own : 0);

		if (!models->memory_max || !used || used + own <= models->memory_max)
			return true;
		if (!models->make_room(models->room_arg, model))
			return false;
	}
}

void models_unload(struct model *model)
{
	/* while it is whole */
	model_drop_adapters(model);
	/* who points to it goes on counting and spelling tokens, of this file and no other */
	if (!model->users) {
		model_forget(model);
		return;
	}
	engine_prefix_clear(model->loaded);
	model_close_loaded(model);
}

/* those who point to it have looked at the file as it was */
static int models_check_same(struct models *models, const struct model *model, struct error *error)
{
	struct model_place place = { 0 };
	struct error why = { "" };
	bool is_same;
	int r;

	if (!model->users)
		return 0;
	r = model_place_find(models->directory, HUB_CONFIG, model->name, &place, &why);
	is_same = model_is_same(model, r, &place);
	free(place.path);
	if (is_same)
		return 0;
	return error_set(error, -ESTALE, "model '%s' was replaced during the answer", model->name);
}

/* it has been loaded, and what it takes is known now: may it stay? */
static int models_check_memory(struct models *models, struct model *model, struct error *error)
{
	const uint64_t own = model->size_bytes + model->memory_bytes;
	const bool has_room = models_get_room(models, model);

	if (has_room && (!models->memory_max || !models->is_strict || own <= models->memory_max))
		return 0;
	models_unload(model);
	if (!has_room)
		return -EAGAIN;
	return error_set(error, -ENOMEM, "it takes %llu bytes of memory, of %llu for all models",
			 (unsigned long long)own, (unsigned long long)models->memory_max);
}

/* once, when it is known */
static void log_swap(struct model *model)
{
	struct engine_model_info info;

	if (!model->loaded || model->has_told_swap)
		return;
	engine_model_info(model->loaded, &info);
	if (!info.swap_error)
		return;
	model->has_told_swap = true;
	log_warning("model '%s': no swap: %s", model->name, strerror(-info.swap_error));
}

static void log_notes(struct model *model)
{
	static const char *const how[] = {
		[ENGINE_PACKED_MEMORY] = "in memory",
		[ENGINE_PACKED_KEPT] = "kept for the next start",
		[ENGINE_PACKED_FOUND] = "found as they were kept",
	};
	const char *note = engine_model_pack_note(model->loaded);

	if (*note)
		log_notice("model '%s': packed weights: %s", model->name, note);
	model->has_told_swap = false;
	log_swap(model);
	if (model->info.packed)
		log_info("model '%s': %llu bytes of packed weights, %s", model->name,
			 (unsigned long long)model->info.packed_bytes, how[model->info.packed]);
}

/* it was loaded, or could not be: @r */
static int models_end_load(struct models *models, struct model *model, int r,
			   struct engine_model *loaded, uint64_t start_ns, struct error *why)
{
	if (!r)
		r = models_take(models, model, loaded, why);
	/* what it lacked is nothing that others could give up */
	if (r == -EAGAIN)
		r = -ENOMEM;
	if (r < 0)
		return r;
	/* again: before, the thread that loaded it may have been in the way */
	read_time_measure(&model->read_time, model->tokenizer);
	model->is_fresh = true;
	models_measure(model);
	r = models_check_memory(models, model, why);
	if (r < 0)
		return r;
	log_info("model '%s': loaded in %llu ms: arch=%s weights=%s context=%u kv_pages=%u",
		 model->name, (unsigned long long)((clock_ns() - start_ns) / NS_PER_MS),
		 model->info.arch, model->info.weights, model->info.context_used,
		 model->info.kv_pages);
	log_notes(model);
	return 0;
}

/* it is open. Return: 0: it can be loaded now; else as models_load() */
static int models_may_load(struct models *models, struct model *model, struct error *error)
{
	int r;

	if (models_is_loading(models))
		return -EINPROGRESS;
	/* who has waited for it is told; who comes later has it tried again */
	if (model->load_result < 0 && clock_ns() < model->load_failed_ns + FAILED_NS)
		return models_failed(model, model->load_result, &model->load_why, error);
	model->load_result = 0;
	r = models_check_same(models, model, error);
	if (r < 0)
		return r;
	return models_get_room(models, model) ? 0 : -EAGAIN;
}

/* its file is open */
static int models_load_here(struct models *models, struct model *model, struct error *error)
{
	struct engine_model *loaded = NULL;
	const uint64_t start_ns = clock_ns();
	struct error why = { "" };
	int r;

	log_info("model '%s': loading '%s'", model->name, model->path);
	guard_loading(model->name);
	r = engine_model_load_opened(models->engine, model->path, model->file->gguf,
				     model->file->tokenizer, &loaded, &why);
	guard_loading(NULL);
	r = models_end_load(models, model, r, loaded, start_ns, &why);
	return r < 0 && r != -EAGAIN ? models_failed(model, r, &why, error) : r;
}

int models_load_now(struct models *models, struct model *model, struct error *error)
{
	int r;

	if (model->loaded)
		return 0;
	if (models->busy)
		models->busy(model->name);
	r = models_open_here(model, error);
	if (!r)
		r = models_may_load(models, model, error);
	if (!r)
		r = models_load_here(models, model, error);
	if (models->busy)
		models->busy(NULL);
	return r;
}

int models_load(struct models *models, struct model *model, struct error *error)
{
	int r;

	if (!models->loader)
		return models_load_now(models, model, error);
	if (model->loaded)
		return 0;
	/* what makes way for it does so when it is known that it can be loaded */
	r = models_open(models, model, error);
	if (!r)
		r = models_may_load(models, model, error);
	if (r < 0)
		return r;
	if (loader_begin(models->loader, model->name, model->path, model->file) < 0)
		return models_load_here(models, model, error);
	log_info("model '%s': loading '%s'", model->name, model->path);
	models->loading = model;
	models->loading_file = opened_ref(model->file);
	models->loading_ns = clock_ns();
	model->users++;
	return -EINPROGRESS;
}

int models_load_beside(struct models *models, int news_fd)
{
	int r = openers_new(&models->openers, news_fd);

	return r < 0 ? r : loader_new(&models->loader, models->engine, news_fd);
}

bool models_is_loading(const struct models *models)
{
	return models->loading || models->reading;
}

int models_read(struct models *models, struct model *model, const char *name, const char *path,
		uint64_t bytes)
{
	int r;

	if (!models->loader)
		return -EOPNOTSUPP;
	if (models_is_loading(models))
		return -EINPROGRESS;
	r = loader_begin_adapter(models->loader, name, path, model->loaded);
	if (r < 0)
		return r;
	models->reading = model;
	models->reading_bytes = bytes;
	model->users++;
	return 0;
}

void models_measure(struct model *model)
{
	engine_model_info(model->loaded, &model->info);
	model->memory_bytes = model->info.memory_bytes;
}

bool models_is_reading(const struct models *models, const struct model *model)
{
	return model && model == models->reading;
}

bool models_read_heard(struct models *models, int *ret_result, struct engine_adapter **ret,
		       struct error *error)
{
	if (!models->reading || !loader_is_ended(models->loader))
		return false;
	steal_ptr(models->reading)->users--;
	*ret_result = loader_take_adapter(models->loader, ret, error);
	return true;
}

const char *models_slowest(const struct models *models, uint64_t *ret_ns)
{
	const char *name = models->openers ? openers_slowest(models->openers, ret_ns) : NULL;

	if (name || !models->loading || clock_ns() < models->loading_ns + OPENERS_SLOW_NS)
		return name;
	*ret_ns = models->loading_ns;
	return models->loading->name;
}

static bool models_heard_load(struct models *models)
{
	_cleanup_(opened_unrefp) struct opened *file = NULL;
	struct engine_model *loaded;
	struct error why = { "" };
	struct model *model;
	int r;

	if (!models->loading || !loader_is_ended(models->loader))
		return false;
	model = steal_ptr(models->loading);
	file = steal_ptr(models->loading_file);
	r = loader_take(models->loader, &loaded, &why);
	if (models->is_outdated) {
		if (r >= 0)
			engine_model_free(loaded);
		models->is_outdated = false;
		model->users--;
		return true;
	}
	/* its file may have been another one already when it was opened */
	if (!r) {
		r = models_check_same(models, model, &why);
		if (r < 0)
			engine_model_free(loaded);
	}
	r = models_end_load(models, model, r, loaded, models->loading_ns, &why);
	model->users--;
	if (r < 0 && r != -EAGAIN) {
		model->load_result = r;
		model->load_why = why;
		model->load_failed_ns = clock_ns();
	}
	return true;
}

bool models_heard(struct models *models)
{
	const bool is_opened = models_heard_open(models);
	struct model *model;

	list_each(model, models_list(models), link)
		log_swap(model);
	return models_heard_load(models) || is_opened;
}

/* ---- facts ---- */

int models_vocab(struct model *model, struct gram_vocab **ret)
{
	int r = model->vocab ? 0 : gram_vocab_new(&model->vocab, model->tokenizer,
						     model->info.vocab);

	*ret = model->vocab;
	return r;
}

size_t models_piece_max(struct model *model)
{
	uint32_t id, vocab = tok_vocab(model->tokenizer);
	size_t len, max = 1;

	if (model->piece_max)
		return model->piece_max;
	for (id = 0; id < vocab; id++)
		if (tok_piece(model->tokenizer, id, false, true, &len))
			max = MAX(max, len);
	model->piece_max = max;
	return max;
}

static void models_fill_facts(struct model *model, struct llm_model_info *info)
{
	const struct engine_model_info *facts = &model->info;

	info->parameters = facts->parameters;
	info->context = facts->context;
	info->layers = facts->layers;
	info->width = facts->width;
	info->heads = facts->heads;
	info->kv_heads = facts->kv_heads;
	info->ff_width = facts->ff_width;
	info->vocab = facts->vocab;
	snprintf(info->arch, sizeof(info->arch), "%s", facts->arch);
	snprintf(info->weights, sizeof(info->weights), "%s", facts->weights);
	snprintf(info->chat, sizeof(info->chat), "%s", chat_name(model->chat));
	if (model->tokenizer)
		snprintf(info->tokenizer, sizeof(info->tokenizer), "%s",
			 tok_kind_name(model->tokenizer));
	if (!facts->has_output)
		info->flags |= LLM_MODEL_ENCODER;
	info->labels = facts->labels;
	if (facts->labels)
		info->flags |= LLM_MODEL_LABELS;
	if (model->loaded) {
		engine_model_info(model->loaded, &model->info);
		info->flags |= LLM_MODEL_LOADED;
		info->memory_bytes = facts->memory_bytes;
		info->context_used = facts->context_used;
	}
}

/* without a mark of its own it may work another time: memory, descriptors, a disk that hangs */
static void model_print_why(const struct model *model, char *text, size_t size)
{
	if (model->error)
		snprintf(text, size, "%.*s", (int)size - 1, model->error_text.text);
	else if (model->opening)
		opening_print(model->opening, text, size);
	else
		snprintf(text, size, "%.*s", (int)size - 1,
			 *model->open_why.text ? model->open_why.text :
						 "its file has yet to be read");
}

void models_fill_info(struct models *models, struct model *model, struct llm_model_info *info)
{
	*info = (struct llm_model_info){
		.size = sizeof(*info),
		.file_bytes = model->size_bytes,
	};
	snprintf(info->name, sizeof(info->name), "%s", model->name);
	if (!model->file || model->error) {
		info->flags |= LLM_MODEL_BROKEN;
		model_print_why(model, info->error, sizeof(info->error));
	} else {
		models_fill_facts(model, info);
	}
	if (model == models_default(models))
		info->flags |= LLM_MODEL_DEFAULT;
}
