/* SPDX-License-Identifier: MIT */
/*
 * A model in several GGUF files. The first one has the keys, each has tensors of its own, and in
 * each are its number, the number of files and that of all tensors:
 * https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/gguf_build.h"
#include "model/gguf_internal.h"

int gguf_parts_count(const struct gguf *gguf, uint32_t *ret, struct error *error)
{
	int r = gguf_get_u32(gguf, "split.count", ret);

	if (r == -ENOENT || (r >= 0 && !*ret)) {
		*ret = 1;
		return 0;
	}
	return r < 0 ? error_set(error, -EBADMSG, "key 'split.count' is not a count") : 0;
}

/* is it the one that its name says, of as many? */
static int check_number(const struct gguf *gguf, uint32_t index, uint32_t count,
			struct error *error)
{
	uint32_t said = 0, number = 0;
	int r = gguf_parts_count(gguf, &said, error);

	if (r < 0)
		return r;
	r = gguf_get_u32(gguf, "split.no", &number);
	if (r < 0 && (r != -ENOENT || count > 1))
		return error_set(error, -EBADMSG, "key 'split.no' is not a number");
	if (said != count || number != index)
		return error_set(error, -EBADMSG, "file %" PRIu64 " of %" PRIu32 " by what is in it, "
				 "%" PRIu64 " of %" PRIu32 " by its name", (uint64_t)number + 1, said,
				 (uint64_t)index + 1, count);
	return 0;
}

/* all tensors of @part; their names lie in its file */
static int take_tensors(struct gguf *gguf, struct gguf *part, struct error *error)
{
	const size_t count = gguf->tensor_count + part->tensor_count;
	struct gguf_tensor *tensors = realloc(gguf->tensors, (count + 1) * sizeof(*tensors));

	if (!tensors)
		return error_set(error, -ENOMEM, "tensors: %s", strerror(ENOMEM));
	gguf->tensors = tensors;
	for (size_t i = 0; i < part->tensor_count; i++) {
		const struct gguf_tensor *tensor = &part->tensors[i];
		int r = table_add(&gguf->tensor_table, tensor->name.data, tensor->name.len,
				  (uint32_t)gguf->tensor_count);

		if (r == -EEXIST)
			return error_set(error, -EBADMSG,
					 "tensor '%s' is in a file before it, too",
					 gguf_show(tensor->name).text);
		if (r < 0)
			return error_set(error, r, "tensors: %s", strerror(-r));
		tensors[gguf->tensor_count++] = *tensor;
	}
	return 0;
}

static int add_part(struct gguf *gguf, const char *path, uint32_t index, uint32_t count,
		    struct error *error)
{
	_cleanup_(gguf_freep) struct gguf *part = NULL;
	struct error inner = { 0 };
	int r = gguf_open_one(&part, path, false, error);

	if (r < 0)
		return r;
	r = check_number(part, index, count, &inner);
	if (r >= 0)
		r = take_tensors(gguf, part, &inner);
	if (r < 0)
		return error_set(error, r, "'%s': %s", path, inner.text);
	/* the mapping moves, and with it what points into it stays where it is */
	r = gguf_adopt(gguf, part->files);
	return r < 0 ? error_set(error, r, "'%s': %s", path, strerror(-r)) : 0;
}

static int check_total(const struct gguf *gguf, struct error *error)
{
	uint32_t total;
	int r = gguf_get_u32(gguf, "split.tensors.count", &total);

	if (r == -ENOENT || (r >= 0 && total == gguf->tensor_count))
		return 0;
	if (r < 0)
		return error_set(error, -EBADMSG, "key 'split.tensors.count' is not a count");
	return error_set(error, -EBADMSG, "there are to be %" PRIu32 " tensors in all files, and "
			 "there are %zu", total, gguf->tensor_count);
}

int gguf_parts_open(struct gguf *gguf, const char *path, struct error *error)
{
	struct gguf_part name;
	struct error inner = { 0 };
	uint32_t count;
	int r = gguf_parts_count(gguf, &count, &inner);

	if (r >= 0 && gguf_part_of(path, &name))
		r = check_number(gguf, name.number - 1, name.count, &inner);
	else if (r >= 0 && count > 1)
		r = error_set(&inner, -EOPNOTSUPP, "one of %" PRIu32 " files, which are to be called "
			      "NAME-00001-of-%05" PRIu32 ".gguf and so on", count, count);
	if (r >= 0 && count > 1 && name.number != 1)
		r = error_set(&inner, -EOPNOTSUPP, "not the first of its %" PRIu32 " files", count);
	if (r < 0)
		return error_set(error, r, "'%s': %s", path, inner.text);
	for (uint32_t i = 1; i < count; i++) {
		_cleanup_free_ char *part = gguf_part_name(path, name.len, i + 1, count);

		r = part ? add_part(gguf, part, i, count, error) :
			   error_set(error, -ENOMEM, "'%s': %s", path, strerror(ENOMEM));
		if (r < 0)
			return r;
	}
	r = check_total(gguf, &inner);
	return r < 0 ? error_set(error, r, "'%s': %s", path, inner.text) : 0;
}
