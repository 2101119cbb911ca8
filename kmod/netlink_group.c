// SPDX-License-Identifier: GPL-2.0-only
/*
 * GROUP_GET: what cgroups may, have and had: see netlink.h. A group is copied under the broker's
 * lock; a dump goes on with the next id, so each that is there all along is shown exactly once.
 */
#include <linux/errno.h>
#include <linux/timekeeping.h>
#include <net/genetlink.h>
#include <linux/llm_netlink.h>

#include "broker.h"
#include "compat.h"
#include "group.h"
#include "netlink_ops.h"
#include "policy/quota.h"
#include "policy/stock.h"
#include "region.h"

/* A group as it is shown. */
struct llm_group_view {
	u64 id;
	u64 parent;
	bool share_cache;
	u32 prompt_cost;
	struct llm_quota quota;
	struct llm_usage usage;
	struct llm_pressure pressure;
	struct llm_region_names names;
};

/* Under the lock. */
static void llm_group_show(struct llm_group *group, struct llm_group_view *ret_view)
{
	struct llm_tenant *tenant = &group->tenant;
	const u64 now_ns = ktime_get_ns();

	llm_stock_drain(tenant->policy);
	llm_pressure_update(&tenant->pressure, now_ns);
	ret_view->id = group->id;
	ret_view->parent = group->parent ? group->parent->id : 0;
	ret_view->share_cache = group->share_cache;
	ret_view->prompt_cost = group->parent ? U32_MAX : llm_broker.stage.prompt_cost;
	ret_view->quota = tenant->quota;
	ret_view->quota.burst = group->burst;
	ret_view->usage = tenant->usage;
	if (llm_tree_has(&tenant->asleep))
		ret_view->usage.throttled_ns += now_ns - tenant->asleep_ns;
	ret_view->pressure = tenant->pressure;
	llm_region_names_take(&ret_view->names);
}

/* A cgroup that nobody has asked from and that has no quota. */
static void llm_group_show_none(const struct llm_lineage *lineage, struct llm_group_view *ret_view)
{
	const u32 depth = lineage->depth;

	*ret_view = (struct llm_group_view) {
		.id = lineage->ids[depth - 1],
		.parent = depth > 1 ? lineage->ids[depth - 2] : 0,
		.prompt_cost = depth > 1 ? U32_MAX : LLM_PROMPT_COST,
		.quota = llm_quota_none(LLM_WEIGHT_DEFAULT),
	};
}

static int llm_netlink_tally_put(struct sk_buff *msg, const struct llm_tally *tally)
{
	if (nla_put_u64_64bit(msg, LLM_NL_A_USAGE_PROMPT_TOKENS, tally->prompt_tokens,
			      LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_OUTPUT_TOKENS, tally->output_tokens,
			      LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_QUEUE_TIME, tally->queued_ns,
			      LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_SUBMITTED, tally->submitted,
			      LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_DISPATCHED, tally->dispatched,
			      LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_ENDED, tally->ended, LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_REFUSED, tally->refused, LLM_NL_A_USAGE_PAD))
		return -EMSGSIZE;
	return 0;
}

static int llm_netlink_charged_put(struct sk_buff *msg, const struct llm_usage *usage,
				   const struct llm_region_names *names)
{
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (usage->memory[region] &&
		    llm_netlink_memory_put(msg, LLM_NL_A_USAGE_MEMORY, names->of[region],
					   usage->memory[region]))
			return -EMSGSIZE;
	return 0;
}

