// SPDX-License-Identifier: MIT
/*
 * Weight types and instruction sets: what there is, and what this machine may run. A set counts
 * only if the processor has it (CPUID) and the system saves its registers (XCR0).
 */
#include <cpuid.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

#define XCR0_SSE_AVX	0x06
#define XCR0_AVX512	0xe6	/* and opmask, the upper halves, the upper sixteen */

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

/* what the processor has and the operating system saves */
struct machine {
	uint32_t leaf1_ecx;
	uint32_t leaf7_ebx;
	uint32_t leaf7_ecx;
	uint64_t xcr0;
};

static void machine_ask(struct machine *ret)
{
	uint32_t eax, ebx, ecx, edx;

	memset(ret, 0, sizeof(*ret));
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return;
	ret->leaf1_ecx = ecx;
	if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
		ret->leaf7_ebx = ebx;
		ret->leaf7_ecx = ecx;
	}
	if (ret->leaf1_ecx & bit_OSXSAVE) {
		__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
		ret->xcr0 = (uint64_t)edx << 32 | eax;
	}
}

static bool has(uint64_t value, uint64_t bits)
{
	return (value & bits) == bits;
}

static bool machine_avx2(const struct machine *m)
{
	return has(m->xcr0, XCR0_SSE_AVX) && has(m->leaf7_ebx, bit_AVX2) &&
	       has(m->leaf1_ecx, bit_AVX | bit_FMA | bit_F16C);
}

static bool machine_avx512(const struct machine *m)
{
	return machine_avx2(m) && has(m->xcr0, XCR0_AVX512) &&
	       has(m->leaf7_ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
}

static bool machine_avx512vnni(const struct machine *m)
{
	return machine_avx512(m) && has(m->leaf7_ecx, bit_AVX512VNNI);
}

static bool machine_any(const struct machine *m)
{
	(void)m;
	return true;
}

/* from the worst to the best */
static const struct {
	const struct kern_ops *ops;
	bool (*runs_on)(const struct machine *machine);
} tables[] = {
	{&kern_ops_ref, machine_any},
	{&kern_ops_avx2, machine_avx2},
	{&kern_ops_avx512, machine_avx512},
	{&kern_ops_avx512vnni, machine_avx512vnni},
};

const struct kern_ops *kern_ops_get(const char *isa)
{
	struct machine machine;

	machine_ask(&machine);
	for (size_t i = sizeof(tables) / sizeof(tables[0]); i-- > 0;)
		if ((!isa || !strcmp(isa, tables[i].ops->name)) && tables[i].runs_on(&machine))
			return tables[i].ops;
	return NULL;
}
