/* SPDX-License-Identifier: MIT */
/*
 * A struct gguf that is put together key by key and tensor by tensor, for models that come in other
 * files: whoever reads it can't tell the difference. It is built by one thread, and immutable from
 * then on. What it points at must live as long as it does: files are handed over to it, and memory
 * comes from it.
 */
#ifndef LLMOS_MODEL_GGUF_BUILD_H
#define LLMOS_MODEL_GGUF_BUILD_H

#include "base/mapped.h"
#include "model/gguf.h"

/** gguf_new() - one without keys and tensors; -ENOMEM */
int gguf_new(struct gguf **ret);
/** gguf_adopt() - take a file over, also where this fails; -ENOMEM */
int gguf_adopt(struct gguf *gguf, struct mapped *file);
/** gguf_alloc() - memory that goes with it, aligned for any tensor; NULL: there is none */
void *gguf_alloc(struct gguf *gguf, size_t size_bytes);

/*
 * Adding a key, whose name and text are copied: 0; -EEXIST it is there already, -EINVAL the name
 * has no byte or more than 255, -ENOMEM.
 */
int gguf_add_u32(struct gguf *gguf, const char *key, uint32_t value);
int gguf_add_f32(struct gguf *gguf, const char *key, float value);
int gguf_add_bool(struct gguf *gguf, const char *key, bool value);
int gguf_add_string(struct gguf *gguf, const char *key, const char *data, size_t len);
/** gguf_add_array() - @data, of @count elements of a fixed size, is not copied */
int gguf_add_array(struct gguf *gguf, const char *key, enum gguf_value_type type, const void *data,
		   size_t count);
/** gguf_add_strings() - @strings is not copied, nor what it points at */
int gguf_add_strings(struct gguf *gguf, const char *key, const struct gguf_string *strings,
		     size_t count);

/**
 * gguf_add_tensor() - a tensor in memory that is aligned for its type and as long as its shape says
 * @type: one that kernels/ knows
 * @dims: (n_dims) in GGUF's order, dims[0] is contiguous; at least 1 each
 *
 * Return: 0; -EEXIST, -EINVAL a name, type or shape that can't be, -ENOMEM.
 */
int gguf_add_tensor(struct gguf *gguf, const char *name, uint32_t type, uint32_t n_dims,
		    const uint64_t *dims, const void *data);

#endif /* LLMOS_MODEL_GGUF_BUILD_H */
