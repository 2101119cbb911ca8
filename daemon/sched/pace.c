// SPDX-License-Identifier: MIT
/* The length of steps; see pace.h. */
#include "sched/pace.h"

#include "base/util.h"

#define PACE_GUESS_PER_NS	20	/* multiplications of one thread, on a slow machine */
#define PACE_WEIGHT		4	/* the last steps that count, about */
#define PACE_JUMP		4	/* times what was expected: more is a disturbance */

void pace_guess(struct pace *pace, uint64_t parameters, unsigned int threads)
{
	pace->token_ns = parameters / PACE_GUESS_PER_NS / MAX(threads, 1U) + 1;
	pace->is_guess = true;
}

uint64_t pace_tokens(const struct pace *pace, uint64_t step_ns, unsigned int decoding)
{
	uint64_t tokens;

	if (!step_ns)
		return UINT64_MAX;
	if (!decoding && __builtin_mul_overflow(step_ns, PACE_ALONE, &step_ns))
		return UINT64_MAX;
	tokens = step_ns / MAX(pace->token_ns, UINT64_C(1));
	tokens -= MIN(tokens, (uint64_t)decoding);
	return MAX(tokens, (uint64_t)PACE_TOKENS_LEAST);
}

void pace_learn(struct pace *pace, uint64_t tokens, uint64_t step_ns)
{
	uint64_t token_ns;

	if (tokens < PACE_TOKENS_LEAST)
		return;
	token_ns = MAX(step_ns / tokens, UINT64_C(1));
	if (pace->is_guess) {
		pace->token_ns = token_ns;
		pace->is_guess = false;
		return;
	}
	if (token_ns / PACE_JUMP > pace->token_ns)
		token_ns = pace->token_ns * PACE_JUMP;
	/* no overflow: a guess is below 2^60, and steps that last longer do not end */
	pace->token_ns = (pace->token_ns * (PACE_WEIGHT - 1) + token_ns) / PACE_WEIGHT;
}
