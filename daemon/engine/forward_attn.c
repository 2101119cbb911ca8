/* SPDX-License-Identifier: MIT */
/*
 * Attention of a step: a task for each token and key-value head, or for each token and query head
 * where that would leave members idle. The result does not depend on the cut: a query head's sum
 * runs over the positions in one order.
 */
#include <math.h>

#include "engine/forward_internal.h"

#define TASKS_EACH	4	/* per member, or the heads are cut further */

/** struct pages - which pages a member's pointers are of, to find them again for the next token */
struct pages {
	const struct engine_seq *seq;
	uint32_t head;
	uint32_t count;
};

static void find_pages(struct pass *p, struct pages *pages, const struct engine_seq *seq,
		       uint32_t layer, uint32_t head, uint32_t count)
{
	if (pages->seq != seq || pages->head != head)
		*pages = (struct pages){ .seq = seq, .head = head };
	for (; pages->count < count; pages->count++) {
		const uint32_t page = seq->pages[pages->count];

		p->own->k_pages[pages->count] = kv_keys(&p->model->kv, page, layer, head);
		p->own->v_pages[pages->count] = kv_values(&p->model->kv, page, layer, head);
	}
}

/* attend_token() - query heads [head, head + group) of one token; they share a key-value head */
static void attend_token(struct pass *p, struct pages *pages, uint32_t layer, uint32_t token,
			 uint32_t head, uint32_t group)
{
	const struct model_hparams *h = &p->model->model->hparams;
	const struct step_token *t = &p->s->tokens[token];
	const size_t at = token * p->s->q_stride + (size_t)head * h->head_dim;
	const struct kern_attn a = {
		.q = p->s->q + at,
		.out = p->s->attn + at,
		.k_pages = p->own->k_pages,
		.v_pages = p->own->v_pages,
		.scores = p->own->scores,
		.group = group,
		.head_dim = h->head_dim,
		.page_tokens = KV_PAGE_TOKENS,
		.tokens = t->position + 1,
		.kv_f16 = p->model->kv.is_f16,
		.scale = 1.0f / sqrtf((float)h->head_dim),
	};

	find_pages(p, pages, t->seq, layer, head / (h->heads / h->kv_heads),
		   t->position / KV_PAGE_TOKENS + 1);
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
