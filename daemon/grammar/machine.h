/* SPDX-License-Identifier: MIT */
/*
 * Where an answer can be in its grammar: states, each a set of positions with the stacks of callers
 * that lead there. All stacks of a state share what they have in common, and equal states are one,
 * so that ambiguity costs no more than the grammar has positions, and a step that was made once is
 * a look into a table. Memory is bounded: gram_machine_reset() forgets all states but one. Owned by
 * one thread at a time.
 */
#ifndef LLMOS_GRAMMAR_MACHINE_H
#define LLMOS_GRAMMAR_MACHINE_H

#include "base/hash.h"
#include "grammar/program.h"

#define GRAM_DEAD		0U	/* the state in which nothing matches any more */
#define GRAM_UNKNOWN		UINT32_MAX
#define GRAM_MACHINE_BYTES_MAX	(46U << 20)	/* with what a reset needs besides */
#define GRAM_DEPTH_MAX		1024	/* calls in calls; what is deeper does not match */

/**
 * struct gram_state - a state
 * @items: first of its items
 * @item_count: of them
 * @ways: first of its entries in the table of steps; GRAM_UNKNOWN: it has none yet
 * @accepts: the answer may end here
 */
struct gram_state {
	uint32_t items;
	uint32_t item_count;
	uint32_t ways;
	bool accepts;
};

/** struct gram_item - a position that takes a byte, and the stack below it */
struct gram_item {
	uint32_t pos;
	uint32_t stack;
};

/**
 * struct gram_stack - a set of stacks, told by what is on top
 * @entries: first of them: each a position to return to, and the stacks below; in order of position
 * @entry_count: of them
 * @depth: of the deepest
 * @has_bottom: one of the stacks is empty: to return from there is the end of the answer
 */
struct gram_stack {
	uint32_t entries;
	uint32_t entry_count;
	uint32_t depth;
	bool has_bottom;
};

/** struct gram_union - what the union of two sets of stacks is, found by a step */
struct gram_union {
	uint32_t a;
	uint32_t b;
	uint32_t both;
	uint32_t step;
};

/** struct gram_array - @most: elements past which its memory does not grow ahead of need */
struct gram_array {
	void *memory;
	size_t capacity;
	size_t count;
	size_t most;
};

/**
 * struct gram_machine - states as they are met
 * @grammar: is not owned
 * @key: of the hash tables
 * @states, @items, @ways: of struct gram_state, struct gram_item, and uint32_t
 * @stacks, @entries: of struct gram_stack and struct gram_item
 * @state_slots, @stack_slots: hash tables of them, as index + 1
 * @unions: hash table of those that the step being made has found (union_count)
 * @step: its number since the last reset; unions of another are not there
 * @work: steps since the last reset
 * @at: of each position: 1 + its place in @open, while a state is made
 * @open: positions of that state, with their stacks
 * @todo: those of @open that are to be looked at
 */
struct gram_machine {
	const struct grammar *grammar;
	struct hash_key key;
	struct gram_array states;
	struct gram_array items;
	struct gram_array ways;
	struct gram_array stacks;
	struct gram_array entries;
	uint32_t *state_slots;
	uint32_t *stack_slots;
	struct gram_union *unions;
	uint32_t union_count;
	uint32_t step;
	uint64_t work;
	uint32_t *at;
	struct gram_array open;
	struct gram_array todo;
};

/**
 * gram_machine_init() - make ready
 * @ret_start: out, the state in which an answer begins
 *
 * Return: 0, or as gram_machine_find().
 */
int gram_machine_init(struct gram_machine *m, const struct grammar *grammar, uint32_t *ret_start);
void gram_machine_done(struct gram_machine *m);

/**
 * gram_machine_find() - where a byte leads, if that is not in the table
 * @class: of the byte
 *
 * Return: 0; -ENOBUFS memory or work since the last reset is over its bound, -ENOMEM.
 */
int gram_machine_find(struct gram_machine *m, uint32_t state, unsigned int class, uint32_t *ret);
/** gram_machine_reset() - forget all but @state, whose number changes; as gram_machine_find() */
int gram_machine_reset(struct gram_machine *m, uint32_t *state);
/** gram_machine_bytes() - of memory that it takes; GRAM_MACHINE_BYTES_MAX at most */
size_t gram_machine_bytes(const struct gram_machine *m);
/** gram_machine_is_full() - is there less than half of what the bounds allow left? */
bool gram_machine_is_full(const struct gram_machine *m);

static inline const struct gram_state *gram_state(const struct gram_machine *m, uint32_t state)
{
	return (const struct gram_state *)m->states.memory + state;
}

/** gram_machine_step() - where a byte leads; 0, or as gram_machine_find() */
static inline int gram_machine_step(struct gram_machine *m, uint32_t state, uint8_t byte,
				    uint32_t *ret)
{
	const unsigned int class = m->grammar->class_of[byte];
	const uint32_t ways = gram_state(m, state)->ways;

	if (ways != GRAM_UNKNOWN) {
		*ret = ((const uint32_t *)m->ways.memory)[ways + class];
		if (*ret != GRAM_UNKNOWN)
			return 0;
	}
	return gram_machine_find(m, state, class, ret);
}

#endif /* LLMOS_GRAMMAR_MACHINE_H */
