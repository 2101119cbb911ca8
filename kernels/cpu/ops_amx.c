// SPDX-License-Identifier: MIT
/*
 * The table for AMX: products of F16 and BF16 weights and of panels on tiles, the rest
 * as with VNNI.
 */
#include "kernels/cpu/ops_avx512vnni.h"

#define TILES(lower)                                                                               \
	{                                                                                          \
		.act_bytes = kern_act_bf16x2_bytes_avx512, .pack = kern_act_bf16x2_pack_avx512,    \
		.mul = kern_mul_##lower##_amx,                                                     \
	}

#define PANEL(lower, upper)                                                                        \
	[KERN_##upper] = {                                                                         \
		.act_bytes = kern_act_plain_bytes_avx2, .pack = kern_act_plain_pack_avx2,          \
		.mul = kern_mul_panel_##lower##_amx,                                               \
	},

const struct kern_ops kern_ops_amx = KERN_OPS_VNNI("amx", TILES(f16), TILES(bf16), PANEL);
