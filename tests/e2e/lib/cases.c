// SPDX-License-Identifier: MIT
/*
 * Half are greedy; the others each use another part of the sampler. All ignore the end of text
 * except two, so that answers end for different reasons.
 */
#include "cases.h"

#define OPTS(tokens, ...)	{ .size = sizeof(struct llmos_generate_opts), .raw = true, \
				  .max_tokens = (tokens), ##__VA_ARGS__ }
#define SAMPLE(t, s, ...)	.temperature = (t), .seed = (s), .ignore_eos = true, ##__VA_ARGS__

static const char *const stops[] = { "the end", "!\"", NULL };

static struct e2e_case cases[E2E_CASES] = {
	{ "Once upon a time", OPTS(200, .ignore_eos = true) },
	{ "One day, a boy named Tim", OPTS(60, .ignore_eos = true) },
	{ "Lily and her mom went to the", OPTS(120, .ignore_eos = true) },
	{ "The dog was very", OPTS(33, .ignore_eos = true) },
	{ "Once upon a time", OPTS(150, SAMPLE(0.8, 1)) },
	{ "Once upon a time", OPTS(150, SAMPLE(0.8, 2)) },
	{ "The sun", OPTS(90, SAMPLE(1.2, 3, .top_k = 20)) },
	{ "A little girl", OPTS(90, SAMPLE(1.0, 4, .top_p = 0.9)) },
	{ "In the garden there was a big", OPTS(80, SAMPLE(1.0, 5, .min_p = 0.05)) },
	{ "Tom said: \"", OPTS(80, SAMPLE(0.7, 6, .repeat_penalty = 1.3)) },
	{ "Lily", OPTS(1, .ignore_eos = true) },
	{ "There was a cat. The cat liked to play. One day the cat saw a bird. The bird",
	  OPTS(70, .ignore_eos = true) },
	{ "Her friend came", OPTS(400, .stop = stops) },
	{ "The end", OPTS(400) },
	{ "He was happy because", OPTS(110, .ignore_eos = true, .repeat_penalty = 1.1) },
	{ "Ben and Sue ran", OPTS(100, SAMPLE(1.5, 0xffffffffffffffffULL)) },
};

const struct e2e_case *e2e_case(size_t index)
{
	static bool scaled;

	for (size_t i = 0; i < E2E_CASES && !scaled; i++)
		cases[i].opts.max_tokens = e2e_tokens(cases[i].opts.max_tokens);
	scaled = true;
	return &cases[index];
}
