/* SPDX-License-Identifier: MIT */
/*
 * Speculative decoding by prompt lookup: where the last tokens occurred before in the same text, what
 * followed there is likely to follow again. Those tokens are fed in the same step, and each counts
 * if it is what the model chooses: the answer is the same as without, sampled or not, in fewer steps.
 * How many are tried goes by how many were right. (Saxena, "Prompt Lookup Decoding", 2023; Leviathan,
 * Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", 2023.)
 */
#ifndef LLMOS_SCHED_DRAFT_H
#define LLMOS_SCHED_DRAFT_H

#include <stddef.h>
#include <stdint.h>

#define DRAFT_MAX	16U	/* tokens tried at once */

/**
 * struct draft - of one job; all zero at its beginning
 * @ids: tried in the step that is being formed
 * @count: of them
 * @missed: tries in a row of which the first token was wrong already
 * @waits: chances to be left out after that
 * @tries: tokens the last try would have had right, at least, and one
 */
struct draft {
	uint32_t ids[DRAFT_MAX];
	unsigned int count;
	unsigned int missed;
	unsigned int waits;
	unsigned int tries;
};

/**
 * draft_find() - what may come next
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
