/* SPDX-License-Identifier: MIT */
/*
 * What the tables with VNNI have in common: all but their products of 16-bit floats.
 */
#ifndef LLMOS_KERNELS_OPS_AVX512VNNI_H
#define LLMOS_KERNELS_OPS_AVX512VNNI_H

#include "kernels/cpu/cpu.h"

#define KERN_FLOATS(lower)                                                                         \
	{                                                                                          \
		.act_bytes = kern_act_float_bytes_avx2, .pack = kern_act_float_pack_avx2,          \
		.mul = kern_mul_##lower##_avx512,                                                  \
	}
#define KERN_QUANT(lower)                                                                          \
	{                                                                                          \
		.act_bytes = kern_act_q8_bytes_avx2, .pack = kern_act_q8_pack_avx2,                \
		.mul = kern_mul_##lower##_avx512vnni,                                              \
	}
#define KERN_PANEL_VNNI(lower, upper)                                                              \
	[KERN_##upper] = {                                                                         \
		.act_bytes = kern_act_plain_bytes_avx2, .pack = kern_act_plain_pack_avx2,          \
		.mul = kern_mul_panel_##lower##_avx512vnni,                                        \
	},
#define KERN_DEQUANT(lower, upper)	[KERN_##upper] = kern_dequant_row_##lower,

/**
 * KERN_OPS_VNNI() - a table
 * @f16: what multiplies this type
 * @bf16: what multiplies this one
 * @panels: panels(lower, UPPER) for each packed type
 */
#define KERN_OPS_VNNI(table, f16, bf16, panels)                                                    \
	{                                                                                          \
		.name = table,                                                                     \
		.matmul = {                                                                        \
			[KERN_F32] = KERN_FLOATS(f32),                                             \
			[KERN_F16] = f16,                                                          \
			[KERN_BF16] = bf16,                                                        \
			[KERN_Q8_0] = KERN_QUANT(q8_0),                                            \
			[KERN_Q4_0] = KERN_QUANT(q4_0),                                            \
			[KERN_Q4_1] = KERN_QUANT(q4_1),                                            \
			[KERN_Q5_0] = KERN_QUANT(q5_0),                                            \
			[KERN_Q5_1] = KERN_QUANT(q5_1),                                            \
			[KERN_Q2_K] = KERN_QUANT(q2_k),                                            \
			[KERN_Q3_K] = KERN_QUANT(q3_k),                                            \
			[KERN_Q4_K] = KERN_QUANT(q4_k),                                            \
			[KERN_Q5_K] = KERN_QUANT(q5_k),                                            \
			[KERN_Q6_K] = KERN_QUANT(q6_k),                                            \
			[KERN_IQ4_NL] = KERN_QUANT(iq4_nl),                                        \
			[KERN_IQ4_XS] = KERN_QUANT(iq4_xs),                                        \
			[KERN_MXFP4] = KERN_QUANT(mxfp4),                                          \
		},                                                                                 \
		.panel = { kern_for_each_panel(panels) },                                          \
		.dequant_row = { kern_for_each_type(KERN_DEQUANT) },                               \
		.rms_norm = kern_rms_norm_avx2,                                                    \
		.layer_norm = kern_layer_norm_avx2,                                                \
		.rope = kern_rope_avx2,                                                            \
		.hadamard = kern_hadamard_avx2,                                                    \
		.attn_part = kern_attn_part_avx512,                                                \
		.attn_join = kern_attn_join_avx2,                                                  \
		.silu_mul = kern_silu_mul_avx2,                                                    \
		.gelu_mul = kern_gelu_mul_avx2,                                                    \
		.gelu = kern_gelu_avx2,                                                            \
		.gelu_erf = kern_gelu_erf_avx2,                                                    \
		.softcap = kern_softcap_avx2,                                                      \
		.add = kern_add_avx2,                                                              \
		.store_key = kern_store_key_avx2,                                                  \
		.store_value = kern_store_value_avx2,                                              \
	}

#endif /* LLMOS_KERNELS_OPS_AVX512VNNI_H */
