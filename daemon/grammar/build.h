/* SPDX-License-Identifier: MIT */
/*
 * A grammar in the making: rules, whose bodies are trees of expressions over Unicode code points.
 * Parsers put expressions together from their parts; an expression is used once, what is wanted
 * more often is a rule. Errors stick: whoever builds need not look at each step, for
 * gram_compile() does.
 */
#ifndef LLMOS_GRAMMAR_BUILD_H
#define LLMOS_GRAMMAR_BUILD_H

#include "base/util.h"

#define GRAM_NONE		UINT32_MAX
#define GRAM_ENDLESS		UINT32_MAX	/* as the upper bound of a repetition */
#define GRAM_CODE_MAX		0x10ffffU
#define GRAM_NODES_MAX		(1U << 20)
#define GRAM_NESTING_MAX	200		/* groups in groups, schemas in schemas */

struct grammar;

enum gram_kind {
	GRAM_LITERAL,	/* bytes of UTF-8, may be none */
	GRAM_CLASS,	/* one character of some ranges */
	GRAM_RULE,
	GRAM_SEQUENCE,
	GRAM_CHOICE,
	GRAM_REPEAT,
};

/** struct gram_range - code points, both ends included */
struct gram_range {
	uint32_t first;
	uint32_t last;
};

/**
 * struct gram_node - an expression
 * @kind: of it
 * @last: SEQUENCE, CHOICE, REPEAT: the last of its parts
 * @before: the part before this one
 * @at: LITERAL: first byte; CLASS: first range; RULE: which; REPEAT: at least
 * @count: LITERAL: bytes; CLASS: ranges; REPEAT: at most
 */
struct gram_node {
	enum gram_kind kind;
	uint32_t last;
	uint32_t before;
	uint32_t at;
	uint32_t count;
};

/** struct gram_rule - @name: NULL: nobody gave it one; @body: GRAM_NONE: not defined */
struct gram_rule {
	char *name;
	uint32_t body;
};

/** struct gram_build - zero-initialise; gram_build_done() frees what it holds */
struct gram_build {
	struct gram_node *nodes;
	size_t node_count;
	size_t node_capacity;
	struct gram_range *ranges;
	size_t range_count;
	size_t range_capacity;
	char *bytes;
	size_t byte_count;
	size_t byte_capacity;
	struct gram_rule *rules;
	size_t rule_count;
	size_t rule_capacity;
	int error;
};

void gram_build_done(struct gram_build *build);

/* Each returns the new expression; GRAM_NONE once an error sticks. */

uint32_t gram_literal(struct gram_build *build, const char *bytes, size_t len);
/** gram_text() - a literal of a string */
uint32_t gram_text(struct gram_build *build, const char *text);
/** gram_class() - in any order, overlapping or not; none at all matches nothing */
uint32_t gram_class(struct gram_build *build, const struct gram_range *ranges, size_t count);
/** gram_range() - a class of one range */
uint32_t gram_range(struct gram_build *build, uint32_t first, uint32_t last);
uint32_t gram_use(struct gram_build *build, uint32_t rule);
uint32_t gram_sequence(struct gram_build *build);
uint32_t gram_choice(struct gram_build *build);
/** gram_add() - one more part of a sequence, or a choice */
void gram_add(struct gram_build *build, uint32_t list, uint32_t part);
/** gram_pair() - a sequence of two */
uint32_t gram_pair(struct gram_build *build, uint32_t first, uint32_t second);
/** gram_repeat() - @most: GRAM_ENDLESS: any number */
uint32_t gram_repeat(struct gram_build *build, uint32_t part, uint32_t least, uint32_t most);
uint32_t gram_maybe(struct gram_build *build, uint32_t part);

/** gram_rule() - a rule without a body; its name is copied; returns its number, or GRAM_NONE */
uint32_t gram_rule(struct gram_build *build, const char *name, size_t len);
void gram_define(struct gram_build *build, uint32_t rule, uint32_t body);

/**
 * gram_invert() - the characters that are in none of the ranges
 * @to: out, has room for 2 * count + 2
 *
 * Return: how many ranges.
 */
size_t gram_invert(const struct gram_range *ranges, size_t count, struct gram_range *to);

/**
 * gram_compile() - make the machine
 * @root: the rule that an answer matches
 *
 * Return: 0; what stuck, or as gram_new_gbnf().
 */
int gram_compile(struct grammar **ret, struct gram_build *build, uint32_t root,
		 struct error *error);

#endif /* LLMOS_GRAMMAR_BUILD_H */
