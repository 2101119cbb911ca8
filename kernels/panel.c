// SPDX-License-Identifier: MIT
/*
 * Between rows as files have them and panels: see panel.h. Four bytes of a row stay together all
 * the way, so all of this is arithmetic of dwords, and each type's two directions stand side by
 * side.
 */
#include "kernels/panel.h"

#include <string.h>

#include "kernels/half.h"
#include "kernels/ref/ref.h"

#define LANES		KERN_PANEL_ROWS
#define BLOCKS		KERN_PANEL_BLOCKS
#define BLOCK_COLS	32
#define LOW_NIBBLES	0x0f0f0f0fu
#define LOW_BITS	0x01010101u
#define LOW_PAIRS	0x03030303u
#define SIGN_BITS	0x80808080u

/* struct shape - bytes of a panel's parts, per block of 32 columns unless it says otherwise */
struct shape {
	uint16_t block_scales;		/* 16 rows, of one block */
	uint16_t chunk_scales;		/* 16 rows, of a whole chunk: types with superblocks */
	uint16_t quants;
	uint16_t file_block;		/* of a row in the file, or of its superblock */
	uint16_t scale_unit;		/* what scales are rounded up to */
};

static const struct shape shapes[KERN_TYPE_COUNT] = {
	[KERN_Q8_0] = {32, 0, 512, 34, KERN_ALIGN},
	[KERN_Q4_0] = {32, 0, 256, 18, KERN_ALIGN},
	[KERN_Q4_1] = {64, 0, 256, 20, KERN_ALIGN},
	[KERN_Q5_0] = {32, 0, 320, 22, KERN_ALIGN},
	[KERN_Q5_1] = {64, 0, 320, 24, KERN_ALIGN},
	[KERN_Q2_K] = {0, 320, 128, 84, KERN_ALIGN},
	[KERN_Q3_K] = {0, 224, 192, 110, KERN_ALIGN / 2},
	[KERN_Q4_K] = {0, 256, 256, 144, KERN_ALIGN},
	[KERN_Q5_K] = {0, 256, 320, 176, KERN_ALIGN},
	[KERN_Q6_K] = {0, 288, 384, 210, KERN_ALIGN},
	[KERN_IQ4_NL] = {32, 0, 256, 18, KERN_ALIGN},
	[KERN_IQ4_XS] = {0, 128, 256, 136, KERN_ALIGN},
	[KERN_MXFP4] = {16, 0, 256, 17, KERN_ALIGN},
};

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void store32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static size_t scales_bytes(const struct shape *s, uint32_t blocks)
{
	return round_up((size_t)s->block_scales * blocks + s->chunk_scales, s->scale_unit);
}

static size_t chunk_bytes(const struct shape *s, uint32_t blocks)
{
	return scales_bytes(s, blocks) + (size_t)s->quants * blocks;
}

/* of so many blocks in a file's row */
static size_t file_bytes(const struct shape *s, uint32_t blocks)
{
	return (size_t)s->file_block * (s->chunk_scales ? blocks / BLOCKS : blocks);
}

bool kern_panel_has(uint32_t type)
{
	return type < KERN_TYPE_COUNT && shapes[type].quants;
}

size_t kern_panel_bytes(uint32_t type, uint32_t cols)
{
	const uint32_t blocks = cols / BLOCK_COLS;
	const struct shape *s;

	if (!kern_panel_has(type))
		return 0;
	s = &shapes[type];
	return round_up(blocks / BLOCKS * chunk_bytes(s, BLOCKS) +
				(blocks % BLOCKS ? chunk_bytes(s, blocks % BLOCKS) : 0),
			KERN_ALIGN);
}

/* ---- dwords of quants: g[j] is group j of a block, each byte a number ---- */

static void put_bytes(uint8_t *quants, const uint32_t g[8])
{
	for (int j = 0; j < 8; j++)
		store32(quants + 64 * j, g[j] ^ SIGN_BITS);
}

static void get_bytes(const uint8_t *quants, uint32_t g[8])
{
	for (int j = 0; j < 8; j++)
		g[j] = load32(quants + 64 * j) ^ SIGN_BITS;
}

