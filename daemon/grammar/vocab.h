/* SPDX-License-Identifier: MIT */
/*
 * The tokens of a model as a tree of their bytes: what begins alike is looked at once. Built once
 * for each model, immutable, shared by threads. Tokens without bytes are not in it, nor are those
 * that end an answer.
 */
#ifndef LLMOS_GRAMMAR_VOCAB_H
#define LLMOS_GRAMMAR_VOCAB_H

#include "tokenizer/tokenizer.h"

#define GRAM_TOKEN_BYTES_MAX	1024	/* a longer token is never chosen */

/**
 * struct gram_branch - a byte behind others; the branches below it follow at once
 * @skip: the first branch that is not below it
 * @tokens: first of the tokens that end here, the next branch has the end
 * @depth: bytes up to and with this one
 * @byte: it
 */
struct gram_branch {
	uint32_t skip;
	uint32_t tokens;
	uint16_t depth;
	uint8_t byte;
};

/**
 * struct gram_tree - tokens, in the order of their bytes
 * @branches: (branch_count + 1), the last one only ends the tokens of the one before
 * @ids: of tokens (id_count)
 */
struct gram_tree {
	struct gram_branch *branches;
	size_t branch_count;
	uint32_t *ids;
	size_t id_count;
};

/**
 * struct gram_vocab - the tokens of a model
 * @tok: is not owned
 * @size: number of logits
 * @token_count: of tokens, @tree's and others
 * @tree: as they are spelled
 * @first_tree: as they are spelled at the beginning of a text; empty: not differently
 * @ends: tokens that end an answer (end_count)
 * @depth: of the deeper tree
 */
struct gram_vocab {
	const struct tokenizer *tok;
	uint32_t size;
	uint32_t token_count;
	struct gram_tree tree;
	struct gram_tree first_tree;
	uint32_t *ends;
	size_t end_count;
	unsigned int depth;
};

/**
 * gram_vocab_new() - the tokens of a tokenizer, which must live as long
 * @size: of a row of logits; what the tokenizer does not have is never chosen
 *
 * Return: 0 or -ENOMEM.
 */
int gram_vocab_new(struct gram_vocab **ret, const struct tokenizer *tok, uint32_t size);
void gram_vocab_free(struct gram_vocab *vocab);
DEFINE_CLEANUP(struct gram_vocab *, gram_vocab_free);

/** gram_vocab_words() - 32-bit words of a mask */
static inline size_t gram_vocab_words(const struct gram_vocab *vocab)
{
	return ((size_t)vocab->size + 31) / 32;
}

#endif /* LLMOS_GRAMMAR_VOCAB_H */
