// SPDX-License-Identifier: MIT
/*
 * Products of panels once more, on emulated tiles.
 */
#include "tests/numeric/amx/emulator.h"
#include "tests/numeric/amx/names.h"

#include "kernels/cpu/matmul_panel_k_amx.c"
#include "kernels/cpu/matmul_panel_q4_amx.c"
#include "kernels/cpu/matmul_panel_q5_amx.c"
#include "kernels/cpu/matmul_panel_q8_amx.c"
#include "kernels/cpu/matmul_panel_table_amx.c"
