/* SPDX-License-Identifier: MIT */
/*
 * Mixture of experts: a router chooses a few feed-forward networks for each token. A pair is a token
 * and one of its experts; pairs are laid out by expert, so that each expert multiplies the tokens
 * that chose it at once. What a token's experts give is added in the order in which it prefers
 * them: who else is in the step, and chose what, changes no bit. Source: Fedus et al., "Switch
 * Transformers" (2021); Jiang et al., "Mixtral of Experts" (2024).
 */
#include <math.h>

#include "engine/forward_internal.h"

/* route() - normalised rows to one number for each expert; all meet */
static void route(struct pass *p, const struct model_layer *l)
{
	struct scratch_experts *e = &p->s->experts;
	const struct model_matrix *const matrices[] = { &l->router };
	const struct packing what = {
		.src = p->s->x, .stride = p->s->width_stride, .rows = p->rows, .norm = &l->ffn_norm,
	};
	const struct acts acts = pass_pack(p, &what, matrices, 1);
	const struct chunks chunks = pass_chunks(p, &l->router, 1);
	const struct product product = {
		.act = acts.data[0], .stride = acts.stride[0], .rows = p->row_count,
		.y = e->router, .y_stride = e->stride,
	};

	for (uint32_t c = p->member; c < chunks.count; c = threads_chunk_next(p->threads))
		pass_mul(p, &l->router, &product, c * chunks.rows,
			 MIN((c + 1) * chunks.rows, l->router.w.rows));
	threads_barrier(p->threads);
}

static bool is_chosen(const struct expert_choice *choices, uint32_t count, uint32_t expert)
{
	for (uint32_t i = 0; i < count; i++)
		if (choices[i].expert == expert)
			return true;
	return false;
}

/* choose() - the experts of one row, the likeliest first, of equal ones the first */
static void choose(const struct model_experts *x, const float *router, struct expert_choice *ret)
{
	double max = -INFINITY, all = 0, used = 0;

	for (uint32_t i = 0; i < x->count; i++)
		max = fmax(max, router[i]);
	for (uint32_t i = 0; i < x->count; i++)
		all += exp(router[i] - max);
	for (uint32_t j = 0; j < x->used; j++) {
		uint32_t best = x->count;

		for (uint32_t i = 0; i < x->count; i++)
			if (!is_chosen(ret, j, i) && (best == x->count || router[i] > router[best]))
				best = i;
		ret[j] = (struct expert_choice){
			.expert = best, .weight = (float)(exp(router[best] - max) / all),
		};
		used += (double)ret[j].weight;
	}
	for (uint32_t j = 0; j < x->used; j++)
		ret[j].weight = (float)(ret[j].weight * (x->is_normed ? 1 / used : 1) * x->scale);
}

/* lay_out_pairs() - all rows' choices, by expert */
static void lay_out_pairs(struct pass *p)
{
	const struct model_experts *x = &p->model->model->hparams.experts;
	struct scratch_experts *e = &p->s->experts;
	const uint32_t pairs = p->row_count * x->used;
	uint32_t at = 0;

	for (uint32_t i = 0; i <= x->count; i++)
		e->begin[i] = 0;
	for (uint32_t i = 0; i < pairs; i++)
		e->begin[e->choices[i].expert + 1]++;
	e->active_count = 0;
	for (uint32_t i = 0; i < x->count; i++) {
		const uint32_t count = e->begin[i + 1];

		if (count)
			e->active[e->active_count++] = i;
		e->begin[i + 1] = at;	/* where its next pair goes; in the end, where it ends */
		at += count;
	}
	for (uint32_t i = 0; i < pairs; i++) {
		const uint32_t pair = e->begin[e->choices[i].expert + 1]++;

		e->choices[i].pair = pair;
		e->rows[pair] = p->rows[i / x->used];
	}
}

/** struct experts_part - a chunk of one expert's outputs, and its pairs */
struct experts_part {
	const struct model_ffn *ffn;
	uint32_t pair, pairs;
	uint32_t begin, end;
};

static struct experts_part experts_part(const struct pass *p, const struct model_layer *l,
					const struct chunks *chunks, uint32_t chunk, uint32_t rows)
{
	const struct scratch_experts *e = &p->s->experts;
	const uint32_t expert = e->active[chunk / chunks->count];
	const uint32_t begin = chunk % chunks->count * chunks->rows;

	return (struct experts_part){
		.ffn = &l->experts[expert],
		.pair = e->begin[expert],
		.pairs = e->begin[expert + 1] - e->begin[expert],
		.begin = begin,
		.end = MIN(begin + chunks->rows, rows),
	};
}

