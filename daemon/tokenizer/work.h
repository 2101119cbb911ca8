/* SPDX-License-Identifier: MIT */
/*
 * What one tok_encode() call works with: where its ids go, and buffers that grow and are used again
 * for each fragment and word. It belongs to that call alone.
 */
#ifndef LLMOS_TOKENIZER_WORK_H
#define LLMOS_TOKENIZER_WORK_H

#include "tokenizer/unigram.h"

struct merge_symbol;
struct merge_pair;
struct pretok_work;

/** struct tok_work - zero-initialise but for tok, ids and max */
struct tok_work {
	const struct tokenizer *tok;
	struct tok_ids *ids;
	size_t max;			/* ids */
	struct merge_symbol *symbols;
	size_t symbol_count, symbol_capacity;
	struct merge_pair *heap;
	size_t heap_count, heap_capacity;
	char *text;			/* the fragment as the kind spells it */
	size_t text_capacity;
	struct pretok_work *pretok;
	struct unigram_work unigram;
};

void tok_work_free(struct tok_work *work);
/** tok_push() - append an id; -E2BIG, -ENOMEM */
int tok_push(struct tok_work *work, uint32_t id);
/** tok_has_bytes() - is there a token for each byte of a text? */
bool tok_has_bytes(const struct tokenizer *tok, const char *text, size_t len);
/** tok_push_bytes() - a text by the tokens of its bytes, or as unknown where one is missing */
int tok_push_bytes(struct tok_work *work, const char *text, size_t len);
/** tok_grow() - make room for @count elements of @size bytes in *(void **)@array; -ENOMEM */
int tok_grow(void *array, size_t *capacity, size_t count, size_t size);

#endif /* LLMOS_TOKENIZER_WORK_H */
