/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes everything that is read from a model file before its weights: keys, tensors, tokenizer,
 * chat template. A file that opens must be readable to its end, and its tokenizer must work.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void use_keys(const struct gguf *gguf)
{
	char key[64], value[128];
	struct gguf_string string;
	uint32_t u;
	float f;

	for (size_t i = 0; i < gguf_key_count(gguf); i++)
		require(!gguf_key_print(gguf, i, key, sizeof(key), value, sizeof(value)));
	gguf_get_arch_u32(gguf, "block_count", &u);
	gguf_get_arch_f32(gguf, "rope.freq_base", &f);
	gguf_get_string(gguf, "general.name", &string);
}

static void use_tensors(const struct gguf *gguf)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
		const unsigned char *bytes = tensor->data;
		char name[256];

		require(bytes && tensor->name.len < sizeof(name));
		memcpy(name, tensor->name.data, tensor->name.len);
		name[tensor->name.len] = 0;
		require(gguf_tensor_find(gguf, name) == tensor);
		for (size_t j = 0; j < tensor->size_bytes; j++)
			sum += bytes[j];
	}
	require(sum < UINT32_MAX);
}

static void use_tokenizer(const struct gguf *gguf)
{
	static const char text[] = "the thing <ud>12 caf\xc3\xa9 <s>\n\n    aaaa "
				   "\xe6\x97\xa5<|im_start|>";
	static const struct chat_message messages[] = {
		{ CHAT_SYSTEM, "Be", 2 }, { CHAT_USER, text, sizeof(text) - 1 },
	};
	struct tok_ids ids = { 0 };
	struct tokenizer *tok;
	size_t len;
	int r;

	if (tok_new(&tok, gguf, NULL) < 0)
		return;
	require(!tok_encode(tok, text, sizeof(text) - 1, TOK_BOS | TOK_SPECIAL, SIZE_MAX, &ids));
	r = chat_encode(chat_detect(gguf), tok, messages, 2, SIZE_MAX, &ids, NULL);
	require(!r || r == -EINVAL || r == -EOPNOTSUPP || r == -EILSEQ);
	for (size_t i = 0; i < ids.count; i++)
		require(tok_piece(tok, ids.ids[i], !i, true, &len));
	free(ids.ids);
	tok_free(tok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gguf *gguf = NULL;
	void *copy = malloc(size ? size : 1);

	require(copy);
	memcpy(copy, data, size);
	if (!gguf_open_memory(&gguf, copy, size, NULL)) {
		use_keys(gguf);
		use_tensors(gguf);
		use_tokenizer(gguf);
	}
	gguf_free(gguf);
	free(copy);
	return 0;
}
