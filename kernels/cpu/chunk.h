/* SPDX-License-Identifier: MIT */
/*
 * Facts about the quantised types that every width needs; constants once a type is.
 */
#ifndef LLMOS_KERNELS_CHUNK_H
#define LLMOS_KERNELS_CHUNK_H

#include <string.h>

#include "kernels/cpu/cpu.h"

/** type_is_super() - the type has superblocks of 256 */
KERN_INLINE bool type_is_super(enum kern_type type)
{
	return type == KERN_Q2_K || type == KERN_Q3_K || type == KERN_Q4_K || type == KERN_Q5_K ||
	       type == KERN_Q6_K || type == KERN_IQ4_XS;
}

/** type_block_bytes() - bytes of 32 weights, or of a superblock */
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
	case KERN_IQ4_NL:
		return 18;
	case KERN_MXFP4:
		return 17;
	case KERN_Q2_K:
		return 84;
	case KERN_Q3_K:
		return 110;
	case KERN_IQ4_XS:
		return 136;
	case KERN_Q4_K:
		return 144;
	case KERN_Q5_K:
		return 176;
	default:
		return 210;
	}
}

/** type_chunk_bytes() - bytes of so many blocks of 32 */
KERN_INLINE uint32_t type_chunk_bytes(enum kern_type type, uint32_t blocks)
{
	return type_block_bytes(type) * (type_is_super(type) ? blocks / 8 : blocks);
}

/** type_has_min() - a weight is d * q + m */
KERN_INLINE bool type_has_min(enum kern_type type)
{
	return type == KERN_Q4_1 || type == KERN_Q5_1 || type == KERN_Q4_K || type == KERN_Q5_K;
}

/** type_has_halves() - the halves of a block have something of their own that is a whole number */
KERN_INLINE bool type_has_halves(enum kern_type type)
{
	return type == KERN_Q2_K || type == KERN_Q3_K;
}

/** type_is_signed() - a weight is d * q, from -128 */
KERN_INLINE bool type_is_signed(enum kern_type type)
{
	return type == KERN_Q8_0 || type == KERN_IQ4_NL || type == KERN_IQ4_XS;
}

/**
 * type_zero_shift() - a weight is d * (q - 2^shift); 0: it is not
 *
 * Signed types are so where 128 was added. Q3_K's zero point is ZERO_Q3_K, times a scale.
 */
KERN_INLINE int type_zero_shift(enum kern_type type)
{
	if (type_is_signed(type))
		return 7;
	return type == KERN_Q4_0			     ? 3 :
	       type == KERN_Q5_0 || type == KERN_MXFP4 ? 4 :
	       type == KERN_Q6_K			     ? 5 :
							       0;
}

#define ZERO_Q3_K_SHIFT	2	/* it is 4 */
#define ZERO_MXFP4	16	/* what is added to the table's values */

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
	case KERN_MXFP4:
		return 4;	/* 4 * 2 * 127 * 31 = 31496 */
	case KERN_Q3_K:
		return 4;	/* all of a half */
	case KERN_Q2_K:		/* 45: multiplied by their scales */
	case KERN_Q6_K:
		return 2;	/* 2 * 2 * 127 * 63 = 32004 */
	default:
		return 1;	/* 2 * 127 * 128 = 32512 */
	}
}

/** unpack_scales_q3_k() - 12 bytes to 16 of 6 bits, whose zero point is 32 */
KERN_INLINE void unpack_scales_q3_k(uint32_t ret[4], const uint8_t *p)
{
	uint32_t s[3];

	memcpy(s, p, sizeof(s));
	ret[0] = (s[0] & 0x0f0f0f0f) | (s[2] << 4 & 0x30303030);
	ret[1] = (s[1] & 0x0f0f0f0f) | (s[2] << 2 & 0x30303030);
	ret[2] = (s[0] >> 4 & 0x0f0f0f0f) | (s[2] & 0x30303030);
	ret[3] = (s[1] >> 4 & 0x0f0f0f0f) | (s[2] >> 2 & 0x30303030);
}

#endif /* LLMOS_KERNELS_CHUNK_H */
