/* SPDX-License-Identifier: MIT */
/*
 * Opening a GGUF file, and what its readers ask for. The parsing is in gguf_parse.c.
 *
 * The mapping is private and read-only. Everything that decides about bounds (lengths, counts,
 * shapes, offsets) was copied out of it while it was checked and is never read again, so someone
 * who writes into the file afterwards changes weights and texts, but can't lead a reader astray.
 * A file that is cut off while it is mapped is another matter: touching a page that is gone raises
 * SIGBUS, and no library can prevent that. The model folder belongs to root for this reason, models
 * are replaced by rename() and not in place, and what a SIGBUS means is up to the process.
 */
#include "model/gguf.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "model/gguf_build.h"
#include "model/gguf_internal.h"

void gguf_free(struct gguf *gguf)
{
	if (!gguf)
		return;
	free(gguf->keys);
	free(gguf->tensors);
	table_free(&gguf->key_table);
	table_free(&gguf->tensor_table);
	for (size_t i = 0; i < gguf->file_count; i++)
		mapped_close(&gguf->files[i]);
	free(gguf->files);
	gguf_free_blocks(gguf);
	free(gguf);
}

/* puts the path before what the parser says */
static int error_in_file(struct error *error, int r, const char *path, const struct error *inner)
{
	return error_set(error, r, "'%s': %s", path, inner->text);
}

int gguf_open_one(struct gguf **ret, const char *path, bool is_read, struct error *error)
{
	_cleanup_(gguf_freep) struct gguf *gguf = calloc(1, sizeof(*gguf));
	struct mapped file = { 0 };
	struct error inner = { 0 };
	int r;

	if (!gguf)
		return error_set(error, -ENOMEM, "'%s': %s", path, strerror(ENOMEM));
	r = is_read ? mapped_open_read(&file, path, error) : mapped_open(&file, path, error);
	if (r < 0)
		return r;
	r = gguf_adopt(gguf, &file);
	if (r < 0)
		return error_set(error, r, "'%s': %s", path, strerror(-r));
	r = gguf_parse(gguf, gguf->files[0].data, gguf->files[0].size_bytes, gguf->files, &inner);
	if (r < 0)
		return error_in_file(error, r, path, &inner);
	gguf->is_file = true;
	*ret = steal_ptr(gguf);
	return 0;
}

