/* SPDX-License-Identifier: MIT */
/*
 * The past of a session as the broker keeps it for llmosd: a header, then the id of each token of
 * its turns, all little endian. It begins with the first turn; each later one appends its ids only.
 *
 *	__u32 magic		"LLMP"
 *	__u32 version		PAST_VERSION
 *	__u64 model_bytes	size of the model's file
 *	char  model[64]		its name
 *	__u32 ids[]
 *
 * Only llmosd reads it, but a broker hands it back, so it is checked like anything from outside.
 */
#ifndef LLMOS_SCHED_PAST_H
#define LLMOS_SCHED_PAST_H

#include "base/bytes.h"
#include "ipc/ipc.h"

#define PAST_VERSION		1
#define PAST_HEADER_BYTES	80

/**
 * struct past - see above
 * @model_bytes: size of the model's file
 * @model: its name
 * @ids: past_id() reads them
 * @count: tokens
 */
struct past {
	uint64_t model_bytes;
	char model[LLM_MODEL_NAME_MAX];
	const uint8_t *ids;
	size_t count;
};

/** past_begin() - append the header; 0 or -ENOMEM */
int past_begin(struct bytes *out, const char *model, uint64_t model_bytes);
/** past_add() - append tokens, @ids (count); 0 or -ENOMEM */
int past_add(struct bytes *out, const uint32_t *ids, size_t count);
/**
 * past_read() - what the turns so far have left
 *
 * Return: 0; -ENOENT nothing, -EBADMSG another version's, or torn.
 */
int past_read(struct past *ret, const uint8_t *data, size_t len);
uint32_t past_id(const struct past *past, size_t index);

#endif /* LLMOS_SCHED_PAST_H */
