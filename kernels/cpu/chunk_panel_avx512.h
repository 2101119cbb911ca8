/* SPDX-License-Identifier: MIT */
/*
 * What a chunk of a panel holds (panel.h), in registers: scales as float32 and quants as bytes,
 * lane r of each vector row r's. For a type that is known when this is compiled.
 */
#ifndef LLMOS_KERNELS_CHUNK_PANEL_AVX512_H
#define LLMOS_KERNELS_CHUNK_PANEL_AVX512_H

#include "kernels/cpu/chunk.h"
#include "kernels/cpu/simd_avx512.h"
#include "kernels/panel.h"
#include "kernels/tables.h"

#define PANEL_BLOCKS	KERN_PANEL_BLOCKS

/**
 * struct panel_scales - of the blocks of a chunk
 * @d: scales; of Q6_K, those of the first halves
 * @m: minima, if the type has them; of Q6_K, the scales of the second halves; of Q2_K, what its
 *	whole minima are multiplied by
 * @pairs: of types whose halves have whole scales, those two, 16 bits each
 * @minima: and of Q2_K their minima
 */
struct panel_scales {
	__m512 d[PANEL_BLOCKS];
	__m512 m[PANEL_BLOCKS];
	__m512i pairs[PANEL_BLOCKS];
	__m512i minima[PANEL_BLOCKS];
};

/* @m of struct panel_scales is in use */
KERN_INLINE bool panel_has_m(enum kern_type type)
{
	return type_has_min(type) || type == KERN_Q6_K || type == KERN_Q2_K;
}

/* what quants are too great by, as a power of two; 0: they are not */
KERN_INLINE int panel_zero_shift(enum kern_type type)
{
	return type == KERN_Q3_K ? ZERO_Q3_K_SHIFT : type_zero_shift(type);
}

KERN_INLINE uint32_t panel_quant_bytes(enum kern_type type)
{
	switch (type) {
	case KERN_Q8_0:
		return 512;
	case KERN_Q5_0:
	case KERN_Q5_1:
	case KERN_Q5_K:
		return 320;
	case KERN_Q6_K:
		return 384;
	case KERN_Q2_K:
		return 128;
	case KERN_Q3_K:
		return 192;
	default:
		return 256;
	}
}

KERN_INLINE uint32_t panel_scale_bytes(enum kern_type type, uint32_t blocks)
{
	switch (type) {
	case KERN_Q2_K:
		return 4 * 64 + 64;
	case KERN_Q3_K:
		return 3 * 64 + 32;
	case KERN_Q4_K:
	case KERN_Q5_K:
		return 64 + 12 * 16;
	case KERN_Q6_K:
		return 16 * 16 + 64;
	case KERN_IQ4_XS:
		return 128;
	case KERN_MXFP4:
		return (blocks * 16 + 63) / 64 * 64;
	default:
		return (blocks * (type_has_min(type) ? 64 : 32) + 63) / 64 * 64;
	}
}

KERN_INLINE uint32_t panel_chunk_bytes(enum kern_type type, uint32_t blocks)
{
	return panel_scale_bytes(type, blocks) + blocks * panel_quant_bytes(type);
}

/* 16 F16 */
KERN_INLINE __m512 panel_halves(const uint8_t *p)
{
	return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)p));
}

KERN_INLINE __m512 panel_floats_u8(__m128i v)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v));
}

/* quarter i of a vector of bytes, one for each row */
#define PANEL_QUARTER(v, i)	_mm512_extracti32x4_epi32(v, i)