int gguf_open(struct gguf **ret, const char *path, struct error *error)
{
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	int r = gguf_open_one(&gguf, path, false, error);

	if (r >= 0)
		r = gguf_parts_open(gguf, path, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(gguf);
	return 0;
}

int gguf_open_read(struct gguf **ret, const char *path, struct error *error)
{
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	struct error inner = { 0 };
	uint32_t parts = 1;
	int r = gguf_open_one(&gguf, path, true, error);

	if (r < 0)
		return r;
	/* each would keep a descriptor, and memory for what is before its tensors */
	r = gguf_parts_count(gguf, &parts, &inner);
	if (r >= 0 && parts > 1)
		r = error_set(&inner, -EOPNOTSUPP,
			      "one of %" PRIu32 " files, where only a single one can be read", parts);
	if (r < 0)
		return error_in_file(error, r, path, &inner);
	r = gguf_parts_open(gguf, path, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(gguf);
	return 0;
}

int gguf_open_memory(struct gguf **ret, const void *data, size_t size_bytes, struct error *error)
{
	_cleanup_(gguf_freep) struct gguf *gguf = calloc(1, sizeof(*gguf));
	uint32_t parts;
	int r;

	if (!gguf)
		return error_set(error, -ENOMEM, "GGUF in memory: %s", strerror(ENOMEM));
	if ((uintptr_t)data % _Alignof(max_align_t))
		return error_set(error, -EINVAL, "GGUF in memory: not aligned");
	gguf->size_bytes = size_bytes;
	r = gguf_parse(gguf, data, size_bytes, NULL, error);
	if (r >= 0)
		r = gguf_parts_count(gguf, &parts, error);
	if (r >= 0 && parts > 1)
		r = error_set(error, -EOPNOTSUPP, "one of %" PRIu32 " files", parts);
	if (r < 0)
		return r;
	*ret = steal_ptr(gguf);
	return 0;
}

size_t gguf_size_bytes(const struct gguf *gguf)
{
	return gguf->size_bytes;
}

bool gguf_has(const struct gguf *gguf, uintptr_t address)
{
	for (size_t i = 0; i < gguf->file_count; i++)
		if (mapped_has(&gguf->files[i], address))
			return true;
	return false;
}

int gguf_read(const struct gguf *gguf, const void *data, size_t size_bytes, void *buffer,
	      const void **ret, struct error *error)
{
	const uintptr_t at = (uintptr_t)data;
	struct error why = { "" };
	size_t i = 0;
	int r;

	*ret = data;
	while (i < gguf->file_count && !mapped_has(&gguf->files[i], at))
		i++;
	if (i == gguf->file_count)
		return 0;
	r = mapped_read(&gguf->files[i], buffer, at - (uintptr_t)gguf->files[i].data, size_bytes,
			&why);
	/* names of tensors are in the file: one that was cut off may have lost them */
	if (r < 0)
		return error_set(error, r, "gguf: %s", why.text);
	*ret = buffer;
	return 0;
}

int gguf_fetch(const struct gguf *gguf, const struct gguf_tensor *tensor, struct error *error)
{
	const uintptr_t at = (uintptr_t)tensor->data;

	for (size_t i = 0; tensor->size_bytes && i < gguf->file_count; i++)
		if (mapped_has(&gguf->files[i], at))
			return mapped_fill(&gguf->files[i], at - (uintptr_t)gguf->files[i].data,
					   tensor->size_bytes, error);
	return 0;
}

/* FNV-1a: values are kept on the disk, so without a key */
#define HASH_START	UINT64_C(0xcbf29ce484222325)

static uint64_t hash_more(uint64_t hash, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* what is before the first tensor's data */
static size_t head_len(const struct gguf *gguf, const struct mapped *file)
{
	size_t len = file->size_bytes;

	for (size_t i = 0; i < gguf->tensor_count; i++)
		if (gguf->tensors[i].size_bytes &&
		    mapped_has(file, (uintptr_t)gguf->tensors[i].data))
			len = MIN(len, (size_t)((const char *)gguf->tensors[i].data - file->data));
	return len;
}

int gguf_identify(const struct gguf *gguf, struct gguf_identity *ret)
{
	const struct mapped *file = gguf->files;
	uint64_t hash = HASH_START;

	if (!gguf->is_file)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < gguf->file_count; i++) {
		hash = hash_more(hash, file[i].data, head_len(gguf, &file[i]));
		if (i)
			hash = hash_more(hash, &file[i].id, sizeof(file[i].id));
	}
	*ret = (struct gguf_identity){
		.size_bytes = gguf->size_bytes,
		.inode = file->id.inode,
		.mtime_ns = file->id.mtime_ns,
		.ctime_ns = file->id.ctime_ns,
		.head = hash,
	};
	return 0;
}

/* whole pages of the files in between alone: memory that is no file's would be lost */
static void advise(const struct gguf *gguf, const void *data, size_t size_bytes, int advice)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t begin = ((uintptr_t)data + page - 1) / page * page;
	const uintptr_t end = ((uintptr_t)data + size_bytes) / page * page;

	if (begin < end && gguf_has(gguf, begin) && gguf_has(gguf, end - 1))
		(void)madvise((void *)begin, end - begin, advice);
}

void gguf_drop(const struct gguf *gguf, const void *data, size_t size_bytes)
{
	advise(gguf, data, size_bytes, MADV_DONTNEED);
}

void gguf_drop_files(const struct gguf *gguf)
{
	for (size_t i = 0; i < gguf->file_count; i++)
		if (!gguf->files[i].is_read)
			(void)madvise((void *)gguf->files[i].data, gguf->files[i].size_bytes,
				      MADV_DONTNEED);
}

void gguf_scatter(const struct gguf *gguf, const void *data, size_t size_bytes)
{
	advise(gguf, data, size_bytes, MADV_NOHUGEPAGE);
}

size_t gguf_tensor_count(const struct gguf *gguf)
{
	return gguf->tensor_count;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index)
{
	return index < gguf->tensor_count ? &gguf->tensors[index] : NULL;
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *gguf, const char *name)
{
	uint32_t i = table_find(&gguf->tensor_table, name, strlen(name));

	return i == TABLE_NONE ? NULL : &gguf->tensors[i];
}

size_t gguf_key_count(const struct gguf *gguf)
{
	return gguf->key_count;
}

const struct gguf_key *gguf_key_find(const struct gguf *gguf, const char *name)
{
	uint32_t i = table_find(&gguf->key_table, name, strlen(name));

	return i == TABLE_NONE ? NULL : &gguf->keys[i];
}

int gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *ret)
{
	const struct gguf_key *found = gguf_key_find(gguf, key);

	if (!found)
		return -ENOENT;
	switch (found->type) {
	case GGUF_U8:
	case GGUF_U16:
	case GGUF_U32:
	case GGUF_U64:
		if (found->u > UINT32_MAX)
			return -EINVAL;
		break;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		if (found->i < 0 || found->i > UINT32_MAX)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	*ret = (uint32_t)found->u;
	return 0;
}

int gguf_get_f32(const struct gguf *gguf, const char *key, float *ret)
{
	const struct gguf_key *found = gguf_key_find(gguf, key);

	if (!found)
		return -ENOENT;
	if (found->type != GGUF_F32 && found->type != GGUF_F64)
		return -EINVAL;
	if (isfinite(found->f) && fabs(found->f) > (double)FLT_MAX)
		return -EINVAL;
	*ret = (float)found->f;
	return 0;
}

int gguf_get_bool(const struct gguf *gguf, const char *key, bool *ret)
{
	const struct gguf_key *found = gguf_key_find(gguf, key);

	if (!found)
		return -ENOENT;
	if (found->type != GGUF_BOOL)
		return -EINVAL;
	*ret = found->u;
	return 0;
}

int gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *ret)
{
	const struct gguf_key *found = gguf_key_find(gguf, key);

	if (!found)
		return -ENOENT;
	if (found->type != GGUF_STRING)
		return -EINVAL;
	*ret = found->string;
	return 0;
}

