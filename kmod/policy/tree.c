// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The ordered set: see tree.h.
 */
#include "tree.h"

/* Never 0. The keys are what a tenant can choose; the priorities are not. */
static u32 llm_tree_random(struct llm_tree *tree)
{
	u32 x = tree->seed ? tree->seed : 2463534242U;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	tree->seed = x;
	return x;
}

static int llm_tree_side(const struct llm_tree_node *node)
{
	return node->parent->child[1] == node;
}

/* Puts @node where @old was below its parent; @node may be NULL. */
static void llm_tree_replace(struct llm_tree *tree, struct llm_tree_node *old,
			     struct llm_tree_node *node)
{
	if (old->parent)
		old->parent->child[llm_tree_side(old)] = node;
	else
		tree->root = node;
	if (node)
		node->parent = old->parent;
}

/* Lifts @node above its parent. */
static void llm_tree_rotate(struct llm_tree *tree, struct llm_tree_node *node)
{
	struct llm_tree_node *parent = node->parent;
	const int side = llm_tree_side(node);
	struct llm_tree_node *inner = node->child[!side];

	llm_tree_replace(tree, parent, node);
	node->child[!side] = parent;
	parent->parent = node;
	parent->child[side] = inner;
	if (inner)
		inner->parent = parent;
}

/**
 * llm_tree_insert() - takes a node in
 * @tree: the set
 * @node: in no tree
 * @key: its place; behind those with the same key
 */
void llm_tree_insert(struct llm_tree *tree, struct llm_tree_node *node, u64 key)
{
	struct llm_tree_node *at = tree->root;

	*node = (struct llm_tree_node){ .key = key, .priority = llm_tree_random(tree) };
	if (!at) {
		tree->root = node;
		return;
	}
	for (;;) {
		const int side = !llm_key_before(key, at->key);

		if (!at->child[side]) {
			at->child[side] = node;
			node->parent = at;
			break;
		}
		at = at->child[side];
	}
	while (node->parent && node->parent->priority < node->priority)
		llm_tree_rotate(tree, node);
}

/**
 * llm_tree_remove() - lets a node go
 * @tree: the set
 * @node: in it, or in none
 */
void llm_tree_remove(struct llm_tree *tree, struct llm_tree_node *node)
{
	if (!llm_tree_has(node))
		return;
	while (node->child[0] && node->child[1])
		llm_tree_rotate(tree, node->child[node->child[0]->priority <
						  node->child[1]->priority]);
	llm_tree_replace(tree, node, node->child[!node->child[0]]);
	*node = (struct llm_tree_node){ .priority = 0 };
}

/** llm_tree_first() - the node with the lowest key, or NULL */
struct llm_tree_node *llm_tree_first(const struct llm_tree *tree)
{
	struct llm_tree_node *node = tree->root;

	while (node && node->child[0])
		node = node->child[0];
	return node;
}

/** llm_tree_after() - the node with the lowest key above this one, or NULL */
struct llm_tree_node *llm_tree_after(const struct llm_tree *tree, u64 key)
{
	struct llm_tree_node *node = tree->root, *best = NULL;

	while (node) {
		const bool above = llm_key_before(key, node->key);

		if (above)
			best = node;
		node = node->child[!above];
	}
	return best;
}

/** llm_tree_before() - the node with the highest key below this one, or NULL */
struct llm_tree_node *llm_tree_before(const struct llm_tree *tree, u64 key)
{
	struct llm_tree_node *node = tree->root, *best = NULL;

	while (node) {
		const bool below = llm_key_before(node->key, key);

		if (below)
			best = node;
		node = node->child[below];
	}
	return best;
}
