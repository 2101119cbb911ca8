/* SPDX-License-Identifier: MIT */
/*
 * The parts of the reference table. They belong to kernels/ref alone, except kern_dequant_row_*(),
 * which every table uses: one row of an embedding per token is nothing to hurry for.
 */
#ifndef LLMOS_KERNELS_REF_H
#define LLMOS_KERNELS_REF_H

#include "kernels/kernels.h"

extern const struct kern_ops kern_ops_ref;

/* kern_for_each_type(X): X(lower, UPPER) for every weight type */
#define kern_for_each_type(X)                                                                      \
	X(f32, F32)                                                                                \
	X(f16, F16)                                                                                \
	X(bf16, BF16)                                                                              \
	X(q8_0, Q8_0)                                                                              \
	X(q4_0, Q4_0)                                                                              \
	X(q4_1, Q4_1)                                                                              \
	X(q5_0, Q5_0)                                                                              \
	X(q5_1, Q5_1)                                                                              \
	X(q2_k, Q2_K)                                                                              \
	X(q3_k, Q3_K)                                                                              \
	X(q4_k, Q4_K)                                                                              \
	X(q5_k, Q5_K)                                                                              \
	X(q6_k, Q6_K)                                                                              \
	X(iq4_nl, IQ4_NL)                                                                          \
	X(iq4_xs, IQ4_XS)                                                                          \
	X(mxfp4, MXFP4)

/**
 * struct kern_block - how to read a type, one block at a time
 * @elems: of a block
 * @bytes: of a block
 * @decode: its exact values (elems)
 */
struct kern_block {
	uint32_t elems;
	uint32_t bytes;
	void (*decode)(double *y, const uint8_t *block);
};

#define KERN_BLOCK_ELEMS_MAX	256

#define KERN_DECLARE_REF(lower, upper)                                                             \
	extern const struct kern_block kern_block_##lower;                                         \
	void kern_dequant_row_##lower(float *y, const void *row, uint32_t cols);                   \
	void kern_mul_##lower##_ref(const struct kern_weights *w, uint32_t row_begin,              \
				    uint32_t row_end, const void *act, size_t act_stride,          \
				    uint32_t tokens, float *y, size_t y_stride);
kern_for_each_type(KERN_DECLARE_REF)

size_t kern_act_bytes_ref(uint32_t cols);
void kern_act_pack_ref(void *act, const float *x, uint32_t cols);
void kern_rms_norm_ref(float *y, const float *x, const float *w, uint32_t n, float eps);
void kern_layer_norm_ref(float *y, const float *x, const float *w, const float *b, uint32_t n,
			 float eps);
void kern_rope_ref(float *x, uint32_t heads, uint32_t head_dim, uint32_t rot_dim, const float *cos,
		   const float *sin, bool neox);
void kern_hadamard_ref(float *x, uint32_t n, uint32_t block);
void kern_attn_part_ref(const struct kern_attn *a, uint32_t part, float *out,
			struct kern_attn_sum *sums);
void kern_attn_join_ref(float *out, struct kern_attn_sum *all, const float *part,
			const struct kern_attn_sum *sum, uint32_t head_dim);
void kern_silu_mul_ref(float *y, const float *gate, const float *up, uint32_t n);
void kern_gelu_mul_ref(float *y, const float *gate, const float *up, uint32_t n);
void kern_gelu_ref(float *y, const float *x, uint32_t n);
void kern_gelu_erf_ref(float *y, const float *x, uint32_t n);
void kern_softcap_ref(float *y, uint32_t n, float cap);
void kern_add_ref(float *y, const float *x, uint32_t n);
void kern_store_key_ref(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x);
void kern_store_value_ref(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x);

#endif /* LLMOS_KERNELS_REF_H */
