/* SPDX-License-Identifier: MIT */
/*
 * Matrix multiplications of a step: the activations are packed once in each form that is wanted,
 * and the outputs are cut into chunks that members take as they become free.
 */
#include "engine/forward_internal.h"

#define CHUNK_UNIT	16		/* outputs: a cache line of float32 */
#define CHUNK_BYTES	(128U << 10)	/* of weights, at most: what fits a core's own cache */
#define CHUNK_WORK	(4U << 20)	/* multiplications, at most: tens of microseconds */
#define CHUNKS_EACH	8		/* per member at least, so that one who is late takes fewer */
#define ACT_BYTES	(768U << 10)	/* of packed activations at once: they stay there beside it */
#define ACT_TOKENS	16U		/* but as many tokens at least */

static bool same_form(const struct pass *p, const struct model_matrix *a,
		      const struct model_matrix *b)
{
	const struct kern_matmul *x = matrix_kernel(p->ops, a), *y = matrix_kernel(p->ops, b);

	return x->pack == y->pack && x->act_bytes == y->act_bytes;
}

void pass_norm(const struct pass *p, const struct model_norm *norm, float *y, const float *x)
{
	const struct model_hparams *h = &p->model->model->hparams;

	if (norm->bias)
		p->ops->layer_norm(y, x, norm->weight, norm->bias, h->width, h->norm_eps);
	else
		p->ops->rms_norm(y, x, norm->weight, h->width, h->norm_eps);
}

/* pack_row() - one token, in each form once */
static void pack_row(const struct pass *p, const struct packing *what, uint32_t row,
		     const struct model_matrix *const *matrices, uint32_t count,
		     const struct acts *acts)
{
	const uint32_t cols = matrices[0]->w.cols;
	const float *x = what->src + (what->rows ? what->rows[row] : row) * what->stride;

	if (what->norm && what->norm->weight) {
		pass_norm(p, what->norm, p->own->row, x);
		x = p->own->row;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!i || acts->data[i] != acts->data[i - 1])
			matrix_kernel(p->ops, matrices[i])->pack(
				(char *)acts->data[i] + row * acts->stride[i], x, cols);
}

/* place() - where each matrix finds its activations; those of one form share them */
static struct acts place(const struct pass *p, const struct act_buffer *buffer,
			 const struct model_matrix *const *matrices, uint32_t count)
{
	struct acts acts = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		const struct model_matrix *m = matrices[i];

		acts.data[i] = i && same_form(p, m, matrices[i - 1]) ? acts.data[i - 1]
								     : buffer->form[i];
		acts.stride[i] = scratch_act_stride(p->ops, m);
	}
	return acts;
}

struct acts pass_pack(struct pass *p, const struct packing *what,
		      const struct model_matrix *const *matrices, uint32_t count)
{
	const uint32_t cols = matrices[0]->w.cols;
	struct acts acts;

	if (p->row_count == 1 || (uint64_t)p->row_count * cols <= ACT_OWN_ELEMS) {
		acts = place(p, &p->own->act, matrices, count);
		for (uint32_t i = 0; i < p->row_count; i++)
			pack_row(p, what, i, matrices, count, &acts);
		return acts;
	}
	acts = place(p, &p->s->act, matrices, count);
	for (uint32_t i = p->member; i < p->row_count; i = threads_chunk_next(p->threads))
		pack_row(p, what, i, matrices, count, &acts);
	threads_barrier(p->threads);
	return acts;
}

struct chunks pass_chunks(const struct pass *p, const struct model_matrix *m, uint32_t unit)
{
	const uint32_t members = threads_members(p->threads);
	const uint64_t row_work = (uint64_t)m->w.cols * p->row_count;
	size_t rows = m->w.rows;
	struct chunks c;

	while (unit % CHUNK_UNIT)
		unit *= 2;
	if (members > 1) {
		rows = MIN(rows / (members * CHUNKS_EACH), CHUNK_BYTES / m->w.row_bytes);
		rows = MIN(rows, CHUNK_WORK / row_work) + 1;
	}
	c.rows = (uint32_t)((rows + unit - 1) / unit * unit);
	c.count = (m->w.rows + c.rows - 1) / c.rows;
	return c;
}

void pass_mul(const struct pass *p, const struct model_matrix *m, const struct product *what,
	      uint32_t begin, uint32_t end)
{
	const struct kern_matmul *matmul = matrix_kernel(p->ops, m);
	const uint32_t tokens = (uint32_t)MAX(ACT_TOKENS, ACT_BYTES / what->stride);

	for (uint32_t t = 0; t < what->rows; t += tokens)
		matmul->mul(&m->w, begin, end, what->act + t * what->stride, what->stride,
			    MIN(what->rows - t, tokens), what->y + t * what->y_stride,
			    what->y_stride);
	for (uint32_t t = 0; m->bias && t < what->rows; t++)
		p->ops->add(what->y + t * what->y_stride + begin, m->bias + begin, end - begin);
}

void pass_mul_into_x(struct pass *p, const struct model_matrix *m, uint32_t site,
		     const struct packing *what, const struct model_norm *post)
{
	struct scratch *s = p->s;
	const struct acts acts = pass_pack(p, what, &m, 1);
	const struct chunks chunks = pass_chunks(p, m, 1);
	const struct product product = {
		.act = acts.data[0], .stride = acts.stride[0], .rows = p->row_count,
		.y = s->y, .y_stride = s->width_stride,
	};

	pass_shrink(p, what, site, 1);
	for (uint32_t c = p->member; c < chunks.count; c = threads_chunk_next(p->threads)) {
		const uint32_t begin = c * chunks.rows;
		const uint32_t end = MIN(begin + chunks.rows, m->w.rows);

		pass_mul(p, m, &product, begin, end);
		pass_expand(p, site, 0, begin, end, s->y, s->width_stride);
		for (uint32_t i = 0; i < p->row_count && !post->weight; i++)
			p->ops->add(s->x + p->rows[i] * s->width_stride + begin,
				    s->y + i * s->width_stride + begin, end - begin);
	}
	threads_barrier(p->threads);
	if (!post->weight)
		return;
	for (uint32_t i = p->member; i < p->row_count; i = threads_chunk_next(p->threads)) {
		float *y = s->y + i * s->width_stride;

		pass_norm(p, post, y, y);
		p->ops->add(s->x + p->rows[i] * s->width_stride, y, m->w.rows);
	}
	threads_barrier(p->threads);
}
