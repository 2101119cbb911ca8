/* SPDX-License-Identifier: MIT */
/*
 * Eight blocks of 32 weights in registers, turned like struct act8: lane b of every vector belongs
 * to block b. Blocks behind the end of a row read as zeros that are not the row's.
 */
#ifndef LLMOS_KERNELS_CHUNK_AVX2_H
#define LLMOS_KERNELS_CHUNK_AVX2_H

#include "kernels/cpu/act.h"
#include "kernels/cpu/simd_avx2.h"
#include "kernels/half.h"

#define CHUNK_BLOCKS	8

/**
 * struct chunk - eight blocks
 * @q: q[j] is elements 4 * j to 4 * j + 3; unsigned with a zero point, Q8_0 signed
 * @d: scales; of Q6_K, those of the first halves of the blocks
 * @m: minima, if the type has them; of Q6_K, the scales of the second halves
 */
struct chunk {
	__m256i q[8];
	__m256 d;
	__m256 m;
};

static const uint8_t chunk_zeros[48];	/* more than any block of 32 */

/* where block i of a chunk lies */
KERN_INLINE const uint8_t *block_at(const uint8_t *blocks, uint32_t bytes, int i, uint32_t left)
{
	return (uint32_t)i < left ? blocks + (size_t)i * bytes : chunk_zeros;
}

KERN_INLINE __m256i load_pair(const uint8_t *low, const uint8_t *high)
{
	return _mm256_inserti128_si256(
		_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low)),
		_mm_loadu_si128((const __m128i *)high), 1);
}

/* in each half of the vectors, z[j] becomes dword j of x[0] to x[3] */
KERN_INLINE void turn(__m256i z[4], const __m256i x[4])
{
	__m256i t[4];

	t[0] = _mm256_unpacklo_epi32(x[0], x[1]);
	t[1] = _mm256_unpackhi_epi32(x[0], x[1]);
	t[2] = _mm256_unpacklo_epi32(x[2], x[3]);
	t[3] = _mm256_unpackhi_epi32(x[2], x[3]);
	z[0] = _mm256_unpacklo_epi64(t[0], t[2]);
	z[1] = _mm256_unpackhi_epi64(t[0], t[2]);
	z[2] = _mm256_unpacklo_epi64(t[1], t[3]);
	z[3] = _mm256_unpackhi_epi64(t[1], t[3]);
}

/* z[j]: dword j of 16 bytes at @offset in each block */
KERN_INLINE void gather16(__m256i z[4], const uint8_t *blocks, uint32_t bytes, uint32_t offset,
			  uint32_t left)
{
	__m256i x[4];

	for (int i = 0; i < 4; i++)
		x[i] = load_pair(block_at(blocks, bytes, i, left) + offset,
				 block_at(blocks, bytes, i + 4, left) + offset);
	turn(z, x);
}

KERN_INLINE int load_i32(const uint8_t *p)
{
	int v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* 32 bits at @offset in blocks i to i + 3 */
KERN_INLINE __m128i gather4_half(const uint8_t *blocks, uint32_t bytes, uint32_t offset, int i,
				 uint32_t left)
{
	__m128i v = _mm_cvtsi32_si128(load_i32(block_at(blocks, bytes, i, left) + offset));

	v = _mm_insert_epi32(v, load_i32(block_at(blocks, bytes, i + 1, left) + offset), 1);
	v = _mm_insert_epi32(v, load_i32(block_at(blocks, bytes, i + 2, left) + offset), 2);
	return _mm_insert_epi32(v, load_i32(block_at(blocks, bytes, i + 3, left) + offset), 3);
}

/* 32 bits at @offset in each block */
KERN_INLINE __m256i gather4(const uint8_t *blocks, uint32_t bytes, uint32_t offset, uint32_t left)
{
	return _mm256_inserti128_si256(
		_mm256_castsi128_si256(gather4_half(blocks, bytes, offset, 0, left)),
		gather4_half(blocks, bytes, offset, 4, left), 1);
}

/* the F16 at the start of each block */
KERN_INLINE __m256 gather_half(const uint8_t *blocks, uint32_t bytes, uint32_t left)
{
	short v[8];

	for (int i = 0; i < 8; i++)
		v[i] = (short)kern_load_u16(block_at(blocks, bytes, i, left));
	return _mm256_cvtph_ps(_mm_setr_epi16(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]));
}

