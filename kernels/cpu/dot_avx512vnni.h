/* SPDX-License-Identifier: MIT */
/*
 * Exact block sums with VNNI: four products of bytes are added to 32 bits in one instruction.
 */
#ifndef LLMOS_KERNELS_DOT_AVX512VNNI_H
#define LLMOS_KERNELS_DOT_AVX512VNNI_H

#include "kernels/cpu/chunk.h"
#include "kernels/cpu/chunk_avx512.h"

/* the instruction wants one side unsigned: 128 is added here and subtracted as the zero point */
KERN_INLINE __m512i dot_ready_q8(__m512i v)
{
	return _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80));
}

/**
 * dot_range() - block sums of vectors q[from] to q[from + count - 1]
 * @q: activations
 * @neg: minus their sums, for the zero point
 */
KERN_INLINE __m512i dot_range(enum kern_type type, const struct chunk *c, const __m512i *q,
			      __m512i neg, int from, int count)
{
	__m512i sum = type_zero_shift(type) ? _mm512_slli_epi32(neg, type_zero_shift(type)) :
					      _mm512_setzero_si512();

	for (int j = from; j < from + count; j++)
		sum = _mm512_dpbusd_epi32(sum, c->q[j], q[j]);
	return sum;
}

#endif /* LLMOS_KERNELS_DOT_AVX512VNNI_H */
