/* SPDX-License-Identifier: MIT */
/* Ranges of characters as ranges of the bytes of their UTF-8; see program.h. */
#include <string.h>

#include "base/utf8.h"
#include "grammar/grow.h"
#include "grammar/program.h"

#define SURROGATE_FIRST	0xd800U
#define SURROGATE_LAST	0xdfffU

struct spellings {
	struct gram_spelling *list;
	size_t count;
	size_t capacity;
};

static int compare_ranges(const void *a, const void *b)
{
	const struct gram_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* sorted, and joined where they touch; returns how many are left */
static size_t join(struct gram_range *ranges, size_t count)
{
	size_t n = 0;

	qsort(ranges, count, sizeof(*ranges), compare_ranges);
	for (size_t i = 0; i < count; i++) {
		if (n && ranges[i].first <= ranges[n - 1].last + 1)
			ranges[n - 1].last = MAX(ranges[n - 1].last, ranges[i].last);
		else
			ranges[n++] = ranges[i];
	}
	return n;
}

static int add(struct spellings *to, uint32_t first, uint32_t last)
{
	struct gram_spelling spelling = { 0 };
	char low[UTF8_MAX], high[UTF8_MAX];
	struct gram_spelling *grown;

	grown = grow(to->list, &to->capacity, to->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	to->list = grown;
	spelling.len = (unsigned int)utf8_encode(first, low);
	utf8_encode(last, high);
	for (unsigned int i = 0; i < spelling.len; i++)
		spelling.bytes[i] = (struct gram_bytes){ (uint8_t)low[i], (uint8_t)high[i] };
	to->list[to->count++] = spelling;
	return 0;
}

static int spell(struct spellings *to, uint32_t first, uint32_t last);

static int spell_two(struct spellings *to, uint32_t first, uint32_t middle, uint32_t last)
{
	int r = spell(to, first, middle);

	return r < 0 ? r : spell(to, middle + 1, last);
}

/* where behind a byte that differs not all bytes may follow, it is two ranges */
static int spell(struct spellings *to, uint32_t first, uint32_t last)
{
	static const uint32_t ends[] = { 0x7f, 0x7ff, 0xffff };

	if (first <= SURROGATE_LAST && last >= SURROGATE_FIRST) {
		int r = first < SURROGATE_FIRST ? spell(to, first, SURROGATE_FIRST - 1) : 0;

		return r < 0 || last <= SURROGATE_LAST ? r : spell(to, SURROGATE_LAST + 1, last);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (first <= ends[i] && last > ends[i])
			return spell_two(to, first, ends[i], last);
	for (unsigned int bits = 6; bits <= 18 && last > 0x7f; bits += 6) {
		const uint32_t mask = (1U << bits) - 1;

		if ((first & ~mask) == (last & ~mask))
			continue;
		if (first & mask)
			return spell_two(to, first, first | mask, last);
		if ((last & mask) != mask)
			return spell_two(to, first, (last & ~mask) - 1, last);
	}
	return add(to, first, last);
}

int gram_spell(struct gram_range *ranges, size_t count, struct gram_spelling **ret,
	       size_t *ret_count)
{
	struct spellings to = { 0 };
	int r = 0;

	count = join(ranges, count);
	for (size_t i = 0; !r && i < count; i++)
		r = spell(&to, ranges[i].first, ranges[i].last);
	if (r < 0) {
		free(to.list);
		return r;
	}
	*ret = to.list;
	*ret_count = to.count;
	return 0;
}
