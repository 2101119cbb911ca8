/* SPDX-License-Identifier: MIT */
/*
 * Activations in BF16, for instructions that multiply nothing else. A row is filled up with zeros
 * to whole blocks of 32, a register of either kind.
 *
 * One part is an activation rounded to nearest even: 8 bits of it. Two parts are that and what the
 * rounding left, rounded again: at least 17 bits, whose products are added one behind the other.
 * What is finite stays so: what would round to infinity is cut instead. What is not finite becomes
 * NaN, in both parts.
 */
#ifndef LLMOS_KERNELS_ACT_BF16_H
#define LLMOS_KERNELS_ACT_BF16_H

#include <stdint.h>

#define ACT_BF16_ELEMS	32	/* of a block, 64 bytes of each part */

/** struct act_bf16 - a block of one part */
struct act_bf16 {
	uint16_t x[ACT_BF16_ELEMS];
};

/** struct act_bf16x2 - a block of two parts */
struct act_bf16x2 {
	uint16_t high[ACT_BF16_ELEMS];
	uint16_t low[ACT_BF16_ELEMS];
};

#endif /* LLMOS_KERNELS_ACT_BF16_H */