/* the two F16 at the start of each block */
KERN_INLINE void gather_halves(struct chunk *c, const uint8_t *blocks, uint32_t bytes,
			       uint32_t left)
{
	__m256i v = gather4(blocks, bytes, 0, left);
	__m256i packed = _mm256_packus_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)),
					     _mm256_srli_epi32(v, 16));

	packed = _mm256_permute4x64_epi64(packed, 0xd8);
	c->d = _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
	c->m = _mm256_cvtph_ps(_mm256_extracti128_si256(packed, 1));
}

KERN_INLINE __m256i low_nibbles(__m256i v)
{
	return _mm256_and_si256(v, _mm256_set1_epi8(0xf));
}

KERN_INLINE void decode_nibbles(struct chunk *c, const uint8_t *blocks, uint32_t bytes,
				uint32_t offset, uint32_t left)
{
	__m256i z[4];

	gather16(z, blocks, bytes, offset, left);
	for (int j = 0; j < 4; j++) {
		c->q[j] = low_nibbles(z[j]);
		c->q[j + 4] = low_nibbles(_mm256_srli_epi16(z[j], 4));
	}
}

/* bits 4 * j to 4 * j + 3 of a block's 32 are the fifth bits of its elements in q[j] */
KERN_INLINE void add_fifth_bits(struct chunk *c, const uint8_t *blocks, uint32_t bytes,
				uint32_t offset, uint32_t left)
{
	__m256i bits = gather4(blocks, bytes, offset, left);

	for (int j = 0; j < 8; j++) {
		const __m256i pick = _mm256_broadcastsi128_si256(
			_mm_add_epi8(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12,
						   12),
				     _mm_set1_epi8((char)(j / 2))));
		const __m256i bit = _mm256_set1_epi32(j % 2 ? (int)0x80402010 : 0x08040201);
		__m256i v = _mm256_and_si256(_mm256_shuffle_epi8(bits, pick), bit);

		v = _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(0x10));
		c->q[j] = _mm256_or_si256(c->q[j], v);
	}
}

KERN_INLINE void decode_q8_0(struct chunk *c, const uint8_t *blocks, uint32_t left)
{
	gather16(c->q, blocks, 34, 2, left);
	gather16(c->q + 4, blocks, 34, 18, left);
	c->d = gather_half(blocks, 34, left);
}

/* of Q4_K and Q5_K: 12 bytes hold 8 scales and 8 minima of 6 bits */
KERN_INLINE void decode_scales_k(struct chunk *c, const uint8_t *block)
{
	uint32_t s[3];
	uint64_t scales, mins;
	__m256 d, dmin;

	memcpy(s, block + 4, sizeof(s));
	scales = (s[0] & 0x3f3f3f3f) |
		 (uint64_t)((s[2] & 0x0f0f0f0f) | (s[0] >> 2 & 0x30303030)) << 32;
	mins = (s[1] & 0x3f3f3f3f) |
	       (uint64_t)((s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 2 & 0x30303030)) << 32;
	d = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(kern_load_u16(block))));
	dmin = _mm256_broadcastss_ps(
		_mm_cvtph_ps(_mm_cvtsi32_si128(kern_load_u16(block + 2) ^ 0x8000)));
	c->d = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(
					_mm_cvtsi64_si128((long long)scales))));
	c->m = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(
					   _mm_cvtsi64_si128((long long)mins))));
}

/* the same dword of two neighbouring blocks, whose nibbles are its low and high ones */
#define TWICE(p, q, j)                                                                             \
	_mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(p), _mm256_castsi256_ps(q),      \
					      (j) * 0x55))

