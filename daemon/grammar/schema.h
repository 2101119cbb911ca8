/* SPDX-License-Identifier: MIT */
/*
 * A JSON schema on its way to a grammar: shared by the files schema*.c, each of which knows one
 * type, or one way to put schemas together.
 */
#ifndef LLMOS_GRAMMAR_SCHEMA_H
#define LLMOS_GRAMMAR_SCHEMA_H

#include <jansson.h>

#include "base/table.h"
#include "grammar/json.h"

#define SCHEMA_WORK_MAX	(1U << 21)	/* steps, of which each takes less than a microsecond */

/**
 * struct schema - a schema being read
 * @root: the whole of it
 * @refs: rules of what was referred to, by the text of the reference
 * @made: an array of schemas that were put together from others
 * @depth: schemas within schemas
 * @work: steps of putting schemas together and comparing them; see schema_work()
 */
struct schema {
	struct gram_build build;
	struct gram_json json;
	json_t *root;
	struct table refs;
	json_t *made;
	unsigned int depth;
	uint64_t work;
	struct error *error;
};

/** schema_add() - the expression of any schema; 0 or as gram_new_schema() */
int schema_add(struct schema *s, json_t *schema, uint32_t *ret);

/** schema_work() - so many steps more; 0, or -E2BIG: it would take too long */
int schema_work(struct schema *s, uint64_t steps);
/** schema_copy_work() - the steps of copying or going through an object, by members and names */
uint64_t schema_copy_work(const json_t *object);
/**
 * schema_equal() - are two values the same? Steps are counted: once there were too many, the answer
 * means nothing, and schema_work() says so
 */
bool schema_equal(struct schema *s, const json_t *a, const json_t *b);
/** schema_rule() - a new rule with this body, or GRAM_NONE: what would nest without end does not */
uint32_t schema_rule(struct schema *s, uint32_t body);
/** schema_refused() - a keyword that is there and not known; -EOPNOTSUPP */
int schema_refused(struct schema *s, const char *keyword, const char *why);

/* Of one type; keywords of others are no concern of theirs. */

int schema_string(struct schema *s, json_t *schema, uint32_t *ret);
int schema_integer(struct schema *s, json_t *schema, uint32_t *ret);
int schema_number(struct schema *s, json_t *schema, uint32_t *ret);
int schema_array(struct schema *s, json_t *schema, uint32_t *ret);
int schema_object(struct schema *s, json_t *schema, uint32_t *ret);

/** schema_resolve() - what a reference points at; 0, -EINVAL nothing, -EOPNOTSUPP elsewhere */
int schema_resolve(struct schema *s, json_t *reference, json_t **ret);
/**
 * schema_merge() - a schema that asks for what both ask for
 * @ret: out, stays as long as @s
 *
 * Return: 0; -EOPNOTSUPP two keywords can not be put together, -EINVAL, -E2BIG, -ENOMEM.
 */
int schema_merge(struct schema *s, json_t *a, json_t *b, json_t **ret);
/** schema_without() - the same without a keyword; @ret stays as long as @s; 0, -E2BIG, -ENOMEM */
int schema_without(struct schema *s, json_t *schema, const char *keyword, json_t **ret);
/** schema_is_note() - does this keyword ask for nothing? */
bool schema_is_note(const char *keyword);
/** schema_asks() - is there a keyword that asks for something? */
bool schema_asks(const json_t *schema);
/** schema_count() - a keyword that is a number of things; @ret unchanged if it is not there */
int schema_count(struct schema *s, const json_t *schema, const char *keyword, uint32_t *ret);
/** schema_disjoint() - is there surely nothing that is valid in both? */
bool schema_disjoint(struct schema *s, json_t *a, json_t *b, unsigned int depth);
/** schema_type_of() - the name of a value's type, as "type" has it */
const char *schema_type_of(const json_t *value);
/** schema_allows_type() - can a value of this type be valid, as far as "type" says? */
bool schema_allows_type(const json_t *schema, const char *type);

#endif /* LLMOS_GRAMMAR_SCHEMA_H */