/* four blocks from @at on, the i-th with quarter i */
KERN_INLINE void panel_scales_four(struct panel_scales *s, int at, __m512 d, __m512 dmin,
				   __m512i scales, __m512i minima)
{
	s->d[at] = _mm512_mul_ps(d, panel_floats_u8(PANEL_QUARTER(scales, 0)));
	s->d[at + 1] = _mm512_mul_ps(d, panel_floats_u8(PANEL_QUARTER(scales, 1)));
	s->d[at + 2] = _mm512_mul_ps(d, panel_floats_u8(PANEL_QUARTER(scales, 2)));
	s->d[at + 3] = _mm512_mul_ps(d, panel_floats_u8(PANEL_QUARTER(scales, 3)));
	s->m[at] = _mm512_mul_ps(dmin, panel_floats_u8(PANEL_QUARTER(minima, 0)));
	s->m[at + 1] = _mm512_mul_ps(dmin, panel_floats_u8(PANEL_QUARTER(minima, 1)));
	s->m[at + 2] = _mm512_mul_ps(dmin, panel_floats_u8(PANEL_QUARTER(minima, 2)));
	s->m[at + 3] = _mm512_mul_ps(dmin, panel_floats_u8(PANEL_QUARTER(minima, 3)));
}

/* d, dmin, then bytes 0 to 3, 4 to 7 and 8 to 11 of the superblocks, a vector each */
KERN_INLINE void panel_scales_k(struct panel_scales *s, const uint8_t *p)
{
	const __m512i six = _mm512_set1_epi8(0x3f), four = _mm512_set1_epi8(0xf);
	const __m512i two = _mm512_set1_epi8(0x30);
	const __m512 d = panel_halves(p);
	const __m512 dmin = _mm512_xor_ps(panel_halves(p + 32), _mm512_set1_ps(-0.0f));
	__m512i a = _mm512_load_si512(p + 64), b = _mm512_load_si512(p + 128);
	__m512i c = _mm512_load_si512(p + 192);

	panel_scales_four(s, 0, d, dmin, _mm512_and_si512(a, six), _mm512_and_si512(b, six));
	a = _mm512_and_si512(_mm512_srli_epi16(a, 2), two);
	b = _mm512_and_si512(_mm512_srli_epi16(b, 2), two);
	a = _mm512_or_si512(a, _mm512_and_si512(c, four));
	b = _mm512_or_si512(b, _mm512_and_si512(_mm512_srli_epi16(c, 4), four));
	panel_scales_four(s, 4, d, dmin, a, b);
}

KERN_INLINE __m512 panel_floats_s8(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)p)));
}

KERN_INLINE __m512 panel_exponents(const uint8_t *p)
{
	return exponents_to_floats(
		_mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(const void *)p)));
}

/* bytes @at and @at + 1 of each dword, as two signed words */
KERN_INLINE __m512i panel_words(__m512i bytes, int at)
{
	const char high = (char)0x80, a = (char)at, b = (char)(at + 1);
	const __m128i order = _mm_setr_epi8(high, a, high, b, high, (char)(a + 4), high,
					    (char)(b + 4), high, (char)(a + 8), high,
					    (char)(b + 8), high, (char)(a + 12), high,
					    (char)(b + 12));

	return _mm512_srai_epi16(_mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(order)), 8);
}

/* four dwords of scales and minima, d, dmin */
KERN_INLINE void panel_scales_q2_k(struct panel_scales *s, const uint8_t *p)
{
	const __m512i nibble = _mm512_set1_epi8(0xf);
	const __m512 d = panel_halves(p + 256), dmin = panel_halves(p + 288);

#pragma GCC unroll 8
	for (int b = 0; b < PANEL_BLOCKS; b++) {
		const __m512i v = _mm512_load_si512(p + 64 * (b / 2));
		const __m512i scales = _mm512_and_si512(v, nibble);
		const __m512i minima = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);

		s->d[b] = d;
		s->m[b] = dmin;
		s->pairs[b] = panel_words(scales, b % 2 * 2);
		s->minima[b] = panel_words(minima, b % 2 * 2);
	}
}

