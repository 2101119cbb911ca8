/* SPDX-License-Identifier: MIT */
/*
 * What kmod/policy needs of a kernel, where it is compiled for user space.
 */
#ifndef LLMOS_BASE_KERNEL_H
#define LLMOS_BASE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
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

typedef unsigned __int128 u128;

static inline u64 mul_u64_u64_div_u64(u64 a, u64 b, u64 divisor)
{
	const u128 result = (u128)a * b / divisor;

	/* as a processor's division does, whose quotient does not fit */
	if (result > UINT64_MAX)
		__builtin_trap();
	return (u64)result;
}

#endif /* LLMOS_BASE_KERNEL_H */
