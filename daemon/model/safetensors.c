/* SPDX-License-Identifier: MIT */
/* Reading safetensors; see safetensors.h. */
#include "model/safetensors.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "kernels/kernels.h"
#include "model/json.h"

#define NAME_MAX_BYTES	255

struct safetensors {
	struct mapped file;
	json_t *header;			/* owns the texts that the tensors point at */
	struct safetensor *tensors;
	size_t count;
	struct table table;
	size_t header_bytes;
};

/* what is open, while it is being read */
struct reader {
	struct safetensors *file;
	const char *data;		/* of the tensors */
	size_t size_bytes;
	struct error *error;
};

static const struct dtype {
	const char *name;
	unsigned int bits;
	int type;
} dtypes[] = {
	{ "F32", 32, KERN_F32 }, { "F16", 16, KERN_F16 }, { "BF16", 16, KERN_BF16 },
	{ "F64", 64, -1 }, { "I64", 64, -1 }, { "U64", 64, -1 }, { "C64", 64, -1 },
	{ "I32", 32, -1 }, { "U32", 32, -1 }, { "I16", 16, -1 }, { "U16", 16, -1 },
	{ "I8", 8, -1 }, { "U8", 8, -1 }, { "BOOL", 8, -1 }, { "F8_E4M3", 8, -1 },
	{ "F8_E5M2", 8, -1 }, { "F8_E8M0", 8, -1 },
};

void safetensors_free(struct safetensors *file)
{
	if (!file)
		return;
	table_free(&file->table);
	free(file->tensors);
	json_decref(file->header);
	mapped_close(&file->file);
	free(file);
}

static struct gguf_shown show(const char *name)
{
	return gguf_show((struct gguf_string){ name, strlen(name) });
}

/* ---- one tensor ---- */

static int parse_dtype(struct reader *r, struct safetensor *tensor, const json_t *json,
		       const struct dtype **ret)
{
	const char *name = json_string_value(json);

	if (!name)
		return error_set(r->error, -EBADMSG, "tensor '%s' has no dtype",
				 show(tensor->name).text);
	for (size_t i = 0; i < ARRAY_SIZE(dtypes); i++) {
		if (!json_is(json, dtypes[i].name))
			continue;
		tensor->dtype = name;
		tensor->type = dtypes[i].type;
		*ret = &dtypes[i];
		return 0;
	}
	return error_set(r->error, -EOPNOTSUPP, "tensor '%s': dtype '%s' is not known",
			 show(tensor->name).text, show(name).text);
}

static int parse_shape(struct reader *r, struct safetensor *tensor, const json_t *json)
{
	if (!json_is_array(json))
		return error_set(r->error, -EBADMSG, "tensor '%s' has no shape",
				 show(tensor->name).text);
	if (json_array_size(json) > SAFETENSORS_DIMS_MAX)
		return error_set(r->error, -EOPNOTSUPP, "tensor '%s' has %zu dimensions",
				 show(tensor->name).text, json_array_size(json));
	tensor->n_dims = (uint32_t)json_array_size(json);
	for (uint32_t i = 0; i < SAFETENSORS_DIMS_MAX; i++) {
		tensor->shape[i] = 1;
		if (i < tensor->n_dims &&
		    json_get_u64(json_array_get(json, i), &tensor->shape[i]) < 0)
			return error_set(r->error, -EBADMSG,
					 "tensor '%s': dimension %" PRIu32 " is not a size",
					 show(tensor->name).text, i);
	}
	return 0;
}

/* the bytes that its shape asks for; false where those are too many to count */
static bool shape_bytes(const struct safetensor *tensor, unsigned int bits, uint64_t *ret)
{
	uint64_t bytes = bits / 8;

	for (uint32_t i = 0; i < tensor->n_dims; i++)
		if (__builtin_mul_overflow(bytes, tensor->shape[i], &bytes))
			return false;
	*ret = bytes;
	return true;
}

