/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic, and nothing else: no allocation, no logging, no threads, no policy. A struct kern_ops
 * is a table of operations for one instruction set; kernels/ref is the slow truth that the others
 * are tested against. Callers split work over threads by giving each a range of rows or heads.
 *
 * Results must not depend on how work is split or on what else is computed: each output element
 * is reduced in one order that is fixed by the table and the lengths, whether it is computed alone
 * or with others, in whatever range. (Between ref and another table results may differ within the
 * tolerances stated at each operation, as NMSE = |x - ref|^2 / |ref|^2. The tables for avx2, avx512
 * and avx512vnni give the same bits; so do avx512bf16 and amx, but for products of BF16 weights and,
 * with amx, of F16 weights: each of the two has its own order there.)
 */
#ifndef LLMOS_KERNELS_KERNELS_H
#define LLMOS_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/attn.h"

/* weight types, by their numbers in the GGUF format */
enum kern_type {
	KERN_F32  = 0,
	KERN_F16  = 1,
	KERN_Q4_0 = 2,
	KERN_Q4_1 = 3,
	KERN_Q5_0 = 6,
	KERN_Q5_1 = 7,
	KERN_Q8_0 = 8,
	KERN_Q2_K = 10,
	KERN_Q3_K = 11,
	KERN_Q4_K = 12,
	KERN_Q5_K = 13,
	KERN_Q6_K = 14,
	KERN_IQ4_NL = 20,
	KERN_IQ4_XS = 23,
	KERN_BF16 = 30,
	KERN_MXFP4 = 39,
	KERN_TYPE_COUNT = 40,
};

/**
 * struct kern_type_info - how a type is stored
 * @name: as people write it, "Q4_1"; NULL: a type this library does not know
 * @block_elems: elements of one block; a row's length is a multiple of it
 * @block_bytes: bytes of one block
 */
struct kern_type_info {
	const char *name;
	uint16_t block_elems;
	uint16_t block_bytes;
};

/** kern_type_info() - facts about a type, NULL if it is not known */
const struct kern_type_info *kern_type_info(uint32_t type);

/** kern_row_bytes() - bytes of a row of @elems elements; 0 if they are no whole blocks */
static inline size_t kern_row_bytes(const struct kern_type_info *info, uint64_t elems)
{
	return elems % info->block_elems ? 0 : elems / info->block_elems * info->block_bytes;
}

#define KERN_ALIGN	64	/* bytes, of every buffer the caller allocates (not of weights) */

/**
 * struct kern_weights - a matrix of weights, in place in the model file, or packed (panel.h)
 * @data: first row, or panel
 * @row_bytes: distance of rows; packed: a sixteenth of that of panels
 * @rows: outputs
 * @cols: inputs (elements of a row)
 */
struct kern_weights {
	const void *data;
	size_t row_bytes;
	uint32_t rows;
	uint32_t cols;
};

/**
 * struct kern_matmul - y[t][r] = sum over c of w[r][c] * x[t][c]
 * @act_bytes: bytes of one packed row of @cols activations
 * @pack: pack one row of activations (cols) float32 into the form that @mul wants
 * @mul: rows [row_begin, row_end) for @tokens packed activations, act_stride bytes apart; y is
 *	float32, y[t * y_stride + r]
 *
 * Types whose @pack is the same function take the same packed activations: pack once for all of
 * them (the quantised types share one form, F32, F16 and BF16 another). @pack reads @cols floats of
 * any alignment and writes act_bytes, a multiple of KERN_ALIGN. @mul needs up to 350 KiB of stack.
 *
 * Accumulators are float32, over blocks of 32 exact integer products (quantised types), or float32
 * FMA lanes, 16 for each output (F32, F16, BF16). Tolerance against ref: NMSE 1e-12 for F32, F16
 * and BF16 up to 32768 columns, and for the others where 8 bits hold the activations exactly;
 * 2e-4 where they are rounded to 8 bits, in blocks of 32 with a float32 scale. An activation that
 * is not finite makes all outputs of its token NaN; blocks below 2^-110 count as zero. Every byte of
 * a block is legal: a scale that is not finite makes what it is multiplied with so, in its own row.
 * MXFP4 has none such: its exponent 255 is 2^127 here, as it is for whoever writes these files.
 *
 * Two tables have instructions for BF16. avx512bf16 rounds the activations of BF16 weights to BF16:
 * NMSE 2^-18. amx keeps two BF16 of each activation, and of each F16 weight: NMSE 2^-36 with BF16
 * weights, 2^-32 with F16. With both a BF16 weight, a part of an activation or a product that is
 * subnormal (below 2^-126) counts as zero, whatever MXCSR says. No tile is in use when a function
 * is called or has returned.
 */
struct kern_matmul {
	size_t (*act_bytes)(uint32_t cols);
	void (*pack)(void *act, const float *x, uint32_t cols);
	void (*mul)(const struct kern_weights *w, uint32_t row_begin, uint32_t row_end,
		    const void *act, size_t act_stride, uint32_t tokens, float *y, size_t y_stride);
};

