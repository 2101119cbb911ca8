// SPDX-License-Identifier: MIT
/*
 * The table for AVX2, FMA and F16C: what every x86-64 machine that runs llmos has.
 */
#include "kernels/cpu/cpu.h"

#define FLOATS(lower)                                                                              \
	{                                                                                          \
		.act_bytes = kern_act_float_bytes_avx2, .pack = kern_act_float_pack_avx2,          \
		.mul = kern_mul_##lower##_avx2,                                                    \
	}
#define QUANT(lower)                                                                               \
	{                                                                                          \
		.act_bytes = kern_act_q8_bytes_avx2, .pack = kern_act_q8_pack_avx2,                \
		.mul = kern_mul_##lower##_avx2,                                                    \
	}
#define DEQUANT(lower, upper)	[KERN_##upper] = kern_dequant_row_##lower,

const struct kern_ops kern_ops_avx2 = {
	.name = "avx2",
	.matmul = {
		[KERN_F32] = FLOATS(f32),
		[KERN_F16] = FLOATS(f16),
		[KERN_BF16] = FLOATS(bf16),
		[KERN_Q8_0] = QUANT(q8_0),
		[KERN_Q4_0] = QUANT(q4_0),
		[KERN_Q4_1] = QUANT(q4_1),
		[KERN_Q5_0] = QUANT(q5_0),
		[KERN_Q5_1] = QUANT(q5_1),
		[KERN_Q2_K] = QUANT(q2_k),
		[KERN_Q3_K] = QUANT(q3_k),
		[KERN_Q4_K] = QUANT(q4_k),
		[KERN_Q5_K] = QUANT(q5_k),
		[KERN_Q6_K] = QUANT(q6_k),
		[KERN_IQ4_NL] = QUANT(iq4_nl),
		[KERN_IQ4_XS] = QUANT(iq4_xs),
		[KERN_MXFP4] = QUANT(mxfp4),
	},
	.dequant_row = { kern_for_each_type(DEQUANT) },
	.rms_norm = kern_rms_norm_avx2,
	.layer_norm = kern_layer_norm_avx2,
	.rope = kern_rope_avx2,
	.hadamard = kern_hadamard_avx2,
	.attn_part = kern_attn_part_avx2,
	.attn_join = kern_attn_join_avx2,
	.silu_mul = kern_silu_mul_avx2,
	.gelu_mul = kern_gelu_mul_avx2,
	.gelu = kern_gelu_avx2,
	.gelu_erf = kern_gelu_erf_avx2,
	.softcap = kern_softcap_avx2,
	.add = kern_add_avx2,
	.store_key = kern_store_key_avx2,
	.store_value = kern_store_value_avx2,
};
