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

const char *gram_vocab_piece(const struct gram_vocab *vocab, uint32_t id, bool first,
			     size_t *ret_len)
{
	const uint32_t cut = first && id < vocab->token_count ? vocab->cut[id] : 0;

	*ret_len = 0;
	if (id >= vocab->token_count)
		return vocab->bytes;
	*ret_len = vocab->at[id + 1] - vocab->at[id] - cut;
	return vocab->bytes + vocab->at[id] + cut;
}

static size_t gather(const struct gram_vocab *vocab, bool first, struct token *tokens)
{
	size_t count = 0, len;

	for (uint32_t id = 0; id < vocab->token_count; id++) {
		const char *bytes = gram_vocab_piece(vocab, id, first, &len);

		if (len)
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

static int add_end(struct gram_vocab *vocab, size_t *capacity, uint32_t id)
{
	uint32_t *ends = grow(vocab->ends, capacity, vocab->end_count + 1, sizeof(*ends));

	if (!ends)
		return -ENOMEM;
	vocab->ends = ends;
	ends[vocab->end_count++] = id;
	return 0;
}

/* how many bytes of a token are left out at the beginning of a text */
static uint8_t cut_of(const struct tokenizer *tok, uint32_t id, size_t len)
{
	size_t first_len = len;

	tok_piece(tok, id, true, false, &first_len);
	return (uint8_t)(first_len < len ? MIN(len - first_len, (size_t)UINT8_MAX) : 0);
}

/* what the tokenizer knows of its tokens; *ret_cuts: some are spelled differently at first */
static int copy_tokens(struct gram_vocab *vocab, const struct tokenizer *tok, bool *ret_cuts)
{
	size_t count = 0, capacity = 0, end_capacity = 0;
	int r = 0;

	for (uint32_t id = 0; !r && id < vocab->token_count; id++) {
		size_t len = 0;
		const char *bytes = tok_piece(tok, id, false, false, &len);
		char *grown;

		vocab->at[id] = (uint32_t)count;
		if (tok_is_end(tok, id)) {
			r = add_end(vocab, &end_capacity, id);
			continue;
		}
		if (!bytes || !len || len > GRAM_TOKEN_BYTES_MAX)
			continue;
		if (count + len > UINT32_MAX)
			return -E2BIG;
		grown = grow(vocab->bytes, &capacity, count + len, 1);
		if (!grown)
			return -ENOMEM;
		vocab->bytes = grown;
		memcpy(grown + count, bytes, len);
		count += len;
		vocab->cut[id] = cut_of(tok, id, len);
		*ret_cuts |= vocab->cut[id];
	}
	vocab->at[vocab->token_count] = (uint32_t)count;
	return r;
}

int gram_vocab_new(struct gram_vocab **ret, const struct tokenizer *tok, uint32_t size)
{
	_cleanup_(gram_vocab_unrefp) struct gram_vocab *vocab = calloc(1, sizeof(*vocab));
	const uint32_t token_count = MIN(size, tok_vocab(tok));
	_cleanup_free_ struct token *tokens = calloc((size_t)token_count + 1, sizeof(*tokens));
	bool cuts = false;
	int r;

	if (vocab)
		atomic_init(&vocab->users, 1);
	if (!vocab || !tokens)
		return -ENOMEM;
	vocab->size = size;
	vocab->token_count = token_count;
	vocab->at = calloc((size_t)token_count + 1, sizeof(*vocab->at));
	vocab->cut = calloc((size_t)token_count + 1, sizeof(*vocab->cut));
	if (!vocab->at || !vocab->cut)
		return -ENOMEM;
	r = copy_tokens(vocab, tok, &cuts);
	if (!r)
		r = build_tree(&vocab->tree, tokens, gather(vocab, false, tokens));
	if (!r && cuts)
		r = build_tree(&vocab->first_tree, tokens, gather(vocab, true, tokens));
	if (r < 0)
		return r;
	vocab->depth = MAX(tree_depth(&vocab->tree), tree_depth(&vocab->first_tree));
	*ret = steal_ptr(vocab);
	return 0;
}

struct gram_vocab *gram_vocab_ref(struct gram_vocab *vocab)
{
	atomic_fetch_add_explicit(&vocab->users, 1, memory_order_relaxed);
	return vocab;
}

void gram_vocab_unref(struct gram_vocab *vocab)
{
	if (!vocab || atomic_fetch_sub_explicit(&vocab->users, 1, memory_order_acq_rel) > 1)
		return;
	free(vocab->tree.branches);
	free(vocab->tree.ids);
	free(vocab->first_tree.branches);
	free(vocab->first_tree.ids);
	free(vocab->ends);
	free(vocab->bytes);
	free(vocab->at);
	free(vocab->cut);
	free(vocab);
}
