/* SPDX-License-Identifier: MIT */
/* What the files of a model in several are called: NAME-00001-of-00003.gguf. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/gguf.h"

#define DIGITS		5
#define OF		"-of-"
#define SUFFIX		".gguf"
#define TAIL		(1 + DIGITS + sizeof(OF) - 1 + DIGITS + sizeof(SUFFIX) - 1)

static bool digits(const char *text, uint32_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < DIGITS; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*ret = *ret * 10 + (uint32_t)(text[i] - '0');
	}
	return true;
}

bool gguf_part_of(const char *name, struct gguf_part *ret)
{
	const size_t len = strlen(name);
	const char *tail, *of, *count;

	if (len <= TAIL)
		return false;
	ret->len = len - TAIL;
	tail = name + ret->len;
	of = tail + 1 + DIGITS;
	count = of + sizeof(OF) - 1;
	if (*tail != '-' || !digits(tail + 1, &ret->number) || memcmp(of, OF, sizeof(OF) - 1) ||
	    !digits(count, &ret->count) || strcmp(count + DIGITS, SUFFIX))
		return false;
	return ret->number && ret->number <= ret->count;
}

char *gguf_part_name(const char *name, size_t len, uint32_t number, uint32_t count)
{
	char *part;

	if (asprintf(&part, "%.*s-%0*" PRIu32 OF "%0*" PRIu32 SUFFIX, (int)len, name, DIGITS,
		     number, DIGITS, count) < 0)
		return NULL;
	return part;
}
