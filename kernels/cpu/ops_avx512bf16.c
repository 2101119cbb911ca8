// SPDX-License-Identifier: MIT
/*
 * The table for AVX-512 with VNNI and BF16: products of BF16 weights, the rest as with VNNI.
 */
#include "kernels/cpu/ops_avx512vnni.h"

#define ROUNDED(lower)                                                                             \
	{                                                                                          \
		.act_bytes = kern_act_bf16_bytes_avx512, .pack = kern_act_bf16_pack_avx512,        \
		.mul = kern_mul_##lower##_avx512bf16,                                              \
	}

const struct kern_ops kern_ops_avx512bf16 =
	KERN_OPS_VNNI("avx512bf16", KERN_FLOATS(f16), ROUNDED(bf16), KERN_PANEL_VNNI);
