/* SPDX-License-Identifier: MIT */
/* What a model that has labels makes of a text's hidden state. */
#include <math.h>
#include <string.h>

#include "engine/engine_internal.h"

_Static_assert((int)ENGINE_POOL_MEAN == MODEL_POOL_MEAN &&
	       (int)ENGINE_POOL_FIRST == MODEL_POOL_FIRST &&
	       (int)ENGINE_POOL_LAST == MODEL_POOL_LAST, "the same numbers");

/* multiply() - y (rows) = m x + bias; @m->w.cols is the width */
static void multiply(struct engine_model *model, const struct model_matrix *m, const float *x,
		     float *y)
{
	const struct kern_ops *ops = model->engine->ops;
	const struct kern_matmul *matmul = &ops->matmul[m->type];
	char *act = model->scratch.members[0].act.form[0];

	matmul->pack(act, x, m->w.cols);
	matmul->mul(&m->w, 0, m->w.rows, act, matmul->act_bytes(m->w.cols), 1, y, m->w.rows);
	if (m->bias)
		ops->add(y, m->bias, m->w.rows);
}

void engine_classify(struct engine_model *model, const float *x, float *ret)
{
	const struct model_head *head = &model->model->head;
	float *y = model->scratch.members[0].row;

	if (head->dense.w.rows) {
		multiply(model, &head->dense, x, y);
		for (uint32_t i = 0; i < head->dense.w.rows; i++)
			y[i] = head->act == MODEL_HEAD_RELU ? fmaxf(y[i], 0) : tanhf(y[i]);
		x = y;
	}
	multiply(model, &head->labels, x, ret);
}

const char *engine_label(const struct gguf *gguf, uint32_t index, size_t *ret_len)
{
	const struct gguf_string name = model_label(gguf, index);

	*ret_len = name.len;
	return name.data;
}
