/* SPDX-License-Identifier: MIT */
/*
 * Chooses the next token from logits. A choice is a function of its arguments alone: the random
 * number comes from the seed and the position, every order has a tie-break, and nothing is kept
 * between calls. The vocabulary is never sorted: a heap finds the edge of top-k, bins that of top-p.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/philox.h"
#include "engine/softmax.h"

#define REPEAT_LAST_DEFAULT	64
#define BINS			4096	/* that top-p sorts tokens into, by their distance from */
#define BIN_RANGE		88	/* the likeliest one, up to where exp() ends */

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
 * @bins: sums of exps
 */
struct sampler {
	uint32_t vocab;
	float *logits;
	float *exps;
	struct candidate *candidates;
	double bins[BINS];
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

/* gather_first() - the first @k of all tokens into candidates, the last of them in front */
static size_t gather_first(struct sampler *s, const float *logits, size_t k)
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
	return count;
}

/* select_first() - the same, in order */
static size_t select_first(struct sampler *s, const float *logits, size_t k)
{
	const size_t count = gather_first(s, logits, k);

	for (size_t left = count; left > 1; left--)
		pop_root(s->candidates, left, true);
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

static bool is_allowed(const uint32_t *mask, uint32_t id)
{
	return !mask || mask[id / 32] >> id % 32 & 1;
}

/* masked() - @logits, or a copy in which the tokens that are not in the mask are impossible */
static const float *masked(struct sampler *s, const uint32_t *mask, const float *logits)
{
	if (!mask)
		return logits;
	for (uint32_t i = 0; i < s->vocab; i++)
		s->logits[i] = is_allowed(mask, i) ? logits[i] : -INFINITY;
	return s->logits;
}

/* allowed_peak() - the likeliest token of the mask, the lowest if none is possible */
static uint32_t allowed_peak(const struct sampler *s, const uint32_t *mask, const float *changed)
{
	const uint32_t id = softmax_peak(changed, s->vocab).id;
	uint32_t first = 0;

	if (is_allowed(mask, id))
		return id;
	while (first + 1 < s->vocab && !is_allowed(mask, first))
		first++;
	return first;
}

/*
 * Filters work on a list of candidates, which is all tokens that they may keep and few others. Its
 * order means nothing, but is a function of the logits: the drawing goes by it.
 */

/* gather_common() - the tokens whose exps are @least or more */
static size_t gather_common(struct sampler *s, const float *logits, float least)
{
	size_t count = 0;

	for (uint32_t i = 0; i < s->vocab; i++)
		if (s->exps[i] >= least)
			s->candidates[count++] = (struct candidate){ .logit = logits[i], .id = i };
	return count;
}

static double sum_of(const struct sampler *s, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)s->exps[s->candidates[i].id];
	return sum;
}

/* bin_of() - tokens in a lower bin come before those in a higher one */
static uint32_t bin_of(struct candidate c, float peak, float scale)
{
	const float distance = (peak - c.logit) * scale * (BINS / BIN_RANGE);

	return (uint32_t)fmaxf(0, fminf(BINS - 1, distance));
}

/* crossing_bin() - in which the sum reaches @share; *ret_before: sum of the bins before it */
static uint32_t crossing_bin(struct sampler *s, size_t count, float peak, float scale, double share,
			     double *ret_before)
{
	double before = 0;
	uint32_t bin;

	memset(s->bins, 0, sizeof(s->bins));
	for (size_t i = 0; i < count; i++)
		s->bins[bin_of(s->candidates[i], peak, scale)] +=
			(double)s->exps[s->candidates[i].id];
	for (bin = 0; bin < BINS - 1 && before + s->bins[bin] < share; bin++)
		before += s->bins[bin];
	*ret_before = before;
	return bin;
}

/* move_front() - tokens below a bin to the front, those of the bin behind them; returns both counts */
static size_t move_front(struct sampler *s, size_t count, uint32_t bin, float peak, float scale,
			 size_t *ret_of_bin)
{
	struct candidate *c = s->candidates;
	size_t below = 0, of_bin = 0;

	for (size_t i = 0; i < count; i++) {
		const uint32_t at = bin_of(c[i], peak, scale);
		const struct candidate moving = c[i];

		if (at > bin)
			continue;
		c[i] = c[below + of_bin];
		c[below + of_bin] = moving;
		if (at == bin) {
			of_bin++;
			continue;
		}
		c[below + of_bin] = c[below];
		c[below++] = moving;
	}
	*ret_of_bin = of_bin;
	return below;
}

