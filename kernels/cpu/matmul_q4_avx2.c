// SPDX-License-Identifier: MIT
/*
 * Matrix products of the 4-bit types.
 */
#include "kernels/cpu/mul_avx2.h"

KERN_DEFINE_MUL(q4_0, Q4_0, avx2)
KERN_DEFINE_MUL(q4_1, Q4_1, avx2)
