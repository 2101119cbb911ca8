// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels on tiles: the 5-bit types.
 */
#include "kernels/cpu/mul_panel_amx.h"

KERN_DEFINE_MUL_PANEL_AMX(q5_0, Q5_0)
KERN_DEFINE_MUL_PANEL_AMX(q5_1, Q5_1)
