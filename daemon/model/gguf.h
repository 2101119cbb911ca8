/* SPDX-License-Identifier: MIT */
/*
 * A GGUF file (versions 2 and 3, little endian), mapped read-only and checked once at open:
 * afterwards every key, string, array and tensor lies inside the mapping, is aligned as it must be
 * and overlaps nothing, so that readers need no further bounds checks. The file is hostile until
 * then, and a file that is cut off later raises SIGBUS: models are replaced by rename() only.
 * A file that is needed once, to be copied from, can be read instead.
 * A struct gguf is immutable after gguf_open() and may be shared by threads.
 */
#ifndef LLMOS_MODEL_GGUF_H
#define LLMOS_MODEL_GGUF_H

#include "base/util.h"

/* value types of the format */
enum gguf_value_type {
	GGUF_U8 = 0, GGUF_I8 = 1, GGUF_U16 = 2, GGUF_I16 = 3, GGUF_U32 = 4, GGUF_I32 = 5,
	GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9, GGUF_U64 = 10,
	GGUF_I64 = 11, GGUF_F64 = 12,
};

/** struct gguf_string - bytes in the mapping, not NUL-terminated */
struct gguf_string {
	const char *data;
	size_t len;
};

/** struct gguf_array - an array value: fixed-size elements in place, or strings by index */
struct gguf_array {
	enum gguf_value_type type;
	uint64_t count;
	const void *data;			/* NULL for strings; may be unaligned */
	const struct gguf_string *strings;	/* NULL unless strings */
};

/** struct gguf_tensor - shape in the file's order: dims[0] is contiguous (elements of a row) */
struct gguf_tensor {
	struct gguf_string name;
	uint32_t type;			/* number in the format; enum kern_type where known */
	uint32_t n_dims;
	uint64_t dims[4];		/* unused ones are 1 */
	const void *data;
	size_t size_bytes;		/* 0 if the type is not known to kernels/ */
};

struct gguf;

/**
 * gguf_open() - map and check a file, or the files that it is the first of
 *
 * A model may be split: NAME-00001-of-00003.gguf is opened, and the others are found beside it.
 *
 * Return: 0; -ENOENT and what else open() gives, -EBADMSG not GGUF or broken (the text says where),
 * -EOPNOTSUPP a version that is not supported, or one of several files that is not called as the
 * first of them is, -ENOMEM.
 */
int gguf_open(struct gguf **ret, const char *path, struct error *error);
/**
 * gguf_open_read() - the same for a file that is read, not mapped: a file that is cut off later, or
 * a disk that fails, is an error of gguf_fetch()
 *
 * Return: as gguf_open(); -EIO and what else pread() gives, -E2BIG too much before its tensors,
 * -EOPNOTSUPP it is one of several.
 */
int gguf_open_read(struct gguf **ret, const char *path, struct error *error);
/**
 * gguf_open_memory() - the same for bytes in memory that outlive it; for tests and fuzzing
 * @data: aligned as malloc() aligns, else -EINVAL
 */
int gguf_open_memory(struct gguf **ret, const void *data, size_t size_bytes, struct error *error);
/**
 * struct gguf_part - one of several files
 * @len: of the name that they share
 * @number: from 1 to @count
 */
struct gguf_part {
	size_t len;
	uint32_t number;
	uint32_t count;
};

/** gguf_part_of() - is a file (or path) called so: NAME-00001-of-00003.gguf? */
bool gguf_part_of(const char *name, struct gguf_part *ret);
/** gguf_part_name() - the @number'th of @count; its first @len bytes are @name's; NULL: -ENOMEM */
char *gguf_part_name(const char *name, size_t len, uint32_t number, uint32_t count);

void gguf_free(struct gguf *gguf);
DEFINE_CLEANUP(struct gguf *, gguf_free);

