/* SPDX-License-Identifier: MIT */
/*
 * Attention of a step. A task is a tile, tokens of one text that follow one another, times the
 * query heads that share a key-value head: what is loaded of the cache serves all of them. Where that
 * makes too few tasks for the members, tiles get smaller, then the keys of long sequences are cut
 * into parts, then each query head is a task. None of this changes a bit of the result: a row is
 * summed in the same parts, and they are joined in the same order, whoever computes them
 * (kernels/attn.h). A layer with a window reads no page before it, and a token of one of several
 * texts none of the others', for each begins with a page.
 */
#include "engine/forward_internal.h"

#define SPLIT_PARTS_MIN	4	/* with fewer parts the join costs more than it saves */

/** struct pages - pages from @begin to @end that a member has pointers to, kept for the next task */
struct pages {
	const struct engine_seq *seq;
	uint32_t head;
	uint32_t begin;
	uint32_t end;
};

/**
 * struct plan - how the work of a layer is cut, the same for all members
 * @queries: of a tile at most
 * @tiles: how many there are; tile i begins with row own->tiles[i]
 * @heads: of a task at most
 * @pieces: tasks that the heads of one key-value head make
 * @parts: of the keys that any row attends to
 * @is_split: each part is a task of its own
 */
struct plan {
	uint32_t layer;
	uint32_t queries;
	uint32_t tiles;
	uint32_t heads;
	uint32_t pieces;
	struct kern_span parts;
	bool is_split;
};

/** struct task - a tile, some heads that share @kv_head, and parts of the keys */
struct task {
	uint32_t tile;
	uint32_t kv_head;
	uint32_t head;
	uint32_t heads;
	uint32_t part;
};

/* span_of() - keys that a token sees, counted from the first one of its text */
static struct kern_span span_of(const struct pass *p, uint32_t layer, const struct step_token *t)
{
	const uint32_t window = p->model->model->layers[layer].window;

	if (window && p->model->model->hparams.is_encoder)
		return (struct kern_span){
			.begin = t->position - MIN(t->position, window / 2),
			.end = MIN(t->end - t->begin, t->position + window / 2 + 1),
		};
	return (struct kern_span){
		.begin = window && t->position >= window ? t->place + 1 - window - t->begin : 0,
		.end = t->end - t->begin,
	};
}

/* cut_tiles() - rows of a tile are of one text and follow one another, there and in memory */
static uint32_t cut_tiles(struct pass *p, uint32_t queries)
{
	uint32_t *tiles = p->own->tiles, count = 0;

	for (uint32_t i = 0; i < p->row_count; i++) {
		const struct step_token *t = &p->s->tokens[p->rows[i]];

		if (!i || i - tiles[count - 1] == queries || p->rows[i] != p->rows[i - 1] + 1 ||
		    t->seq != t[-1].seq || t->begin != t[-1].begin ||
		    t->place != t[-1].place + 1)
			tiles[count++] = i;
	}
	tiles[count] = p->row_count;
	return count;
}

static struct kern_span all_parts(const struct pass *p, uint32_t layer)
{
	struct kern_span all = { UINT32_MAX, 0 };

	for (uint32_t i = 0; i < p->row_count; i++) {
		const struct kern_span s = span_of(p, layer, &p->s->tokens[p->rows[i]]);

		all.begin = MIN(all.begin, s.begin / KERN_ATTN_KEYS);
		all.end = MAX(all.end, (s.end - 1) / KERN_ATTN_KEYS + 1);
	}
	return all;
}

static struct plan make_plan(struct pass *p, uint32_t layer)
{
	const struct model_hparams *h = &p->model->model->hparams;
	const uint32_t group = h->heads / h->kv_heads, members = threads_members(p->threads);
	const uint64_t wanted = members > 1 ? (uint64_t)members * ATTN_TASKS_EACH : 1;
	const uint64_t even = (uint64_t)p->row_count * h->kv_heads / wanted;
	const uint32_t most = group < ATTN_TILE_ROWS ? ATTN_TILE_ROWS / group : 1;
	struct plan plan = {
		.layer = layer,
		.queries = even < 1 ? 1 : (uint32_t)MIN(even, most),
		.heads = MIN(group, (uint32_t)ATTN_TILE_ROWS),
		.parts = all_parts(p, layer),
	};
	uint64_t tasks;

	plan.tiles = cut_tiles(p, plan.queries);
	tasks = (uint64_t)plan.tiles * h->kv_heads;
	if (tasks < wanted && plan.parts.end - plan.parts.begin >= SPLIT_PARTS_MIN &&
	    p->row_count <= p->s->split.rows) {
		plan.is_split = true;
		tasks *= plan.parts.end - plan.parts.begin;
	}
	if (tasks < wanted)
		plan.heads = 1;
	plan.pieces = (group - 1) / plan.heads + 1;
	return plan;
}

static void find_pages(struct pass *p, struct pages *pages, const struct engine_seq *seq,
		       uint32_t layer, uint32_t head, uint32_t begin, uint32_t end)
{
	/* behind the last tile comes the first one again, for other query heads of the same head */
	if (pages->seq != seq || pages->head != head || begin < pages->begin || begin > pages->end)
		*pages = (struct pages){ .seq = seq, .head = head, .begin = begin, .end = begin };
	for (; pages->end < end; pages->end++) {
		const uint32_t page = seq->pages[pages->end];

		p->own->k_pages[pages->end] = kv_keys(&p->model->kv, page, layer, head);
		p->own->v_pages[pages->end] = kv_values(&p->model->kv, page, layer, head);
	}
}

