/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regions of memory that are charged for: "host", and what a server or an administrator names, such
 * as "cuda0". The broker numbers them as it hears of them, so that a quota can be set before the
 * server comes, and outlives it. A region that no quota and no server names is remembered, with
 * what other parts of the kernel know of it, until its number is needed for another one. Commands
 * of the server use its own numbers, the places in its SETUP: see struct llm_server.
 */
#ifndef LLM_REGION_H
#define LLM_REGION_H

#include <linux/types.h>
#include <linux/llm.h>

#define LLM_REGION_HOST	0

/**
 * struct llm_region_names - what regions are called
 * @of: each, by its number; empty: none has it
 */
struct llm_region_names {
	char of[LLM_REGIONS_MAX][LLM_REGION_NAME_MAX];
};

void llm_region_names_take(struct llm_region_names *ret_names);
const char *llm_region_name(unsigned int region);
bool llm_region_valid(const char *name);
int llm_region_find(const char *name);
int llm_regions_get(const char *const *names, u32 count, u32 *ret_regions);
void llm_region_put(unsigned int region);

#endif /* LLM_REGION_H */
