/* SPDX-License-Identifier: MIT */
/*
 * Speculative decoding: what is likely to come next is fed in the same step, and each token of it
 * counts if it is what the model chooses: the answer is the same as without, sampled or not, in fewer
 * steps. How many are tried goes by how many were right. Guesses come from the text, for where its
 * last tokens occurred before, what followed there is likely to follow again (prompt lookup); or
 * from a smaller model, see drafter.h. (Saxena, "Prompt Lookup Decoding", 2023; Leviathan,
 * Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", 2023.)
 */
#ifndef LLMOS_SCHED_DRAFT_H
#define LLMOS_SCHED_DRAFT_H

#include <stddef.h>
#include <stdint.h>

#define DRAFT_MAX	16U	/* tokens tried at once */

/** enum draft_source - where guesses come from */
enum draft_source {
	DRAFT_LOOKUP,
	DRAFT_MODEL,
	DRAFT_SOURCES,
};

/**
 * struct draft_luck - with the guesses of one source
 * @missed: tries in a row of which the first token was wrong already
 * @waits: chances to be left out after that
 * @tries: tokens the last try would have had right, at least, and one
 */
struct draft_luck {
	unsigned int missed;
	unsigned int waits;
	unsigned int tries;
};

/**
 * struct draft - of one job; all zero at its beginning
 * @ids: tried in the step that is being formed
 * @count: of them
 * @source: of these
 * @luck: so far
 */
struct draft {
	uint32_t ids[DRAFT_MAX];
	unsigned int count;
	enum draft_source source;
	struct draft_luck luck[DRAFT_SOURCES];
};

/** draft_may_try() - how many tokens are worth a try now, @max at most; 0: this chance is left out */
unsigned int draft_may_try(struct draft *draft, enum draft_source source, unsigned int max);

/**
 * draft_find() - what may come next, by lookup
 * @draft: out, in its ids and count
 * @tokens: the text so far (count)
 * @max: tokens at most
 *
 * Return: draft->count; 0: nothing is likely enough.
 */
unsigned int draft_find(struct draft *draft, const uint32_t *tokens, size_t count,
			unsigned int max);
/** draft_learn() - of those tried, the first @right were what the model chose */
void draft_learn(struct draft *draft, unsigned int right);

#endif /* LLMOS_SCHED_DRAFT_H */
