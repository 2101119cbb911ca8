/* SPDX-License-Identifier: MIT */
/*
 * What llmosd keeps with the broker about an answer that it is generating, so that its successor
 * can go on: a header, then the id of each token of the answer, all little endian.
 *
 *	__u32 magic		"LLMJ"
 *	__u32 version		JOURNAL_VERSION
 *	__u64 seed		that sampling uses, chosen by the server if the client gave 0
 *	__u64 model_bytes	size of the model's file and those of its adapters
 *	char  model[64]		its name: the default may be another one tomorrow
 *	__u32 ids[]
 *
 * Only llmosd reads it, but a broker hands it back, so it is checked like anything from outside.
 */
#ifndef LLMOS_SCHED_JOURNAL_H
#define LLMOS_SCHED_JOURNAL_H

#include "base/bytes.h"
#include "ipc/ipc.h"

#define JOURNAL_VERSION		1
#define JOURNAL_HEADER_BYTES	88

struct journal {
	uint64_t seed;
	uint64_t model_bytes;
	char model[LLM_MODEL_NAME_MAX];
	const uint8_t *ids;	/* journal_id() reads them */
	size_t count;
};

/** journal_begin() - append the header; 0 or -ENOMEM */
int journal_begin(struct bytes *out, const struct journal *journal);
/** journal_add() - append a token; 0 or -ENOMEM */
int journal_add(struct bytes *out, uint32_t id);
/**
 * journal_read() - what an earlier server left
 *
 * Return: 0; -ENOENT nothing, -EBADMSG another version's, or torn.
 */
int journal_read(struct journal *ret, const uint8_t *data, size_t len);
uint32_t journal_id(const struct journal *journal, size_t index);

#endif /* LLMOS_SCHED_JOURNAL_H */
