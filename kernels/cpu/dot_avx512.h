/* SPDX-License-Identifier: MIT */
/*
 * Exact block sums without VNNI: products in pairs of 16 bits, as many of them added there as fit.
 */
#ifndef LLMOS_KERNELS_DOT_AVX512_H
#define LLMOS_KERNELS_DOT_AVX512_H

#include "kernels/cpu/chunk.h"
#include "kernels/cpu/chunk_avx512.h"

/* signed: magnitudes are multiplied with activations that took over the signs */
KERN_INLINE __m512i dot_ready(__m512i v)
{
	return v;
}

KERN_INLINE __m512i dot_pairs(enum kern_type type, __m512i w, __m512i q)
{
	if (type_is_signed(type)) {
		q = _mm512_mask_sub_epi8(q, _mm512_movepi8_mask(w), _mm512_setzero_si512(), q);
		w = _mm512_abs_epi8(w);
	}
	return _mm512_maddubs_epi16(w, q);
}

/** dot_start() - the zero point's part; @neg: minus the sums of the activations */
KERN_INLINE __m512i dot_start(enum kern_type type, __m512i neg)
{
	return type_zero_shift(type) && !type_is_signed(type) ?
		       _mm512_slli_epi32(neg, type_zero_shift(type)) :
		       _mm512_setzero_si512();
}

KERN_INLINE __m512i dot_products(enum kern_type type, const struct chunk *c, const __m512i *q,
				 int from, int count)
{
	const int narrow = type_narrow(type);
	__m512i sum = _mm512_setzero_si512();

	for (int j = from; j < from + count; j += narrow) {
		__m512i pairs = dot_pairs(type, c->q[j], q[j]);

		for (int k = j + 1; k < j + narrow; k++)
			pairs = _mm512_add_epi16(pairs, dot_pairs(type, c->q[k], q[k]));
		sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
	}
	return sum;
}

/**
 * dot_tile() - adds block sums of vectors q[from] to q[from + count - 1] of each of @pairs chunks,
 *	@stride apart, with each of @tokens activations
 * @sums: from dot_start()
 */
KERN_INLINE void dot_tile(enum kern_type type, __m512i sums[][DOT_TOKENS], const struct chunk *c,
			  size_t stride, const struct act8 *const a[], int from, int count,
			  int pairs, int tokens)
{
	for (int t = 0; t < tokens; t++) {
		__m512i q[8];

		for (int j = from; j < from + count; j++)
			q[j] = load_twice(a[t]->q[j]);
		for (int p = 0; p < pairs; p++)
			sums[p][t] = _mm512_add_epi32(
				sums[p][t], dot_products(type, chunk_at(type, c, p * stride), q, from,
						     count));
	}
}

#endif /* LLMOS_KERNELS_DOT_AVX512_H */
