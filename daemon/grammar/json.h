/* SPDX-License-Identifier: MIT */
/*
 * What JSON is made of, as expressions and rules. Space between tokens is a blank, or the end of a
 * line and some blanks, and numbers are as long as a double has a use for, so that an answer can
 * not go on for ever about nothing.
 */
#ifndef LLMOS_GRAMMAR_JSON_H
#define LLMOS_GRAMMAR_JSON_H

#include "grammar/build.h"

#define JSON_INTEGER_DIGITS	16	/* of an integer, and before the point of a number */

/** struct gram_json - rules, GRAM_NONE until they were asked for; see gram_json_init() */
struct gram_json {
	struct gram_build *build;
	uint32_t space;
	uint32_t character;	/* of a string */
	uint32_t string;
	uint32_t number;
	uint32_t integer;
	uint32_t value;
};

void gram_json_init(struct gram_json *json, struct gram_build *build);

/* Each returns a new expression, as those of grammar/build.h do. */

uint32_t gram_json_space(struct gram_json *json);
uint32_t gram_json_character(struct gram_json *json);
uint32_t gram_json_string(struct gram_json *json);
uint32_t gram_json_number(struct gram_json *json);
uint32_t gram_json_integer(struct gram_json *json);
uint32_t gram_json_value(struct gram_json *json);
uint32_t gram_json_array(struct gram_json *json);
uint32_t gram_json_object(struct gram_json *json);
/** gram_json_member() - a key that was spelled, and the value behind it */
uint32_t gram_json_member(struct gram_json *json, uint32_t key, uint32_t value);
/** gram_json_enclose() - "{" or "[", what is within, and the other one */
uint32_t gram_json_enclose(struct gram_json *json, char open, uint32_t inner, char close);
/** gram_json_comma() - what stands behind a comma */
uint32_t gram_json_comma(struct gram_json *json, uint32_t item);

/** gram_json_class() - a character of a string, escaped where it has to be (count ranges) */
uint32_t gram_json_class(struct gram_build *build, const struct gram_range *ranges, size_t count);
/** gram_json_quoted() - a text as a string (len) */
uint32_t gram_json_quoted(struct gram_build *build, const char *text, size_t len);
/** gram_json_other_key() - a string that is none of these (count), without escapes */
uint32_t gram_json_other_key(struct gram_build *build, const char *const *names, size_t count);
/** gram_json_integers() - the integers from @least to @most; NULL: no bound */
uint32_t gram_json_integers(struct gram_build *build, const int64_t *least, const int64_t *most);

#endif /* LLMOS_GRAMMAR_JSON_H */
