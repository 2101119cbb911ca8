// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels: the K types, which have superblocks.
 */
#include "kernels/cpu/mul_panel_avx512vnni.h"

KERN_DEFINE_MUL_PANEL(q2_k, Q2_K)
KERN_DEFINE_MUL_PANEL(q3_k, Q3_K)
KERN_DEFINE_MUL_PANEL(q4_k, Q4_K)
KERN_DEFINE_MUL_PANEL(q5_k, Q5_K)
KERN_DEFINE_MUL_PANEL(q6_k, Q6_K)
