/* SPDX-License-Identifier: MIT */
/*
 * Other names for what is compiled a second time, on emulated tiles.
 */
#ifndef LLMOS_TESTS_NUMERIC_AMX_NAMES_H
#define LLMOS_TESTS_NUMERIC_AMX_NAMES_H

#define kern_mul_bf16_amx		kern_mul_bf16_amx_emulated
#define kern_mul_f16_amx		kern_mul_f16_amx_emulated
#define kern_mul_panel_q8_0_amx		kern_mul_panel_q8_0_amx_emulated
#define kern_mul_panel_q4_0_amx		kern_mul_panel_q4_0_amx_emulated
#define kern_mul_panel_q4_1_amx		kern_mul_panel_q4_1_amx_emulated
#define kern_mul_panel_q5_0_amx		kern_mul_panel_q5_0_amx_emulated
#define kern_mul_panel_q5_1_amx		kern_mul_panel_q5_1_amx_emulated
#define kern_mul_panel_q4_k_amx		kern_mul_panel_q4_k_amx_emulated
#define kern_mul_panel_q5_k_amx		kern_mul_panel_q5_k_amx_emulated
#define kern_mul_panel_q6_k_amx		kern_mul_panel_q6_k_amx_emulated
#define kern_mul_panel_iq4_nl_amx	kern_mul_panel_iq4_nl_amx_emulated
#define kern_mul_panel_q2_k_amx		kern_mul_panel_q2_k_amx_emulated
#define kern_mul_panel_q3_k_amx		kern_mul_panel_q3_k_amx_emulated
#define kern_mul_panel_iq4_xs_amx	kern_mul_panel_iq4_xs_amx_emulated
#define kern_mul_panel_mxfp4_amx	kern_mul_panel_mxfp4_amx_emulated
#define kern_ops_amx			kern_ops_amx_emulated

#endif /* LLMOS_TESTS_NUMERIC_AMX_NAMES_H */
