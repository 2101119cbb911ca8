// SPDX-License-Identifier: MIT
/*
 * A client of the chaos test. Where the daemon is the broker (the socket), an operation may be cut
 * off when the daemon is killed: cleanly, and with a right beginning. Over the device it may not.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "file.h"
#include "truth.h"
#include "worker.h"

#define PARALLEL	3

struct worker {
	const struct chaos_truth *truth;
	struct e2e_random random;
	struct llmos *llmos;
	uint32_t number;
	int fd;
};

/* the one of this process: on_text has only the answer to find it by */
static struct worker *self;

static void report(struct worker *worker, enum report_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void report(struct worker *worker, enum report_kind kind, const char *format, ...)
{
	struct report r = { .worker = worker->number, .kind = kind };
	va_list ap;

	va_start(ap, format);
	vsnprintf(r.text, sizeof(r.text), format, ap);
	va_end(ap);
	if (write(worker->fd, &r, sizeof(r)) != sizeof(r))
		_exit(3);
}

static void piece(struct e2e_answer *answer)
{
	(void)answer;
	report(self, REPORT_PIECE, "%s", "");
}

/* an error that a client may see when the daemon it was connected to is killed */
static bool lost(int r)
{
	static const int clean[] = { ECONNRESET, ECONNREFUSED, ENOENT, EPIPE, ENOTCONN };

	if (e2e_device())
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(clean); i++)
		if (r == -clean[i])
			return true;
	return false;
}

static bool try_open(void *arg)
{
	struct worker *worker = arg;

	return llmos_open(&worker->llmos, NULL) == 0;
}

static void reconnect(struct worker *worker)
{
	llmos_free(worker->llmos);
	worker->llmos = NULL;
	if (!e2e_wait(30, try_open, worker)) {
		report(worker, REPORT_WRONG, "no connection for 30 s");
		_exit(1);
	}
}

/* what became of an operation that returned @r */
static void judge(struct worker *worker, const char *what, int r)
{
	if (r >= 0) {
		report(worker, REPORT_DONE, "%s", what);
	} else if (lost(r)) {
		report(worker, REPORT_LOST, "%s", what);
		reconnect(worker);
	} else {
		report(worker, REPORT_WRONG, "%s: %s: %.90s", what, strerror(-r),
		       worker->llmos ? llmos_error(worker->llmos) : "");
		reconnect(worker);
	}
}

/* compare a finished answer: whole, or the beginning of the truth if it was cut */
static int compare(struct worker *worker, const char *what, const struct e2e_answer *answer,
		   const struct e2e_answer *want, bool whole)
{
	size_t at = 0;

	if (whole ? e2e_answer_equal(answer, want) : e2e_answer_begins(answer, want))
		return 0;
	while (at < answer->len && at < want->len && answer->text[at] == want->text[at])
		at++;
	report(worker, REPORT_WRONG, "%s: byte %zu differs, %zu bytes of %zu, '%.40s'", what, at,
	       answer->len, want->len, answer->len > at ? answer->text + at : "");
	return -EBADMSG;
}

static void op_ask(struct worker *worker)
{
	uint32_t c = e2e_below(&worker->random, E2E_CASES);
	struct e2e_answer answer = { .progress = piece };
	int r;

	r = e2e_answer_get(worker->llmos, &answer, e2e_case(c)->prompt, &e2e_case(c)->opts);
	if (compare(worker, "ask", &answer, &worker->truth->answers[c], r == 0) == 0)
		judge(worker, "ask", r);
	e2e_answer_clear(&answer);
}

static void op_cancel(struct worker *worker)
{
	uint32_t c = e2e_below(&worker->random, E2E_CASES);
	struct e2e_answer answer = {
		.progress = piece,
		.stop_after = 1 + e2e_below(&worker->random, 200),
	};
	int r;

	r = e2e_answer_get(worker->llmos, &answer, e2e_case(c)->prompt, &e2e_case(c)->opts);
	if (compare(worker, "cancel", &answer, &worker->truth->answers[c], r == 0) == 0)
		judge(worker, "cancel", r == -ECANCELED ? 0 : r);
	e2e_answer_clear(&answer);
}

