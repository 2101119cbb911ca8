/* SPDX-License-Identifier: MIT */
/*
 * The one pass over a GGUF file, which believes nothing: the header and the keys here, the tensors
 * in gguf_tensor.c. Every count is held against the bytes that are left before anything is
 * allocated for it, so that a small file can't ask for much memory.
 *
 * The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
#include <inttypes.h>
#include <string.h>

#include "model/gguf_build.h"
#include "model/gguf_cursor.h"
#include "model/gguf_internal.h"

#define VERSION_MIN		2
#define VERSION_MAX		3
#define DEFAULT_ALIGNMENT	32
#define MIN_ALIGNMENT		8		/* what the format asks for, and doubles need */
#define MAX_ALIGNMENT		(1U << 20)

#define KEY_SIZE_MIN		(8 + 1 + 4 + 1)	/* length, one byte of name, type, one of value */
#define KEY_COUNT_MAX		(1U << 16)
#define STRING_COUNT_MAX	(1U << 24)	/* in one array */

/* ---- header ---- */

static int parse_version(struct gguf_cursor *c)
{
	uint32_t version;
	int r = cursor_take_u32(c, &version, "the version");

	if (r < 0)
		return r;
	if (version >= VERSION_MIN && version <= VERSION_MAX)
		return 0;
	if (version && !(version & 0xffff))
		return error_set(c->error, -EOPNOTSUPP, "big-endian GGUF is not supported");
	return error_set(c->error, -EOPNOTSUPP,
			 "GGUF version %" PRIu32 " is not supported (%d to %d are)", version,
			 VERSION_MIN, VERSION_MAX);
}

static int parse_magic(struct gguf_cursor *c)
{
	static const char *const old[] = { "lmgg", "fmgg", "tjgg", "algg" };
	const char *magic = cursor_take(c, 4, "the magic number");

	if (!magic)
		return -EBADMSG;
	if (!memcmp(magic, "GGUF", 4))
		return 0;
	if (!memcmp(magic, "FUGG", 4))
		return error_set(c->error, -EOPNOTSUPP, "big-endian GGUF is not supported");
	for (size_t i = 0; i < ARRAY_SIZE(old); i++)
		if (!memcmp(magic, old[i], 4))
			return error_set(c->error, -EOPNOTSUPP,
					 "a GGML file from before GGUF is not supported");
	return error_set(c->error, -EBADMSG, "not a GGUF file");
}

/* ---- keys ---- */

static int parse_scalar(struct gguf_cursor *c, struct gguf_key *key)
{
	const void *p = cursor_take(c, gguf_value_size(key->type), "a value");

	if (!p)
		return -EBADMSG;
	gguf_value_load(key, p);
	if (key->type == GGUF_BOOL && key->u > 1)
		return error_set(c->error, -EBADMSG, "key '%s': %" PRIu64 " is not a boolean",
				 gguf_show(key->name).text, key->u);
	return 0;
}