/* three dwords of scales, which unpack_scales_q3_k() takes apart in the same way, and d */
KERN_INLINE void panel_scales_q3_k(struct panel_scales *s, const uint8_t *p)
{
	const __m512i nibble = _mm512_set1_epi8(0xf), two = _mm512_set1_epi8(0x30);
	const __m512i zero = _mm512_set1_epi8(32);
	const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64);
	const __m512i high = _mm512_loadu_si512(p + 128);
	const __m512 d = panel_halves(p + 192);
	__m512i four[4];

	four[0] = _mm512_and_si512(a, nibble);
	four[1] = _mm512_and_si512(b, nibble);
	four[2] = _mm512_and_si512(_mm512_srli_epi16(a, 4), nibble);
	four[3] = _mm512_and_si512(_mm512_srli_epi16(b, 4), nibble);
	/* four | (high & two) */
	four[0] = _mm512_ternarylogic_epi32(four[0], _mm512_slli_epi16(high, 4), two, 0xf8);
	four[1] = _mm512_ternarylogic_epi32(four[1], _mm512_slli_epi16(high, 2), two, 0xf8);
	four[2] = _mm512_ternarylogic_epi32(four[2], high, two, 0xf8);
	four[3] = _mm512_ternarylogic_epi32(four[3], _mm512_srli_epi16(high, 2), two, 0xf8);
#pragma GCC unroll 8
	for (int i = 0; i < PANEL_BLOCKS; i++) {
		s->d[i] = d;
		s->pairs[i] = panel_words(_mm512_sub_epi8(four[i / 2], zero), i % 2 * 2);
	}
}

/* a dword of low bits, d, high bits */
KERN_INLINE void panel_scales_iq4_xs(struct panel_scales *s, const uint8_t *p)
{
	const __m512i low = _mm512_load_si512(p);
	const __m512i high = _mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)(p + 96)));
	const __m512 d = panel_halves(p + 64);

#pragma GCC unroll 8
	for (unsigned int b = 0; b < PANEL_BLOCKS; b++) {
		__m512i l = _mm512_and_si512(_mm512_srli_epi32(low, 4 * b), _mm512_set1_epi32(0xf));
		__m512i h = _mm512_and_si512(_mm512_srli_epi32(high, 2 * b), _mm512_set1_epi32(3));

		l = _mm512_or_si512(l, _mm512_slli_epi32(h, 4));
		l = _mm512_sub_epi32(l, _mm512_set1_epi32(32));
		s->d[b] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(l));
	}
}

/** panel_scales_load() - of @blocks blocks, PANEL_BLOCKS for types with superblocks */
KERN_INLINE void panel_scales_load(enum kern_type type, struct panel_scales *s, const uint8_t *p,
				   uint32_t blocks)
{
	if (type == KERN_Q2_K) {
		panel_scales_q2_k(s, p);
		return;
	}
	if (type == KERN_Q3_K) {
		panel_scales_q3_k(s, p);
		return;
	}
	if (type == KERN_IQ4_XS) {
		panel_scales_iq4_xs(s, p);
		return;
	}
	if (type == KERN_Q6_K) {
		const __m512 d = panel_halves(p + 256);

		for (int b = 0; b < PANEL_BLOCKS; b++) {
			s->d[b] = _mm512_mul_ps(d, panel_floats_s8(p + 32 * b));
			s->m[b] = _mm512_mul_ps(d, panel_floats_s8(p + 32 * b + 16));
		}
		return;
	}
	if (type_is_super(type)) {
		panel_scales_k(s, p);
		return;
	}
#pragma GCC unroll 8
	for (uint32_t b = 0; b < PANEL_BLOCKS; b++) {
		const uint8_t *at = p + b * (type_has_min(type) ? 64 : 32);

		if (type == KERN_MXFP4) {
			s->d[b] = b < blocks ? panel_exponents(p + 16 * b) : _mm512_setzero_ps();
			continue;
		}
		s->d[b] = b < blocks ? panel_halves(at) : _mm512_setzero_ps();
		if (type_has_min(type))
			s->m[b] = b < blocks ? panel_halves(at + 32) : _mm512_setzero_ps();
	}
}