/**
 * struct kern_ops - the operations of one instruction set
 * @name: "ref", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx"
 * @matmul: by weight type; mul is NULL where the type is not known
 * @panel: the same for packed weights (panel.h), faster, with the same results; mul is NULL where
 *	this table has none
 * @dequant_row: (cols) elements of a row of weights to float32, by type
 * @rms_norm: y[i] = x[i] * w[i] / sqrt(mean(x^2) + eps); y may be x. NMSE 1e-12
 * @layer_norm: y[i] = (x[i] - mean(x)) / sqrt(var(x) + eps) * w[i] + b[i]; y may be x. NMSE 1e-12
 * @rope: rotate @heads vectors of @head_dim in place at one position: the first @rot_dim elements
 *	are turned by cos[i], sin[i] (rot_dim / 2 each); pairs are (2i, 2i+1), or (i, i + rot_dim/2)
 *	with @neox
 * @hadamard: x, (n), in place, each @block elements by themselves: y[i] is the sum over j of x[j],
 *	negated where i & j has an odd number of ones, / sqrt(block). Its own inverse; a product of
 *	two vectors stays what it was. @block: a power of two, 8 at least; n is a multiple. The same
 *	bits from each table, NMSE 1e-13
 * @attn_part: attention to one part of the keys (@part counts from 0): out, (queries, group,
 *	head_dim), is the sum of exp(score - max) v; sums, (queries, group), what it has to be divided
 *	by. Rows that attend to nothing there are not written. Needs kern_attn_part_bytes() of
 *	a->scratch; does not look at a->out. NMSE 1e-10 of all parts, joined
 * @attn_join: out, (head_dim), and all of one row: the next part of it with its sum is added. Where
 *	all->sum is 0 there is nothing yet, and they become those of the part
 * @silu_mul: y[i] = silu(gate[i]) * up[i]; y may be gate. NMSE 1e-12
 * @gelu_mul: y[i] = gelu(gate[i]) * up[i]; y may be gate. NMSE 1e-12. gelu(x) is
 *	x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
 * @gelu: y[i] = gelu(x[i]); y may be x. NMSE 1e-12
 * @gelu_erf: y[i] = x[i] / 2 * (1 + erf(x[i] / sqrt(2))); y may be x. NMSE 1e-12
 * @softcap: y[i] = cap * tanh(y[i] / cap). NMSE 1e-12
 * @add: y[i] += x[i]
 * @store_key: a key, (head_dim) float32, becomes key @slot of the page @plane
 * @store_value: a value, (head_dim) float32, becomes value @slot of the page @plane
 */
struct kern_ops {
	const char *name;
	struct kern_matmul matmul[KERN_TYPE_COUNT];
	struct kern_matmul panel[KERN_TYPE_COUNT];
	void (*dequant_row[KERN_TYPE_COUNT])(float *y, const void *row, uint32_t cols);
	void (*rms_norm)(float *y, const float *x, const float *w, uint32_t n, float eps);
	void (*layer_norm)(float *y, const float *x, const float *w, const float *b, uint32_t n,
			   float eps);
	void (*rope)(float *x, uint32_t heads, uint32_t head_dim, uint32_t rot_dim,
		     const float *cos, const float *sin, bool neox);
	void (*hadamard)(float *x, uint32_t n, uint32_t block);
	void (*attn_part)(const struct kern_attn *a, uint32_t part, float *out,
			  struct kern_attn_sum *sums);
	void (*attn_join)(float *out, struct kern_attn_sum *all, const float *part,
			  const struct kern_attn_sum *sum, uint32_t head_dim);
	void (*silu_mul)(float *y, const float *gate, const float *up, uint32_t n);
	void (*gelu_mul)(float *y, const float *gate, const float *up, uint32_t n);
	void (*gelu)(float *y, const float *x, uint32_t n);
	void (*gelu_erf)(float *y, const float *x, uint32_t n);
	void (*softcap)(float *y, uint32_t n, float cap);
	void (*add)(float *y, const float *x, uint32_t n);
	void (*store_key)(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x);
	void (*store_value)(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x);
};

/**
 * kern_ops_get() - the table of an instruction set
 * @isa: this one ("ref", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx"); NULL: the best there
 *	is
 *
 * What the processor and the operating system (CPUID, XCR0) do not allow is never returned. Where
 * there are tiles and @isa is "amx" or NULL, the system is asked for their use, for the whole
 * process (arch_prctl, ARCH_REQ_XCOMP_PERM): the one system call of this library. Call this before
 * threads have alternate signal stacks; if the system refuses there is no "amx".
 *
 * Return: NULL if @isa is not a name, or needs what is not there.
 */
const struct kern_ops *kern_ops_get(const char *isa);

#endif /* LLMOS_KERNELS_KERNELS_H */
