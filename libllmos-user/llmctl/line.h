/* SPDX-License-Identifier: MIT */
/*
 * Lines of a person at a terminal, edited and remembered, or of a program in a pipe, taken as they
 * are. One reader at a time: the line editor has global state.
 */
#ifndef LLMCTL_LINE_H
#define LLMCTL_LINE_H

#include <stdbool.h>

struct line;

/* edits if standard input and output are terminals */
int line_new(struct line **ret);
/* saves the history */
void line_free(struct line *line);
bool line_edits(const struct line *line);
/*
 * The next line, without its newline, to be freed.
 * Return: 0; -ENODATA the input is at its end; -EINTR Ctrl-C: the line was given up; -errno
 */
int line_read(struct line *line, const char *prompt, char **ret);

static inline void line_freep(struct line **line)
{
	line_free(*line);
}

/*
 * Ctrl-C from here on only raises a flag, and makes calls that wait return -EINTR. Children and
 * line_read() aside, nothing else looks at it.
 */
void interrupt_catch(void);
/* Ctrl-C was pressed since the last call */
bool interrupt_taken(void);

#endif /* LLMCTL_LINE_H */
