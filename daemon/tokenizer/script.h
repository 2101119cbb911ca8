/* SPDX-License-Identifier: MIT */
/*
 * A script: the parts of what is said to a model, in order. Words of a template become tokens of
 * their own where the vocabulary has such tokens; what people wrote is never searched for them
 * unless they ask for it. Texts are not copied: they outlive the script.
 */
#ifndef LLMOS_TOKENIZER_SCRIPT_H
#define LLMOS_TOKENIZER_SCRIPT_H

#include "tokenizer/vocab.h"

/**
 * struct script - parts (count) in an array that grows; zero-initialise but for @tok
 * @style: of a conversation, else NULL
 */
struct script {
	const struct tokenizer *tok;
	const struct chat_style *style;
	struct tok_part *parts;
	size_t count, capacity;
};

void script_done(struct script *script);

/* each returns 0 or -ENOMEM */

/** script_add_text() - text as it is, by whoever */
int script_add_text(struct script *script, const char *text, size_t len);
/** script_add_token() - a token; TOK_NONE: nothing */
int script_add_token(struct script *script, uint32_t id);
/** script_add_words() - text in which tokens are looked for */
int script_add_words(struct script *script, const char *words, size_t len);

#endif /* LLMOS_TOKENIZER_SCRIPT_H */
