// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels: the 4-bit types.
 */
#include "kernels/cpu/mul_panel_avx512vnni.h"

KERN_DEFINE_MUL_PANEL(q4_0, Q4_0)
KERN_DEFINE_MUL_PANEL(q4_1, Q4_1)
