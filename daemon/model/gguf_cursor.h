/* SPDX-License-Identifier: MIT */
/*
 * A place in the bytes of a GGUF file that moves on. It hands out bytes only after it has checked
 * that they are there, and says in its error what was cut off. For the files of gguf alone.
 */
#ifndef LLMOS_MODEL_GGUF_CURSOR_H
#define LLMOS_MODEL_GGUF_CURSOR_H

#include "base/mapped.h"
#include "model/gguf.h"

#define GGUF_NAME_MAX	255	/* longest name of a key or tensor, in bytes */
#define GGUF_HEAD_MAX	(64U << 20)	/* bytes before the tensors that are read into memory */

/**
 * struct gguf_cursor - see above
 * @file: that @data is of, and has to be asked for it; NULL: all of it is there
 * @filled: bytes of @data that are there
 * @status: 0, or what kept bytes from being there; what is taken fails then
 */
struct gguf_cursor {
	const char *data;
	size_t size_bytes, pos;
	struct error *error;
	const struct mapped *file;
	size_t filled;
	int status;
};

static inline size_t cursor_left(const struct gguf_cursor *c)
{
	return c->size_bytes - c->pos;
}

/** cursor_take() - the next @size bytes, NULL if there are fewer; @what names them in the error */
const void *cursor_take(struct gguf_cursor *c, uint64_t size, const char *what);
/* 0 or -EBADMSG */
int cursor_take_u32(struct gguf_cursor *c, uint32_t *ret, const char *what);
int cursor_take_u64(struct gguf_cursor *c, uint64_t *ret, const char *what);
int cursor_take_string(struct gguf_cursor *c, struct gguf_string *ret, const char *what);
/** cursor_take_name() - a string that can be looked up: of 1 to GGUF_NAME_MAX bytes, no NUL */
int cursor_take_name(struct gguf_cursor *c, struct gguf_string *ret, const char *what);
/** cursor_check() - can @count things of at least @size_min bytes each still come? At most @max. */
int cursor_check(struct gguf_cursor *c, uint64_t count, uint64_t max, size_t size_min,
		 const char *what);

#endif /* LLMOS_MODEL_GGUF_CURSOR_H */
