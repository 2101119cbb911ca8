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

static int config_kv_type(enum engine_kv_type *ret, const char *name, struct error *error)
{
	if (!name || !strcmp(name, "auto"))
		*ret = ENGINE_KV_AUTO;
	else if (!strcmp(name, "f32"))
		*ret = ENGINE_KV_F32;
	else if (!strcmp(name, "f16"))
		*ret = ENGINE_KV_F16;
	else
		return error_set(error, -EINVAL, "engine: kv_type '%s' is not auto, f32 or f16",
				 name);
	return 0;
}

int engine_new(struct engine **ret, const struct engine_config *config, struct error *error)
{
	_cleanup_(engine_freep) struct engine *e = calloc(1, sizeof(*e));
	const char *isa = config->isa ?: secure_getenv("LLMOS_ISA");
	int r;

	if (!e)
		return error_set(error, -ENOMEM, "engine: %s", strerror(ENOMEM));
	e->config = *config;
	e->config.isa = e->config.kv_type = NULL;
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

/* check_item() - of a step with @tokens and @rows left */
static int check_item(const struct engine_model *model, const struct engine_item *item,
		      unsigned int tokens, unsigned int rows)
{
	const struct engine_seq *seq = item->seq;

	if (!seq || seq->model != model || !seq->is_used || seq->in_step)
		return -EINVAL;
	if (item->count > tokens || item->logits_from > item->count ||
	    item->tentative > item->count ||
	    item->count - item->logits_from > rows)
		return -EINVAL;
	if (adapting_check(model, item) < 0)
		return -EINVAL;
	if (item->count > seq->page_count * (uint64_t)KV_PAGE_TOKENS - seq->length ||
	    item->count > model->context - seq->length)
		return -ENOSPC;
	/* what is kept is not written: engine_seq_reserve() copies a page that ends within it */
	if (item->count && seq->length < seq->kept_count * KV_PAGE_TOKENS)
		return -ENOSPC;
	for (unsigned int i = 0; i < item->count; i++)
		if (item->tokens[i] >= model->model->hparams.vocab)
			return -EINVAL;
	return 0;
}

static int check_items(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	unsigned int tokens = model->engine->config.batch_tokens;
	unsigned int rows = model->engine->config.logits_rows;
	unsigned int marked;
	int r = 0;

	for (marked = 0; marked < count; marked++) {
		r = check_item(model, &items[marked], tokens, rows);
		if (r < 0)
			break;
		items[marked].seq->in_step = true;
		tokens -= items[marked].count;
		rows -= items[marked].count - items[marked].logits_from;
	}
	while (marked-- > 0)
		items[marked].seq->in_step = false;
	return r;
}

/* lay_out_item() - write down what each of its tokens is, and whose logits are wanted */
static void lay_out_item(struct engine_model *model, struct engine_item *item)
{
	const size_t vocab = model->model->hparams.vocab;
	struct scratch *s = &model->scratch;

	item->logits = item->logits_from < item->count ? s->logits + s->row_count * vocab : NULL;
	for (unsigned int j = 0; j < item->count; j++) {
		if (j >= item->logits_from)
			s->rows[s->row_count++] = s->token_count;
		s->tokens[s->token_count++] = (struct step_token){
			.seq = item->seq,
			.id = item->tokens[j],
			.position = item->seq->length + j,
		};
	}
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

/* lay_out_step() - those without adapters first, then those with the same ones side by side */
static void lay_out_step(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	unsigned int adapted = 0;

	model->scratch.token_count = 0;
	model->scratch.row_count = 0;
	model->adapting.group_count = 0;
	for (unsigned int i = 0; i < count; i++) {
		if (items[i].adapter_count)
			adapted++;
		else
			lay_out_item(model, &items[i]);
	}
	for (unsigned int i = 0; i < count && adapted; i++)
		if (items[i].adapter_count && !items[i].seq->in_step)
			lay_out_group(model, &items[i], count - i);
	for (unsigned int i = 0; i < count && adapted; i++)
		items[i].seq->in_step = false;
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
