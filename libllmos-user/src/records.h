/* SPDX-License-Identifier: MIT */
/*
 * Framed answers: struct llm_record after struct llm_record, cut anywhere by the reads that bring
 * them. The bytes are a server's and not to be trusted: a body is checked before it is handed on,
 * and no record can make the reader hold more than LLM_RECORD_BYTES_MAX.
 */
#ifndef LLMOS_RECORDS_H
#define LLMOS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/llm.h>

#include "llmos.h"

/**
 * struct llmos_records - a reader of records
 * @head: of the record that is being read
 * @head_have: bytes of @head that are there
 * @body: its body as far as it is there, where it came in more than one piece
 * @body_have: bytes of @body that are there
 *
 * All zero is a fresh one.
 */
struct llmos_records {
	struct llm_record head;
	size_t head_have;
	uint8_t *body;
	size_t body_have;
};

/* a non-zero return ends the feeding for good and is its result */
typedef int (*llmos_record_fn)(void *userdata, unsigned int type, const uint8_t *body, size_t len);

/*
 * Take bytes of an answer, call @fn with each record that is complete.
 * Return: 0; -EPROTO malformed, -ENOMEM; what @fn returned.
 */
int llmos_records_feed(struct llmos_records *records, const uint8_t *data, size_t len,
		       llmos_record_fn fn, void *userdata);
/* is the answer cut within a record? */
bool llmos_records_partial(const struct llmos_records *records);
void llmos_records_done(struct llmos_records *records);

/* Bodies. Return: 0, -EPROTO. What they point at is in @body or in the caller's array. */
int llmos_record_token(const uint8_t *body, size_t len, struct llmos_token *ret_token,
		       struct llmos_alternative ret_top[LLM_LOGPROBS_MAX]);
int llmos_record_model(const uint8_t *body, size_t len, struct llm_model_info *ret_info);
int llmos_record_meta(const uint8_t *body, size_t len, const char **ret_key, size_t *ret_key_len,
		      const char **ret_value, size_t *ret_value_len);
int llmos_record_status(const uint8_t *body, size_t len, struct llm_status *ret_status);

#endif /* LLMOS_RECORDS_H */
