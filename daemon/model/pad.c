/* SPDX-License-Identifier: MIT */
/*
 * Heads of a size that kernels do not have: queries, keys and values get rows of zeros behind each
 * head, and the output of attention columns of zeros, so that heads are longer and nothing else is.
 * That takes copies, of models that are small.
 */
#include <string.h>

#include "model/bind.h"

/** struct heads - @count of them in a matrix, of @elems elements that become @padded */
struct heads {
	uint32_t count, elems, padded;
};

static int no_memory(struct binder *b)
{
	return error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
}

/* copy_heads() - bytes of all heads, and zeros behind each; the sizes can't overflow (model.h) */
static void *copy_heads(struct binder *b, const struct heads *h, const void *from,
			size_t elem_bytes)
{
	const size_t have = h->elems * elem_bytes, want = h->padded * elem_bytes;
	char *to = (char *)bind_alloc(b, (h->count * want - 1) / sizeof(float) + 1);

	for (uint32_t i = 0; to && i < h->count; i++) {
		memcpy(to + i * want, (const char *)from + i * have, have);
		memset(to + i * want + have, 0, want - have);
	}
	return to;
}

/* pad_rows() - zero bytes are zeros in all types */
static int pad_rows(struct binder *b, struct model_matrix *m, uint32_t count)
{
	const struct model_hparams *p = &b->model->hparams;
	const struct heads h = { count, p->head_elems, p->head_dim };

	m->w.data = copy_heads(b, &h, m->w.data, m->w.row_bytes);
	if (!m->w.data)
		return no_memory(b);
	m->w.rows = count * p->head_dim;
	if (!m->bias)
		return 0;
	m->bias = copy_heads(b, &h, m->bias, sizeof(*m->bias));
	return m->bias ? 0 : no_memory(b);
}

/* pad_cols() - as float32: a head may end within a block */
static int pad_cols(struct binder *b, struct model_matrix *m, uint32_t count)
{
	const struct model_hparams *p = &b->model->hparams;
	const uint32_t cols = count * p->head_dim;
	_cleanup_free_ float *row = malloc(m->w.cols * sizeof(*row));
	float *to = bind_alloc(b, (size_t)m->w.rows * cols);

	if (!to || !row)
		return no_memory(b);
	memset(to, 0, (size_t)m->w.rows * cols * sizeof(*to));
	for (uint32_t r = 0; r < m->w.rows; r++) {
		b->ref->dequant_row[m->type](row, (const char *)m->w.data + r * m->w.row_bytes,
					     m->w.cols);
		for (uint32_t i = 0; i < count; i++)
			memcpy(to + (size_t)r * cols + i * p->head_dim, row + i * p->head_elems,
			       p->head_elems * sizeof(*row));
	}
	m->type = KERN_F32;
	m->w.data = to;
	m->w.row_bytes = cols * sizeof(*to);
	m->w.cols = cols;
	return 0;
}

int bind_pad_heads(struct binder *b, struct model_layer *l)
{
	const struct model_hparams *p = &b->model->hparams;
	int r;

	if (p->head_dim == p->head_elems)
		return 0;
	r = pad_rows(b, &l->q, p->heads);
	if (r >= 0)
		r = pad_rows(b, &l->k, p->kv_heads);
	if (r >= 0)
		r = pad_rows(b, &l->v, p->kv_heads);
	return r < 0 ? r : pad_cols(b, &l->o, p->heads);
}
