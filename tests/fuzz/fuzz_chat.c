/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes chat templates and conversations. An input is a template's program and the texts of
 * messages, each ended by a NUL, whose first byte is the role. Whatever is recognised must be
 * encoded or refused for its roles, and only the template's words may become control tokens. The
 * program is tried as words around a query and a text as well.
 */
#include "model/gguf_build.h"
#include "tests/fuzz/tok_fuzz.h"
#include "tokenizer/chat.h"

#define MESSAGES_MAX 8

/* control tokens in a conversation of the same roles, with nothing in its messages */
static size_t control_count(const struct tokenizer *tok, const struct tok_ids *ids)
{
	size_t count = 0;

	for (size_t i = 0; i < ids->count; i++)
		count += tok_is_control(tok, ids->ids[i]);
	return count;
}

static size_t parse(char *text, size_t size, struct chat_message *messages)
{
	size_t count = 0, at = 0;

	while (at < size && count < MESSAGES_MAX) {
		size_t len = strnlen(text + at, size - at);

		messages[count++] = (struct chat_message){
			.role = (enum chat_role)((unsigned char)text[at] % 3),
			.text = text + at + 1,
			.len = len ? len - 1 : 0,
		};
		at += len + 1;
	}
	return count;
}

static void encode(const struct tokenizer *tok, enum chat_template tmpl,
		   struct chat_message *messages, size_t count)
{
	struct tok_ids ids = { 0 }, plain = { 0 };
	struct error error;
	int r = chat_encode(tmpl, tok, messages, count, SIZE_MAX, &ids, &error);

	require(!r || r == -EINVAL || r == -EILSEQ || r == -EOPNOTSUPP);
	require((tmpl == CHAT_UNKNOWN || tmpl == CHAT_NONE) == (r == -EOPNOTSUPP));
	for (size_t i = 0; i < count; i++)
		messages[i] = (struct chat_message){ messages[i].role, "x", 1 };
	if (!r) {
		require(!chat_encode(tmpl, tok, messages, count, SIZE_MAX, &plain, &error));
		/* an empty system message may vanish with its turn */
		require(control_count(tok, &ids) <= control_count(tok, &plain));
	}
	free(ids.ids);
	free(plain.ids);
}

/* the first two texts as query and document, where the program has places for them */
static void encode_pair(const struct tokenizer *tok, const struct chat_message *messages)
{
	struct tok_ids ids = { 0 }, plain = { 0 };
	size_t end_count;
	int r;

	if (!tok_has_pair_words(tok))
		return;
	r = tok_encode_pair(tok, messages[0].text, messages[0].len, messages[1].text,
			    messages[1].len, 0, SIZE_MAX, &ids);
	require(!r || r == -EILSEQ);
	require(!tok_encode_pair(tok, "x", 1, "x", 1, 0, SIZE_MAX, &plain));
	if (!r)
		require(control_count(tok, &ids) == control_count(tok, &plain));
	require(tok_pair_end(tok, &end_count) || !end_count);
	free(ids.ids);
	free(plain.ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chat_message messages[MESSAGES_MAX];
	char *program = malloc(size + 1);
	struct gguf_write w = { 0 };
	struct gguf *gguf = NULL;
	struct tokenizer *tok = NULL;
	size_t len, count;

	require(program);
	if (size)
		memcpy(program, data, size);
	program[size] = 0;
	len = strlen(program);
	count = len < size ? parse(program + len + 1, size - len - 1, messages) : 0;
	gguf_write_bpe(&w, "gpt-2", program);
	require(!gguf_open_memory(&gguf, w.data, w.size, NULL));
	require(!gguf_add_string(gguf, "tokenizer.chat_template.rerank", program, len));
	require(!tok_new(&tok, gguf, NULL));
	if (count > 1)
		encode_pair(tok, messages);
	encode(tok, chat_detect(gguf), messages, count);
	tok_free(tok);
	gguf_free(gguf);
	free(w.data);
	free(program);
	return 0;
}
