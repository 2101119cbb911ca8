/* SPDX-License-Identifier: MIT */
/* A tensor of a hub's model as GGUF has it: in place where that is possible, else a changed copy. */
#include <string.h>

#include "kernels/half.h"
#include "kernels/kernels.h"
#include "model/hub_internal.h"
#include "model/hub_ranker.h"
#include "model/model.h"

#define TILE	16		/* of a transposed matrix: both sides stay in the cache */

static int fail(const struct hub_config *c, int r, const char *name, const char *why)
{
	return error_set(c->error, r, "tensor '%s' %s",
			 gguf_show((struct gguf_string){ name, strlen(name) }).text, why);
}

/* one side is the width, the other that of attention or of the feed-forward network */
static bool is_matrix_of(const struct hub_config *c, const struct safetensor *t)
{
	const uint64_t width = c->width, ff = MAX(3 * width, (uint64_t)c->ff_width);

	return width <= MODEL_WIDTH_MAX && ff <= MODEL_FF_MAX &&
	       ((t->shape[0] == width && t->shape[1] <= ff) ||
		(t->shape[1] == width && t->shape[0] <= ff));
}

/* 0, or why a tensor can't be weights */
static int check(const struct hub_config *c, const struct safetensor *t, enum hub_change change)
{
	if (t->type < 0)
		return error_set(c->error, -EOPNOTSUPP,
				 "tensor '%s' is %s: only F32, F16 and BF16 weights are supported",
				 gguf_show((struct gguf_string){ t->name, strlen(t->name) }).text,
				 t->dtype);
	if (!t->n_dims || !t->size_bytes)
		return fail(c, -EBADMSG, t->name, "has no elements");
	/* what becomes a copy must be what config.json says before there is memory for it */
	if (change == HUB_ADD_ONE && (t->n_dims != 1 || t->shape[0] > MODEL_WIDTH_MAX))
		return fail(c, -EBADMSG, t->name, "is no vector of a norm");
	if (change == HUB_POSITIONS && (t->n_dims != 2 || t->shape[0] <= c->first_position))
		return fail(c, -EBADMSG, t->name, "has too few positions");
	if (change == HUB_TRANSPOSE && t->n_dims > 2)
		return fail(c, -EBADMSG, t->name, "is no matrix");
	if (change == HUB_TRANSPOSE && t->n_dims == 2 && !is_matrix_of(c, t))
		return fail(c, -EBADMSG, t->name, "has sizes that " HUB_CONFIG " does not have");
	return 0;
}

static float element(const struct safetensor *t, uint64_t i)
{
	uint16_t half;
	float value;

	if (t->type == KERN_F32) {
		memcpy(&value, t->data + i * sizeof(value), sizeof(value));
		return value;
	}
	memcpy(&half, t->data + i * sizeof(half), sizeof(half));
	return t->type == KERN_F16 ? kern_half_to_float(half) : kern_bf16_to_float(half);
}

/* what becomes of a tensor of a head, by what the model is for */
static int resolve_head(const struct hub_config *c, const struct safetensor *t,
			enum hub_change *change)
{
	if (*change == HUB_POOLER && !c->is_classifier)
		*change = HUB_IGNORE;
	else if (*change == HUB_HEAD && !c->is_classifier)
		return fail(c, -EOPNOTSUPP, t->name, "is for a task that is not supported");
	else if (*change == HUB_POOLER || *change == HUB_HEAD)
		*change = HUB_AS_IS;
	return 0;
}

/* float32, one more than the vector has */
static void add_one(float *to, const struct safetensor *t, uint64_t elems)
{
	for (uint64_t i = 0; i < elems; i++)
		to[i] = element(t, i) + 1;
}

/* a tile whose first element is (row, col); @elem_bytes is a constant where this is inlined */
static inline void transpose_tile(char *to, const struct safetensor *t, uint64_t row, uint64_t col,
				  const size_t elem_bytes)
{
	const uint64_t rows = t->shape[0], cols = t->shape[1];
	const uint64_t row_end = MIN(row + TILE, rows), col_end = MIN(col + TILE, cols);

	for (uint64_t c = col; c < col_end; c++)
		for (uint64_t r = row; r < row_end; r++)
			memcpy(to + (c * rows + r) * elem_bytes,
			       t->data + (r * cols + c) * elem_bytes, elem_bytes);
}

