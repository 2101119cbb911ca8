/* SPDX-License-Identifier: MIT */
/*
 * Regular expressions of JSON schemas: the part of ECMA-262 that describes a regular language and
 * looks at nothing around it. What they match is spelled as the inside of a JSON string.
 */
#ifndef LLMOS_GRAMMAR_REGEX_H
#define LLMOS_GRAMMAR_REGEX_H

#include "grammar/build.h"

/**
 * gram_regex() - what a pattern matches
 * @pattern: UTF-8 (len); where an alternative does not begin with "^", or end with "$", anything
 *	may stand there
 * @ret: out, the expression
 *
 * Return: 0; -EINVAL malformed, -EOPNOTSUPP assertions, references back, classes by property,
 * -E2BIG nested too deep, -EILSEQ not UTF-8.
 */
int gram_regex(struct gram_build *build, const char *pattern, size_t len, uint32_t *ret,
	       struct error *error);

#endif /* LLMOS_GRAMMAR_REGEX_H */
