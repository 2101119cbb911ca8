/* SPDX-License-Identifier: MIT */
/*
 * Binds one layer. Files have queries, keys and values apart or in one tensor, gate and up too, and
 * experts one by one or stacked: all that becomes the same matrices, as views.
 */
#include <stdio.h>
#include <string.h>

#include "model/bind.h"

#define NAME_MAX_LAYER	64	/* of a tensor of a layer, in bytes */

/** struct layer_name - "blk.<index>.<part>" and a suffix */
struct layer_name {
	char text[NAME_MAX_LAYER];
};

static struct layer_name layer_name(uint32_t index, const char *part, const char *suffix)
{
	struct layer_name name;

	snprintf(name.text, sizeof(name.text), "blk.%u.%s%s", index, part, suffix);
	return name;
}

static bool has_tensor(const struct binder *b, uint32_t index, const char *part)
{
	return gguf_tensor_find(b->gguf, layer_name(index, part, ".weight").text);
}

/* bind_slice() - rows of a matrix and, where it has one, of its bias */
static int bind_slice(struct binder *b, uint32_t index, const char *part,
		      const struct bind_part *rows, uint32_t cols, struct model_matrix *ret)
{
	const float *bias = NULL;
	int r;

	r = bind_part(b, layer_name(index, part, ".weight").text, rows, cols, ret);
	if (r >= 0)
		r = bind_vector(b, layer_name(index, part, ".bias").text, rows->total, true, &bias);
	if (r >= 0 && bias)
		ret->bias = bias + rows->begin;
	return r;
}

static int bind_whole(struct binder *b, uint32_t index, const char *part, uint32_t rows,
		      uint32_t cols, struct model_matrix *ret)
{
	return bind_slice(b, index, part, &(struct bind_part){ 0, rows, rows }, cols, ret);
}

static int bind_qkv(struct binder *b, uint32_t index, struct model_layer *l)
{
	const struct model_hparams *p = &b->model->hparams;
	const uint32_t q = p->heads * p->head_elems, kv = p->kv_heads * p->head_elems;
	const struct {
		const char *name;
		struct model_matrix *ret;
		uint32_t begin, rows;
	} parts[] = {
		{ "attn_q", &l->q, 0, q }, { "attn_k", &l->k, q, kv },
		{ "attn_v", &l->v, q + kv, kv },
	};
	const bool is_fused = has_tensor(b, index, "attn_qkv");
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++)
		r = is_fused ? bind_slice(b, index, "attn_qkv",
					  &(struct bind_part){
						  parts[i].begin, parts[i].rows, q + 2 * kv },
					  p->width, parts[i].ret)
			     : bind_whole(b, index, parts[i].name, parts[i].rows, p->width,
					  parts[i].ret);
	return r;
}

static int bind_attention(struct binder *b, uint32_t i, struct model_layer *l)
{
	const struct model_hparams *p = &b->model->hparams;
	int r = 0;

	/* what comes from the embedding was normalised there */
	if (!p->has_sum_norms && (i || !p->has_bare_norms || has_tensor(b, i, "attn_norm")))
		r = bind_norm(b, layer_name(i, "attn_norm", "").text, &l->attn_norm);
	if (r >= 0)
		r = bind_qkv(b, i, l);
	if (r >= 0 && p->has_head_norms)
		r = bind_vector(b, layer_name(i, "attn_q_norm", ".weight").text, p->head_elems,
				false, &l->q_norm);
	if (r >= 0 && p->has_head_norms)
		r = bind_vector(b, layer_name(i, "attn_k_norm", ".weight").text, p->head_elems,
				false, &l->k_norm);
	if (r >= 0)
		r = bind_whole(b, i, "attn_output", p->width, p->heads * p->head_elems, &l->o);
	if (r >= 0 && p->has_post_norms)
		r = bind_norm(b, layer_name(i, "post_attention_norm", "").text, &l->attn_post_norm);
	if (r >= 0 && p->has_sum_norms)
		r = bind_norm(b, layer_name(i, "attn_output_norm", "").text, &l->attn_sum_norm);
	return r;
}

/* is_gate_fused() - there is no gate of its own, but twice the rows for it and up */
static bool is_gate_fused(const struct binder *b, uint32_t i)
{
	const struct gguf_tensor *up =
		gguf_tensor_find(b->gguf, layer_name(i, "ffn_up", ".weight").text);

	return !has_tensor(b, i, "ffn_gate") && up &&
	       up->dims[1] == 2 * (uint64_t)b->model->hparams.ff_width;
}

