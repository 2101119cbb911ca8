/* SPDX-License-Identifier: MIT */
/*
 * Tiles in software, for machines that have none: stands in for kernels/cpu/amx.h in a second
 * compilation of the kernels. What an instruction does is taken from its operation in the Software
 * Developer's Manual. Where the processor would raise an exception the program ends with a message.
 * Each thread has tiles of its own.
 */
#ifndef LLMOS_KERNELS_AMX_H
#define LLMOS_KERNELS_AMX_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/cpu/amx_config.h"

#define amx_configure(config)		amx_emulate_configure(config)
#define amx_release()			amx_emulate_release()
#define amx_zero(tile)			amx_emulate_zero(tile)
#define amx_load(tile, p, stride)	amx_emulate_load(tile, p, stride)
#define amx_store(tile, p, stride)	amx_emulate_store(tile, p, stride)
#define amx_dot_bf16(c, a, b)		amx_emulate_dot_bf16(c, a, b)
#define amx_dot_s8(c, a, b)		amx_emulate_dot_s8(c, a, b)
#define amx_dot_s8u8(c, a, b)		amx_emulate_dot_s8u8(c, a, b)

void amx_emulate_configure(const struct amx_config *config);
void amx_emulate_release(void);
void amx_emulate_zero(int tile);
void amx_emulate_load(int tile, const void *p, size_t stride);
void amx_emulate_store(int tile, void *p, size_t stride);
void amx_emulate_dot_bf16(int c, int a, int b);
void amx_emulate_dot_s8(int c, int a, int b);
void amx_emulate_dot_s8u8(int c, int a, int b);

/** amx_emulator_config_error() - why LDTILECFG would raise an exception; NULL: it would not */
const char *amx_emulator_config_error(const struct amx_config *config);

/** amx_emulator_dot_error() - why a multiplication would, with the shapes that are configured */
const char *amx_emulator_dot_error(int c, int a, int b);

/** amx_emulator_in_use() - tiles are configured */
bool amx_emulator_in_use(void);

/** amx_emulator_dots() - multiplications of this thread so far */
unsigned long amx_emulator_dots(void);

#endif /* LLMOS_KERNELS_AMX_H */
