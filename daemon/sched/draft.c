// SPDX-License-Identifier: MIT
/* What may come next, looked up in the text itself, and how much of it is tried; see draft.h. */
#include "sched/draft.h"

#include "base/util.h"

#define DRAFT_MATCH	3U	/* tokens that have to be the same */
#define DRAFT_BACK	4096U	/* tokens looked back: microseconds */
#define DRAFT_FIRST	2U	/* tokens of the first try */
#define DRAFT_MISSED_MAX	6U
#define DRAFT_WAITS_MAX	(1U << DRAFT_MISSED_MAX)

/* does what ends before @end look like the end of the text? */
static bool draft_matches(const uint32_t *tokens, size_t count, size_t end)
{
	for (unsigned int i = 1; i <= DRAFT_MATCH; i++)
		if (tokens[end - i] != tokens[count - i])
			return false;
	return true;
}

unsigned int draft_may_try(struct draft *draft, enum draft_source source, unsigned int max)
{
	struct draft_luck *luck = &draft->luck[source];

	max = MIN(max, DRAFT_MAX);
	max = MIN(max, luck->tries ? luck->tries : DRAFT_FIRST);
	if (max && luck->waits) {
		luck->waits--;
		return 0;
	}
	return max;
}

unsigned int draft_find(struct draft *draft, const uint32_t *tokens, size_t count,
			unsigned int max)
{
	const size_t least = count > DRAFT_BACK + DRAFT_MATCH ? count - DRAFT_BACK : DRAFT_MATCH;

	draft->count = 0;
	draft->source = DRAFT_LOOKUP;
	max = count > DRAFT_MATCH ? draft_may_try(draft, DRAFT_LOOKUP, max) : 0;
	if (!max)
		return 0;
	/* the latest one: a text changes as it goes on */
	for (size_t end = count - 1; end >= least; end--) {
		if (!draft_matches(tokens, count, end))
			continue;
		while (draft->count < max && end + draft->count < count) {
			draft->ids[draft->count] = tokens[end + draft->count];
			draft->count++;
		}
		return draft->count;
	}
	return 0;
}

void draft_learn(struct draft *draft, unsigned int right)
{
	struct draft_luck *luck = &draft->luck[draft->source];

	if (!draft->count)
		return;
	/* twice as many where all were right, else as many as were, and one */
	luck->tries = MIN(right == draft->count ? 2 * draft->count : right + 1, DRAFT_MAX);
	luck->missed = right ? 0 : luck->missed + 1;
	if (luck->missed > 1)
		luck->waits = luck->missed < DRAFT_MISSED_MAX ? 1U << luck->missed : DRAFT_WAITS_MAX;
	draft->count = 0;
}
