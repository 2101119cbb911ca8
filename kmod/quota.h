/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Quotas of cgroups: what administrators set, and what becomes of requests that meet one. A group
 * with a quota lives until that is reset, or until work that looks every few seconds finds its
 * cgroup removed; what still runs there keeps the quota until it ends.
 */
#ifndef LLM_QUOTA_H
#define LLM_QUOTA_H

#include <linux/types.h>
#include <linux/llm.h>

#include "policy/tenant.h"

struct llm_group;
struct llm_request;
struct work_struct;

/* Cgroups with a quota, at once. */
#define LLM_QUOTAS_MAX	65536

#define LLM_PROMPT_COST_MAX	1000000

/**
 * enum llm_quota_field - what a change sets, besides memory
 */
enum llm_quota_field {
	LLM_QUOTA_WEIGHT,
	LLM_QUOTA_IN_FLIGHT,
	LLM_QUOTA_QUEUED,
	LLM_QUOTA_RATE,
	LLM_QUOTA_BURST,
	LLM_QUOTA_COMPUTE,
	LLM_QUOTA_PERIOD,
	LLM_QUOTA_SHARE_CACHE,
	LLM_QUOTA_PROMPT_COST,
};

/**
 * struct llm_quota_memory - a limit on a region
 * @region: its name, valid
 * @bytes: U64_MAX: none
 */
struct llm_quota_memory {
	char region[LLM_REGION_NAME_MAX];
	u64 bytes;
};

/**
 * struct llm_quota_change - what to set
 * @fields: bits of enum llm_quota_field: what of the following, and of @quota, is meant
 * @memory: limits on regions
 * @memory_count: of them
 * @share_cache: as struct llm_group has it
 * @prompt_cost: units of a token of a prompt, for all
 * @quota: each field within its bounds; but for memory
 */
struct llm_quota_change {
	u32 fields;
	struct llm_quota_memory memory[LLM_REGIONS_MAX];
	u32 memory_count;
	bool share_cache;
	u32 prompt_cost;
	struct llm_quota quota;
};

int llm_quota_change(u64 cgroup, const struct llm_quota_change *change);
int llm_quota_reset(u64 cgroup);
void llm_quota_reset_all(void);
void llm_quota_release(const struct llm_quota *quota);
void llm_quota_collect(struct work_struct *work);

int llm_quota_admit(struct llm_request *req);
void llm_quota_refused_memory(const struct llm_request *req, unsigned int region, u64 bytes);
u64 llm_quota_domain(const struct llm_group *group);

#endif /* LLM_QUOTA_H */
