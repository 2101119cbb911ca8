/* SPDX-License-Identifier: MIT */
/* Tokens as a tree of bytes; see vocab.h. */
#include "grammar/vocab.h"

#include <string.h>

#include "grammar/grow.h"

struct token {
	const char *bytes;
	uint32_t len;
	uint32_t id;
};

/* ---- in the order of their bytes ---- */

static int compare_tokens(const void *a, const void *b)
{
	const struct token *x = a, *y = b;
	const int order = memcmp(x->bytes, y->bytes, MIN(x->len, y->len));

	if (order)
		return order;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static size_t gather(const struct gram_vocab *vocab, bool first, struct token *tokens)
{
	size_t count = 0;

	for (uint32_t id = 0; id < vocab->token_count; id++) {
		size_t len = 0;
		const char *bytes = tok_piece(vocab->tok, id, first, false, &len);

		if (!bytes || !len || len > GRAM_TOKEN_BYTES_MAX || tok_is_end(vocab->tok, id))
			continue;
		tokens[count++] = (struct token){ bytes, (uint32_t)len, id };
	}
	qsort(tokens, count, sizeof(*tokens), compare_tokens);
	return count;
}

/* ---- the tree ---- */

static uint32_t shared_len(const struct token *a, const struct token *b)
{
	const uint32_t len = MIN(a->len, b->len);
	uint32_t i = 0;

	while (i < len && a->bytes[i] == b->bytes[i])
		i++;
	return i;
}

static size_t count_branches(const struct token *tokens, size_t count)
{
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += tokens[i].len - (i ? shared_len(&tokens[i - 1], &tokens[i]) : 0);
	return sum;
}

/* where no branch follows that is as deep or deeper, the one before ends */
static void close_branches(struct gram_tree *tree, uint32_t *open, uint32_t depth, uint32_t from)
{
	for (; from > depth; from--)
		tree->branches[open[from]].skip = (uint32_t)tree->branch_count;
}

static int build_tree(struct gram_tree *tree, const struct token *tokens, size_t count)
{
	uint32_t open[GRAM_TOKEN_BYTES_MAX + 1], depth = 0;

	tree->branches = calloc(count_branches(tokens, count) + 1, sizeof(*tree->branches));
	tree->ids = calloc(count + 1, sizeof(*tree->ids));
	if (!tree->branches || !tree->ids)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const uint32_t shared = i ? shared_len(&tokens[i - 1], &tokens[i]) : 0;

		close_branches(tree, open, shared, depth);
		for (depth = shared + 1; depth <= tokens[i].len; depth++) {
			open[depth] = (uint32_t)tree->branch_count;
			tree->branches[tree->branch_count++] = (struct gram_branch){
				.tokens = (uint32_t)tree->id_count,
				.depth = (uint16_t)depth,
				.byte = (uint8_t)tokens[i].bytes[depth - 1],
			};
		}
		depth = tokens[i].len;
		tree->ids[tree->id_count++] = tokens[i].id;
	}
	close_branches(tree, open, 0, depth);
	tree->branches[tree->branch_count].tokens = (uint32_t)tree->id_count;
	return 0;
}

static unsigned int tree_depth(const struct gram_tree *tree)
{
	unsigned int depth = 0;

	for (size_t i = 0; i < tree->branch_count; i++)
		depth = MAX(depth, (unsigned int)tree->branches[i].depth);
	return depth;
}

/* ---- all of it ---- */

static int find_ends(struct gram_vocab *vocab)
{
	size_t capacity = 0;

	for (uint32_t id = 0; id < vocab->token_count; id++) {
		uint32_t *ends;

		if (!tok_is_end(vocab->tok, id))
			continue;
		ends = grow(vocab->ends, &capacity, vocab->end_count + 1, sizeof(*ends));
		if (!ends)
			return -ENOMEM;
		vocab->ends = ends;
		ends[vocab->end_count++] = id;
	}
	return 0;
}

/* is any token spelled differently at the beginning of a text? */
static bool has_first(const struct gram_vocab *vocab)
{
	for (uint32_t id = 0; id < vocab->token_count; id++) {
		size_t len = 0, first_len = 0;

		if (tok_piece(vocab->tok, id, true, false, &first_len) !=
		    tok_piece(vocab->tok, id, false, false, &len) || first_len != len)
			return true;
	}
	return false;
}

int gram_vocab_new(struct gram_vocab **ret, const struct tokenizer *tok, uint32_t size)
{
	_cleanup_(gram_vocab_freep) struct gram_vocab *vocab = calloc(1, sizeof(*vocab));
	const uint32_t token_count = MIN(size, tok_vocab(tok));
	_cleanup_free_ struct token *tokens = calloc((size_t)token_count + 1, sizeof(*tokens));
	int r;

	if (!vocab || !tokens)
		return -ENOMEM;
	vocab->tok = tok;
	vocab->size = size;
	vocab->token_count = token_count;
	r = build_tree(&vocab->tree, tokens, gather(vocab, false, tokens));
	if (!r && has_first(vocab))
		r = build_tree(&vocab->first_tree, tokens, gather(vocab, true, tokens));
	if (!r)
		r = find_ends(vocab);
	if (r < 0)
		return r;
	vocab->depth = MAX(tree_depth(&vocab->tree), tree_depth(&vocab->first_tree));
	*ret = steal_ptr(vocab);
	return 0;
}

void gram_vocab_free(struct gram_vocab *vocab)
{
	if (!vocab)
		return;
	free(vocab->tree.branches);
	free(vocab->tree.ids);
	free(vocab->first_tree.branches);
	free(vocab->first_tree.ids);
	free(vocab->ends);
	free(vocab);
}
