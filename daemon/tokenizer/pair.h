/* SPDX-License-Identifier: MIT */
/*
 * How a query and a text are put together for a decoder that was trained to judge them: words of a
 * template with a place for each, "{query}" and "{document}", as GGUF has it.
 */
#ifndef LLMOS_TOKENIZER_PAIR_H
#define LLMOS_TOKENIZER_PAIR_H

#include "tokenizer/vocab.h"

#define PAIR_WORDS_MAX	(64U << 10)	/* bytes of a template */

/**
 * struct pair_words - a template
 * @before, @between, @behind: its words; the first begins what has to be freed
 * @end: ids of what is behind, where nothing is before it
 */
struct pair_words {
	char *before;
	const char *between, *behind;
	size_t before_len, between_len, behind_len;
	struct tok_ids end;
};

/**
 * pair_load() - tok->pair, where the file has such a template; all else of @tok is built
 *
 * One without a place for each of the two, in this order, is none: then it is not known how this
 * model takes pairs. Return: 0 or -ENOMEM.
 */
int pair_load(struct tokenizer *tok, const struct gguf *gguf);
void pair_free(struct pair_words *pair);

#endif /* LLMOS_TOKENIZER_PAIR_H */
