/* SPDX-License-Identifier: MIT */
/*
 * What binds the tensors of a file to a model: a binder, handed from model.c to layer.c. Every
 * tensor that is asked for is marked; one that nobody asked for is an error in the end.
 */
#ifndef LLMOS_MODEL_BIND_H
#define LLMOS_MODEL_BIND_H

#include "model/gguf.h"
#include "model/model.h"

/**
 * struct binder - what is known while a model is being bound
 * @is_bound: (tensors of the file) which ones were asked for
 * @type_elems: elements of matrices by type
 */
struct binder {
	struct model *model;
	const struct gguf *gguf;
	const struct kern_ops *ref;
	struct error *error;
	bool *is_bound;
	uint64_t type_elems[KERN_TYPE_COUNT];
};

/** struct bind_part - rows [begin, begin + rows) of a tensor of @total rows in all */
struct bind_part {
	uint32_t begin, rows, total;
};

/*
 * Return: 0; -EBADMSG the tensor is missing or has another shape, -EOPNOTSUPP a type that is not
 * supported, -ENOMEM.
 */
int bind_missing(struct binder *b, const char *name);
/** bind_vector() - *ret stays NULL where an optional one is missing */
int bind_vector(struct binder *b, const char *name, uint32_t elems, bool is_optional,
		const float **ret);
int bind_matrix(struct binder *b, const char *name, uint32_t rows, uint32_t cols,
		struct model_matrix *ret);
/** bind_part() - some rows of a matrix of (part->total, cols) */
int bind_part(struct binder *b, const char *name, const struct bind_part *part, uint32_t cols,
	      struct model_matrix *ret);
/** bind_stacked() - one of @count matrices (rows, cols) that lie behind each other in a tensor */
int bind_stacked(struct binder *b, const char *name, uint32_t index, uint32_t count, uint32_t rows,
		 uint32_t cols, struct model_matrix *ret);
/** bind_norm() - weight, and bias where the model has such norms; @prefix as "blk.0.attn_norm" */
int bind_norm(struct binder *b, const char *prefix, struct model_norm *ret);

/** model_copy_new() - (elems) zeros that live as long as the model, or less; NULL: no memory */
float *model_copy_new(struct model *model, size_t elems);
/** model_copies_free() - all of them */
void model_copies_free(struct model *model);

/** bind_layer() - all of one layer (layer.c) */
int bind_layer(struct binder *b, uint32_t index);

#endif /* LLMOS_MODEL_BIND_H */
