// SPDX-License-Identifier: MIT
/*
 * What undisturbed answers look like, asked for one at a time before anything is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "file.h"
#include "tap.h"
#include "truth.h"
#include "worker.h"

const char truth_text[] = "Lily and her mom went to the park. They saw a big red ball.";
const char truth_file_prompt[] = "One day, Lily";

static void record_tokens(struct llmos *llmos, struct chaos_truth *truth)
{
	const struct llmos_score_opts opts = { .size = sizeof(opts) };
	struct llmos_tokens *tokens = NULL;

	if (llmos_score(llmos, &tokens, truth_text, strlen(truth_text), &opts) < 0)
		tap_bail("score alone: %s", llmos_error(llmos));
	if (tokens->count > ARRAY_SIZE(truth->ids))
		tap_bail("score: %zu tokens", tokens->count);
	truth->ids_count = tokens->count;
	for (size_t i = 0; i < tokens->count; i++) {
		truth->ids[i] = tokens->tokens[i].id;
		truth->logprobs[i] = tokens->tokens[i].logprob;
	}
	llmos_tokens_free(tokens);
}

void chaos_record(struct chaos_truth *truth)
{
	struct llmos *llmos = e2e_open();
	int r;

	for (size_t i = 0; i < E2E_CASES; i++) {
		r = e2e_answer_get(llmos, &truth->answers[i], e2e_case(i)->prompt,
				   &e2e_case(i)->opts);
		if (r < 0)
			tap_bail("case %zu alone: %s", i, llmos_error(llmos));
	}
	record_tokens(llmos, truth);
	llmos_free(llmos);
	if (!e2e_device())
		return;
	r = file_ask(&truth->file_answer, truth_file_prompt);
	if (r < 0 || !truth->file_answer.len)
		tap_bail("the file alone: %s", strerror(-r));
}

void chaos_forget(struct chaos_truth *truth)
{
	for (size_t i = 0; i < E2E_CASES; i++)
		e2e_answer_clear(&truth->answers[i]);
	e2e_answer_clear(&truth->file_answer);
}
