/* SPDX-License-Identifier: MIT */
/*
 * The bytes that each token stands for in running text, worked out once: spaces unescaped, the
 * characters of byte-level BPE turned back into bytes. No piece is longer than its text in the
 * file, so all of them fit into as much memory.
 */
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/bpe.h"

static size_t unescape_spaces(const char *text, size_t len, char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		if (len - i >= TOK_SPACE_LEN && !memcmp(text + i, TOK_SPACE, TOK_SPACE_LEN)) {
			to[n++] = ' ';
			i += TOK_SPACE_LEN;
		} else {
			to[n++] = text[i++];
		}
	}
	return n;
}

/* a character that stands for no byte stands for itself */
static size_t chars_to_bytes(const char *text, size_t len, char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		size_t char_len = utf8_next(text + i, len - i);
		int byte = char_len ? bpe_char_byte(utf8_decode(text + i)) : -1;

		char_len = MAX(char_len, (size_t)1);
		if (byte >= 0) {
			to[n++] = (char)byte;
		} else {
			memcpy(to + n, text + i, char_len);
			n += char_len;
		}
		i += char_len;
	}
	return n;
}

/* @has_merges: of SPM, which come from tokenizer.json only */
static size_t piece_of(const struct tokenizer *tok, uint32_t id, bool has_merges, char *to)
{
	size_t len;
	const char *text = tok_text(&tok->texts, id, &len);

	switch (tok->types[id]) {
	case TOK_TYPE_USER_DEFINED:
		/* tokenizer.json decodes added tokens like all; in GGUF they are plain text */
		if (has_merges)
			return unescape_spaces(text, len, to);
		memcpy(to, text, len);
		return len;
	case TOK_TYPE_CONTROL:
	case TOK_TYPE_UNKNOWN:
		memcpy(to, text, len);
		return len;
	case TOK_TYPE_BYTE:
		*to = (char)vocab_byte(text, len);
		return 1;
	default:
		if (tok->kind == TOK_BPE)
			return chars_to_bytes(text, len, to);
		return unescape_spaces(text, len, to);
	}
}

int pieces_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct gguf_array merges;
	const bool has_merges = tok->kind == TOK_SPM &&
				gguf_get_array(gguf, TOK_KEY_SPM_MERGES, &merges) >= 0;
	uint32_t at = 0;

	tok->pieces.bytes = malloc((size_t)tok->texts.at[tok->n_vocab] + 1);
	tok->pieces.at = calloc((size_t)tok->n_vocab + 1, sizeof(*tok->pieces.at));
	if (!tok->pieces.bytes || !tok->pieces.at)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	for (uint32_t i = 0; i < tok->n_vocab; i++) {
		at += (uint32_t)piece_of(tok, i, has_merges, tok->pieces.bytes + at);
		tok->pieces.at[i + 1] = at;
	}
	return 0;
}
