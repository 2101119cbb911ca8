/* SPDX-License-Identifier: MIT */
/*
 * What stands in front of a payload with LLM_SUBMIT_OPTIONS: how to answer, beyond what the structs
 * of a request say. The broker passes it on unread.
 */
#ifndef LLMOS_SCHED_OPTIONS_H
#define LLMOS_SCHED_OPTIONS_H

#include "grammar/grammar.h"
#include "ipc/ipc.h"

/* bytes of all options of a request, heads included: a grammar and small ones */
#define OPTIONS_BYTES_MAX	(GRAM_TEXT_MAX + (64U << 10))

/**
 * struct options - of a request; all zero: none
 * @grammar_type: the option that says what the answer is held to, 0: nothing
 * @grammar: its text (grammar_len) in the payload
 * @shifts: the answer goes on where the context ends
 * @keep: tokens that stay then, 0: as many as the server likes
 * @adapters: that are added to the model: their names, and scales in millionths
 * @pooling: enum llm_pooling, 0: as the model was made for
 * @dims: 0: all
 * @is_raw: vectors are not normalised
 * @truncates: texts that are too long are cut
 * @query: (query_len) in the payload, NULL: none
 * @given: bits of those for vectors, by their place from LLM_OPTION_POOLING on
 */
struct options {
	uint32_t grammar_type;
	const char *grammar;
	size_t grammar_len;
	bool shifts;
	uint32_t keep;
	struct option_adapter {
		char name[LLM_MODEL_NAME_MAX];
		int32_t scale;
	} adapters[LLM_ADAPTERS_MAX];
	unsigned int adapter_count;
	uint32_t pooling;
	uint32_t dims;
	bool is_raw;
	bool truncates;
	const char *query;
	size_t query_len;
	uint32_t given;
};

/**
 * options_read() - the options in front of a payload
 * @event: of a request with LLM_SUBMIT_OPTIONS
 * @payload: of it, all of payload_len
 * @options: zero; out
 * @ret_bytes: bytes that they take, their end included; what the model reads is behind them
 *
 * Return: 0; -EINVAL malformed, given twice or not known, -E2BIG too long. With an error, nothing is
 * left in @options.
 */
int options_read(const struct llm_event *event, const uint8_t *payload, struct options *options,
		 size_t *ret_bytes, struct error *error);

#endif /* LLMOS_SCHED_OPTIONS_H */
