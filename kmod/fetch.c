// SPDX-License-Identifier: GPL-2.0-only
/*
 * FETCH and PULL: what is due goes to the server. An event counts as delivered only when all of it
 * has been copied; if that fails, or if the request was cancelled meanwhile, the server has not
 * heard of it. Prompt and journal are copied without the lock, pinned by their count of users.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/uaccess.h>

#include "args.h"
#include "call.h"
#include "commands.h"
#include "queue.h"
#include "request.h"
#include "server.h"

/** llm_fetch_check() - is this a FETCH that could be made */
int llm_fetch_check(const struct llm_fetch *fetch)
{
	if (fetch->flags & ~LLM_FETCH_FLAGS || !(fetch->flags & LLM_FETCH_EVENTS) || fetch->pad ||
	    fetch->buf_len < sizeof(struct llm_event) ||
	    !llm_args_zero(fetch->reserved, sizeof(fetch->reserved)))
		return -EINVAL;
	return 0;
}

/* What the call asked for, whichever of the two commands it is. */
static struct llm_fetch llm_fetch_args(const struct llm_call *call)
{
	const struct llm_commit *commit = &call->args.commit;

	if (call->command->cmd == LLM_IOC_FETCH)
		return call->args.fetch;
	return (struct llm_fetch) {
		.flags = commit->fetch_flags,
		.buf = commit->fetch_buf,
		.buf_len = commit->fetch_len,
	};
}

int llm_fetch_start(struct llm_call *call)
{
	const struct llm_fetch fetch = llm_fetch_args(call);
	int err;

	err = llm_fetch_check(&fetch);
	if (err)
		return err;
	if (fetch.flags & LLM_FETCH_NONBLOCK)
		call->nonblock = true;
	llm_server_adopt(call->server);
	return 0;
}

static u32 llm_data_len(const struct llm_request *req)
{
	return req->prompt.len + req->journal.len;
}

/*
 * Copies a part of a request's data, as long as it was when @data_len was taken under the lock.
 * Return: bytes copied.
 */
static size_t llm_data_copy(const struct llm_request *req, u64 offset, size_t len,
			    struct iov_iter *to)
{
	const u32 prompt_len = req->spec.stop_len + req->spec.payload_len;
	size_t n = 0, done = 0;

	if (offset < prompt_len) {
		n = min_t(size_t, len, prompt_len - offset);
		done = llm_bytes_write_iter(&req->prompt, offset, n, to);
		if (done != n)
			return done;
	}
	if (n < len)
		done += llm_bytes_write_iter(&req->journal, offset + n - prompt_len, len - n, to);
	return done;
}

/* Under the lock: nobody commits to a request that is on its way. */
static void llm_event_fill(struct llm_event *event, const struct llm_request *req)
{
	const struct llm_submit *spec = &req->spec;

	event->op = spec->op;
	event->payload_type = spec->payload_type;
	event->flags = spec->flags;
	event->max_tokens = spec->max_tokens;
	event->sampling = spec->sampling;
	memcpy(event->model, spec->model, sizeof(event->model));
	event->stop_len = spec->stop_len;
	event->payload_len = spec->payload_len;
	event->journal_len = req->journal.len;
	event->cgroup_id = req->who.cgroup_id;
	event->output_bytes = req->output_bytes;
	event->prompt_tokens = req->prompt_tokens;
	event->output_tokens = req->output_tokens;
	event->attempts = req->attempts + 1;
}

/*
 * Finds an event for the call; under the lock.
 * Return: 0 and the call's event, its request's data pinned; ESTALE what the call was handed has
 * become moot since, EIOCBQUEUED the call is parked, EAGAIN, ESHUTDOWN.
 */
static int llm_fetch_look(struct llm_call *call, bool park, u32 mask, struct llm_event *event)
{
	struct llm_request *req;

	if (call->server->gone)
		return -ESHUTDOWN;
	if (!call->event.type && !llm_queue_take(call, mask))
		return park ? llm_waiter_park(&call->waiter, &call->server->fetchers) : -EAGAIN;
	if (llm_queue_moot(call))
		return -ESTALE;
	*event = (struct llm_event) {
		.size = sizeof(*event),
		.type = call->event.type,
		.id = call->event.id,
		.time_ns = call->event.time_ns,
	};
	req = call->event.req;
	if (req) {
		llm_event_fill(event, req);
		req->data_users++;
	}
	return 0;
}

