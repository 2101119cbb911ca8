/* SPDX-License-Identifier: MIT */
/*
 * Words in a text whose spaces are U+2581. In most vocabularies that character stands only at the
 * beginning of a token, or all over it: then no token spans the beginning of a word, and each word,
 * with the spaces before it, can be spelt by itself: the same tokens in a fraction of the memory.
 */
#ifndef LLMOS_TOKENIZER_WORDS_H
#define LLMOS_TOKENIZER_WORDS_H

#include <string.h>

#include "tokenizer/vocab.h"

static inline bool words_is_space(const char *text, size_t len)
{
	return len >= TOK_SPACE_LEN && !memcmp(text, TOK_SPACE, TOK_SPACE_LEN);
}

/** words_end() - the next beginning of a word: a space behind something else */
size_t words_end(const char *text, size_t len);
/** words_next_space() - the next space but for one that the text begins with */
size_t words_next_space(const char *text, size_t len);
/** words_are_apart() - no token that may come out of a text spans two words */
bool words_are_apart(const struct tokenizer *tok);

#endif /* LLMOS_TOKENIZER_WORDS_H */
