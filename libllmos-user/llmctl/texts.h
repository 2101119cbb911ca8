/* SPDX-License-Identifier: MIT */
/* Texts that commands work on one by one: operands, or what standard input has. */
#ifndef LLMCTL_TEXTS_H
#define LLMCTL_TEXTS_H

#include "llmctl.h"

/**
 * struct texts - texts; all zero there are none
 * @items: (count), not ended by anything
 * @lens: bytes of each
 * @input: what they lie in, unless they are operands
 */
struct texts {
	const char **items;
	size_t *lens;
	size_t count;
	struct bytes input;
};

void texts_free(struct texts *texts);
/* the operands, else standard input; Return: exit code, said what */
int texts_read(struct texts *texts, bool nul, int argc, char **argv);
/*
 * How many texts from @first on go into one request of @max bytes at most; at least one.
 */
size_t texts_fit(const struct texts *texts, size_t first, size_t max);

#endif /* LLMCTL_TEXTS_H */
