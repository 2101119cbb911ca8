/* SPDX-License-Identifier: MIT */
/* Sequences of the engine for tests of the scheduler, and where their pages go that make way. */
#include "sched_engine_internal.h"

#include <string.h>

int engine_seq_new(struct engine_model *model, struct engine_seq **ret)
{
	unsigned int i;

	for (i = 0; i < model->engine->config.max_seqs; i++) {
		struct engine_seq *seq = &model->seqs[i];

		if (seq->used)
			continue;
		seq->model = model;
		seq->used = true;
		fake_counts.seqs++;
		*ret = seq;
		return 0;
	}
	return -ENOSPC;
}

void fake_set_pages(struct engine_seq *seq, unsigned int pages)
{
	seq->model->pages_used += pages - seq->pages;
	fake_counts.pages += pages - seq->pages;
	seq->pages = pages;
}

void engine_seq_free(struct engine_seq *seq)
{
	if (!seq)
		return;
	fake_counts.broken_promises += !seq->used;
	fake_set_pages(seq, 0);
	fake_leave_kept(seq, 0);
	seq->length = 0;
	seq->used = false;
	fake_counts.seqs--;
}

unsigned int engine_seq_length(const struct engine_seq *seq)
{
	return seq->length;
}

int engine_seq_reserve(struct engine_seq *seq, unsigned int tokens)
{
	unsigned int page = seq->model->gguf->page, want = (tokens + page - 1) / page;
	struct engine_model *model = seq->model;

	if (tokens > fake_context(model))
		return -E2BIG;
	want -= MIN(want, seq->kept_count);
	if (want <= seq->pages)
		return 0;
	if (want - seq->pages > model->gguf->pages - model->pages_used - fake_kept_in_use(model))
		return -ENOSPC;
	while (want - seq->pages > model->gguf->pages - model->pages_used - model->kept_count)
		fake_evict(model, NULL);
	fake_set_pages(seq, want);
	return 0;
}

size_t engine_seq_bytes(const struct engine_seq *seq)
{
	return (size_t)seq->pages * FAKE_PAGE_BYTES;
}

size_t engine_kv_bytes(const struct engine_model *model, unsigned int tokens)
{
	unsigned int page = model->gguf->page;

	return (size_t)((tokens + page - 1) / page) * FAKE_PAGE_BYTES;
}

size_t engine_seq_bytes_for(const struct engine_seq *seq, unsigned int tokens)
{
	size_t all = engine_kv_bytes(seq->model, tokens) / FAKE_PAGE_BYTES;

	return (MAX(all, (size_t)seq->pages + seq->kept_count) - seq->kept_count) *
	       FAKE_PAGE_BYTES;
}

/* ---- the swap: texts that had to make way ---- */

void engine_seq_swap(const struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int from)
{
	const unsigned int page = seq->model->gguf->page, count = seq->length / page * page;
	struct fake_swapped *to;

	if (!seq->model->engine->config.swap_bytes || !count || count > FAKE_TEXT || count <= from)
		return;
	to = &seq->model->swapped[seq->model->swapped_next++ % FAKE_SWAPPED];
	to->domain = *domain;
	to->count = count;
	memcpy(to->tokens, tokens, count * sizeof(*tokens));
	memcpy(to->hash, seq->hash, count * sizeof(*to->hash));
	fake_counts.swapped += count;
}

/* whole pages with which a text and one of these begin */
static unsigned int swapped_common(const struct fake_swapped *with,
				   const struct engine_domain *domain, const uint32_t *tokens,
				   unsigned int count, unsigned int page)
{
	unsigned int i;

	if (memcmp(&with->domain, domain, sizeof(*domain)))
		return 0;
	for (i = 0; i < MIN(count, with->count) && with->tokens[i] == tokens[i]; i++)
		;
	return i / page * page;
}

/* it takes a call to read them, in which nothing comes yet */
int engine_seq_fetch(struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int count)
{
	struct engine_model *model = seq->model;
	const unsigned int page = model->gguf->page, before = seq->length;
	unsigned int i, common;

	if (!model->engine->config.swap_bytes)
		return 0;
	if (!seq->is_fetching) {
		seq->is_fetching = true;
		model->engine->config.swap_ready(model->engine->config.swap_arg);
		return 1;
	}
	if (fake_swap_hangs)
		return 1;
	seq->is_fetching = false;
	count = MIN(count, (seq->pages + seq->kept_count) * page);
	for (i = 0; i < FAKE_SWAPPED; i++) {
		common = swapped_common(&model->swapped[i], domain, tokens, count, page);
		if (common <= seq->length)
			continue;
		seq->length = common;
		memcpy(seq->hash, model->swapped[i].hash, common * sizeof(*seq->hash));
	}
	fake_counts.fetched += seq->length - before;
	return 0;
}

struct engine_swapped engine_swapped(const struct engine *engine)
{
	(void)engine;
	return (struct engine_swapped){ 0 };
}

void engine_seq_fetch_stop(struct engine_seq *seq)
{
	fake_counts.broken_promises += !seq->is_fetching;
	fake_counts.fetches_stopped++;
	seq->is_fetching = false;
}

unsigned int engine_swap_ahead(struct engine_model *model, bool *ret_more)
{
	(void)model;
	if (!fake_ahead) {
		*ret_more = false;
		return 0;
	}
	*ret_more = --fake_ahead;
	return 1;
}

void engine_swap_pace(struct engine_model *model, uint64_t token_ns)
{
	(void)model;
	(void)token_ns;
}

void engine_seq_truncate(struct engine_seq *seq, unsigned int tokens)
{
	unsigned int page = seq->model->gguf->page, keep;

	fake_counts.truncates++;
	seq->is_fetching = false;
	/* the engine would copy a page that is kept and cut; no caller needs that */
	fake_counts.broken_promises += tokens < seq->kept_count * page && tokens % page;
	seq->length = tokens < seq->length ? tokens : seq->length;
	keep = (seq->length + page - 1) / page;
	fake_leave_kept(seq, MIN(keep, seq->kept_count));
	keep -= seq->kept_count;
	if (keep < seq->pages)
		fake_set_pages(seq, keep);
}