int gguf_get_array(const struct gguf *gguf, const char *key, struct gguf_array *ret)
{
	const struct gguf_key *found = gguf_key_find(gguf, key);

	if (!found)
		return -ENOENT;
	if (found->type != GGUF_ARRAY)
		return -EINVAL;
	*ret = found->array;
	return 0;
}

/* "<general.architecture>.<suffix>"; no key of a file is longer than the buffer allows for */
static int arch_key(const struct gguf *gguf, const char *suffix, char *buf, size_t size)
{
	struct gguf_string arch;
	int r = gguf_get_string(gguf, "general.architecture", &arch);

	if (r < 0)
		return r;
	if (arch.len >= size ||
	    snprintf(buf, size, "%.*s.%s", (int)arch.len, arch.data, suffix) >= (int)size)
		return -ENOENT;
	return 0;
}

int gguf_get_arch_u32(const struct gguf *gguf, const char *suffix, uint32_t *ret)
{
	char key[256];
	int r = arch_key(gguf, suffix, key, sizeof(key));

	return r < 0 ? r : gguf_get_u32(gguf, key, ret);
}

int gguf_get_arch_f32(const struct gguf *gguf, const char *suffix, float *ret)
{
	char key[256];
	int r = arch_key(gguf, suffix, key, sizeof(key));

	return r < 0 ? r : gguf_get_f32(gguf, key, ret);
}

int gguf_get_arch_string(const struct gguf *gguf, const char *suffix, struct gguf_string *ret)
{
	char key[256];
	int r = arch_key(gguf, suffix, key, sizeof(key));

	return r < 0 ? r : gguf_get_string(gguf, key, ret);
}
