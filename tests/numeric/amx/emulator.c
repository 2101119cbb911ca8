// SPDX-License-Identifier: MIT
/*
 * The emulated tiles. Floats are multiplied with the processor's own FMA, MXCSR set for the time to
 * what the instruction implies: nearest even, subnormal numbers are zero.
 */
#include "tests/numeric/amx/emulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

#include "kernels/half.h"

#define MXCSR_TILES	0x9fc0	/* exceptions masked, flush to zero, subnormals are zero */

/** struct tile - rows and what they hold; bytes and rows behind its shape are zero */
struct tile {
	uint8_t row[AMX_ROWS][AMX_ROW_BYTES];
};

static _Thread_local struct {
	bool in_use;
	unsigned long dots;
	struct amx_config config;
	struct tile tiles[AMX_TILES];
} state;

static void fault(const char *instruction, const char *why)
{
	fprintf(stderr, "# emulated tiles: %s: %s\n", instruction, why);
	abort();
}

static bool is_zero(const void *p, size_t bytes)
{
	const uint8_t *b = p;

	while (bytes && !*b)
		b++, bytes--;
	return !bytes;
}

/* ---- shapes ---- */

const char *amx_emulator_config_error(const struct amx_config *c)
{
	if (!c->palette)
		return NULL;	/* as TILERELEASE */
	if (c->palette != AMX_PALETTE)
		return "there is no such palette";
	if (!is_zero(c->reserved, sizeof(c->reserved)) ||
	    !is_zero(c->reserved_row_bytes, sizeof(c->reserved_row_bytes)) ||
	    !is_zero(c->reserved_rows, sizeof(c->reserved_rows)))
		return "something reserved is not zero";
	for (int i = 0; i < AMX_TILES; i++) {
		if (c->rows[i] > AMX_ROWS || c->row_bytes[i] > AMX_ROW_BYTES)
			return "a tile is too great";
		if (!c->rows[i] != !c->row_bytes[i])
			return "a tile has rows or columns, but not both";
	}
	return NULL;
}

void amx_emulate_configure(const struct amx_config *config)
{
	const char *error = amx_emulator_config_error(config);

	if (error)
		fault("LDTILECFG", error);
	if (config->start_row)
		fault("LDTILECFG", "a start row is legal, but not emulated");
	memset(state.tiles, 0, sizeof(state.tiles));
	state.config = *config;
	state.in_use = config->palette;
}

void amx_emulate_release(void)
{
	memset(state.tiles, 0, sizeof(state.tiles));
	memset(&state.config, 0, sizeof(state.config));
	state.in_use = false;
}

bool amx_emulator_in_use(void)
{
	return state.in_use;
}

unsigned long amx_emulator_dots(void)
{
	return state.dots;
}

static const char *tile_error(int tile)
{
	if (!state.in_use)
		return "tiles are not configured";
	if (tile < 0 || tile >= AMX_TILES || !state.config.rows[tile])
		return "the tile is not configured";
	return NULL;
}

static void need_tile(const char *instruction, int tile)
{
	const char *error = tile_error(tile);

	if (error)
		fault(instruction, error);
}

const char *amx_emulator_dot_error(int c, int a, int b)
{
	const struct amx_config *f = &state.config;

	if (tile_error(c) || tile_error(a) || tile_error(b))
		return "a tile is not configured";
	if (c == a || c == b || a == b)
		return "two tiles are the same";
	if (f->row_bytes[c] % 4 || f->row_bytes[a] % 4 || f->row_bytes[b] % 4)
		return "a row is no whole number of elements";
	if (f->rows[c] != f->rows[a] || f->row_bytes[c] != f->row_bytes[b] ||
	    f->row_bytes[a] / 4 != f->rows[b])
		return "the shapes do not match";
	return NULL;
}

static void dot_begin(const char *instruction, int c, int a, int b)
{
	const char *error = amx_emulator_dot_error(c, a, b);

	if (error)
		fault(instruction, error);
	state.dots++;
}

/* ---- moves ---- */

void amx_emulate_zero(int tile)
{
	need_tile("TILEZERO", tile);
	memset(&state.tiles[tile], 0, sizeof(state.tiles[tile]));
}

void amx_emulate_load(int tile, const void *p, size_t stride)
{
	need_tile("TILELOADD", tile);
	memset(&state.tiles[tile], 0, sizeof(state.tiles[tile]));
	for (size_t i = 0; i < state.config.rows[tile]; i++)
		memcpy(state.tiles[tile].row[i], (const uint8_t *)p + i * stride,
		       state.config.row_bytes[tile]);
}

