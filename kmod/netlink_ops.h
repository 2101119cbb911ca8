/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the family that netlink.c puts together: operations, and quotas as attributes.
 */
#ifndef LLM_NETLINK_OPS_H
#define LLM_NETLINK_OPS_H

#include <net/genetlink.h>

struct llm_quota;
struct llm_quota_change;
struct llm_region_names;

extern const struct nla_policy llm_netlink_quota_policy[];
int llm_netlink_quota_parse(struct genl_info *info, struct llm_quota_change *ret_change);
int llm_netlink_quota_put(struct sk_buff *msg, const struct llm_quota *quota,
			  const struct llm_region_names *names, bool share_cache, u32 prompt_cost);
int llm_netlink_memory_put(struct sk_buff *msg, int type, const char *region, u64 bytes);

int llm_netlink_group_get(struct sk_buff *skb, struct genl_info *info);
int llm_netlink_group_dump(struct sk_buff *skb, struct netlink_callback *cb);
int llm_netlink_request_dump(struct sk_buff *skb, struct netlink_callback *cb);

#endif /* LLM_NETLINK_OPS_H */
