/* SPDX-License-Identifier: MIT */
/*
 * Reads framed answers. The requests of a connection each own one reader; it copies a record only
 * if a read cut it in two.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "records.h"

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* take what is missing of the head; Return: bytes taken, -EPROTO */
static ssize_t records_feed_head(struct llmos_records *records, const uint8_t *data, size_t len)
{
	size_t n = min_size(sizeof(records->head) - records->head_have, len);

	memcpy((uint8_t *)&records->head + records->head_have, data, n);
	records->head_have += n;
	if (records->head_have < sizeof(records->head))
		return n;
	if (records->head.pad || records->head.len > LLM_RECORD_BYTES_MAX)
		return -EPROTO;
	return n;
}

/* keep a piece of a body that is not all there */
static int records_keep(struct llmos_records *records, const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	if (!records->body) {
		records->body = malloc(LLM_RECORD_BYTES_MAX);
		if (!records->body)
			return -ENOMEM;
	}
	memcpy(records->body + records->body_have, data, len);
	records->body_have += len;
	return 0;
}

int llmos_records_feed(struct llmos_records *records, const uint8_t *data, size_t len,
		       llmos_record_fn fn, void *userdata)
{
	while (len) {
		const uint8_t *body = data;
		size_t missing;
		int r;

		if (records->head_have < sizeof(records->head)) {
			ssize_t n = records_feed_head(records, data, len);

			if (n < 0)
				return n;
			data += n;
			len -= n;
			if (records->head_have < sizeof(records->head))
				return 0;
			body = data;
		}
		missing = records->head.len - records->body_have;
		if (len < missing)
			return records_keep(records, data, len);
		if (records->body_have) {
			r = records_keep(records, data, missing);
			if (r < 0)
				return r;
			body = records->body;
		}
		data += missing;
		len -= missing;
		records->head_have = 0;
		records->body_have = 0;
		r = fn(userdata, records->head.type, body, records->head.len);
		if (r)
			return r;
	}
	return 0;
}

bool llmos_records_partial(const struct llmos_records *records)
{
	return records->head_have;
}

void llmos_records_done(struct llmos_records *records)
{
	free(records->body);
	*records = (struct llmos_records){ 0 };
}

/* ---- bodies ---- */

static double logprob_from_wire(int32_t millionths)
{
	return millionths == LLM_LOGPROB_NONE ? NAN : millionths / 1e6;
}

int llmos_record_token(const uint8_t *body, size_t len, struct llmos_token *ret_token,
		       struct llmos_alternative ret_top[LLM_LOGPROBS_MAX])
{
	struct llm_alternative alternative;
	struct llm_token token;
	size_t i;

	if (len < sizeof(token))
		return -EPROTO;
	memcpy(&token, body, sizeof(token));
	body += sizeof(token);
	len -= sizeof(token);
	if (token.alternatives > LLM_LOGPROBS_MAX ||
	    token.alternatives * sizeof(alternative) > len ||
	    token.text_len != len - token.alternatives * sizeof(alternative))
		return -EPROTO;
	for (i = 0; i < token.alternatives; i++) {
		memcpy(&alternative, body, sizeof(alternative));
		body += sizeof(alternative);
		ret_top[i].id = alternative.id;
		ret_top[i].logprob = logprob_from_wire(alternative.logprob);
	}
	*ret_token = (struct llmos_token){
		.id = token.id,
		.logprob = logprob_from_wire(token.logprob),
		.text = (const char *)body,
		.text_len = token.text_len,
		.top = ret_top,
		.top_count = token.alternatives,
	};
	return 0;
}

/* copy a struct that starts with its size and may be older (shorter) or newer than ours */
static int record_struct(const uint8_t *body, size_t len, void *ret, size_t size)
{
	uint32_t theirs;

	if (len < sizeof(theirs))
		return -EPROTO;
	memcpy(&theirs, body, sizeof(theirs));
	if (theirs < 2 * sizeof(theirs) || theirs != len)
		return -EPROTO;
	memset(ret, 0, size);
	memcpy(ret, body, min_size(len, size));
	return 0;
}

#define TERMINATE(array) ((array)[sizeof(array) - 1] = '\0')

int llmos_record_model(const uint8_t *body, size_t len, struct llm_model_info *ret_info)
{
	int r = record_struct(body, len, ret_info, sizeof(*ret_info));

	if (r < 0)
		return r;
	TERMINATE(ret_info->name);
	TERMINATE(ret_info->arch);
	TERMINATE(ret_info->weights);
	TERMINATE(ret_info->tokenizer);
	TERMINATE(ret_info->chat);
	TERMINATE(ret_info->error);
	return 0;
}

int llmos_record_status(const uint8_t *body, size_t len, struct llm_status *ret_status)
{
	int r = record_struct(body, len, ret_status, sizeof(*ret_status));

	if (r < 0)
		return r;
	TERMINATE(ret_status->version);
	TERMINATE(ret_status->isa);
	TERMINATE(ret_status->reading);
	return 0;
}

int llmos_record_meta(const uint8_t *body, size_t len, const char **ret_key, size_t *ret_key_len,
		      const char **ret_value, size_t *ret_value_len)
{
	struct llm_meta meta;

	if (len < sizeof(meta))
		return -EPROTO;
	memcpy(&meta, body, sizeof(meta));
	body += sizeof(meta);
	len -= sizeof(meta);
	if (meta.key_len > len || meta.value_len != len - meta.key_len)
		return -EPROTO;
	*ret_key = (const char *)body;
	*ret_key_len = meta.key_len;
	*ret_value = (const char *)body + meta.key_len;
	*ret_value_len = meta.value_len;
	return 0;
}
