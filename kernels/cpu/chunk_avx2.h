/* SPDX-License-Identifier: MIT */
/*
 * Eight blocks of 32 weights in registers, turned like struct act8: lane b of every vector belongs
 * to block b. Blocks behind the end of a row read as zeros that are not the row's.
 */
#ifndef LLMOS_KERNELS_CHUNK_AVX2_H
#define LLMOS_KERNELS_CHUNK_AVX2_H

#include "kernels/cpu/act.h"
#include "kernels/cpu/chunk.h"
#include "kernels/cpu/simd_avx2.h"
#include "kernels/half.h"
#include "kernels/tables.h"

#define CHUNK_BLOCKS	8

/**
 * struct chunk - eight blocks
 * @q: q[j] is elements 4 * j to 4 * j + 3; unsigned with a zero point, or signed; of Q2_K, the
 *	products with the scales of the halves
 * @d: scales; of Q6_K, those of the first halves of the blocks
 * @m: minima, if the type has them; of Q2_K, their scales; of Q6_K, the scales of the second halves
 * @s: only there if the type has halves: pairs of 16 bits, the scales of the first and the second
 *	half of each block, of Q2_K their minima
 */
struct chunk {
	__m256i q[8];
	__m256 d;
	__m256 m;
	__m256i s;
};

/* chunks lie one behind the other, without what their type does not have */
KERN_INLINE uint32_t chunk_stride(enum kern_type type)
{
	return type_has_halves(type) ? sizeof(struct chunk) : offsetof(struct chunk, s);
}

/** chunk_at() - the @i-th behind @chunks */
KERN_INLINE struct chunk *chunk_at(enum kern_type type, const void *chunks, size_t i)
{
	return (struct chunk *)((uint8_t *)(uintptr_t)chunks + i * chunk_stride(type));
}

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

/* bit b of byte i is bit @place of element i of block b */
KERN_INLINE void add_bits_k(struct chunk *c, const uint8_t *bits, int place)
{
	const __m256i shift = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	for (int j = 0; j < 8; j++) {
		__m256i v = _mm256_set1_epi32(load_i32(bits + j * 4));

		v = _mm256_and_si256(_mm256_srlv_epi32(v, shift), _mm256_set1_epi8(1));
		c->q[j] = _mm256_or_si256(c->q[j], _mm256_slli_epi16(v, place));
	}
}

KERN_INLINE __m256 broadcast_half(const uint8_t *p)
{
	return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(kern_load_u16(p))));
}

/* each half of the superblock is four blocks; block b takes bit pair b */
KERN_INLINE void decode_pairs_k(struct chunk *c, const uint8_t *quants)
{
	const __m256i shift = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);

	for (int half = 0; half < 2; half++, quants += 16) {
		__m256i p = load_pair(quants, quants + 32), *out = c->q + half * 4;

		out[0] = _mm256_shuffle_epi32(p, 0x00);
		out[1] = _mm256_shuffle_epi32(p, 0x55);
		out[2] = _mm256_shuffle_epi32(p, 0xaa);
		out[3] = _mm256_shuffle_epi32(p, 0xff);
		for (int j = 0; j < 4; j++)
			out[j] = _mm256_and_si256(_mm256_srlv_epi32(out[j], shift),
						  _mm256_set1_epi8(3));
	}
}

/* bytes are multiplied two at a time: no product reaches into the next byte */
KERN_INLINE void decode_q2_k(struct chunk *c, const uint8_t *block)
{
	__m128i s = _mm_loadu_si128((const __m128i *)block), nibble = _mm_set1_epi8(0xf);
	__m256i scales = _mm256_cvtepu8_epi16(_mm_and_si128(s, nibble));
	__m256i low = _mm256_and_si256(scales, _mm256_set1_epi32(0xffff));
	__m256i high = _mm256_srli_epi32(scales, 16);

	low = _mm256_or_si256(low, _mm256_slli_epi32(low, 16));
	high = _mm256_or_si256(high, _mm256_slli_epi32(high, 16));
	decode_pairs_k(c, block + 16);
	for (int j = 0; j < 4; j++) {
		c->q[j] = _mm256_mullo_epi16(c->q[j], low);
		c->q[j + 4] = _mm256_mullo_epi16(c->q[j + 4], high);
	}
	c->s = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(s, 4), nibble));
	c->d = broadcast_half(block + 80);
	c->m = broadcast_half(block + 82);
}