/* Return: bytes written; EFAULT. */
static int llm_fetch_copy(const struct llm_fetch *fetch, const struct llm_request *req,
			  struct llm_event *event)
{
	struct iov_iter iter;
	int err;

	err = import_ubuf(ITER_DEST, u64_to_user_ptr(fetch->buf), fetch->buf_len, &iter);
	if (err)
		return err;
	if (req) {
		event->pid = llm_pid_for_reader(req->who.pid);
		event->uid = llm_uid_for_reader(req->who.uid);
		event->data_len = min_t(u32, fetch->buf_len - sizeof(*event),
					event->stop_len + event->payload_len + event->journal_len);
	}
	if (copy_to_iter(event, sizeof(*event), &iter) != sizeof(*event))
		return -EFAULT;
	if (req && llm_data_copy(req, 0, event->data_len, &iter) != event->data_len)
		return -EFAULT;
	return sizeof(*event) + event->data_len;
}

/*
 * Ends a delivery, one way or the other.
 * Return: the event has been dealt with; false: it was moot, and there may be another one.
 */
static bool llm_fetch_settle(struct llm_call *call, bool copied)
{
	struct llm_request *req = call->event.req;
	bool settled = true;
	LLM_DEFINE_TRASH(trash);

	spin_lock(&llm_broker.lock);
	if (copied)
		settled = llm_queue_delivered(call);
	else
		llm_queue_return(call);
	if (req)
		llm_request_data_unpin(req, &trash);
	spin_unlock(&llm_broker.lock);
	if (req)
		llm_request_put(req);
	llm_trash_empty(&trash);
	return settled;
}

int llm_fetch_attempt(struct llm_call *call, bool park)
{
	const struct llm_fetch fetch = llm_fetch_args(call);
	struct llm_event event;
	int rc;

	for (;;) {
		spin_lock(&llm_broker.lock);
		rc = llm_fetch_look(call, park, fetch.flags, &event);
		spin_unlock(&llm_broker.lock);
		if (rc == -ESTALE || rc == -ESHUTDOWN)
			llm_fetch_abandon(call);
		if (rc == -ESTALE)
			continue;
		if (rc)
			return rc;
		rc = llm_fetch_copy(&fetch, call->event.req, &event);
		if (llm_fetch_settle(call, rc >= 0))
			return rc;
	}
}

/** llm_fetch_abandon() - the call was handed something and will never take it */
void llm_fetch_abandon(struct llm_call *call)
{
	struct llm_request *req = call->event.req;

	if (!call->event.type)
		return;
	spin_lock(&llm_broker.lock);
	llm_queue_return(call);
	spin_unlock(&llm_broker.lock);
	if (req)
		llm_request_put(req);
}

/* Under the lock. Return: bytes to copy, the request pinned; or an error. */
static int llm_pull_look(struct llm_call *call, struct llm_request **ret_req)
{
	const struct llm_pull *pull = &call->args.pull;
	struct llm_request *req = llm_server_find(call->server, pull->id);

	if (!req)
		return -ENOENT;
	if (llm_request_over(req))
		return -ECANCELED;
	*ret_req = req;
	llm_request_get(req);
	req->data_users++;
	if (pull->offset >= llm_data_len(req))
		return 0;
	return min_t(u64, pull->buf_len, llm_data_len(req) - pull->offset);
}

static int llm_pull_copy(const struct llm_pull *pull, const struct llm_request *req, int len)
{
	struct iov_iter iter;
	int err;

	if (!len)
		return 0;
	err = import_ubuf(ITER_DEST, u64_to_user_ptr(pull->buf), len, &iter);
	if (err)
		return err;
	return llm_data_copy(req, pull->offset, len, &iter) == len ? len : -EFAULT;
}

int llm_pull_start(struct llm_call *call)
{
	const struct llm_pull *pull = &call->args.pull;
	struct llm_request *req;
	LLM_DEFINE_TRASH(trash);
	int rc;

	if (pull->flags || pull->pad || !llm_args_zero(pull->reserved, sizeof(pull->reserved)))
		return -EINVAL;
	spin_lock(&llm_broker.lock);
	rc = llm_pull_look(call, &req);
	spin_unlock(&llm_broker.lock);
	if (rc < 0)
		return rc;
	rc = llm_pull_copy(pull, req, rc);
	spin_lock(&llm_broker.lock);
	llm_request_data_unpin(req, &trash);
	spin_unlock(&llm_broker.lock);
	llm_request_put(req);
	llm_trash_empty(&trash);
	return rc;
}