static int bind_ffn(struct binder *b, uint32_t i, struct model_ffn *ffn)
{
	const struct model_hparams *p = &b->model->hparams;
	const uint32_t f = p->ff_width;
	int r = 0;

	if (p->is_gated && is_gate_fused(b, i)) {
		r = bind_slice(b, i, "ffn_up", &(struct bind_part){ 0, f, 2 * f }, p->width,
			       &ffn->gate);
		if (r >= 0)
			r = bind_slice(b, i, "ffn_up", &(struct bind_part){ f, f, 2 * f }, p->width,
				       &ffn->up);
	} else {
		if (p->is_gated)
			r = bind_whole(b, i, "ffn_gate", f, p->width, &ffn->gate);
		if (r >= 0)
			r = bind_whole(b, i, "ffn_up", f, p->width, &ffn->up);
	}
	return r < 0 ? r : bind_whole(b, i, "ffn_down", p->width, f, &ffn->down);
}

/* bind_expert() - one matrix of one expert, from a stack of them or by itself */
static int bind_expert(struct binder *b, uint32_t layer, const char *part, uint32_t expert,
		       uint32_t rows, uint32_t cols, struct model_matrix *ret)
{
	char name[32];

	snprintf(name, sizeof(name), "%s_exps", part);
	if (has_tensor(b, layer, name))
		return bind_stacked(b, layer_name(layer, name, ".weight").text, expert,
				    b->model->hparams.experts.count, rows, cols, ret);
	snprintf(name, sizeof(name), "%s.%u", part, expert);
	return bind_matrix(b, layer_name(layer, name, ".weight").text, rows, cols, ret);
}

static int bind_experts(struct binder *b, uint32_t i, struct model_layer *l)
{
	const struct model_hparams *p = &b->model->hparams;
	const struct model_experts *e = &p->experts;
	int r;

	r = bind_matrix(b, layer_name(i, "ffn_gate_inp", ".weight").text, e->count, p->width,
			&l->router);
	if (r < 0)
		return r;
	l->experts = calloc(e->count, sizeof(*l->experts));
	if (!l->experts)
		return error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
	for (uint32_t j = 0; j < e->count && r >= 0; j++) {
		struct model_ffn *f = &l->experts[j];

		r = bind_expert(b, i, "ffn_gate", j, e->width, p->width, &f->gate);
		if (r >= 0)
			r = bind_expert(b, i, "ffn_up", j, e->width, p->width, &f->up);
		if (r >= 0)
			r = bind_expert(b, i, "ffn_down", j, p->width, e->width, &f->down);
		if (r >= 0 && (f->gate.type != l->experts->gate.type ||
			       f->up.type != l->experts->up.type ||
			       f->down.type != l->experts->down.type))
			return error_set(b->error, -EOPNOTSUPP,
					 "model: experts of layer %u have weights of several types",
					 i);
	}
	return r;
}

/* see_window() - how far back the layer looks, and which rope it has */
static void see_window(const struct model_hparams *p, uint32_t i, struct model_layer *l)
{
	const struct model_window *w = &p->window;
	bool is_local = true;

	if (!w->tokens)
		return;
	if (w->is_local)
		is_local = w->is_local[i];
	else if (w->period && w->sees_all_first)
		is_local = i % w->period;
	else if (w->period)
		is_local = i % w->period + 1 < w->period;
	l->window = is_local ? w->tokens : 0;
	l->has_local_rope = is_local && w->has_rope;
}

int bind_layer(struct binder *b, uint32_t i)
{
	const struct model_hparams *p = &b->model->hparams;
	struct model_layer *l = &b->model->layers[i];
	int r;

	see_window(p, i, l);
	l->has_no_rope = p->plain_period && (i + 1) % p->plain_period == 0;
	r = bind_attention(b, i, l);
	if (r >= 0 && !p->has_sum_norms)
		r = bind_norm(b, layer_name(i, "ffn_norm", "").text, &l->ffn_norm);
	/* some layers of such a model may have one network that all tokens pass */
	if (r >= 0)
		r = p->experts.count && !has_tensor(b, i, "ffn_up") ? bind_experts(b, i, l)
								    : bind_ffn(b, i, &l->ffn);
	if (r >= 0 && p->has_post_norms)
		r = bind_norm(b, layer_name(i, "post_ffw_norm", "").text, &l->ffn_post_norm);
	if (r >= 0 && p->has_sum_norms)
		r = bind_norm(b, layer_name(i, "layer_output_norm", "").text, &l->ffn_sum_norm);
	return r;
}
