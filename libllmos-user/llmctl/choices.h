/* SPDX-License-Identifier: MIT */
/*
 * Several answers to one prompt, printed when all are there.
 */
#ifndef LLMCTL_CHOICES_H
#define LLMCTL_CHOICES_H

#include "llmctl.h"

/* do the options ask for several? */
bool choices_wanted(const struct options *options);
/* with a connection, the prompt and what options_generate() says: all of it; the exit code */
int choices_run(struct llmos *llmos, const struct options *options, const struct bytes *prompt,
		const struct llmos_generate_opts *opts);

#endif /* LLMCTL_CHOICES_H */
