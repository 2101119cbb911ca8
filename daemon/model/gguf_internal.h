/* SPDX-License-Identifier: MIT */
/* What the files of gguf share: the parsed form of a file. No one else includes this. */
#ifndef LLMOS_MODEL_GGUF_INTERNAL_H
#define LLMOS_MODEL_GGUF_INTERNAL_H

#include "base/mapped.h"
#include "base/table.h"
#include "model/gguf.h"

/** struct gguf_key - a key and its value; scalars are copied, so that nobody reads them twice */
struct gguf_key {
	struct gguf_string name;
	enum gguf_value_type type;
	union {
		uint64_t u;		/* unsigned integers and booleans */
		int64_t i;		/* signed integers */
		double f;
		struct gguf_string string;
		struct gguf_array array;
	};
};

struct gguf_block;

struct gguf {
	size_t size_bytes;		/* of all files, or of the caller's memory */
	struct mapped *files;		/* none where the bytes are the caller's */
	size_t file_count;
	bool is_file;			/* they are GGUF, and all there is */
	struct gguf_block *blocks;	/* memory of a view that is built by hand */
	struct gguf_key *keys;
	size_t key_count;
	struct table key_table;		/* name to index into keys */
	struct gguf_tensor *tensors;
	size_t tensor_count;
	struct table tensor_table;
};

struct gguf_cursor;

/**
 * gguf_parse() - fill in keys and tensors; on failure the caller frees what is there
 * @file: that the bytes are of; NULL: they are in memory
 */
int gguf_parse(struct gguf *gguf, const char *data, size_t size_bytes, const struct mapped *file,
	       struct error *error);
/** gguf_parse_tensors() - the part of it from the tensor infos on */
int gguf_parse_tensors(struct gguf *gguf, struct gguf_cursor *c, uint64_t count,
		       uint32_t alignment);
/** gguf_open_one() - a file, whether or not others belong to it; @is_read: as gguf_open_read() */
int gguf_open_one(struct gguf **ret, const char *path, bool is_read, struct error *error);
/** gguf_parts_count() - of how many files it is one; -EBADMSG it does not say it well */
int gguf_parts_count(const struct gguf *gguf, uint32_t *ret, struct error *error);
/** gguf_parts_open() - add the other files' tensors to the first one's; as gguf_open() */
int gguf_parts_open(struct gguf *gguf, const char *path, struct error *error);
void gguf_free_blocks(struct gguf *gguf);
const struct gguf_key *gguf_key_find(const struct gguf *gguf, const char *name);
/** gguf_value_size() - bytes of a scalar value; 0 for strings, arrays and unknown types */
size_t gguf_value_size(enum gguf_value_type type);
/** gguf_value_load() - the scalar at @p (which need not be aligned) into @key, its type set */
void gguf_value_load(struct gguf_key *key, const void *p);

#endif /* LLMOS_MODEL_GGUF_INTERNAL_H */
