/* SPDX-License-Identifier: MIT */
/*
 * From tokens to the bytes of an answer: spelled, searched for stop strings, framed if asked for.
 * The bytes depend on the tokens and nothing else (not on steps, commits or restarts), so that an
 * answer that is put together again from its tokens can leave out as many bytes as were already
 * sent. Owned by one job.
 */
#ifndef LLMOS_SCHED_ANSWER_H
#define LLMOS_SCHED_ANSWER_H

#include "base/bytes.h"
#include "engine/engine.h"
#include "sched/stop.h"

struct answer_token;

/**
 * struct answer - an answer in the making
 * @out: bytes to commit
 * @skip_bytes: bytes still to leave out: an earlier server committed them
 * @framed: LLM_SUBMIT_RECORDS
 * @tokens: one LLM_RECORD_TOKEN for each token
 * @stops: stop strings
 * @held: text that may be the beginning of a stop string
 * @held_tokens: tokens whose text is in it, oldest first
 */
struct answer {
	struct bytes out;
	uint64_t skip_bytes;
	bool framed;
	bool tokens;
	struct stop_set stops;
	struct bytes held;
	struct answer_token *held_tokens;
	size_t held_count;
	size_t held_capacity;
};

/** answer_free() - zero-initialised is fine */
void answer_free(struct answer *answer);

/**
 * answer_push() - one more token
 * @text: its bytes
 * @top: its alternatives; only looked at if @answer->tokens
 *
 * Return: 0; 1: it completed a stop string, all that is due is in @out; -ENOMEM.
 */
int answer_push(struct answer *answer, const struct sample_token *token,
		const struct sample_token *top, size_t top_count, const char *text, size_t len);
/** answer_flush() - no more tokens: what was held back is due; 0 or -ENOMEM */
int answer_flush(struct answer *answer);
/** answer_append() - bytes that are framed already; 0 or -ENOMEM */
int answer_append(struct answer *answer, struct bytes *framed);

#endif /* LLMOS_SCHED_ANSWER_H */
