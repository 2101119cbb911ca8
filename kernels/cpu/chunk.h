/* SPDX-License-Identifier: MIT */
/*
 * Facts about the quantised types that every width needs; constants once a type is.
 */
#ifndef LLMOS_KERNELS_CHUNK_H
#define LLMOS_KERNELS_CHUNK_H

#include "kernels/cpu/cpu.h"

/** type_block_bytes() - bytes of 32 weights; of the K types, of a superblock of 256 */
KERN_INLINE uint32_t type_block_bytes(enum kern_type type)
{
	switch (type) {
	case KERN_Q8_0:
		return 34;
	case KERN_Q4_0:
		return 18;
	case KERN_Q4_1:
		return 20;
	case KERN_Q5_0:
		return 22;
	case KERN_Q5_1:
		return 24;
	case KERN_Q4_K:
		return 144;
	case KERN_Q5_K:
		return 176;
	default:
		return 210;
	}
}

KERN_INLINE bool type_is_k(enum kern_type type)
{
	return type == KERN_Q4_K || type == KERN_Q5_K || type == KERN_Q6_K;
}

/** type_chunk_bytes() - bytes of so many blocks of 32 */
KERN_INLINE uint32_t type_chunk_bytes(enum kern_type type, uint32_t blocks)
{
	return type_block_bytes(type) * (type_is_k(type) ? blocks / 8 : blocks);
}

/** type_has_min() - a weight is d * q + m */
KERN_INLINE bool type_has_min(enum kern_type type)
{
	return type == KERN_Q4_1 || type == KERN_Q5_1 || type == KERN_Q4_K || type == KERN_Q5_K;
}

/** type_zero_shift() - a weight is d * (q - 2^shift); 0: it is not */
KERN_INLINE int type_zero_shift(enum kern_type type)
{
	return type == KERN_Q4_0 ? 3 :
	       type == KERN_Q5_0 ? 4 :
	       type == KERN_Q6_K ? 5 :
	       type == KERN_Q8_0 ? 7 :
				   0;
}

/**
 * type_narrow() - pairs of products that fit into 16 bits when added: sums of 2 * 127 * q max
 *
 * A product is a byte of weights, unsigned, times one of activations, within +-127.
 */
KERN_INLINE int type_narrow(enum kern_type type)
{
	switch (type) {
	case KERN_Q4_0:
	case KERN_Q4_1:
	case KERN_Q4_K:
		return 8;	/* 8 * 2 * 127 * 15 = 30480 */
	case KERN_Q5_0:
	case KERN_Q5_1:
	case KERN_Q5_K:
		return 4;	/* 4 * 2 * 127 * 31 = 31496 */
	case KERN_Q6_K:
		return 2;	/* 2 * 2 * 127 * 63 = 32004 */
	default:
		return 1;	/* 2 * 127 * 128 = 32512 */
	}
}

#endif /* LLMOS_KERNELS_CHUNK_H */
