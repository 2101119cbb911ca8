// SPDX-License-Identifier: MIT
/*
 * The table for AVX-512 with VNNI, which multiplies bytes: the quantised products, the rest as with
 * AVX-512.
 */
#include "kernels/cpu/ops_avx512vnni.h"

const struct kern_ops kern_ops_avx512vnni =
	KERN_OPS_VNNI("avx512vnni", KERN_FLOATS(f16), KERN_FLOATS(bf16), KERN_PANEL_VNNI);
