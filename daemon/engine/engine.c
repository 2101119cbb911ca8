/* SPDX-License-Identifier: MIT */
/*
 * The engine itself (its configuration, instruction set and team of threads), and the checks that
 * stand before a step. The arithmetic is in forward.c.
 */
#include "engine/engine.h"

#include <string.h>

#include "engine/engine_internal.h"

#define SEQS_DEFAULT		8
#define BATCH_TOKENS_DEFAULT	512
#define COUNT_MAX		(1U << 16)	/* of sequences, tokens of a step, rows of logits */

/* bounded() - one number of the configuration, 0 standing for its default */
static int bounded(unsigned int *value, unsigned int fallback, unsigned int max, const char *name,
		   struct error *error)
{
	if (!*value)
		*value = fallback;
	if (*value > max)
		return error_set(error, -EINVAL, "engine: %s is '%u', more than %u", name, *value,
				 max);
	return 0;
}

static int config_numbers(struct engine_config *c, struct error *error)
{
	int r;

	r = bounded(&c->threads, MIN(threads_allowed(), THREADS_MAX), THREADS_MAX, "threads", error);
	if (r >= 0)
		r = bounded(&c->max_seqs, SEQS_DEFAULT, COUNT_MAX, "max_seqs", error);
	if (r >= 0)
		r = bounded(&c->kv_seqs, c->max_seqs, COUNT_MAX, "kv_seqs", error);
	if (r >= 0)
		r = bounded(&c->batch_tokens, BATCH_TOKENS_DEFAULT, COUNT_MAX, "batch_tokens",
			    error);
	if (r >= 0)
		r = bounded(&c->logits_rows, c->max_seqs, COUNT_MAX, "logits_rows", error);
	return r;
}

static int config_kv_type(uint32_t *ret, const char *name, struct error *error)
{
	static const struct {
		const char *name;
		uint32_t type;
	} types[] = {
		{ "auto", ENGINE_KV_AUTO }, { "f32", KERN_F32 }, { "f16", KERN_F16 },
		{ "q8_0", KERN_Q8_0 }, { "q4_0", KERN_Q4_0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(name ?: "auto", types[i].name))
			continue;
		*ret = types[i].type;
		return 0;
	}
	return error_set(error, -EINVAL, "engine: kv_type '%s' is not auto, f32, f16, q8_0 or q4_0",
			 name);
}

int engine_new(struct engine **ret, const struct engine_config *config, struct error *error)
{
	_cleanup_(engine_freep) struct engine *e = calloc(1, sizeof(*e));
	const char *isa = config->isa ?: secure_getenv("LLMOS_ISA");
	int r;

	if (!e)
		return error_set(error, -ENOMEM, "engine: %s", strerror(ENOMEM));
	e->config = *config;
	e->config.isa = e->config.kv_type = e->config.pack_cache = e->config.swap_folder = NULL;
	if (config->swap_folder && config->swap_bytes) {
		e->swap_folder = strdup(config->swap_folder);
		if (!e->swap_folder)
			return error_set(error, -ENOMEM, "engine: %s", strerror(ENOMEM));
	}
	if (config->pack_cache) {
		e->pack_cache = strdup(config->pack_cache);
		if (!e->pack_cache)
			return error_set(error, -ENOMEM, "engine: %s", strerror(ENOMEM));
	}
	r = config_numbers(&e->config, error);
	if (r >= 0)
		r = config_kv_type(&e->kv_type, config->kv_type, error);
	if (r < 0)
		return r;
	e->ops = kern_ops_get(isa);
	if (!e->ops)
		return error_set(error, -EINVAL,
				 "engine: instruction set '%s' is not known, or not there",
				 isa ?: "");
	r = threads_new(&e->threads, e->config.threads);
	if (r < 0)
		return error_set(error, r, "engine: can't start '%u' threads: %s",
				 e->config.threads, strerror(-r));
	*ret = steal_ptr(e);
	return 0;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	threads_free(engine->threads);
	free(engine->pack_cache);
	free(engine->swap_folder);
	free(engine);
}

size_t engine_memory_bytes(void)
{
	return memory_limit();
}

const char *engine_isa(const struct engine *engine)
{
	return engine->ops->name;
}

unsigned int engine_threads(const struct engine *engine)
{
	return threads_count(engine->threads);
}