static int parse_strings(struct gguf *gguf, struct gguf_cursor *c, struct gguf_key *key)
{
	struct gguf_array *array = &key->array;
	struct gguf_string *strings;
	int r = cursor_check(c, array->count, STRING_COUNT_MAX, sizeof(uint64_t), "strings");

	if (r < 0)
		return r;
	strings = gguf_alloc(gguf, array->count * sizeof(*strings));
	if (!strings)
		return error_set(c->error, -ENOMEM, "strings: %s", strerror(ENOMEM));
	array->strings = strings;
	for (size_t i = 0; i < array->count; i++) {
		r = cursor_take_string(c, &strings[i], "a string of an array");
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_array(struct gguf *gguf, struct gguf_cursor *c, struct gguf_key *key)
{
	uint32_t type;
	uint64_t count;
	size_t size, size_bytes;
	int r = cursor_take_u32(c, &type, "the type of an array");

	if (r >= 0)
		r = cursor_take_u64(c, &count, "the length of an array");
	if (r < 0)
		return r;
	key->array.type = type;
	key->array.count = count;
	if (type == GGUF_STRING)
		return parse_strings(gguf, c, key);
	if (type == GGUF_ARRAY)
		return error_set(c->error, -EOPNOTSUPP,
				 "key '%s': arrays of arrays are not supported",
				 gguf_show(key->name).text);
	size = gguf_value_size(type);
	if (!size)
		return error_set(c->error, -EBADMSG, "key '%s': an array of unknown type %" PRIu32,
				 gguf_show(key->name).text, type);
	if (!size_mul(&size_bytes, size, count))
		return error_set(c->error, -EBADMSG, "key '%s': an array of %" PRIu64 " elements",
				 gguf_show(key->name).text, count);
	key->array.data = cursor_take(c, size_bytes, "an array");
	return key->array.data ? 0 : -EBADMSG;
}

static int parse_key(struct gguf *gguf, struct gguf_cursor *c, struct gguf_key *key)
{
	uint32_t type;
	int r = cursor_take_name(c, &key->name, "a key");

	if (r >= 0)
		r = cursor_take_u32(c, &type, "the type of a value");
	if (r < 0)
		return r;
	key->type = type;
	if (type == GGUF_STRING)
		return cursor_take_string(c, &key->string, "a string");
	if (type == GGUF_ARRAY)
		return parse_array(gguf, c, key);
	if (!gguf_value_size(type))
		return error_set(c->error, -EBADMSG, "key '%s' has the unknown type %" PRIu32,
				 gguf_show(key->name).text, type);
	return parse_scalar(c, key);
}

static int parse_keys(struct gguf *gguf, struct gguf_cursor *c, uint64_t count)
{
	int r = cursor_check(c, count, KEY_COUNT_MAX, KEY_SIZE_MIN, "keys");

	if (r < 0)
		return r;
	gguf->keys = calloc(count + 1, sizeof(*gguf->keys));
	if (!gguf->keys || table_init(&gguf->key_table, count) < 0)
		return error_set(c->error, -ENOMEM, "keys: %s", strerror(ENOMEM));
	while (gguf->key_count < count) {
		struct gguf_key *key = &gguf->keys[gguf->key_count++];

		r = parse_key(gguf, c, key);
		if (r < 0)
			return r;
		r = table_add(&gguf->key_table, key->name.data, key->name.len,
			      (uint32_t)(gguf->key_count - 1));
		if (r < 0)
			return error_set(c->error, r == -EEXIST ? -EBADMSG : r,
					 "key '%s' is there twice", gguf_show(key->name).text);
	}
	return 0;
}

/* ---- what the keys say about the file itself ---- */

/* *ret is the default where the file has none */
static int get_alignment(const struct gguf *gguf, struct gguf_cursor *c, uint32_t *ret)
{
	uint32_t alignment = *ret;
	int r = gguf_get_u32(gguf, "general.alignment", &alignment);

	if (r < 0 && r != -ENOENT)
		return error_set(c->error, -EBADMSG, "key 'general.alignment' is not a size");
	if (alignment < MIN_ALIGNMENT || alignment > MAX_ALIGNMENT || alignment & (alignment - 1))
		return error_set(c->error, -EBADMSG, "an alignment of %" PRIu32 " can't be",
				 alignment);
	*ret = alignment;
	return 0;
}

static int parse(struct gguf *gguf, struct gguf_cursor *c)
{
	uint64_t tensor_count, key_count;
	uint32_t alignment = DEFAULT_ALIGNMENT;
	int r;

	if ((r = parse_magic(c)) < 0 || (r = parse_version(c)) < 0 ||
	    (r = cursor_take_u64(c, &tensor_count, "the number of tensors")) < 0 ||
	    (r = cursor_take_u64(c, &key_count, "the number of keys")) < 0 ||
	    (r = parse_keys(gguf, c, key_count)) < 0 || (r = get_alignment(gguf, c, &alignment)) < 0)
		return r;
	return gguf_parse_tensors(gguf, c, tensor_count, alignment);
}

int gguf_parse(struct gguf *gguf, const char *data, size_t size_bytes, const struct mapped *file,
	       struct error *error)
{
	struct gguf_cursor c = {
		.data = data, .size_bytes = size_bytes, .error = error, .file = file,
	};
	int r = parse(gguf, &c);

	/* that a file can't be read is not the file's fault */
	return c.status < 0 ? c.status : r;
}
