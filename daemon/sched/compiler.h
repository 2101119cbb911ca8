/* SPDX-License-Identifier: MIT */
/*
 * Threads that compile grammars beside the steps of models, at a lower priority than those. Each
 * line of texts is somebody's: lines take turns, and of one no more than one text is compiled at a
 * time, so who sends many, or those that take longest, keeps nobody waiting for more than one of
 * his. How long one may take is bounded by its steps, which the compiler counts: see
 * grammar/compile.c and grammar/schema.h. Called by the scheduler's thread.
 */
#ifndef LLMOS_SCHED_COMPILER_H
#define LLMOS_SCHED_COMPILER_H

#include "base/list.h"
#include "grammar/grammar.h"

#define COMPILER_THREADS	2	/* each may take some 70 MB while it compiles the worst of schemas */

struct compiler;

/**
 * struct compile_line - of one who asks; it outlives what is in it
 * @link: among those in which something waits
 * @waiting: what has yet to be begun, of struct compiling
 * @is_running: one of it is being compiled
 */
struct compile_line {
	struct list link;
	struct list waiting;
	bool is_running;
};

/**
 * struct compiling - a text
 * @link: in its line, or among those that have ended
 * @line: set by compiler_begin()
 * @is_begun: a thread has it, or had
 * @type: LLM_OPTION_GRAMMAR, _SCHEMA or _JSON
 * @text: of it (len), which stays as it is until it has ended
 * @grammar: what came of it, the taker's own
 * @result: 0, or as gram_new_gbnf() and gram_new_schema(); @why says it in words
 * @compute_ns: of a processor, that it took
 */
struct compiling {
	struct list link;
	struct compile_line *line;
	bool is_begun;
	uint32_t type;
	const char *text;
	size_t len;
	struct grammar *grammar;
	int result;
	struct error why;
	uint64_t compute_ns;
};

/**
 * compiler_new() - without a thread before the first text
 * @news_fd: an eventfd that is written to when compiler_take() has something
 *
 * Return: 0 or -ENOMEM.
 */
int compiler_new(struct compiler **ret, int news_fd);
/** compiler_free() - after what was not begun has been dropped; waits for the rest; NULL is fine */
void compiler_free(struct compiler *compiler);

void compile_line_init(struct compile_line *line);
/** compiler_begin() - @compiling waits for its turn; 0, -EAGAIN there is no thread at all */
int compiler_begin(struct compiler *compiler, struct compile_line *line,
		   struct compiling *compiling);
/**
 * compiler_drop() - nobody wants it any more
 *
 * Return: it had not been begun, and will not be; false: compiler_take() will return it.
 */
bool compiler_drop(struct compiler *compiler, struct compiling *compiling);
/** compiler_take() - one that has ended; NULL: there is none */
struct compiling *compiler_take(struct compiler *compiler);

#endif /* LLMOS_SCHED_COMPILER_H */
