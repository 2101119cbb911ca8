/* SPDX-License-Identifier: MIT */
/*
 * A client of the chaos test: a process that asks at random and checks every byte it gets against
 * what was recorded undisturbed. It tells its parent of every piece and every operation over a
 * pipe; each report is written in one piece, so that a worker killed anywhere leaves no half of one.
 */
#ifndef LLMOS_TEST_WORKER_H
#define LLMOS_TEST_WORKER_H

#include "e2e.h"

#define WORKER_TEXT	160

enum report_kind {
	REPORT_PIECE,	/* a piece of an answer came */
	REPORT_DONE,	/* an operation went well */
	REPORT_LOST,	/* it ended with the daemon, cleanly; only where that is allowed */
	REPORT_WRONG,	/* text says what */
	REPORT_END,	/* the worker has done all its operations */
};

struct report {
	uint32_t worker;
	uint32_t kind;
	char text[WORKER_TEXT];
};

/**
 * struct chaos_truth - what undisturbed answers look like
 * @answers: one for each of e2e_cases
 * @ids: token ids of a text
 * @ids_count: number of them
 * @logprobs: of those tokens
 * @file_answer: what the file itself answers to file_prompt, over the device
 */
struct chaos_truth {
	struct e2e_answer answers[16];
	uint32_t ids[64];
	size_t ids_count;
	double logprobs[64];
	struct e2e_answer file_answer;
};

/* record the truth; bails out if that fails */
void chaos_record(struct chaos_truth *truth);
void chaos_forget(struct chaos_truth *truth);

/* a worker's whole life: @operations of them, reports to @fd; never returns */
_Noreturn void worker_run(const struct chaos_truth *truth, uint32_t number, uint64_t seed,
			  unsigned int operations, int fd);

#endif /* LLMOS_TEST_WORKER_H */
