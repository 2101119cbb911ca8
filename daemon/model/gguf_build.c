/* SPDX-License-Identifier: MIT */
/* Putting a struct gguf together by hand; see gguf_build.h. */
#include "model/gguf_build.h"

#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/kernels.h"
#include "model/gguf_cursor.h"
#include "model/gguf_internal.h"

#define BLOCK_SIZE	(64U << 10)
#define ALIGNMENT	64

/** struct gguf_block - memory of a view; small things share one */
struct gguf_block {
	struct gguf_block *next;
	size_t used, size_bytes;
	alignas(ALIGNMENT) char data[];
};

int gguf_new(struct gguf **ret)
{
	_cleanup_(gguf_freep) struct gguf *gguf = calloc(1, sizeof(*gguf));

	if (!gguf || table_init(&gguf->key_table, 64) < 0 ||
	    table_init(&gguf->tensor_table, 256) < 0)
		return -ENOMEM;
	*ret = steal_ptr(gguf);
	return 0;
}

void gguf_free_blocks(struct gguf *gguf)
{
	while (gguf->blocks) {
		struct gguf_block *next = gguf->blocks->next;

		free(gguf->blocks);
		gguf->blocks = next;
	}
}

static struct gguf_block *block_new(struct gguf *gguf, size_t size_bytes)
{
	struct gguf_block *block;
	size_t size;

	if (!size_add(&size, size_bytes, sizeof(*block) + ALIGNMENT - 1))
		return NULL;
	block = aligned_alloc(ALIGNMENT, size & ~(size_t)(ALIGNMENT - 1));
	if (!block)
		return NULL;
	*block = (struct gguf_block){ .next = gguf->blocks, .size_bytes = size_bytes };
	gguf->blocks = block;
	return block;
}

void *gguf_alloc(struct gguf *gguf, size_t size_bytes)
{
	struct gguf_block *block = gguf->blocks;
	void *data;

	if (size_bytes > SIZE_MAX / 2)
		return NULL;
	size_bytes = (size_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!block || block->size_bytes - block->used < size_bytes)
		block = block_new(gguf, MAX(size_bytes, (size_t)BLOCK_SIZE));
	if (!block)
		return NULL;
	data = block->data + block->used;
	block->used += size_bytes;
	return data;
}

int gguf_adopt(struct gguf *gguf, struct mapped *file)
{
	struct mapped *files = realloc(gguf->files, (gguf->file_count + 1) * sizeof(*files));

	if (!files) {
		mapped_close(file);
		return -ENOMEM;
	}
	/* weights are read from end to end: where the file system keeps large pages, as those */
	if (!file->is_read)
		(void)madvise((void *)file->data, file->size_bytes, MADV_HUGEPAGE);
	gguf->files = files;
	files[gguf->file_count++] = *file;
	gguf->size_bytes += file->size_bytes;
	*file = (struct mapped){ 0 };
	return 0;
}

static int copy_name(struct gguf *gguf, const char *name, struct gguf_string *ret)
{
	size_t len = strlen(name);
	char *copy;

	if (!len || len > GGUF_NAME_MAX)
		return -EINVAL;
	copy = gguf_alloc(gguf, len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, name, len);
	*ret = (struct gguf_string){ .data = copy, .len = len };
	return 0;
}

/* room for one more; grown to powers of two, so that adding is linear */
static int grow(void *array, size_t count, size_t size)
{
	void **p = array, *new;
	size_t bytes;

	if (count & (count - 1))
		return 0;
	if (!size_mul(&bytes, count ? 2 * count : 1, size))
		return -ENOMEM;
	new = realloc(*p, bytes);
	if (!new)
		return -ENOMEM;
	*p = new;
	return 0;
}

static int add_key(struct gguf *gguf, const char *name, struct gguf_key key)
{
	int r = grow(&gguf->keys, gguf->key_count, sizeof(*gguf->keys));

	if (r >= 0)
		r = copy_name(gguf, name, &key.name);
	if (r >= 0)
		r = table_add(&gguf->key_table, key.name.data, key.name.len,
			      (uint32_t)gguf->key_count);
	if (r < 0)
		return r;
	gguf->keys[gguf->key_count++] = key;
	return 0;
}

int gguf_add_u32(struct gguf *gguf, const char *key, uint32_t value)
{
	return add_key(gguf, key, (struct gguf_key){ .type = GGUF_U32, .u = value });
}

int gguf_add_f32(struct gguf *gguf, const char *key, float value)
{
	return add_key(gguf, key, (struct gguf_key){ .type = GGUF_F32, .f = (double)value });
}

int gguf_add_bool(struct gguf *gguf, const char *key, bool value)
{
	return add_key(gguf, key, (struct gguf_key){ .type = GGUF_BOOL, .u = value });
}

int gguf_add_string(struct gguf *gguf, const char *key, const char *data, size_t len)
{
	char *copy = gguf_alloc(gguf, len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	return add_key(gguf, key, (struct gguf_key){
		.type = GGUF_STRING, .string = { .data = copy, .len = len },
	});
}

int gguf_add_array(struct gguf *gguf, const char *key, enum gguf_value_type type, const void *data,
		   size_t count)
{
	return add_key(gguf, key, (struct gguf_key){
		.type = GGUF_ARRAY, .array = { .type = type, .count = count, .data = data },
	});
}

int gguf_add_strings(struct gguf *gguf, const char *key, const struct gguf_string *strings,
		     size_t count)
{
	return add_key(gguf, key, (struct gguf_key){
		.type = GGUF_ARRAY,
		.array = { .type = GGUF_STRING, .count = count, .strings = strings },
	});
}

int gguf_add_tensor(struct gguf *gguf, const char *name, uint32_t type, uint32_t n_dims,
		    const uint64_t *dims, const void *data)
{
	const struct kern_type_info *info = kern_type_info(type);
	struct gguf_tensor tensor = {
		.type = type, .n_dims = n_dims, .dims = { 1, 1, 1, 1 }, .data = data,
	};
	uint64_t blocks = 1;
	int r;

	if (!info || !info->block_elems || n_dims > ARRAY_SIZE(tensor.dims))
		return -EINVAL;
	for (uint32_t i = 0; i < n_dims; i++) {
		tensor.dims[i] = dims[i];
		if (!dims[i] || (!i && dims[i] % info->block_elems) ||
		    __builtin_mul_overflow(blocks, i ? dims[i] : dims[i] / info->block_elems,
					   &blocks))
			return -EINVAL;
	}
	if (!size_mul(&tensor.size_bytes, blocks, info->block_bytes))
		return -EINVAL;
	r = grow(&gguf->tensors, gguf->tensor_count, sizeof(*gguf->tensors));
	if (r >= 0)
		r = copy_name(gguf, name, &tensor.name);
	if (r >= 0)
		r = table_add(&gguf->tensor_table, tensor.name.data, tensor.name.len,
			      (uint32_t)gguf->tensor_count);
	if (r < 0)
		return r;
	gguf->tensors[gguf->tensor_count++] = tensor;
	return 0;
}
