// SPDX-License-Identifier: MIT
/*
 * The table "amx" once more, under another name and on emulated tiles: the very same sources.
 */
#include "tests/numeric/amx/emulator.h"

#define kern_mul_bf16_amx	kern_mul_bf16_amx_emulated
#define kern_mul_f16_amx	kern_mul_f16_amx_emulated
#define kern_ops_amx		kern_ops_amx_emulated

#include "kernels/cpu/matmul_float_amx.c"
#include "kernels/cpu/ops_amx.c"
