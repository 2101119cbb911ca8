/* SPDX-License-Identifier: MIT */
/*
 * How long it takes to read a text must not tell whether somebody has had the same read before. A
 * processor remembers which way the branches went, and takes about 3 % less to make tokens of a
 * text the second time, whoever asks. So a short text is given as long as any takes; of a long one
 * the difference is lost in the time that it takes to compute it.
 */
#ifndef LLMOS_SCHED_READ_TIME_H
#define LLMOS_SCHED_READ_TIME_H

#include <stddef.h>
#include <stdint.h>

#include "tokenizer/tokenizer.h"

#define READ_TIME_BYTES		4096	/* of a text, at most; more are not waited for */

/** struct read_time - of one tokenizer; @kib_ns: that 1,024 bytes are given, 0: nobody waits */
struct read_time {
	uint64_t kib_ns;
};

/**
 * read_time_measure() - how long texts made of the vocabulary take on this machine
 *
 * Takes as long as 16 KiB of text do, about a millisecond. Where there is no memory for it nobody
 * waits.
 */
void read_time_measure(struct read_time *time, const struct tokenizer *tokenizer);

/**
 * read_time_wait() - until a text has had its time, busily: it is less than 0.2 ms
 * @begin_ns: when it began to be read, by the monotonic clock
 * @len: of the text, in bytes
 */
void read_time_wait(const struct read_time *time, uint64_t begin_ns, size_t len);

#endif /* LLMOS_SCHED_READ_TIME_H */
