/* SPDX-License-Identifier: MIT */
/*
 * Chooses the next token from logits. A choice is a function of its arguments alone: the random
 * number comes from the seed and the position, every order has a tie-break, and nothing is kept
 * between calls. The vocabulary is never sorted: what can't be among the kept is dropped first.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/philox.h"
#include "engine/softmax.h"

#define REPEAT_LAST_DEFAULT	64

/** struct candidate - a token that may be chosen */
struct candidate {
	float logit;
	uint32_t id;
};

/**
 * struct sampler - scratch
 * @logits: (vocab) with penalties, NaN replaced
 * @exps: (vocab) probabilities times a factor
 * @candidates: (vocab)
 */
struct sampler {
	uint32_t vocab;
	float *logits;
	float *exps;
	struct candidate *candidates;
};

int sampler_new(struct sampler **ret, uint32_t vocab)
{
	_cleanup_(sampler_freep) struct sampler *s = calloc(1, sizeof(*s));

	if (!vocab)
		return -EINVAL;
	if (!s)
		return -ENOMEM;
	s->vocab = vocab;
	s->logits = calloc(vocab, sizeof(*s->logits));
	s->exps = calloc(vocab, sizeof(*s->exps));
	s->candidates = calloc(vocab, sizeof(*s->candidates));
	if (!s->logits || !s->exps || !s->candidates)
		return -ENOMEM;
	*ret = steal_ptr(s);
	return 0;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	free(s->logits);
	free(s->exps);
	free(s->candidates);
	free(s);
}

/* ---- candidates in order: a heap whose root is the last (or the first) of them ---- */

