// SPDX-License-Identifier: MIT
/*
 * Matrix products of the 4-bit types with a table of values.
 */
#include "kernels/cpu/mul_avx2.h"

KERN_DEFINE_MUL(iq4_nl, IQ4_NL, avx2)
KERN_DEFINE_MUL(iq4_xs, IQ4_XS, avx2)
KERN_DEFINE_MUL(mxfp4, MXFP4, avx2)
