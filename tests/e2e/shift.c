// SPDX-License-Identifier: MIT
/*
 * Answers many times as long as the context, of a real model. What is left of the text after each
 * shift, scored as a text of its own, gives the tokens of the answer the probabilities that they
 * were chosen with; answers are the same in company, and over the device also when the daemon is
 * killed again and again around the shifts. Needs no running daemon: it starts its own, with
 * LLMOS_CONTEXT tokens of context.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/e2e.h"
#include "lib/tap.h"

#define PROMPT		"Once upon a time, there was a girl"
#define TOKENS		400
#define KILLS		12
#define STREAMS		3
#define STALL_S		30

/** struct text - all tokens of an answer and of the prompt before it */
struct text {
	uint32_t ids[1024];
	double logprobs[1024];
	size_t prompt;
	size_t count;
};

static size_t context;
static const uint32_t keeps[STREAMS] = { 0, 9, 20 };
static struct e2e_answer alone[STREAMS];

static struct llmos_generate_opts opts_of(unsigned int stream)
{
	return (struct llmos_generate_opts){
		.size = sizeof(struct llmos_generate_opts),
		.raw = true,
		.ignore_eos = true,
		.max_tokens = e2e_tokens(TOKENS),
		.context_shift = true,
		.keep_tokens = keeps[stream],
		.temperature = stream ? 0.8 : 0,
		.seed = stream,
		.repeat_penalty = stream == 2 ? 1.1 : 0,
	};
}

static int on_token(void *userdata, const struct llmos_token *token)
{
	struct text *text = userdata;

	if (text->count == ARRAY_SIZE(text->ids))
		return 1;
	text->ids[text->count] = token->id;
	text->logprobs[text->count++] = token->logprob;
	return 0;
}

static void answer(struct llmos *llmos, struct text *text, unsigned int stream)
{
	struct llmos_generate_opts opts = opts_of(stream);
	struct llmos_tokens *tokens = NULL;
	int r;

	r = llmos_tokenize(llmos, &tokens, PROMPT, strlen(PROMPT),
			   LLMOS_OPTS(llmos_tokenize_opts, .bos = true));
	if (r < 0)
		tap_bail("tokenize: %s", llmos_error(llmos));
	memset(text, 0, sizeof(*text));
	for (size_t i = 0; i < tokens->count; i++)
		text->ids[text->count++] = tokens->tokens[i].id;
	text->prompt = text->count;
	llmos_tokens_free(tokens);
	opts.on_token = on_token;
	opts.logprobs = true;
	opts.userdata = text;
	r = llmos_ask(llmos, NULL, PROMPT, strlen(PROMPT), &opts);
	if (r < 0)
		tap_bail("ask: %s", llmos_error(llmos));
}

/* tokens that the model sees before token @at of the text is chosen; Return: number of them */
static size_t left_before(const struct text *text, size_t at, size_t head, uint32_t *left)
{
	const size_t step = (context - head) / 2;
	size_t dropped = 0;

	while (at - dropped > context)
		dropped += step;
	memcpy(left, text->ids, head * sizeof(*left));
	memcpy(left + head, text->ids + head + dropped, (at - head - dropped) * sizeof(*left));
	return at - dropped;
}

/* Return: does that text, scored, say of token @at what was said when it was chosen? */
static bool scores_same(struct llmos *llmos, const struct text *text, size_t at, size_t head)
{
	struct llmos_tokens *tokens = NULL;
	uint32_t left[1024];
	size_t count = left_before(text, at, head, left);
	bool same;
	int r;

	/* where the context is full there is no room for the token itself, though its row is there */
	if (count == context)
		return true;
	left[count++] = text->ids[at];
	r = llmos_score_ids(llmos, &tokens, left, count,
			    LLMOS_OPTS(llmos_score_opts, .model = NULL));
	if (r < 0)
		tap_bail("score: %s", llmos_error(llmos));
	same = tokens->tokens[count - 1].logprob == text->logprobs[at];
	if (!same)
		tap_note("token %zu: %g, chosen with %g", at, tokens->tokens[count - 1].logprob,
			 text->logprobs[at]);
	llmos_tokens_free(tokens);
	return same;
}

