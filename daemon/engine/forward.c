/* SPDX-License-Identifier: MIT */
/*
 * A step through a model. The whole step is one run of the team: its members go through the layers
 * together and meet five times in each (when tokens are few; else also after packing activations;
 * norms behind a network and experts need more). Each output element is computed by one member in one fixed order,
 * so that neither the number of members nor the other tokens of the step can change a bit of it.
 */
#include "engine/forward_internal.h"
#include "kernels/panel.h"

#include <string.h>

/* below this, waking the others takes longer than what they would save */
#define TEAM_WORK_MIN	400000		/* multiplications */

/* add_row() - a row of a table of vectors, to x */
static void add_row(struct pass *p, const struct model_matrix *m, uint32_t row, float *x)
{
	p->ops->dequant_row[m->type](p->own->row,
				     (const char *)m->w.data + row * m->w.row_bytes, m->w.cols);
	p->ops->add(x, p->own->row, m->w.cols);
}

/* embed() - tokens to the residual stream, and the angles of their positions */
static void embed(struct pass *p)
{
	const struct model *m = p->model->model;
	const struct model_matrix *e = &m->embedding, *positions = &m->positions;
	struct scratch *s = p->s;

	for (uint32_t i = p->member; i < s->token_count; i = threads_chunk_next(p->threads)) {
		const struct step_token *t = &s->tokens[i];
		float *x = s->x + i * s->width_stride;

		if (e->is_packed)
			kern_panel_dequant_row(e->type, x, &e->w, t->id);
		else
			p->ops->dequant_row[e->type](
				x, (const char *)e->w.data + t->id * e->w.row_bytes, e->w.cols);
		if (m->hparams.embedding_scale != 1)
			for (uint32_t j = 0; j < e->w.cols; j++)
				x[j] *= m->hparams.embedding_scale;
		if (positions->w.rows)
			add_row(p, positions, t->position, x);
		if (m->types.w.rows)
			add_row(p, &m->types, t->type, x);
		if (m->embedding_norm.weight)
			pass_norm(p, &m->embedding_norm, x, x);
		for (size_t j = 0; j < ARRAY_SIZE(s->angles); j++)
			rope_angles(&p->model->ropes[j], t->position,
				    s->angles[j].cos + i * s->rope_stride,
				    s->angles[j].sin + i * s->rope_stride);
	}
	threads_barrier(p->threads);
}

/* turn() - normalise (with @norm) and rotate whole heads [begin, end) of queries or keys */
static void turn(struct pass *p, const struct model_layer *l, const float *norm, float *heads,
		 size_t stride, uint32_t begin, uint32_t end)
{
	const struct model_hparams *h = &p->model->model->hparams;
	struct scratch *s = p->s;
	const struct scratch_angles *a = &s->angles[l->has_local_rope];

	for (uint32_t i = 0; i < s->token_count; i++) {
		float *first = heads + i * stride + begin;

		for (uint32_t r = 0; norm && r < end - begin; r += h->head_dim)
			p->ops->rms_norm(first + r, first + r, norm, h->head_elems, h->norm_eps);
		if (h->rope.dim && !l->has_no_rope)
			p->ops->rope(first, (end - begin) / h->head_dim, h->head_dim, h->rope.dim,
				     a->cos + i * s->rope_stride, a->sin + i * s->rope_stride,
				     h->rope.is_neox);
	}
}

/* even_out() - turn whole heads [begin, end) into what a cache in blocks keeps well */
static void even_out(struct pass *p, float *heads, size_t stride, uint32_t begin, uint32_t end)
{
	const uint32_t block = kern_kv_block_turned(&p->model->kv.form);

	for (uint32_t i = 0; block && i < p->s->token_count; i++)
		p->ops->hadamard(heads + i * stride + begin, end - begin, block);
}

/* store() - put whole heads [begin, end) of every token's keys or values into the cache */
static void store(struct pass *p, uint32_t layer, const float *heads, uint32_t begin, uint32_t end,
		  bool is_value)
{
	const uint32_t head_dim = p->model->model->hparams.head_dim;
	const struct kv *kv = &p->model->kv;

	for (uint32_t i = 0; i < p->s->token_count; i++) {
		const struct step_token *t = &p->s->tokens[i];
		const uint32_t page = t->seq->pages[t->place / KV_PAGE_TOKENS];
		const uint32_t slot = t->place % KV_PAGE_TOKENS;

		for (uint32_t r = begin; r < end; r += head_dim) {
			const float *x = heads + i * p->s->kv_stride + r;

			if (is_value)
				p->ops->store_value(kv_values(kv, page, layer, r / head_dim),
						    &kv->form, slot, x);
			else
				p->ops->store_key(kv_keys(kv, page, layer, r / head_dim),
						  &kv->form, slot, x);
		}
	}
}