static void put_nibbles(uint8_t *quants, const uint32_t g[8])
{
	for (int j = 0; j < 4; j++)
		store32(quants + 64 * j, (g[j] & LOW_NIBBLES) | (g[j + 4] & LOW_NIBBLES) << 4);
}

static void get_nibbles(const uint8_t *quants, uint32_t g[8])
{
	for (int j = 0; j < 4; j++) {
		uint32_t v = load32(quants + 64 * j);

		g[j] = v & LOW_NIBBLES;
		g[j + 4] = v >> 4 & LOW_NIBBLES;
	}
}

/* a plane of bits: the one at @place of each number */
static void put_bits(uint8_t *bits, const uint32_t g[8], uint32_t place)
{
	uint32_t v = 0;

	for (int j = 0; j < 8; j++)
		v |= (g[j] >> place & LOW_BITS) << j;
	store32(bits, v);
}

static void get_bits(const uint8_t *bits, uint32_t g[8], uint32_t place)
{
	const uint32_t v = load32(bits);

	for (int j = 0; j < 8; j++)
		g[j] |= (v >> j & LOW_BITS) << place;
}

/* a plane of pairs of bits: those from @place on */
static void put_pairs(uint8_t *bits, const uint32_t g[8], uint32_t place)
{
	for (int h = 0; h < 2; h++) {
		uint32_t v = 0;

		for (int j = 0; j < 4; j++)
			v |= (g[4 * h + j] >> place & LOW_PAIRS) << 2 * j;
		store32(bits + 64 * h, v);
	}
}

static void get_pairs(const uint8_t *bits, uint32_t g[8], uint32_t place)
{
	for (int h = 0; h < 2; h++) {
		const uint32_t v = load32(bits + 64 * h);

		for (int j = 0; j < 4; j++)
			g[4 * h + j] |= (v >> 2 * j & LOW_PAIRS) << place;
	}
}

/* ---- the same dwords as files have them ---- */

/* 16 bytes: groups j and j + 4 in the nibbles of dword j */
static void read_nibbles(const uint8_t *p, uint32_t g[8])
{
	for (int j = 0; j < 4; j++) {
		g[j] = load32(p + 4 * j) & LOW_NIBBLES;
		g[j + 4] = load32(p + 4 * j) >> 4 & LOW_NIBBLES;
	}
}

static void write_nibbles(uint8_t *p, const uint32_t g[8])
{
	for (int j = 0; j < 4; j++)
		store32(p + 4 * j, (g[j] & LOW_NIBBLES) | (g[j + 4] & LOW_NIBBLES) << 4);
}

/* bit i of 32 belongs to element i; the four of a group are spread to, and gathered from, bytes */
static void read_fifth(const uint8_t *p, uint32_t g[8])
{
	const uint32_t bits = load32(p);

	for (int j = 0; j < 8; j++)
		g[j] |= ((bits >> 4 * j & 0xf) * 0x00204081u & LOW_BITS) << 4;
}

static void write_fifth(uint8_t *p, const uint32_t g[8])
{
	uint32_t bits = 0;

	for (int j = 0; j < 8; j++)
		bits |= ((g[j] >> 4 & LOW_BITS) * 0x01020408u >> 24 & 0xf) << 4 * j;
	store32(p, bits);
}

/* block b of a superblock: 32 bytes for each two blocks, the low and the high nibbles */
static void read_nibbles_k(const uint8_t *p, uint32_t b, uint32_t g[8])
{
	for (int j = 0; j < 8; j++)
		g[j] = load32(p + b / 2 * 32 + 4 * j) >> b % 2 * 4 & LOW_NIBBLES;
}

static void write_nibbles_k(uint8_t *p, uint32_t b, const uint32_t g[8])
{
	for (int j = 0; j < 8; j++) {
		uint8_t *at = p + b / 2 * 32 + 4 * j;

		store32(at, (load32(at) & ~(LOW_NIBBLES << b % 2 * 4)) |
				    (g[j] & LOW_NIBBLES) << b % 2 * 4);
	}
}

/* bit b of byte i: bit @place of element i of block b */
static void read_bits_k(const uint8_t *p, uint32_t b, uint32_t g[8], uint32_t place)
{
	for (int j = 0; j < 8; j++)
		g[j] |= (load32(p + 4 * j) >> b & LOW_BITS) << place;
}

