/* SPDX-License-Identifier: MIT */
/* The frames of a framed answer (LLM_SUBMIT_RECORDS), appended to a run of bytes. */
#ifndef LLMOS_SCHED_RECORD_H
#define LLMOS_SCHED_RECORD_H

#include "base/bytes.h"
#include "engine/engine.h"
#include "ipc/ipc.h"

/* each: 0 or -ENOMEM; then nothing was appended */

/** record_text() - as many LLM_RECORD_TEXT as it takes */
int record_text(struct bytes *out, const void *text, size_t len);
/** record_token() - @top: @top_count of the likeliest tokens; text beyond a record's room is cut */
int record_token(struct bytes *out, const struct sample_token *token,
		 const struct sample_token *top, size_t top_count, const void *text, size_t len);
/** record_logprob() - in millionths, as records and answer buffers have it */
int32_t record_logprob(float logprob);
int record_model(struct bytes *out, const struct llm_model_info *info);
int record_meta(struct bytes *out, const char *key, const char *value);
int record_status(struct bytes *out, const struct llm_status *status);
/** record_embedding() - @values: (head->dims) */
int record_embedding(struct bytes *out, const struct llm_embedding *head, const float *values);
/** record_label() - @name: (head->name_len) */
int record_label(struct bytes *out, const struct llm_label *head, const char *name);
int record_error(struct bytes *out, const char *text);

/**
 * record_cut() - where to cut a framed answer so that no record is torn
 *
 * Return: bytes of the whole records among the first @max of @len; @data starts with a record.
 */
size_t record_cut(const uint8_t *data, size_t len, size_t max);

#endif /* LLMOS_SCHED_RECORD_H */
