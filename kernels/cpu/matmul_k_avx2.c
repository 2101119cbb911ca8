// SPDX-License-Identifier: MIT
/*
 * Matrix products of the K types, which have superblocks.
 */
#include "kernels/cpu/mul_avx2.h"

KERN_DEFINE_MUL(q2_k, Q2_K, avx2)
KERN_DEFINE_MUL(q3_k, Q3_K, avx2)
KERN_DEFINE_MUL(q4_k, Q4_K, avx2)
KERN_DEFINE_MUL(q5_k, Q5_K, avx2)
KERN_DEFINE_MUL(q6_k, Q6_K, avx2)
