/* SPDX-License-Identifier: MIT */
/* Fuzzes the texts that a unigram vocabulary is given. */
#include "tests/fuzz/tok_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tokenizer *tok;

	if (!tok) {
		struct gguf_write w = { 0 };

		gguf_write_unigram(&w);
		tok = fuzz_tokenizer(&w);
	}
	if (size)
		fuzz_encode(tok, data[0] & (TOK_BOS | TOK_SPECIAL), data + 1, size - 1);
	return 0;
}
