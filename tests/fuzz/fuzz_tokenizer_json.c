/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes tokenizer.json, and behind a NUL tokenizer_config.json. What is accepted must make a
 * tokenizer that encodes texts to tokens it has, or be refused by that for a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer_json.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void use(const struct gguf *gguf)
{
	static const char text[] = "the thing <|end|>12 cafe\xcc\x81 <s>\n\n    aaaa \xe6\x97\xa5"
				   "\xe2\x96\x81<|im_start|>##";
	struct tokenizer *tok = NULL;
	struct tok_ids ids = { 0 };
	size_t len;

	if (tok_new(&tok, gguf, NULL) < 0)
		return;
	require(!tok_encode(tok, text, sizeof(text) - 1, TOK_BOS | TOK_SPECIAL, SIZE_MAX, &ids));
	for (size_t i = 0; i < ids.count; i++)
		require(tok_piece(tok, ids.ids[i], !i, true, &len));
	require(chat_detect(gguf) <= CHAT_DEEPSEEK);
	free(ids.ids);
	tok_free(tok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	size_t len = end ? (size_t)(end - data) : size;
	struct tokenizer_files files = { 0 };
	struct gguf *gguf = NULL;

	if (json_parse(&files.tokenizer, (const char *)data, len, TOKENIZER_JSON_MAX, "fuzz", NULL) < 0)
		return 0;
	if (end)
		(void)!json_parse(&files.settings, (const char *)end + 1, size - len - 1,
				  JSON_CONFIG_MAX, "fuzz", NULL);
	/* without an embedding, and with one of 200 rows */
	for (uint32_t n_vocab = 0; n_vocab <= 200; n_vocab += 200) {
		require(!gguf_new(&gguf));
		if (!tokenizer_json_load(gguf, &files, n_vocab, NULL))
			use(gguf);
		gguf_free(gguf);
		gguf = NULL;
	}
	tokenizer_files_done(&files);
	return 0;
}
