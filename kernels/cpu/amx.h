/* SPDX-License-Identifier: MIT */
/*
 * Tile instructions. Tiles are named by macros that stand for a plain digit, 0 to 7. Not the
 * compiler's intrinsics: those of gcc 12 don't say which memory is read, so that stores to it may
 * be moved behind them.
 *
 * Whoever configures tiles releases them before he returns: while they are in use every switch of
 * threads saves 8 KiB more, and the processor may run slower.
 */
#ifndef LLMOS_KERNELS_AMX_H
#define LLMOS_KERNELS_AMX_H

#include <stddef.h>

#include "kernels/cpu/amx_config.h"

#define AMX_STRING(tile)	#tile
#define AMX_TILE(tile)		"%%tmm" AMX_STRING(tile)

/** amx_configure() - the shapes of all tiles, which become zero */
#define amx_configure(config)                                                                      \
	__asm__ volatile("ldtilecfg %0" : : "m"(*(const struct amx_config *)(config)) : "memory")

#define amx_release()		__asm__ volatile("tilerelease" : : : "memory")
#define amx_zero(tile)		__asm__ volatile("tilezero " AMX_TILE(tile) : : : "memory")

/** amx_load() - rows from @p on, @stride bytes apart */
#define amx_load(tile, p, stride)                                                                  \
	__asm__ volatile("tileloadd (%0,%1,1), " AMX_TILE(tile)                                    \
			 :                                                                         \
			 : "r"((const void *)(p)), "r"((size_t)(stride))                           \
			 : "memory")

#define amx_store(tile, p, stride)                                                                 \
	__asm__ volatile("tilestored " AMX_TILE(tile) ", (%0,%1,1)"                                \
			 :                                                                         \
			 : "r"((void *)(p)), "r"((size_t)(stride))                                 \
			 : "memory")

/**
 * amx_dot_bf16() - @c (m, n) float32 plus @a (m, k) times @b (k, n), of BF16
 *
 * A row of @b has two of k for each n. The even and the odd of k are summed apart, from 0 on in
 * rising order, by FMA; then both together, then that and @c. Rounded to nearest even, subnormal
 * numbers are zero wherever they come up, MXCSR has no say.
 */
#define amx_dot_bf16(c, a, b)                                                                      \
	__asm__ volatile("tdpbf16ps " AMX_TILE(b) ", " AMX_TILE(a) ", " AMX_TILE(c) : : : "memory")

/** amx_dot_s8() - @c (m, n) int32 plus @a (m, k) times @b (k, n), int8; four of k in a row of @b */
#define amx_dot_s8(c, a, b)                                                                        \
	__asm__ volatile("tdpbssd " AMX_TILE(b) ", " AMX_TILE(a) ", " AMX_TILE(c) : : : "memory")

/** amx_dot_s8u8() - amx_dot_s8(), with @b unsigned */
#define amx_dot_s8u8(c, a, b)                                                                      \
	__asm__ volatile("tdpbsud " AMX_TILE(b) ", " AMX_TILE(a) ", " AMX_TILE(c) : : : "memory")

#endif /* LLMOS_KERNELS_AMX_H */
