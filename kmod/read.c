// SPDX-License-Identifier: GPL-2.0-only
/*
 * READ: an answer goes out. Bytes are detached from the answer under the lock, copied without it,
 * and only forgotten when the copy and the caller's struct went well; until then the request is
 * marked as being read, so that READs of one request follow one another. Also the file way's
 * read() gets its bytes here.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/uaccess.h>

#include "args.h"
#include "call.h"
#include "charge.h"
#include "client.h"
#include "commands.h"
#include "dmem.h"
#include "limits.h"
#include "queue.h"
#include "read.h"
#include "request.h"

/* Bytes that are detached at once; keeps the lock short whatever the limits are. */
#define LLM_READ_ROUND	(64U * 1024)

/**
 * llm_answer_detach() - takes the next bytes of an answer
 * @req: is not being read
 * @room: bytes there is room for
 * @ret_answer: for llm_answer_finish(), which must follow
 */
void llm_answer_detach(struct llm_request *req, u32 room, struct llm_answer *ret_answer)
{
	lockdep_assert_held(&llm_broker.lock);
	WARN_ON_ONCE(req->reading);
	llm_bytes_init(&ret_answer->bytes);
	ret_answer->req = req;
	ret_answer->len = min3(room, req->unread, LLM_READ_ROUND);
	ret_answer->last = llm_request_over(req) && ret_answer->len == req->unread;
	llm_bytes_detach(&req->output, ret_answer->len, &ret_answer->bytes);
	req->reading = true;
	llm_request_get(req);
}

/* The reader has caught up. */
static void llm_answer_resume(struct llm_request *req)
{
	if (!req->waits_for_reader || req->unread >= llm_limit(max_unread_bytes) / 2)
		return;
	req->waits_for_reader = false;
	llm_charge_set_idle(req, false);
	if (req->state == LLM_STATE_PAUSED && !req->ledger.waits)
		llm_queue_go_on(req);
}

/**
 * llm_answer_finish() - bytes have been copied, or not
 * @answer: from llm_answer_detach(); its reference is given back, unless the request was forgotten
 *	meanwhile: then it still names it, and the caller has to put it
 * @taken: they have; else they are put back
 * @forget: and that was the end of it
 * @trash: takes what is left over
 */
void llm_answer_finish(struct llm_answer *answer, bool taken, bool forget,
		       struct llm_trash *trash)
{
	struct llm_request *req = answer->req;

	lockdep_assert_held(&llm_broker.lock);
	req->reading = false;
	if (!req->client) {
		/* Forgotten meanwhile. */
		llm_bytes_trash(&answer->bytes, &trash->chunks);
		return;
	}
	/* the broker has one */
	refcount_dec(&req->refs);
	answer->req = NULL;
	if (taken) {
		llm_bytes_skip(&answer->bytes, answer->len, &trash->chunks);
		req->unread -= answer->len;
	}
	llm_bytes_attach(&req->output, &answer->bytes);
	if (taken && forget) {
		llm_request_detach(req, trash);
		return;
	}
	llm_answer_resume(req);
	/* Another READ may have waited for this one. */
	llm_request_wake(req, trash);
}

static struct llm_read *llm_read_args(struct llm_call *call)
{
	return call->command->cmd == LLM_IOC_READ ? &call->args.read :
						    &call->args.submit_read.read;
}

/* Its outputs, from the first to the last, go back to the caller. Return: 0; EFAULT. */
static int llm_read_write(struct llm_call *call)
{
	const size_t start = (u8 *)llm_read_args(call) - (u8 *)&call->args;

	return llm_args_write_part(call, start + offsetof(struct llm_read, len),
				   start + offsetofend(struct llm_read, answer_bytes));
}

static void llm_read_report(struct llm_read *read, const struct llm_request *req, bool end)
{
	const bool over = llm_request_over(req);

	read->out_flags = end ? LLM_READ_END : 0;
	read->state = req->state;
	read->status = over ? req->status : 0;
	read->finish = over ? req->finish : LLM_FINISH_NONE;
	read->prompt_tokens = req->prompt_tokens;
	read->output_tokens = req->output_tokens;
	read->submit_ns = req->submit_ns;
	read->dispatch_ns = req->dispatch_ns;
	read->first_ns = req->first_ns;
	read->end_ns = req->end_ns;
	read->answer_bytes = req->answer_bytes;
}

int llm_read_start(struct llm_call *call)
{
	struct llm_read *read = llm_read_args(call);

	if (read->flags & ~LLM_READ_FLAGS ||
	    !llm_args_zero(read->reserved, sizeof(read->reserved)))
		return -EINVAL;
	if (read->flags & LLM_READ_NONBLOCK)
		call->nonblock = true;
	call->waiter.parked = &call->client->parked;
	call->done = 0;
	read->len = 0;
	return 0;
}

