/* SPDX-License-Identifier: MIT */
/*
 * A growing run of bytes that is appended to at its end and taken from at its start: what has been
 * received or is to be sent. Zero-initialise; bytes_free() frees what it holds.
 */
#ifndef LLMOS_BASE_BYTES_H
#define LLMOS_BASE_BYTES_H

#include "base/util.h"

struct bytes {
	uint8_t *memory;
	size_t start;		/* first byte that has not been taken */
	size_t len;		/* bytes from there on */
	size_t capacity;
};

static inline const uint8_t *bytes_data(const struct bytes *bytes)
{
	/* no memory has no offsets */
	return bytes->memory ? bytes->memory + bytes->start : NULL;
}

/** bytes_reserve() - room for @len more bytes; 0 or -ENOMEM */
int bytes_reserve(struct bytes *bytes, size_t len);
/** bytes_room() - where the next @len bytes go; they count once bytes_added(); NULL: no memory */
uint8_t *bytes_room(struct bytes *bytes, size_t len);
static inline void bytes_added(struct bytes *bytes, size_t len)
{
	bytes->len += len;
}

/** bytes_append() - 0 or -ENOMEM: then nothing was appended */
int bytes_append(struct bytes *bytes, const void *data, size_t len);
/** bytes_take() - drop the first @len bytes, which must be there */
void bytes_take(struct bytes *bytes, size_t len);
/** bytes_swap() - exchange contents */
void bytes_swap(struct bytes *a, struct bytes *b);
/** bytes_clear() - drop all, keep the memory unless it is large */
void bytes_clear(struct bytes *bytes);
void bytes_free(struct bytes *bytes);

#endif /* LLMOS_BASE_BYTES_H */
