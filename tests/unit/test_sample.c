/* SPDX-License-Identifier: MIT */
/*
 * Sampling against a slow and obvious implementation (everything sorted, in double), on random
 * logits; its random numbers against published ones; logits that no model should make.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"
#include "engine/philox.h"
#include "engine/softmax.h"

#define VOCAB	1003	/* no multiple of anything */

static uint64_t seed;

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* in [0, 1) */
static double random_unit(uint64_t *state)
{
	return (double)(random_next(state) >> 11) * 0x1p-53;
}

/* random_logits() - spread over @width; @steps: rounded to so many values, which makes ties */
static void random_logits(uint64_t *state, float *logits, double width, unsigned int steps)
{
	for (uint32_t i = 0; i < VOCAB; i++) {
		double x = random_unit(state);

		if (steps)
			x = floor(x * steps) / steps;
		logits[i] = (float)((x - 0.3) * width);
	}
}

/* ---- the obvious implementation ---- */

struct entry {
	double logit;
	uint32_t id;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->logit != y->logit)
		return x->logit > y->logit ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* naive_kept() - the tokens that may be drawn, with their probabilities; returns how many */
static uint32_t naive_kept(const struct sample_params *p, const float *logits, struct entry *kept)
{
	uint32_t n = VOCAB, i;
	double sum = 0, before = 0;

	for (i = 0; i < VOCAB; i++)
		kept[i] = (struct entry){ .logit = (double)logits[i], .id = i };
	qsort(kept, VOCAB, sizeof(*kept), compare_entries);
	if (p->top_k && p->top_k < n)
		n = p->top_k;
	for (i = n; i-- > 0;)
		kept[i].logit = exp((kept[i].logit - kept[0].logit) / (double)p->temperature);
	for (i = 0; i < n; i++)
		sum += kept[i].logit;
	for (i = 0; i < n; i++) {
		if (i && p->top_p > 0 && p->top_p < 1 && before >= (double)p->top_p * sum)
			break;
		if (i && kept[i].logit < (double)p->min_p)
			break;
		before += kept[i].logit;
	}
	n = i;
	for (i = 0; i < n; i++)
		kept[i].logit /= before;
	return n;
}

static double naive_logprob(const float *logits, uint32_t id)
{
	double max = -INFINITY, sum = 0;

	for (uint32_t i = 0; i < VOCAB; i++)
		max = fmax(max, (double)logits[i]);
	for (uint32_t i = 0; i < VOCAB; i++)
		sum += exp((double)logits[i] - max);
	return (double)logits[id] - max - log(sum);
}

/* ---- tests ---- */

