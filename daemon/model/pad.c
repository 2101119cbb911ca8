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

/* copy_heads() - bytes of all heads, zeros behind each; the sizes can't overflow (model.h) */
static void *copy_heads(struct model *model, const struct heads *h, const void *from,
			size_t elem_bytes)
{
	const size_t have = h->elems * elem_bytes, want = h->padded * elem_bytes;
	char *to = (char *)model_copy_new(model, (h->count * want - 1) / sizeof(float) + 1);

	for (uint32_t i = 0; to && i < h->count; i++)
		memcpy(to + i * want, (const char *)from + i * have, have);
	return to;
}

/* pad_rows() - zero bytes are zeros in all types */
static int pad_rows(struct model *model, struct model_matrix *m, uint32_t count)
{
	const struct model_hparams *p = &model->hparams;
	const struct heads h = { count, p->head_elems, p->head_dim };

	m->w.data = copy_heads(model, &h, m->w.data, m->w.row_bytes);
	if (!m->w.data)
		return -ENOMEM;
	m->w.rows = count * p->head_dim;
	m->is_copy = true;
	if (!m->bias)
		return 0;
	m->bias = copy_heads(model, &h, m->bias, sizeof(*m->bias));
	return m->bias ? 0 : -ENOMEM;
}

/* pad_cols() - as float32: a head may end within a block */
static int pad_cols(struct model *model, struct model_matrix *m, uint32_t count)
{
	const struct kern_ops *ref = kern_ops_get("ref");
	const struct model_hparams *p = &model->hparams;
	const uint32_t cols = count * p->head_dim;
	_cleanup_free_ float *row = malloc(m->w.cols * sizeof(*row));
	float *to = model_copy_new(model, (size_t)m->w.rows * cols);

	if (!to || !row)
		return -ENOMEM;
	for (uint32_t r = 0; r < m->w.rows; r++) {
		ref->dequant_row[m->type](row, (const char *)m->w.data + r * m->w.row_bytes,
					  m->w.cols);
		for (uint32_t i = 0; i < count; i++)
			memcpy(to + (size_t)r * cols + i * p->head_dim, row + i * p->head_elems,
			       p->head_elems * sizeof(*row));
	}
	m->type = KERN_F32;
	m->is_copy = true;
	m->w.data = to;
	m->w.row_bytes = cols * sizeof(*to);
	m->w.cols = cols;
	return 0;
}

static int pad_layer(struct model *model, struct model_layer *l)
{
	const struct model_hparams *p = &model->hparams;
	int r;

	r = pad_rows(model, &l->q, p->heads);
	if (r >= 0)
		r = pad_rows(model, &l->k, p->kv_heads);
	if (r >= 0)
		r = pad_rows(model, &l->v, p->kv_heads);
	return r < 0 ? r : pad_cols(model, &l->o, p->heads);
}

int model_pad_heads(struct model *model, struct error *error)
{
	const struct model_hparams *p = &model->hparams;
	int r = 0;

	for (uint32_t i = 0; i < p->layers && p->head_dim != p->head_elems && r >= 0; i++)
		r = pad_layer(model, &model->layers[i]);
	return r < 0 ? error_set(error, r, "model: %s", strerror(-r)) : 0;
}
