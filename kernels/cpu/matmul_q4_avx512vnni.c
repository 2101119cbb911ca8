// SPDX-License-Identifier: MIT
/*
 * Matrix products of the 4-bit types.
 */
#include "kernels/cpu/dot_avx512vnni.h"
#include "kernels/cpu/mul_avx512.h"

KERN_DEFINE_MUL(q4_0, Q4_0, avx512vnni)
KERN_DEFINE_MUL(q4_1, Q4_1, avx512vnni)