static void write_bits_k(uint8_t *p, uint32_t b, const uint32_t g[8], uint32_t place)
{
	for (int j = 0; j < 8; j++)
		store32(p + 4 * j, (load32(p + 4 * j) & ~(LOW_BITS << b)) |
					   (g[j] >> place & LOW_BITS) << b);
}

/* of Q2_K and Q3_K: each half of a superblock has four blocks, bit pair b of 32 bytes is block b */
static void read_pairs_k(const uint8_t *p, uint32_t b, uint32_t g[8])
{
	for (int j = 0; j < 8; j++)
		g[j] = load32(p + b / 4 * 32 + 4 * j) >> b % 4 * 2 & LOW_PAIRS;
}

static void write_pairs_k(uint8_t *p, uint32_t b, const uint32_t g[8])
{
	const uint32_t pair = b % 4 * 2;

	for (int j = 0; j < 8; j++) {
		uint8_t *at = p + b / 4 * 32 + 4 * j;

		store32(at, (load32(at) & ~(LOW_PAIRS << pair)) | (g[j] & LOW_PAIRS) << pair);
	}
}

/* of Q6_K: each half has four blocks, in 64 bytes of nibbles and 32 of bit pairs */
static void read_q6_k(const uint8_t *p, uint32_t b, uint32_t g[8])
{
	const uint8_t *low = p + b / 4 * 64 + b % 2 * 32, *high = p + 128 + b / 4 * 32;
	const uint32_t nibble = b % 4 / 2 * 4, pair = b % 4 * 2;

	for (int j = 0; j < 8; j++)
		g[j] = (load32(low + 4 * j) >> nibble & LOW_NIBBLES) |
			(load32(high + 4 * j) >> pair & LOW_PAIRS) << 4;
}

static void write_q6_k(uint8_t *p, uint32_t b, const uint32_t g[8])
{
	uint8_t *low = p + b / 4 * 64 + b % 2 * 32, *high = p + 128 + b / 4 * 32;
	const uint32_t nibble = b % 4 / 2 * 4, pair = b % 4 * 2;

	for (int j = 0; j < 8; j++) {
		store32(low + 4 * j, (load32(low + 4 * j) & ~(LOW_NIBBLES << nibble)) |
					     (g[j] & LOW_NIBBLES) << nibble);
		store32(high + 4 * j, (load32(high + 4 * j) & ~(LOW_PAIRS << pair)) |
					      (g[j] >> 4 & LOW_PAIRS) << pair);
	}
}

/* ---- one row of a chunk ---- */

/* struct place - where a row's parts of a chunk lie in the panel */
struct place {
	uint8_t *scales;
	uint8_t *quants;
	uint32_t lane;
};

static struct place place_of(const struct shape *s, uint8_t *chunk, uint32_t blocks, uint32_t lane)
{
	return (struct place){chunk, chunk + scales_bytes(s, blocks) + 4 * lane, lane};
}

/* of the first scale of a block: an F16, or an exponent */
static size_t scale_bytes(const struct shape *s)
{
	return s->block_scales == 16 ? 1 : 2;
}

/* block b of a type without superblocks: scales before the rest, fifth bits, then nibbles */
static void pack_block(uint32_t type, const struct place *to, uint32_t b, const uint8_t *from)
{
	const struct shape *s = &shapes[type];
	uint8_t *quants = to->quants + s->quants * b;
	uint32_t g[8];

	memcpy(to->scales + s->block_scales * b + scale_bytes(s) * to->lane, from, scale_bytes(s));
	from += scale_bytes(s);
	if (s->block_scales == 64) {
		memcpy(to->scales + s->block_scales * b + 32 + 2 * to->lane, from, 2);
		from += 2;
	}
	if (type == KERN_Q8_0) {
		memcpy(g, from, sizeof(g));
		put_bytes(quants, g);
		return;
	}
	read_nibbles(s->quants == 320 ? from + 4 : from, g);
	if (s->quants == 320) {
		read_fifth(from, g);
		put_bits(quants + 256, g, 4);
	}
	put_nibbles(quants, g);
}