static int parse_place(struct reader *r, struct safetensor *tensor, const json_t *json,
		       unsigned int bits)
{
	uint64_t begin, end, bytes;

	if (json_array_size(json) != 2 || json_get_u64(json_array_get(json, 0), &begin) < 0 ||
	    json_get_u64(json_array_get(json, 1), &end) < 0 || begin > end)
		return error_set(r->error, -EBADMSG, "tensor '%s': 'data_offsets' are no place",
				 show(tensor->name).text);
	if (end > r->size_bytes)
		return error_set(r->error, -EBADMSG,
				 "cut off: tensor '%s' ends at %" PRIu64 ", there are %zu bytes",
				 show(tensor->name).text, end, r->size_bytes);
	if (!shape_bytes(tensor, bits, &bytes) || bytes != end - begin)
		return error_set(r->error, -EBADMSG, "tensor '%s' has %" PRIu64
				 " bytes, which is not what its shape says", show(tensor->name).text, end - begin);
	tensor->data = r->data + begin;
	tensor->size_bytes = (size_t)bytes;
	return 0;
}

static int parse_tensor(struct reader *r, const char *name, const json_t *json)
{
	struct safetensor *tensor = &r->file->tensors[r->file->count];
	const struct dtype *dtype = NULL;
	int e;

	tensor->name = name;
	if (!*name || strlen(name) > NAME_MAX_BYTES)
		return error_set(r->error, -EBADMSG, "a tensor's name has %zu bytes",
				 strlen(name));
	if (!json_is_object(json))
		return error_set(r->error, -EBADMSG, "tensor '%s' is not an object",
				 show(name).text);
	if ((e = parse_dtype(r, tensor, json_object_get(json, "dtype"), &dtype)) < 0 ||
	    (e = parse_shape(r, tensor, json_object_get(json, "shape"))) < 0 ||
	    (e = parse_place(r, tensor, json_object_get(json, "data_offsets"), dtype->bits)) < 0)
		return e;
	e = table_add(&r->file->table, name, strlen(name), (uint32_t)r->file->count);
	if (e < 0)
		return error_set(r->error, e, "tensors: %s", strerror(-e));
	r->file->count++;
	return 0;
}

/* ---- all of them ---- */

