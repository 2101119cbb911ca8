/* SPDX-License-Identifier: MIT */
/*
 * The shapes of tiles, as the processor wants to be told them: palette 1, eight tiles of at most
 * 16 rows of 64 bytes.
 */
#ifndef LLMOS_KERNELS_AMX_CONFIG_H
#define LLMOS_KERNELS_AMX_CONFIG_H

#include <stdint.h>

#define AMX_TILES	8
#define AMX_ROWS	16
#define AMX_ROW_BYTES	64
#define AMX_PALETTE	1

/**
 * struct amx_config - the 64 bytes that LDTILECFG reads; what is not named is zero
 * @palette: AMX_PALETTE
 * @start_row: where an interrupted load or store goes on, 0
 * @row_bytes: of each tile, a multiple of 4 where it is multiplied; 0: it is not used
 * @rows: of each tile
 */
struct amx_config {
	uint8_t palette;
	uint8_t start_row;
	uint8_t reserved[14];
	uint16_t row_bytes[AMX_TILES];
	uint16_t reserved_row_bytes[8];
	uint8_t rows[AMX_TILES];
	uint8_t reserved_rows[8];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct amx_config) == 64, "LDTILECFG reads 64 bytes");

#endif /* LLMOS_KERNELS_AMX_CONFIG_H */
