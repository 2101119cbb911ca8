// SPDX-License-Identifier: GPL-2.0-only
/*
 * FETCH and PULL: what is due goes to the server. An event counts as delivered only when all of it
 * has been copied; if that fails, or if the request was cancelled meanwhile, the server has not
 * heard of it. Prompt, journal and past are copied without the lock, pinned by their count of users.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/uaccess.h>

#include "args.h"
#include "buffer.h"
#include "call.h"
#include "commands.h"
#include "queue.h"
#include "request.h"
#include "server.h"
#include "session.h"

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

static u32 llm_fetch_flags(const struct llm_call *call)
{
	return call->command->cmd == LLM_IOC_FETCH ? call->args.fetch.flags :
						     call->args.commit.fetch_flags;
}

/** llm_fetch_begin() - what was checked is to be carried out */
void llm_fetch_begin(struct llm_call *call)
{
	if (llm_fetch_flags(call) & LLM_FETCH_NONBLOCK)
		call->nonblock = true;
	llm_server_adopt(call->server);
}

int llm_fetch_start(struct llm_call *call)
{
	int err = llm_fetch_check(&call->args.fetch);

	if (!err)
		llm_fetch_begin(call);
	return err;
}

/** llm_fetch_parks() - a server that is waited for looks first; one that waits need not */
bool llm_fetch_parks(const struct llm_call *call)
{
	return llm_queue_quiet();
}

static u64 llm_data_len(const struct llm_request *req)
{
	return (u64)req->spec.stop_len + req->spec.payload_len + req->journal_told +
	       llm_past_len(req->past);
}

/* Copies a part of what is behind the payload. Return: bytes copied. */
static size_t llm_data_copy_tail(const struct llm_request *req, u32 journal_len, u64 offset,
				 size_t len, struct iov_iter *to)
{
	size_t n, done = 0;

	if (offset < journal_len) {
		n = min_t(u64, len, journal_len - offset);
		done = llm_bytes_write_iter(&req->journal, offset, n, to);
		if (done != n)
			return done;
	}
	if (done < len)
		done += llm_past_copy(req->past, offset + done - journal_len, len - done, to);
	return done;
}

/*
 * Copies a part of a request's data: with as much of the journal as the server was told of,
 * @journal_len bytes, whatever has been added since. The request does not say: another server may
 * just be told more. Return: bytes copied.
 */
static size_t llm_data_copy(const struct llm_request *req, u32 journal_len, u64 offset, size_t len,
			    struct iov_iter *to)
{
	const u64 data_end = (u64)req->spec.stop_len + req->spec.payload_len;
	const u64 prompt_end = req->buffer ? req->spec.stop_len : data_end;
	size_t n, done = 0;

	if (offset < prompt_end) {
		n = min_t(u64, len, prompt_end - offset);
		done = llm_bytes_write_iter(&req->prompt, offset, n, to);
		if (done != n)
			return done;
	}
	offset += done;
	if (done < len && offset < data_end) {
		const size_t copied = llm_pin_copy(&req->buffer->pin,
						   req->spec.payload + (offset - prompt_end),
						   n = min_t(u64, len - done, data_end - offset), to);

		done += copied;
		offset += copied;
		if (copied != n)
			return done;
	}
	if (done < len)
		done += llm_data_copy_tail(req, journal_len, offset - data_end, len - done, to);
	return done;
}

static void llm_event_fill_session(struct llm_event *event, const struct llm_request *req)
{
	if (!req->session)
		return;
	event->session = req->session->id;
	event->session_len = llm_past_len(req->past);
	event->past_session = req->past ? req->past->maker->id : 0;
}

static void llm_event_fill_buffers(struct llm_event *event, const struct llm_request *req)
{
	if (req->buffer) {
		event->buffer = llm_buffer_id(req->buffer);
		event->buffer_len = llm_buffer_len(req->buffer);
		event->payload_offset = req->spec.payload;
	}
	if (req->answer_buffer) {
		event->answer_buffer = llm_buffer_id(req->answer_buffer);
		event->answer_buffer_len = llm_buffer_len(req->answer_buffer);
		event->answer_offset = req->spec.answer_offset;
		event->answer_len = req->spec.answer_len;
		event->answer_bytes = req->answer_bytes;
	}
}

/* Nobody commits to a request that is on its way, and its data is pinned. */
static void llm_event_fill(struct llm_event *event, const struct llm_request *req,
			   u32 journal_len)
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
	event->journal_len = journal_len;
	event->cgroup_id = req->who.cgroup_id;
	event->output_bytes = req->output_bytes;
	event->prompt_tokens = req->prompt_tokens;
	event->output_tokens = req->output_tokens;
	event->attempts = req->attempts + 1;
	event->sched_class = spec->sched_class;
	event->domain_cgroup = req->domain_cgroup;
	event->pid = llm_pid_for_reader(req->who.pid);
	event->uid = llm_uid_for_reader(req->who.uid);
	event->domain_uid = req->domain_shared ? ~0U : event->uid;
	llm_event_fill_buffers(event, req);
	llm_event_fill_session(event, req);
}

