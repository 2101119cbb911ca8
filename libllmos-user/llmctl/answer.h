/* SPDX-License-Identifier: MIT */
/*
 * An answer on its way to standard output: at once, or collected for JSON and for the table of
 * log-probabilities. ask and chat own one for each answer; the library calls into it.
 */
#ifndef LLMCTL_ANSWER_H
#define LLMCTL_ANSWER_H

#include "llmctl.h"

/**
 * struct answer - an answer
 * @options: what was asked for
 * @text: of it, if it is collected
 * @text_size: room in @text
 * @collect: keep the text, even if it is written out too
 * @tokens: with log-probabilities, if asked for; each owns its text and alternatives
 * @token_count: number of them
 * @written: bytes of it were written
 * @last: the last of those
 * @error: 0, or the -errno of the output or of memory
 * @finish: why it ended
 * @usage: what it took
 */
struct answer {
	const struct options *options;
	struct bytes text;
	size_t text_size;
	bool collect;
	struct llmos_token *tokens;
	size_t token_count;
	bool written;
	char last;
	int error;
	enum llmos_finish finish;
	struct llmos_usage usage;
};

/* sets the callbacks of @opts */
void answer_init(struct answer *answer, const struct options *options,
		 struct llmos_generate_opts *opts);
void answer_done(struct answer *answer);
/* as in JSON */
const char *finish_name(enum llmos_finish finish);
/* the newline behind an answer that has none */
int answer_end_line(struct answer *answer);
/* with the request's status: print what is to be printed at the end; the exit code */
int answer_finish(struct answer *answer, const struct llmos *llmos, int status);

#endif /* LLMCTL_ANSWER_H */