static int by_place(const void *a, const void *b)
{
	const struct safetensor *x = *(const struct safetensor *const *)a;
	const struct safetensor *y = *(const struct safetensor *const *)b;

	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

/* the format has tensors fill the file, one behind the other */
static int check_places(struct reader *r)
{
	_cleanup_free_ const struct safetensor **sorted = NULL;
	const char *at = r->data;

	sorted = calloc(r->file->count + 1, sizeof(*sorted));
	if (!sorted)
		return error_set(r->error, -ENOMEM, "tensors: %s", strerror(ENOMEM));
	for (size_t i = 0; i < r->file->count; i++)
		sorted[i] = &r->file->tensors[i];
	qsort(sorted, r->file->count, sizeof(*sorted), by_place);
	for (size_t i = 0; i < r->file->count; i++) {
		if (sorted[i]->data != at)
			return error_set(r->error, -EBADMSG, "tensor '%s' %s the one before it",
					 show(sorted[i]->name).text,
					 sorted[i]->data < at ? "overlaps" : "leaves a hole behind");
		at += sorted[i]->size_bytes;
	}
	if (at != r->data + r->size_bytes)
		return error_set(r->error, -EBADMSG, "%zu bytes at the end belong to no tensor",
				 (size_t)(r->data + r->size_bytes - at));
	return 0;
}

static int parse_tensors(struct reader *r)
{
	const char *name;
	json_t *json;
	int e;

	if (!json_is_object(r->file->header))
		return error_set(r->error, -EBADMSG, "the header is not an object");
	r->file->tensors = calloc(json_object_size(r->file->header) + 1,
				  sizeof(*r->file->tensors));
	if (!r->file->tensors ||
	    table_init(&r->file->table, json_object_size(r->file->header)) < 0)
		return error_set(r->error, -ENOMEM, "tensors: %s", strerror(ENOMEM));
	json_object_foreach(r->file->header, name, json) {
		e = parse_tensor(r, name, json);
		if (e < 0)
			return e;
	}
	return check_places(r);
}

/* fill() - have bytes of the file, if it is one */
static int fill(const struct safetensors *file, size_t at, size_t len, struct error *error)
{
	return file->file.data ? mapped_fill(&file->file, at, len, error) : 0;
}

static int parse(struct safetensors *file, const char *data, size_t size_bytes,
		 struct error *error)
{
	struct reader r = { .file = file, .error = error };
	uint64_t header_bytes;
	int e;

	if (size_bytes < sizeof(header_bytes))
		return error_set(error, -EBADMSG, "%zu bytes are no safetensors file", size_bytes);
	e = fill(file, 0, sizeof(header_bytes), error);
	if (e < 0)
		return e;
	memcpy(&header_bytes, data, sizeof(header_bytes));
	header_bytes = le64toh(header_bytes);
	size_bytes -= sizeof(header_bytes);
	if (header_bytes > size_bytes)
		return error_set(error, -EBADMSG,
				 "cut off: a header of %" PRIu64 " bytes, %zu are left", header_bytes,
				 size_bytes);
	if (header_bytes <= SAFETENSORS_HEADER_MAX)
		e = fill(file, sizeof(header_bytes), (size_t)header_bytes, error);
	if (e < 0)
		return e;
	e = json_parse(&file->header, data + sizeof(header_bytes), (size_t)header_bytes,
		       SAFETENSORS_HEADER_MAX, "header", error);
	if (e < 0)
		return e;
	/* texts of any size that nobody reads, and the header stays */
	json_object_del(file->header, "__metadata__");
	file->header_bytes = (size_t)header_bytes;
	r.data = data + sizeof(header_bytes) + header_bytes;
	r.size_bytes = size_bytes - (size_t)header_bytes;
	return parse_tensors(&r);
}

static int open_as(struct safetensors **ret, const char *path, bool is_read, struct error *error)
{
	_cleanup_(safetensors_freep) struct safetensors *file = calloc(1, sizeof(*file));
	struct error inner = { 0 };
	int r;

	if (!file)
		return error_set(error, -ENOMEM, "'%s': %s", path, strerror(ENOMEM));
	r = is_read ? mapped_open_read(&file->file, path, error) :
		      mapped_open(&file->file, path, error);
	if (r < 0)
		return r;
	r = parse(file, file->file.data, file->file.size_bytes, &inner);
	if (r < 0)
		return error_set(error, r, "'%s': %s", path, inner.text);
	*ret = steal_ptr(file);
	return 0;
}

int safetensors_open(struct safetensors **ret, const char *path, struct error *error)
{
	return open_as(ret, path, false, error);
}

int safetensors_open_read(struct safetensors **ret, const char *path, struct error *error)
{
	return open_as(ret, path, true, error);
}

int safetensors_open_memory(struct safetensors **ret, const void *data, size_t size_bytes,
			    struct error *error)
{
	_cleanup_(safetensors_freep) struct safetensors *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return error_set(error, -ENOMEM, "safetensors in memory: %s", strerror(ENOMEM));
	r = parse(file, data, size_bytes, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(file);
	return 0;
}

size_t safetensors_header_bytes(const struct safetensors *file)
{
	return file->header_bytes;
}

size_t safetensors_count(const struct safetensors *file)
{
	return file->count;
}

const struct safetensor *safetensors_at(const struct safetensors *file, size_t index)
{
	return index < file->count ? &file->tensors[index] : NULL;
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
	uint32_t i = table_find(&file->table, name, strlen(name));

	return i == TABLE_NONE ? NULL : &file->tensors[i];
}

struct mapped safetensors_steal(struct safetensors *file)
{
	struct mapped mapped = file->file;

	file->file = (struct mapped){ 0 };
	return mapped;
}
