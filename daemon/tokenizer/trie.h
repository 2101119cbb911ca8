/* SPDX-License-Identifier: MIT */
/*
 * A tree of bytes: the tokens that a text begins with, found in one walk. A node's children lie
 * side by side, sorted by their bytes. Immutable once built.
 */
#ifndef LLMOS_TOKENIZER_TRIE_H
#define LLMOS_TOKENIZER_TRIE_H

#include "tokenizer/vocab.h"

#define TRIE_ROOT	0U
#define TRIE_NONE	UINT32_MAX

struct trie_node {
	uint32_t id;			/* the token that ends here, or TOK_NONE */
	uint32_t children;		/* the first one */
	uint16_t child_count;
	uint8_t byte;
};

/** struct trie - zero-initialise, then trie_build() */
struct trie {
	struct trie_node *nodes;
	size_t count, capacity;
};

/**
 * trie_build() - of the tokens @ids, none of which is empty
 * @ids: (count) gets another order; of two with the same text the lower one counts
 *
 * Takes 40 bytes for each byte of the texts while it is built, at most. Return: 0, -ENOMEM.
 */
int trie_build(struct trie *trie, const struct tok_texts *texts, uint32_t *ids, size_t count);
void trie_free(struct trie *trie);

/** trie_step() - the child of a node by its byte, TRIE_NONE: it has none such */
uint32_t trie_step(const struct trie *trie, uint32_t node, uint8_t byte);

#endif /* LLMOS_TOKENIZER_TRIE_H */
