// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family and its operations: see netlink.h. Also here: who may, and sending events.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include <linux/llm_netlink.h>

#include "netlink.h"
#include "netlink_ops.h"
#include "quota.h"
#include "watch.h"

static struct genl_family llm_netlink_family;

/* The family is there. */
static bool llm_netlink_up;

static int llm_netlink_admin(const struct genl_split_ops *ops, struct sk_buff *skb,
			     struct genl_info *info)
{
	return netlink_capable(skb, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static int llm_netlink_admin_dump(struct netlink_callback *cb)
{
	return netlink_capable(cb->skb, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/* The extended acknowledgement of what a quota is refused for, beyond its attributes' bounds. */
static int llm_netlink_explain(struct genl_info *info, int err)
{
	switch (err) {
	case -ENOENT:
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[LLM_NL_A_CGROUP], "no such cgroup");
		break;
	case -E2BIG:
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[LLM_NL_A_CGROUP],
				    "the cgroup is nested too deep");
		break;
	case -ENOSPC:
		NL_SET_ERR_MSG(info->extack, "too many cgroups have a quota, or too many regions");
		break;
	}
	return err;
}

static int llm_netlink_quota_set(struct sk_buff *skb, struct genl_info *info)
{
	struct llm_quota_change change;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, LLM_NL_A_CGROUP) ||
	    GENL_REQ_ATTR_CHECK(info, LLM_NL_A_QUOTA))
		return -EINVAL;
	err = llm_netlink_quota_parse(info, &change);
	if (err)
		return err;
	err = llm_quota_change(nla_get_u64(info->attrs[LLM_NL_A_CGROUP]), &change);
	if (err == -EINVAL)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[LLM_NL_A_QUOTA],
				    "the cost of a prompt's token is the root's alone");
	return llm_netlink_explain(info, err);
}

static int llm_netlink_quota_reset(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *cgroup = info->attrs[LLM_NL_A_CGROUP];

	if (cgroup)
		return llm_netlink_explain(info, llm_quota_reset(nla_get_u64(cgroup)));
	llm_quota_reset_all();
	return 0;
}

static int llm_netlink_watch(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[LLM_NL_A_WATCH_MAX + 1];
	struct llm_watch_spec spec = { .portid = info->snd_portid };
	int err;

	if (GENL_REQ_ATTR_CHECK(info, LLM_NL_A_CGROUP) ||
	    GENL_REQ_ATTR_CHECK(info, LLM_NL_A_WATCH))
		return -EINVAL;
	/* checked with the message */
	err = nla_parse_nested(attrs, LLM_NL_A_WATCH_MAX, info->attrs[LLM_NL_A_WATCH], NULL, NULL);
	if (err)
		return err;
	if (NL_REQ_ATTR_CHECK(info->extack, info->attrs[LLM_NL_A_WATCH], attrs,
			      LLM_NL_A_WATCH_STALL) ||
	    NL_REQ_ATTR_CHECK(info->extack, info->attrs[LLM_NL_A_WATCH], attrs,
			      LLM_NL_A_WATCH_WINDOW))
		return -EINVAL;
	spec.cgroup = nla_get_u64(info->attrs[LLM_NL_A_CGROUP]);
	spec.stall = attrs[LLM_NL_A_WATCH_FULL] ? LLM_STALL_FULL : LLM_STALL_SOME;
	spec.stall_ns = nla_get_u64(attrs[LLM_NL_A_WATCH_STALL]);
	spec.window_ns = nla_get_u64(attrs[LLM_NL_A_WATCH_WINDOW]);
	if (!spec.stall_ns || spec.stall_ns > spec.window_ns) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LLM_NL_A_WATCH_STALL],
				    "not between 1 and the window");
		return -ERANGE;
	}
	spec.privileged = netlink_capable(skb, CAP_SYS_ADMIN);
	return llm_netlink_explain(info, llm_watch_add(&spec));
}

static const struct netlink_range_validation llm_netlink_window_range = {
	.min = 500000000ULL,
	.max = 300000000000ULL,
};

static const struct nla_policy llm_netlink_watch_policy[LLM_NL_A_WATCH_MAX + 1] = {
	[LLM_NL_A_WATCH_FULL] = { .type = NLA_FLAG },
	[LLM_NL_A_WATCH_STALL] = { .type = NLA_U64 },
	[LLM_NL_A_WATCH_WINDOW] = NLA_POLICY_FULL_RANGE(NLA_U64, &llm_netlink_window_range),
};

/* A cgroup; for WATCH also what to be told of. */
static const struct nla_policy llm_netlink_cgroup_policy[LLM_NL_A_WATCH + 1] = {
	[LLM_NL_A_CGROUP] = { .type = NLA_U64 },
	[LLM_NL_A_WATCH] = NLA_POLICY_NESTED(llm_netlink_watch_policy),
};

static const struct nla_policy llm_netlink_set_policy[LLM_NL_A_QUOTA + 1] = {
	[LLM_NL_A_CGROUP] = { .type = NLA_U64 },
	[LLM_NL_A_QUOTA] = {
		.type = NLA_NESTED,
		.nested_policy = llm_netlink_quota_policy,
		.len = LLM_NL_A_QUOTA_MAX,
	},
};

