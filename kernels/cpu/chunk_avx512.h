/* SPDX-License-Identifier: MIT */
/*
 * Eight blocks of 32 weights of each of two rows in registers, turned like struct act8: lanes 0 to
 * 7 belong to the blocks of the first row, lanes 8 to 15 to those of the second. Nothing is read
 * behind the last block of a row: masked lanes do not fault.
 */
#ifndef LLMOS_KERNELS_CHUNK_AVX512_H
#define LLMOS_KERNELS_CHUNK_AVX512_H

#include "kernels/cpu/act.h"
#include "kernels/cpu/chunk.h"
#include "kernels/cpu/simd_avx512.h"
#include "kernels/half.h"
#include "kernels/tables.h"

#define CHUNK_BLOCKS	8
#define DOT_PAIRS	2	/* of rows that one tile has at most */
#define DOT_TOKENS	4

/**
 * struct chunk - eight blocks of two rows
 * @q: q[j] is elements 4 * j to 4 * j + 3; unsigned with a zero point, or signed as the dot wants
 *	it; of Q2_K, the products with the scales of the halves
 * @d: scales; of Q6_K, those of the first halves of the blocks
 * @m: minima, if the type has them; of Q2_K, their scales; of Q6_K, the scales of the second halves
 * @s: only there if the type has halves: pairs of 16 bits, the scales of the first and the second
 *	half of each block, of Q2_K their minima
 */