KERN_INLINE void decode_q3_k(struct chunk *c, const uint8_t *block)
{
	uint32_t s[4];
	__m128i scales;

	decode_pairs_k(c, block + 32);
	add_bits_k(c, block, 2);
	unpack_scales_q3_k(s, block + 96);
	scales = _mm_setr_epi32((int)s[0], (int)s[1], (int)s[2], (int)s[3]);
	c->s = _mm256_cvtepi8_epi16(_mm_sub_epi8(scales, _mm_set1_epi8(32)));
	c->d = broadcast_half(block + 108);
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
	d = broadcast_half(block + 208);
	c->m = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_srai_epi32(s, 8)));
	s = _mm256_srai_epi32(_mm256_slli_epi32(s, 24), 24);
	c->d = _mm256_mul_ps(d, _mm256_cvtepi32_ps(s));
}

/* nibbles number the entries of a table */
KERN_INLINE void look_up(struct chunk *c, __m128i table)
{
	const __m256i entries = _mm256_broadcastsi128_si256(table);

	for (int j = 0; j < 8; j++)
		c->q[j] = _mm256_shuffle_epi8(entries, c->q[j]);
}

KERN_INLINE __m128i table_iq4(void)
{
	return _mm_load_si128((const __m128i *)kern_table_iq4);
}

KERN_INLINE __m128i table_mxfp4(void)
{
	return _mm_add_epi8(_mm_load_si128((const __m128i *)kern_table_mxfp4),
			    _mm_set1_epi8(ZERO_MXFP4));
}

KERN_INLINE void decode_iq4_xs(struct chunk *c, const uint8_t *block)
{
	__m256i low = _mm256_srlv_epi32(_mm256_set1_epi32(load_i32(block + 4)),
					_mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
	__m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(kern_load_u16(block + 2)),
					 _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));

	decode_nibbles(c, block + 8, 16, 0, CHUNK_BLOCKS);
	look_up(c, table_iq4());
	low = _mm256_and_si256(low, _mm256_set1_epi32(0xf));
	high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
	low = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
	c->d = _mm256_mul_ps(broadcast_half(block), _mm256_cvtepi32_ps(low));
}

/* 2^(e - 128), for the least two no normal numbers */
KERN_INLINE __m256 exponents_to_floats(__m256i e)
{
	__m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
	__m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);

	return _mm256_castsi256_ps(_mm256_blendv_epi8(
		normal, tiny, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
}

KERN_INLINE void decode_mxfp4(struct chunk *c, const uint8_t *blocks, uint32_t left)
{
	int e[8];

	for (int i = 0; i < 8; i++)
		e[i] = *block_at(blocks, 17, i, left);
	decode_nibbles(c, blocks, 17, 1, left);
	look_up(c, table_mxfp4());
	c->d = exponents_to_floats(
		_mm256_setr_epi32(e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]));
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
	case KERN_IQ4_NL:
		decode_nibbles(c, blocks, 18, 2, left);
		look_up(c, table_iq4());
		c->d = gather_half(blocks, 18, left);
		break;
	case KERN_MXFP4:
		decode_mxfp4(c, blocks, left);
		break;
	case KERN_IQ4_XS:
		decode_iq4_xs(c, blocks);
		break;
	case KERN_Q2_K:
		decode_q2_k(c, blocks);
		break;
	case KERN_Q3_K:
		decode_q3_k(c, blocks);
		break;
	case KERN_Q4_K:
		decode_nibbles_k(c, blocks + 16);
		decode_scales_k(c, blocks);
		break;
	case KERN_Q5_K:
		decode_nibbles_k(c, blocks + 48);
		add_bits_k(c, blocks + 16, 4);
		decode_scales_k(c, blocks);
		break;
	default:
		decode_q6_k(c, blocks);
		break;
	}
}

#endif /* LLMOS_KERNELS_CHUNK_AVX2_H */