/* bit @from of each byte of @bits becomes bit @to of @q, which has none there */
KERN_INLINE __m512i panel_bit(__m512i q, __m512i bits, int from, int to)
{
	__m512i moved = from < to ? _mm512_slli_epi16(bits, (unsigned int)(to - from) & 7) :
				    _mm512_srli_epi16(bits, (unsigned int)(from - to) & 7);

	/* q | (moved & bit) */
	return _mm512_ternarylogic_epi32(q, moved, _mm512_set1_epi8((char)(1 << to)), 0xf8);
}

/* the pair at bit 2 * @pair of each byte above the nibbles in @q */
KERN_INLINE __m512i panel_pair(__m512i q, __m512i bits, int pair)
{
	__m512i moved = pair < 2 ? _mm512_slli_epi16(bits, (unsigned int)(4 - 2 * pair) & 7) :
				   _mm512_srli_epi16(bits, (unsigned int)(2 * pair - 4) & 7);

	return _mm512_ternarylogic_epi32(q, moved, _mm512_set1_epi8(0x30), 0xf8);
}

/* pairs of bits are all there is; those of Q3_K may begin in the middle of a cache line */
KERN_INLINE void panel_quants_pairs(enum kern_type type, __m512i q[8], const uint8_t *p)
{
	const __m512i v[2] = {_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64)};

#pragma GCC unroll 8
	for (int j = 0; j < 8; j++)
		q[j] = _mm512_and_si512(
			_mm512_srli_epi16(v[j / 4], (unsigned int)(j % 4) * 2),
			_mm512_set1_epi8(3));
	if (type == KERN_Q3_K) {
		const __m512i bits = _mm512_loadu_si512(p + 128);

#pragma GCC unroll 8
		for (int j = 0; j < 8; j++)
			q[j] = panel_bit(q[j], bits, j, 2);
	}
}

/* what 16 numbers stand for, a byte each */
KERN_INLINE __m512i panel_table(enum kern_type type)
{
	if (type == KERN_MXFP4)
		return _mm512_add_epi8(_mm512_broadcast_i32x4(_mm_load_si128(
					       (const __m128i *)kern_table_mxfp4)),
				       _mm512_set1_epi8(ZERO_MXFP4));
	return _mm512_xor_si512(
		_mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)kern_table_iq4)),
		_mm512_set1_epi8((char)0x80));
}

/** panel_quants() - the eight groups of a block: unsigned, with the zero point of its type */
KERN_INLINE void panel_quants(enum kern_type type, __m512i q[8], const uint8_t *p)
{
	const __m512i nibble = _mm512_set1_epi8(0xf);

	if (type_has_halves(type)) {
		panel_quants_pairs(type, q, p);
		return;
	}
	if (type == KERN_Q8_0) {
#pragma GCC unroll 8
		for (int j = 0; j < 8; j++)
			q[j] = _mm512_load_si512(p + 64 * j);
		return;
	}
#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		__m512i v = _mm512_load_si512(p + 64 * j);

		q[j] = _mm512_and_si512(v, nibble);
		q[j + 4] = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
	}
	if (type == KERN_Q5_0 || type == KERN_Q5_1 || type == KERN_Q5_K) {
		__m512i bits = _mm512_load_si512(p + 256);

#pragma GCC unroll 8
		for (int j = 0; j < 8; j++)
			q[j] = panel_bit(q[j], bits, j, 4);
	}
	if (type == KERN_Q6_K) {
#pragma GCC unroll 8
		for (int j = 0; j < 8; j++)
			q[j] = panel_pair(q[j], _mm512_load_si512(p + 256 + 64 * (j / 4)), j % 4);
	}
	if (type == KERN_IQ4_NL || type == KERN_IQ4_XS || type == KERN_MXFP4) {
		const __m512i table = panel_table(type);

#pragma GCC unroll 8
		for (int j = 0; j < 8; j++)
			q[j] = _mm512_shuffle_epi8(table, q[j]);
	}
}

#endif /* LLMOS_KERNELS_CHUNK_PANEL_AVX512_H */
