/* SPDX-License-Identifier: MIT */
/* A growing run of bytes; see bytes.h. */
#include "base/bytes.h"

#include <string.h>

#define BYTES_KEEP	(64U * 1024)	/* memory that an empty run may keep */

int bytes_reserve(struct bytes *bytes, size_t len)
{
	size_t need, capacity;
	uint8_t *memory;

	if (bytes->start && bytes->capacity - bytes->start - bytes->len < len) {
		memmove(bytes->memory, bytes->memory + bytes->start, bytes->len);
		bytes->start = 0;
	}
	if (!size_add(&need, bytes->start + bytes->len, len))
		return -ENOMEM;
	if (need <= bytes->capacity)
		return 0;
	capacity = MAX(need, bytes->capacity + bytes->capacity / 2);
	capacity = MAX(capacity, (size_t)256);
	memory = realloc(bytes->memory, capacity);
	if (!memory)
		return -ENOMEM;
	bytes->memory = memory;
	bytes->capacity = capacity;
	return 0;
}

uint8_t *bytes_room(struct bytes *bytes, size_t len)
{
	/* at least one byte, so that there is a place to point at */
	if (bytes_reserve(bytes, MAX(len, (size_t)1)) < 0)
		return NULL;
	return bytes->memory + bytes->start + bytes->len;
}

int bytes_append(struct bytes *bytes, const void *data, size_t len)
{
	uint8_t *room;

	if (!len)
		return 0;
	room = bytes_room(bytes, len);
	if (!room)
		return -ENOMEM;
	memcpy(room, data, len);
	bytes->len += len;
	return 0;
}

void bytes_take(struct bytes *bytes, size_t len)
{
	bytes->start += len;
	bytes->len -= len;
	if (!bytes->len)
		bytes_clear(bytes);
}

void bytes_swap(struct bytes *a, struct bytes *b)
{
	struct bytes old = *a;

	*a = *b;
	*b = old;
}

void bytes_clear(struct bytes *bytes)
{
	if (bytes->capacity > BYTES_KEEP) {
		bytes_free(bytes);
		return;
	}
	bytes->start = 0;
	bytes->len = 0;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->memory);
	*bytes = (struct bytes){ 0 };
}
