/* SPDX-License-Identifier: MIT */
/*
 * Tokens as people and programs see them; ask, tokenize and score print them the same way.
 */
#ifndef LLMCTL_TOKENS_H
#define LLMCTL_TOKENS_H

#include "json.h"
#include "llmctl.h"

/* an object in an array; without logprob if it is a plain token */
void token_print_json(struct json *json, const struct llmos_token *token, bool logprob);
/* a table of tokens with their log-probabilities; 0, -errno */
int tokens_print_table(const struct llmos_token *tokens, size_t count);

#endif /* LLMCTL_TOKENS_H */
