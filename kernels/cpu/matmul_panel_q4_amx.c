// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels on tiles: the 4-bit types.
 */
#include "kernels/cpu/mul_panel_amx.h"

KERN_DEFINE_MUL_PANEL_AMX(q4_0, Q4_0)
KERN_DEFINE_MUL_PANEL_AMX(q4_1, Q4_1)
