// SPDX-License-Identifier: MIT
/*
 * Matrix products of the 5-bit types.
 */
#include "kernels/cpu/dot_avx512vnni.h"
#include "kernels/cpu/mul_avx512.h"

KERN_DEFINE_MUL(q5_0, Q5_0, avx512vnni)
KERN_DEFINE_MUL(q5_1, Q5_1, avx512vnni)
