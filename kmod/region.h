/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regions of memory that are charged for: "host", and what a server or an administrator names, such
 * as "cuda0". The broker numbers them in the order in which it hears of them and forgets none, so
 * that a quota can be set before the server comes, and outlives it. Commands of the server use its
 * own numbers, the places in its SETUP: see struct llm_server.
 */
#ifndef LLM_REGION_H
#define LLM_REGION_H

#include <linux/types.h>
#include <linux/llm.h>

#define LLM_REGION_HOST	0

const char *llm_region_name(unsigned int region);
bool llm_region_valid(const char *name);
int llm_region_find(const char *name);
int llm_region_take(const char *name);

#endif /* LLM_REGION_H */
