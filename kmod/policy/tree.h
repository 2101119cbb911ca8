/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An ordered set of nodes that live in their owners, by a key that may wrap: a treap, so that every
 * operation takes steps in the order of log n whatever the keys. Equal keys keep the order in which
 * they came.
 */
#ifndef LLM_POLICY_TREE_H
#define LLM_POLICY_TREE_H

#include "types.h"

/**
 * struct llm_tree_node - a member
 * @parent: NULL at the root, and while it is in no tree
 * @child: below it: those before, those after
 * @key: as inserted
 * @priority: higher ones are nearer to the root; 0 while it is in no tree
 */
struct llm_tree_node {
	struct llm_tree_node *parent;
	struct llm_tree_node *child[2];
	u64 key;
	u32 priority;
};

/**
 * struct llm_tree - the set
 * @root: NULL: empty
 * @seed: of the priorities
 */
struct llm_tree {
	struct llm_tree_node *root;
	u32 seed;
};

static inline bool llm_tree_empty(const struct llm_tree *tree)
{
	return !tree->root;
}

static inline bool llm_tree_has(const struct llm_tree_node *node)
{
	return node->priority;
}

/** llm_key_before() - @a comes before @b, where keys may have wrapped between them */
static inline bool llm_key_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

static inline u64 llm_key_max(u64 a, u64 b)
{
	return llm_key_before(a, b) ? b : a;
}

void llm_tree_insert(struct llm_tree *tree, struct llm_tree_node *node, u64 key);
void llm_tree_remove(struct llm_tree *tree, struct llm_tree_node *node);
struct llm_tree_node *llm_tree_first(const struct llm_tree *tree);
struct llm_tree_node *llm_tree_after(const struct llm_tree *tree, u64 key);
struct llm_tree_node *llm_tree_before(const struct llm_tree *tree, u64 key);

#endif /* LLM_POLICY_TREE_H */