static void exact(struct llmos *llmos, unsigned int stream)
{
	const size_t head = keeps[stream] ? keeps[stream] : 1;
	static struct text text;
	size_t wrong = 0;

	answer(llmos, &text, stream);
	for (size_t at = text.prompt; at < text.count; at += 1 + at % 3)
		wrong += !scores_same(llmos, &text, at, head);
	tap_ok(text.count == text.prompt + e2e_tokens(TOKENS) && !wrong,
	       "keep %u: %zu tokens with %zu of context, each as after a fresh prompt", keeps[stream],
	       text.count, context);
}

static void record(struct llmos *llmos)
{
	for (unsigned int i = 0; i < STREAMS; i++) {
		struct llmos_generate_opts opts = opts_of(i);

		if (e2e_answer_get(llmos, &alone[i], PROMPT, &opts) < 0)
			tap_bail("stream %u alone: %s", i, llmos_error(llmos));
	}
}

static void start(struct llmos *llmos, struct e2e_answer *answers)
{
	for (unsigned int i = 0; i < STREAMS; i++) {
		struct llmos_generate_opts opts = opts_of(i);

		if (e2e_answer_start(llmos, &answers[i], PROMPT, &opts) < 0)
			tap_bail("stream %u: %s", i, llmos_error(llmos));
	}
}

static unsigned int running(struct llmos *llmos, const struct e2e_answer *answers)
{
	unsigned int count = 0;

	llmos_dispatch(llmos, 100);
	for (unsigned int i = 0; i < STREAMS; i++)
		count += !answers[i].ended;
	return count;
}

static void compare(struct e2e_answer *answers, const char *what)
{
	for (unsigned int i = 0; i < STREAMS; i++) {
		const bool same = !answers[i].status && e2e_answer_equal(&answers[i], &alone[i]);

		tap_ok(same, "keep %u, %s: %zu bytes, the undisturbed ones", keeps[i], what,
		       answers[i].len);
		if (!same)
			e2e_answer_differ(&answers[i], &alone[i]);
		e2e_answer_clear(&answers[i]);
	}
}

static void in_company(struct llmos *llmos)
{
	const uint64_t deadline = e2e_now_ns() + STALL_S * 1000000000ULL * e2e_scale();
	struct e2e_answer answers[STREAMS] = { 0 };

	start(llmos, answers);
	while (running(llmos, answers) && e2e_now_ns() < deadline)
		;
	compare(answers, "in company");
}

/* killed each time the first stream has grown by a part of what it is to have */
static void killed(pid_t *pid)
{
	const uint64_t deadline = e2e_now_ns() + 3 * STALL_S * 1000000000ULL * e2e_scale();
	struct e2e_answer answers[STREAMS] = { 0 };
	struct llmos *llmos = e2e_open();
	unsigned int kills = 0;

	start(llmos, answers);
	while (running(llmos, answers) && e2e_now_ns() < deadline) {
		if (kills >= KILLS || answers[0].len * (KILLS + 1) < (kills + 1) * alone[0].len)
			continue;
		e2e_daemon_end(*pid, SIGKILL);
		*pid = e2e_daemon_spawn();
		kills++;
	}
	tap_ok(kills > 0, "the daemon was killed %u times", kills);
	compare(answers, "with a daemon that dies");
	llmos_free(llmos);
}

int main(void)
{
	struct llmos *llmos;
	pid_t pid = 0;
	int status;

	context = e2e_number("LLMOS_CONTEXT", 0);
	if (e2e_daemon_start(&pid) < 0)
		tap_bail("llmosd does not start");
	llmos = e2e_open();
	record(llmos);
	for (unsigned int i = 0; i < 2; i++)
		exact(llmos, i);
	in_company(llmos);
	llmos_free(llmos);
	if (e2e_device())
		killed(&pid);
	status = e2e_daemon_end(pid, SIGTERM);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the last daemon ends well (%#x)",
	       status);
	for (unsigned int i = 0; i < STREAMS; i++)
		e2e_answer_clear(&alone[i]);
	return tap_done();
}