void amx_emulate_store(int tile, void *p, size_t stride)
{
	need_tile("TILESTORED", tile);
	for (size_t i = 0; i < state.config.rows[tile]; i++)
		memcpy((uint8_t *)p + i * stride, state.tiles[tile].row[i],
		       state.config.row_bytes[tile]);
}

/* ---- products ---- */

/* the elements of a row of pairs of BF16: those at @odd of each pair, as float32 */
static void bf16_of_pairs(float *ret, const uint8_t *row, int odd)
{
	uint32_t pairs[AMX_ROW_BYTES / 4];

	memcpy(pairs, row, sizeof(pairs));
	for (int n = 0; n < AMX_ROW_BYTES / 4; n++) {
		uint32_t bits = odd ? pairs[n] & 0xffff0000 : pairs[n] << 16;

		memcpy(&ret[n], &bits, sizeof(bits));
	}
}

/*
 * One row of c. Columns that c does not have are computed as well: zeros. Not inlined, so that the
 * arithmetic stays where MXCSR is set for it.
 */
static __attribute__((noinline)) void dot_row_bf16(uint8_t *c, const uint8_t *a,
						   const struct tile *b, int pairs)
{
	float even[AMX_ROW_BYTES / 4] = {0}, odd[AMX_ROW_BYTES / 4] = {0};
	float sums[AMX_ROW_BYTES / 4], values[AMX_ROW_BYTES / 4];

	for (int k = 0; k < pairs; k++) {
		const float a0 = kern_bf16_to_float(kern_load_u16(a + 4 * k));
		const float a1 = kern_bf16_to_float(kern_load_u16(a + 4 * k + 2));

		bf16_of_pairs(values, b->row[k], 0);
		for (int n = 0; n < AMX_ROW_BYTES / 4; n++)
			even[n] = __builtin_fmaf(a0, values[n], even[n]);
		bf16_of_pairs(values, b->row[k], 1);
		for (int n = 0; n < AMX_ROW_BYTES / 4; n++)
			odd[n] = __builtin_fmaf(a1, values[n], odd[n]);
	}
	memcpy(sums, c, sizeof(sums));
	for (int n = 0; n < AMX_ROW_BYTES / 4; n++)
		sums[n] += even[n] + odd[n];
	memcpy(c, sums, sizeof(sums));
}

/* zeros times what is not finite are not zero: what is behind the shape of c is cleared */
static void clear_behind(struct tile *t, int tile)
{
	for (int m = 0; m < state.config.rows[tile]; m++)
		memset(t->row[m] + state.config.row_bytes[tile], 0,
		       (size_t)(AMX_ROW_BYTES - state.config.row_bytes[tile]));
}

void amx_emulate_dot_bf16(int c, int a, int b)
{
	const unsigned int mxcsr = _mm_getcsr();

	dot_begin("TDPBF16PS", c, a, b);
	_mm_setcsr(MXCSR_TILES);
	for (int m = 0; m < state.config.rows[c]; m++)
		dot_row_bf16(state.tiles[c].row[m], state.tiles[a].row[m], &state.tiles[b],
			     state.config.row_bytes[a] / 4);
	_mm_setcsr(mxcsr);
	clear_behind(&state.tiles[c], c);
}

/* sums wrap around */
static void dot_int8(int c, int a, int b, bool unsigned_b)
{
	for (int m = 0; m < state.config.rows[c]; m++) {
		for (int n = 0; n < state.config.row_bytes[c] / 4; n++) {
			uint8_t *at = state.tiles[c].row[m] + 4 * n;
			uint32_t sum;

			memcpy(&sum, at, sizeof(sum));
			for (int k = 0; k < state.config.row_bytes[a]; k++) {
				uint8_t y = state.tiles[b].row[k / 4][4 * n + k % 4];
				int x = (int8_t)state.tiles[a].row[m][k];

				sum += (uint32_t)(x * (unsigned_b ? y : (int8_t)y));
			}
			memcpy(at, &sum, sizeof(sum));
		}
	}
}

void amx_emulate_dot_s8(int c, int a, int b)
{
	dot_begin("TDPBSSD", c, a, b);
	dot_int8(c, a, b, false);
}

void amx_emulate_dot_s8u8(int c, int a, int b)
{
	dot_begin("TDPBSUD", c, a, b);
	dot_int8(c, a, b, true);
}
