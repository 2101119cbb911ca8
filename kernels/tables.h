/* SPDX-License-Identifier: MIT */
/*
 * What the nibbles of the types with tables stand for, and MXFP4's scales. For every table of
 * operations, so in integers.
 */
#ifndef LLMOS_KERNELS_TABLES_H
#define LLMOS_KERNELS_TABLES_H

#include <stdint.h>

#include "kernels/half.h"

/* IQ4_NL and IQ4_XS: levels that lie closer together around zero, as weights do */
static const int8_t kern_table_iq4[16] __attribute__((unused, aligned(16))) = {
	-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

/* MXFP4: twice the values of a float of one sign, two exponent and one mantissa bits */
static const int8_t kern_table_mxfp4[16] __attribute__((unused, aligned(16))) = {
	0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
};

/** kern_exponent_to_float() - an E8M0 scale for the doubled values: 2^(e - 128), e 0 to 255 */
static inline float kern_exponent_to_float(uint8_t e)
{
	return kern_float_of_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

#endif /* LLMOS_KERNELS_TABLES_H */
