/* SPDX-License-Identifier: MIT */
/* The past of a session; see past.h. */
#include "sched/past.h"

#include <endian.h>
#include <string.h>

#define PAST_MAGIC	0x504d4c4c	/* "LLMP" */

struct past_header {
	uint32_t magic;
	uint32_t version;
	uint64_t model_bytes;
	char model[LLM_MODEL_NAME_MAX];
};

_Static_assert(sizeof(struct past_header) == PAST_HEADER_BYTES, "the past has no padding");

int past_begin(struct bytes *out, const char *model, uint64_t model_bytes)
{
	struct past_header head = {
		.magic = htole32(PAST_MAGIC),
		.version = htole32(PAST_VERSION),
		.model_bytes = htole64(model_bytes),
	};

	memcpy(head.model, model, strnlen(model, sizeof(head.model) - 1));
	return bytes_append(out, &head, sizeof(head));
}

int past_add(struct bytes *out, const uint32_t *ids, size_t count)
{
	size_t i, len;
	uint8_t *room;

	if (!count)
		return 0;
	if (!size_mul(&len, count, sizeof(*ids)))
		return -ENOMEM;
	room = bytes_room(out, len);
	if (!room)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		const uint32_t le = htole32(ids[i]);

		memcpy(room + i * sizeof(le), &le, sizeof(le));
	}
	bytes_added(out, len);
	return 0;
}

int past_read(struct past *ret, const uint8_t *data, size_t len)
{
	struct past_header head;

	if (!len)
		return -ENOENT;
	if (len < sizeof(head) || (len - sizeof(head)) % sizeof(uint32_t))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (le32toh(head.magic) != PAST_MAGIC || le32toh(head.version) != PAST_VERSION ||
	    !*head.model || !memchr(head.model, '\0', sizeof(head.model)))
		return -EBADMSG;
	*ret = (struct past){
		.model_bytes = le64toh(head.model_bytes),
		.ids = data + sizeof(head),
		.count = (len - sizeof(head)) / sizeof(uint32_t),
	};
	memcpy(ret->model, head.model, sizeof(ret->model));
	return 0;
}

uint32_t past_id(const struct past *past, size_t index)
{
	uint32_t le;

	memcpy(&le, past->ids + index * sizeof(le), sizeof(le));
	return le32toh(le);
}
