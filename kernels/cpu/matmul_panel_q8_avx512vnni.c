// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels: the 8-bit type.
 */
#include "kernels/cpu/mul_panel_avx512vnni.h"

KERN_DEFINE_MUL_PANEL(q8_0, Q8_0)
