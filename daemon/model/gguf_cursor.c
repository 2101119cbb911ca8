/* SPDX-License-Identifier: MIT */
/* Taking bytes, numbers, strings and names from a GGUF file; all numbers are little-endian. */
#include "model/gguf_cursor.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "model/gguf_internal.h"

#define FILL_BYTES	(64U << 10)	/* at once, at least */

/* cursor_fill() - have the bytes up to @end; false: they can't be had */
static bool cursor_fill(struct gguf_cursor *c, size_t end)
{
	if (c->status < 0)
		return false;
	if (!c->file || end <= c->filled)
		return true;
	if (end <= GGUF_HEAD_MAX) {
		end = MAX(end, c->filled + FILL_BYTES);
		end = MIN(end, (size_t)GGUF_HEAD_MAX);
		end = MIN(end, c->size_bytes);
		c->status = mapped_fill(c->file, c->filled, end - c->filled, c->error);
	} else if (c->file->is_read) {
		c->status = error_set(c->error, -E2BIG,
				      "more than %u bytes before the tensors", GGUF_HEAD_MAX);
	}
	c->filled = end;
	return c->status >= 0;
}

const void *cursor_take(struct gguf_cursor *c, uint64_t size, const char *what)
{
	const char *p = c->data + c->pos;

	if (size > cursor_left(c)) {
		error_set(c->error, -EBADMSG,
			  "cut off: %s at byte %zu needs %" PRIu64 " bytes, %zu are left", what,
			  c->pos, size, cursor_left(c));
		return NULL;
	}
	if (!cursor_fill(c, c->pos + size))
		return NULL;
	c->pos += size;
	return p;
}

int cursor_take_u32(struct gguf_cursor *c, uint32_t *ret, const char *what)
{
	const void *p = cursor_take(c, sizeof(*ret), what);

	if (!p)
		return -EBADMSG;
	memcpy(ret, p, sizeof(*ret));
	*ret = le32toh(*ret);
	return 0;
}

int cursor_take_u64(struct gguf_cursor *c, uint64_t *ret, const char *what)
{
	const void *p = cursor_take(c, sizeof(*ret), what);

	if (!p)
		return -EBADMSG;
	memcpy(ret, p, sizeof(*ret));
	*ret = le64toh(*ret);
	return 0;
}

int cursor_take_string(struct gguf_cursor *c, struct gguf_string *ret, const char *what)
{
	uint64_t len;
	int r = cursor_take_u64(c, &len, what);

	if (r < 0)
		return r;
	ret->data = cursor_take(c, len, what);
	if (!ret->data)
		return -EBADMSG;
	ret->len = (size_t)len;
	return 0;
}

int cursor_take_name(struct gguf_cursor *c, struct gguf_string *ret, const char *what)
{
	size_t at = c->pos;
	int r = cursor_take_string(c, ret, what);

	if (r < 0)
		return r;
	if (!ret->len || ret->len > GGUF_NAME_MAX)
		return error_set(c->error, -EBADMSG, "%s at byte %zu has a length of %zu", what, at,
				 ret->len);
	if (memchr(ret->data, 0, ret->len))
		return error_set(c->error, -EBADMSG, "%s '%s' contains a NUL", what,
				 gguf_show(*ret).text);
	return 0;
}

int cursor_check(struct gguf_cursor *c, uint64_t count, uint64_t max, size_t size_min,
		 const char *what)
{
	if (count <= max && count <= cursor_left(c) / size_min)
		return 0;
	return error_set(c->error, -EBADMSG,
			 "%" PRIu64 " %s can't be: %zu bytes are left, the limit is %" PRIu64,
			 count, what, cursor_left(c), max);
}