struct chunk {
	__m512i q[8];
	__m512 d;
	__m512 m;
	__m512i s;
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

/* how a chunk's dot product wants what is signed, in dot_*.h */
KERN_INLINE __m512i dot_ready(__m512i v);

/** load_twice() - 32 bytes in both halves: the same activations for both rows */
KERN_INLINE __m512i load_twice(const void *p)
{
	return _mm512_broadcast_i64x4(_mm256_load_si256(p));
}

static const uint8_t chunk_zeros[48];	/* more than any block of 32 */

/* where block i of a chunk lies */
KERN_INLINE const uint8_t *block_at(const uint8_t *blocks, uint32_t bytes, int i, uint32_t left)
{
	return (uint32_t)i < left ? blocks + (size_t)i * bytes : chunk_zeros;
}

KERN_INLINE __m128i load16(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

/* quarters of 16 bytes */
KERN_INLINE __m512i load_quarters(const uint8_t *a, const uint8_t *b, const uint8_t *c,
				  const uint8_t *d)
{
	__m512i v = _mm512_castsi128_si512(load16(a));

	v = _mm512_inserti32x4(v, load16(b), 1);
	v = _mm512_inserti32x4(v, load16(c), 2);
	return _mm512_inserti32x4(v, load16(d), 3);
}

/* in each quarter of the vectors, z[j] becomes dword j of x[0] to x[3] */
KERN_INLINE void turn(__m512i z[4], const __m512i x[4])
{
	__m512i t[4];

	t[0] = _mm512_unpacklo_epi32(x[0], x[1]);
	t[1] = _mm512_unpackhi_epi32(x[0], x[1]);
	t[2] = _mm512_unpacklo_epi32(x[2], x[3]);
	t[3] = _mm512_unpackhi_epi32(x[2], x[3]);
	z[0] = _mm512_unpacklo_epi64(t[0], t[2]);
	z[1] = _mm512_unpackhi_epi64(t[0], t[2]);
	z[2] = _mm512_unpacklo_epi64(t[1], t[3]);
	z[3] = _mm512_unpackhi_epi64(t[1], t[3]);
}

/* z[j]: dword j of 16 bytes at @offset in each block */
KERN_INLINE void gather16(__m512i z[4], const uint8_t *const rows[2], uint32_t bytes,
			  uint32_t offset, uint32_t left)
{
	__m512i x[4];

	for (int i = 0; i < 4; i++)
		x[i] = load_quarters(block_at(rows[0], bytes, i, left) + offset,
				     block_at(rows[0], bytes, i + 4, left) + offset,
				     block_at(rows[1], bytes, i, left) + offset,
				     block_at(rows[1], bytes, i + 4, left) + offset);
	turn(z, x);
}

/*
 * One word (or dword) of each of eight blocks: @stride lanes apart they lie at different places
 * modulo the length of a vector, so loads at its distance, each with the lanes that are wanted,
 * leave all of them in one vector, and those of the second row, @skew lanes further, between them.
 */
KERN_INLINE unsigned __int128 lanes_of(uint32_t stride, uint32_t skew, uint32_t left)
{
	unsigned __int128 lanes = 0;

	for (uint32_t i = 0; i < CHUNK_BLOCKS; i++)
		lanes |= (unsigned __int128)(i < left) << (i * stride + skew);
	return lanes;
}

KERN_INLINE __m512i pick_words(__m512i v, const uint8_t *p, uint32_t stride, uint32_t skew,
			       uint32_t left)
{
	const unsigned __int128 lanes = lanes_of(stride, skew, left);
	const uintptr_t base = (uintptr_t)p - 2 * skew;

	for (uint32_t k = 0; k <= (7 * stride + skew) / 32; k++)
		v = _mm512_mask_loadu_epi16(v, (uint32_t)(lanes >> 32 * k),
					    (const void *)(base + 64 * k));
	return v;
}

KERN_INLINE __m512i pick_dwords(__m512i v, const uint8_t *p, uint32_t stride, uint32_t skew,
				uint32_t left)
{
	const unsigned __int128 lanes = lanes_of(stride, skew, left);
	const uintptr_t base = (uintptr_t)p - 4 * skew;

	for (uint32_t k = 0; k <= (7 * stride + skew) / 16; k++)
		v = _mm512_mask_loadu_epi32(v, (uint16_t)(lanes >> 16 * k),
					    (const void *)(base + 64 * k));
	return v;
}

KERN_INLINE __m512i pick_bytes(__m512i v, const uint8_t *p, uint32_t stride, uint32_t skew,
			       uint32_t left)
{
	const unsigned __int128 lanes = lanes_of(stride, skew, left);
	const uintptr_t base = (uintptr_t)p - skew;

	for (uint32_t k = 0; k <= (7 * stride + skew) / 64; k++)
		v = _mm512_mask_loadu_epi8(v, (uint64_t)(lanes >> 64 * k),
					   (const void *)(base + 64 * k));
	return v;
}

/* the first byte of blocks of 17: the words they are in, then their halves of those */
KERN_INLINE __m512i gather1(const uint8_t *const rows[2], uint32_t left)
{
	__m512i v = _mm512_setzero_si512();
	__m256i words;

#define AT(b, skew)	(((b) * 17 + (skew)) % 64)
#define WORDS(skew)                                                                                \
	AT(0, skew) / 2, AT(1, skew) / 2, AT(2, skew) / 2, AT(3, skew) / 2, AT(4, skew) / 2,       \
		AT(5, skew) / 2, AT(6, skew) / 2, AT(7, skew) / 2
#define SHIFTS(skew)                                                                               \
	AT(0, skew) % 2 * 8, AT(1, skew) % 2 * 8, AT(2, skew) % 2 * 8, AT(3, skew) % 2 * 8,        \
		AT(4, skew) % 2 * 8, AT(5, skew) % 2 * 8, AT(6, skew) % 2 * 8, AT(7, skew) % 2 * 8
	const __m256i index = _mm256_setr_epi16(WORDS(0), WORDS(1));
	const __m256i shift = _mm256_setr_epi16(SHIFTS(0), SHIFTS(1));
#undef SHIFTS
#undef WORDS
#undef AT
	v = pick_bytes(v, rows[0], 17, 0, left);
	v = pick_bytes(v, rows[1], 17, 1, left);
	words = _mm512_castsi512_si256(
		_mm512_permutexvar_epi16(_mm512_castsi256_si512(index), v));
	words = _mm256_and_si256(_mm256_srlv_epi16(words, shift), _mm256_set1_epi16(0xff));
	return _mm512_cvtepu16_epi32(words);
}

/* 16 bits at @offset in blocks of 9, 11 or 17 words */
KERN_INLINE __m256i gather2(const uint8_t *const rows[2], uint32_t bytes, uint32_t offset,
			    uint32_t left)
{
	const uint32_t stride = bytes / 2, skew = bytes == 18 ? 2 : bytes == 22 ? 3 : 1;
	__m512i v = _mm512_setzero_si512();

#define AT(b)	(short)((b) * stride % 32)
#define NEXT(b) (short)(((b) * stride + skew) % 32)
	const __m256i index = _mm256_setr_epi16(AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6),
						AT(7), NEXT(0), NEXT(1), NEXT(2), NEXT(3), NEXT(4),
						NEXT(5), NEXT(6), NEXT(7));
#undef AT
#undef NEXT
	v = pick_words(v, rows[0] + offset, stride, 0, left);
	v = pick_words(v, rows[1] + offset, stride, skew, left);
	return _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_castsi256_si512(index), v));
}

