// SPDX-License-Identifier: MIT
/*
 * Matrix products of the 5-bit types.
 */
#include "kernels/cpu/mul_avx2.h"

KERN_DEFINE_MUL(q5_0, Q5_0, avx2)
KERN_DEFINE_MUL(q5_1, Q5_1, avx2)