/* within() - a place in a sequence, or the end of an item's tokens that it is beyond */
static uint32_t within(const struct engine_item *item, uint32_t place)
{
	place = MAX(place, item->seq->length);
	return MIN(place, item->seq->length + item->count);
}

/* check_texts() - in order, each from a page's begin on, and none cut that must not be */
static int check_texts(const struct engine_model *model, const struct engine_item *item)
{
	uint32_t at = 0;

	for (unsigned int i = 0; i < item->text_count; i++) {
		const struct engine_text *t = &item->texts[i];
		const uint32_t begin = within(item, t->begin), end = within(item, t->end);

		if (t->begin < at || t->begin % KV_PAGE_TOKENS || t->end <= t->begin ||
		    t->second < t->begin || t->second > t->end ||
		    t->end - t->begin > model->context)
			return -EINVAL;
		if (model->model->hparams.is_encoder && begin != end &&
		    (begin != t->begin || end != t->end))
			return -EINVAL;
		at = t->end;
	}
	if (item->tentative || item->adapter_count || item->logits_from != item->count)
		return -EINVAL;
	return 0;
}

/* check_ids() - [begin, end) of the sequence */
static int check_ids(const struct engine_model *model, const struct engine_item *item,
		     uint32_t begin, uint32_t end)
{
	for (uint32_t i = begin - item->seq->length; i < end - item->seq->length; i++)
		if (item->tokens[i] >= model->model->hparams.vocab)
			return -EINVAL;
	return 0;
}

/* check_tokens() - Return: how many are looked at, or -EINVAL */
static int64_t check_tokens(const struct engine_model *model, const struct engine_item *item)
{
	int64_t count = 0;

	if (!item->texts) {
		if (model->model->hparams.is_encoder && item->count)
			return -EINVAL;
		return check_ids(model, item, item->seq->length,
				 item->seq->length + item->count) ?: (int64_t)item->count;
	}
	for (unsigned int i = 0; i < item->text_count; i++) {
		const uint32_t begin = within(item, item->texts[i].begin);
		const uint32_t end = within(item, item->texts[i].end);

		if (check_ids(model, item, begin, end) < 0)
			return -EINVAL;
		count += end - begin;
	}
	return count;
}

/* check_item() - of a step with @tokens and @rows left; Return: tokens of it, or an error */
static int64_t check_item(const struct engine_model *model, const struct engine_item *item,
			  unsigned int tokens, unsigned int rows)
{
	const struct engine_seq *seq = item->seq;
	int64_t count;

	if (!seq || seq->model != model || !seq->is_used || seq->in_step)
		return -EINVAL;
	if (item->logits_from > item->count || item->tentative > item->count ||
	    item->count - item->logits_from > rows)
		return -EINVAL;
	/* nor is there memory for them */
	if (!model->model->hparams.has_output && item->logits_from < item->count)
		return -EINVAL;
	if (adapting_check(model, item) < 0)
		return -EINVAL;
	if (item->count > seq->page_count * (uint64_t)KV_PAGE_TOKENS - seq->length ||
	    item->count > model->context - seq->length)
		return -ENOSPC;
	/* what is kept is not written: engine_seq_reserve() copies a page that ends within it */
	if (item->count && seq->length < seq->kept_count * KV_PAGE_TOKENS)
		return -ENOSPC;
	if (item->texts && check_texts(model, item) < 0)
		return -EINVAL;
	count = check_tokens(model, item);
	return count > (int64_t)tokens ? -EINVAL : count;
}

static int check_items(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	unsigned int rows = model->engine->config.logits_rows;
	unsigned int tokens = model->step_tokens;
	unsigned int marked;
	int64_t r = 0;

	for (marked = 0; marked < count; marked++) {
		r = check_item(model, &items[marked], tokens, rows);
		if (r < 0)
			break;
		items[marked].seq->in_step = true;
		tokens -= (unsigned int)r;
		rows -= items[marked].count - items[marked].logits_from;
	}
	while (marked-- > 0)
		items[marked].seq->in_step = false;
	return r < 0 ? (int)r : 0;
}

