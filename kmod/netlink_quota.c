// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quotas as attributes: see netlink.h. Bounds that fit into a policy are checked with the message,
 * the others here; each refusal names its attribute.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <net/genetlink.h>
#include <linux/llm_netlink.h>

#include "broker.h"
#include "netlink_ops.h"
#include "policy/quota.h"
#include "quota.h"
#include "region.h"

static const struct netlink_range_validation llm_netlink_period_range = {
	.min = LLM_PERIOD_MIN_NS,
	.max = LLM_PERIOD_MAX_NS,
};

static const struct netlink_range_validation llm_netlink_cost_range = {
	.max = LLM_PROMPT_COST_MAX,
};

static const struct nla_policy llm_netlink_memory_policy[LLM_NL_A_MEMORY_MAX + 1] = {
	[LLM_NL_A_MEMORY_REGION] = { .type = NLA_NUL_STRING, .len = LLM_REGION_NAME_MAX - 1 },
	[LLM_NL_A_MEMORY_BYTES] = { .type = NLA_U64 },
};

const struct nla_policy llm_netlink_quota_policy[LLM_NL_A_QUOTA_MAX + 1] = {
	[LLM_NL_A_QUOTA_WEIGHT] = NLA_POLICY_RANGE(NLA_U32, LLM_WEIGHT_MIN, LLM_WEIGHT_MAX),
	[LLM_NL_A_QUOTA_IN_FLIGHT] = { .type = NLA_U32 },
	[LLM_NL_A_QUOTA_QUEUED] = { .type = NLA_U32 },
	[LLM_NL_A_QUOTA_RATE] = { .type = NLA_U64 },
	[LLM_NL_A_QUOTA_BURST] = { .type = NLA_U64 },
	[LLM_NL_A_QUOTA_COMPUTE] = { .type = NLA_U64 },
	[LLM_NL_A_QUOTA_PERIOD] = NLA_POLICY_FULL_RANGE(NLA_U64, &llm_netlink_period_range),
	[LLM_NL_A_QUOTA_MEMORY] = NLA_POLICY_NESTED(llm_netlink_memory_policy),
	[LLM_NL_A_QUOTA_SHARE_CACHE] = NLA_POLICY_MAX(NLA_U8, 1),
	[LLM_NL_A_QUOTA_PROMPT_COST] = NLA_POLICY_FULL_RANGE(NLA_U32, &llm_netlink_cost_range),
};

static void llm_netlink_quota_u32(struct nlattr *attr, int field, u32 *to,
				  struct llm_quota_change *change)
{
	if (!attr)
		return;
	change->fields |= BIT(field);
	*to = nla_get_u32(attr);
}

static void llm_netlink_quota_u64(struct nlattr *attr, int field, u64 *to,
				  struct llm_quota_change *change)
{
	if (!attr)
		return;
	change->fields |= BIT(field);
	*to = nla_get_u64(attr);
}

static int llm_netlink_quota_bounds(struct genl_info *info, struct nlattr **attrs,
				    const struct llm_quota *quota)
{
	struct nlattr *rate = attrs[LLM_NL_A_QUOTA_RATE], *burst = attrs[LLM_NL_A_QUOTA_BURST];

	if (rate && quota->rate > LLM_RATE_MAX && quota->rate != U64_MAX) {
		NL_SET_ERR_MSG_ATTR(info->extack, rate, "more than any machine can do");
		return -ERANGE;
	}
	if (burst && quota->burst != U64_MAX &&
	    (quota->burst < LLM_COST_UNIT || quota->burst > LLM_RATE_MAX)) {
		NL_SET_ERR_MSG_ATTR(info->extack, burst, "less than a token, or too much");
		return -ERANGE;
	}
	return 0;
}

/* The limit on a region, which is named twice if it was there. Return: it; NULL: too many. */
static struct llm_quota_memory *llm_netlink_limit(struct llm_quota_change *change,
						  const char *region)
{
	struct llm_quota_memory *limit;

	for (u32 i = 0; i < change->memory_count; i++)
		if (!strcmp(change->memory[i].region, region))
			return &change->memory[i];
	if (change->memory_count == LLM_REGIONS_MAX)
		return NULL;
	limit = &change->memory[change->memory_count++];
	strscpy(limit->region, region, sizeof(limit->region));
	return limit;
}

static int llm_netlink_quota_memory(struct genl_info *info, struct nlattr *memory,
				    struct llm_quota_change *change)
{
	struct nlattr *attrs[LLM_NL_A_MEMORY_MAX + 1];
	struct llm_quota_memory *limit;
	int err;

	err = nla_parse_nested(attrs, LLM_NL_A_MEMORY_MAX, memory, NULL, NULL);
	if (err)
		return err;
	if (NL_REQ_ATTR_CHECK(info->extack, memory, attrs, LLM_NL_A_MEMORY_REGION) ||
	    NL_REQ_ATTR_CHECK(info->extack, memory, attrs, LLM_NL_A_MEMORY_BYTES))
		return -EINVAL;
	if (!llm_region_valid(nla_data(attrs[LLM_NL_A_MEMORY_REGION]))) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LLM_NL_A_MEMORY_REGION],
				    "not the name of a region");
		return -EINVAL;
	}
	limit = llm_netlink_limit(change, nla_data(attrs[LLM_NL_A_MEMORY_REGION]));
	if (!limit) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LLM_NL_A_MEMORY_REGION],
				    "too many regions");
		return -ENOSPC;
	}
	limit->bytes = nla_get_u64(attrs[LLM_NL_A_MEMORY_BYTES]);
	return 0;
}

