/* SPDX-License-Identifier: MIT */
/*
 * What a machine may run: asked of the processor and the operating system, or made up by a test.
 */
#ifndef LLMOS_KERNELS_MACHINE_H
#define LLMOS_KERNELS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct kern_ops;

/**
 * struct kern_machine - what the processor has and the operating system saves
 * @leaf1_ecx: CPUID, as are all but the last two
 * @leaf7_ebx: leaf 7, subleaf 0
 * @leaf7_ecx: leaf 7, subleaf 0
 * @leaf7_edx: leaf 7, subleaf 0
 * @leaf7_1_eax: leaf 7, subleaf 1
 * @palette_eax: leaf 0x1d, subleaf 1: the greatest shapes of tiles
 * @palette_ebx: leaf 0x1d, subleaf 1
 * @palette_ecx: leaf 0x1d, subleaf 1
 * @xcr0: registers that are saved
 * @tiles_permitted: the system lets this process use tiles
 */
struct kern_machine {
	uint32_t leaf1_ecx;
	uint32_t leaf7_ebx;
	uint32_t leaf7_ecx;
	uint32_t leaf7_edx;
	uint32_t leaf7_1_eax;
	uint32_t palette_eax;
	uint32_t palette_ebx;
	uint32_t palette_ecx;
	uint64_t xcr0;
	bool tiles_permitted;
};

/** kern_machine_ask() - what is there; tiles are not permitted yet */
void kern_machine_ask(struct kern_machine *ret);

/** kern_machine_has_tiles() - the processor has tiles as the tables want them, which are saved */
bool kern_machine_has_tiles(const struct kern_machine *m);

/**
 * kern_machine_permit_tiles() - ask the system for the use of tiles, for all threads of the process
 *
 * It may refuse: an old kernel, a filter of system calls, an alternate signal stack without room for
 * them. To be called before there are threads that have one.
 */
void kern_machine_permit_tiles(struct kern_machine *m);

bool kern_machine_has_avx2(const struct kern_machine *m);
bool kern_machine_has_avx512(const struct kern_machine *m);
bool kern_machine_has_avx512vnni(const struct kern_machine *m);
bool kern_machine_has_avx512bf16(const struct kern_machine *m);

/** kern_machine_has_amx() - tiles, and they are permitted */
bool kern_machine_has_amx(const struct kern_machine *m);

/** kern_ops_on() - kern_ops_get() on a given machine; what is returned need not run on this one */
const struct kern_ops *kern_ops_on(const struct kern_machine *m, const char *isa);

#endif /* LLMOS_KERNELS_MACHINE_H */
