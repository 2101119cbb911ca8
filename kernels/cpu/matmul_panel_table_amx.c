// SPDX-License-Identifier: MIT
/*
 * Matrix products of panels on tiles: the types whose nibbles number the entries of a table.
 */
#include "kernels/cpu/mul_panel_amx.h"

KERN_DEFINE_MUL_PANEL_AMX(iq4_nl, IQ4_NL)
KERN_DEFINE_MUL_PANEL_AMX(iq4_xs, IQ4_XS)
KERN_DEFINE_MUL_PANEL_AMX(mxfp4, MXFP4)