static int llm_netlink_usage_put(struct sk_buff *msg, const struct llm_usage *usage,
				 const struct llm_region_names *names, u32 running)
{
	struct nlattr *nest = nla_nest_start(msg, LLM_NL_A_USAGE);

	if (!nest || nla_put_u32(msg, LLM_NL_A_USAGE_IN_FLIGHT, usage->in_flight) ||
	    nla_put_u32(msg, LLM_NL_A_USAGE_QUEUED, usage->queued) ||
	    nla_put_u32(msg, LLM_NL_A_USAGE_RUNNING, running) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_UNITS, usage->units, LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_COMPUTE, usage->compute_ns,
			      LLM_NL_A_USAGE_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_USAGE_THROTTLED, usage->throttled_ns,
			      LLM_NL_A_USAGE_PAD) ||
	    llm_netlink_tally_put(msg, &usage->tally) || llm_netlink_charged_put(msg, usage, names))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int llm_netlink_stall_put(struct sk_buff *msg, const struct llm_pressure *pressure,
				 enum llm_stall stall, int total, int average)
{
	if (nla_put_u64_64bit(msg, total, pressure->total_ns[stall], LLM_NL_A_PRESSURE_PAD))
		return -EMSGSIZE;
	for (int i = 0; i < LLM_AVERAGES; i++)
		if (nla_put_u32(msg, average + i, llm_pressure_percent(pressure, stall, i)))
			return -EMSGSIZE;
	return 0;
}

static int llm_netlink_pressure_put(struct sk_buff *msg, const struct llm_pressure *pressure)
{
	struct nlattr *nest = nla_nest_start(msg, LLM_NL_A_PRESSURE);

	if (!nest ||
	    llm_netlink_stall_put(msg, pressure, LLM_STALL_SOME, LLM_NL_A_PRESSURE_SOME_TOTAL,
				  LLM_NL_A_PRESSURE_SOME_AVG10) ||
	    llm_netlink_stall_put(msg, pressure, LLM_STALL_FULL, LLM_NL_A_PRESSURE_FULL_TOTAL,
				  LLM_NL_A_PRESSURE_FULL_AVG10))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* Return: 0; EMSGSIZE: the message is as it was. */
static int llm_netlink_view_put(struct sk_buff *msg, const struct genl_info *info, int flags,
				const struct llm_group_view *view)
{
	void *head = genlmsg_put(msg, info->snd_portid, info->snd_seq, info->family, flags,
				 LLM_NL_CMD_GROUP_GET);

	if (!head)
		return -EMSGSIZE;
	if (nla_put_u64_64bit(msg, LLM_NL_A_CGROUP, view->id, LLM_NL_A_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_PARENT, view->parent, LLM_NL_A_PAD) ||
	    llm_netlink_quota_put(msg, &view->quota, &view->names, view->share_cache,
				  view->prompt_cost) ||
	    llm_netlink_usage_put(msg, &view->usage, &view->names, view->pressure.running) ||
	    llm_netlink_pressure_put(msg, &view->pressure)) {
		genlmsg_cancel(msg, head);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, head);
	return 0;
}

/* Return: 0; ENOENT, E2BIG. */
static int llm_group_look(u64 id, struct llm_group_view *ret_view)
{
	struct llm_lineage lineage;
	struct llm_group *group;
	int err;

	spin_lock(&llm_broker.lock);
	group = llm_group_find(id);
	if (group)
		llm_group_show(group, ret_view);
	spin_unlock(&llm_broker.lock);
	if (group)
		return 0;
	err = llm_lineage_find(id, &lineage);
	if (!err)
		llm_group_show_none(&lineage, ret_view);
	return err;
}

/** llm_netlink_group_get() - GROUP_GET of one */
int llm_netlink_group_get(struct sk_buff *skb, struct genl_info *info)
{
	struct llm_group_view view;
	struct sk_buff *msg;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, LLM_NL_A_CGROUP))
		return -EINVAL;
	err = llm_group_look(nla_get_u64(info->attrs[LLM_NL_A_CGROUP]), &view);
	if (err) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[LLM_NL_A_CGROUP],
				    "no such cgroup, or nested too deep");
		return err;
	}
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	err = llm_netlink_view_put(msg, info, 0, &view);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	return genlmsg_reply(msg, info);
}

/** llm_netlink_group_dump() - GROUP_GET of all */
int llm_netlink_group_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	u64 *next = (u64 *)cb->ctx;

	for (;;) {
		struct llm_group_view view;
		struct llm_group *group;

		spin_lock(&llm_broker.lock);
		group = llm_group_after(*next);
		if (group)
			llm_group_show(group, &view);
		spin_unlock(&llm_broker.lock);
		if (!group || llm_netlink_view_put(skb, genl_info_dump(cb), NLM_F_MULTI, &view))
			break;
		*next = view.id + 1;
	}
	return skb->len;
}
