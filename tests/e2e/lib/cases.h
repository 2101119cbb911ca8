/* SPDX-License-Identifier: MIT */
/*
 * Questions whose answers are compared: fixed prompts, each with its own way of choosing tokens, so
 * that a batch of them mixes lengths, greedy and seeded sampling. Constant data.
 */
#ifndef LLMOS_TEST_CASES_H
#define LLMOS_TEST_CASES_H

#include "e2e.h"

struct e2e_case {
	const char *prompt;
	struct llmos_generate_opts opts;
};

extern const struct e2e_case e2e_cases[];
extern const size_t e2e_cases_count;

#endif /* LLMOS_TEST_CASES_H */
