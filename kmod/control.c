// SPDX-License-Identifier: GPL-2.0-only
/*
 * CANCEL: a client ends what it asked for, one request or all of its file.
 */
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/sched.h>

#include "args.h"
#include "call.h"
#include "client.h"
#include "commands.h"
#include "request.h"

static void llm_cancel_one(struct llm_request *req, u32 flags, struct llm_trash *trash)
{
	if (flags & LLM_CANCEL_FORGET)
		llm_request_detach(req, trash);
	else
		llm_request_cancel(req, trash);
}

/*
 * Cancels up to LLM_BATCH of a client's requests with ids above @after, up to @until.
 * Return: the last one's id; 0: there was none.
 */
static u64 llm_cancel_batch(struct llm_client *client, u64 after, u64 until, u32 flags)
{
	struct llm_request *req, *next;
	LLM_DEFINE_TRASH(trash);
	u64 last = 0;
	int n = 0;

	spin_lock(&llm_broker.lock);
	list_for_each_entry_safe(req, next, &client->requests, client_node) {
		if (req->id <= after)
			continue;
		if (req->id > until || n++ == LLM_BATCH)
			break;
		last = req->id;
		llm_cancel_one(req, flags, &trash);
	}
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	cond_resched();
	return last;
}

/* Those that are there now: who keeps submitting must not keep us here. */
static void llm_cancel_all(struct llm_client *client, u32 flags)
{
	u64 id = 0, until;

	spin_lock(&llm_broker.lock);
	until = llm_broker.last_id;
	spin_unlock(&llm_broker.lock);
	do
		id = llm_cancel_batch(client, id, until, flags);
	while (id);
}

int llm_cancel_start(struct llm_call *call)
{
	const struct llm_cancel *cancel = &call->args.cancel;
	struct llm_client *client = call->client;
	struct llm_request *req;
	LLM_DEFINE_TRASH(trash);

	if (cancel->flags & ~LLM_CANCEL_FLAGS ||
	    !llm_args_zero(cancel->reserved, sizeof(cancel->reserved)))
		return -EINVAL;
	if (cancel->flags & LLM_CANCEL_ALL) {
		if (cancel->id)
			return -EINVAL;
		llm_cancel_all(client, cancel->flags);
		return 0;
	}

	spin_lock(&llm_broker.lock);
	req = llm_client_find(client, cancel->id);
	if (req)
		llm_cancel_one(req, cancel->flags, &trash);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	return req ? 0 : -ENOENT;
}