/* query_key_value() - x to q, and to keys and values in the cache; all meet */
static void query_key_value(struct pass *p, const struct model_layer *l, uint32_t layer)
{
	struct scratch *s = p->s;
	const uint32_t unit = p->model->model->hparams.head_dim;
	const struct model_matrix *const matrices[] = { &l->q, &l->k, &l->v };
	const struct packing what = {
		.src = s->x, .stride = s->width_stride, .norm = &l->attn_norm,
	};
	const struct acts acts = pass_pack(p, &what, matrices, 3);
	const struct chunks q = pass_chunks(p, &l->q, unit);
	const struct chunks kv = pass_chunks(p, &l->k, unit);
	const float *const norms[] = { l->q_norm, l->k_norm };
	float *const out[] = { s->q, s->k, s->v };

	pass_shrink(p, &what, lora_site(layer, LORA_Q), 3);
	for (uint32_t c = p->member; c < q.count + 2 * kv.count;
	     c = threads_chunk_next(p->threads)) {
		const uint32_t which = c < q.count ? 0 : 1 + (c - q.count) / kv.count;
		const uint32_t part = which ? (c - q.count) % kv.count : c;
		const uint32_t rows = which ? kv.rows : q.rows;
		const uint32_t begin = part * rows;
		const uint32_t end = MIN(begin + rows, matrices[which]->w.rows);
		const size_t stride = which ? s->kv_stride : s->q_stride;

		pass_mul(p, matrices[which],
			 &(struct product){
				 .act = acts.data[which], .stride = acts.stride[which],
				 .rows = p->row_count, .y = out[which], .y_stride = stride },
			 begin, end);
		pass_expand(p, lora_site(layer, LORA_Q) + which, which, begin, end, out[which],
			    stride);
		if (which < 2)
			turn(p, l, norms[which], out[which], stride, begin, end);
		even_out(p, out[which], stride, begin, end);
		if (which)
			store(p, layer, out[which], begin, end, which == 2);
	}
	threads_barrier(p->threads);
}

/* norm_sum() - the residual stream of the pass's rows, where a norm stands behind a sum; all meet */
static void norm_sum(struct pass *p, const struct model_norm *norm)
{
	if (!norm->weight)
		return;
	for (uint32_t i = p->member; i < p->row_count; i = threads_chunk_next(p->threads)) {
		float *x = p->s->x + p->rows[i] * p->s->width_stride;

		pass_norm(p, norm, x, x);
	}
	threads_barrier(p->threads);
}

static void layer_pass(struct pass *p, uint32_t layer)
{
	const struct model_layer *l = &p->model->model->layers[layer];
	struct scratch *s = p->s;

	query_key_value(p, l, layer);
	if (layer + 1 == p->model->model->hparams.layers) {
		p->rows = s->rows;
		p->row_count = s->row_count;
		if (!p->row_count)
			return;
	}
	pass_attend(p, layer);
	pass_mul_into_x(p, &l->o, lora_site(layer, LORA_O), &(struct packing){
		.src = s->attn, .stride = s->q_stride, .rows = p->rows }, &l->attn_post_norm);
	norm_sum(p, &l->attn_sum_norm);
	if (l->experts)
		pass_experts(p, l);
	else
		pass_feed_forward(p, l, layer);
	norm_sum(p, &l->ffn_sum_norm);
}

/* hidden_states() - what is wanted of them, to y; nobody reads it in this run */
static void hidden_states(struct pass *p)
{
	const struct model_norm *norm = &p->model->model->output_norm;
	struct scratch *s = p->s;

	for (uint32_t i = s->logits_count + p->member; i < s->row_count;
	     i += threads_members(p->threads)) {
		const float *x = s->x + s->rows[i] * s->width_stride;
		float *y = s->y + i * s->width_stride;

		if (norm->weight)
			pass_norm(p, norm, y, x);
		else
			memcpy(y, x, p->model->model->hparams.width * sizeof(*y));
	}
}

static void logits(struct pass *p)
{
	const struct model *m = p->model->model;
	const struct model_matrix *const matrices[] = { &m->output };
	const struct packing what = {
		.src = p->s->x, .stride = p->s->width_stride, .rows = p->rows,
		.norm = &m->output_norm,
	};
	const struct acts acts = pass_pack(p, &what, matrices, 1);
	const struct chunks chunks = pass_chunks(p, &m->output, 1);
	const struct product product = {
		.act = acts.data[0], .stride = acts.stride[0], .rows = p->row_count,
		.y = p->s->logits, .y_stride = m->hparams.vocab,
	};
	const uint32_t site = lora_site(m->hparams.layers, 0);

	pass_shrink(p, &what, site, 1);
	for (uint32_t c = p->member; c < chunks.count; c = threads_chunk_next(p->threads)) {
		const uint32_t begin = c * chunks.rows;
		const uint32_t end = MIN(begin + chunks.rows, m->output.w.rows);

		pass_mul(p, &m->output, &product, begin, end);
		pass_expand(p, site, 0, begin, end, product.y, product.y_stride);
		for (uint32_t i = 0; i < p->row_count && m->hparams.logit_softcap != 0; i++)
			p->ops->softcap(product.y + i * product.y_stride + begin, end - begin,
					m->hparams.logit_softcap);
	}
}

static void member_pass(void *arg, unsigned int member)
{
	struct engine_model *model = arg;
	const struct engine_config *config = &model->engine->config;
	struct pass p = {
		.model = model,
		.ops = model->engine->ops,
		.threads = model->engine->threads,
		.s = &model->scratch,
		.own = &model->scratch.members[member],
		.member = member,
		.rows = model->scratch.all,
		.row_count = model->scratch.token_count,
	};

	embed(&p);
	for (uint32_t i = 0; i < model->model->hparams.layers; i++) {
		if (member == 0 && config->progress)
			config->progress(config->progress_arg);
		layer_pass(&p, i);
	}
	hidden_states(&p);
	p.row_count = p.s->logits_count;
	if (p.row_count)
		logits(&p);
}

/* step_work() - multiplications of the step, those of attention with them */
static uint64_t step_work(const struct engine_model *model)
{
	const struct model_hparams *h = &model->model->hparams;
	const struct scratch *s = &model->scratch;
	uint64_t work = model->token_work * s->token_count;

	for (uint32_t i = 0; i < s->token_count; i++)
		work += 2 * (uint64_t)h->layers * h->heads * h->head_dim *
			(s->tokens[i].end - s->tokens[i].begin);
	return work;
}

void forward(struct engine_model *model)
{
	const uint64_t work = step_work(model);
	const unsigned int all = threads_count(model->engine->threads);

	threads_run(model->engine->threads, work < TEAM_WORK_MIN ? 1 : all, member_pass, model);
}
