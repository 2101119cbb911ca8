/* SPDX-License-Identifier: MIT */
/*
 * Questions whose answers are compared: fixed prompts, each with its own way of choosing tokens, so
 * that a batch of them mixes lengths, greedy and seeded sampling.
 */
#ifndef LLMOS_TEST_CASES_H
#define LLMOS_TEST_CASES_H

#include "e2e.h"

struct e2e_case {
	const char *prompt;
	struct llmos_generate_opts opts;
};

#define E2E_CASES	16

/* 0 .. E2E_CASES - 1; where this vehicle is slow, with a fraction of the tokens */
const struct e2e_case *e2e_case(size_t index);

#endif /* LLMOS_TEST_CASES_H */