/* is_before() - in the order of the answer: likelier first, then the lower id */
static bool is_before(struct candidate a, struct candidate b)
{
	return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* sift() - mend a heap below @at; its root is the one before all others, or behind with @reverse */
static void sift(struct candidate *heap, size_t count, size_t at, bool reverse)
{
	const struct candidate moving = heap[at];
	size_t child;

	while ((child = 2 * at + 1) < count) {
		if (child + 1 < count && is_before(heap[child + 1], heap[child]) != reverse)
			child++;
		if (is_before(moving, heap[child]) != reverse)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

static void make_heap(struct candidate *heap, size_t count, bool reverse)
{
	for (size_t i = count / 2; i-- > 0;)
		sift(heap, count, i, reverse);
}

/* pop_root() - move the root of a heap to the place behind what is left of it */
static struct candidate pop_root(struct candidate *heap, size_t count, bool reverse)
{
	const struct candidate root = heap[0];

	heap[0] = heap[count - 1];
	heap[count - 1] = root;
	if (count > 1)
		sift(heap, count - 1, 0, reverse);
	return root;
}

static float clean(float logit)
{
	return isnan(logit) ? -INFINITY : logit;
}

/* select_first() - the first @k of all tokens, in order, into candidates; returns how many */
static size_t select_first(struct sampler *s, const float *logits, size_t k)
{
	struct candidate *heap = s->candidates;
	size_t count = MIN(k, (size_t)s->vocab);

	if (!count)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		heap[i] = (struct candidate){ .logit = clean(logits[i]), .id = i };
	make_heap(heap, count, true);
	for (uint32_t i = (uint32_t)count; i < s->vocab; i++) {
		if (!(logits[i] > heap[0].logit))	/* an equal one has a higher id */
			continue;
		heap[0] = (struct candidate){ .logit = logits[i], .id = i };
		sift(heap, count, 0, true);
	}
	for (size_t left = count; left > 1; left--)
		pop_root(heap, left, true);
	return count;
}

/* ---- log-probabilities ---- */

struct distribution {
	struct softmax_peak peak;
	double log_sum;			/* of exp(logit - peak) */
};

static struct distribution distribution_of(const struct sampler *s, const float *logits)
{
	struct distribution d = { .peak = softmax_peak(logits, s->vocab) };

	d.log_sum = log(softmax_sum(NULL, logits, s->vocab, d.peak.logit, 1));
	return d;
}

static float logprob_of(const struct distribution *d, float logit)
{
	const double clamped = fmin(FLT_MAX, (double)clean(logit));

	if (!isfinite(clamped) || !isfinite(d->log_sum))
		return -INFINITY;
	return (float)(clamped - (double)d->peak.logit - d->log_sum);
}

static void fill_top(struct sampler *s, const struct distribution *d, const float *logits,
		     struct sample_token *top, size_t top_count)
{
	const size_t count = top ? select_first(s, logits, top_count) : 0;

	for (size_t i = 0; top && i < top_count; i++)
		top[i] = i < count ?
			(struct sample_token){
				.id = s->candidates[i].id,
				.logprob = logprob_of(d, s->candidates[i].logit) } :
			(struct sample_token){ .id = TOK_NONE, .logprob = -INFINITY };
}

float sampler_score(struct sampler *s, const float *logits, uint32_t id, struct sample_token *top,
		    size_t top_count)
{
	const struct distribution d = distribution_of(s, logits);

	fill_top(s, &d, logits, top, top_count);
	return id < s->vocab ? logprob_of(&d, logits[id]) : -INFINITY;
}

/* ---- choosing ---- */

static bool has_penalty(const struct sample_params *p)
{
	return isfinite(p->repeat_penalty) && p->repeat_penalty > 0 && p->repeat_penalty != 1;
}

/* penalized() - @logits, or a copy in which the last tokens of the history are less likely */
static const float *penalized(struct sampler *s, const struct sample_params *p, const float *logits,
			      const uint32_t *history, size_t history_count)
{
	size_t last = p->repeat_last_n ?: REPEAT_LAST_DEFAULT;

	if (!has_penalty(p) || !history_count)
		return logits;
	memcpy(s->logits, logits, s->vocab * sizeof(*logits));
	last = MIN(last, history_count);
	for (size_t i = history_count - last; i < history_count; i++) {
		const uint32_t id = history[i];

		/* from the original: a token that occurs twice is punished once */
		if (id < s->vocab)
			s->logits[id] = logits[id] > 0 ? logits[id] / p->repeat_penalty
						       : logits[id] * p->repeat_penalty;
	}
	return s->logits;
}

/* draw_any() - among all tokens, in the order of their ids */
static uint32_t draw_any(const struct sampler *s, double mark, uint32_t fallback)
{
	double sum = 0;

	for (uint32_t i = 0; i < s->vocab; i++) {
		sum += (double)s->exps[i];
		if (sum > mark)
			return i;
		if (s->exps[i] > 0)
			fallback = i;	/* the mark is within a rounding error of the end */
	}
	return fallback;
}

/* gather() - the tokens that top-p and min-p may keep, as a heap */
static size_t gather(struct sampler *s, const struct sample_params *p, const float *logits,
		     double sum)
{
	/* all tokens below this one together are less than what top-p leaves out */
	const double rare = p->top_p > 0 ? (1 - (double)p->top_p) * sum / s->vocab / 2 : 0;
	const double least = fmin(1, fmax(rare, (double)p->min_p));
	size_t count = 0;

	for (uint32_t i = 0; i < s->vocab; i++)
		if ((double)s->exps[i] >= least && s->exps[i] > 0)
			s->candidates[count++] = (struct candidate){ .logit = logits[i], .id = i };
	make_heap(s->candidates, count, false);
	return count;
}

/**
 * struct kept - the tokens to draw from, in order, and the sum of their exps
 * @first: place of the first one; the others follow upwards with @is_ascending, else downwards
 */
struct kept {
	const struct candidate *first;
	size_t count;
	double sum;
	bool is_ascending;
};

static struct candidate kept_at(const struct kept *k, size_t i)
{
	return k->is_ascending ? k->first[i] : *(k->first - i);
}

/* is_enough() - top-p: the ones before have the share already; min-p: this one is too rare */
static bool is_enough(const struct sample_params *p, double before, double sum, double e)
{
	return (p->top_p > 0 && p->top_p < 1 && before >= (double)p->top_p * sum) ||
		e < fmin(1, (double)p->min_p);
}

/* keep_of_top_k() - top-k first, then what top-p and min-p leave of those */
static struct kept keep_of_top_k(struct sampler *s, const struct sample_params *p,
				 const float *logits)
{
	const size_t count = select_first(s, logits, p->top_k);
	struct kept kept = { .first = s->candidates, .is_ascending = true };
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)s->exps[s->candidates[i].id];
	for (; kept.count < count; kept.count++) {
		const double e = (double)s->exps[s->candidates[kept.count].id];

		if (kept.count && is_enough(p, kept.sum, sum, e))
			break;
		kept.sum += e;
	}
	return kept;
}

/* keep_of_all() - top-p and min-p of the whole vocabulary, ordering only what is kept */
static struct kept keep_of_all(struct sampler *s, const struct sample_params *p,
			       const float *logits, double sum)
{
	const size_t count = gather(s, p, logits, sum);
	struct kept kept = { .first = s->candidates + count - 1 };

	for (; kept.count < count; kept.count++) {
		const double e = (double)s->exps[s->candidates[0].id];

		if (kept.count && is_enough(p, kept.sum, sum, e))
			break;
		pop_root(s->candidates, count - kept.count, false);
		kept.sum += e;
	}
	return kept;
}

static uint32_t draw_kept(const struct sampler *s, const struct kept *kept, double uniform)
{
	double sum = 0;

	for (size_t i = 0; i < kept->count; i++) {
		sum += (double)s->exps[kept_at(kept, i).id];
		if (sum > uniform * kept->sum)
			return kept_at(kept, i).id;
	}
	return kept_at(kept, 0).id;
}

static bool is_filtered(const struct sampler *s, const struct sample_params *p)
{
	return (p->top_k && p->top_k < s->vocab) || (p->top_p > 0 && p->top_p < 1) || p->min_p > 0;
}

static uint32_t choose(struct sampler *s, const struct sample_params *p, const float *logits,
		       uint64_t position)
{
	const struct softmax_peak peak = softmax_peak(logits, s->vocab);
	const double uniform = philox_uniform(p->seed, position);
	struct kept kept;
	double sum;

	if (!(p->temperature > 0))
		return peak.id;
	sum = softmax_sum(s->exps, logits, s->vocab, peak.logit, 1 / p->temperature);
	if (!(sum > 0) || !isfinite(1 / p->temperature))
		return peak.id;
	if (!is_filtered(s, p))
		return draw_any(s, uniform * sum, peak.id);
	kept = p->top_k && p->top_k < s->vocab ? keep_of_top_k(s, p, logits)
					       : keep_of_all(s, p, logits, sum);
	return kept.count ? draw_kept(s, &kept, uniform) : peak.id;
}

struct sample_token sampler_pick(struct sampler *s, const struct sample_params *params,
				 const float *logits, const uint32_t *history,
				 size_t history_count, uint64_t position, struct sample_token *top,
				 size_t top_count)
{
	const struct distribution d = distribution_of(s, logits);
	const float *changed = penalized(s, params, logits, history, history_count);
	struct sample_token token = { .id = d.peak.id };

	if (changed != logits || params->temperature > 0)
		token.id = choose(s, params, changed, position);
	token.logprob = logprob_of(&d, logits[token.id]);
	fill_top(s, &d, logits, top, top_count);
	return token;
}