static void transpose(char *to, const struct safetensor *t, size_t elem_bytes)
{
	for (uint64_t row = 0; row < t->shape[0]; row += TILE)
		for (uint64_t col = 0; col < t->shape[1]; col += TILE)
			if (elem_bytes == sizeof(float))
				transpose_tile(to, t, row, col, sizeof(float));
			else
				transpose_tile(to, t, row, col, sizeof(uint16_t));
}

static size_t elem_bytes_of(const struct safetensor *t)
{
	return t->type == KERN_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* all but the first @rows of a matrix that has more */
static struct safetensor without_rows(const struct safetensor *t, uint32_t rows)
{
	const uint64_t bytes = rows * t->shape[1] * elem_bytes_of(t);
	struct safetensor rest = *t;

	rest.data += bytes;
	rest.size_bytes -= bytes;
	rest.shape[0] -= rows;
	return rest;
}

static const void *copy_changed(struct gguf *gguf, const struct safetensor *t,
				enum hub_change change)
{
	const size_t elem_bytes = elem_bytes_of(t), elems = t->size_bytes / elem_bytes;
	void *copy = gguf_alloc(gguf, change == HUB_ADD_ONE ? elems * sizeof(float) :
							      t->size_bytes);

	if (copy && change == HUB_TRANSPOSE)
		transpose(copy, t, elem_bytes);
	else if (copy && change == HUB_ADD_ONE)
		add_one(copy, t, elems);
	else if (copy)
		memcpy(copy, t->data, t->size_bytes);
	return copy;
}

int hub_tensor_add(struct gguf *gguf, const struct hub_config *config, const struct safetensor *t)
{
	const char *from = config->is_compound ? hub_compound_name(t->name) : t->name;
	enum hub_change change = HUB_AS_IS;
	uint64_t dims[SAFETENSORS_DIMS_MAX];
	struct safetensor rest;
	const void *data;
	char name[256];
	uint32_t type;
	int r;

	if (!from)
		return 0;
	r = hub_name_map(config->arch, from, name, sizeof(name), &change);
	if (r < 0)
		return fail(config, -EOPNOTSUPP, t->name, "is of a variant that is not supported");
	r = resolve_head(config, t, &change);
	if (r < 0)
		return r;
	/* where both are one, some files have it twice */
	if (change == HUB_IGNORE || (config->is_tied && !strcmp(name, "output.weight")))
		return 0;
	r = check(config, t, change);
	if (r < 0)
		return r;
	if (config->ranker && !strcmp(name, config->is_tied ? "token_embd.weight" :
							      "output.weight")) {
		r = hub_ranker_take(config, t);
		if (r < 0 || !config->is_tied)
			return r;
	}
	if (t->n_dims == 1 && change == HUB_TRANSPOSE)
		change = HUB_AS_IS;	/* its bias */
	if (change == HUB_POSITIONS) {
		rest = without_rows(t, config->first_position);
		t = &rest;
		change = HUB_AS_IS;
	}
	for (uint32_t i = 0; i < t->n_dims; i++)
		dims[i] = t->shape[change == HUB_TRANSPOSE ? i : t->n_dims - 1 - i];
	type = (uint32_t)t->type;
	data = t->data;
	/* an early writer did not align them */
	if (change != HUB_AS_IS || (uintptr_t)data % elem_bytes_of(t)) {
		data = copy_changed(gguf, t, change);
		if (!data)
			return error_set(config->error, -ENOMEM, "tensor '%s': %s", name,
					 strerror(ENOMEM));
		type = change == HUB_ADD_ONE ? KERN_F32 : type;
	}
	r = gguf_add_tensor(gguf, name, type, t->n_dims, dims, data);
	if (r == -EEXIST)
		return fail(config, -EBADMSG, t->name, "is there twice under its two names");
	return r < 0 ? error_set(config->error, r, "tensor '%s': %s", name, strerror(-r)) : 0;
}
