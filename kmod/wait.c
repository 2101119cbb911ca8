// SPDX-License-Identifier: GPL-2.0-only
/*
 * WAIT: which request of a file has something to read. A call waits on its request, or on its file
 * if it named none.
 */
#include <linux/errno.h>
#include <linux/list.h>

#include "args.h"
#include "call.h"
#include "client.h"
#include "commands.h"
#include "dmem.h"
#include "request.h"

int llm_wait_start(struct llm_call *call)
{
	const struct llm_wait *wait = &call->args.wait;

	if (wait->flags & ~LLM_WAIT_FLAGS || wait->pad ||
	    !llm_args_zero(wait->reserved, sizeof(wait->reserved)))
		return -EINVAL;
	if (wait->flags & LLM_WAIT_NONBLOCK)
		call->nonblock = true;
	call->waiter.parked = &call->client->parked;
	call->waiter.end_only = wait->flags & LLM_WAIT_END;
	call->deadline_ns = wait->deadline_ns;
	return 0;
}

/* The caller has to pay for something before he waits. */
#define LLM_WAIT_PAY	1

/* Return: 0 and a request; LLM_WAIT_PAY; EIOCBQUEUED the call is parked, or an error. */
static int llm_wait_look(struct llm_call *call, bool park, struct llm_request **ret_req)
{
	struct llm_client *client = call->client;
	const u64 id = call->args.wait.id;
	struct list_head *list = &client->waiters;
	struct llm_request *req;

	if (id) {
		req = llm_client_find(client, id);
		if (!req)
			return -ENOENT;
		list = &req->waiters;
		if (!llm_request_ready(req, 1, call->waiter.end_only))
			req = NULL;
	} else {
		if (list_empty(&client->requests))
			return -ENOENT;
		req = llm_client_next_ready(client, call->waiter.end_only);
		if (req)
			client->last_waited = req->id;
	}
	if (req) {
		*ret_req = req;
		return 0;
	}
	if (park && llm_dmem_owes(client))
		return LLM_WAIT_PAY;
	return park ? llm_waiter_park(&call->waiter, list) : -EAGAIN;
}

int llm_wait_attempt(struct llm_call *call, bool park)
{
	struct llm_request *req = NULL;
	int rc;

	do {
		llm_dmem_pay_dues(call->client);
		spin_lock(&llm_broker.lock);
		rc = llm_wait_look(call, park, &req);
		if (!rc) {
			call->args.wait.id = req->id;
			call->args.wait.state = req->state;
		}
		spin_unlock(&llm_broker.lock);
	} while (rc == LLM_WAIT_PAY);
	return rc ?: llm_args_write(call);
}
