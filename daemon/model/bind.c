/* SPDX-License-Identifier: MIT */
/*
 * Binds single tensors: each is looked up by its name, and its shape and type are checked before
 * anyone computes with it.
 */
#include "model/bind.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** struct model_copy - what could not be used in place, of @bytes with all that is here */
struct model_copy {
	struct list link;
	size_t bytes;
	float data[];
};

float *model_copy_new(struct model *model, size_t elems)
{
	struct model_copy *copy;
	size_t bytes;

	if (!size_mul(&bytes, elems, sizeof(float)) || !size_add(&bytes, bytes, sizeof(*copy)))
		return NULL;
	copy = calloc(1, bytes);
	if (!copy)
		return NULL;
	copy->bytes = bytes;
	list_append(&model->copies, &copy->link);
	model->copied_bytes += bytes;
	return copy->data;
}

static void copy_free(struct model *model, struct model_copy *copy)
{
	list_remove(&copy->link);
	model->copied_bytes -= copy->bytes;
	free(copy);
}

void model_drop_copy(struct model *model, struct model_matrix *m)
{
	if (!m->is_copy)
		return;
	copy_free(model, container_of(m->w.data, struct model_copy, data));
	m->is_copy = false;
	m->w.data = NULL;
}

void model_copies_free(struct model *model)
{
	while (!list_empty(&model->copies))
		copy_free(model, list_first(&model->copies, struct model_copy, link));
}

int bind_missing(struct binder *b, const char *name)
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
			      uint64_t cols, uint64_t rows, uint64_t count)
{
	if (t->dims[0] == cols && t->dims[1] == rows && t->dims[2] == count && t->dims[3] == 1)
		return 0;
	return error_set(b->error, -EBADMSG,
			 "model: tensor '%s' is (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
			 "), not (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", 1)",
			 name, t->dims[0], t->dims[1], t->dims[2], t->dims[3], cols, rows, count);
}

/* mark_bound() - false if the tensor was asked for before, as part of it may be */
static bool mark_bound(struct binder *b, const struct gguf_tensor *t)
{
	bool *mark = &b->is_bound[t - gguf_tensor_at(b->gguf, 0)];
	const bool is_new = !*mark;

	*mark = true;
	return is_new;
}

/* copy_vector() - as float32 in memory of its own */
static const float *copy_vector(struct binder *b, const struct gguf_tensor *t, uint32_t elems)
{
	float *copy = model_copy_new(b->model, elems);

	if (copy)
		b->ref->dequant_row[t->type](copy, t->data, elems);
	return copy;
}

int bind_vector(struct binder *b, const char *name, uint32_t elems, bool is_optional,
		const float **ret)
{
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, name);
	int r;

	if (!t)
		return is_optional ? 0 : bind_missing(b, name);
	if (t->type != KERN_F32 && t->type != KERN_F16 && t->type != KERN_BF16)
		return error_set(b->error, -EOPNOTSUPP,
				 "model: vector '%s' is of type %u, not F32, F16 or BF16", name,
				 t->type);
	r = tensor_check_type(b, name, t);
	if (r >= 0)
		r = tensor_check_shape(b, name, t, elems, 1, 1);
	if (r < 0)
		return r;
	/* F32 too: each that is read from the file keeps up to 2 MiB of matrices around it mapped */
	*ret = copy_vector(b, t, elems);
	if (!*ret)
		return error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
	if (mark_bound(b, t))
		b->model->parameters += elems;
	return 0;
}

/* bind_rows() - @part of the rows of all @count matrices of (rows, cols) in a tensor */
static int bind_rows(struct binder *b, const char *name, const struct bind_part *part,
		     uint32_t count, uint32_t rows, uint32_t cols, struct model_matrix *ret)
{
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, name);
	const uint64_t all = (uint64_t)rows * count;
	size_t row_bytes;
	int r;

	if (!t)
		return bind_missing(b, name);
	r = tensor_check_type(b, name, t);
	if (r >= 0)
		r = tensor_check_shape(b, name, t, cols, rows, count);
	if (r < 0)
		return r;
	row_bytes = kern_row_bytes(kern_type_info(t->type), cols);
	if (!row_bytes || t->size_bytes / row_bytes != all || t->size_bytes % row_bytes)
		return error_set(b->error, -EBADMSG,
				 "model: tensor '%s' has %zu bytes for %" PRIu64 " rows of %u", name,
				 t->size_bytes, all, cols);
	ret->type = t->type;
	ret->is_packed = false;
	ret->w = (struct kern_weights){
		.data = (const char *)t->data + part->begin * row_bytes, .row_bytes = row_bytes,
		.rows = part->rows, .cols = cols,
	};
	if (mark_bound(b, t))
		b->type_elems[t->type] += all * cols;
	return 0;
}

int bind_part(struct binder *b, const char *name, const struct bind_part *part, uint32_t cols,
	      struct model_matrix *ret)
{
	return bind_rows(b, name, part, 1, part->total, cols, ret);
}

int bind_matrix(struct binder *b, const char *name, uint32_t rows, uint32_t cols,
		struct model_matrix *ret)
{
	return bind_rows(b, name, &(struct bind_part){ .rows = rows }, 1, rows, cols, ret);
}

int bind_stacked(struct binder *b, const char *name, uint32_t index, uint32_t count, uint32_t rows,
		 uint32_t cols, struct model_matrix *ret)
{
	/* count and rows are bounded so that this can't overflow */
	return bind_rows(b, name, &(struct bind_part){ .begin = index * rows, .rows = rows }, count,
			 rows, cols, ret);
}

int bind_norm(struct binder *b, const char *prefix, struct model_norm *ret)
{
	const struct model_hparams *p = &b->model->hparams;
	char name[64];
	int r;

	snprintf(name, sizeof(name), "%s.weight", prefix);
	r = bind_vector(b, name, p->width, false, &ret->weight);
	if (r < 0 || p->norm != MODEL_NORM_LAYER)
		return r;
	snprintf(name, sizeof(name), "%s.bias", prefix);
	r = bind_vector(b, name, p->width, p->has_bare_norms, &ret->bias);
	if (r < 0 || ret->bias)
		return r;
	/* zeros, for a norm that is computed with a bias and has none */
	ret->bias = model_copy_new(b->model, p->width);
	return ret->bias ? 0 : error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
}
