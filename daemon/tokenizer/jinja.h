/* SPDX-License-Identifier: MIT */
/*
 * The text of a Jinja template in one spelling: templates that mean the same differ in white space,
 * quotes and the way they name fields, and are compared after all that is made equal. Nothing of a
 * template is ever run.
 */
#ifndef LLMOS_TOKENIZER_JINJA_H
#define LLMOS_TOKENIZER_JINJA_H

#include "base/util.h"

/**
 * jinja_normalise() - a copy of the template, NUL-terminated, to be freed
 *
 * Inside of {{ }} and {% %}: white space goes but for that in strings; strings get single quotes,
 * newlines in them become \n; x['y'] becomes x.y. Comments go, and the - of {%- -%}. NULs become
 * spaces.
 *
 * Return: NULL if there is no memory.
 */
char *jinja_normalise(const char *text, size_t len);

#endif /* LLMOS_TOKENIZER_JINJA_H */
