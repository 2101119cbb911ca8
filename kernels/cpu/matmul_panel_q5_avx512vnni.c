// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels: the 5-bit types.
 */
#include "kernels/cpu/mul_panel_avx512vnni.h"

KERN_DEFINE_MUL_PANEL(q5_0, Q5_0)
KERN_DEFINE_MUL_PANEL(q5_1, Q5_1)
