/* SPDX-License-Identifier: MIT */
/*
 * A compiled grammar: positions between bytes, as in a recursive transition network. Equal
 * positions with equal continuations are one, so that equal ways on are told by their numbers.
 * Only files of this room look into it.
 */
#ifndef LLMOS_GRAMMAR_PROGRAM_H
#define LLMOS_GRAMMAR_PROGRAM_H

#include <stdatomic.h>

#include "grammar/build.h"
#include "grammar/grammar.h"

#define GRAM_POSITIONS_MAX	(1U << 18)
#define GRAM_SETS_MAX		(1U << 15)
#define GRAM_END		0U	/* the position where every rule ends */

enum gram_pos_kind {
	GRAM_POS_END,
	GRAM_POS_BYTE,	/* one byte of a set, then next */
	GRAM_POS_SPLIT,	/* next, or other */
	GRAM_POS_CALL,	/* a rule, then next */
};

/**
 * struct gram_pos - a position
 * @kind: enum gram_pos_kind
 * @is_dead: no way leads from here to the end
 * @next: what follows
 * @arg: BYTE: the set; SPLIT: the other way; CALL: the rule
 */
struct gram_pos {
	uint8_t kind;
	bool is_dead;
	uint32_t next;
	uint32_t arg;
};

/** struct gram_set - of bytes */
struct gram_set {
	uint64_t bits[4];
};

static inline bool gram_set_has(const struct gram_set *set, uint8_t byte)
{
	return set->bits[byte / 64] >> byte % 64 & 1;
}

/**
 * struct grammar - immutable
 * @users: references
 * @pos: positions (pos_count)
 * @sets: of bytes (set_count)
 * @entries: where each rule begins (rule_count)
 * @names: of the rules, for errors; NULL once it is made
 * @start: where an answer begins
 * @class_count: bytes that are in the same sets are of one class
 * @class_of: class of each byte
 * @byte_of: one byte of each class
 */
struct grammar {
	atomic_uint users;
	struct gram_pos *pos;
	size_t pos_count;
	struct gram_set *sets;
	size_t set_count;
	uint32_t *entries;
	char **names;
	size_t rule_count;
	uint32_t start;
	unsigned int class_count;
	uint8_t class_of[256];
	uint8_t byte_of[256];
};

/** struct gram_bytes - one byte of a range */
struct gram_bytes {
	uint8_t first;
	uint8_t last;
};

/** struct gram_spelling - the characters whose UTF-8 has a byte of each of these ranges */
struct gram_spelling {
	struct gram_bytes bytes[4];
	unsigned int len;
};

/**
 * gram_spell() - the UTF-8 of some characters, without surrogates
 * @ranges: are sorted, and joined where they touch (count)
 * @ret: out, to be freed, in the order of their bytes: where two begin alike, they do so with the
 *	same range
 *
 * Return: 0 or -ENOMEM.
 */
int gram_spell(struct gram_range *ranges, size_t count, struct gram_spelling **ret,
	       size_t *ret_count);

/** gram_check() - mark dead positions; 0, -EINVAL left recursion or no way to the end, -ENOMEM */
int gram_check(struct grammar *grammar, struct error *error);

#endif /* LLMOS_GRAMMAR_PROGRAM_H */
