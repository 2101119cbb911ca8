/* SPDX-License-Identifier: MIT */
/* Engines, models and adapters of the engine for tests of the scheduler; see sched_engine.h. */
#include "sched_engine_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define FAKE_LOOK_NS	100	/* a look at the clock: who waits for a time gets there */

struct fake_counts fake_counts;
void (*fake_on_step)(void);
void (*fake_on_open)(const char *path);
int fake_open_error;
void (*fake_on_load)(void);
void (*fake_on_adapter)(void);
unsigned int fake_context_max;
size_t fake_adapt_bytes;
bool fake_forgets;
bool fake_swap_hangs;
unsigned int fake_ahead;
uint64_t fake_token_ns;
_Atomic uint64_t fake_clock_ns;
int fake_step_error;
unsigned int fake_nan_step;

void fake_reset(void)
{
	fake_on_step = fake_on_load = fake_on_adapter = NULL;
	fake_on_open = NULL;
	fake_open_error = 0;
	fake_context_max = fake_nan_step = 0;
	fake_adapt_bytes = 0;
	fake_forgets = fake_swap_hangs = false;
	fake_ahead = 0;
	fake_token_ns = 0;
	fake_clock_ns = 0;
	fake_step_error = 0;
}

/* stands before libc's */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t ns;

	if (!fake_clock_ns)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	ns = atomic_fetch_add(&fake_clock_ns, FAKE_LOOK_NS);
	*ts = (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
	return 0;
}

unsigned int fake_context(const struct engine_model *model)
{
	unsigned int context = model->engine->config.context;

	if (fake_context_max && (!context || fake_context_max < context))
		context = fake_context_max;
	return context && context < model->gguf->context ? context : model->gguf->context;
}

int engine_new(struct engine **ret, const struct engine_config *config, struct error *error)
{
	(void)error;
	*ret = calloc(1, sizeof(**ret));
	(*ret)->config = *config;
	return 0;
}

void engine_free(struct engine *engine)
{
	free(engine);
}

size_t engine_memory_bytes(void)
{
	return 1U << 30;
}

const char *engine_isa(const struct engine *engine)
{
	(void)engine;
	return "fake";
}

unsigned int engine_threads(const struct engine *engine)
{
	(void)engine;
	return 1;
}

int engine_model_load_opened(struct engine *engine, const char *path, struct gguf *gguf,
			     struct tokenizer *tokenizer, struct engine_model **ret,
			     struct error *error)
{
	struct engine_model *model;

	/* by a thread of its own: no write beside those of the others, where all is well */
	if (!tokenizer)
		fake_counts.broken_promises++;
	if (fake_on_load)
		fake_on_load();
	if (strstr(gguf->text, "unloadable"))
		return error_set(error, -EOPNOTSUPP, "architecture 'odd' is not supported");
	model = calloc(1, sizeof(*model));
	model->engine = engine;
	model->gguf = gguf;
	snprintf(model->name, sizeof(model->name), "%.63s", strrchr(path, '/') + 1);
	model->seqs = calloc(engine->config.max_seqs, sizeof(*model->seqs));
	model->logits = calloc((size_t)engine->config.logits_rows * FAKE_VOCAB, sizeof(float));
	model->hidden = calloc((size_t)engine->config.batch_tokens + gguf->context,
			       FAKE_WIDTH * sizeof(float));
	fake_counts.loads++;
	*ret = model;
	return 0;
}

void engine_model_free(struct engine_model *model)
{
	unsigned int i;

	for (i = 0; i < model->engine->config.max_seqs; i++)
		fake_counts.broken_promises += model->seqs[i].used;
	fake_counts.pages -= model->kept_count;
	fake_counts.kept -= model->kept_count;
	/* its file has outlived it */
	fake_counts.broken_promises += strncmp(model->gguf->text, "FAKE", 4) != 0;
	free(model->seqs);
	free(model->logits);
	free(model->hidden);
	free(model);
}

int engine_file_info(const struct gguf *gguf, struct engine_model_info *ret, struct error *error)
{
	(void)error;
	*ret = (struct engine_model_info){
		.context = gguf->context,
		.vocab = FAKE_VOCAB,
		.width = FAKE_WIDTH,
		.labels = gguf->labels,
		.is_encoder = gguf->encoder,
		.has_output = !gguf->encoder,
		.parameters = 12,
		.arch = "fake",
		.weights = "F32",
	};
	return 0;
}

