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
};

static const struct shape shapes[KERN_TYPE_COUNT] = {
	[KERN_Q8_0] = {32, 0, 512, 34},	   [KERN_Q4_0] = {32, 0, 256, 18},
	[KERN_IQ4_NL] = {32, 0, 256, 18},  [KERN_Q4_1] = {64, 0, 256, 20},
	[KERN_Q5_0] = {32, 0, 320, 22},	   [KERN_Q5_1] = {64, 0, 320, 24},
	[KERN_Q4_K] = {0, 256, 256, 144},  [KERN_Q5_K] = {0, 256, 320, 176},
	[KERN_Q6_K] = {0, 288, 384, 210},
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

static size_t whole_lines(size_t bytes)
{
	return (bytes + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

static size_t scales_bytes(const struct shape *s, uint32_t blocks)
{
	return whole_lines((size_t)s->block_scales * blocks + s->chunk_scales);
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
	return blocks / BLOCKS * chunk_bytes(s, BLOCKS) +
		(blocks % BLOCKS ? chunk_bytes(s, blocks % BLOCKS) : 0);
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

static void put_fifth(uint8_t *bits, const uint32_t g[8])
{
	uint32_t v = 0;

	for (int j = 0; j < 8; j++)
		v |= (g[j] >> 4 & LOW_BITS) << j;
	store32(bits, v);
}

static void get_fifth(const uint8_t *bits, uint32_t g[8])
{
	const uint32_t v = load32(bits);

	for (int j = 0; j < 8; j++)
		g[j] |= (v >> j & LOW_BITS) << 4;
}

static void put_pairs(uint8_t *bits, const uint32_t g[8])
{
	for (int h = 0; h < 2; h++) {
		uint32_t v = 0;

		for (int j = 0; j < 4; j++)
			v |= (g[4 * h + j] >> 4 & LOW_PAIRS) << 2 * j;
		store32(bits + 64 * h, v);
	}
}

static void get_pairs(const uint8_t *bits, uint32_t g[8])
{
	for (int h = 0; h < 2; h++) {
		const uint32_t v = load32(bits + 64 * h);

		for (int j = 0; j < 4; j++)
			g[4 * h + j] |= (v >> 2 * j & LOW_PAIRS) << 4;
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

/* bit b of byte i: element i of block b */
static void read_fifth_k(const uint8_t *p, uint32_t b, uint32_t g[8])
{
	for (int j = 0; j < 8; j++)
		g[j] |= (load32(p + 4 * j) >> b & LOW_BITS) << 4;
}

static void write_fifth_k(uint8_t *p, uint32_t b, const uint32_t g[8])
{
	for (int j = 0; j < 8; j++)
		store32(p + 4 * j, (load32(p + 4 * j) & ~(LOW_BITS << b)) |
					   (g[j] >> 4 & LOW_BITS) << b);
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

/* block b of a type without superblocks: F16 before the rest, fifth bits, then nibbles */
static void pack_block(uint32_t type, const struct place *to, uint32_t b, const uint8_t *from)
{
	const struct shape *s = &shapes[type];
	uint8_t *quants = to->quants + s->quants * b;
	uint32_t g[8];

	memcpy(to->scales + s->block_scales * b + 2 * to->lane, from, 2);
	from += 2;
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
		put_fifth(quants + 256, g);
	}
	put_nibbles(quants, g);
}

static void unpack_block(uint32_t type, const struct place *from, uint32_t b, uint8_t *to)
{
	const struct shape *s = &shapes[type];
	const uint8_t *quants = from->quants + s->quants * b;
	uint32_t g[8];

	memcpy(to, from->scales + s->block_scales * b + 2 * from->lane, 2);
	to += 2;
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
		get_fifth(quants + 256, g);
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
			read_fifth_k(from + 16, b, g);
			put_fifth(quants + 256, g);
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
			get_fifth(quants + 256, g);
			write_fifth_k(to + 16, b, g);
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
		put_pairs(quants + 256, g);
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
		get_pairs(quants + 256, g);
		write_q6_k(to, b, g);
	}
}

static void pack_chunk(uint32_t type, const struct place *to, const uint8_t *from, uint32_t blocks)
{
	const struct shape *s = &shapes[type];

	if (type == KERN_Q6_K)
		pack_q6_k(to, from);
	else if (s->chunk_scales)
		pack_super(type, to, from);
	else
		for (uint32_t b = 0; b < blocks; b++)
			pack_block(type, to, b, from + s->file_block * b);
}

static void unpack_chunk(uint32_t type, const struct place *from, uint8_t *to, uint32_t blocks)
{
	const struct shape *s = &shapes[type];

	if (type == KERN_Q6_K)
		unpack_q6_k(from, to);
	else if (s->chunk_scales)
		unpack_super(type, from, to);
	else
		for (uint32_t b = 0; b < blocks; b++)
			unpack_block(type, from, b, to + s->file_block * b);
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
