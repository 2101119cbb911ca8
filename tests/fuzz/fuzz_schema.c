/* SPDX-License-Identifier: MIT */
/* Fuzzes JSON schemas, patterns in them, and the machines of those that are understood. */
#include "tests/fuzz/grammar_fuzz.h"

#include "grammar/regex.h"

/* the input as a pattern: mutations of schemas hardly reach one */
static void pattern(const char *text, size_t size)
{
	struct gram_build build = { 0 };
	struct grammar *grammar = NULL;
	struct error error = { "" };
	const uint32_t root = gram_rule(&build, NULL, 0);
	uint32_t body;
	int r = gram_regex(&build, text, size, &body, &error);

	require_reason(r, &error);
	if (!r) {
		gram_define(&build, root, body);
		r = gram_compile(&grammar, &build, root, &error);
		require_reason(r, &error);
	}
	gram_free(grammar);
	gram_build_done(&build);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct grammar *grammar = NULL;
	struct error error = { "" };
	int r = gram_new_schema(&grammar, (const char *)data, size, &error);

	require_reason(r, &error);
	if (!r)
		drive(grammar, data, size);
	gram_free(grammar);
	pattern((const char *)data, size);
	return 0;
}