static void unpack_block(uint32_t type, const struct place *from, uint32_t b, uint8_t *to)
{
	const struct shape *s = &shapes[type];
	const uint8_t *quants = from->quants + s->quants * b;
	uint32_t g[8];

	memcpy(to, from->scales + s->block_scales * b + scale_bytes(s) * from->lane,
	       scale_bytes(s));
	to += scale_bytes(s);
	if (s->block_scales == 64) {
		memcpy(to, from->scales + s->block_scales * b + 32 + 2 * from->lane, 2);
		to += 2;
	}
	if (type == KERN_Q8_0) {
		get_bytes(quants, g);
		memcpy(to, g, sizeof(g));
		return;
	}
	get_nibbles(quants, g);
	if (s->quants == 320) {
		get_bits(quants + 256, g, 4);
		write_fifth(to, g);
		to += 4;
	}
	write_nibbles(to, g);
}

/* a superblock of Q4_K or Q5_K: d, dmin, 12 bytes of scales, fifth bits, nibbles */
static void pack_super(uint32_t type, const struct place *to, const uint8_t *from)
{
	const struct shape *s = &shapes[type];

	memcpy(to->scales + 2 * to->lane, from, 2);
	memcpy(to->scales + 32 + 2 * to->lane, from + 2, 2);
	for (int i = 0; i < 12; i++)
		to->scales[64 + 16 * i + to->lane] = from[4 + i];
	for (uint32_t b = 0; b < BLOCKS; b++) {
		uint8_t *quants = to->quants + s->quants * b;
		uint32_t g[8];

		read_nibbles_k(from + (type == KERN_Q5_K ? 48 : 16), b, g);
		if (type == KERN_Q5_K) {
			read_bits_k(from + 16, b, g, 4);
			put_bits(quants + 256, g, 4);
		}
		put_nibbles(quants, g);
	}
}

static void unpack_super(uint32_t type, const struct place *from, uint8_t *to)
{
	const struct shape *s = &shapes[type];

	memset(to, 0, s->file_block);
	memcpy(to, from->scales + 2 * from->lane, 2);
	memcpy(to + 2, from->scales + 32 + 2 * from->lane, 2);
	for (int i = 0; i < 12; i++)
		to[4 + i] = from->scales[64 + 16 * i + from->lane];
	for (uint32_t b = 0; b < BLOCKS; b++) {
		const uint8_t *quants = from->quants + s->quants * b;
		uint32_t g[8];

		get_nibbles(quants, g);
		write_nibbles_k(to + (type == KERN_Q5_K ? 48 : 16), b, g);
		if (type == KERN_Q5_K) {
			get_bits(quants + 256, g, 4);
			write_bits_k(to + 16, b, g, 4);
		}
	}
}

/* 128 bytes of nibbles, 64 of bit pairs, 16 scales, d */
static void pack_q6_k(const struct place *to, const uint8_t *from)
{
	for (int i = 0; i < 16; i++)
		to->scales[16 * i + to->lane] = from[192 + i];
	memcpy(to->scales + 256 + 2 * to->lane, from + 208, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		uint8_t *quants = to->quants + shapes[KERN_Q6_K].quants * b;
		uint32_t g[8];

		read_q6_k(from, b, g);
		put_nibbles(quants, g);
		put_pairs(quants + 256, g, 4);
	}
}

static void unpack_q6_k(const struct place *from, uint8_t *to)
{
	memset(to, 0, shapes[KERN_Q6_K].file_block);
	for (int i = 0; i < 16; i++)
		to[192 + i] = from->scales[16 * i + from->lane];
	memcpy(to + 208, from->scales + 256 + 2 * from->lane, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		const uint8_t *quants = from->quants + shapes[KERN_Q6_K].quants * b;
		uint32_t g[8];

		get_nibbles(quants, g);
		get_pairs(quants + 256, g, 4);
		write_q6_k(to, b, g);
	}
}

/* @count dwords of scales */
static void pack_dwords(const struct place *to, const uint8_t *from, int count)
{
	for (int i = 0; i < count; i++)
		store32(to->scales + 64 * i + 4 * to->lane, load32(from + 4 * i));
}

