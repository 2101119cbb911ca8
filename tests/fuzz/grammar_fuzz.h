/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers of grammars have in common: a grammar that was understood is driven with bytes
 * that it allows, chosen by the input, and must allow some wherever it may not end.
 */
#ifndef TESTS_FUZZ_GRAMMAR_FUZZ_H
#define TESTS_FUZZ_GRAMMAR_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/machine.h"

#define GRAMMAR_STEPS	64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "grammar: %s\n", what);
	abort();
}

/* 0 or -errno, and one line that says why */
static inline void require_reason(int r, const struct error *error)
{
	require(!r || r == -EINVAL || r == -EILSEQ || r == -E2BIG || r == -EOPNOTSUPP,
		"an error that nobody expects");
	require(!r == !*error->text, "no reason, or one for nothing");
}

/* is there a byte with which it goes on? */
static inline int find_way(struct gram_machine *m, uint32_t state, uint8_t from, uint32_t *ret)
{
	for (unsigned int i = 0; i < 256; i++) {
		int r = gram_machine_step(m, state, (uint8_t)(from + i), ret);

		if (r < 0 || *ret != GRAM_DEAD)
			return r;
	}
	return 0;
}

/* walk along, forget what was on the way now and then, and compare what is left */
static inline void drive(const struct grammar *grammar, const uint8_t *data, size_t size)
{
	struct gram_machine m;
	uint32_t state, next;
	int r = gram_machine_init(&m, grammar, &state);

	for (size_t i = 0; !r && i < GRAMMAR_STEPS && size; i++) {
		const uint8_t choice = data[i % size];

		r = find_way(&m, state, choice, &next);
		if (r < 0)
			break;
		require(next != GRAM_DEAD || gram_state(&m, state)->accepts ||
			gram_state(&m, state)->item_count, "a state that leads nowhere");
		/* at the depth that is allowed, it may not go on */
		if (next == GRAM_DEAD)
			break;
		state = next;
		if (choice % 16 == 0) {
			const bool accepts = gram_state(&m, state)->accepts;
			const uint32_t count = gram_state(&m, state)->item_count;

			r = gram_machine_reset(&m, &state);
			require(r < 0 || (gram_state(&m, state)->accepts == accepts &&
					  gram_state(&m, state)->item_count == count),
				"a reset changes a state");
		}
	}
	require(!r || r == -ENOBUFS, "a step fails");
	gram_machine_done(&m);
}

#endif /* TESTS_FUZZ_GRAMMAR_FUZZ_H */