void engine_model_info(const struct engine_model *model, struct engine_model_info *ret)
{
	engine_file_info(model->gguf, ret, NULL);
	ret->context_used = fake_context(model);
	ret->kv_pages = model->gguf->pages;
	ret->step_tokens = model->engine->config.batch_tokens;
	if (ret->is_encoder)
		ret->step_tokens = MAX(ret->step_tokens, ret->context_used);
	ret->kv_pages_used = model->pages_used + fake_kept_in_use(model);
	ret->kv_pages_kept = model->kept_count - fake_kept_in_use(model);
	ret->page_tokens = model->gguf->page;
	ret->memory_bytes = model->gguf->pages * FAKE_PAGE_BYTES;
	ret->memory_bytes += model->adapters ? fake_adapt_bytes : 0;
}

const char *engine_model_pack_note(const struct engine_model *model)
{
	(void)model;
	return "";
}

/* nothing is kept */
void engine_model_lost(const struct engine_model *model, uintptr_t address)
{
	(void)model;
	(void)address;
}

bool engine_model_has(const struct engine_model *model, uintptr_t address)
{
	return model->gguf && gguf_has(model->gguf, address);
}

/* ---- adapters: "ADAPTER seed=5 bytes=100" ---- */

static int adapter_read(struct engine_adapter *adapter, const char *path, struct error *error)
{
	unsigned long seed = 0, bytes = 0;
	FILE *file = fopen(path, "r");
	int n;

	if (!file)
		return error_set(error, -errno, "'%s': %s", path, strerror(errno));
	n = fscanf(file, "ADAPTER seed=%lu bytes=%lu", &seed, &bytes);
	fclose(file);
	if (n != 2)
		return error_set(error, -EBADMSG, "not an adapter");
	*adapter = (struct engine_adapter){ .seed = seed, .bytes = bytes };
	return 0;
}

int engine_adapter_read(struct engine_model *model, const char *path, struct engine_adapter **ret,
			struct error *error)
{
	struct engine_adapter adapter;
	int r;

	if (fake_on_adapter)
		fake_on_adapter();
	r = adapter_read(&adapter, path, error);
	if (r < 0)
		return r;
	adapter.model = model;
	*ret = malloc(sizeof(**ret));
	**ret = adapter;
	return 0;
}

int engine_adapter_ready(struct engine_adapter *adapter, struct error *error)
{
	(void)error;
	adapter->id = ++adapter->model->engine->last_adapter;
	adapter->model->adapters++;
	fake_counts.adapters++;
	fake_counts.adapter_loads++;
	return 0;
}

void engine_adapter_free(struct engine_adapter *adapter)
{
	/* one that was only read was never counted */
	if (adapter && adapter->id) {
		fake_counts.adapters--;
		adapter->model->adapters--;
	}
	free(adapter);
}

static struct engine_adapter_info adapter_info(const struct engine_adapter *adapter)
{
	return (struct engine_adapter_info){
		.id = adapter->id, .parameters = 34, .memory_bytes = adapter->bytes,
		.rank = 8, .arch = "fake", .weights = "F16",
	};
}

void engine_adapter_info(const struct engine_adapter *adapter, struct engine_adapter_info *ret)
{
	*ret = adapter_info(adapter);
}

int engine_adapter_file_info(const char *path, struct engine_adapter_info *ret,
			     struct error *error)
{
	struct engine_adapter adapter;
	int r;

	if (fake_on_open)
		fake_on_open(path);
	r = adapter_read(&adapter, path, error);
	if (!r)
		*ret = adapter_info(&adapter);
	return r;
}

int engine_adapter_file_open(const char *path, struct gguf **ret, struct error *error)
{
	struct engine_adapter adapter;
	int r = adapter_read(&adapter, path, error);

	if (!r)
		*ret = calloc(1, sizeof(**ret));
	return r;
}

struct engine_adapter_key engine_adapter_key(const struct engine_adapter_use *use)
{
	struct engine_adapter_key key = { .id = use->adapter->id };

	memcpy(&key.scale, &use->scale, sizeof(use->scale));
	return key;
}
