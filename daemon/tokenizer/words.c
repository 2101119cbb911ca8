/* SPDX-License-Identifier: MIT */
/* Where words begin; see words.h. */
#include "tokenizer/words.h"

size_t words_end(const char *text, size_t len)
{
	size_t pos = 0;

	while (words_is_space(text + pos, len - pos))
		pos += TOK_SPACE_LEN;
	while (pos < len) {
		const char *p = memchr(text + pos, TOK_SPACE[0], len - pos);

		if (!p)
			return len;
		pos = (size_t)(p - text);
		if (words_is_space(p, len - pos))
			return pos;
		pos++;
	}
	return len;
}

size_t words_next_space(const char *text, size_t len)
{
	for (size_t i = 1; i < len; i++)
		if (text[i] == TOK_SPACE[0] && words_is_space(text + i, len - i))
			return i;
	return len;
}

bool words_are_apart(const struct tokenizer *tok)
{
	for (uint32_t i = 0; i < tok->n_vocab; i++) {
		size_t len;
		const char *text = tok_text(&tok->texts, i, &len);

		if (tok_is_text(tok, i) && words_end(text, len) != len)
			return false;
	}
	return true;
}
