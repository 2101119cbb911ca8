/* SPDX-License-Identifier: MIT */
/* The feed-forward network that all tokens pass: gate and up, the activation, down. */
#include "engine/forward_internal.h"

static void gelu_erf_mul(const struct pass *p, float *gate, const float *up, uint32_t n)
{
	p->ops->gelu_erf(gate, gate, n);
	for (uint32_t i = 0; i < n; i++)
		gate[i] *= up[i];
}

void pass_activate(const struct pass *p, uint32_t row, uint32_t rows, uint32_t begin, uint32_t end)
{
	const struct model_hparams *h = &p->model->model->hparams;
	const struct scratch *s = p->s;

	for (uint32_t i = row; i < row + rows; i++) {
		float *gate = s->gate + i * s->ff_stride + begin;
		const float *up = s->up + i * s->ff_stride + begin;

		if (!h->is_gated && h->act == MODEL_ACT_GELU_ERF)
			p->ops->gelu_erf(gate, gate, end - begin);
		else if (!h->is_gated)
			p->ops->gelu(gate, gate, end - begin);
		else if (h->act == MODEL_ACT_GELU_ERF)
			gelu_erf_mul(p, gate, up, end - begin);
		else if (h->act == MODEL_ACT_GELU)
			p->ops->gelu_mul(gate, gate, up, end - begin);
		else
			p->ops->silu_mul(gate, gate, up, end - begin);
	}
}

/* hidden() - x to the hidden state, in gate; all meet */
static void hidden(struct pass *p, const struct model_layer *l, uint32_t layer)
{
	struct scratch *s = p->s;
	const bool is_gated = p->model->model->hparams.is_gated;
	/* without a gate, what goes up is activated in its place */
	const struct model_matrix *const matrices[] = {
		is_gated ? &l->ffn.gate : &l->ffn.up, &l->ffn.up,
	};
	const struct packing what = {
		.src = s->x, .stride = s->width_stride, .rows = p->rows, .norm = &l->ffn_norm,
	};
	const struct acts acts = pass_pack(p, &what, matrices, is_gated ? 2 : 1);
	const struct chunks chunks = pass_chunks(p, &l->ffn.up, 1);
	const uint32_t site = lora_site(layer, is_gated ? LORA_GATE : LORA_UP);
	float *const out[] = { s->gate, s->up };

	pass_shrink(p, &what, site, is_gated ? 2 : 1);
	for (uint32_t c = p->member; c < chunks.count; c = threads_chunk_next(p->threads)) {
		const uint32_t begin = c * chunks.rows;
		const uint32_t end = MIN(begin + chunks.rows, l->ffn.up.w.rows);

		for (uint32_t i = 0; i <= is_gated; i++) {
			pass_mul(p, matrices[i],
				 &(struct product){
					 .act = acts.data[i], .stride = acts.stride[i],
					 .rows = p->row_count, .y = out[i],
					 .y_stride = s->ff_stride },
				 begin, end);
			pass_expand(p, site + i, i, begin, end, out[i], s->ff_stride);
		}
		pass_activate(p, 0, p->row_count, begin, end);
	}
	threads_barrier(p->threads);
}

void pass_feed_forward(struct pass *p, const struct model_layer *l, uint32_t layer)
{
	hidden(p, l, layer);
	pass_mul_into_x(p, &l->ffn.down, lora_site(layer, LORA_DOWN),
			&(struct packing){ .src = p->s->gate, .stride = p->s->ff_stride },
			&l->ffn_post_norm);
}
