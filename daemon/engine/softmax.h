/* SPDX-License-Identifier: MIT */
/*
 * Logits to probabilities, over a whole vocabulary. Logits are whatever a model made: NaN counts as
 * impossible, and an infinite one beats all others.
 */
#ifndef LLMOS_ENGINE_SOFTMAX_H
#define LLMOS_ENGINE_SOFTMAX_H

#include <stddef.h>
#include <stdint.h>

/** struct softmax_peak - the likeliest token, the lowest id among equals */
struct softmax_peak {
	uint32_t id;
	float logit;		/* finite */
};

struct softmax_peak softmax_peak(const float *logits, uint32_t vocab);

/**
 * softmax_sum() - sum of exp((logits[i] - peak) * scale)
 * @exps: out, the summands, NULL if they are not wanted; may be @logits
 *
 * Each summand is float32, 2e-7 off at most, and 0 below exp(-87); the sum is in double.
 */
double softmax_sum(float *exps, const float *logits, uint32_t vocab, float peak, float scale);

#endif /* LLMOS_ENGINE_SOFTMAX_H */
