/* SPDX-License-Identifier: MIT */
/* Stop strings by the automaton of Knuth, Morris and Pratt; see stop.h. */
#include "sched/stop.h"

#include <string.h>

/** struct stop_string - @start: of its text and failures; @matched: of its bytes, just seen */
struct stop_string {
	uint16_t start;
	uint16_t len;
	uint16_t matched;
};

/* failure[i]: longest proper prefix that is also a suffix of the first i + 1 bytes */
static void stop_build(const uint8_t *text, uint16_t *failure, size_t len)
{
	size_t i, k = 0;

	failure[0] = 0;
	for (i = 1; i < len; i++) {
		while (k && text[i] != text[k])
			k = failure[k - 1];
		if (text[i] == text[k])
			k++;
		failure[i] = k;
	}
}

static int stop_split(struct stop_set *set, const uint8_t *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const uint8_t *end = memchr(text + at, '\0', len - at);
		struct stop_string *string = &set->strings[set->count++];

		if (!end || end == text + at)
			return -EINVAL;
		string->start = at;
		string->len = end - text - at;
		stop_build(text + at, set->failure + at, string->len);
		at = end - text + 1;
	}
	return 0;
}

int stop_init(struct stop_set *set, const uint8_t *text, size_t len)
{
	size_t i, count = 0;
	int r;

	*set = (struct stop_set){ .text = text };
	if (!len)
		return 0;
	if (len > UINT16_MAX || text[len - 1])
		return -EINVAL;
	for (i = 0; i < len; i++)
		count += !text[i];
	set->strings = calloc(count, sizeof(*set->strings));
	set->failure = calloc(len, sizeof(*set->failure));
	r = set->strings && set->failure ? stop_split(set, text, len) : -ENOMEM;
	if (r < 0)
		stop_free(set);
	return r;
}

void stop_free(struct stop_set *set)
{
	free(set->strings);
	free(set->failure);
	*set = (struct stop_set){ 0 };
}

static bool stop_string_byte(const struct stop_set *set, struct stop_string *string,
			     uint8_t byte)
{
	const uint16_t *failure = set->failure + string->start;
	const uint8_t *text = set->text + string->start;
	size_t k = string->matched;

	if (k == string->len)
		k = failure[k - 1];
	while (k && text[k] != byte)
		k = failure[k - 1];
	if (text[k] == byte)
		k++;
	string->matched = k;
	return k == string->len;
}

size_t stop_byte(struct stop_set *set, uint8_t byte)
{
	size_t i, longest = 0;

	for (i = 0; i < set->count; i++)
		if (stop_string_byte(set, &set->strings[i], byte))
			longest = MAX(longest, (size_t)set->strings[i].len);
	return longest;
}

size_t stop_pending(const struct stop_set *set)
{
	size_t i, pending = 0;

	for (i = 0; i < set->count; i++)
		pending = MAX(pending, (size_t)set->strings[i].matched);
	return pending;
}
