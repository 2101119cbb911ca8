/* SPDX-License-Identifier: MIT */
/*
 * Binds the weights of a Llama-shaped model: each tensor is looked up by its name, and its shape and
 * type are checked before anyone computes with it. A tensor that nobody asked for is an error too:
 * it would mean that the model computes something we do not.
 */
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/gguf.h"

#define LAYER_TENSORS_MIN	9

/** struct model_copy - a vector that could not be used in place */
struct model_copy {
	struct model_copy *next;
	float data[];
};

/** struct binder - what is known while a model is being bound */
struct binder {
	struct model *model;
	const struct gguf *gguf;
	const struct kern_ops *ref;
	struct error *error;
	size_t bound;				/* tensors of the file that were asked for */
	uint64_t type_elems[KERN_TYPE_COUNT];	/* elements of matrices by type */
};

void model_free(struct model *model)
{
	struct model_copy *copy, *next;

	if (!model)
		return;
	for (copy = model->copies; copy; copy = next) {
		next = copy->next;
		free(copy);
	}
	free(model->layers);
	free(model);
}

static int tensor_missing(struct binder *b, const char *name)
{
	return error_set(b->error, -EBADMSG, "model: tensor '%s' is missing", name);
}

static int tensor_check_type(struct binder *b, const char *name, const struct gguf_tensor *t)
{
	const struct kern_type_info *info = kern_type_info(t->type);

	if (!info || !b->ref->matmul[t->type].mul || !b->ref->dequant_row[t->type])
		return error_set(b->error, -EOPNOTSUPP,
				 "model: tensor '%s' has weights of type %u, which is not supported",
				 name, t->type);
	if ((uintptr_t)t->data % (info->block_bytes % 4 ? 2 : 4))
		return error_set(b->error, -EBADMSG, "model: tensor '%s' is not aligned", name);
	return 0;
}

static int tensor_check_shape(struct binder *b, const char *name, const struct gguf_tensor *t,
			      uint64_t cols, uint64_t rows)
{
	if (t->dims[0] == cols && t->dims[1] == rows && t->dims[2] == 1 && t->dims[3] == 1)
		return 0;
	return error_set(b->error, -EBADMSG,
			 "model: tensor '%s' is (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
			 "), not (%" PRIu64 ", %" PRIu64 ", 1, 1)",
			 name, t->dims[0], t->dims[1], t->dims[2], t->dims[3], cols, rows);
}

/* copy_vector() - as float32 in memory of its own */
static const float *copy_vector(struct binder *b, const struct gguf_tensor *t, uint32_t elems)
{
	struct model_copy *copy = malloc(sizeof(*copy) + elems * sizeof(float));

	if (!copy)
		return NULL;
	b->ref->dequant_row[t->type](copy->data, t->data, elems);
	copy->next = b->model->copies;
	b->model->copies = copy;
	return copy->data;
}

/* bind_vector() - *ret stays NULL where an optional one is missing */
static int bind_vector(struct binder *b, const char *name, uint32_t elems, bool is_optional,
		       const float **ret)
{
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, name);
	int r;

	if (!t)
		return is_optional ? 0 : tensor_missing(b, name);
	if (t->type != KERN_F32 && t->type != KERN_F16 && t->type != KERN_BF16)
		return error_set(b->error, -EOPNOTSUPP,
				 "model: vector '%s' is of type %u, not F32, F16 or BF16", name,
				 t->type);
	r = tensor_check_type(b, name, t);
	if (r >= 0)
		r = tensor_check_shape(b, name, t, elems, 1);
	if (r < 0)
		return r;
	*ret = t->type == KERN_F32 ? t->data : copy_vector(b, t, elems);
	if (!*ret)
		return error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
	b->bound++;
	b->model->parameters += elems;
	return 0;
}

static int bind_matrix(struct binder *b, const char *name, uint32_t rows, uint32_t cols,
		       struct model_matrix *ret)
{
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, name);
	size_t row_bytes;
	int r;

	if (!t)
		return tensor_missing(b, name);
	r = tensor_check_type(b, name, t);
	if (r >= 0)
		r = tensor_check_shape(b, name, t, cols, rows);
	if (r < 0)
		return r;
	row_bytes = kern_row_bytes(kern_type_info(t->type), cols);
	if (!row_bytes || t->size_bytes / row_bytes != rows || t->size_bytes % row_bytes)
		return error_set(b->error, -EBADMSG,
				 "model: tensor '%s' has %zu bytes for %u rows of %u", name,
				 t->size_bytes, rows, cols);
	ret->type = t->type;
	ret->w = (struct kern_weights){
		.data = t->data, .row_bytes = row_bytes, .rows = rows, .cols = cols,
	};
	b->bound++;
	b->type_elems[t->type] += (uint64_t)rows * cols;
	return 0;
}

