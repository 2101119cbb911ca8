// SPDX-License-Identifier: MIT
/*
 * Matrix products of the 8-bit type.
 */
#include "kernels/cpu/dot_avx512vnni.h"
#include "kernels/cpu/mul_avx512.h"

KERN_DEFINE_MUL(q8_0, Q8_0, avx512vnni)
