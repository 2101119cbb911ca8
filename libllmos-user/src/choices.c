/* SPDX-License-Identifier: MIT */
/*
 * Several answers to one prompt. Each is a request of its own, with a seed of its own: the server
 * computes what they have in common once.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "opts.h"
#include "request.h"
#include "text.h"

#define CHOICES_AT_ONCE	32U

/* what is asked: a text, or a conversation */
struct question {
	const char *prompt;
	size_t prompt_len;
	const struct llmos_message *messages;
	size_t message_count;
};

/**
 * struct try - an answer that may become a choice
 * @request: NULL before it is asked for
 * @sum: of the log-probabilities of its tokens
 * @tokens: number of them
 */
struct try {
	struct llmos_request *request;
	double sum;
	uint32_t tokens;
};

static int try_on_token(void *userdata, const struct llmos_token *token)
{
	struct try *try = userdata;

	if (!isnan(token->logprob))
		try->sum += token->logprob;
	try->tokens++;
	return 0;
}

static double try_mean(const struct try *try)
{
	return try->tokens ? try->sum / try->tokens : 0;
}

/* likeliest first; of the same, who was asked first */
static int try_compare(const void *x, const void *y)
{
	const struct try *const *a = x, *const *b = y;
	const double mean_a = try_mean(*a), mean_b = try_mean(*b);

	if (mean_a != mean_b)
		return mean_a > mean_b ? -1 : 1;
	return *a < *b ? -1 : 1;
}

static int try_start(struct llmos *llmos, struct try *try, const struct question *question,
		     struct llmos_generate_opts opts, uint64_t index)
{
	int r;

	/* 0 is the server's to choose */
	if (opts.seed)
		opts.seed += index + (opts.seed + index < opts.seed);
	opts.on_token = try_on_token;
	opts.userdata = try;
	if (question->messages)
		r = llmos_chat_start(llmos, &try->request, question->messages,
				     question->message_count, &opts);
	else
		r = llmos_ask_start(llmos, &try->request, question->prompt, question->prompt_len,
				    &opts);
	if (!r)
		try->request->unbounded = true;
	return r;
}

/* some at once; the first that fails is the end of all */
static int tries_run(struct llmos *llmos, struct try *tries, unsigned int count,
		     const struct question *question, const struct llmos_generate_opts *opts)
{
	unsigned int started = 0, done;
	int r;

	for (done = 0; done < count; done++) {
		while (started < count && started - done < CHOICES_AT_ONCE) {
			r = try_start(llmos, &tries[started], question, *opts, started);
			if (r < 0)
				return r;
			started++;
		}
		r = llmos_request_wait(tries[done].request);
		if (r < 0)
			return r;
	}
	return 0;
}

static int choice_take(struct llmos_choice *choice, struct try *try)
{
	choice->len = try->request->text.len;
	choice->text = llmos_text_take(&try->request->text);
	if (!choice->text)
		return -ENOMEM;
	choice->finish = llmos_request_finish(try->request);
	choice->tokens = try->tokens;
	choice->logprob = try->sum;
	return 0;
}

static int choices_take(struct llmos_choices **ret, struct try *tries, unsigned int count,
			unsigned int best_of)
{
	struct llmos_choices *choices = calloc(1, sizeof(*choices));
	struct try **order = calloc(best_of, sizeof(*order));
	unsigned int i;
	int r = 0;

	if (choices)
		choices->choices = calloc(count, sizeof(*choices->choices));
	if (!order || !choices || !choices->choices)
		r = -ENOMEM;
	for (i = 0; !r && i < best_of; i++)
		order[i] = &tries[i];
	if (!r && count < best_of)
		qsort(order, best_of, sizeof(struct try *), try_compare);
	for (i = 0; !r && i < count; i++) {
		r = choice_take(&choices->choices[i], order[i]);
		choices->count += !r;
	}
	free(order);
	if (r < 0) {
		llmos_choices_free(choices);
		return r;
	}
	*ret = choices;
	return 0;
}

static int choices_check(struct llmos *llmos, unsigned int count, unsigned int best_of,
			 const struct llmos_generate_opts *opts)
{
	if (!count || count > best_of || best_of > LLMOS_CHOICES_MAX)
		return llmos_fail(llmos, -EINVAL, "%u choices of %u (1 to %u, and no fewer)", count,
				  best_of, LLMOS_CHOICES_MAX);
	if (opts->on_text || opts->on_token || opts->on_end)
		return llmos_fail(llmos, -EINVAL, "choices beside a callback");
	if (opts->session)
		return llmos_fail(llmos, -EINVAL, "choices in a session, which goes on from one");
	if (best_of > 1 && !(opts->temperature > 0))
		return llmos_fail(llmos, -EINVAL,
				  "%u answers without a temperature: they would all be the same",
				  best_of);
	return 0;
}

static int choices_run(struct llmos *llmos, struct llmos_choices **ret,
		       const struct question *question, unsigned int count, unsigned int best_of,
		       const struct llmos_generate_opts *caller)
{
	struct llmos_generate_opts opts;
	struct try *tries;
	unsigned int i;
	int r;

	best_of = best_of ? best_of : count;
	r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);
	if (!r)
		r = choices_check(llmos, count, best_of, &opts);
	if (r < 0)
		return r;
	tries = calloc(best_of, sizeof(*tries));
	if (!tries)
		return llmos_fail(llmos, -ENOMEM, "%u answers", best_of);
	opts.size = sizeof(opts);
	opts.logprobs = true;
	r = tries_run(llmos, tries, best_of, question, &opts);
	if (!r) {
		r = choices_take(ret, tries, count, best_of);
		if (r < 0)
			llmos_fail(llmos, r, "%u choices", count);
	}
	for (i = 0; i < best_of; i++)
		llmos_request_free(tries[i].request);
	free(tries);
	return r;
}

int llmos_ask_choices(struct llmos *llmos, struct llmos_choices **ret, const char *prompt,
		      size_t prompt_len, unsigned int count, unsigned int best_of,
		      const struct llmos_generate_opts *opts)
{
	const struct question question = { .prompt = prompt, .prompt_len = prompt_len };

	return choices_run(llmos, ret, &question, count, best_of, opts);
}

int llmos_chat_choices(struct llmos *llmos, struct llmos_choices **ret,
		       const struct llmos_message *messages, size_t message_count,
		       unsigned int count, unsigned int best_of,
		       const struct llmos_generate_opts *opts)
{
	const struct question question = {
		.messages = messages,
		.message_count = message_count,
	};

	if (!messages)
		return llmos_fail(llmos, -EINVAL, "conversation without a message");
	return choices_run(llmos, ret, &question, count, best_of, opts);
}

void llmos_choices_free(struct llmos_choices *choices)
{
	size_t i;

	if (!choices)
		return;
	for (i = 0; choices->choices && i < choices->count; i++)
		free(choices->choices[i].text);
	free(choices->choices);
	free(choices);
}