static void op_parallel(struct worker *worker)
{
	struct e2e_answer answers[PARALLEL] = { 0 };
	uint32_t cases[PARALLEL];
	int r = 0;

	for (int i = 0; i < PARALLEL && r >= 0; i++) {
		cases[i] = e2e_below(&worker->random, E2E_CASES);
		answers[i].progress = piece;
		r = e2e_answer_start(worker->llmos, &answers[i], e2e_case(cases[i])->prompt,
				     &e2e_case(cases[i])->opts);
	}
	for (int i = 0; i < PARALLEL && r >= 0; i++)
		r = llmos_request_wait(answers[i].request);
	for (int i = 0; i < PARALLEL && r >= 0; i++)
		if (compare(worker, "parallel", &answers[i], &worker->truth->answers[cases[i]],
			    true) < 0)
			goto out;
	judge(worker, "parallel", r);
out:
	/* a connection that was lost has freed its requests' commands, not the requests */
	for (int i = 0; i < PARALLEL; i++)
		if (worker->llmos && r >= 0)
			e2e_answer_clear(&answers[i]);
		else
			free(answers[i].text);
}

/* leave in the middle, without a word */
static void op_close(struct worker *worker)
{
	uint32_t c = e2e_below(&worker->random, E2E_CASES);
	size_t until = e2e_below(&worker->random, 150);
	struct e2e_answer answer = { .progress = piece };
	int r;

	r = e2e_answer_start(worker->llmos, &answer, e2e_case(c)->prompt, &e2e_case(c)->opts);
	while (r >= 0 && !answer.ended && answer.len < until)
		r = llmos_dispatch(worker->llmos, -1);
	if (compare(worker, "close", &answer, &worker->truth->answers[c], false) == 0)
		report(worker, r >= 0 ? REPORT_DONE : lost(r) ? REPORT_LOST : REPORT_WRONG,
		       "close: %s", strerror(r < 0 ? -r : 0));
	reconnect(worker);
	free(answer.text);
}

/* let an answer lie unread while another one, on another connection, is read */
static void op_slow(struct worker *worker)
{
	uint32_t c = e2e_below(&worker->random, E2E_CASES);
	uint32_t d = e2e_below(&worker->random, E2E_CASES);
	struct e2e_answer slow = { .progress = piece }, quick = { .progress = piece };
	struct llmos *other = NULL;
	int r;

	r = e2e_answer_start(worker->llmos, &slow, e2e_case(c)->prompt, &e2e_case(c)->opts);
	if (r >= 0)
		r = llmos_open(&other, NULL);
	if (r >= 0)
		r = e2e_answer_get(other, &quick, e2e_case(d)->prompt, &e2e_case(d)->opts);
	if (r >= 0)
		r = llmos_request_wait(slow.request);
	if (compare(worker, "slow", &slow, &worker->truth->answers[c], r >= 0) == 0 &&
	    compare(worker, "quick", &quick, &worker->truth->answers[d], r >= 0) == 0) {
		llmos_request_free(slow.request);
		judge(worker, "slow", r);
	}
	llmos_free(other);
	free(slow.text);
	e2e_answer_clear(&quick);
}