/* 32 bits at @offset in blocks of 5 or 6 dwords */
KERN_INLINE __m512i gather4(const uint8_t *const rows[2], uint32_t bytes, uint32_t offset,
			    uint32_t left)
{
	const uint32_t stride = bytes / 4, skew = bytes == 20 ? 8 : 1;
	__m512i v = _mm512_setzero_si512();

#define AT(b)	(int)((b) * stride % 16)
#define NEXT(b) (int)(((b) * stride + skew) % 16)
	const __m512i index = _mm512_setr_epi32(AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6),
						AT(7), NEXT(0), NEXT(1), NEXT(2), NEXT(3), NEXT(4),
						NEXT(5), NEXT(6), NEXT(7));
#undef AT
#undef NEXT
	v = pick_dwords(v, rows[0] + offset, stride, 0, left);
	v = pick_dwords(v, rows[1] + offset, stride, skew, left);
	return _mm512_permutexvar_epi32(index, v);
}

/* the F16 at the start of each block */
KERN_INLINE __m512 gather_half(const uint8_t *const rows[2], uint32_t bytes, uint32_t left)
{
	return _mm512_cvtph_ps(gather2(rows, bytes, 0, left));
}

/* the two F16 at the start of each block */
KERN_INLINE void gather_halves(struct chunk *c, const uint8_t *const rows[2], uint32_t bytes,
			       uint32_t left)
{
	__m512i v = gather4(rows, bytes, 0, left);

	c->d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
	c->m = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
}

KERN_INLINE __m512i low_nibbles(__m512i v)
{
	return _mm512_and_si512(v, _mm512_set1_epi8(0xf));
}

KERN_INLINE void decode_nibbles(struct chunk *c, const uint8_t *const rows[2], uint32_t bytes,
				uint32_t offset, uint32_t left)
{
	__m512i z[4];

	gather16(z, rows, bytes, offset, left);
	for (int j = 0; j < 4; j++) {
		c->q[j] = low_nibbles(z[j]);
		c->q[j + 4] = low_nibbles(_mm512_srli_epi16(z[j], 4));
	}
}

/* bits 4 * j to 4 * j + 3 of a block's 32 are the fifth bits of its elements in q[j] */
KERN_INLINE void add_fifth_bits(struct chunk *c, __m512i bits)
{
	const __m128i lane = _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);

	for (int j = 0; j < 8; j++) {
		const __m512i pick = _mm512_broadcast_i32x4(
			_mm_add_epi8(lane, _mm_set1_epi8((char)(j / 2))));
		const __m512i bit = _mm512_set1_epi32(j % 2 ? (int)0x80402010 : 0x08040201);
		__mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, pick), bit);

		c->q[j] = _mm512_mask_add_epi8(c->q[j], set, c->q[j], _mm512_set1_epi8(0x10));
	}
}

KERN_INLINE void decode_q5_0(struct chunk *c, const uint8_t *const rows[2], uint32_t left)
{
	__m512i low = _mm512_cvtepu16_epi32(gather2(rows, 22, 2, left));
	__m512i high = _mm512_cvtepu16_epi32(gather2(rows, 22, 4, left));

	decode_nibbles(c, rows, 22, 6, left);
	add_fifth_bits(c, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
	c->d = gather_half(rows, 22, left);
}

KERN_INLINE void decode_q8_0(struct chunk *c, const uint8_t *const rows[2], uint32_t left)
{
	gather16(c->q, rows, 34, 2, left);
	gather16(c->q + 4, rows, 34, 18, left);
	for (int j = 0; j < 8; j++)
		c->q[j] = dot_ready(c->q[j]);
	c->d = gather_half(rows, 34, left);
}

/* an F16 of each row in its half */
KERN_INLINE __m512 load_halves(const uint8_t *a, const uint8_t *b)
{
	__m128 v = _mm_cvtph_ps(
		_mm_cvtsi32_si128((int)(kern_load_u16(a) | (uint32_t)kern_load_u16(b) << 16)));

	return _mm512_permutexvar_ps(
		_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1),
		_mm512_castps128_ps512(v));
}