/* vectors of the authors' own test suite */
static void test_philox(void **state)
{
	static const struct {
		uint32_t counter[4], key[2], want[4];
	} vectors[] = {
		{ { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
		  { 0xffffffff, 0xffffffff },
		  { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		{ { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
		  { 0xa4093822, 0x299f31d0 },
		  { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct philox counter;

		memcpy(counter.word, vectors[i].counter, sizeof(counter.word));
		counter = philox(counter, vectors[i].key[0], vectors[i].key[1]);
		assert_memory_equal(counter.word, vectors[i].want, sizeof(counter.word));
	}
	for (uint64_t i = 0; i < 1000; i++) {
		const double u = philox_uniform(seed, i);

		assert_true(u >= 0 && u < 1);
	}
}

static void test_softmax(void **state)
{
	uint64_t rng = seed;
	float logits[VOCAB], exps[VOCAB];

	(void)state;
	for (int round = 0; round < 50; round++) {
		const uint32_t count = 1 + (uint32_t)(random_next(&rng) % VOCAB);
		const float scale = (float)(0.1 + random_unit(&rng) * 3);
		double want = 0, sum;
		struct softmax_peak peak;

		random_logits(&rng, logits, 60, round % 3 ? 0 : 20);
		peak = softmax_peak(logits, count);
		for (uint32_t i = 0; i < count; i++)
			assert_true(logits[i] < peak.logit ||
				    (logits[i] == peak.logit && i >= peak.id));
		assert_float_equal(peak.logit, logits[peak.id], 0);
		sum = softmax_sum(exps, logits, count, peak.logit, scale);
		for (uint32_t i = 0; i < count; i++) {
			/* the argument as the code rounds it: that error is not exp's */
			const double x = (double)((logits[i] - peak.logit) * scale);
			const double e = exp(x);

			want += e;
			if (x < -87)
				assert_float_equal(exps[i], 0, 0);
			else
				assert_true(fabs((double)exps[i] - e) <= 2e-7 * e);
		}
		assert_true(fabs(sum - want) <= 2e-7 * want);
	}
}

static void test_greedy(void **state)
{
	const struct sample_params greedy = { 0 };
	uint64_t rng = seed;
	struct sampler *s;
	float logits[VOCAB];

	(void)state;
	assert_int_equal(sampler_new(&s, 0), -EINVAL);
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (int round = 0; round < 100; round++) {
		struct sample_token token;
		uint32_t best = 0;

		random_logits(&rng, logits, 20, round % 2 ? 7 : 0);
		for (uint32_t i = 1; i < VOCAB; i++)
			best = logits[i] > logits[best] ? i : best;
		token = sampler_pick(s, &greedy, logits, NULL, 0, (uint64_t)round, NULL, 0);
		assert_int_equal(token.id, best);
		assert_float_equal(token.logprob, naive_logprob(logits, best), 1e-6);
	}
	sampler_free(s);
	sampler_free(NULL);
}

static void random_params(uint64_t *rng, struct sample_params *p)
{
	const uint64_t bits = random_next(rng);

	*p = (struct sample_params){
		.seed = random_next(rng),
		.temperature = (float)(0.05 + 2 * random_unit(rng)),
	};
	if (bits & 1)
		p->top_k = 1 + (uint32_t)(random_next(rng) % (bits & 16 ? 10 : 2 * VOCAB));
	if (bits & 2)
		p->top_p = (float)random_unit(rng);
	if (bits & 4)
		p->min_p = (float)(random_unit(rng) * (bits & 32 ? 1 : 0.01));
}

/* every draw is one the obvious implementation would keep; all it keeps come up as often as they ought */
static void check_draws(struct sampler *s, const struct sample_params *p, const float *logits)
{
	enum { DRAWS = 4000 };
	static struct entry kept[VOCAB];
	static unsigned int counts[VOCAB];
	const uint32_t n = naive_kept(p, logits, kept);
	double chi = 0, rest = 0;
	unsigned int rest_count = 0, cells = 0;

	memset(counts, 0, sizeof(counts));
	for (uint64_t i = 0; i < DRAWS; i++)
		counts[sampler_pick(s, p, logits, NULL, 0, i, NULL, 0).id]++;
	for (uint32_t i = 0; i < n; i++) {
		const double want = kept[i].logit * DRAWS;

		if (want < 10) {
			rest += want;
			rest_count += counts[kept[i].id];
		} else {
			chi += (counts[kept[i].id] - want) * (counts[kept[i].id] - want) / want;
			cells++;
		}
		counts[kept[i].id] = 0;
	}
	if (rest >= 10) {
		chi += (rest_count - rest) * (rest_count - rest) / rest;
		cells++;
	}
	for (uint32_t i = 0; i < VOCAB; i++)
		if (counts[i])
			fail_msg("token %u was drawn, but is not kept", i);
	/* six standard deviations of chi squared */
	if (chi > cells + 6 * sqrt(2 * cells + 1) + 10)
		fail_msg("chi squared %.1f for %u cells", chi, cells);
}

static void test_filters(void **state)
{
	uint64_t rng = seed;
	struct sampler *s;
	float logits[VOCAB];

	(void)state;
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (int round = 0; round < 60; round++) {
		struct sample_params p;

		random_params(&rng, &p);
		/* a tie at the edge of top-p may go either way by a rounding error: no ties there */
		random_logits(&rng, logits, 15, p.top_p > 0 || p.min_p > 0 ? 0 : 50);
		check_draws(s, &p, logits);
	}
	sampler_free(s);
}

static void test_top_k_ties(void **state)
{
	const struct sample_params p = { .temperature = 1, .top_k = 3 };
	float logits[VOCAB];
	struct sampler *s;

	(void)state;
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (uint32_t i = 0; i < VOCAB; i++)
		logits[i] = i < 10 ? 0 : 1;
	for (uint64_t i = 0; i < 200; i++) {
		const uint32_t id = sampler_pick(s, &p, logits, NULL, 0, i, NULL, 0).id;

		assert_in_range(id, 10, 12);
	}
	sampler_free(s);
}

/* the same seed and position give the same token, whatever was asked before */
static void test_repeatable(void **state)
{
	struct sample_params p = { .temperature = 1.5f, .seed = 42 };
	uint64_t rng = seed;
	float logits[VOCAB], other[VOCAB];
	struct sampler *a, *b;
	unsigned int changed = 0;

	(void)state;
	assert_int_equal(sampler_new(&a, VOCAB), 0);
	assert_int_equal(sampler_new(&b, VOCAB), 0);
	random_logits(&rng, logits, 5, 0);
	random_logits(&rng, other, 50, 0);
	for (uint64_t i = 0; i < 500; i++) {
		const uint32_t id = sampler_pick(a, &p, logits, NULL, 0, i, NULL, 0).id;
		struct sample_params q = p;

		sampler_pick(b, &p, other, NULL, 0, i + 1, NULL, 0);
		assert_int_equal(sampler_pick(b, &p, logits, NULL, 0, i, NULL, 0).id, id);
		q.seed++;
		changed += sampler_pick(b, &q, logits, NULL, 0, i, NULL, 0).id != id;
	}
	assert_true(changed > 400);
	sampler_free(a);
	sampler_free(b);
}

static void test_penalty(void **state)
{
	struct sample_params p = { .repeat_penalty = 2 };
	const uint32_t history[] = { 7, 7, 9, 7, 5000000, 3 };
	float logits[VOCAB] = { 0 };
	struct sample_token token;
	struct sampler *s;

	(void)state;
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (uint32_t i = 0; i < VOCAB; i++)
		logits[i] = -5;
	logits[7] = 10;
	logits[4] = 5.5f;
	token = sampler_pick(s, &p, logits, history, 3, 0, NULL, 0);
	assert_int_equal(token.id, 4);		/* 10 / 2 < 5.5 */
	assert_float_equal(token.logprob, naive_logprob(logits, 4), 1e-6);
	logits[4] = 4.5f;
	token = sampler_pick(s, &p, logits, history, 3, 0, NULL, 0);
	assert_int_equal(token.id, 7);		/* punished once, though it is there twice */
	p.repeat_last_n = 2;
	logits[4] = 5.5f;
	token = sampler_pick(s, &p, logits, history, ARRAY_SIZE(history), 0, NULL, 0);
	assert_int_equal(token.id, 7);		/* out of reach */
	p.repeat_last_n = 3;
	token = sampler_pick(s, &p, logits, history, ARRAY_SIZE(history), 0, NULL, 0);
	assert_int_equal(token.id, 4);
	logits[7] = -1;
	logits[4] = -1.5f;
	token = sampler_pick(s, &p, logits, history, ARRAY_SIZE(history), 0, NULL, 0);
	assert_int_equal(token.id, 4);		/* -1 * 2 < -1.5 */
	sampler_free(s);
}

static void test_top(void **state)
{
	uint64_t rng = seed;
	struct sample_token top[VOCAB + 5];
	static struct entry sorted[VOCAB];
	const struct sample_params any = { .temperature = 1 };
	float logits[VOCAB];
	struct sampler *s;

	(void)state;
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (int round = 0; round < 40; round++) {
		const size_t count = round == 0 ? ARRAY_SIZE(top) : (size_t)round;
		float logprob;

		random_logits(&rng, logits, 25, round % 2 ? 30 : 0);
		naive_kept(&any, logits, sorted);
		logprob = sampler_score(s, logits, 77, top, count);
		assert_float_equal(logprob, naive_logprob(logits, 77), 1e-5);
		for (size_t i = 0; i < count && i < VOCAB; i++) {
			assert_int_equal(top[i].id, sorted[i].id);
			assert_float_equal(top[i].logprob, naive_logprob(logits, top[i].id), 1e-5);
		}
		for (size_t i = VOCAB; i < count; i++)
			assert_int_equal(top[i].id, TOK_NONE);
	}
	assert_true(isinf(sampler_score(s, logits, VOCAB, NULL, 0)));
	sampler_free(s);
}

/* whatever comes, the answer is a token, and its log-probability is no NaN */
static void test_hostile_logits(void **state)
{
	static const float strange[] = { NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0, 1e-40f };
	static const float temperatures[] = { 0, 1, 1e-30f, 1e-42f, 1e30f, INFINITY, NAN, -1 };
	uint64_t rng = seed;
	float logits[VOCAB];
	struct sampler *s;

	(void)state;
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (int round = 0; round < 400; round++) {
		struct sample_token token, top[3];
		const uint32_t history[] = { 1, 2, 3 };
		struct sample_params p;

		random_params(&rng, &p);
		p.temperature = temperatures[(size_t)round % ARRAY_SIZE(temperatures)];
		p.repeat_penalty = round % 3 ? strange[random_next(&rng) % ARRAY_SIZE(strange)] : 0;
		if (round % 5 == 0)
			p.min_p = p.top_p = strange[random_next(&rng) % ARRAY_SIZE(strange)];
		for (uint32_t i = 0; i < VOCAB; i++)
			logits[i] = strange[random_next(&rng) %
					    (1 + random_next(&rng) % ARRAY_SIZE(strange))];
		token = sampler_pick(s, &p, logits, history, 3, 0, top, 3);
		assert_true(token.id < VOCAB);
		assert_false(isnan(token.logprob));
		assert_true(token.logprob <= 1e-6f);
		for (int i = 0; i < 3; i++)
			assert_false(isnan(top[i].logprob));
	}
	for (uint32_t i = 0; i < VOCAB; i++)
		logits[i] = NAN;
	assert_int_equal(sampler_pick(s, &(struct sample_params){ .temperature = 1 }, logits, NULL,
				      0, 0, NULL, 0).id, 0);
	logits[600] = -3;
	logits[601] = -INFINITY;
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(sampler_pick(s, &(struct sample_params){ .temperature = 1 },
					      logits, NULL, 0, i, NULL, 0).id, 600);
	logits[900] = INFINITY;
	assert_int_equal(sampler_pick(s, &(struct sample_params){ 0 }, logits, NULL, 0, 0, NULL,
				      0).id, 900);
	sampler_free(s);
}

/* ---- only some tokens ---- */

static bool in_mask(const uint32_t *mask, uint32_t id)
{
	return mask[id / 32] >> id % 32 & 1;
}

/* choosing among some is choosing where the others are impossible; probabilities are the model's */
static void test_mask(void **state)
{
	static const struct sample_params params[] = {
		{ .temperature = 0 }, { .temperature = 1 }, { .temperature = 1, .top_k = 40 },
		{ .temperature = 1, .top_p = 0.9f }, { .temperature = 2, .min_p = 0.1f },
		{ .temperature = 1, .top_k = 7, .top_p = 0.5f, .repeat_penalty = 1.5f },
	};
	static float logits[VOCAB], cut[VOCAB];
	const uint32_t history[] = { 1, 2, 3 };
	struct sampler *s;

	(void)state;
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (uint64_t round = 0; round < 600; round++) {
		struct sample_params p = params[round % ARRAY_SIZE(params)];
		uint32_t mask[VOCAB / 32 + 1] = { 0 };
		struct sample_token token, top[3], plain_top[3];
		const unsigned int rare = 1 + round % 200;

		random_logits(&seed, logits, 8, round % 3 ? 0 : 5);
		p.seed = 1 + round;
		mask[round % VOCAB / 32] |= 1U << round % VOCAB % 32;
		for (uint32_t i = 0; i < VOCAB; i++) {
			if (random_next(&seed) % rare == 0)
				mask[i / 32] |= 1U << i % 32;
			cut[i] = in_mask(mask, i) ? logits[i] : -INFINITY;
		}
		sampler_score(s, logits, 0, plain_top, 3);
		p.mask = mask;
		token = sampler_pick(s, &p, logits, history, 3, round, top, 3);
		assert_true(in_mask(mask, token.id));
		assert_memory_equal(top, plain_top, sizeof(top));
		assert_true(token.logprob == sampler_score(s, logits, token.id, NULL, 0));
		p.mask = NULL;
		assert_int_equal(token.id, sampler_pick(s, &p, cut, history, 3, round, NULL, 0).id);
	}
	sampler_free(s);
}

/* a mask is obeyed, whatever the logits are */
static void test_mask_hostile(void **state)
{
	static const float values[] = { NAN, INFINITY, -INFINITY, 0, FLT_MAX, -FLT_MAX };
	static float logits[VOCAB];
	struct sampler *s;

	(void)state;
	assert_int_equal(sampler_new(&s, VOCAB), 0);
	for (uint64_t round = 0; round < 400; round++) {
		const struct sample_params base[] = {
			{ 0 }, { .temperature = 1 }, { .temperature = 1, .top_k = 3 },
			{ .temperature = 1, .top_p = 0.5f, .min_p = 0.5f },
		};
		struct sample_params p = base[round % ARRAY_SIZE(base)];
		uint32_t mask[VOCAB / 32 + 1] = { 0 };
		const uint32_t only = (uint32_t)(random_next(&seed) % VOCAB);

		for (uint32_t i = 0; i < VOCAB; i++)
			logits[i] = values[random_next(&seed) % (1 + round % ARRAY_SIZE(values))];
		mask[only / 32] = 1U << only % 32;
		p.mask = mask;
		p.seed = round;
		assert_int_equal(sampler_pick(s, &p, logits, NULL, 0, round, NULL, 0).id, only);
	}
	sampler_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_philox),
		cmocka_unit_test(test_softmax),
		cmocka_unit_test(test_greedy),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_top_k_ties),
		cmocka_unit_test(test_repeatable),
		cmocka_unit_test(test_penalty),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_hostile_logits),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_mask_hostile),
	};
	const char *text = getenv("LLMOS_TEST_SEED");

	seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	print_message("# LLMOS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