static void op_score(struct worker *worker)
{
	const struct chaos_truth *truth = worker->truth;
	const struct llmos_score_opts opts = { .size = sizeof(opts) };
	struct llmos_tokens *tokens = NULL;
	bool same;
	int r;

	r = llmos_score(worker->llmos, &tokens, truth_text, strlen(truth_text), &opts);
	if (r < 0) {
		judge(worker, "score", r);
		return;
	}
	same = tokens->count == truth->ids_count;
	for (size_t i = 0; same && i < tokens->count; i++)
		same = tokens->tokens[i].id == truth->ids[i] &&
		       (tokens->tokens[i].logprob == truth->logprobs[i] ||
			(isnan(tokens->tokens[i].logprob) && isnan(truth->logprobs[i])));
	llmos_tokens_free(tokens);
	if (same)
		judge(worker, "score", 0);
	else
		report(worker, REPORT_WRONG, "score: not the undisturbed tokens");
}

static void op_detokenize(struct worker *worker)
{
	const struct chaos_truth *truth = worker->truth;
	char *text = NULL;
	size_t len = 0;
	int r;

	r = llmos_detokenize(worker->llmos, &text, &len, truth->ids, truth->ids_count, NULL);
	if (r >= 0 && !memmem(text, len, truth_text, strlen(truth_text)))
		report(worker, REPORT_WRONG, "detokenize: '%.80s'", text);
	else
		judge(worker, "detokenize", r);
	free(text);
}

static void op_control(struct worker *worker)
{
	struct llmos_processes *list = NULL;
	struct llmos_status status = { .size = sizeof(status) };
	int r;

	r = llmos_nop(worker->llmos);
	if (r >= 0)
		r = llmos_ps(worker->llmos, &list);
	if (r >= 0) {
		llmos_processes_free(list);
		r = llmos_get_status(worker->llmos, &status);
	}
	judge(worker, "control", r);
}

static void expect(struct worker *worker, const char *what, int got, int want)
{
	if (got == want)
		judge(worker, what, 0);
	else if (got >= 0)
		report(worker, REPORT_WRONG, "%s was accepted", what);
	else
		judge(worker, what, got);
}

static void op_bad(struct worker *worker)
{
	struct llmos_generate_opts opts = { .size = sizeof(opts), .raw = true };
	char *long_prompt;
	int r;

	switch (e2e_below(&worker->random, 3)) {
	case 0:
		opts.model = "no-such-model";
		r = llmos_ask(worker->llmos, NULL, "x", 1, &opts);
		expect(worker, "unknown model", r, -ENOENT);
		break;
	case 1:
		r = llmos_ask(worker->llmos, NULL, "a\xff\xfe", 3, &opts);
		expect(worker, "not UTF-8", r, -EILSEQ);
		break;
	default:
		long_prompt = e2e_long_prompt(2000);
		r = llmos_ask(worker->llmos, NULL, long_prompt, strlen(long_prompt), &opts);
		expect(worker, "too long", r, -E2BIG);
		free(long_prompt);
	}
}

static void op_file(struct worker *worker)
{
	struct e2e_answer answer = { .progress = piece };
	int r;

	if (!e2e_device()) {
		op_ask(worker);
		return;
	}
	r = file_ask(&answer, truth_file_prompt);
	if (compare(worker, "file", &answer, &worker->truth->file_answer, r == 0) == 0)
		judge(worker, "file", r);
	free(answer.text);
}

static void (*const operations[])(struct worker *worker) = {
	op_ask, op_ask, op_ask, op_ask, op_cancel, op_cancel, op_parallel, op_parallel, op_close,
	op_slow, op_score, op_detokenize, op_control, op_bad, op_file, op_file,
};

void worker_run(const struct chaos_truth *truth, uint32_t number, uint64_t seed,
		unsigned int count, int fd)
{
	struct worker worker = {
		.truth = truth,
		.random = { seed },
		.number = number,
		.fd = fd,
	};

	self = &worker;
	signal(SIGPIPE, SIG_IGN);
	reconnect(&worker);
	for (unsigned int i = 0; i < count; i++)
		operations[e2e_below(&worker.random, ARRAY_SIZE(operations))](&worker);
	report(&worker, REPORT_END, "%s", "");
	llmos_free(worker.llmos);
	_exit(0);
}
