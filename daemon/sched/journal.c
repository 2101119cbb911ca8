/* SPDX-License-Identifier: MIT */
/* The journal of an answer; see journal.h. */
#include "sched/journal.h"

#include <endian.h>
#include <string.h>

#define JOURNAL_MAGIC	0x4a4d4c4c	/* "LLMJ" */

struct journal_header {
	uint32_t magic;
	uint32_t version;
	uint64_t seed;
	uint64_t model_bytes;
	char model[LLM_MODEL_NAME_MAX];
};

_Static_assert(sizeof(struct journal_header) == JOURNAL_HEADER_BYTES, "the journal has no padding");

int journal_begin(struct bytes *out, const struct journal *journal)
{
	struct journal_header head = {
		.magic = htole32(JOURNAL_MAGIC),
		.version = htole32(JOURNAL_VERSION),
		.seed = htole64(journal->seed),
		.model_bytes = htole64(journal->model_bytes),
	};

	memcpy(head.model, journal->model, sizeof(head.model));
	return bytes_append(out, &head, sizeof(head));
}

int journal_add(struct bytes *out, uint32_t id)
{
	uint32_t le = htole32(id);

	return bytes_append(out, &le, sizeof(le));
}

int journal_read(struct journal *ret, const uint8_t *data, size_t len)
{
	struct journal_header head;

	if (!len)
		return -ENOENT;
	if (len < sizeof(head) || (len - sizeof(head)) % sizeof(uint32_t))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (le32toh(head.magic) != JOURNAL_MAGIC || le32toh(head.version) != JOURNAL_VERSION ||
	    !memchr(head.model, '\0', sizeof(head.model)))
		return -EBADMSG;
	*ret = (struct journal){
		.seed = le64toh(head.seed),
		.model_bytes = le64toh(head.model_bytes),
		.ids = data + sizeof(head),
		.count = (len - sizeof(head)) / sizeof(uint32_t),
	};
	memcpy(ret->model, head.model, sizeof(ret->model));
	return 0;
}

uint32_t journal_id(const struct journal *journal, size_t index)
{
	uint32_t le;

	memcpy(&le, journal->ids + index * sizeof(le), sizeof(le));
	return le32toh(le);
}
