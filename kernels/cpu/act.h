/* SPDX-License-Identifier: MIT */
/*
 * Activations as the quantised types want them: int8 with one float32 scale per block of 32,
 * rounded to nearest even. A chunk of eight blocks is turned so that 32-bit lane b of every vector
 * belongs to block b: a dot product of integers ends with block sums in lanes, and nothing has to
 * be added across. The row is filled up to whole chunks with zeros.
 *
 * A block with an infinity or NaN in it has scale NaN. One whose greatest magnitude is below
 * ACT_TINY counts as zero: its scale would not be a normal float32.
 */
#ifndef LLMOS_KERNELS_ACT_H
#define LLMOS_KERNELS_ACT_H

#include <stdint.h>

#define ACT_TINY	0x1p-110f

/**
 * struct act8 - eight blocks
 * @q: q[j][4 * b + i] is element 4 * j + i of block b, from -127 to 127
 * @d: scales
 * @s: d times the sum of q
 * @neg: minus the sum of q
 * @neg_halves: minus the sums of the first and of the last 16 q
 */
struct act8 {
	int8_t q[8][32];
	float d[8];
	float s[8];
	int32_t neg[8];
	int16_t neg_halves[8][2];
};

#endif /* LLMOS_KERNELS_ACT_H */
