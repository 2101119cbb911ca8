/* SPDX-License-Identifier: MIT */
/*
 * What the SIMD tables are made of, and the one thing they agree on: the order of every sum. The
 * tables give the same bits, so an answer does not depend on the machine that goes on with it:
 *
 * - Quantised types: the products of a block of 32 are summed exactly, as integers. Block b adds
 *   to float32 lane b % 8, in rising order: fma(float(sum), d_weight * d_act, lane), then
 *   fma(minimum, sum of the activations, lane) where the type has one. Q6_K has two scales in a
 *   block: its halves are added one after the other. Those of Q2_K and Q3_K are multiplied by whole
 *   numbers first, which is exact as well: fma(float(sum of the halves' sums, each times its scale),
 *   d_weight * d_act, lane), then for Q2_K fma(float(minus the sums of the halves' activations, each
 *   times its minimum), dmin_weight * d_act, lane).
 * - F32, F16, BF16: element e adds to float32 lane e % 16 by FMA.
 * - Attention, in parts of KERN_ATTN_KEYS keys: a score is a chain of FMA over the elements, the
 *   softmax's sum has key k in lane k % 16, an element of the output is a chain of FMA over the keys.
 * - Lanes become one by adding lane i + 8 where there are 16, then i + 4, i + 2, i + 1.
 *
 * Every (token, row) has lanes of its own, so neither the tile nor the range it is computed in can
 * change it.
 */
#ifndef LLMOS_KERNELS_CPU_H
#define LLMOS_KERNELS_CPU_H

#include <xmmintrin.h>

#include "kernels/kernels.h"
#include "kernels/panel.h"
#include "kernels/ref/ref.h"

#define KERN_INLINE	static inline __attribute__((always_inline))

/*
 * Bytes: about as many as memory serves while one of them is under way. Further ahead it does harm
 * on some processors: from 3,000 to 6,000 bytes a Zen 4 reads a third less than with no prefetch.
 */
#define KERN_AHEAD	1024

/*
 * Where a token's activations fill the first-level cache, they come from the second one, again for
 * each row, and the processor sees no stream of weights any more: it has to be asked for early. A
 * Zen 4 read 27 GB/s of F16 with 8192 columns, 10 before.
 */
#define KERN_WIDE_BYTES	16384	/* of activations */
#define KERN_WIDE_AHEAD	16384

/**
 * kern_prefetch_at() - ask for the weights at [address, address + bytes)
 *
 * Into the second-level cache: the first has room for a few dozen misses that are under way, fewer
 * than memory can serve. What lies there may be no memory at all: a prefetch does not fault.
 */
KERN_INLINE void kern_prefetch_at(uintptr_t address, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)(address + i), _MM_HINT_T1);
}

/** kern_is_wide() - whether a row's weights meet so many bytes of activations that these go out */
KERN_INLINE bool kern_is_wide(size_t act_bytes)
{
	return act_bytes >= KERN_WIDE_BYTES;
}

/** kern_ahead() - how far ahead to ask for rows that meet so many bytes of activations */
KERN_INLINE size_t kern_ahead(size_t act_bytes)
{
	return kern_is_wide(act_bytes) ? KERN_WIDE_AHEAD : KERN_AHEAD;
}

/** kern_prefetch() - ask for the weights that come KERN_AHEAD bytes behind [p, p + bytes) */
KERN_INLINE void kern_prefetch(const uint8_t *p, size_t bytes)
{
	kern_prefetch_at((uintptr_t)p + KERN_AHEAD, bytes);
}

extern const struct kern_ops kern_ops_avx2;
extern const struct kern_ops kern_ops_avx512;
extern const struct kern_ops kern_ops_avx512vnni;
extern const struct kern_ops kern_ops_avx512bf16;
extern const struct kern_ops kern_ops_amx;

#define KERN_DECLARE_MUL(lower, isa)                                                               \
	void kern_mul_##lower##_##isa(const struct kern_weights *w, uint32_t row_begin,            \
				      uint32_t row_end, const void *act, size_t act_stride,        \
				      uint32_t tokens, float *y, size_t y_stride);
#define KERN_DECLARE_CPU(lower, upper)                                                             \
	KERN_DECLARE_MUL(lower, avx2)                                                              \
	KERN_DECLARE_MUL(lower, avx512)                                                            \
	KERN_DECLARE_MUL(lower, avx512vnni)
kern_for_each_type(KERN_DECLARE_CPU)
KERN_DECLARE_MUL(bf16, avx512bf16)
KERN_DECLARE_MUL(bf16, amx)
KERN_DECLARE_MUL(f16, amx)

#define KERN_DECLARE_PANEL(lower, upper)                                                           \
	KERN_DECLARE_MUL(panel_##lower, avx512vnni)                                                \
	KERN_DECLARE_MUL(panel_##lower, amx)
kern_for_each_panel(KERN_DECLARE_PANEL)

size_t kern_act_plain_bytes_avx2(uint32_t cols);
void kern_act_plain_pack_avx2(void *act, const float *x, uint32_t cols);
size_t kern_act_q8_bytes_avx2(uint32_t cols);
void kern_act_q8_pack_avx2(void *act, const float *x, uint32_t cols);
size_t kern_act_float_bytes_avx2(uint32_t cols);
void kern_act_float_pack_avx2(void *act, const float *x, uint32_t cols);
size_t kern_act_bf16_bytes_avx512(uint32_t cols);
void kern_act_bf16_pack_avx512(void *act, const float *x, uint32_t cols);
size_t kern_act_bf16x2_bytes_avx512(uint32_t cols);
void kern_act_bf16x2_pack_avx512(void *act, const float *x, uint32_t cols);

void kern_rms_norm_avx2(float *y, const float *x, const float *w, uint32_t n, float eps);
void kern_layer_norm_avx2(float *y, const float *x, const float *w, const float *b, uint32_t n,
			  float eps);
void kern_rope_avx2(float *x, uint32_t heads, uint32_t head_dim, uint32_t rot_dim,
		    const float *cos, const float *sin, bool neox);
void kern_hadamard_avx2(float *x, uint32_t n, uint32_t block);
void kern_attn_part_avx2(const struct kern_attn *a, uint32_t part, float *out,
			 struct kern_attn_sum *sums);
void kern_attn_part_avx512(const struct kern_attn *a, uint32_t part, float *out,
			   struct kern_attn_sum *sums);
void kern_attn_join_avx2(float *out, struct kern_attn_sum *all, const float *part,
			 const struct kern_attn_sum *sum, uint32_t head_dim);
void kern_silu_mul_avx2(float *y, const float *gate, const float *up, uint32_t n);
void kern_gelu_mul_avx2(float *y, const float *gate, const float *up, uint32_t n);
void kern_gelu_avx2(float *y, const float *x, uint32_t n);
void kern_gelu_erf_avx2(float *y, const float *x, uint32_t n);
void kern_softcap_avx2(float *y, uint32_t n, float cap);
void kern_add_avx2(float *y, const float *x, uint32_t n);
void kern_store_key_avx2(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x);
void kern_store_value_avx2(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x);

#endif /* LLMOS_KERNELS_CPU_H */
