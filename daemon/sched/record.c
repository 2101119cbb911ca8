/* SPDX-License-Identifier: MIT */
/* The frames of a framed answer; see record.h. */
#include "sched/record.h"

#include <math.h>
#include <string.h>

/* a record of up to three parts */
static int record_add(struct bytes *out, enum llm_record_type type, const void *a, size_t a_len,
		      const void *b, size_t b_len, const void *c, size_t c_len)
{
	const struct llm_record head = { .type = type, .len = a_len + b_len + c_len };

	if (bytes_reserve(out, sizeof(head) + head.len) < 0)
		return -ENOMEM;
	bytes_append(out, &head, sizeof(head));
	bytes_append(out, a, a_len);
	bytes_append(out, b, b_len);
	bytes_append(out, c, c_len);
	return 0;
}

int record_text(struct bytes *out, const void *text, size_t len)
{
	const uint8_t *p = text;
	int r = 0;

	while (len && !r) {
		size_t n = MIN(len, (size_t)LLM_RECORD_BYTES_MAX);

		r = record_add(out, LLM_RECORD_TEXT, p, n, NULL, 0, NULL, 0);
		p += n;
		len -= n;
	}
	return r;
}

int32_t record_logprob(float logprob)
{
	/* NAN fails the comparison, too */
	if (!(logprob > -2147.0f))
		return LLM_LOGPROB_NONE;
	return lrint((double)logprob * 1e6);
}

int record_token(struct bytes *out, const struct sample_token *token,
		 const struct sample_token *top, size_t top_count, const void *text, size_t len)
{
	struct llm_alternative alternatives[LLM_LOGPROBS_MAX];
	size_t count = MIN(top_count, (size_t)LLM_LOGPROBS_MAX), i;
	struct llm_token head = {
		.id = token->id,
		.logprob = record_logprob(token->logprob),
		.alternatives = count,
	};

	for (i = 0; i < count; i++)
		alternatives[i] = (struct llm_alternative){
			.id = top[i].id,
			.logprob = record_logprob(top[i].logprob),
		};
	len = MIN(len, LLM_RECORD_BYTES_MAX - sizeof(head) - sizeof(alternatives));
	head.text_len = len;
	return record_add(out, LLM_RECORD_TOKEN, &head, sizeof(head), alternatives,
			  count * sizeof(alternatives[0]), text, len);
}

int record_model(struct bytes *out, const struct llm_model_info *info)
{
	return record_add(out, LLM_RECORD_MODEL, info, sizeof(*info), NULL, 0, NULL, 0);
}

int record_meta(struct bytes *out, const char *key, const char *value)
{
	struct llm_meta head = { .key_len = strlen(key) };

	head.key_len = MIN(head.key_len, LLM_RECORD_BYTES_MAX / 4);
	head.value_len = MIN(strlen(value), (size_t)LLM_RECORD_BYTES_MAX / 2);
	return record_add(out, LLM_RECORD_META, &head, sizeof(head), key, head.key_len, value,
			  head.value_len);
}

int record_status(struct bytes *out, const struct llm_status *status)
{
	return record_add(out, LLM_RECORD_STATUS, status, sizeof(*status), NULL, 0, NULL, 0);
}

int record_embedding(struct bytes *out, const struct llm_embedding *head, const float *values)
{
	return record_add(out, LLM_RECORD_EMBEDDING, head, sizeof(*head), values,
			  head->dims * sizeof(*values), NULL, 0);
}

int record_label(struct bytes *out, const struct llm_label *head, const char *name)
{
	return record_add(out, LLM_RECORD_LABEL, head, sizeof(*head), name, head->name_len, NULL, 0);
}

int record_error(struct bytes *out, const char *text)
{
	return record_add(out, LLM_RECORD_ERROR, text, strlen(text), NULL, 0, NULL, 0);
}

size_t record_cut(const uint8_t *data, size_t len, size_t max)
{
	struct llm_record head;
	size_t at = 0;

	while (len - at >= sizeof(head)) {
		memcpy(&head, data + at, sizeof(head));
		if (at + sizeof(head) + head.len > MIN(len, max))
			break;
		at += sizeof(head) + head.len;
	}
	return at;
}
