/* SPDX-License-Identifier: MIT */
/*
 * Four lanes at a time in the compiler's vector types, so that a vocabulary of a hundred thousand
 * takes tens of microseconds on any machine, and the same bits come out on all.
 */
#include "engine/softmax.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LANES	4
#define BLOCK	64	/* logits between two looks at which block holds the peak */

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef double dvec __attribute__((vector_size(LANES * sizeof(double))));

static inline vec load(const float *p)
{
	vec v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline vec select_vec(ivec mask, vec yes, vec no)
{
	return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

static float block_max(const float *logits)
{
	vec max = { -INFINITY, -INFINITY, -INFINITY, -INFINITY };
	float best = -INFINITY;

	for (int i = 0; i < BLOCK; i += LANES) {
		const vec x = load(logits + i);

		max = select_vec(x > max, x, max);	/* false for NaN */
	}
	for (int i = 0; i < LANES; i++)
		best = max[i] > best ? max[i] : best;
	return best;
}

struct softmax_peak softmax_peak(const float *logits, uint32_t vocab)
{
	struct softmax_peak peak = { .logit = -INFINITY };
	uint32_t begin = 0, end = vocab, i;

	for (i = 0; i + BLOCK <= vocab; i += BLOCK) {
		const float max = block_max(logits + i);

		if (max > peak.logit) {
			peak.logit = max;
			begin = i;
			end = i + BLOCK;
		}
	}
	for (; i < vocab; i++) {
		if (logits[i] > peak.logit) {
			peak.logit = logits[i];
			begin = i;
			end = i + 1;
		}
	}
	for (i = begin; i < end && logits[i] != peak.logit; i++)
		;
	peak.id = i < end ? i : 0;	/* 0: all of them are NaN */
	peak.logit = fminf(FLT_MAX, fmaxf(-FLT_MAX, peak.logit));
	return peak;
}

/*
 * exp(x) for x <= 0, 0 for NaN and below -87: x = n ln 2 + r, exp(r) by its Taylor series to the
 * seventh power (|r| <= 0.35: the next term is 5e-9), times 2^n by adding n to the exponent.
 */
static inline vec exp_vec(vec x)
{
	const ivec is_there = x >= -87.0f;
	const vec safe = select_vec(is_there & (x < 0), x, (vec){ 0 });
	const vec magic = (vec){ 0 } + 0x1.8p23f;	/* adding it rounds to an integer */
	const vec biased = safe * 0x1.715476p+0f + magic;
	const vec n = biased - magic;
	const vec r = (safe - n * 0x1.62e400p-1f) - n * 0x1.7f7d1cp-20f;
	vec e = (vec){ 0 } + 0x1.a01a02p-13f;

	e = e * r + 0x1.6c16c2p-10f;
	e = e * r + 0x1.111112p-7f;
	e = e * r + 0x1.555556p-5f;
	e = e * r + 0x1.555556p-3f;
	e = e * r + 0.5f;
	e = e * r + 1.0f;
	e = e * r + 1.0f;
	e = (vec)((ivec)e + (((ivec)biased - (ivec)magic) << 23));
	return (vec)((ivec)e & is_there);
}

double softmax_sum(float *exps, const float *logits, uint32_t vocab, float peak, float scale)
{
	vec last = (vec){ 0 } - INFINITY, e;
	dvec sums = { 0 };
	double sum = 0;
	uint32_t i;

	for (i = 0; i + LANES <= vocab; i += LANES) {
		e = exp_vec((load(logits + i) - peak) * scale);
		sums += __builtin_convertvector(e, dvec);
		if (exps)
			memcpy(exps + i, &e, sizeof(e));
	}
	memcpy(&last, logits + i, (vocab - i) * sizeof(*logits));
	e = exp_vec((last - peak) * scale);
	sums += __builtin_convertvector(e, dvec);
	if (exps)
		memcpy(exps + i, &e, (vocab - i) * sizeof(*exps));
	for (int lane = 0; lane < LANES; lane++)
		sum += sums[lane];
	return sum;
}
