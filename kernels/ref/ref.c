// SPDX-License-Identifier: MIT
/*
 * The reference table: slow, and what every other table is measured against.
 */
#include "kernels/ref/ref.h"

#define MATMUL(lower, upper)                                                                       \
	[KERN_##upper] = {                                                                         \
		.act_bytes = kern_act_bytes_ref,                                                   \
		.pack = kern_act_pack_ref,                                                         \
		.mul = kern_mul_##lower##_ref,                                                     \
	},
#define DEQUANT(lower, upper)	[KERN_##upper] = kern_dequant_row_##lower,

const struct kern_ops kern_ops_ref = {
	.name = "ref",
	.matmul = { kern_for_each_type(MATMUL) },
	.dequant_row = { kern_for_each_type(DEQUANT) },
	.rms_norm = kern_rms_norm_ref,
	.layer_norm = kern_layer_norm_ref,
	.rope = kern_rope_ref,
	.hadamard = kern_hadamard_ref,
	.attn_part = kern_attn_part_ref,
	.attn_join = kern_attn_join_ref,
	.silu_mul = kern_silu_mul_ref,
	.gelu_mul = kern_gelu_mul_ref,
	.gelu = kern_gelu_ref,
	.gelu_erf = kern_gelu_erf_ref,
	.softcap = kern_softcap_ref,
	.add = kern_add_ref,
	.store_key = kern_store_key_ref,
	.store_value = kern_store_value_ref,
};
