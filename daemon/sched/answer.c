/* SPDX-License-Identifier: MIT */
/* From tokens to the bytes of an answer; see answer.h. */
#include "sched/answer.h"

#include <string.h>

#include "sched/record.h"

/** struct answer_token - a token whose record waits for its text; it is @len of the held bytes */
struct answer_token {
	struct sample_token token;
	size_t len;
	size_t top_count;
	struct sample_token top[LLM_LOGPROBS_MAX];
};

void answer_free(struct answer *answer)
{
	bytes_free(&answer->out);
	bytes_free(&answer->held);
	stop_free(&answer->stops);
	free(answer->held_tokens);
	*answer = (struct answer){ 0 };
}

/* leave out what an earlier server has committed */
static void answer_skip(struct answer *answer)
{
	size_t len = MIN(answer->skip_bytes, (uint64_t)answer->out.len);

	/* bytes are only left out before the first one is sent */
	if (!len)
		return;
	bytes_take(&answer->out, len);
	answer->skip_bytes -= len;
}

/* the first @len of the held bytes are due as text */
static int answer_release_text(struct answer *answer, size_t len)
{
	int r;

	if (!len)
		return 0;
	if (answer->framed)
		r = record_text(&answer->out, bytes_data(&answer->held), len);
	else
		r = bytes_append(&answer->out, bytes_data(&answer->held), len);
	if (!r)
		bytes_take(&answer->held, len);
	return r;
}

static int answer_hold_token(struct answer *answer, const struct sample_token *token,
			     const struct sample_token *top, size_t top_count, size_t len)
{
	struct answer_token *held;

	if (answer->held_count == answer->held_capacity) {
		size_t capacity = MAX((size_t)4, answer->held_capacity * 2);

		held = realloc(answer->held_tokens, capacity * sizeof(*held));
		if (!held)
			return -ENOMEM;
		answer->held_tokens = held;
		answer->held_capacity = capacity;
	}
	held = &answer->held_tokens[answer->held_count++];
	*held = (struct answer_token){ .token = *token, .len = len };
	held->top_count = MIN(top_count, ARRAY_SIZE(held->top));
	if (held->top_count)
		memcpy(held->top, top, held->top_count * sizeof(*top));
	return 0;
}

/*
 * With token records a token goes out as a whole, its record and then its text: the first @count
 * of the held ones, whose texts end within the first @len of the held bytes.
 */
static int answer_release_tokens(struct answer *answer, size_t len)
{
	size_t count = 0;
	int r = 0;

	while (!r && count < answer->held_count && answer->held_tokens[count].len <= len) {
		const struct answer_token *held = &answer->held_tokens[count++];
		size_t token_len = held->len;

		r = record_token(&answer->out, &held->token, held->top, held->top_count,
				 bytes_data(&answer->held), token_len);
		if (!r)
			r = answer_release_text(answer, token_len);
		len -= token_len;
	}
	answer->held_count -= count;
	memmove(answer->held_tokens, answer->held_tokens + count,
		answer->held_count * sizeof(*answer->held_tokens));
	return r;
}

static int answer_release(struct answer *answer, size_t len)
{
	int r = answer->tokens && answer->held_count ? answer_release_tokens(answer, len) :
						       answer_release_text(answer, len);

	answer_skip(answer);
	return r;
}

/* a stop string begins @len bytes into what is held: cut there, and a token's text with it */
static int answer_stop(struct answer *answer, size_t len)
{
	size_t i, at = 0;

	answer->held.len = len;
	for (i = 0; i < answer->held_count && at < len; i++) {
		struct answer_token *held = &answer->held_tokens[i];

		held->len = MIN(held->len, len - at);
		at += held->len;
	}
	answer->held_count = i;
	return answer_release(answer, len);
}

int answer_push(struct answer *answer, const struct sample_token *token,
		const struct sample_token *top, size_t top_count, const char *text, size_t len)
{
	size_t i, stop_len;
	int r;

	r = bytes_append(&answer->held, text, len);
	if (!r && answer->tokens)
		r = answer_hold_token(answer, token, top, top_count, len);
	if (r < 0)
		return r;
	for (i = 0; i < len; i++) {
		stop_len = stop_byte(&answer->stops, text[i]);
		if (!stop_len)
			continue;
		r = answer_stop(answer, answer->held.len - (len - i - 1) - stop_len);
		return r < 0 ? r : 1;
	}
	return answer_release(answer, answer->held.len - stop_pending(&answer->stops));
}

int answer_flush(struct answer *answer)
{
	return answer_release(answer, answer->held.len);
}

int answer_append(struct answer *answer, struct bytes *framed)
{
	int r = bytes_append(&answer->out, bytes_data(framed), framed->len);

	if (r < 0)
		return r;
	bytes_clear(framed);
	answer_skip(answer);
	return 0;
}
