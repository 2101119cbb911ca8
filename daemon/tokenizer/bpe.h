/* SPDX-License-Identifier: MIT */
/*
 * The merges of byte-level BPE: which two symbols become which, and how early. Symbols are tokens
 * of the vocabulary, and strings that occur in merges only: those have ids past the vocabulary.
 */
#ifndef LLMOS_TOKENIZER_BPE_H
#define LLMOS_TOKENIZER_BPE_H

#include "tokenizer/vocab.h"

struct bpe_merge {
	uint64_t pair;			/* left id, right id */
	uint32_t rank;			/* its place in the file */
	uint32_t id;			/* of the two together; TOK_NONE: the slot is free */
};

struct bpe {
	struct bpe_merge *slots;
	size_t mask;
	struct hash_key key;
	struct table by_piece;		/* normal tokens by their bytes in running text */
	char *extra;			/* the strings that are no tokens, one after the other */
	size_t extra_size;
	uint32_t extra_count;
	uint32_t symbol_ids[256];	/* a byte as a symbol: a token, or past the vocabulary */
};

/**
 * bpe_merges_load() - fill in the merges; by_text of @tok gets the strings that are no tokens
 * @key: of the list in @gguf
 */
int bpe_merges_load(struct tokenizer *tok, struct bpe *bpe, const struct gguf *gguf,
		    const char *key, struct error *error);
/** bpe_merge_find() - NULL if these two do not merge */
const struct bpe_merge *bpe_merge_find(const struct bpe *bpe, uint32_t left, uint32_t right);
/** bpe_byte_char() - how byte-level BPE writes a byte in the vocabulary; returns the length */
size_t bpe_byte_char(unsigned int byte, char *buf);
/** bpe_char_byte() - and back: -1 if no byte is written so */
int bpe_char_byte(uint32_t code);

#endif /* LLMOS_TOKENIZER_BPE_H */