/* bind_layer_matrix() - "blk.<layer>.<name>.weight" and its optional ".bias" */
static int bind_layer_matrix(struct binder *b, uint32_t layer, const char *name, uint32_t rows,
			     uint32_t cols, struct model_matrix *ret)
{
	char full[64];
	int r;

	snprintf(full, sizeof(full), "blk.%u.%s.weight", layer, name);
	r = bind_matrix(b, full, rows, cols, ret);
	if (r < 0)
		return r;
	snprintf(full, sizeof(full), "blk.%u.%s.bias", layer, name);
	return bind_vector(b, full, rows, true, &ret->bias);
}

static int bind_layer_vector(struct binder *b, uint32_t layer, const char *name, uint32_t elems,
			     const float **ret)
{
	char full[64];

	snprintf(full, sizeof(full), "blk.%u.%s.weight", layer, name);
	return bind_vector(b, full, elems, false, ret);
}

static int bind_layer(struct binder *b, uint32_t i)
{
	const struct model_hparams *p = &b->model->hparams;
	struct model_layer *l = &b->model->layers[i];
	const uint32_t q_rows = p->heads * p->head_dim;
	const uint32_t kv_rows = p->kv_heads * p->head_dim;
	int r;

	r = bind_layer_vector(b, i, "attn_norm", p->width, &l->attn_norm);
	if (r >= 0)
		r = bind_layer_matrix(b, i, "attn_q", q_rows, p->width, &l->q);
	if (r >= 0)
		r = bind_layer_matrix(b, i, "attn_k", kv_rows, p->width, &l->k);
	if (r >= 0)
		r = bind_layer_matrix(b, i, "attn_v", kv_rows, p->width, &l->v);
	if (r >= 0)
		r = bind_layer_matrix(b, i, "attn_output", p->width, q_rows, &l->o);
	if (r >= 0)
		r = bind_layer_vector(b, i, "ffn_norm", p->width, &l->ffn_norm);
	if (r >= 0)
		r = bind_layer_matrix(b, i, "ffn_gate", p->ff_width, p->width, &l->gate);
	if (r >= 0)
		r = bind_layer_matrix(b, i, "ffn_up", p->ff_width, p->width, &l->up);
	if (r >= 0)
		r = bind_layer_matrix(b, i, "ffn_down", p->width, p->ff_width, &l->down);
	return r;
}

static int bind_layers(struct binder *b)
{
	const uint32_t layers = b->model->hparams.layers;
	int r = 0;

	/* before memory is taken for as many layers as the file claims to have */
	if (layers > gguf_tensor_count(b->gguf) / LAYER_TENSORS_MIN)
		return error_set(b->error, -EBADMSG,
				 "model: %u layers need more than the %zu tensors there are", layers,
				 gguf_tensor_count(b->gguf));
	b->model->layers = calloc(layers, sizeof(*b->model->layers));
	if (!b->model->layers)
		return error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
	for (uint32_t i = 0; i < layers && r >= 0; i++)
		r = bind_layer(b, i);
	return r;
}

/* bind_embedding() - which also tells the size of the vocabulary */
static int bind_embedding(struct binder *b)
{
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, "token_embd.weight");
	struct model_hparams *p = &b->model->hparams;
	uint32_t vocab_key;

	if (!t)
		return tensor_missing(b, "token_embd.weight");
	if (!t->dims[1] || t->dims[1] > MODEL_VOCAB_MAX)
		return error_set(b->error, -EBADMSG,
				 "model: 'token_embd.weight' has %" PRIu64 " tokens", t->dims[1]);
	p->vocab = (uint32_t)t->dims[1];
	if (gguf_get_arch_u32(b->gguf, "vocab_size", &vocab_key) >= 0 && vocab_key != p->vocab)
		return error_set(b->error, -EBADMSG,
				 "model: 'vocab_size' is %u, but 'token_embd.weight' has %u tokens",
				 vocab_key, p->vocab);
	return bind_matrix(b, "token_embd.weight", p->vocab, p->width, &b->model->embedding);
}

