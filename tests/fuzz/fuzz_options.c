// SPDX-License-Identifier: MIT
/*
 * The options in front of a payload, as a client sends them: what is accepted lies in the payload
 * and within its bounds, what is refused is refused in words and leaves nothing behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_options: %s\n", what);
	abort();
}

static void check_adapters(const struct options *options)
{
	check(options->adapter_count <= LLM_ADAPTERS_MAX, "more adapters than there may be");
	for (unsigned int i = 0; i < options->adapter_count; i++) {
		const char *name = options->adapters[i].name;

		check(*name && memchr(name, 0, sizeof(options->adapters[i].name)), "a name");
		for (unsigned int j = 0; j < i; j++)
			check(strcmp(name, options->adapters[j].name), "a name that is there twice");
	}
}

static void check_accepted(const struct llm_event *event, const uint8_t *payload,
			   const struct options *options, size_t bytes)
{
	const bool has_vectors = event->op == LLM_OP_EMBED || event->op == LLM_OP_CLASSIFY;
	const char *begin = (const char *)payload;

	check(bytes >= sizeof(struct llm_option) && bytes <= event->payload_len, "their length");
	check(!options->grammar_type || event->op == LLM_OP_GENERATE, "a grammar, and no answer");
	check(!options->grammar_len || (options->grammar >= begin &&
					options->grammar + options->grammar_len <= begin + bytes),
	      "a grammar that lies elsewhere");
	check(!options->shifts || event->op == LLM_OP_GENERATE, "a shift, and no answer");
	check(!options->keep || options->shifts, "what stays, and no shift");
	check(!options->adapter_count || !has_vectors, "adapters for vectors");
	check(!options->given || has_vectors, "what is for vectors alone");
	check(options->pooling <= LLM_POOLING_LAST, "pooling");
	check(!options->query_len || (options->query >= begin &&
				      options->query + options->query_len <= begin + bytes),
	      "a query that lies elsewhere");
	check_adapters(options);
}

static bool is_clear(const struct options *options)
{
	return !options->grammar_type && !options->grammar && !options->grammar_len &&
	       !options->adapter_count && !options->given && !options->query &&
	       !options->query_len && !options->pooling && !options->dims && !options->shifts &&
	       !options->keep && !options->is_raw && !options->truncates;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options options = { 0 };
	struct error error = { "" };
	struct llm_event event = { .size = sizeof(event) };
	size_t bytes = SIZE_MAX;
	uint8_t *payload;
	int r;

	/* what the request is: an operation, and a flag that options look at */
	if (!size)
		return 0;
	event.op = *data & 0x7f;
	event.flags = LLM_SUBMIT_OPTIONS | (*data & 0x80 ? LLM_SUBMIT_IGNORE_EOS : 0);
	event.payload_len = --size;
	/* of its own size: a byte beyond it is found out */
	payload = malloc(size ? size : 1);
	check(payload != NULL, "no memory");
	memcpy(payload, data + 1, size);
	r = options_read(&event, payload, &options, &bytes, &error);
	check(r <= 0, "neither an error nor none");
	if (r < 0) {
		check(*error.text && bytes == SIZE_MAX, "refused without a word");
		check(is_clear(&options), "something is left");
	} else {
		check_accepted(&event, payload, &options, bytes);
	}
	free(payload);
	return 0;
}
