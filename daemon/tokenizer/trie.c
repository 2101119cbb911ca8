/* SPDX-License-Identifier: MIT */
/* Building and walking a tree of bytes; see trie.h. */
#include "tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/work.h"

void trie_free(struct trie *trie)
{
	free(trie->nodes);
	*trie = (struct trie){ 0 };
}

/* of equal texts the lower id first */
static int by_text(const void *a, const void *b, void *arg)
{
	const struct tok_texts *texts = arg;
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	size_t x_len, y_len;
	const char *x_text = tok_text(texts, x, &x_len), *y_text = tok_text(texts, y, &y_len);
	const int r = memcmp(x_text, y_text, MIN(x_len, y_len));

	if (r)
		return r;
	if (x_len != y_len)
		return x_len < y_len ? -1 : 1;
	return (x > y) - (x < y);
}

/** struct range - of the sorted ids, those whose texts begin with what a node stands for */
struct range {
	uint32_t low, high;
};

/** struct builder - nodes are made in the order of their depth, each by its parent */
struct builder {
	struct trie *trie;
	const struct tok_texts *texts;
	const uint32_t *ids;
	struct range *ranges;		/* (trie->count), of each node */
	size_t range_capacity;
};

static int add_node(struct builder *b, uint8_t byte, struct range range)
{
	struct trie *trie = b->trie;
	int r = tok_grow(&trie->nodes, &trie->capacity, trie->count + 1, sizeof(*trie->nodes));

	if (r >= 0)
		r = tok_grow(&b->ranges, &b->range_capacity, trie->count + 1, sizeof(*b->ranges));
	if (r < 0)
		return r;
	b->ranges[trie->count] = range;
	trie->nodes[trie->count++] = (struct trie_node){ .id = TOK_NONE, .byte = byte };
	return 0;
}

/* the texts of @node have @depth bytes in common: those that end there are it, the others go on */
static int add_children(struct builder *b, size_t node, size_t depth)
{
	const size_t first = b->trie->count;
	struct range range = b->ranges[node];
	size_t len;
	int r = 0;

	for (; range.low < range.high; range.low++) {
		tok_text(b->texts, b->ids[range.low], &len);
		if (len > depth)
			break;
		if (b->trie->nodes[node].id == TOK_NONE)
			b->trie->nodes[node].id = b->ids[range.low];
	}
	while (r >= 0 && range.low < range.high) {
		const uint8_t byte = (uint8_t)tok_text(b->texts, b->ids[range.low], &len)[depth];
		uint32_t end = range.low + 1;

		while (end < range.high &&
		       (uint8_t)tok_text(b->texts, b->ids[end], &len)[depth] == byte)
			end++;
		r = add_node(b, byte, (struct range){ range.low, end });
		range.low = end;
	}
	b->trie->nodes[node].children = (uint32_t)first;
	b->trie->nodes[node].child_count = (uint16_t)(b->trie->count - first);
	return r;
}

int trie_build(struct trie *trie, const struct tok_texts *texts, uint32_t *ids, size_t count)
{
	struct builder b = { .trie = trie, .texts = texts, .ids = ids };
	size_t level_end, node = 0;
	int r;

	if (count)
		qsort_r(ids, count, sizeof(*ids), by_text, (void *)texts);
	r = add_node(&b, 0, (struct range){ 0, (uint32_t)count });
	for (size_t depth = 0; r >= 0 && node < trie->count; depth++)
		for (level_end = trie->count; r >= 0 && node < level_end; node++)
			r = add_children(&b, node, depth);
	free(b.ranges);
	return r;
}

uint32_t trie_step(const struct trie *trie, uint32_t node, uint8_t byte)
{
	uint32_t low = trie->nodes[node].children, high = low + trie->nodes[node].child_count;
	const uint32_t end = high;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (trie->nodes[middle].byte < byte)
			low = middle + 1;
		else
			high = middle;
	}
	return low < end && trie->nodes[low].byte == byte ? low : TRIE_NONE;
}