/* of Q4_K and Q5_K: 12 bytes hold 8 scales and 8 minima of 6 bits; minima follow scales here */
KERN_INLINE __m128i unpack_scales_k(const uint8_t *p)
{
	uint32_t s[3];

	memcpy(s, p, sizeof(s));
	return _mm_setr_epi32((int)(s[0] & 0x3f3f3f3f),
			      (int)((s[2] & 0x0f0f0f0f) | (s[0] >> 2 & 0x30303030)),
			      (int)(s[1] & 0x3f3f3f3f),
			      (int)((s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 2 & 0x30303030)));
}

KERN_INLINE void decode_scales_k(struct chunk *c, const uint8_t *const rows[2])
{
	__m128i a = unpack_scales_k(rows[0] + 4), b = unpack_scales_k(rows[1] + 4);
	__m512 d = load_halves(rows[0], rows[1]);
	__m512 dmin = load_halves(rows[0] + 2, rows[1] + 2);

	dmin = _mm512_xor_ps(dmin, _mm512_set1_ps(-0.0f));
	c->d = _mm512_mul_ps(
		d, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_unpacklo_epi64(a, b))));
	c->m = _mm512_mul_ps(
		dmin, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_unpackhi_epi64(a, b))));
}

/* the same dword of two neighbouring blocks, whose nibbles are its low and high ones */
#define TWICE(p, q, j)                                                                             \
	_mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(p), _mm512_castsi512_ps(q),      \
					      (j) * 0x55))

KERN_INLINE void decode_nibbles_k(struct chunk *c, const uint8_t *const rows[2], uint32_t offset)
{
	const __m512i shift = _mm512_set1_epi64((int64_t)4 << 32);

	for (int half = 0; half < 2; half++) {
		const uint8_t *a = rows[0] + offset + half * 16, *b = rows[1] + offset + half * 16;
		__m512i p = load_quarters(a, a + 64, b, b + 64);
		__m512i q = load_quarters(a + 32, a + 96, b + 32, b + 96);
		__m512i *out = c->q + half * 4;

		out[0] = TWICE(p, q, 0);
		out[1] = TWICE(p, q, 1);
		out[2] = TWICE(p, q, 2);
		out[3] = TWICE(p, q, 3);
		for (int j = 0; j < 4; j++)
			out[j] = low_nibbles(_mm512_srlv_epi32(out[j], shift));
	}
}

#define SAME(h, j)	_mm512_shuffle_epi32(h, (_MM_PERM_ENUM)((j) * 0x55))

/* bit b of byte i is bit @place of element i of block b */
KERN_INLINE void add_bits_k(struct chunk *c, const uint8_t *const rows[2], uint32_t offset,
			    int place)
{
	/* from bit b to it; counts are modulo 32 */
	const __m512i rotate = _mm512_sub_epi32(
		_mm512_set1_epi32(place),
		_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7));
	const __m512i mask = _mm512_set1_epi8((char)(1 << place));

	for (int half = 0; half < 2; half++) {
		const uint8_t *a = rows[0] + offset + half * 16, *b = rows[1] + offset + half * 16;
		__m512i v = load_quarters(a, a, b, b);
		__m512i bits[4] = {SAME(v, 0), SAME(v, 1), SAME(v, 2), SAME(v, 3)};

		for (int j = 0; j < 4; j++)
			/* q | (bits & mask) */
			c->q[half * 4 + j] = _mm512_ternarylogic_epi32(
				c->q[half * 4 + j], _mm512_rolv_epi32(bits[j], rotate), mask, 0xf8);
	}
}

/* each half of the superblock is four blocks; block b takes bit pair b */
KERN_INLINE void decode_pairs_k(struct chunk *c, const uint8_t *const rows[2], uint32_t offset)
{
	const __m512i shift = _mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6);

	for (int half = 0; half < 2; half++) {
		const uint8_t *a = rows[0] + offset + half * 16, *b = rows[1] + offset + half * 16;
		__m512i p = load_quarters(a, a + 32, b, b + 32);
		__m512i *out = c->q + half * 4;

		out[0] = SAME(p, 0);
		out[1] = SAME(p, 1);
		out[2] = SAME(p, 2);
		out[3] = SAME(p, 3);
		for (int j = 0; j < 4; j++)
			out[j] = _mm512_and_si512(_mm512_srlv_epi32(out[j], shift),
						  _mm512_set1_epi8(3));
	}
}

