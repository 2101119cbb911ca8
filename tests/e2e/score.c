// SPDX-License-Identifier: MIT
/*
 * Log-probabilities: those of a score and those of a greedy answer are of one and the same
 * distribution, the alternatives are sorted and sum to at most one, the first token has none, and
 * the text of the tokens is the text. Where the reference of the small model is there, its first
 * logits agree: differences of logits are differences of log-probabilities.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/e2e.h"
#include "lib/tap.h"

#define TOP		20
#define TOKENS_MAX	64

/* the eight largest logits after the prompt, as another program computed them from the same file */
static const struct {
	const char *prompt;
	uint32_t ids[8];
	double logits[8];
} facts[] = {
	{ "Once upon a time", { 432, 383, 322, 353, 323, 298, 387, 426 },
	  { 17.799397, 14.281260, 9.709650, 9.587288, 9.134243, 8.934912, 8.635524, 8.625164 } },
	{ "One day, a boy named Tim", { 263, 272, 286, 269, 391, 394, 381, 280 },
	  { 13.816559, 11.978563, 11.312898, 11.272760, 10.494589, 10.406749, 10.120889,
	    9.764179 } },
};

struct generated {
	size_t count;
	uint32_t ids[TOKENS_MAX];
	double logprobs[TOKENS_MAX];
	uint32_t top[TOP];
	double top_logprobs[TOP];
	size_t top_count;
	bool sorted;
	double sum_max;
};

static int on_token(void *userdata, const struct llmos_token *token)
{
	struct generated *g = userdata;
	double sum = 0;

	if (g->count == TOKENS_MAX)
		return -EOVERFLOW;
	for (size_t i = 0; i < token->top_count; i++) {
		sum += exp(token->top[i].logprob);
		if (i && token->top[i].logprob > token->top[i - 1].logprob)
			g->sorted = false;
		if (g->count == 0 && i < TOP) {
			g->top[i] = token->top[i].id;
			g->top_logprobs[i] = token->top[i].logprob;
			g->top_count = i + 1;
		}
	}
	g->sum_max = fmax(g->sum_max, sum);
	g->ids[g->count] = token->id;
	g->logprobs[g->count++] = token->logprob;
	return 0;
}

static void check_facts(struct llmos *llmos)
{
	for (size_t f = 0; f < ARRAY_SIZE(facts); f++) {
		struct generated g = { .sorted = true };
		struct llmos_generate_opts opts = {
			.size = sizeof(opts), .raw = true, .max_tokens = 1, .ignore_eos = true,
			.top_logprobs = TOP, .on_token = on_token, .userdata = &g,
		};
		double worst = 0;
		bool ids = true;
		int r;

		r = llmos_ask(llmos, NULL, facts[f].prompt, strlen(facts[f].prompt), &opts);
		for (int i = 0; r == 0 && i < 8 && g.top_count == TOP; i++) {
			double want = facts[f].logits[i] - facts[f].logits[0];
			double got = g.top_logprobs[i] - g.top_logprobs[0];

			ids = ids && g.top[i] == facts[f].ids[i];
			worst = fmax(worst, fabs(got - want));
		}
		tap_ok(r == 0 && g.top_count == TOP && ids, "'%s': the eight likeliest tokens (%s)",
		       facts[f].prompt, strerror(-r));
		tap_ok(worst < 1e-4, "'%s': their log-probabilities, off by at most %.1e",
		       facts[f].prompt, worst);
	}
}

int main(void)
{
	static const char prompt[] = "Once upon a time";
	struct generated g = { .sorted = true };
	const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .max_tokens = 30, .ignore_eos = true,
		.top_logprobs = TOP, .on_token = on_token, .userdata = &g,
	};
	const struct llmos_score_opts score_opts = { .size = sizeof(score_opts) };
	const struct llmos_tokenize_opts bos = { .size = sizeof(bos), .bos = true };
	struct llmos_tokens *tokens = NULL, *scored = NULL;
	struct llmos *llmos = e2e_open();
	uint32_t ids[2 * TOKENS_MAX];
	double worst = 0;
	bool same = true;
	size_t n;
	int r;

	r = llmos_ask(llmos, NULL, prompt, strlen(prompt), &opts);
	tap_ok(r == 0 && g.count == 30, "an answer of %zu tokens with their log-probabilities (%s)",
	       g.count, r ? llmos_error(llmos) : "ok");
	tap_ok(g.sorted, "alternatives come likeliest first");
	tap_ok(g.sum_max > 0 && g.sum_max <= 1.0001, "they sum to at most one (%.6f)", g.sum_max);
	tap_ok(g.top_count == TOP && g.top[0] == g.ids[0], "a greedy token is the likeliest one");

	r = llmos_tokenize(llmos, &tokens, prompt, strlen(prompt), &bos);
	if (r < 0)
		tap_bail("tokenize: %s", llmos_error(llmos));
	n = tokens->count;
	for (size_t i = 0; i < n && i < TOKENS_MAX; i++)
		ids[i] = tokens->tokens[i].id;
	llmos_tokens_free(tokens);
	memcpy(ids + n, g.ids, g.count * sizeof(*ids));
	r = llmos_score_ids(llmos, &scored, ids, n + g.count, &score_opts);
	if (r < 0)
		tap_bail("score: %s", llmos_error(llmos));
	tap_ok(scored->count == n + g.count, "a score for each of %zu tokens", n + g.count);
	tap_ok(scored->count && isnan(scored->tokens[0].logprob), "none for the first");
	for (size_t i = 0; i < g.count && n + i < scored->count; i++) {
		same = same && scored->tokens[n + i].id == g.ids[i];
		worst = fmax(worst, fabs(scored->tokens[n + i].logprob - g.logprobs[i]));
	}
	tap_ok(same, "of these very tokens");
	tap_ok(worst == 0, "scored and generated log-probabilities are the same (off by %.1e)", worst);
	llmos_tokens_free(scored);
	check_facts(llmos);
	llmos_free(llmos);
	return tap_done();
}