/* lay_out_item() - a sequence that is one text */
static void lay_out_item(struct engine_model *model, struct engine_item *item)
{
	const size_t vocab = model->model->hparams.vocab;
	struct scratch *s = &model->scratch;

	item->logits = item->logits_from < item->count ? s->logits + s->row_count * vocab : NULL;
	for (unsigned int j = 0; j < item->count; j++) {
		const uint32_t position = item->seq->length + j;

		if (j >= item->logits_from)
			s->rows[s->row_count++] = s->token_count;
		s->tokens[s->token_count++] = (struct step_token){
			.seq = item->seq,
			.id = item->tokens[j],
			.position = position,
			.place = position,
			.end = position + 1,
		};
	}
}

static bool is_wanted(enum engine_pooling pooling, const struct engine_text *text, uint32_t place)
{
	switch (pooling) {
	case ENGINE_POOL_FIRST:
		return place == text->begin;
	case ENGINE_POOL_LAST:
		return place + 1 == text->end;
	default:
		return true;
	}
}

/* lay_out_text() - one of several */
static void lay_out_text(struct engine_model *model, const struct engine_item *item,
			 const struct engine_text *text)
{
	const uint32_t begin = within(item, text->begin), end = within(item, text->end);
	const bool sees_all = model->model->hparams.is_encoder;
	struct scratch *s = &model->scratch;

	for (uint32_t place = begin; place < end; place++) {
		if (is_wanted(item->pooling, text, place))
			s->rows[s->row_count++] = s->token_count;
		s->tokens[s->token_count++] = (struct step_token){
			.seq = item->seq,
			.id = item->tokens[place - item->seq->length],
			.type = place >= text->second && model->model->types.w.rows > 1,
			.position = place - text->begin,
			.place = place,
			.begin = text->begin,
			.end = sees_all ? text->end : place + 1,
		};
	}
}

static void lay_out_texts(struct engine_model *model, struct engine_item *item)
{
	struct scratch *s = &model->scratch;
	const uint32_t first = s->row_count;

	for (unsigned int i = 0; i < item->text_count; i++)
		lay_out_text(model, item, &item->texts[i]);
	item->logits = NULL;
	item->hidden = s->y + first * s->width_stride;
	item->hidden_count = s->row_count - first;
	item->hidden_stride = s->width_stride;
}

/* lay_out_group() - the first item, and those behind it with the same adapters */
static void lay_out_group(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	struct adapting *a = &model->adapting;
	const struct scratch *s = &model->scratch;
	struct adapt_group *g = &a->groups[a->group_count];

	*g = (struct adapt_group){
		.uses = items->adapters, .use_count = items->adapter_count,
		.token_begin = s->token_count, .row_begin = s->row_count,
	};
	for (unsigned int i = 0; i < count; i++) {
		if (items[i].seq->in_step || !adapting_is_same(&items[i], items))
			continue;
		items[i].seq->in_step = true;
		lay_out_item(model, &items[i]);
	}
	g->token_end = s->token_count;
	g->row_end = s->row_count;
	if (g->token_end > g->token_begin)
		a->group_count++;
}

/*
 * lay_out_step() - those without adapters first, then those with the same ones side by side; in the
 * end those whose hidden states are wanted
 */
static void lay_out_step(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	unsigned int adapted = 0;

	model->scratch.token_count = 0;
	model->scratch.row_count = 0;
	model->adapting.group_count = 0;
	for (unsigned int i = 0; i < count; i++) {
		if (items[i].adapter_count)
			adapted++;
		else if (!items[i].texts)
			lay_out_item(model, &items[i]);
	}
	for (unsigned int i = 0; i < count && adapted; i++)
		if (items[i].adapter_count && !items[i].seq->in_step)
			lay_out_group(model, &items[i], count - i);
	for (unsigned int i = 0; i < count && adapted; i++)
		items[i].seq->in_step = false;
	model->scratch.logits_count = model->scratch.row_count;
	for (unsigned int i = 0; i < count; i++)
		if (items[i].texts)
			lay_out_texts(model, &items[i]);
}

int engine_step(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	int r;

	r = check_items(model, items, count);
	if (r < 0)
		return r;
	lay_out_step(model, items, count);
	if (model->scratch.token_count)
		forward(model);
	for (unsigned int i = 0; i < count; i++) {
		items[i].seq->length += items[i].count - items[i].tentative;
		items[i].seq->tentative = items[i].tentative;
	}
	return 0;
}
