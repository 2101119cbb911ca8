/* SPDX-License-Identifier: MIT */
/*
 * Stop strings: found in a stream of bytes wherever tokens are cut, together with how many of the
 * last bytes may still be the beginning of one and must be held back. One automaton a string, a
 * step a byte. Owned by one answer.
 */
#ifndef LLMOS_SCHED_STOP_H
#define LLMOS_SCHED_STOP_H

#include "base/util.h"

struct stop_string;

struct stop_set {
	struct stop_string *strings;
	size_t count;
	uint16_t *failure;	/* of all strings, one behind the other */
	const uint8_t *text;	/* of all strings, each ended by a NUL */
};

/**
 * stop_init() - from strings that each end with a NUL
 * @text: @len bytes, must outlive the set
 *
 * Return: 0; -EINVAL an empty string or a last one without its NUL, -ENOMEM.
 */
int stop_init(struct stop_set *set, const uint8_t *text, size_t len);
void stop_free(struct stop_set *set);

/**
 * stop_byte() - one more byte of the stream
 *
 * Return: bytes of the longest stop string that ends here, 0 if none does.
 */
size_t stop_byte(struct stop_set *set, uint8_t byte);
/** stop_pending() - how many of the last bytes may be the beginning of a stop string */
size_t stop_pending(const struct stop_set *set);

#endif /* LLMOS_SCHED_STOP_H */