/**
 * llm_netlink_quota_parse() - what a message wants to set
 * @info: of a message with LLM_NL_A_QUOTA, checked against the policy
 * @ret_change: out
 *
 * Return: 0; EINVAL, ERANGE, ENOSPC with an extended acknowledgement.
 */
int llm_netlink_quota_parse(struct genl_info *info, struct llm_quota_change *ret_change)
{
	struct nlattr *nest = info->attrs[LLM_NL_A_QUOTA], *at;
	struct nlattr *attrs[LLM_NL_A_QUOTA_MAX + 1];
	struct llm_quota_change change = { .fields = 0 };
	struct llm_quota *quota = &change.quota;
	int err, left;

	err = nla_parse_nested(attrs, LLM_NL_A_QUOTA_MAX, nest, NULL, NULL);
	if (err)
		return err;
	llm_netlink_quota_u32(attrs[LLM_NL_A_QUOTA_WEIGHT], LLM_QUOTA_WEIGHT, &quota->weight,
			      &change);
	llm_netlink_quota_u32(attrs[LLM_NL_A_QUOTA_IN_FLIGHT], LLM_QUOTA_IN_FLIGHT,
			      &quota->in_flight, &change);
	llm_netlink_quota_u32(attrs[LLM_NL_A_QUOTA_QUEUED], LLM_QUOTA_QUEUED, &quota->queued,
			      &change);
	llm_netlink_quota_u64(attrs[LLM_NL_A_QUOTA_RATE], LLM_QUOTA_RATE, &quota->rate, &change);
	llm_netlink_quota_u64(attrs[LLM_NL_A_QUOTA_BURST], LLM_QUOTA_BURST, &quota->burst,
			      &change);
	llm_netlink_quota_u64(attrs[LLM_NL_A_QUOTA_COMPUTE], LLM_QUOTA_COMPUTE,
			      &quota->compute_ns, &change);
	llm_netlink_quota_u64(attrs[LLM_NL_A_QUOTA_PERIOD], LLM_QUOTA_PERIOD, &quota->period_ns,
			      &change);
	llm_netlink_quota_u32(attrs[LLM_NL_A_QUOTA_PROMPT_COST], LLM_QUOTA_PROMPT_COST,
			      &change.prompt_cost, &change);
	if (attrs[LLM_NL_A_QUOTA_SHARE_CACHE]) {
		change.fields |= BIT(LLM_QUOTA_SHARE_CACHE);
		change.share_cache = nla_get_u8(attrs[LLM_NL_A_QUOTA_SHARE_CACHE]);
	}
	err = llm_netlink_quota_bounds(info, attrs, quota);
	nla_for_each_nested(at, nest, left)
		if (!err && nla_type(at) == LLM_NL_A_QUOTA_MEMORY)
			err = llm_netlink_quota_memory(info, at, &change);
	*ret_change = change;
	return err;
}

/** llm_netlink_memory_put() - bytes of a region. Return: 0; EMSGSIZE. */
int llm_netlink_memory_put(struct sk_buff *msg, int type, const char *region, u64 bytes)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	if (!nest || nla_put_string(msg, LLM_NL_A_MEMORY_REGION, region) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_MEMORY_BYTES, bytes, LLM_NL_A_MEMORY_PAD))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int llm_netlink_limits_put(struct sk_buff *msg, const struct llm_quota *quota,
				  const struct llm_region_names *names)
{
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (quota->memory[region] != U64_MAX &&
		    llm_netlink_memory_put(msg, LLM_NL_A_QUOTA_MEMORY, names->of[region],
					   quota->memory[region]))
			return -EMSGSIZE;
	return 0;
}

/**
 * llm_netlink_quota_put() - a quota as attributes
 * @msg: to be added to
 * @quota: with the burst as it was set
 * @names: of regions, when @quota was looked at
 * @share_cache: as struct llm_group has it
 * @prompt_cost: of the root; U32_MAX: it is not the root
 *
 * Return: 0; EMSGSIZE.
 */
int llm_netlink_quota_put(struct sk_buff *msg, const struct llm_quota *quota,
			  const struct llm_region_names *names, bool share_cache, u32 prompt_cost)
{
	struct nlattr *nest = nla_nest_start(msg, LLM_NL_A_QUOTA);

	if (!nest || nla_put_u32(msg, LLM_NL_A_QUOTA_WEIGHT, quota->weight) ||
	    nla_put_u32(msg, LLM_NL_A_QUOTA_IN_FLIGHT, quota->in_flight) ||
	    nla_put_u32(msg, LLM_NL_A_QUOTA_QUEUED, quota->queued) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_QUOTA_RATE, quota->rate, LLM_NL_A_QUOTA_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_QUOTA_BURST, quota->burst, LLM_NL_A_QUOTA_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_QUOTA_COMPUTE, quota->compute_ns,
			      LLM_NL_A_QUOTA_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_QUOTA_PERIOD, quota->period_ns, LLM_NL_A_QUOTA_PAD) ||
	    nla_put_u8(msg, LLM_NL_A_QUOTA_SHARE_CACHE, share_cache) ||
	    llm_netlink_limits_put(msg, quota, names))
		return -EMSGSIZE;
	if (prompt_cost != U32_MAX && nla_put_u32(msg, LLM_NL_A_QUOTA_PROMPT_COST, prompt_cost))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}