static int bind_output(struct binder *b)
{
	struct model *m = b->model;
	int r;

	r = bind_vector(b, "output_norm.weight", m->hparams.width, false, &m->output_norm);
	if (r < 0)
		return r;
	if (!gguf_tensor_find(b->gguf, "output.weight")) {
		m->output = m->embedding;
		return 0;
	}
	return bind_matrix(b, "output.weight", m->hparams.vocab, m->hparams.width, &m->output);
}

static int bind_rope(struct binder *b)
{
	struct model_rope *rope = &b->model->hparams.rope;
	int r;

	r = bind_vector(b, "rope_freqs.weight", rope->dim / 2, true, &rope->divisors);
	if (r < 0 || !rope->divisors)
		return r;
	for (uint32_t i = 0; i < rope->dim / 2; i++)
		if (!isfinite(rope->divisors[i]) || rope->divisors[i] <= 0)
			return error_set(b->error, -EBADMSG,
					 "model: 'rope_freqs.weight' holds %g for pair %u",
					 (double)rope->divisors[i], i);
	return 0;
}

/* is_layer_tensor() - "blk.<n>.<part>.weight" or .bias, of a part and layer that was bound */
static bool is_layer_tensor(const struct model *m, const char *name)
{
	static const char *const parts[] = {
		"attn_norm.weight", "attn_q.weight", "attn_q.bias", "attn_k.weight", "attn_k.bias",
		"attn_v.weight", "attn_v.bias", "attn_output.weight", "attn_output.bias",
		"ffn_norm.weight", "ffn_gate.weight", "ffn_gate.bias", "ffn_up.weight",
		"ffn_up.bias", "ffn_down.weight", "ffn_down.bias",
	};
	char expected[64];
	unsigned int layer;

	if (sscanf(name, "blk.%9u.", &layer) != 1 || layer >= m->hparams.layers)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(expected, sizeof(expected), "blk.%u.%s", layer, parts[i]);
		if (!strcmp(name, expected))
			return true;
	}
	return false;
}

static bool is_model_tensor(const struct model *m, const char *name)
{
	static const char *const names[] = {
		"token_embd.weight", "output.weight", "output_norm.weight", "rope_freqs.weight",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return is_layer_tensor(m, name);
}

/* check_unbound() - names the first tensor that nobody asked for */
static int check_unbound(struct binder *b)
{
	char name[64];

	if (b->bound == gguf_tensor_count(b->gguf))
		return 0;
	for (size_t i = 0; i < gguf_tensor_count(b->gguf); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(b->gguf, i);

		snprintf(name, sizeof(name), "%.*s", (int)MIN(t->name.len, sizeof(name)),
			 t->name.data);
		if (!is_model_tensor(b->model, name))
			return error_set(b->error, -EOPNOTSUPP,
					 "model: tensor '%s' is of a variant that is not supported",
					 gguf_show(t->name).text);
	}
	return error_set(b->error, -EBADMSG, "model: %zu tensors, but %zu have a use",
			 gguf_tensor_count(b->gguf), b->bound);
}

static void summarize_types(struct binder *b)
{
	uint32_t most = 0;

	b->model->is_f32 = true;
	for (uint32_t type = 0; type < KERN_TYPE_COUNT; type++) {
		b->model->parameters += b->type_elems[type];
		if (b->type_elems[type] > b->type_elems[most])
			most = type;
		if (b->type_elems[type] && type != KERN_F32)
			b->model->is_f32 = false;
	}
	b->model->weights = kern_type_info(most)->name;
}

int model_new(struct model **ret, const struct gguf *gguf, struct error *error)
{
	_cleanup_(model_freep) struct model *m = calloc(1, sizeof(*m));
	struct binder b = {
		.model = m, .gguf = gguf, .ref = kern_ops_get("ref"), .error = error,
	};
	int r;

	if (!m)
		return error_set(error, -ENOMEM, "model: %s", strerror(ENOMEM));
	r = model_read_hparams(&m->hparams, gguf, error);
	if (r >= 0)
		r = bind_embedding(&b);
	if (r >= 0)
		r = bind_layers(&b);
	if (r >= 0)
		r = bind_output(&b);
	if (r >= 0)
		r = bind_rope(&b);
	if (r >= 0)
		r = check_unbound(&b);
	if (r < 0)
		return r;
	summarize_types(&b);
	*ret = steal_ptr(m);
	return 0;
}