/* How many unread bytes make the next round worth while. */
static u32 llm_read_want(const struct llm_call *call, const struct llm_read *read)
{
	if (!(read->flags & LLM_READ_ALL) || call->nonblock)
		return 1;
	return clamp(read->buf_len - call->done, 1U, llm_limit(max_unread_bytes) / 2);
}

enum llm_read_step {
	LLM_READ_FINAL = 0,	/* bytes may be detached; the struct goes out and the call ends */
	LLM_READ_AGAIN = 1,	/* bytes are detached, and there is more to do after them */
	LLM_READ_PAY = 2,	/* the caller has to pay for something before he waits */
};

/* Is this round the call's last one? */
static enum llm_read_step llm_read_step(const struct llm_call *call, const struct llm_read *read,
					const struct llm_answer *answer)
{
	if (answer->last || call->done + answer->len == read->buf_len)
		return LLM_READ_FINAL;
	if (read->flags & LLM_READ_ALL && !call->nonblock)
		return LLM_READ_AGAIN;
	return answer->len < answer->req->unread ? LLM_READ_AGAIN : LLM_READ_FINAL;
}

/*
 * Finds out what can be done now; under the lock.
 * Return: enum llm_read_step; EIOCBQUEUED the call is parked, or an error.
 */
static int llm_read_look(struct llm_call *call, bool park, struct llm_answer *ret_answer)
{
	struct llm_read *read = llm_read_args(call);
	struct llm_request *req = llm_client_find(call->client, read->id);
	int step;

	ret_answer->req = NULL;
	if (!req)
		return -ENOENT;
	if (!read->buf_len) {
		llm_read_report(read, req, false);
		return LLM_READ_FINAL;
	}
	call->waiter.want = llm_read_want(call, read);
	if (!req->reading && llm_request_ready(req, call->waiter.want, false)) {
		llm_answer_detach(req, read->buf_len - call->done, ret_answer);
		step = llm_read_step(call, read, ret_answer);
		llm_read_report(read, req, ret_answer->last);
		return step;
	}
	if (!call->done || read->flags & LLM_READ_ALL) {
		if (park && llm_dmem_owes(call->client))
			return LLM_READ_PAY;
		if (park)
			return llm_waiter_park(&call->waiter, &req->waiters);
		if (!call->done || call->probe)
			return -EAGAIN;
	}
	read->len = call->done;
	llm_read_report(read, req, false);
	return LLM_READ_FINAL;
}

static int llm_read_copy(const struct llm_read *read, struct llm_call *call,
			 const struct llm_answer *answer)
{
	struct iov_iter iter;
	int err;

	if (!answer->len)
		return 0;
	err = llm_call_import(call, ITER_DEST, read->buf + call->done, answer->len, &iter);
	if (err)
		return err;
	if (llm_bytes_write_iter(&answer->bytes, 0, answer->len, &iter) != answer->len)
		return -EFAULT;
	return 0;
}

/*
 * Something went wrong. What earlier rounds have handed out is not taken back, and stands in the
 * struct since then; it is the call's result, and the error will come up in the next one.
 */
static int llm_read_cut(struct llm_call *call, int err)
{
	struct llm_read *read = llm_read_args(call);

	if (!call->done)
		return err;
	/* The last round may have got as far as to write over a part of it. */
	read->len = call->done;
	read->out_flags = 0;
	llm_read_write(call);
	return LLM_READ_FINAL;
}

/* Copies what was detached, and the struct. */
static int llm_read_deliver(struct llm_call *call, struct llm_answer *answer, int step)
{
	struct llm_read *read = llm_read_args(call);
	LLM_DEFINE_TRASH(trash);
	int err;

	read->len = call->done + answer->len;
	/* The struct in each round: only what the caller has been told of is taken away. */
	err = llm_read_copy(read, call, answer) ?: llm_read_write(call);
	spin_lock(&llm_broker.lock);
	llm_answer_finish(answer, !err, answer->last, &trash);
	spin_unlock(&llm_broker.lock);
	llm_request_put(answer->req);
	llm_trash_empty(&trash);
	if (!err) {
		call->done += answer->len;
		return step;
	}
	return llm_read_cut(call, err);
}

int llm_read_attempt(struct llm_call *call, bool park)
{
	struct llm_answer answer;
	int step;

	do {
		llm_dmem_pay_dues(call->client);
		spin_lock(&llm_broker.lock);
		step = llm_read_look(call, park, &answer);
		spin_unlock(&llm_broker.lock);
		if (step == LLM_READ_PAY)
			continue;
		if (step == -EIOCBQUEUED || (step == -EAGAIN && call->probe))
			return step;
		if (step < 0)
			return llm_read_cut(call, step);
		if (!answer.req)
			return llm_read_cut(call, llm_read_write(call));
		step = llm_read_deliver(call, &answer, step);
	} while (step > LLM_READ_FINAL);
	return step;
}
