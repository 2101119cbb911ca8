// SPDX-License-Identifier: MIT
/*
 * The table for AMX: products of F16 and BF16 weights on tiles, the rest as with VNNI.
 */
#include "kernels/cpu/ops_avx512vnni.h"

#define TILES(lower)                                                                               \
	{                                                                                          \
		.act_bytes = kern_act_bf16x2_bytes_avx512, .pack = kern_act_bf16x2_pack_avx512,    \
		.mul = kern_mul_##lower##_amx,                                                     \
	}

const struct kern_ops kern_ops_amx = KERN_OPS_VNNI("amx", TILES(f16), TILES(bf16));
