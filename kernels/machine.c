// SPDX-License-Identifier: MIT
/*
 * What this machine may run. A set counts only if the processor has it (CPUID) and the system saves
 * its registers (XCR0); tiles have to be asked for besides.
 */
#include "kernels/machine.h"

#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define XCR0_SSE_AVX	0x06
#define XCR0_AVX512	0xe6	/* and opmask, the upper halves, the upper sixteen */
#define XCR0_TILES	0x60000	/* their shapes and their contents */

/* names that cpuid.h of some compilers lacks */
#define LEAF7_EDX_AMX_BF16	(1U << 22)
#define LEAF7_EDX_AMX_TILE	(1U << 24)
#define LEAF7_EDX_AMX_INT8	(1U << 25)
#define LEAF7_1_EAX_AVX512BF16	(1U << 5)

#define LEAF_TILES	0x1d
#define PALETTE		1
#define TILE_BYTES	1024
#define TILE_ROW_BYTES	64
#define TILE_COUNT	8
#define TILE_ROWS	16

/* of asm/prctl.h and the kernel's documentation of XSTATE */
#define ARCH_REQ_XCOMP_PERM	0x1023
#define XFEATURE_XTILEDATA	18

static void ask_tiles(struct kern_machine *ret)
{
	uint32_t palettes, eax, ebx, ecx, edx;

	if (!__get_cpuid_count(LEAF_TILES, 0, &palettes, &ebx, &ecx, &edx) || palettes < PALETTE)
		return;
	__cpuid_count(LEAF_TILES, PALETTE, eax, ebx, ecx, edx);
	ret->palette_eax = eax;
	ret->palette_ebx = ebx;
	ret->palette_ecx = ecx;
}

void kern_machine_ask(struct kern_machine *ret)
{
	uint32_t eax, ebx, ecx, edx, subleaves;

	memset(ret, 0, sizeof(*ret));
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return;
	ret->leaf1_ecx = ecx;
	if (__get_cpuid_count(7, 0, &subleaves, &ebx, &ecx, &edx)) {
		ret->leaf7_ebx = ebx;
		ret->leaf7_ecx = ecx;
		ret->leaf7_edx = edx;
		if (subleaves >= 1) {
			__cpuid_count(7, 1, eax, ebx, ecx, edx);
			ret->leaf7_1_eax = eax;
		}
	}
	ask_tiles(ret);
	if (ret->leaf1_ecx & bit_OSXSAVE) {
		__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
		ret->xcr0 = (uint64_t)edx << 32 | eax;
	}
}

static bool has(uint64_t value, uint64_t bits)
{
	return (value & bits) == bits;
}

bool kern_machine_has_avx2(const struct kern_machine *m)
{
	return has(m->xcr0, XCR0_SSE_AVX) && has(m->leaf7_ebx, bit_AVX2) &&
	       has(m->leaf1_ecx, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C);
}

bool kern_machine_has_avx512(const struct kern_machine *m)
{
	return kern_machine_has_avx2(m) && has(m->xcr0, XCR0_AVX512) &&
	       has(m->leaf7_ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
}

bool kern_machine_has_avx512vnni(const struct kern_machine *m)
{
	return kern_machine_has_avx512(m) && has(m->leaf7_ecx, bit_AVX512VNNI);
}

bool kern_machine_has_avx512bf16(const struct kern_machine *m)
{
	return kern_machine_has_avx512vnni(m) && has(m->leaf7_1_eax, LEAF7_1_EAX_AVX512BF16);
}

static bool palette_fits(const struct kern_machine *m)
{
	return m->palette_eax >> 16 >= TILE_BYTES && (m->palette_ebx & 0xffff) >= TILE_ROW_BYTES &&
	       m->palette_ebx >> 16 >= TILE_COUNT && (m->palette_ecx & 0xffff) >= TILE_ROWS;
}

bool kern_machine_has_tiles(const struct kern_machine *m)
{
	return kern_machine_has_avx512bf16(m) && has(m->xcr0, XCR0_TILES) &&
	       has(m->leaf7_edx, LEAF7_EDX_AMX_TILE | LEAF7_EDX_AMX_BF16 | LEAF7_EDX_AMX_INT8) &&
	       palette_fits(m);
}

void kern_machine_permit_tiles(struct kern_machine *m)
{
	m->tiles_permitted = !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
}

bool kern_machine_has_amx(const struct kern_machine *m)
{
	return kern_machine_has_tiles(m) && m->tiles_permitted;
}
