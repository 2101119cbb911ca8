/* SPDX-License-Identifier: MIT */
/*
 * A terminal whose screen is drawn again and again: keys come one by one, what was on it before is
 * there again afterwards. One at a time; it owns the terminal's modes and SIGINT, SIGTERM and
 * SIGWINCH.
 */
#ifndef LLMCTL_SCREEN_H
#define LLMCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

struct screen;

/* what screen_wait() returns for what is no key */
#define SCREEN_TIMEOUT	0	/* the time is over */
#define SCREEN_END	-1	/* a signal, or nobody is at the terminal any more */
#define SCREEN_RESIZED	-2

/* @draws: on the terminal; else there are signals alone. Return: 0, -errno */
int screen_open(struct screen **ret, bool draws);
/* leave the terminal as it was */
void screen_close(struct screen *screen);
size_t screen_rows(const struct screen *screen);
/* before the first line is printed */
void screen_begin(const struct screen *screen);
/* wait for a key. Return: it, or one of the above */
int screen_wait(struct screen *screen, int timeout_ms);

static inline void screen_closep(struct screen **screen)
{
	screen_close(*screen);
}

#endif /* LLMCTL_SCREEN_H */
