/* SPDX-License-Identifier: MIT */
/*
 * Who looks on from outside while a test may hang, and tells where everybody stands when nothing
 * has happened for too long: a process of its own, for the test's may be what hangs.
 */
#ifndef LLMOS_TEST_STUCK_H
#define LLMOS_TEST_STUCK_H

/** stuck_watch() - look on, before there are connections; after @seconds without a beat it tells */
void stuck_watch(unsigned int seconds);
/** stuck_beat() - something has happened, and @what is done next; a literal */
void stuck_beat(const char *what);
/** stuck_end() - look on no longer */
void stuck_end(void);

#endif /* LLMOS_TEST_STUCK_H */