/* bytes are multiplied two at a time: no product reaches into the next byte */
KERN_INLINE void decode_q2_k(struct chunk *c, const uint8_t *const rows[2])
{
	__m256i s = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(rows[0])),
					    load16(rows[1]), 1);
	__m256i nibble = _mm256_set1_epi8(0xf);
	__m512i scales = _mm512_cvtepu8_epi16(_mm256_and_si256(s, nibble));
	__m512i low = _mm512_and_si512(scales, _mm512_set1_epi32(0xffff));
	__m512i high = _mm512_srli_epi32(scales, 16);

	low = _mm512_or_si512(low, _mm512_slli_epi32(low, 16));
	high = _mm512_or_si512(high, _mm512_slli_epi32(high, 16));
	decode_pairs_k(c, rows, 16);
	for (int j = 0; j < 4; j++) {
		c->q[j] = _mm512_mullo_epi16(c->q[j], low);
		c->q[j + 4] = _mm512_mullo_epi16(c->q[j + 4], high);
	}
	c->s = _mm512_cvtepu8_epi16(_mm256_and_si256(_mm256_srli_epi16(s, 4), nibble));
	c->d = load_halves(rows[0] + 80, rows[1] + 80);
	c->m = load_halves(rows[0] + 82, rows[1] + 82);
}

KERN_INLINE void decode_q3_k(struct chunk *c, const uint8_t *const rows[2])
{
	uint32_t s[8];
	__m256i scales;

	decode_pairs_k(c, rows, 32);
	add_bits_k(c, rows, 0, 2);
	unpack_scales_q3_k(s, rows[0] + 96);
	unpack_scales_q3_k(s + 4, rows[1] + 96);
	scales = _mm256_setr_epi32((int)s[0], (int)s[1], (int)s[2], (int)s[3], (int)s[4],
				   (int)s[5], (int)s[6], (int)s[7]);
	c->s = _mm512_cvtepi8_epi16(_mm256_sub_epi8(scales, _mm256_set1_epi8(32)));
	c->d = load_halves(rows[0] + 108, rows[1] + 108);
}

KERN_INLINE void decode_scales_q6_k(struct chunk *c, const uint8_t *const rows[2])
{
	__m512i s = _mm512_cvtepi16_epi32(_mm256_inserti128_si256(
		_mm256_castsi128_si256(load16(rows[0] + 192)), load16(rows[1] + 192), 1));
	__m512 d = load_halves(rows[0] + 208, rows[1] + 208);

	c->m = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_srai_epi32(s, 8)));
	s = _mm512_srai_epi32(_mm512_slli_epi32(s, 24), 24);
	c->d = _mm512_mul_ps(d, _mm512_cvtepi32_ps(s));
}

/* low four bits of @low, and @high's above them */
KERN_INLINE __m512i join_q6_k(__m512i low, __m512i high)
{
	/* a | (b & c) */
	return _mm512_ternarylogic_epi32(low_nibbles(low), high, _mm512_set1_epi8(0x30), 0xf8);
}

/* each half of the superblock is four blocks; block b takes nibble b / 2 and bit pair b */
KERN_INLINE void decode_q6_k(struct chunk *c, const uint8_t *const rows[2])
{
	for (int half = 0; half < 2; half++) {
		const uint8_t *a = rows[0] + half * 16, *b = rows[1] + half * 16;
		__m512i p = load_quarters(a, a + 64, b, b + 64);
		__m512i q = load_quarters(a + 32, a + 96, b + 32, b + 96);
		__m512i h = load_quarters(a + 128, a + 160, b + 128, b + 160), x[4];

		x[0] = join_q6_k(p, _mm512_slli_epi16(h, 4));
		x[1] = join_q6_k(q, _mm512_slli_epi16(h, 2));
		x[2] = join_q6_k(_mm512_srli_epi16(p, 4), h);
		x[3] = join_q6_k(_mm512_srli_epi16(q, 4), _mm512_srli_epi16(h, 2));
		turn(c->q + half * 4, x);
	}
	decode_scales_q6_k(c, rows);
}

