/* SPDX-License-Identifier: MIT */
/*
 * The tokens of a model as a tree of their bytes: what begins alike is looked at once. Built once
 * for each model, immutable, shared by threads, and independent of its tokenizer. Tokens without
 * bytes are not in it, nor are those that end an answer.
 */
#ifndef LLMOS_GRAMMAR_VOCAB_H
#define LLMOS_GRAMMAR_VOCAB_H

#include <stdatomic.h>

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
 * @users: references
 * @size: number of logits
 * @token_count: of tokens, @tree's and others
 * @bytes: of the tokens, one behind the other; none of those that are not in the trees
 * @at: of each token: where its bytes begin (token_count + 1)
 * @cut: of each token: bytes that are left out at the beginning of a text (token_count)
 * @tree: as they are spelled
 * @first_tree: as they are spelled at the beginning of a text; empty: not differently
 * @ends: tokens that end an answer (end_count)
 * @depth: of the deeper tree
 */
struct gram_vocab {
	atomic_uint users;
	uint32_t size;
	uint32_t token_count;
	char *bytes;
	uint32_t *at;
	uint8_t *cut;
	struct gram_tree tree;
	struct gram_tree first_tree;
	uint32_t *ends;
	size_t end_count;
	unsigned int depth;
};

/**
 * gram_vocab_new() - the tokens of a tokenizer, with one reference
 * @size: of a row of logits; what the tokenizer does not have is never chosen
 *
 * Return: 0, -ENOMEM, or -E2BIG more bytes of tokens than 32 bits tell.
 */
int gram_vocab_new(struct gram_vocab **ret, const struct tokenizer *tok, uint32_t size);
struct gram_vocab *gram_vocab_ref(struct gram_vocab *vocab);
void gram_vocab_unref(struct gram_vocab *vocab);
DEFINE_CLEANUP(struct gram_vocab *, gram_vocab_unref);

/** gram_vocab_piece() - the bytes of a token; *ret_len 0: it is in no tree */
const char *gram_vocab_piece(const struct gram_vocab *vocab, uint32_t id, bool first,
			     size_t *ret_len);

/** gram_vocab_words() - 32-bit words of a mask */
static inline size_t gram_vocab_words(const struct gram_vocab *vocab)
{
	return ((size_t)vocab->size + 31) / 32;
}

#endif /* LLMOS_GRAMMAR_VOCAB_H */