/** gguf_size_bytes() - of its file, or of all its files together */
size_t gguf_size_bytes(const struct gguf *gguf);
/** gguf_has() - does this address lie in a file that it maps? Safe in a signal handler. */
bool gguf_has(const struct gguf *gguf, uintptr_t address);
/**
 * struct gguf_identity - what tells a file from another one, and from itself before it was changed
 * @head: hash of all that is before the first tensor's data: keys, names, types and shapes; where
 *	there are several files, of what is before it in each, and of the others' inodes and times
 */
struct gguf_identity {
	uint64_t size_bytes;
	uint64_t inode;
	uint64_t mtime_ns;
	uint64_t ctime_ns;
	uint64_t head;
};
/** gguf_identify() - of the file or files it was opened from; -EOPNOTSUPP they are not GGUF */
int gguf_identify(const struct gguf *gguf, struct gguf_identity *ret);
/**
 * gguf_fetch() - have a tensor's bytes, which of a file that is read are not there before
 *
 * Return: 0; as mapped_fill(), whose text names no tensor. Nothing to do where they are in memory.
 */
int gguf_fetch(const struct gguf *gguf, const struct gguf_tensor *tensor, struct error *error);
/**
 * gguf_read() - bytes of a tensor that are needed once
 * @buffer: room for them
 *
 * A file's pages are copied from: they need not be mapped, and given back, for that.
 *
 * Return: 0, *ret is @buffer, or @data where they are of no file; as mapped_read().
 */
int gguf_read(const struct gguf *gguf, const void *data, size_t size_bytes, void *buffer,
	      const void **ret, struct error *error);
/**
 * gguf_drop() - these bytes of a tensor will hardly be read again: their pages need not stay mapped
 *
 * Whole pages in between alone. Of a file that is mapped they come back by themselves, of one that
 * is read by gguf_fetch(). Nothing where the bytes are of no file.
 */
void gguf_drop(const struct gguf *gguf, const void *data, size_t size_bytes);
/** gguf_drop_files() - the same of all that is mapped, names and values of keys too */
void gguf_drop_files(const struct gguf *gguf);
/**
 * gguf_scatter() - these bytes of a tensor are read a few here and a few there: in small pages
 *
 * All others are read from end to end, in large ones where the file system has them.
 */
void gguf_scatter(const struct gguf *gguf, const void *data, size_t size_bytes);
size_t gguf_tensor_count(const struct gguf *gguf);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index);
/** gguf_tensor_find() - by name, NULL if there is none; O(1) */
const struct gguf_tensor *gguf_tensor_find(const struct gguf *gguf, const char *name);

size_t gguf_key_count(const struct gguf *gguf);
/** gguf_key_print() - the index'th key and its value as text (long arrays abbreviated), for show */
int gguf_key_print(const struct gguf *gguf, size_t index, char *key, size_t key_size, char *value,
		   size_t value_size);

/*
 * Getters: 0, -ENOENT no such key, -EINVAL the key has another type (integers convert among each
 * other where the value fits, floats too). *ret is written only on success.
 */
int gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *ret);
int gguf_get_f32(const struct gguf *gguf, const char *key, float *ret);
int gguf_get_bool(const struct gguf *gguf, const char *key, bool *ret);
int gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *ret);
int gguf_get_array(const struct gguf *gguf, const char *key, struct gguf_array *ret);
/** gguf_get_arch_u32() - the same with "<general.architecture>." put before @suffix */
int gguf_get_arch_u32(const struct gguf *gguf, const char *suffix, uint32_t *ret);
int gguf_get_arch_f32(const struct gguf *gguf, const char *suffix, float *ret);
int gguf_get_arch_string(const struct gguf *gguf, const char *suffix, struct gguf_string *ret);

static inline bool gguf_string_is(struct gguf_string s, const char *text)
{
	return s.len == __builtin_strlen(text) && !__builtin_memcmp(s.data, text, s.len);
}

/** struct gguf_shown - a name from the file, made fit for a line of text */
struct gguf_shown {
	char text[72];
};
struct gguf_shown gguf_show(struct gguf_string s);

#endif /* LLMOS_MODEL_GGUF_H */