static void unpack_dwords(const struct place *from, uint8_t *to, int count)
{
	for (int i = 0; i < count; i++)
		store32(to + 4 * i, load32(from->scales + 64 * i + 4 * from->lane));
}

/* 16 bytes of scales and minima, 64 of bit pairs, d, dmin */
static void pack_q2_k(const struct place *to, const uint8_t *from)
{
	pack_dwords(to, from, 4);
	memcpy(to->scales + 256 + 2 * to->lane, from + 80, 2);
	memcpy(to->scales + 288 + 2 * to->lane, from + 82, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		uint32_t g[8];

		read_pairs_k(from + 16, b, g);
		put_pairs(to->quants + shapes[KERN_Q2_K].quants * b, g, 0);
	}
}

static void unpack_q2_k(const struct place *from, uint8_t *to)
{
	memset(to, 0, shapes[KERN_Q2_K].file_block);
	unpack_dwords(from, to, 4);
	memcpy(to + 80, from->scales + 256 + 2 * from->lane, 2);
	memcpy(to + 82, from->scales + 288 + 2 * from->lane, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		uint32_t g[8] = {0};

		get_pairs(from->quants + shapes[KERN_Q2_K].quants * b, g, 0);
		write_pairs_k(to + 16, b, g);
	}
}

/* 32 bytes of third bits, 64 of bit pairs, 12 of scales, d */
static void pack_q3_k(const struct place *to, const uint8_t *from)
{
	pack_dwords(to, from + 96, 3);
	memcpy(to->scales + 192 + 2 * to->lane, from + 108, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		uint8_t *quants = to->quants + shapes[KERN_Q3_K].quants * b;
		uint32_t g[8];

		read_pairs_k(from + 32, b, g);
		read_bits_k(from, b, g, 2);
		put_pairs(quants, g, 0);
		put_bits(quants + 128, g, 2);
	}
}

static void unpack_q3_k(const struct place *from, uint8_t *to)
{
	memset(to, 0, shapes[KERN_Q3_K].file_block);
	unpack_dwords(from, to + 96, 3);
	memcpy(to + 108, from->scales + 192 + 2 * from->lane, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		const uint8_t *quants = from->quants + shapes[KERN_Q3_K].quants * b;
		uint32_t g[8] = {0};

		get_pairs(quants, g, 0);
		get_bits(quants + 128, g, 2);
		write_pairs_k(to + 32, b, g);
		write_bits_k(to, b, g, 2);
	}
}

/* d, 2 bytes of high bits of the scales, 4 of their low ones, nibbles */
static void pack_iq4_xs(const struct place *to, const uint8_t *from)
{
	pack_dwords(to, from + 4, 1);
	memcpy(to->scales + 64 + 2 * to->lane, from, 2);
	memcpy(to->scales + 96 + 2 * to->lane, from + 2, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		uint32_t g[8];

		read_nibbles(from + 8 + 16 * b, g);
		put_nibbles(to->quants + shapes[KERN_IQ4_XS].quants * b, g);
	}
}

static void unpack_iq4_xs(const struct place *from, uint8_t *to)
{
	unpack_dwords(from, to + 4, 1);
	memcpy(to, from->scales + 64 + 2 * from->lane, 2);
	memcpy(to + 2, from->scales + 96 + 2 * from->lane, 2);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		uint32_t g[8];

		get_nibbles(from->quants + shapes[KERN_IQ4_XS].quants * b, g);
		write_nibbles(to + 8 + 16 * b, g);
	}
}

static void pack_chunk(uint32_t type, const struct place *to, const uint8_t *from, uint32_t blocks)
{
	switch (type) {
	case KERN_Q2_K:
		pack_q2_k(to, from);
		break;
	case KERN_Q3_K:
		pack_q3_k(to, from);
		break;
	case KERN_Q4_K:
	case KERN_Q5_K:
		pack_super(type, to, from);
		break;
	case KERN_Q6_K:
		pack_q6_k(to, from);
		break;
	case KERN_IQ4_XS:
		pack_iq4_xs(to, from);
		break;
	default:
		for (uint32_t b = 0; b < blocks; b++)
			pack_block(type, to, b, from + shapes[type].file_block * b);
	}
}

