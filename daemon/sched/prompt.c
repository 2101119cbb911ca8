/* SPDX-License-Identifier: MIT */
/* From payload to token ids; see prompt.h. */
#include "sched/prompt.h"

#include <string.h>

#include "base/clock.h"

#define PROMPT_MESSAGES_MAX	4096

static int prompt_ids_add(struct tok_ids *ids, uint32_t id)
{
	if (ids->count == ids->capacity) {
		size_t capacity = MAX((size_t)64, ids->capacity * 2);
		uint32_t *grown = realloc(ids->ids, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		ids->ids = grown;
		ids->capacity = capacity;
	}
	ids->ids[ids->count++] = id;
	return 0;
}

static int prompt_tokens(const struct model *model, const struct llm_event *event,
			 const uint8_t *payload, struct tok_ids *ids, struct error *error)
{
	uint32_t vocab = tok_vocab(model->tokenizer), id;
	size_t i;

	if (event->payload_len % sizeof(id))
		return error_set(error, -EINVAL, "%u bytes are not an array of token ids",
				 event->payload_len);
	for (i = 0; i < event->payload_len; i += sizeof(id)) {
		memcpy(&id, payload + i, sizeof(id));
		if (id >= vocab)
			return error_set(error, -EINVAL,
					 "token %u at index %zu: model '%s' has %u tokens", id,
					 i / sizeof(id), model->name, vocab);
		if (prompt_ids_add(ids, id) < 0)
			return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	}
	return 0;
}

/* tokens past which it is not read on: a payload in a buffer may be far too long */
static size_t prompt_max(const struct model *model, const struct llm_event *event)
{
	if (!(event->flags & LLM_SUBMIT_BUFFER))
		return SIZE_MAX;
	return model->info.context_used ? model->info.context_used : model->info.context;
}

static int prompt_failed(const struct model *model, size_t max, int r, struct error *error)
{
	if (r == -E2BIG && max != SIZE_MAX)
		return error_set(error, r, "the prompt has more than %zu tokens, model '%s' takes no more",
				 max, model->name);
	switch (r) {
	case 0:
		return 0;
	case -EILSEQ:
		return error_set(error, r, "the text is not valid UTF-8");
	default:
		return error_set(error, r, "model '%s' can not read the text: %s", model->name,
				 strerror(-r));
	}
}

static int prompt_text(const struct model *model, const struct llm_event *event,
		       const char *text, size_t len, struct tok_ids *ids, struct error *error)
{
	const size_t max = prompt_max(model, event);
	unsigned int flags = 0;

	if (ids->count)
		flags |= TOK_INNER;
	else if (!(event->flags & LLM_SUBMIT_NO_BOS))
		flags |= TOK_BOS;
	if (event->flags & LLM_SUBMIT_SPECIAL)
		flags |= TOK_SPECIAL;
	return prompt_failed(model, max, tok_encode(model->tokenizer, text, len, flags, max, ids),
			     error);
}

static int prompt_conversation(const struct model *model, const struct llm_event *event,
			       const struct chat_message *messages, size_t count,
			       struct tok_ids *ids, struct error *error)
{
	const size_t max = prompt_max(model, event);
	struct error why = { "" };
	int r = 0;

	if (model->chat == CHAT_NONE)
		return error_set(error, -EOPNOTSUPP,
				 "model '%s' has no chat template; use --raw", model->name);
	if (model->chat == CHAT_UNKNOWN)
		return error_set(error, -EOPNOTSUPP,
				 "model '%s' has a chat template that llmos does not know; use --raw",
				 model->name);
	if (event->flags & LLM_SUBMIT_SESSION)
		r = chat_check_session(model->chat, model->tokenizer, messages, count, &why);
	if (!r && ids->count)
		r = chat_encode_next(model->chat, model->tokenizer, ids->ids[ids->count - 1],
				     messages, count, max, ids, &why);
	else if (!r)
		r = chat_encode(model->chat, model->tokenizer, messages, count, max, ids, &why);
	if (r < 0 && *why.text)
		return error_set(error, r, "model '%s': %s", model->name, why.text);
	return prompt_failed(model, max, r, error);
}

/* the messages of LLM_PAYLOAD_CHAT, where they lie */
static int prompt_messages(const struct llm_event *event, const uint8_t *payload,
			   struct chat_message *messages, size_t *ret_count, struct error *error)
{
	size_t at = 0, count = 0, len = event->payload_len;
	struct llm_message head;

	while (at < len) {
		if (len - at < sizeof(head))
			return error_set(error, -EINVAL, "message %zu: its head is cut off", count);
		memcpy(&head, payload + at, sizeof(head));
		at += sizeof(head);
		if (head.len > len - at)
			return error_set(error, -EINVAL,
					 "message %zu: says %u bytes, there are %zu", count,
					 head.len, len - at);
		if (head.role > LLM_ROLE_ASSISTANT)
			return error_set(error, -EINVAL, "message %zu: unknown role %u", count,
					 head.role);
		if (count == PROMPT_MESSAGES_MAX)
			return error_set(error, -E2BIG, "more than %d messages",
					 PROMPT_MESSAGES_MAX);
		messages[count++] = (struct chat_message){
			.role = (enum chat_role)head.role,
			.text = (const char *)payload + at,
			.len = head.len,
		};
		at += head.len;
	}
	if (!count)
		return error_set(error, -EINVAL, "a conversation without messages");
	*ret_count = count;
	return 0;
}

static int prompt_chat(const struct model *model, const struct llm_event *event,
		       const uint8_t *payload, struct tok_ids *ids, struct error *error)
{
	size_t count = 0, max = MIN((size_t)PROMPT_MESSAGES_MAX,
				event->payload_len / sizeof(struct llm_message) + 1);
	_cleanup_free_ struct chat_message *messages = calloc(max, sizeof(*messages));
	int r;

	if (!messages)
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	r = prompt_messages(event, payload, messages, &count, error);
	if (r < 0)
		return r;
	return prompt_conversation(model, event, messages, count, ids, error);
}

static size_t prompt_text_len(const struct llm_event *event, const uint8_t *payload)
{
	size_t len = event->payload_len;

	if (event->flags & LLM_SUBMIT_FILE && len && payload[len - 1] == '\n')
		len--;
	return len;
}

static int prompt_read(const struct model *model, const struct llm_event *event,
		       const uint8_t *payload, struct tok_ids *ids, bool *ret_fresh,
		       struct error *error)
{
	const struct chat_message message = {
		.role = CHAT_USER,
		.text = (const char *)payload,
		.len = prompt_text_len(event, payload),
	};
	const bool is_message = event->op == LLM_OP_GENERATE && model->chat != CHAT_NONE;
	const bool is_empty = !message.len && !ids->count;

	*ret_fresh = false;
	switch (event->payload_type) {
	case LLM_PAYLOAD_TOKENS:
		return prompt_tokens(model, event, payload, ids, error);
	case LLM_PAYLOAD_CHAT:
		if (event->op == LLM_OP_APPEND)
			return error_set(error, -EOPNOTSUPP,
					 "a conversation is appended with its answer, or as text");
		*ret_fresh = true;
		return prompt_chat(model, event, payload, ids, error);
	case LLM_PAYLOAD_TEXT:
		*ret_fresh = is_message || is_empty;
		if (is_message)
			return prompt_conversation(model, event, &message, 1, ids, error);
		break;
	case LLM_PAYLOAD_RAW:
		*ret_fresh = is_empty;
		break;
	default:
		return error_set(error, -EINVAL, "unknown payload type %u", event->payload_type);
	}
	return prompt_text(model, event, message.text, message.len, ids, error);
}

int prompt_encode(const struct model *model, const struct llm_event *event,
		  const uint8_t *payload, struct tok_ids *ids, bool *ret_fresh,
		  struct error *error)
{
	const uint64_t begin_ns = clock_ns();
	int r = prompt_read(model, event, payload, ids, ret_fresh, error);

	if (!r && event->payload_type != LLM_PAYLOAD_TOKENS)
		read_time_wait(&model->read_time, begin_ns, event->payload_len);
	return r;
}
