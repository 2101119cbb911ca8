// SPDX-License-Identifier: MIT
/*
 * Weight types and instruction sets: what there is, and what this machine may run. A set counts
 * only if the processor has it (CPUID) and the system saves its registers (XCR0).
 */
#include <string.h>

#include "kernels/ref/ref.h"

#define TYPE(type_name, elems, bytes)                                                              \
	{                                                                                          \
		.name = type_name, .block_elems = elems, .block_bytes = bytes,                     \
	}

static const struct kern_type_info types[KERN_TYPE_COUNT] = {
	[KERN_F32] = TYPE("F32", 1, 4),	       [KERN_F16] = TYPE("F16", 1, 2),
	[KERN_BF16] = TYPE("BF16", 1, 2),      [KERN_Q8_0] = TYPE("Q8_0", 32, 34),
	[KERN_Q4_0] = TYPE("Q4_0", 32, 18),    [KERN_Q4_1] = TYPE("Q4_1", 32, 20),
	[KERN_Q5_0] = TYPE("Q5_0", 32, 22),    [KERN_Q5_1] = TYPE("Q5_1", 32, 24),
	[KERN_Q4_K] = TYPE("Q4_K", 256, 144),  [KERN_Q5_K] = TYPE("Q5_K", 256, 176),
	[KERN_Q6_K] = TYPE("Q6_K", 256, 210),
};

const struct kern_type_info *kern_type_info(uint32_t type)
{
	return type < KERN_TYPE_COUNT && types[type].name ? &types[type] : NULL;
}

const struct kern_ops *kern_ops_get(const char *isa)
{
	if (!isa || !strcmp(isa, "ref"))
		return &kern_ops_ref;
	return NULL;
}
