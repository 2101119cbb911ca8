/* SPDX-License-Identifier: MIT */
/*
 * What SPM and byte-level BPE have in common: a row of symbols, of which neighbours are merged, the
 * best pair first, of equal pairs the leftmost, until no pair is left. They differ in what makes a
 * pair good. A heap holds the pairs, so that n symbols take n log n time.
 */
#ifndef LLMOS_TOKENIZER_MERGE_H
#define LLMOS_TOKENIZER_MERGE_H

#include "tokenizer/work.h"

#define MERGE_END	UINT32_MAX

/** struct merge_symbol - a part of the text, in a list of neighbours */
struct merge_symbol {
	uint32_t prev, next;		/* indices, or MERGE_END */
	uint32_t at, len;		/* in bytes of the word; len 0: merged into its left one */
	uint32_t id;			/* what it is in the vocabulary, or TOK_NONE */
};

/** struct merge_pair - two neighbours that could become one */
struct merge_pair {
	uint64_t order;			/* least first: how good, then the index of the left */
	uint32_t len;			/* of both: tells a pair that has changed since */
	uint32_t id;			/* of the two together */
};

/**
 * merge_lookup() - can two symbols be merged?
 *
 * Return: false if not; else the id of the result, and in @ret_order how good that is: less is
 * better.
 */
typedef bool merge_lookup(const struct tokenizer *tok, const char *word,
			  const struct merge_symbol *left, const struct merge_symbol *right,
			  uint32_t *ret_id, uint32_t *ret_order);

/** merge_start() - forget the symbols; the next word has at most @count; -ENOMEM */
int merge_start(struct tok_work *work, size_t count);
/** merge_add() - append a symbol; there is room for it */
void merge_add(struct tok_work *work, size_t at, size_t len, uint32_t id);
/** merge_run() - merge all that can be; what is left is a list that begins at symbol 0 */
void merge_run(struct tok_work *work, const char *word, merge_lookup *lookup);

#endif /* LLMOS_TOKENIZER_MERGE_H */
