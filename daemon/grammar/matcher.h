/* SPDX-License-Identifier: MIT */
/*
 * An answer that is held to a grammar: what was said so far, and which tokens may follow. It is a
 * function of the tokens alone, so an answer that is put together again goes on as it did. Owned by
 * one thread at a time.
 */
#ifndef LLMOS_GRAMMAR_MATCHER_H
#define LLMOS_GRAMMAR_MATCHER_H

#include "grammar/grammar.h"
#include "grammar/vocab.h"

struct gram_matcher;

/**
 * gram_matcher_new() - at the beginning of an answer
 * @grammar: is taken over, also where this fails
 * @vocab: of the model; it takes a reference
 * @fresh: the answer begins a text: tokens are spelled as tok_piece() does with first, up to the
 *	first one that has bytes
 *
 * Return: 0; -E2BIG the grammar is too ambiguous, -ENOMEM.
 */
int gram_matcher_new(struct gram_matcher **ret, struct grammar *grammar,
		     struct gram_vocab *vocab, bool fresh);
void gram_matcher_free(struct gram_matcher *matcher);
/** gram_matcher_bytes() - of memory that it takes, without its grammar and the tokens */
size_t gram_matcher_bytes(const struct gram_matcher *matcher);
/** gram_matcher_bytes_max() - that it may ever take, with what it needs in between */
size_t gram_matcher_bytes_max(const struct gram_vocab *vocab);
DEFINE_CLEANUP(struct gram_matcher *, gram_matcher_free);

/**
 * gram_matcher_advance() - a token was said
 *
 * Return: 0; -EILSEQ it does not match, -E2BIG as gram_matcher_work(), -ENOMEM: then it is where
 * it was.
 */
int gram_matcher_advance(struct gram_matcher *matcher, uint32_t id);
/**
 * gram_matcher_catch_up() - tokens were said, some time ago
 * @ids: of them (*count, out: how many of them it is past; without an error, one at least)
 * @branches: as gram_matcher_work(): steps to make, about
 *
 * Return: as gram_matcher_advance().
 */
int gram_matcher_catch_up(struct gram_matcher *matcher, const uint32_t *ids, size_t *count,
			  size_t branches);
/** gram_matcher_can_end() - does what was said match, as it is? */
bool gram_matcher_can_end(const struct gram_matcher *matcher);

/**
 * gram_matcher_work() - find out which tokens may follow
 * @branches: of the tree of tokens to look at, about: a bound on the time of one call
 *
 * Return: 1 it is known; 0 there is more to do; -E2BIG the grammar is too ambiguous here, -ENOMEM.
 */
int gram_matcher_work(struct gram_matcher *matcher, size_t branches);
/**
 * gram_matcher_mask() - those tokens, one bit for each, once they are known
 *
 * Tokens that end an answer are among them exactly where gram_matcher_can_end().
 *
 * Return: gram_vocab_words() words, valid until the next call of advance or work.
 */
const uint32_t *gram_matcher_mask(const struct gram_matcher *matcher);
/** gram_matcher_count() - how many tokens there are in it */
uint32_t gram_matcher_count(const struct gram_matcher *matcher);

#endif /* LLMOS_GRAMMAR_MATCHER_H */
