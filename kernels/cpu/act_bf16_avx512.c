// SPDX-License-Identifier: MIT
/*
 * Packs activations in BF16. In integers: the instruction that rounds would flush subnormal ones
 * and let great ones become infinite.
 */
#include "kernels/cpu/act_bf16.h"
#include "kernels/cpu/simd_avx512.h"

#define BITS_INFINITY	0x7f800000

/* sixteen floats to BF16, as the upper halves of float32 whose lower ones are zero */
KERN_INLINE __m512i round_bf16(__m512i bits)
{
	const __m512i size = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
	const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
	const __m512i infinity = _mm512_set1_epi32(BITS_INFINITY);
	__m512i v = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
	__mmask16 great;

	great = _mm512_cmpge_epi32_mask(_mm512_and_si512(v, _mm512_set1_epi32(0x7fffffff)),
					infinity);
	v = _mm512_mask_mov_epi32(v, great, bits);
	v = _mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000));
	return _mm512_mask_mov_epi32(v, _mm512_cmpge_epi32_mask(size, infinity),
				     _mm512_set1_epi32(0x7fc00000));
}

/* what is left of a float and its nearest BF16: their difference is exact */
KERN_INLINE __m512i round_rest(__m512i bits, __m512i high)
{
	return round_bf16(_mm512_castps_si512(
		_mm512_sub_ps(_mm512_castsi512_ps(bits), _mm512_castsi512_ps(high))));
}

KERN_INLINE void store_bf16(uint16_t *p, __m512i v)
{
	_mm256_store_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
}

/* the elements of @x from @i on, of which there are @cols, and zeros behind them */
KERN_INLINE __m512i load_bits(const float *x, uint32_t i, uint32_t cols)
{
	const uint32_t left = i < cols ? cols - i : 0;
	const __mmask16 mask = (__mmask16)low_mask(left < 16 ? left : 16);

	return _mm512_castps_si512(_mm512_maskz_loadu_ps(mask, x + i));
}

size_t kern_act_bf16_bytes_avx512(uint32_t cols)
{
	return ((size_t)cols + ACT_BF16_ELEMS - 1) / ACT_BF16_ELEMS * sizeof(struct act_bf16);
}

void kern_act_bf16_pack_avx512(void *act, const float *x, uint32_t cols)
{
	struct act_bf16 *a = act;

	for (uint32_t c = 0; c < cols; c += ACT_BF16_ELEMS, a++)
		for (uint32_t i = 0; i < ACT_BF16_ELEMS; i += 16)
			store_bf16(a->x + i, round_bf16(load_bits(x, c + i, cols)));
}

/* an odd number of cache lines: sixteen rows are read side by side, each in a set of its own */
size_t kern_act_bf16x2_bytes_avx512(uint32_t cols)
{
	return ((size_t)cols + ACT_BF16_ELEMS - 1) / ACT_BF16_ELEMS * sizeof(struct act_bf16x2) +
	       KERN_ALIGN;
}

void kern_act_bf16x2_pack_avx512(void *act, const float *x, uint32_t cols)
{
	struct act_bf16x2 *a = act;

	for (uint32_t c = 0; c < cols; c += ACT_BF16_ELEMS, a++) {
		for (uint32_t i = 0; i < ACT_BF16_ELEMS; i += 16) {
			const __m512i bits = load_bits(x, c + i, cols);
			const __m512i high = round_bf16(bits);

			store_bf16(a->high + i, high);
			store_bf16(a->low + i, round_rest(bits, high));
		}
	}
}
