/* SPDX-License-Identifier: MIT */
/*
 * Grammars that constrain an answer: rules over characters, compiled to a pushdown machine over
 * bytes. They come from GBNF text or from a JSON schema, both of them hostile. A struct grammar is
 * immutable after it was made and may be shared by threads. What it allows next is told by
 * grammar/matcher.h.
 */
#ifndef LLMOS_GRAMMAR_GRAMMAR_H
#define LLMOS_GRAMMAR_GRAMMAR_H

#include "base/util.h"

#define GRAM_TEXT_MAX	(1U << 20)	/* bytes of GBNF or of a schema */

struct grammar;

/**
 * gram_new_gbnf() - compile GBNF
 * @text: UTF-8 (len): rules "name ::= ..." of literals, character classes, references, groups,
 *	alternatives and repetitions (* + ? {n} {n,} {n,m}); the answer is what "root" matches
 *
 * Return: 0; -EINVAL it is malformed, left-recursive, or nothing that ends matches it, -EILSEQ not
 * UTF-8, -E2BIG longer than GRAM_TEXT_MAX, or it has too many states, -ENOMEM. The text names the
 * line, or the rule.
 */
int gram_new_gbnf(struct grammar **ret, const char *text, size_t len, struct error *error);
/**
 * gram_new_schema() - compile a JSON schema
 * @text: JSON (len): an object or a boolean; the keywords of 2020-12 in llmctl(1)
 *
 * Every answer that the grammar allows is valid, not every valid answer is allowed: the properties
 * come in the order of the schema, and where it does not ask for others there are none.
 *
 * Return: 0; -EINVAL not JSON or no schema, or nothing is valid, -EOPNOTSUPP a keyword (the text
 * names it) that would have to be obeyed and is not known, -E2BIG too long or too many states,
 * -ENOMEM.
 */
int gram_new_schema(struct grammar **ret, const char *text, size_t len, struct error *error);
/** gram_new_json() - any JSON value; 0 or -ENOMEM */
int gram_new_json(struct grammar **ret, struct error *error);
/** gram_ref() - one more reference; by any thread that has one */
struct grammar *gram_ref(struct grammar *grammar);
/** gram_free() - give a reference back; NULL is fine; the last one frees it */
void gram_free(struct grammar *grammar);
/** gram_bytes() - of memory that it takes */
size_t gram_bytes(const struct grammar *grammar);
DEFINE_CLEANUP(struct grammar *, gram_free);

#endif /* LLMOS_GRAMMAR_GRAMMAR_H */
