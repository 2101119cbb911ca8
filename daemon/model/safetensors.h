/* SPDX-License-Identifier: MIT */
/*
 * A safetensors file: eight bytes of length, a header in JSON, and the tensors' bytes. It is mapped
 * read-only and checked once at open: afterwards each tensor lies inside the mapping, is as long as
 * its shape says, and shares no byte with another. The file is hostile until then. Immutable after
 * safetensors_open().
 */
#ifndef LLMOS_MODEL_SAFETENSORS_H
#define LLMOS_MODEL_SAFETENSORS_H

#include "base/mapped.h"
#include "model/gguf.h"

#define SAFETENSORS_HEADER_MAX	(16U << 20)	/* bytes; real ones have a hundred a tensor */
#define SAFETENSORS_DIMS_MAX	4

/**
 * struct safetensor - a tensor
 * @name: NUL-terminated
 * @dtype: as the file has it, such as "BF16"; NUL-terminated
 * @type: enum kern_type, or -1: weights of @dtype are not computed with
 * @shape: as the file has it: the last one is contiguous; unused ones are 1
 * @data: not aligned to anything
 */
struct safetensor {
	const char *name;
	const char *dtype;
	int type;
	uint32_t n_dims;
	uint64_t shape[SAFETENSORS_DIMS_MAX];
	const char *data;
	size_t size_bytes;
};

struct safetensors;

/**
 * safetensors_open() - map and check a file
 *
 * Return: 0; what open() gives, -EBADMSG not safetensors or broken (the text says where), -E2BIG a
 * header of more than SAFETENSORS_HEADER_MAX bytes, -EOPNOTSUPP a tensor of more than
 * SAFETENSORS_DIMS_MAX dimensions, -ENOMEM.
 */
int safetensors_open(struct safetensors **ret, const char *path, struct error *error);
/** safetensors_open_read() - the same for a file that is read, as gguf_open_read() does it */
int safetensors_open_read(struct safetensors **ret, const char *path, struct error *error);
/** safetensors_open_memory() - the same for bytes that outlive it; for tests and fuzzing */
int safetensors_open_memory(struct safetensors **ret, const void *data, size_t size_bytes,
			    struct error *error);
void safetensors_free(struct safetensors *file);
DEFINE_CLEANUP(struct safetensors *, safetensors_free);

/** safetensors_header_bytes() - what the header's JSON took in the file */
size_t safetensors_header_bytes(const struct safetensors *file);
size_t safetensors_count(const struct safetensors *file);
const struct safetensor *safetensors_at(const struct safetensors *file, size_t index);
/** safetensors_find() - by name, NULL if there is none; O(1) */
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);

/**
 * safetensors_steal() - hand the mapping over to somebody who keeps it; the tensors' data stay
 *
 * Of one in memory there is none: its data is NULL.
 */
struct mapped safetensors_steal(struct safetensors *file);

#endif /* LLMOS_MODEL_SAFETENSORS_H */
