// SPDX-License-Identifier: MIT
/*
 * Matrix products of the 8-bit type.
 */
#include "kernels/cpu/mul_avx2.h"

KERN_DEFINE_MUL(q8_0, Q8_0, avx2)
