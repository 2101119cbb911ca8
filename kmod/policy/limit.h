/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A tenant's own limits: how much it may use now, and until when it has to rest. Called by
 * tenant.c for each ancestor of a leaf.
 */
#ifndef LLM_POLICY_LIMIT_H
#define LLM_POLICY_LIMIT_H

#include "tenant.h"

/** llm_limits_none() - a weight and no limits */
static inline struct llm_limits llm_limits_none(u32 weight)
{
	return (struct llm_limits){
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

bool llm_limits_valid(const struct llm_limits *limits);
void llm_limit_set(struct llm_tenant *tenant, const struct llm_limits *limits, u64 now_ns);
u64 llm_limit_room(struct llm_tenant *tenant, u64 units, u64 now_ns);
void llm_limit_use(struct llm_tenant *tenant, u64 units, u64 now_ns);
void llm_limit_settle(struct llm_tenant *tenant, u64 granted, u64 used, u64 now_ns);
void llm_limit_computed(struct llm_tenant *tenant, u64 compute_ns, u64 now_ns);

void llm_tenant_update(struct llm_tenant *tenant);

#endif /* LLM_POLICY_LIMIT_H */
