/* SPDX-License-Identifier: MIT */
/*
 * The tensor infos of a GGUF file: shapes whose product does not overflow, and places that are
 * aligned, inside the file, and apart from each other.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "model/gguf_cursor.h"
#include "model/gguf_internal.h"

#define TENSOR_SIZE_MIN		(8 + 1 + 4 + 4 + 8)	/* length, name, n_dims, type, offset */
#define TENSOR_COUNT_MAX	(1U << 20)
#define DIMS_MAX		4

static int parse_shape(struct gguf_cursor *c, struct gguf_tensor *tensor)
{
	uint64_t n_elements = 1;
	int r = cursor_take_u32(c, &tensor->n_dims, "the number of dimensions");

	if (r < 0)
		return r;
	if (tensor->n_dims > DIMS_MAX)
		return error_set(c->error, -EBADMSG, "tensor '%s' has %" PRIu32 " dimensions",
				 gguf_show(tensor->name).text, tensor->n_dims);
	for (uint32_t i = 0; i < DIMS_MAX; i++) {
		tensor->dims[i] = 1;
		if (i >= tensor->n_dims)
			continue;
		r = cursor_take_u64(c, &tensor->dims[i], "a dimension");
		if (r < 0)
			return r;
		if (!tensor->dims[i] ||
		    __builtin_mul_overflow(n_elements, tensor->dims[i], &n_elements) ||
		    n_elements > INT64_MAX)
			return error_set(c->error, -EBADMSG,
					 "tensor '%s': dimension %" PRIu32 " can't be %" PRIu64,
					 gguf_show(tensor->name).text, i, tensor->dims[i]);
	}
	return 0;
}

static int tensor_size(struct gguf_cursor *c, struct gguf_tensor *tensor)
{
	const struct kern_type_info *info = kern_type_info(tensor->type);
	size_t n_blocks;

	tensor->size_bytes = 0;
	if (!info || !info->block_elems)
		return 0;
	if (tensor->dims[0] % info->block_elems)
		return error_set(c->error, -EBADMSG,
				 "tensor '%s': rows of %" PRIu64 " elements in blocks of %u",
				 gguf_show(tensor->name).text, tensor->dims[0], info->block_elems);
	/* the product of all dimensions fits, so that of the blocks does */
	n_blocks = tensor->dims[0] / info->block_elems * tensor->dims[1] * tensor->dims[2] *
		   tensor->dims[3];
	if (!size_mul(&tensor->size_bytes, n_blocks, info->block_bytes))
		return error_set(c->error, -EBADMSG, "tensor '%s' is too big",
				 gguf_show(tensor->name).text);
	return 0;
}

/* the place of the tensor is kept as an offset for now: the data begin where the infos end */
static int parse_tensor(struct gguf_cursor *c, struct gguf_tensor *tensor, uint64_t *ret_offset)
{
	int r;

	if ((r = cursor_take_name(c, &tensor->name, "the name of a tensor")) < 0 ||
	    (r = parse_shape(c, tensor)) < 0 ||
	    (r = cursor_take_u32(c, &tensor->type, "the type of a tensor")) < 0 ||
	    (r = cursor_take_u64(c, ret_offset, "the offset of a tensor")) < 0)
		return r;
	return tensor_size(c, tensor);
}

static int parse_infos(struct gguf *gguf, struct gguf_cursor *c, uint64_t count, uint64_t *offsets)
{
	while (gguf->tensor_count < count) {
		size_t i = gguf->tensor_count++;
		struct gguf_tensor *tensor = &gguf->tensors[i];
		int r = parse_tensor(c, tensor, &offsets[i]);

		if (r < 0)
			return r;
		r = table_add(&gguf->tensor_table, tensor->name.data, tensor->name.len,
			      (uint32_t)i);
		if (r == -EEXIST)
			return error_set(c->error, -EBADMSG, "tensor '%s' is there twice",
					 gguf_show(tensor->name).text);
		if (r < 0)
			return error_set(c->error, r, "tensors: %s", strerror(-r));
	}
	return 0;
}

static int place_tensor(struct gguf_cursor *c, struct gguf_tensor *tensor, uint64_t offset,
			uint32_t alignment)
{
	size_t left = cursor_left(c);

	if (offset & (alignment - 1))
		return error_set(c->error, -EBADMSG,
				 "tensor '%s': offset %" PRIu64 " is not a multiple of %" PRIu32,
				 gguf_show(tensor->name).text, offset, alignment);
	if (offset > left || tensor->size_bytes > left - offset)
		return error_set(c->error, -EBADMSG,
				 "cut off: tensor '%s' needs %zu bytes at offset %" PRIu64
				 ", there are %zu", gguf_show(tensor->name).text,
				 tensor->size_bytes, offset, left);
	tensor->data = c->data + c->pos + offset;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;

	if (x->data != y->data)
		return (const char *)x->data < (const char *)y->data ? -1 : 1;
	return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

/* tensors of unknown type have no size and can't overlap anything */
static int check_apart(const struct gguf *gguf, struct gguf_cursor *c)
{
	_cleanup_free_ const struct gguf_tensor **sorted = NULL;
	size_t n = 0;

	sorted = calloc(gguf->tensor_count + 1, sizeof(*sorted));
	if (!sorted)
		return error_set(c->error, -ENOMEM, "tensors: %s", strerror(ENOMEM));
	for (size_t i = 0; i < gguf->tensor_count; i++)
		if (gguf->tensors[i].size_bytes)
			sorted[n++] = &gguf->tensors[i];
	qsort(sorted, n, sizeof(*sorted), by_place);
	for (size_t i = 1; i < n; i++) {
		const struct gguf_tensor *before = sorted[i - 1], *after = sorted[i];

		if ((const char *)before->data + before->size_bytes > (const char *)after->data)
			return error_set(c->error, -EBADMSG, "tensors '%s' and '%s' overlap",
					 gguf_show(before->name).text, gguf_show(after->name).text);
	}
	return 0;
}

/* moves on to where the tensors' data begin */
static int skip_padding(struct gguf_cursor *c, uint32_t alignment)
{
	size_t odd = c->pos & (alignment - 1);

	if (odd && !cursor_take(c, alignment - odd, "the padding before the tensors"))
		return -EBADMSG;
	return 0;
}

int gguf_parse_tensors(struct gguf *gguf, struct gguf_cursor *c, uint64_t count, uint32_t alignment)
{
	_cleanup_free_ uint64_t *offsets = NULL;
	int r = cursor_check(c, count, TENSOR_COUNT_MAX, TENSOR_SIZE_MIN, "tensors");

	if (r < 0)
		return r;
	offsets = calloc(count + 1, sizeof(*offsets));
	gguf->tensors = calloc(count + 1, sizeof(*gguf->tensors));
	if (!offsets || !gguf->tensors || table_init(&gguf->tensor_table, count) < 0)
		return error_set(c->error, -ENOMEM, "tensors: %s", strerror(ENOMEM));
	r = parse_infos(gguf, c, count, offsets);
	if (r < 0 || !count)
		return r;
	r = skip_padding(c, alignment);
	for (size_t i = 0; r >= 0 && i < count; i++)
		r = place_tensor(c, &gguf->tensors[i], offsets[i], alignment);
	return r < 0 ? r : check_apart(gguf, c);
}
