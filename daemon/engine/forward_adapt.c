/* SPDX-License-Identifier: MIT */
/*
 * Adapters of a step: beside W x, B (A x) for the tokens that have some. All members meet between A
 * and B. Each sum runs in one order, whoever computes it and whoever else has the same adapter; what
 * several adapters give is added in the order in which the item names them.
 */
#include "engine/forward_internal.h"

/* rows of the pass that a group has */
static uint32_t first_row(const struct pass *p, const struct adapt_group *g)
{
	return p->rows == p->s->all ? g->token_begin : g->row_begin;
}

static uint32_t end_row(const struct pass *p, const struct adapt_group *g)
{
	return p->rows == p->s->all ? g->token_end : g->row_end;
}

static const struct lora_pair *pair_of(const struct engine_adapter_use *use, uint32_t site)
{
	const struct lora_pair *pair = &use->adapter->lora->pairs[site];

	return pair->a.w.rows ? pair : NULL;
}

/* packed_row() - where A x of a row stands */
static char *packed_row(const struct pass *p, uint32_t use, uint32_t slot, uint32_t row)
{
	const struct adapting *a = &p->model->adapting;
	const size_t tokens = p->model->engine->config.batch_tokens;

	return a->packed + (((size_t)use * ADAPT_SITES + slot) * tokens + row) * a->packed_bytes;
}

/* pack_rows() - the activations of @rows rows, for the type of A */
static void pack_rows(const struct pass *p, const struct packing *what,
		      const struct model_matrix *a, uint32_t row, uint32_t rows, char *act)
{
	for (uint32_t i = 0; i < rows; i++) {
		const uint32_t from = what->rows ? what->rows[row + i] : row + i;
		const float *x = what->src + from * what->stride;

		if (what->norm) {
			pass_norm(p, what->norm, p->own->row, x);
			x = p->own->row;
		}
		p->ops->matmul[a->type].pack(act + i * p->model->adapting.act_bytes, x, a->w.cols);
	}
}

/* shrink_tile() - A x of some rows of a group, scaled and packed for B */
static void shrink_tile(const struct pass *p, const struct packing *what,
			const struct adapt_group *g, uint32_t site, uint32_t slot, uint32_t row,
			uint32_t rows)
{
	const struct adapting *a = &p->model->adapting;
	const struct adapt_member *own = &a->members[p->member];
	const struct kern_matmul *packed = NULL;

	for (uint32_t i = 0; i < g->use_count; i++) {
		const struct lora_pair *pair = pair_of(&g->uses[i], site);
		const struct kern_matmul *matmul;
		float scale;

		if (!pair)
			continue;
		matmul = &p->ops->matmul[pair->a.type];
		if (!packed || packed->pack != matmul->pack)
			pack_rows(p, what, &pair->a, row, rows, own->act);
		packed = matmul;
		matmul->mul(&pair->a.w, 0, pair->a.w.rows, own->act, a->act_bytes, rows, own->low,
			    a->low_stride);
		scale = pair->scale * g->uses[i].scale;
		for (uint32_t t = 0; t < rows; t++) {
			float *low = own->low + t * a->low_stride;

			for (uint32_t j = 0; j < pair->a.w.rows; j++)
				low[j] *= scale;
			p->ops->matmul[pair->b.type].pack(packed_row(p, i, slot, row + t), low,
							  pair->b.w.cols);
		}
	}
}

static uint32_t tiles_of(const struct pass *p, const struct adapt_group *g)
{
	return (end_row(p, g) - first_row(p, g) + ADAPT_TILE - 1) / ADAPT_TILE;
}

void pass_shrink(struct pass *p, const struct packing *what, uint32_t site, uint32_t count)
{
	const struct adapting *a = &p->model->adapting;
	uint32_t chunk = p->member, begin = 0;

	if (!a->group_count)
		return;
	for (uint32_t i = 0; i < a->group_count; i++) {
		const struct adapt_group *g = &a->groups[i];
		const uint32_t chunks = tiles_of(p, g) * count;

		for (; chunk < begin + chunks; chunk = threads_chunk_next(p->threads)) {
			const uint32_t slot = (chunk - begin) % count;
			const uint32_t row = first_row(p, g) + (chunk - begin) / count * ADAPT_TILE;

			shrink_tile(p, what, g, site + slot, slot, row,
				    MIN(end_row(p, g) - row, ADAPT_TILE));
		}
		begin += chunks;
	}
	threads_barrier(p->threads);
}

/* expand_tile() - outputs [begin, end) of some rows: B of their A x, added to y */
static void expand_tile(const struct pass *p, const struct lora_pair *pair, const char *packed,
			uint32_t rows, uint32_t begin, uint32_t end, float *y, size_t y_stride)
{
	const struct adapting *a = &p->model->adapting;
	float *out = a->members[p->member].out;

	for (uint32_t at = begin; at < end; at += ADAPT_OUTPUTS) {
		const uint32_t outputs = MIN(end - at, ADAPT_OUTPUTS);
		const struct kern_weights w = {
			.data = (const char *)pair->b.w.data + at * pair->b.w.row_bytes,
			.row_bytes = pair->b.w.row_bytes,
			.rows = outputs,
			.cols = pair->b.w.cols,
		};

		p->ops->matmul[pair->b.type].mul(&w, 0, outputs, packed, a->packed_bytes, rows, out,
						 ADAPT_OUTPUTS);
		for (uint32_t t = 0; t < rows; t++)
			p->ops->add(y + t * y_stride + at, out + t * ADAPT_OUTPUTS, outputs);
	}
}

void pass_expand(const struct pass *p, uint32_t site, uint32_t slot, uint32_t begin, uint32_t end,
		 float *y, size_t y_stride)
{
	const struct adapting *a = &p->model->adapting;

	for (uint32_t i = 0; i < a->group_count; i++) {
		const struct adapt_group *g = &a->groups[i];

		for (uint32_t j = 0; j < g->use_count; j++) {
			const struct lora_pair *pair = pair_of(&g->uses[j], site);

			for (uint32_t row = first_row(p, g); pair && row < end_row(p, g);
			     row += ADAPT_TILE)
				expand_tile(p, pair, packed_row(p, j, slot, row),
					    MIN(end_row(p, g) - row, ADAPT_TILE), begin, end,
					    y + row * y_stride, y_stride);
		}
	}
}