/* Bytes of data to go with an event: a payload that can be mapped is not copied unasked. */
static u64 llm_event_data(const struct llm_event *event)
{
	if (event->flags & LLM_SUBMIT_BUFFER)
		return event->stop_len;
	return (u64)event->stop_len + event->payload_len + event->journal_len +
	       event->session_len;
}

/* What a server calls a region of the broker's; it has charged something there. */
static u32 llm_region_for_server(const struct llm_server *server, u32 region)
{
	u32 i = 0;

	while (i < server->region_count && server->regions[i] != region)
		i++;
	return i;
}

/*
 * Finds an event for the call; under the lock.
 * Return: 0 and the call's event, its request's data pinned; ESTALE what the call was handed has
 * become moot since, EIOCBQUEUED the call is parked, EAGAIN, ESHUTDOWN.
 */
static int llm_fetch_look(struct llm_call *call, bool park, u32 mask)
{
	if (call->server->gone)
		return -ESHUTDOWN;
	if (!call->event.type && !llm_queue_take(call, mask))
		return park ? llm_waiter_park(&call->waiter,
					      &call->server->fetchers[mask & LLM_FETCH_EVENTS]) :
			      -EAGAIN;
	if (llm_queue_moot(call))
		return -ESTALE;
	if (call->event.req) {
		call->event.req->data_users++;
		call->event.req->journal_told = call->event.req->journal.len;
		call->event.journal_len = call->event.req->journal_told;
	}
	return 0;
}

/* Writes the event, and the data there is room for. Return: bytes written; EFAULT. */
static noinline int llm_fetch_copy(const struct llm_call *call)
{
	const struct llm_fetch fetch = llm_fetch_args(call);
	const struct llm_request *req = call->event.req;
	void __user *buf = u64_to_user_ptr(fetch.buf);
	struct llm_event event = {
		.size = sizeof(event),
		.type = call->event.type,
		.id = call->event.id,
		.time_ns = call->event.time_ns,
	};
	struct iov_iter iter;
	int err;

	if (req) {
		llm_event_fill(&event, req, call->event.journal_len);
		event.data_len = min_t(u64, fetch.buf_len - sizeof(event),
				       llm_event_data(&event));
	} else if (event.type == LLM_EVENT_RECLAIM) {
		event.cgroup_id = call->event.cgroup_id;
		event.region = llm_region_for_server(call->server, call->event.region);
		event.bytes = call->event.bytes;
	}
	err = llm_words_write(buf, &event, sizeof(event));
	if (err || !event.data_len)
		return err ?: (int)sizeof(event);
	err = import_ubuf(ITER_DEST, buf + sizeof(event), event.data_len, &iter);
	if (err)
		return err;
	if (llm_data_copy(req, call->event.journal_len, 0, event.data_len, &iter) !=
	    event.data_len)
		return -EFAULT;
	return sizeof(event) + event.data_len;
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
	const u32 flags = llm_fetch_flags(call);
	int rc;

	for (;;) {
		spin_lock(&llm_broker.lock);
		rc = llm_fetch_look(call, park, flags);
		spin_unlock(&llm_broker.lock);
		if (rc == -ESTALE || rc == -ESHUTDOWN)
			llm_fetch_abandon(call);
		if (rc == -ESTALE)
			continue;
		if (rc)
			return rc;
		rc = llm_fetch_copy(call);
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

/* Under the lock. Return: bytes to copy, the request pinned, its journal so long; or an error. */
static int llm_pull_look(struct llm_call *call, struct llm_request **ret_req,
			 u32 *ret_journal_len)
{
	const struct llm_pull *pull = &call->args.pull;
	struct llm_request *req = llm_server_find(call->server, pull->id);

	if (!req)
		return -ENOENT;
	if (llm_request_over(req))
		return -ECANCELED;
	*ret_req = req;
	*ret_journal_len = req->journal_told;
	llm_request_get(req);
	req->data_users++;
	if (pull->offset >= llm_data_len(req))
		return 0;
	return min_t(u64, pull->buf_len, llm_data_len(req) - pull->offset);
}

static int llm_pull_copy(const struct llm_pull *pull, const struct llm_request *req,
			 u32 journal_len, int len)
{
	struct iov_iter iter;
	int err;

	if (!len)
		return 0;
	err = import_ubuf(ITER_DEST, u64_to_user_ptr(pull->buf), len, &iter);
	if (err)
		return err;
	return llm_data_copy(req, journal_len, pull->offset, len, &iter) == len ? len : -EFAULT;
}

int llm_pull_start(struct llm_call *call)
{
	const struct llm_pull *pull = &call->args.pull;
	struct llm_request *req;
	LLM_DEFINE_TRASH(trash);
	u32 journal_len;
	int rc;

	if (pull->flags || pull->pad || !llm_args_zero(pull->reserved, sizeof(pull->reserved)))
		return -EINVAL;
	spin_lock(&llm_broker.lock);
	rc = llm_pull_look(call, &req, &journal_len);
	spin_unlock(&llm_broker.lock);
	if (rc < 0)
		return rc;
	rc = llm_pull_copy(pull, req, journal_len, rc);
	spin_lock(&llm_broker.lock);
	llm_request_data_unpin(req, &trash);
	spin_unlock(&llm_broker.lock);
	llm_request_put(req);
	llm_trash_empty(&trash);
	return rc;
}
