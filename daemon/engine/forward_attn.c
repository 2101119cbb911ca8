/* SPDX-License-Identifier: MIT */
/*
 * Attention of a step: a task for each token and key-value head, or for each token and query head
 * where that would leave members idle. The result does not depend on the cut: a query head's sum
 * runs over the positions in one order. A layer with a window reads no page before it, and a token
 * of one of several texts none of the others', for each begins with a page.
 */
#include "engine/forward_internal.h"

#define TASKS_EACH	4	/* per member, or the heads are cut further */

/** struct pages - pages from @begin to @end that a member has pointers to, kept for the next token */
struct pages {
	const struct engine_seq *seq;
	uint32_t head;
	uint32_t begin;
	uint32_t end;
};

static void find_pages(struct pass *p, struct pages *pages, const struct engine_seq *seq,
		       uint32_t layer, uint32_t head, uint32_t begin, uint32_t end)
{
	/* behind the last token comes the first one again, for another query head of the same head */
	if (pages->seq != seq || pages->head != head || begin < pages->begin)
		*pages = (struct pages){ .seq = seq, .head = head, .begin = begin, .end = begin };
	for (; pages->end < end; pages->end++) {
		const uint32_t page = seq->pages[pages->end];

		p->own->k_pages[pages->end] = kv_keys(&p->model->kv, page, layer, head);
		p->own->v_pages[pages->end] = kv_values(&p->model->kv, page, layer, head);
	}
}

/* attend_token() - query heads [head, head + group) of one token; they share a key-value head */
static void attend_token(struct pass *p, struct pages *pages, uint32_t layer, uint32_t token,
			 uint32_t head, uint32_t group)
{
	const struct model_hparams *h = &p->model->model->hparams;
	const struct step_token *t = &p->s->tokens[token];
	const uint32_t window = p->model->model->layers[layer].window;
	const uint32_t from = window && t->position >= window ? t->place + 1 - window : t->begin;
	const uint32_t page = from / KV_PAGE_TOKENS;
	const size_t at = token * p->s->q_stride + (size_t)head * h->head_dim;
	const struct kern_attn a = {
		.q = p->s->q + at,
		.out = p->s->attn + at,
		.k_pages = p->own->k_pages + page,
		.v_pages = p->own->v_pages + page,
		.scores = p->own->scores,
		.group = group,
		.head_dim = h->head_dim,
		.page_tokens = KV_PAGE_TOKENS,
		.tokens = t->end - page * KV_PAGE_TOKENS,
		.kv_f16 = p->model->kv.is_f16,
		.scale = h->attn_scale,
		.first = from % KV_PAGE_TOKENS,
		.softcap = h->attn_softcap,
	};

	find_pages(p, pages, t->seq, layer, head / (h->heads / h->kv_heads), page,
		   (t->end - 1) / KV_PAGE_TOKENS + 1);
	p->ops->attn(&a);
}

void pass_attend(struct pass *p, uint32_t layer)
{
	const struct model_hparams *h = &p->model->model->hparams;
	uint32_t group = h->heads / h->kv_heads;
	struct pages pages = { 0 };
	uint64_t tasks;

	if ((uint64_t)p->row_count * h->kv_heads < threads_members(p->threads) * TASKS_EACH)
		group = 1;
	/* the tokens of one head follow each other: its keys are still in the cache */
	tasks = (uint64_t)h->heads / group * p->row_count;
	for (uint32_t i = p->member; i < tasks; i = threads_chunk_next(p->threads))
		attend_token(p, &pages, layer, p->rows[i % p->row_count], i / p->row_count * group,
			     group);
	threads_barrier(p->threads);
}
