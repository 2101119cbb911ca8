/* SPDX-License-Identifier: MIT */
/* The one clock that requests, deadlines and statistics use. */
#ifndef LLMOS_BASE_CLOCK_H
#define LLMOS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S	UINT64_C(1000000000)
#define NS_PER_MS	UINT64_C(1000000)

/** clock_ns() - CLOCK_MONOTONIC in nanoseconds */
static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

#endif /* LLMOS_BASE_CLOCK_H */
