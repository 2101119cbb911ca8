/* SPDX-License-Identifier: MIT */
/*
 * How many tokens of prompts a step may take, so that it does not last longer than those may wait
 * who are in the middle of an answer. What a token takes is learned from the steps of the model,
 * on this machine and with whatever else it does.
 */
#ifndef LLMOS_SCHED_PACE_H
#define LLMOS_SCHED_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_TOKENS_LEAST	16	/* fewer would not pay for reading the weights */
#define PACE_ALONE		4	/* times as long, where nobody waits for the next token */

/** struct pace - of one model; @token_ns: a token of a step takes; @is_guess: none has been made yet */
struct pace {
	uint64_t token_ns;
	bool is_guess;
};

/**
 * pace_guess() - before the first step: a multiplication for each parameter
 * @parameters: of the model
 * @threads: that compute
 */
void pace_guess(struct pace *pace, uint64_t parameters, unsigned int threads);

/**
 * pace_tokens() - of prompts, in the next step
 * @step_ns: how long it may take, 0: as long as it likes
 * @decoding: tokens of those who are in the middle of their answers
 *
 * Return: at least PACE_TOKENS_LEAST.
 */
uint64_t pace_tokens(const struct pace *pace, uint64_t step_ns, unsigned int decoding);

/** pace_learn() - a step of @tokens in all took @step_ns; one of few tokens tells nothing */
void pace_learn(struct pace *pace, uint64_t tokens, uint64_t step_ns);

#endif /* LLMOS_SCHED_PACE_H */
