// SPDX-License-Identifier: GPL-2.0-only
/*
 * REQUEST_GET: every request that has not ended: see netlink.h. What LIST shows, for programs that
 * have no file of /dev/llm open.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <net/genetlink.h>
#include <linux/llm.h>
#include <linux/llm_netlink.h>

#include "broker.h"
#include "netlink_ops.h"
#include "request.h"

static int llm_netlink_who_put(struct sk_buff *msg, const struct llm_request_info *req)
{
	if (nla_put_u64_64bit(msg, LLM_NL_A_REQUEST_ID, req->id, LLM_NL_A_REQUEST_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_REQUEST_CGROUP, req->cgroup_id,
			      LLM_NL_A_REQUEST_PAD) ||
	    nla_put_u32(msg, LLM_NL_A_REQUEST_PID, req->pid) ||
	    nla_put_u32(msg, LLM_NL_A_REQUEST_UID, req->uid) ||
	    nla_put_u32(msg, LLM_NL_A_REQUEST_OP, req->op) ||
	    nla_put_u32(msg, LLM_NL_A_REQUEST_CLASS, req->sched_class) ||
	    nla_put_string(msg, LLM_NL_A_REQUEST_MODEL, req->model))
		return -EMSGSIZE;
	return 0;
}

static int llm_netlink_progress_put(struct sk_buff *msg, const struct llm_request_info *req)
{
	if (nla_put_u32(msg, LLM_NL_A_REQUEST_STATE, req->state) ||
	    nla_put_u32(msg, LLM_NL_A_REQUEST_PROMPT_TOKENS, req->prompt_tokens) ||
	    nla_put_u32(msg, LLM_NL_A_REQUEST_OUTPUT_TOKENS, req->output_tokens) ||
	    nla_put_u32(msg, LLM_NL_A_REQUEST_ATTEMPTS, req->attempts) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_REQUEST_SUBMIT_TIME, req->submit_ns,
			      LLM_NL_A_REQUEST_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_REQUEST_DISPATCH_TIME, req->dispatch_ns,
			      LLM_NL_A_REQUEST_PAD) ||
	    nla_put_u64_64bit(msg, LLM_NL_A_REQUEST_FIRST_TIME, req->first_ns,
			      LLM_NL_A_REQUEST_PAD))
		return -EMSGSIZE;
	return 0;
}

/* Return: 0; EMSGSIZE: the message is as it was. */
static int llm_netlink_request_put(struct sk_buff *msg, const struct genl_info *info,
				   const struct llm_request_info *req)
{
	void *head = genlmsg_put(msg, info->snd_portid, info->snd_seq, info->family, NLM_F_MULTI,
				 LLM_NL_CMD_REQUEST_GET);
	struct nlattr *nest;

	if (!head)
		return -EMSGSIZE;
	nest = nla_nest_start(msg, LLM_NL_A_REQUEST);
	if (!nest || llm_netlink_who_put(msg, req) || llm_netlink_progress_put(msg, req)) {
		genlmsg_cancel(msg, head);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	genlmsg_end(msg, head);
	return 0;
}

/* Looks at one request. Return: its id; 0: there is none above @after. */
static u64 llm_netlink_request_look(u64 after, struct llm_request_info *ret_info)
{
	struct llm_request *req;
	u64 id = 0;

	memset(ret_info, 0, sizeof(*ret_info));
	ret_info->state = LLM_STATE_ENDED;
	spin_lock(&llm_broker.lock);
	req = llm_request_after(after);
	if (req) {
		id = req->id;
		llm_request_describe(req, ret_info);
	}
	spin_unlock(&llm_broker.lock);
	return id;
}

/** llm_netlink_request_dump() - REQUEST_GET */
int llm_netlink_request_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	u64 *last = (u64 *)cb->ctx;
	struct llm_request_info info;
	u64 id;

	while ((id = llm_netlink_request_look(*last, &info))) {
		if (info.state != LLM_STATE_ENDED &&
		    llm_netlink_request_put(skb, genl_info_dump(cb), &info))
			break;
		*last = id;
	}
	return skb->len;
}
