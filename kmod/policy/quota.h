/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A tenant's own quota: how much it may use now, and until when it has to rest. Called by
 * tenant.c for each ancestor of a leaf.
 */
#ifndef LLM_POLICY_QUOTA_H
#define LLM_POLICY_QUOTA_H

#include "tenant.h"

/** llm_quota_none() - a weight and no quota */
static inline struct llm_quota llm_quota_none(u32 weight)
{
	return (struct llm_quota){
		.weight = weight,
		.in_flight = U32_MAX,
		.queued = U32_MAX,
		.rate = U64_MAX,
		.burst = U64_MAX,
		.compute_ns = U64_MAX,
		.period_ns = LLM_PERIOD_DEFAULT_NS,
		.memory = { [0 ... LLM_REGIONS_MAX - 1] = U64_MAX },
	};
}

/** llm_sum() - of two numbers, as far as it can be told */
static inline u64 llm_sum(u64 a, u64 b)
{
	return a + b < a ? U64_MAX : a + b;
}

bool llm_quota_valid(const struct llm_quota *quota);
void llm_quota_set(struct llm_tenant *tenant, const struct llm_quota *quota, u64 now_ns);
u32 llm_quota_spare(struct llm_tenant *tenant, u64 units, u64 now_ns);
void llm_quota_owe(struct llm_tenant *tenant, s64 out, u64 now_ns);
u64 llm_quota_room(struct llm_tenant *tenant, u64 units, u64 now_ns);
void llm_quota_use(struct llm_tenant *tenant, u64 units, u64 now_ns);
void llm_quota_settle(struct llm_tenant *tenant, u64 granted, u64 used, u64 now_ns);
void llm_quota_computed(struct llm_tenant *tenant, u64 compute_ns, u64 now_ns);

/** llm_tenant_bar() - a tenant's own quota has begun to keep out what is below it */
static inline void llm_tenant_bar(struct llm_tenant *tenant)
{
	if (tenant->impatient)
		tenant->policy->barred++;
}

void llm_tenant_update(struct llm_tenant *tenant);

#endif /* LLM_POLICY_QUOTA_H */
