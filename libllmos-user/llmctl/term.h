/* SPDX-License-Identifier: MIT */
/*
 * Standard output: written at once, harmless on a terminal. What models, files and other users
 * chose the bytes of must not drive the terminal of whoever looks at it.
 */
#ifndef LLMCTL_TERM_H
#define LLMCTL_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* is standard output a terminal? */
bool term_is_terminal(void);
/* columns of it; 80 if it does not say, SIZE_MAX if it is none */
size_t term_columns(void);

/*
 * One character of UTF-8. Return: its bytes, 1 with *ret_character -1 if they are none,
 * 0 at the end.
 */
size_t utf8_next(const char *text, size_t len, int32_t *ret_character);

/* columns that a text without control characters takes */
size_t term_width(const char *text, size_t len);
/* copy text for a place where one line is due: control characters and what is no UTF-8 as \xNN */
void term_clean(char *to, size_t size, const char *text, size_t len);

/* all of it, at once; 0, -errno */
int term_write(const void *bytes, size_t len);
/* the same, with control characters but \n and \t as \xNN if it goes to a terminal */
int term_write_text(const char *text, size_t len);
/* a whole line of output from stdio must have been flushed before; 0, -errno */
int term_flush(void);

#endif /* LLMCTL_TERM_H */
