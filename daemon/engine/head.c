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

/* what is no number has to stay none: whoever asked for it is told so */
static float relu(float x)
{
	return x < 0 ? 0 : x;
}

static void activate(const struct kern_ops *ops, enum model_head_act act, float *y, uint32_t n)
{
	if (act == MODEL_HEAD_GELU)
		ops->gelu_erf(y, y, n);
	for (uint32_t i = 0; i < n && act != MODEL_HEAD_GELU; i++)
		y[i] = act == MODEL_HEAD_RELU ? relu(y[i]) : tanhf(y[i]);
}

void engine_classify(struct engine_model *model, const float *x, float *ret)
{
	const struct model_head *head = &model->model->head;
	const struct model_hparams *h = &model->model->hparams;
	const struct kern_ops *ops = model->engine->ops;
	float *y = model->scratch.members[0].row, both[2];

	if (head->dense.w.rows) {
		multiply(model, &head->dense, x, y);
		activate(ops, h->head_act, y, h->width);
		if (head->norm.bias)
			ops->layer_norm(y, y, head->norm.weight, head->norm.bias, h->width,
					h->norm_eps);
		else if (head->norm.weight)
			ops->rms_norm(y, y, head->norm.weight, h->width, h->norm_eps);
		x = y;
	}
	multiply(model, &head->labels, x, head->is_contrast ? both : ret);
	/* labels that were tokens of the output are capped as those are */
	if (h->is_ranker && h->logit_softcap != 0)
		ops->softcap(head->is_contrast ? both : ret, head->labels.w.rows,
			     h->logit_softcap);
	if (head->is_contrast)
		*ret = both[0] - both[1];
}

const char *engine_label(const struct gguf *gguf, uint32_t index, size_t *ret_len)
{
	const struct gguf_string name = model_label(gguf, index);

	*ret_len = name.len;
	return name.data;
}
