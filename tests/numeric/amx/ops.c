// SPDX-License-Identifier: MIT
/*
 * The table "amx" once more, under another name and on emulated tiles: the very same sources.
 */
#include "tests/numeric/amx/emulator.h"
#include "tests/numeric/amx/names.h"

#include "kernels/cpu/matmul_float_amx.c"
#include "kernels/cpu/ops_amx.c"