static const struct genl_split_ops llm_netlink_ops[] = {
	{
		.cmd = LLM_NL_CMD_GROUP_GET,
		.doit = llm_netlink_group_get,
		.policy = llm_netlink_cgroup_policy,
		.maxattr = LLM_NL_A_CGROUP,
		.flags = GENL_CMD_CAP_DO,
	}, {
		.cmd = LLM_NL_CMD_GROUP_GET,
		.dumpit = llm_netlink_group_dump,
		.flags = GENL_CMD_CAP_DUMP,
	}, {
		.cmd = LLM_NL_CMD_QUOTA_SET,
		.pre_doit = llm_netlink_admin,
		.doit = llm_netlink_quota_set,
		.policy = llm_netlink_set_policy,
		.maxattr = LLM_NL_A_QUOTA,
		.flags = GENL_CMD_CAP_DO,
	}, {
		.cmd = LLM_NL_CMD_QUOTA_RESET,
		.pre_doit = llm_netlink_admin,
		.doit = llm_netlink_quota_reset,
		.policy = llm_netlink_cgroup_policy,
		.maxattr = LLM_NL_A_CGROUP,
		.flags = GENL_CMD_CAP_DO,
	}, {
		.cmd = LLM_NL_CMD_REQUEST_GET,
		.start = llm_netlink_admin_dump,
		.dumpit = llm_netlink_request_dump,
		.flags = GENL_CMD_CAP_DUMP,
	}, {
		.cmd = LLM_NL_CMD_WATCH,
		.doit = llm_netlink_watch,
		.policy = llm_netlink_cgroup_policy,
		.maxattr = LLM_NL_A_WATCH,
		.flags = GENL_CMD_CAP_DO,
	},
};

static const struct genl_multicast_group llm_netlink_groups[] = {
	{ .name = LLM_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

static struct genl_family llm_netlink_family __ro_after_init = {
	.name = LLM_FAMILY_NAME,
	.version = LLM_FAMILY_VERSION,
	.maxattr = LLM_NL_A_MAX,
	.parallel_ops = true,
	.split_ops = llm_netlink_ops,
	.n_split_ops = ARRAY_SIZE(llm_netlink_ops),
	.mcgrps = llm_netlink_groups,
	.n_mcgrps = ARRAY_SIZE(llm_netlink_groups),
	.module = THIS_MODULE,
};

/* ---- events ---- */

static int llm_netlink_report_put(struct sk_buff *msg, const struct llm_report *report)
{
	if (nla_put_u32(msg, LLM_NL_A_EVENT_TYPE, report->type) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_EVENT_TIME, report->time_ns, LLM_NL_A_EVENT_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_EVENT_COUNT, report->count, LLM_NL_A_EVENT_PAD))
		return -EMSGSIZE;
	if (report->cgroup &&
	    nla_put_u64_64bit(msg, LLM_NL_A_EVENT_CGROUP, report->cgroup, LLM_NL_A_EVENT_PAD))
		return -EMSGSIZE;
	if (report->pid && nla_put_u32(msg, LLM_NL_A_EVENT_PID, report->pid))
		return -EMSGSIZE;
	if (report->type == LLM_NL_EVENT_REFUSED &&
	    nla_put_u32(msg, LLM_NL_A_EVENT_UID, report->uid))
		return -EMSGSIZE;
	if (report->request &&
	    nla_put_u64_64bit(msg, LLM_NL_A_EVENT_REQUEST, report->request, LLM_NL_A_EVENT_PAD))
		return -EMSGSIZE;
	if (report->type == LLM_NL_EVENT_SERVER_DOWN &&
	    nla_put_u32(msg, LLM_NL_A_EVENT_REQUESTS, report->requests))
		return -EMSGSIZE;
	if (report->type == LLM_NL_EVENT_PRESSURE &&
	    nla_put_u64_64bit(msg, LLM_NL_A_EVENT_STALL, report->stall_ns, LLM_NL_A_EVENT_PAD))
		return -EMSGSIZE;
	return 0;
}

/* Return: a message, or NULL: there is no memory for it, and nobody is told. */
static struct sk_buff *llm_netlink_report_new(const struct llm_report *report)
{
	struct sk_buff *msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	struct nlattr *nest;
	void *head;

	if (!msg)
		return NULL;
	head = genlmsg_put(msg, 0, 0, &llm_netlink_family, 0, LLM_NL_CMD_EVENT);
	if (!head)
		goto fail;
	nest = nla_nest_start(msg, LLM_NL_A_EVENT);
	if (!nest || llm_netlink_report_put(msg, report))
		goto fail;
	nla_nest_end(msg, nest);
	genlmsg_end(msg, head);
	return msg;
fail:
	nlmsg_free(msg);
	return NULL;
}

/** llm_netlink_tell() - tells administrators who listen; sleeps */
void llm_netlink_tell(const struct llm_report *report)
{
	struct sk_buff *msg;

	if (!READ_ONCE(llm_netlink_up) ||
	    !genl_has_listeners(&llm_netlink_family, &init_net, 0))
		return;
	msg = llm_netlink_report_new(report);
	if (msg)
		genlmsg_multicast(&llm_netlink_family, msg, 0, 0, GFP_KERNEL);
}

/** llm_netlink_tell_one() - tells one socket; sleeps. Where its buffer is full it learns of that. */
void llm_netlink_tell_one(const struct llm_report *report, u32 portid)
{
	struct sk_buff *msg = llm_netlink_report_new(report);

	if (msg)
		genlmsg_unicast(&init_net, msg, portid);
}

/* ---- begin and end ---- */

/**
 * llm_netlink_init() - the family comes
 *
 * Return: 0; ENOMEM, ...
 */
int __init llm_netlink_init(void)
{
	int err;

	err = llm_watch_init();
	if (err)
		return err;
	err = genl_register_family(&llm_netlink_family);
	if (err)
		llm_watch_exit();
	else
		WRITE_ONCE(llm_netlink_up, true);
	return err;
}

/** llm_netlink_exit() - the family goes: no operation of it is under way any more */
void llm_netlink_exit(void)
{
	WRITE_ONCE(llm_netlink_up, false);
	genl_unregister_family(&llm_netlink_family);
	llm_watch_exit();
}
