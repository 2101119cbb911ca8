// SPDX-License-Identifier: MIT
/*
 * Weight types and tables of operations: what there is, and which of them a machine runs.
 */
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/machine.h"

#define TYPE(type_name, elems, bytes)                                                              \
	{                                                                                          \
		.name = type_name, .block_elems = elems, .block_bytes = bytes,                     \
	}

static const struct kern_type_info types[KERN_TYPE_COUNT] = {
	[KERN_F32] = TYPE("F32", 1, 4),	       [KERN_F16] = TYPE("F16", 1, 2),
	[KERN_BF16] = TYPE("BF16", 1, 2),      [KERN_Q8_0] = TYPE("Q8_0", 32, 34),
	[KERN_Q4_0] = TYPE("Q4_0", 32, 18),    [KERN_Q4_1] = TYPE("Q4_1", 32, 20),
	[KERN_Q5_0] = TYPE("Q5_0", 32, 22),    [KERN_Q5_1] = TYPE("Q5_1", 32, 24),
	[KERN_Q2_K] = TYPE("Q2_K", 256, 84),   [KERN_Q3_K] = TYPE("Q3_K", 256, 110),
	[KERN_Q4_K] = TYPE("Q4_K", 256, 144),  [KERN_Q5_K] = TYPE("Q5_K", 256, 176),
	[KERN_Q6_K] = TYPE("Q6_K", 256, 210),  [KERN_IQ4_NL] = TYPE("IQ4_NL", 32, 18),
	[KERN_IQ4_XS] = TYPE("IQ4_XS", 256, 136), [KERN_MXFP4] = TYPE("MXFP4", 32, 17),
};

const struct kern_type_info *kern_type_info(uint32_t type)
{
	return type < KERN_TYPE_COUNT && types[type].name ? &types[type] : NULL;
}

static bool machine_any(const struct kern_machine *m)
{
	(void)m;
	return true;
}

/* from the worst to the best */
static const struct {
	const struct kern_ops *ops;
	bool (*runs_on)(const struct kern_machine *machine);
} tables[] = {
	{&kern_ops_ref, machine_any},
	{&kern_ops_avx2, kern_machine_has_avx2},
	{&kern_ops_avx512, kern_machine_has_avx512},
	{&kern_ops_avx512vnni, kern_machine_has_avx512vnni},
	{&kern_ops_avx512bf16, kern_machine_has_avx512bf16},
	{&kern_ops_amx, kern_machine_has_amx},
};

const struct kern_ops *kern_ops_on(const struct kern_machine *machine, const char *isa)
{
	for (size_t i = sizeof(tables) / sizeof(tables[0]); i-- > 0;)
		if ((!isa || !strcmp(isa, tables[i].ops->name)) && tables[i].runs_on(machine))
			return tables[i].ops;
	return NULL;
}

const struct kern_ops *kern_ops_get(const char *isa)
{
	struct kern_machine machine;

	kern_machine_ask(&machine);
	if ((!isa || !strcmp(isa, kern_ops_amx.name)) && kern_machine_has_tiles(&machine))
		kern_machine_permit_tiles(&machine);
	return kern_ops_on(&machine, isa);
}