/* split_row() - where the first head of a row of a task is kept until its parts are joined */
static size_t split_row(const struct pass *p, const struct plan *plan, const struct task *task,
			uint32_t part, uint32_t row)
{
	const uint32_t heads = p->model->model->hparams.heads;

	return ((size_t)(part - plan->parts.begin) * heads + task->head) * p->s->split.rows +
	       (size_t)row * task->heads;
}

/* turn_back() - what attention made of @heads heads of a row, where their values were turned */
static void turn_back(struct pass *p, float *out, uint32_t heads)
{
	const struct kern_kv *form = &p->model->kv.form;
	const uint32_t block = kern_kv_block_turned(form);

	if (block)
		p->ops->hadamard(out, heads * form->head_dim, block);
}

static void attend(struct pass *p, struct pages *pages, const struct plan *plan,
		   const struct task *task)
{
	const struct model_hparams *h = &p->model->model->hparams;
	const uint32_t begin = p->own->tiles[task->tile], end = p->own->tiles[task->tile + 1];
	const struct step_token *t = &p->s->tokens[p->rows[begin]];
	const uint32_t first = t->begin / KV_PAGE_TOKENS;
	const float *bias = p->model->model->attn_bias;
	const size_t at = p->rows[begin] * p->s->q_stride + (size_t)task->head * h->head_dim;
	struct kern_span spans[ATTN_TILE_ROWS], all = { UINT32_MAX, 0 };
	const struct kern_attn a = {
		.q = p->s->q + at,
		.out = p->s->attn + at,
		.stride = p->s->q_stride,
		.k_pages = p->own->k_pages + first,
		.v_pages = p->own->v_pages + first,
		.spans = spans,
		.queries = end - begin,
		.group = task->heads,
		.kv = p->model->kv.form,
		.scale = h->attn_scale,
		.bias = bias ? bias + (size_t)task->head * KERN_ATTN_BIAS : NULL,
		.first = t->position,
		.softcap = h->attn_softcap,
		.scratch = p->own->attn,
	};
	size_t row;

	for (uint32_t i = 0; i < end - begin; i++) {
		struct kern_span s = spans[i] = span_of(p, plan->layer, t + i);

		if (plan->is_split) {
			s = kern_span_of_part(s, task->part);
			if (s.begin == s.end)
				continue;
			s.begin += task->part * KERN_ATTN_KEYS;
			s.end += task->part * KERN_ATTN_KEYS;
		}
		all.begin = MIN(all.begin, s.begin);
		all.end = MAX(all.end, s.end);
	}
	if (all.begin >= all.end)
		return;
	find_pages(p, pages, t->seq, plan->layer, task->kv_head,
		   first + all.begin / KV_PAGE_TOKENS,
		   first + (all.end - 1) / KV_PAGE_TOKENS + 1);
	if (!plan->is_split) {
		kern_attn(p->ops, &a);
		for (uint32_t i = 0; i < a.queries; i++)
			turn_back(p, a.out + i * a.stride, a.group);
		return;
	}
	row = split_row(p, plan, task, task->part, begin);
	p->ops->attn_part(&a, task->part, p->s->split.out + row * h->head_dim,
			  p->s->split.sums + row);
}

/* join() - the parts of all heads of a task, of one row */
static void join(struct pass *p, const struct plan *plan, const struct task *task, uint32_t row)
{
	const uint32_t head_dim = p->model->model->hparams.head_dim;
	const struct kern_span span = span_of(p, plan->layer, &p->s->tokens[p->rows[row]]);
	float *out = p->s->attn + p->rows[row] * p->s->q_stride + (size_t)task->head * head_dim;

	for (uint32_t g = 0; g < task->heads; g++, out += head_dim) {
		struct kern_attn_sum all = kern_attn_none();

		for (uint32_t part = span.begin / KERN_ATTN_KEYS;
		     part <= (span.end - 1) / KERN_ATTN_KEYS; part++) {
			const size_t at = split_row(p, plan, task, part, row) + g;

			p->ops->attn_join(out, &all, p->s->split.out + at * head_dim,
					  &p->s->split.sums[at], head_dim);
		}
		kern_attn_end(out, &all, head_dim);
		turn_back(p, out, 1);
	}
}

/* task_of() - by its number: tiles of one head follow each other, its keys are still in the cache */
static struct task task_of(const struct pass *p, const struct plan *plan, uint32_t number,
			   uint32_t tiles)
{
	const struct model_hparams *h = &p->model->model->hparams;
	const uint32_t group = h->heads / h->kv_heads;
	struct task task = { .tile = number % tiles };
	uint32_t piece;

	number /= tiles;
	piece = number % plan->pieces * plan->heads;
	number /= plan->pieces;
	task.kv_head = number % h->kv_heads;
	task.part = plan->parts.begin + number / h->kv_heads;
	task.head = task.kv_head * group + piece;
	task.heads = MIN(plan->heads, group - piece);
	return task;
}

void pass_attend(struct pass *p, uint32_t layer)
{
	const struct plan plan = make_plan(p, layer);
	const uint32_t heads = p->model->model->hparams.kv_heads * plan.pieces;
	const uint32_t parts = plan.is_split ? plan.parts.end - plan.parts.begin : 1;
	struct pages pages = { 0 };

	for (uint64_t i = p->member; i < (uint64_t)heads * plan.tiles * parts;
	     i = threads_chunk_next(p->threads)) {
		const struct task task = task_of(p, &plan, (uint32_t)i, plan.tiles);

		attend(p, &pages, &plan, &task);
	}
	threads_barrier(p->threads);
	if (!plan.is_split)
		return;
	for (uint64_t i = p->member; i < (uint64_t)heads * p->row_count;
	     i = threads_chunk_next(p->threads)) {
		const struct task task = task_of(p, &plan, (uint32_t)i, p->row_count);

		join(p, &plan, &task, task.tile);
	}
	threads_barrier(p->threads);
}