static void unpack_chunk(uint32_t type, const struct place *from, uint8_t *to, uint32_t blocks)
{
	switch (type) {
	case KERN_Q2_K:
		unpack_q2_k(from, to);
		break;
	case KERN_Q3_K:
		unpack_q3_k(from, to);
		break;
	case KERN_Q4_K:
	case KERN_Q5_K:
		unpack_super(type, from, to);
		break;
	case KERN_Q6_K:
		unpack_q6_k(from, to);
		break;
	case KERN_IQ4_XS:
		unpack_iq4_xs(from, to);
		break;
	default:
		for (uint32_t b = 0; b < blocks; b++)
			unpack_block(type, from, b, to + shapes[type].file_block * b);
	}
}

/* ---- matrices ---- */

static uint32_t chunk_blocks(uint32_t blocks)
{
	return blocks < BLOCKS ? blocks : BLOCKS;
}

/* quants that are all zero, not what the file would call so: a scale of zero decides */
static void pack_panel(uint32_t type, uint8_t *panel, const struct kern_weights *w, uint32_t row)
{
	const uint32_t count = w->rows - row < LANES ? w->rows - row : LANES;
	const uint8_t *rows = (const uint8_t *)w->data + row * w->row_bytes;
	const uint8_t *end = panel + kern_panel_bytes(type, w->cols);
	const struct shape *s = &shapes[type];
	uint32_t n;

	for (uint32_t left = w->cols / BLOCK_COLS; left; left -= n) {
		n = chunk_blocks(left);
		if (count < LANES)
			memset(panel, 0, chunk_bytes(s, n));
		else	/* what a whole number of cache lines leaves over */
			memset(panel + (size_t)s->block_scales * n + s->chunk_scales, 0,
			       scales_bytes(s, n) - (size_t)s->block_scales * n - s->chunk_scales);
		for (uint32_t lane = 0; lane < count; lane++) {
			const struct place to = place_of(s, panel, n, lane);

			pack_chunk(type, &to, rows + lane * w->row_bytes, n);
		}
		panel += chunk_bytes(s, n);
		rows += file_bytes(s, n);
	}
	memset(panel, 0, (size_t)(end - panel));
}

void kern_panel_pack(uint32_t type, void *data, const struct kern_weights *w, uint32_t begin,
		     uint32_t end)
{
	const size_t bytes = kern_panel_bytes(type, w->cols);

	for (uint32_t i = begin; i < end; i++)
		pack_panel(type, (uint8_t *)data + i * bytes, w, i * LANES);
}

/* the panel that a row is in; only read through what place_of() gives */
static uint8_t *panel_of(const struct kern_weights *w, uint32_t index)
{
	return (uint8_t *)(uintptr_t)w->data + (size_t)(index / LANES) * LANES * w->row_bytes;
}

void kern_panel_unpack_row(uint32_t type, void *row, const struct kern_weights *w, uint32_t index)
{
	const struct shape *s = &shapes[type];
	uint8_t *panel = panel_of(w, index), *to = row;
	uint32_t n;

	for (uint32_t left = w->cols / BLOCK_COLS; left; left -= n) {
		struct place from;

		n = chunk_blocks(left);
		from = place_of(s, panel, n, index % LANES);
		unpack_chunk(type, &from, to, n);
		panel += chunk_bytes(s, n);
		to += file_bytes(s, n);
	}
}

void kern_panel_dequant_row(uint32_t type, float *y, const struct kern_weights *w, uint32_t index)
{
	const struct shape *s = &shapes[type];
	uint8_t blocks[8 * 34];		/* a chunk of the type that has the most bytes */
	uint8_t *panel = panel_of(w, index);
	uint32_t n;

	for (uint32_t left = w->cols / BLOCK_COLS; left; left -= n) {
		struct place from;

		n = chunk_blocks(left);
		from = place_of(s, panel, n, index % LANES);
		unpack_chunk(type, &from, blocks, n);
		kern_ops_ref.dequant_row[type](y, blocks, n * BLOCK_COLS);
		panel += chunk_bytes(s, n);
		y += n * BLOCK_COLS;
	}
}
