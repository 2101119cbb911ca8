// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels on tiles: the K types, which have superblocks.
 */
#include "kernels/cpu/mul_panel_amx.h"

KERN_DEFINE_MUL_PANEL_AMX(q2_k, Q2_K)
KERN_DEFINE_MUL_PANEL_AMX(q3_k, Q3_K)
KERN_DEFINE_MUL_PANEL_AMX(q4_k, Q4_K)
KERN_DEFINE_MUL_PANEL_AMX(q5_k, Q5_K)
KERN_DEFINE_MUL_PANEL_AMX(q6_k, Q6_K)