/* nibbles number the entries of a table */
KERN_INLINE void look_up(struct chunk *c, __m512i table)
{
	for (int j = 0; j < 8; j++)
		c->q[j] = _mm512_shuffle_epi8(table, c->q[j]);
}

KERN_INLINE __m512i table_iq4(void)
{
	return dot_ready(_mm512_broadcast_i32x4(
		_mm_load_si128((const __m128i *)kern_table_iq4)));
}

KERN_INLINE __m512i table_mxfp4(void)
{
	return _mm512_add_epi8(_mm512_broadcast_i32x4(
				       _mm_load_si128((const __m128i *)kern_table_mxfp4)),
			       _mm512_set1_epi8(ZERO_MXFP4));
}

/* @a in the lower half, @b in the upper */
KERN_INLINE __m512i two_words(uint32_t a, uint32_t b)
{
	return _mm512_inserti64x4(_mm512_set1_epi32((int)a), _mm256_set1_epi32((int)b), 1);
}

KERN_INLINE uint32_t load_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

KERN_INLINE void decode_iq4_xs(struct chunk *c, const uint8_t *const rows[2])
{
	const uint8_t *const quants[2] = {rows[0] + 8, rows[1] + 8};
	__m512i low = two_words(load_u32(rows[0] + 4), load_u32(rows[1] + 4));
	__m512i high = two_words(kern_load_u16(rows[0] + 2), kern_load_u16(rows[1] + 2));

	decode_nibbles(c, quants, 16, 0, CHUNK_BLOCKS);
	look_up(c, table_iq4());
	low = _mm512_srlv_epi32(low, _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12,
						       16, 20, 24, 28));
	high = _mm512_srlv_epi32(high, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8,
							 10, 12, 14));
	low = _mm512_and_si512(low, _mm512_set1_epi32(0xf));
	high = _mm512_slli_epi32(_mm512_and_si512(high, _mm512_set1_epi32(3)), 4);
	low = _mm512_sub_epi32(_mm512_or_si512(low, high), _mm512_set1_epi32(32));
	c->d = _mm512_mul_ps(load_halves(rows[0], rows[1]), _mm512_cvtepi32_ps(low));
}

/**
 * chunk_decode() - eight blocks, or one superblock, of two rows
 * @type: known when this is compiled
 * @rows: first bytes
 * @left: blocks of 32 from there to the end of the rows; CHUNK_BLOCKS where it is a constant
 */
KERN_INLINE void chunk_decode(enum kern_type type, struct chunk *c, const uint8_t *const rows[2],
			      uint32_t left)
{
	switch (type) {
	case KERN_Q8_0:
		decode_q8_0(c, rows, left);
		break;
	case KERN_Q4_0:
		decode_nibbles(c, rows, 18, 2, left);
		c->d = gather_half(rows, 18, left);
		break;
	case KERN_Q4_1:
		decode_nibbles(c, rows, 20, 4, left);
		gather_halves(c, rows, 20, left);
		break;
	case KERN_Q5_0:
		decode_q5_0(c, rows, left);
		break;
	case KERN_Q5_1:
		decode_nibbles(c, rows, 24, 8, left);
		add_fifth_bits(c, gather4(rows, 24, 4, left));
		gather_halves(c, rows, 24, left);
		break;
	case KERN_IQ4_NL:
		decode_nibbles(c, rows, 18, 2, left);
		look_up(c, table_iq4());
		c->d = gather_half(rows, 18, left);
		break;
	case KERN_MXFP4:
		decode_nibbles(c, rows, 17, 1, left);
		look_up(c, table_mxfp4());
		c->d = exponents_to_floats(gather1(rows, left));
		break;
	case KERN_IQ4_XS:
		decode_iq4_xs(c, rows);
		break;
	case KERN_Q2_K:
		decode_q2_k(c, rows);
		break;
	case KERN_Q3_K:
		decode_q3_k(c, rows);
		break;
	case KERN_Q4_K:
		decode_nibbles_k(c, rows, 16);
		decode_scales_k(c, rows);
		break;
	case KERN_Q5_K:
		decode_nibbles_k(c, rows, 48);
		add_bits_k(c, rows, 16, 4);
		decode_scales_k(c, rows);
		break;
	default:
		decode_q6_k(c, rows);
		break;
	}
}

#endif /* LLMOS_KERNELS_CHUNK_AVX512_H */