KERN_INLINE void decode_nibbles_k(struct chunk *c, const uint8_t *quants)
{
	const __m256i shift = _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4);

	for (int half = 0; half < 2; half++, quants += 16) {
		__m256i p = load_pair(quants, quants + 64);
		__m256i q = load_pair(quants + 32, quants + 96);
		__m256i *out = c->q + half * 4;

		out[0] = TWICE(p, q, 0);
		out[1] = TWICE(p, q, 1);
		out[2] = TWICE(p, q, 2);
		out[3] = TWICE(p, q, 3);
		for (int j = 0; j < 4; j++)
			out[j] = low_nibbles(_mm256_srlv_epi32(out[j], shift));
	}
}

/* bit b of byte i is the fifth bit of element i of block b */
KERN_INLINE void add_fifth_bits_k(struct chunk *c, const uint8_t *bits)
{
	const __m256i shift = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	for (int j = 0; j < 8; j++) {
		__m256i v = _mm256_set1_epi32(load_i32(bits + j * 4));

		v = _mm256_and_si256(_mm256_srlv_epi32(v, shift), _mm256_set1_epi8(1));
		c->q[j] = _mm256_or_si256(c->q[j], _mm256_slli_epi16(v, 4));
	}
}

/* low four bits of @low, and @high's above them */
KERN_INLINE __m256i join_q6_k(__m256i low, __m256i high)
{
	return _mm256_or_si256(low_nibbles(low),
			       _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
}

/* each half of the superblock is four blocks; block b takes nibble b / 2 and bit pair b */
KERN_INLINE void decode_q6_k(struct chunk *c, const uint8_t *block)
{
	__m256i s;
	__m256 d;

	for (int half = 0; half < 2; half++) {
		const uint8_t *low = block + half * 16, *high = low + 128;
		__m256i p = load_pair(low, low + 64), q = load_pair(low + 32, low + 96);
		__m256i h = load_pair(high, high + 32), x[4];

		x[0] = join_q6_k(p, _mm256_slli_epi16(h, 4));
		x[1] = join_q6_k(q, _mm256_slli_epi16(h, 2));
		x[2] = join_q6_k(_mm256_srli_epi16(p, 4), h);
		x[3] = join_q6_k(_mm256_srli_epi16(q, 4), _mm256_srli_epi16(h, 2));
		turn(c->q + half * 4, x);
	}
	s = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(block + 192)));
	d = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(kern_load_u16(block + 208))));
	c->m = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_srai_epi32(s, 8)));
	s = _mm256_srai_epi32(_mm256_slli_epi32(s, 24), 24);
	c->d = _mm256_mul_ps(d, _mm256_cvtepi32_ps(s));
}

/**
 * chunk_decode() - eight blocks, or one superblock
 * @type: known when this is compiled
 * @blocks: first byte
 * @left: blocks of 32 from there to the end of the row; CHUNK_BLOCKS where it is a constant
 */
KERN_INLINE void chunk_decode(enum kern_type type, struct chunk *c, const uint8_t *blocks,
			      uint32_t left)
{
	switch (type) {
	case KERN_Q8_0:
		decode_q8_0(c, blocks, left);
		break;
	case KERN_Q4_0:
		decode_nibbles(c, blocks, 18, 2, left);
		c->d = gather_half(blocks, 18, left);
		break;
	case KERN_Q4_1:
		decode_nibbles(c, blocks, 20, 4, left);
		gather_halves(c, blocks, 20, left);
		break;
	case KERN_Q5_0:
		decode_nibbles(c, blocks, 22, 6, left);
		add_fifth_bits(c, blocks, 22, 2, left);
		c->d = gather_half(blocks, 22, left);
		break;
	case KERN_Q5_1:
		decode_nibbles(c, blocks, 24, 8, left);
		add_fifth_bits(c, blocks, 24, 4, left);
		gather_halves(c, blocks, 24, left);
		break;
	case KERN_Q4_K:
		decode_nibbles_k(c, blocks + 16);
		decode_scales_k(c, blocks);
		break;
	case KERN_Q5_K:
		decode_nibbles_k(c, blocks + 48);
		add_fifth_bits_k(c, blocks + 16);
		decode_scales_k(c, blocks);
		break;
	default:
		decode_q6_k(c, blocks);
		break;
	}
}

#endif /* LLMOS_KERNELS_CHUNK_AVX2_H */
