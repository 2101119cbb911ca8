/* SPDX-License-Identifier: MIT */
/*
 * Sequences and the swap: what one gives back goes there, and what one begins with comes from
 * there. Pages come in order and are the sequence's own, as if it had computed them.
 */
#include "engine/engine_internal.h"

void seq_swap_cancel(struct engine_seq *seq)
{
	while (seq->read_count)
		swap_cancel(seq->model->swap, seq->reads[--seq->read_count]);
	seq->is_reading = false;
}

void engine_seq_swap(const struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int from)
{
	const struct engine_model *model = seq->model;
	struct swap_chain chain = { { 0 }, 0 };

	if (!model->swap)
		return;
	for (uint32_t i = 0; i < seq->length / KV_PAGE_TOKENS; i++) {
		const uint32_t *text = tokens + (size_t)i * KV_PAGE_TOKENS;

		const struct engine_domain where = engine_domain_at(domain, i * KV_PAGE_TOKENS,
								    KV_PAGE_TOKENS);

		chain = swap_extend(model->swap, chain, text);
		/* those that are kept have not made way yet */
		if (i >= seq->kept_count && (i + 1) * KV_PAGE_TOKENS > from)
			swap_put(model->swap, &where, &chain, text,
				 kv_page(&model->kv, seq->pages[i]));
	}
}

/* where it goes on from; false: not at the end of a page, or there is no swap */
static bool fetch_begin(struct engine_seq *seq, const uint32_t *tokens)
{
	if (seq->is_reading)
		return true;
	if (!seq->model->swap || seq->length % KV_PAGE_TOKENS)
		return false;
	seq->read_chain = (struct swap_chain){ { 0 }, 0 };
	seq->read_next = seq->length / KV_PAGE_TOKENS;
	for (uint32_t i = 0; i < seq->read_next; i++)
		seq->read_chain = swap_extend(seq->model->swap, seq->read_chain,
					      tokens + (size_t)i * KV_PAGE_TOKENS);
	seq->is_reading = true;
	return true;
}

/* those that have come, in order; false: one will not */
static bool fetch_take(struct engine_seq *seq)
{
	struct engine_model *model = seq->model;

	while (seq->read_count) {
		const uint32_t page = seq->pages[seq->length / KV_PAGE_TOKENS];
		const int r = swap_take(model->swap, seq->reads[0], kv_page(&model->kv, page));

		if (!r)
			return true;
		seq->read_count--;
		for (unsigned int i = 0; i < seq->read_count; i++)
			seq->reads[i] = seq->reads[i + 1];
		if (r < 0)
			return false;
		seq->length += KV_PAGE_TOKENS;
	}
	return true;
}

/* ask for those behind; Return: there may be more, but not now */
static bool fetch_ask(struct engine_seq *seq, const struct engine_domain *domain,
		      const uint32_t *tokens, unsigned int count)
{
	const uint32_t end = MIN(count / KV_PAGE_TOKENS, seq->page_count);
	struct swap *swap = seq->model->swap;
	bool is_busy = false;

	while (seq->read_next < end) {
		const uint32_t *text = tokens + (size_t)seq->read_next * KV_PAGE_TOKENS;
		const struct engine_domain where =
			engine_domain_at(domain, seq->read_next * KV_PAGE_TOKENS, KV_PAGE_TOKENS);
		struct swap_chain chain;
		uint32_t buffer;

		if (seq->read_count == SEQ_READS)
			return true;
		chain = swap_extend(swap, seq->read_chain, text);
		buffer = swap_get(swap, &where, &chain, text, &is_busy);
		if (buffer == SWAP_NONE)
			break;
		seq->reads[seq->read_count++] = buffer;
		seq->read_chain = chain;
		seq->read_next++;
	}
	/* buffers are short: those that this one has asked for tell when to try again */
	return is_busy && seq->read_count;
}

/* the next one has come already: nobody will say so again */
static bool fetch_is_there(const struct engine_seq *seq)
{
	return seq->read_count && swap_is_there(seq->model->swap, seq->reads[0]);
}

static void fetch_tell(const struct engine_seq *seq)
{
	const struct engine_config *config = &seq->model->engine->config;

	if (config->swap_ready)
		config->swap_ready(config->swap_arg);
}

int engine_seq_fetch(struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int count)
{
	const uint32_t start = seq->length;

	if (!fetch_begin(seq, tokens))
		return 0;
	do {
		const bool goes_on = fetch_take(seq) && (fetch_ask(seq, domain, tokens, count) ||
							 seq->read_count);

		/* what is on its way may never come */
		if (!goes_on || (!fetch_is_there(seq) && swap_is_stuck(seq->model->swap))) {
			seq_swap_cancel(seq);
			return 0;
		}
	} while (fetch_is_there(seq) && seq->length < start + SEQ_READS * KV_PAGE_TOKENS);
	/* others have their turn before the next ones, which nobody else would say are there */
	if (fetch_is_there(seq))
		fetch_tell(seq);
	return 1;
}

void engine_seq_fetch_stop(struct engine_seq *seq)
{
	if (seq->read_count)
		swap_give_up(seq->model->swap);
	seq_swap_cancel(seq);
}

unsigned int engine_swap_ahead(struct engine_model *model, bool *ret_more)
{
	unsigned int max, count = 0;

	*ret_more = false;
	if (!prefix_is_behind(&model->prefix))
		return 0;
	max = swap_ahead(model->swap, ret_more);
	if (max) {
		count = prefix_write_ahead(&model->prefix, max);
		*ret_more = prefix_is_behind(&model->prefix);
	}
	return count;
}

void engine_swap_pace(struct engine_model *model, uint64_t token_ns)
{
	if (model->swap)
		swap_pace(model->swap, token_ns * KV_PAGE_TOKENS);
}
