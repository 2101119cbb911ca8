// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels: the types whose nibbles number the entries of a table.
 */
#include "kernels/cpu/mul_panel_avx512vnni.h"

KERN_DEFINE_MUL_PANEL(iq4_nl, IQ4_NL)
KERN_DEFINE_MUL_PANEL(iq4_xs, IQ4_XS)
KERN_DEFINE_MUL_PANEL(mxfp4, MXFP4)
