/* SPDX-License-Identifier: MIT */
/*
 * Packed weights: panels of 16 rows, so that lane r of every vector belongs to row r and nothing
 * has to be added across. A matrix is rows / 16 panels, rounded up, one behind the other; rows that
 * are not there have scales and quants of zero. Nothing is lost: a row can be had back as the bytes
 * that it was packed from, and a panel is as long as its 16 rows were (Q6_K: 0.95 % more), rounded
 * up to whole cache lines, and so is each chunk (but those of Q3_K, to half of one).
 *
 * A panel is cut into chunks of up to eight blocks of 32 columns: all have eight but the last one
 * of a type without superblocks. In a chunk of n blocks there stand, rounded up to 64 bytes:
 *
 *   type		scales						quants of a block
 *   Q8_0		n x 16 F16 d					512
 *   Q4_0, IQ4_NL	n x 16 F16 d					256
 *   Q4_1		n x (16 F16 d, 16 F16 m)			256
 *   Q5_0		n x 16 F16 d					256 + 64
 *   Q5_1		n x (16 F16 d, 16 F16 m)			256 + 64
 *   Q4_K		16 F16 d, 16 F16 dmin, 12 x 16 bytes		256
 *   Q5_K		16 F16 d, 16 F16 dmin, 12 x 16 bytes		256 + 64
 *   Q6_K		16 x 16 int8, 16 F16 d				256 + 128
 *   Q2_K		4 x 16 dwords, 16 F16 d, 16 F16 dmin		128
 *   Q3_K		3 x 16 dwords, 16 F16 d				128 + 64
 *   IQ4_XS		16 dwords, 16 F16 d, 16 x 16 bits		256
 *   MXFP4		n x 16 bytes					256
 *
 * first all scales of the chunk, then the quants of its blocks, one block behind the other. Where
 * 16 of something stand together, the r-th is row r's. The 12 bytes are those of the type's own
 * superblock, in its order; Q6_K's scales likewise (2 * b and 2 * b + 1 belong to the halves of
 * block b). Dwords are four bytes of a superblock's scales, as the file has them; of IQ4_XS the low
 * bits, and behind d the high ones.
 *
 * Quants are dwords: dword r of a vector of 64 bytes is four columns of row r. Group j of a block
 * is its columns 4 * j to 4 * j + 3; byte 4 * r + i of a group belongs to column 4 * j + i.
 *
 *   512 bytes: vector j is group j, 0 to 7, each byte plus 128: unsigned
 *   256 bytes: vector j has group j in its low nibbles and group j + 4 in its high ones
 *   64 bytes behind them: bit j of a byte is the fifth bit of group j
 *   128 bytes behind them: bits 2 * j and 2 * j + 1 of a byte of the first vector are the two high
 *	bits of group j, those of the second vector of group j + 4
 *   128 bytes alone: the same with the two low bits; 64 bytes behind them: bit j of a byte is the
 *	third bit of group j
 *
 * All quants are unsigned, 0 to 2^bits - 1, and their zero point is the type's (of IQ4_NL, IQ4_XS
 * and MXFP4 they number the entries of a table): eight vectors, unpacked, are what VPDPBUSD
 * multiplies with a broadcast dword of activations, and as they lie the rows of an AMX tile for
 * TDPBSUD, B of 32 columns for 16 outputs.
 *
 * Activations for panels are struct act_plain: plain rows of int8, an A tile as they lie.
 */
#ifndef LLMOS_KERNELS_PANEL_H
#define LLMOS_KERNELS_PANEL_H

#include "kernels/kernels.h"

#define KERN_PANEL_ROWS		16
#define KERN_PANEL_BLOCKS	8	/* of 32 columns, of a chunk at most */
#define KERN_PANEL_VERSION	1	/* of the layout: kept with panels that are kept */

/**
 * struct act_plain - eight blocks of 32 activations of one token, as in struct act8 but for their
 *	order
 * @q: from -127 to 127, in the order of the columns; zero behind the last
 * @d: scales of the blocks
 * @s: d times the sum of q
 * @neg: minus the sum of q
 * @neg_halves: minus the sums of the first and of the last 16 q
 */
struct act_plain {
	int8_t q[256];
	float d[8];
	float s[8];
	int32_t neg[8];
	int16_t neg_halves[8][2];
};

/**
 * kern_for_each_panel(X) - X(lower, UPPER) for every type that can be packed
 */
#define kern_for_each_panel(X)                                                                     \
	X(q8_0, Q8_0)                                                                              \
	X(q4_0, Q4_0)                                                                              \
	X(q4_1, Q4_1)                                                                              \
	X(q5_0, Q5_0)                                                                              \
	X(q5_1, Q5_1)                                                                              \
	X(q4_k, Q4_K)                                                                              \
	X(q5_k, Q5_K)                                                                              \
	X(q6_k, Q6_K)                                                                              \
	X(iq4_nl, IQ4_NL)                                                                          \
	X(q2_k, Q2_K)                                                                              \
	X(q3_k, Q3_K)                                                                              \
	X(iq4_xs, IQ4_XS)                                                                          \
	X(mxfp4, MXFP4)

/** kern_panel_has() - can this type be packed? */
bool kern_panel_has(uint32_t type);

/**
 * kern_panel_bytes() - of one panel of a type that can be packed
 * @cols: whole blocks of the type, at least one
 *
 * Return: a multiple of KERN_ALIGN; 0: the type can't be packed.
 */
size_t kern_panel_bytes(uint32_t type, uint32_t cols);

/** kern_panel_count() - panels of a matrix of so many rows */
static inline uint32_t kern_panel_count(uint32_t rows)
{
	return rows / KERN_PANEL_ROWS + !!(rows % KERN_PANEL_ROWS);
}

/**
 * kern_panel_pack() - panels [begin, end) of a matrix
 * @data: panel 0, aligned to KERN_ALIGN; those of the range are written, whatever they held
 * @w: rows as a file has them
 */
void kern_panel_pack(uint32_t type, void *data, const struct kern_weights *w, uint32_t begin,
		     uint32_t end);

/**
 * kern_panel_unpack_row() - the bytes that a row was packed from
 * @row: out, kern_row_bytes() of @cols
 * @w: packed: row_bytes is a sixteenth of kern_panel_bytes()
 */
void kern_panel_unpack_row(uint32_t type, void *row, const struct kern_weights *w, uint32_t index);

/** kern_panel_dequant_row() - row @index of packed weights to float32, (cols) */
void kern_panel_dequant_row(uint32_t type, float *y, const struct kern_weights *w, uint32_t index);

#endif /* LLMOS_KERNELS_PANEL_H */
