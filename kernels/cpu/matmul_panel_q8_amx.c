// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels on tiles: the 8-bit type.
 */
#include "kernels/cpu/mul_panel_amx.h"

KERN_DEFINE_MUL_PANEL_AMX(q8_0, Q8_0)