/* keep_top_p() - as few as have the share; only those of one bin are put in order */
static size_t keep_top_p(struct sampler *s, size_t count, float peak, float scale, double share)
{
	size_t below, of_bin, kept = 0;
	double before;
	const uint32_t bin = crossing_bin(s, count, peak, scale, share, &before);
	struct candidate *heap;

	below = move_front(s, count, bin, peak, scale, &of_bin);
	heap = s->candidates + below;
	make_heap(heap, of_bin, false);
	for (; kept < of_bin && before < share; kept++)
		before += (double)s->exps[pop_root(heap, of_bin - kept, false).id];
	/* they came to lie at the end */
	memmove(heap, heap + of_bin - kept, kept * sizeof(*heap));
	return below + kept;
}

static size_t keep_min_p(struct sampler *s, size_t count, double min_p)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if ((double)s->exps[s->candidates[i].id] >= fmin(1, min_p))
			s->candidates[kept++] = s->candidates[i];
	return kept;
}

/* filter() - the candidates that the parameters leave, whose sum was @sum; returns how many */
static size_t filter(struct sampler *s, const struct sample_params *p, const float *logits,
		     struct softmax_peak peak, double sum)
{
	const bool has_top_p = p->top_p > 0 && p->top_p < 1;
	/* all tokens below this one together are less than what top-p leaves out */
	const double rare = has_top_p ? (1 - (double)p->top_p) * sum / s->vocab / 2 : 0;
	const double least = p->min_p > 0 ? fmin(1, fmax(rare, (double)p->min_p)) : rare;
	double share = (double)p->top_p * sum;
	size_t count;

	if (p->top_k && p->top_k < s->vocab) {
		count = gather_first(s, logits, p->top_k);
		share = (double)p->top_p * sum_of(s, count);
	} else {
		count = gather_common(s, logits, (float)least / 2);
	}
	if (has_top_p)
		count = keep_top_p(s, count, peak.logit, 1 / p->temperature, share);
	return p->min_p > 0 ? keep_min_p(s, count, (double)p->min_p) : count;
}

/* draw_candidate() - the one at @mark when their exps lie side by side */
static uint32_t draw_candidate(const struct sampler *s, size_t count, double mark)
{
	double sum = 0;
	size_t i;

	for (i = 0; i + 1 < count; i++) {
		sum += (double)s->exps[s->candidates[i].id];
		if (sum > mark)
			break;
	}
	return s->candidates[i].id;
}

/* draw_any() - the same for all tokens, in the order of ids */
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

static bool is_filtered(const struct sampler *s, const struct sample_params *p)
{
	return (p->top_k && p->top_k < s->vocab) || (p->top_p > 0 && p->top_p < 1) || p->min_p > 0;
}

static uint32_t choose(struct sampler *s, const struct sample_params *p, const float *logits,
		       uint64_t position)
{
	const struct softmax_peak peak = softmax_peak(logits, s->vocab);
	const double uniform = philox_uniform(p->seed, position);
	double sum;
	size_t count;

	if (!(p->temperature > 0) || !isfinite(1 / p->temperature))
		return peak.id;
	sum = softmax_sum(s->exps, logits, s->vocab, peak.logit, 1 / p->temperature);
	if (!is_filtered(s, p))
		return draw_any(s, uniform * sum, peak.id);
	count = filter(s, p, logits, peak, sum);
	sum = sum_of(s, count);
	return sum > 0 ? draw_candidate(s, count, uniform * sum) : peak.id;
}

struct sample_token sampler_pick(struct sampler *s, const struct sample_params *params,
				 const float *logits, const uint32_t *history,
				 size_t history_count, uint64_t position, struct sample_token *top,
				 size_t top_count)
{
	const struct distribution d = distribution_of(s, logits);
	const float *changed = masked(s, params->mask,
				      penalized(s, params, logits, history, history_count));
	struct sample_token token = { .id = d.peak.id };

	if (changed != logits || params->temperature > 0)
		token.id = choose(s, params, changed, position);
	/* rounding, or logits that are no numbers */
	if (!is_allowed(params->mask, token.id))
		token.id = allowed_peak(s, params->mask, changed);
	token.logprob = logprob_of(&d, logits[token.id]);
	fill_top(s, &d, logits, top, top_count);
	return token;
}
