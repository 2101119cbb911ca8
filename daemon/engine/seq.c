/* SPDX-License-Identifier: MIT */
/*
 * Sequences and the cache pages they hold. All of them are made with their model and wait on a list
 * to be used, so that a request that begins or ends allocates nothing.
 */
#include "engine/engine_internal.h"

int seq_pool_open(struct engine_model *model)
{
	const uint32_t count = model->engine->config.max_seqs;

	model->seqs = calloc(count, sizeof(*model->seqs));
	model->seq_pages = calloc((size_t)count * model->seq_pages_max, sizeof(*model->seq_pages));
	if (!model->seqs || !model->seq_pages)
		return -ENOMEM;		/* the caller closes */
	for (uint32_t i = count; i-- > 0;) {
		struct engine_seq *seq = &model->seqs[i];

		seq->model = model;
		seq->pages = model->seq_pages + (size_t)i * model->seq_pages_max;
		seq->next_free = model->free_seqs;
		model->free_seqs = seq;
	}
	return 0;
}

void seq_pool_close(struct engine_model *model)
{
	free(model->seqs);
	free(model->seq_pages);
	model->seqs = model->free_seqs = NULL;
	model->seq_pages = NULL;
}

int engine_seq_new(struct engine_model *model, struct engine_seq **ret)
{
	struct engine_seq *seq = model->free_seqs;

	if (!seq)
		return -ENOSPC;
	model->free_seqs = seq->next_free;
	seq->next_free = NULL;
	seq->is_used = true;
	*ret = seq;
	return 0;
}

void engine_seq_free(struct engine_seq *seq)
{
	if (!seq || !seq->is_used)
		return;
	engine_seq_truncate(seq, 0);
	seq->is_used = false;
	seq->next_free = seq->model->free_seqs;
	seq->model->free_seqs = seq;
}

unsigned int engine_seq_length(const struct engine_seq *seq)
{
	return seq->length;
}

static uint32_t pages_for(uint32_t tokens)
{
	return tokens / KV_PAGE_TOKENS + !!(tokens % KV_PAGE_TOKENS);
}

int engine_seq_reserve(struct engine_seq *seq, unsigned int tokens)
{
	struct kv *kv = &seq->model->kv;
	const uint32_t want = pages_for(tokens);

	if (tokens > seq->model->context)
		return -E2BIG;
	if (want <= seq->page_count)
		return 0;
	if (want - seq->page_count > kv->free_count)
		return -ENOSPC;
	while (seq->page_count < want)
		seq->pages[seq->page_count++] = kv_take(kv);
	return 0;
}

size_t engine_seq_bytes(const struct engine_seq *seq)
{
	return seq->page_count * seq->model->kv.page_bytes;
}

size_t engine_kv_bytes(const struct engine_model *model, unsigned int tokens)
{
	return pages_for(tokens) * model->kv.page_bytes;
}

void engine_seq_truncate(struct engine_seq *seq, unsigned int tokens)
{
	const uint32_t keep = pages_for(MIN(tokens, seq->length));

	seq->length = MIN(seq->length, tokens);
	while (seq->page_count > keep)
		kv_give(&seq->model->kv, seq->pages[--seq->page_count]);
}
