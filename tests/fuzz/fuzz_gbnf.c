/* SPDX-License-Identifier: MIT */
/* Fuzzes grammars in GBNF, and the machines of those that are understood. */
#include "tests/fuzz/grammar_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct grammar *grammar = NULL;
	struct error error = { "" };
	int r = gram_new_gbnf(&grammar, (const char *)data, size, &error);

	require_reason(r, &error);
	if (!r)
		drive(grammar, data, size);
	gram_free(grammar);
	return 0;
}
