/* SPDX-License-Identifier: MIT */
/*
 * Frequencies of the rotary position embedding and their scalings. Sources: Su et al., "RoFormer"
 * (2021); linear: Chen et al., "Extending Context Window of Large Language Models via Positional
 * Interpolation" (2023); Peng et al., "YaRN" (2023), equations 17 to 22; the divisors of Llama 3
 * come with the model file.
 */
#include "engine/rope.h"

#include <math.h>

#define YARN_RAMP_MIN	0.001	/* pairs; the ramp of a model whose two ends meet */

/* yarn_pair() - the pair (as a real number) that makes @turns turns in the original context */
static double yarn_pair(const struct model_rope *c, double turns)
{
	return c->dim * log(c->original_context / (turns * 2 * M_PI)) / (2 * log(c->freq_base));
}

/* yarn_share() - how much of a pair's frequency is left unscaled: 1 for the fast ones, 0 for slow */
static double yarn_share(const struct model_rope *c, uint32_t pair)
{
	const double fast = yarn_pair(c, c->beta_fast), slow = yarn_pair(c, c->beta_slow);
	const double low = fmax(0, c->has_real_ends ? fast : floor(fast));
	const double high = fmin(c->dim - 1, c->has_real_ends ? slow : ceil(slow));
	const double ramp = (pair - low) / fmax(YARN_RAMP_MIN, high - low);

	return 1 - fmin(1, fmax(0, ramp));
}

static double pair_freq(const struct model_rope *c, uint32_t pair)
{
	double freq = pow(c->freq_base, -2.0 * pair / c->dim);
	double share;

	if (c->divisors)
		freq /= c->divisors[pair];
	switch (c->scaling) {
	case MODEL_ROPE_LINEAR:
		return freq / c->factor;
	case MODEL_ROPE_YARN:
		share = yarn_share(c, pair);
		return freq / c->factor * (1 - share) + freq * share;
	case MODEL_ROPE_NONE:
		break;
	}
	return freq;
}

int rope_open(struct rope *rope, const struct model_rope *c)
{
	struct rope new = { .pairs = c->dim / 2, .magnitude = c->attn_factor };

	new.freq = calloc(new.pairs + 1, sizeof(*new.freq));
	if (!new.freq)
		return -ENOMEM;
	for (uint32_t i = 0; i < new.pairs; i++)
		new.freq[i] = pair_freq(c, i);
	if (c->scaling == MODEL_ROPE_YARN)
		new.magnitude *= 1 + 0.1 * log(fmax(1, c->factor));
	*rope = new;
	return 0;
}

void rope_close(struct rope *rope)
{
	free(rope->freq);
	*rope = (struct rope){ 0 };
}

void rope_angles(const struct rope *rope, uint32_t position, float *cos_out, float *sin_out)
{
	double c, s;

	for (uint32_t i = 0; i < rope->pairs; i++) {
		sincos(position * rope->freq[i], &s, &c);
		cos_out[i] = (float)(c * rope->magnitude);
		sin_out[i] = (float)(s * rope->magnitude);
	}
}
