/* SPDX-License-Identifier: MIT */
/*
 * What a test program says: one TAP line per assertion, the plan at the end. Counts belong to the
 * process that prints; a child reports to its parent and never prints TAP itself.
 */
#ifndef LLMOS_TEST_TAP_H
#define LLMOS_TEST_TAP_H

#include <stdbool.h>

/* one assertion; returns @cond */
bool tap_ok(bool cond, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* a line that is not an assertion */
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* an assertion that can not be made here */
void tap_skip(const char *what, const char *reason);
/* nothing more can be learned: say why and end the program */
_Noreturn void tap_bail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* print the plan; returns the program's exit status */
int tap_done(void);

#endif /* LLMOS_TEST_TAP_H */
