/* SPDX-License-Identifier: MIT */
/* Fuzzes the texts that byte-level BPE is given, behind each of its pre-tokenizers. */
#include "tests/fuzz/tok_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"gpt-2", "llama-bpe", "qwen2", "smollm", "tekken", "default", "gpt-4o",
		"deepseek-v3", "deepseek-coder", "seed-coder",
	};
	static struct tokenizer *toks[ARRAY_SIZE(names)];
	unsigned int i;

	if (!size)
		return 0;
	i = data[0] / 4 % ARRAY_SIZE(names);
	if (!toks[i]) {
		struct gguf_write w = { 0 };

		gguf_write_bpe(&w, names[i], NULL);
		toks[i] = fuzz_tokenizer(&w);
	}
	fuzz_encode(toks[i], data[0] & (TOK_BOS | TOK_SPECIAL), data + 1, size - 1);
	return 0;
}