static void mul_part(const struct pass *p, const struct model_matrix *m,
		     const struct experts_part *part, const char *act, size_t stride, float *y,
		     size_t y_stride)
{
	pass_mul(p, m,
		 &(struct product){ .act = act + part->pair * stride, .stride = stride,
				    .rows = part->pairs, .y = y + part->pair * y_stride,
				    .y_stride = y_stride },
		 part->begin, part->end);
}

/* expert_chunks() - outputs of one expert cut up, as if all that are active had as many pairs */
static struct chunks expert_chunks(const struct pass *pairs, const struct model_matrix *m)
{
	struct pass one = *pairs;

	one.row_count = MAX(1U, pairs->row_count / pairs->s->experts.active_count);
	return pass_chunks(&one, m, 1);
}

/* hidden() - pairs to their hidden states, in gate; all meet */
static void hidden(struct pass *pairs, const struct model_layer *l)
{
	struct scratch *s = pairs->s;
	const struct model_matrix *const matrices[] = { &l->experts->gate, &l->experts->up };
	const struct packing what = {
		.src = s->x, .stride = s->width_stride, .rows = pairs->rows, .norm = &l->ffn_norm,
	};
	const struct acts acts = pass_pack(pairs, &what, matrices, 2);
	const struct chunks chunks = expert_chunks(pairs, matrices[0]);
	const uint32_t count = chunks.count * s->experts.active_count;

	for (uint32_t c = pairs->member; c < count; c = threads_chunk_next(pairs->threads)) {
		const struct experts_part part =
			experts_part(pairs, l, &chunks, c, matrices[0]->w.rows);

		mul_part(pairs, &part.ffn->gate, &part, acts.data[0], acts.stride[0], s->gate,
			 s->ff_stride);
		mul_part(pairs, &part.ffn->up, &part, acts.data[1], acts.stride[1], s->up,
			 s->ff_stride);
		pass_activate(pairs, part.pair, part.pairs, part.begin, part.end);
	}
	threads_barrier(pairs->threads);
}

/* down() - hidden states to what the experts give, in y; all meet */
static void down(struct pass *pairs, const struct model_layer *l)
{
	struct scratch *s = pairs->s;
	const struct model_matrix *const matrices[] = { &l->experts->down };
	const struct packing what = { .src = s->gate, .stride = s->ff_stride };
	const struct acts acts = pass_pack(pairs, &what, matrices, 1);
	const struct chunks chunks = expert_chunks(pairs, matrices[0]);
	const uint32_t count = chunks.count * s->experts.active_count;

	for (uint32_t c = pairs->member; c < count; c = threads_chunk_next(pairs->threads)) {
		const struct experts_part part =
			experts_part(pairs, l, &chunks, c, matrices[0]->w.rows);

		mul_part(pairs, &part.ffn->down, &part, acts.data[0], acts.stride[0], s->y,
			 s->width_stride);
	}
	threads_barrier(pairs->threads);
}

/* combine() - what each row's experts give, by weight, is added to x; all meet */
static void combine(struct pass *p, const struct model_layer *l)
{
	const struct model_hparams *h = &p->model->model->hparams;
	const uint32_t used = h->experts.used;
	struct scratch *s = p->s;

	for (uint32_t i = p->member; i < p->row_count; i = threads_chunk_next(p->threads)) {
		float *sum = p->own->row;

		for (uint32_t j = 0; j < used; j++) {
			const struct expert_choice *c = &s->experts.choices[i * used + j];
			const float *y = s->y + c->pair * s->width_stride;

			for (uint32_t k = 0; k < h->width; k++)
				sum[k] = j ? sum[k] + c->weight * y[k] : c->weight * y[k];
		}
		if (l->ffn_post_norm.weight)
			pass_norm(p, &l->ffn_post_norm, sum, sum);
		p->ops->add(s->x + p->rows[i] * s->width_stride, sum, h->width);
	}
	threads_barrier(p->threads);
}

void pass_experts(struct pass *p, const struct model_layer *l)
{
	const struct model_experts *x = &p->model->model->hparams.experts;
	struct scratch_experts *e = &p->s->experts;
	struct pass pairs = *p;

	route(p, l);
	for (uint32_t i = p->member; i < p->row_count; i = threads_chunk_next(p->threads))
		choose(x, e->router + i * e->stride, e->choices + (size_t)i * x->used);
	threads_barrier(p->threads);
	if (p->member == 0)
		lay_out_pairs(p);
	threads_barrier(p->threads);
	pairs.rows = e->rows;
	pairs.row_count = p->row_count * x->used;
	hidden(&pairs, l);
	down(&pairs, l);
	combine(p, l);
}
