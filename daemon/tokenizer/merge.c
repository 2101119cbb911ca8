/* SPDX-License-Identifier: MIT */
/* The merging of neighbours; what a good pair is, is up to the kinds of tokenizers. */
#include "tokenizer/merge.h"

/* ---- the heap ---- */

static void heap_push(struct tok_work *work, struct merge_pair pair)
{
	struct merge_pair *heap = work->heap;
	size_t i = work->heap_count++;

	while (i && heap[(i - 1) / 2].order > pair.order) {
		heap[i] = heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap[i] = pair;
}

static struct merge_pair heap_pop(struct tok_work *work)
{
	struct merge_pair *heap = work->heap, top = heap[0], last = heap[--work->heap_count];
	size_t n = work->heap_count, i = 0, child;

	while ((child = 2 * i + 1) < n) {
		if (child + 1 < n && heap[child + 1].order < heap[child].order)
			child++;
		if (heap[child].order >= last.order)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return top;
}

/* ---- symbols ---- */

int merge_start(struct tok_work *work, size_t count)
{
	size_t pairs;
	int r;

	work->symbol_count = 0;
	work->heap_count = 0;
	if (count >= MERGE_END || !size_mul(&pairs, count, 3))
		return -E2BIG;
	r = tok_grow(&work->symbols, &work->symbol_capacity, count, sizeof(*work->symbols));
	/* one pair per symbol to begin with; a merge ends one symbol and makes two pairs */
	return r < 0 ? r : tok_grow(&work->heap, &work->heap_capacity, pairs, sizeof(*work->heap));
}

void merge_add(struct tok_work *work, size_t at, size_t len, uint32_t id)
{
	uint32_t i = (uint32_t)work->symbol_count++;

	work->symbols[i] = (struct merge_symbol){
		.prev = i ? i - 1 : MERGE_END,
		.next = MERGE_END,
		.at = (uint32_t)at,
		.len = (uint32_t)len,
		.id = id,
	};
	if (i)
		work->symbols[i - 1].next = i;
}

static void consider(struct tok_work *work, const char *word, uint32_t left, uint32_t right,
		     merge_lookup *lookup)
{
	const struct merge_symbol *symbols = work->symbols;
	struct merge_pair pair;
	uint32_t order;

	if (left == MERGE_END || right == MERGE_END ||
	    !lookup(work->tok, word, &symbols[left], &symbols[right], &pair.id, &order))
		return;
	pair.order = (uint64_t)order << 32 | left;
	pair.len = symbols[left].len + symbols[right].len;
	heap_push(work, pair);
}

void merge_run(struct tok_work *work, const char *word, merge_lookup *lookup)
{
	struct merge_symbol *symbols = work->symbols;

	for (uint32_t i = 1; i < work->symbol_count; i++)
		consider(work, word, i - 1, i, lookup);
	while (work->heap_count) {
		struct merge_pair pair = heap_pop(work);
		struct merge_symbol *left = &symbols[(uint32_t)pair.order], *right;

		/* where one of the two was merged meanwhile, their length differs */
		if (!left->len || left->next == MERGE_END)
			continue;
		right = &symbols[left->next];
		if (left->len + right->len != pair.len)
			continue;
		left->len = pair.len;
		left->id = pair.id;
		right->len = 0;
		left->next = right->next;
		if (right->next != MERGE_END)
			symbols[right->next].prev = (uint32_t)pair.order;
		consider(work, word, left->prev, (uint32_t)pair.order, lookup);
		consider(work, word, (uint32_t)pair.order, left->next, lookup);
	}
}
