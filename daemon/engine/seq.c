/* SPDX-License-Identifier: MIT */
/*
 * Sequences and the cache pages they hold. All of them are made with their model and wait on a
 * list to be used, so that a request that begins or ends allocates nothing. The first pages of a
 * sequence may be kept by the prefix store and shared with others; what comes behind is its own. A
 * page is kept once it is full, so only a sequence that was truncated can end within one: it gets
 * a copy before it goes on.
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

/* full pages of its length that it shares with the store */
static uint32_t shared_pages(const struct engine_seq *seq)
{
	return MIN(seq->kept_count, seq->length / KV_PAGE_TOKENS);
}

/* pages that can be had: what is kept and not used makes way */
static bool make_room(struct engine_model *model, uint32_t pages)
{
	if (pages > model->kv.free_count + model->prefix.idle_count)
		return false;
	while (pages > model->kv.free_count)
		prefix_evict(&model->prefix);
	return true;
}

/* it ends within a page that is kept, and is to go on; there is a free page */
static void copy_last(struct engine_seq *seq)
{
	struct engine_model *model = seq->model;
	uint32_t *last = &seq->pages[seq->kept_count - 1];
	const uint32_t page = kv_take(&model->kv);

	kv_copy(&model->kv, page, *last);
	prefix_leave(&model->prefix, *last);
	*last = page;
	seq->kept_count--;
}

int engine_seq_reserve(struct engine_seq *seq, unsigned int tokens)
{
	const uint32_t want = pages_for(tokens);
	const bool copies = seq->kept_count > shared_pages(seq) && tokens > seq->length;

	if (tokens > seq->model->context)
		return -E2BIG;
	if (want <= seq->page_count && !copies)
		return 0;
	if (!make_room(seq->model, MAX(want, seq->page_count) - seq->page_count + copies))
		return -ENOSPC;
	if (copies)
		copy_last(seq);
	while (seq->page_count < want)
		seq->pages[seq->page_count++] = kv_take(&seq->model->kv);
	return 0;
}

size_t engine_seq_bytes(const struct engine_seq *seq)
{
	return (seq->page_count - seq->kept_count) * seq->model->kv.page_bytes;
}

size_t engine_kv_bytes(const struct engine_model *model, unsigned int tokens)
{
	return pages_for(tokens) * model->kv.page_bytes;
}

size_t engine_seq_bytes_for(const struct engine_seq *seq, unsigned int tokens)
{
	const uint32_t pages = MAX(pages_for(tokens), seq->page_count);

	return (pages - (tokens > seq->length ? shared_pages(seq) : seq->kept_count)) *
	       seq->model->kv.page_bytes;
}

void engine_seq_truncate(struct engine_seq *seq, unsigned int tokens)
{
	const uint32_t keep = pages_for(MIN(tokens, seq->length));
	struct engine_model *model = seq->model;

	seq_swap_cancel(seq);
	seq->length = MIN(seq->length, tokens);
	seq->tentative = 0;
	/* the last one first, as the store wants it */
	while (seq->page_count > keep) {
		const uint32_t page = seq->pages[--seq->page_count];

		if (seq->page_count >= seq->kept_count) {
			kv_give(&model->kv, page);
			continue;
		}
		seq->kept_count--;
		prefix_leave(&model->prefix, page);
	}
}

int engine_seq_accept(struct engine_seq *seq, unsigned int count)
{
	if (count > seq->tentative)
		return -EINVAL;
	seq->tentative -= count;
	seq->length += count;
	return 0;
}

/* ---- prefixes ---- */

unsigned int engine_prefix_find(const struct engine_model *model,
				const struct engine_domain *domain, const uint32_t *tokens,
				unsigned int count)
{
	uint32_t page = KV_PAGE_NONE, at;

	for (at = 0; count - at >= KV_PAGE_TOKENS; at += KV_PAGE_TOKENS) {
		const struct engine_domain where = engine_domain_at(domain, at, KV_PAGE_TOKENS);

		page = prefix_find(&model->prefix, &where, page, tokens + at);
		if (page == KV_PAGE_NONE)
			break;
	}
	return at;
}

size_t engine_prefix_drop(struct engine_model *model, const struct engine_payer *payer,
			  size_t bytes)
{
	return prefix_drop(&model->prefix, payer, bytes);
}

void engine_prefix_forget(struct engine_model *model, const struct engine_domain *domain)
{
	prefix_forget(&model->prefix, domain);
	if (model->swap)
		swap_forget(model->swap, domain);
}

void engine_prefix_clear(struct engine_model *model)
{
	struct swap *swap = steal_ptr(model->prefix.swap);

	while (model->prefix.idle_count && prefix_evict(&model->prefix))
		;
	model->prefix.swap = swap;
}

/* the page before the next one that may be kept */
static uint32_t last_kept(const struct engine_seq *seq)
{
	return seq->kept_count ? seq->pages[seq->kept_count - 1] : KV_PAGE_NONE;
}

unsigned int engine_seq_begin(struct engine_seq *seq, const struct engine_domain *domain,
			      const uint32_t *tokens, unsigned int count)
{
	struct prefix *prefix = &seq->model->prefix;

	if (seq->page_count)
		return 0;
	count = MIN(count, seq->model->context);
	while (count - seq->length >= KV_PAGE_TOKENS) {
		const struct engine_domain where = engine_domain_at(domain, seq->length,
								    KV_PAGE_TOKENS);
		const uint32_t page = prefix_find(prefix, &where, last_kept(seq),
						  tokens + seq->length);

		if (page == KV_PAGE_NONE)
			break;
		prefix_use(prefix, page);
		seq->pages[seq->page_count++] = page;
		seq->kept_count++;
		seq->length += KV_PAGE_TOKENS;
	}
	return seq->length;
}

size_t engine_seq_kept_bytes(const struct engine_seq *seq, const struct engine_payer *payer)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < seq->kept_count; i++) {
		const struct engine_payer *pays = prefix_payer(&seq->model->prefix, seq->pages[i]);

		if (!payer || (pays->source == payer->source && pays->group == payer->group))
			bytes += seq->model->kv.page_bytes;
	}
	return bytes;
}

size_t engine_seq_keep(struct engine_seq *seq, const struct engine_domain *domain,
		       const struct engine_payer *payer, const uint32_t *tokens)
{
	struct engine_model *model = seq->model;
	size_t bytes = 0;

	seq->tentative = 0;
	while (seq->kept_count < seq->length / KV_PAGE_TOKENS) {
		const uint32_t at = seq->kept_count * KV_PAGE_TOKENS;
		const struct engine_domain where = engine_domain_at(domain, at, KV_PAGE_TOKENS);
		const uint32_t *text = tokens + at;
		uint32_t *own = &seq->pages[seq->kept_count];
		const uint32_t page = prefix_find(&model->prefix, &where, last_kept(seq), text);

		if (page != KV_PAGE_NONE) {
			prefix_use(&model->prefix, page);
			kv_give(&model->kv, *own);
			*own = page;
		} else if (prefix_keep(&model->prefix, &where, payer, last_kept(seq), text, *own)) {
			bytes += model->kv.page_bytes;
		} else {
			break;
		}
		seq->kept_count++;
	}
	return bytes;
}

void engine_seq_unkeep(struct engine_seq *seq, size_t bytes)
{
	/* once a page is new, so are all behind it */
	for (; bytes; bytes -= seq->model->kv.page_bytes)
		prefix_unkeep(&seq->model->prefix, seq->pages[--seq->kept_count]);
}
