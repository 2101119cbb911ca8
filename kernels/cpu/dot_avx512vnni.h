/* SPDX-License-Identifier: MIT */
/*
 * Exact block sums with VNNI: four products of bytes are added to 32 bits in one instruction.
 */
#ifndef LLMOS_KERNELS_DOT_AVX512VNNI_H
#define LLMOS_KERNELS_DOT_AVX512VNNI_H

#include "kernels/cpu/chunk.h"
#include "kernels/cpu/chunk_avx512.h"

/* the instruction wants one side unsigned: 128 is added here and subtracted as the zero point */
KERN_INLINE __m512i dot_ready(__m512i v)
{
	return _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80));
}

/** dot_start() - the zero point's part; @neg: minus the sums of the activations */
KERN_INLINE __m512i dot_start(enum kern_type type, __m512i neg)
{
	return type_zero_shift(type) ? _mm512_slli_epi32(neg, type_zero_shift(type)) :
				       _mm512_setzero_si512();
}

/**
 * dot_tile() - adds block sums of vectors q[from] to q[from + count - 1] of each of @pairs chunks,
 *	@stride apart, with each of @tokens activations
 * @sums: from dot_start()
 *
 * Each vector is loaded once for the whole tile.
 */
KERN_INLINE void dot_tile(enum kern_type type, __m512i sums[][DOT_TOKENS], const struct chunk *c,
			  size_t stride, const struct act8 *const a[], int from, int count,
			  int pairs, int tokens)
{
#pragma GCC unroll 8
	for (int j = from; j < from + count; j++) {
		__m512i w[DOT_PAIRS];

#pragma GCC unroll 2
		for (int p = 0; p < pairs; p++)
			w[p] = chunk_at(type, c, p * stride)->q[j];
#pragma GCC unroll 8
		for (int t = 0; t < tokens; t++) {
			__m512i q = load_twice(a[t]->q[j]);

#pragma GCC unroll 2
			for (int p = 0; p < pairs; p++)
				sums[p][t] = _mm512_dpbusd_epi32(sums[p][t], w[p], q);
		}
	}
}

#endif /* LLMOS_KERNELS_DOT_AVX512VNNI_H */
