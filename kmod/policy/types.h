/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the policy needs of the world: fixed-width integers and a division. The files of this folder
 * are the arithmetic of quotas, fair order and credits; the module compiles them, the daemon
 * compiles the same ones for its socket, and tests run them in user space. They allocate nothing,
 * sleep never, know no lock (the caller holds one around every call) and read no clock: times are
 * CLOCK_MONOTONIC nanoseconds that the caller passes.
 */
#ifndef LLM_POLICY_TYPES_H
#define LLM_POLICY_TYPES_H

#ifdef __KERNEL__
#include <linux/bug.h>
#include <linux/container_of.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/types.h>
#elif !defined(KSHIM_H)
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#ifndef U64_MAX
#define U64_MAX	UINT64_MAX
#define U32_MAX	UINT32_MAX
#define S64_MAX	INT64_MAX
#endif
#ifndef container_of
#define container_of(ptr, type, member)	((type *)((char *)(ptr) - offsetof(type, member)))
#endif

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

static inline u64 div_u64(u64 dividend, u32 divisor)
{
	return dividend / divisor;
}

static inline u64 mul_u64_u64_div_u64(u64 a, u64 b, u64 divisor)
{
	return (u64)((unsigned __int128)a * b / divisor);
}
#endif

#endif /* LLM_POLICY_TYPES_H */
