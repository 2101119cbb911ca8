// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is due for the server: see queue.h. Called under the broker's lock by whoever changes a
 * request or brings a FETCH; the timeout without a server is work of its own.
 */
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/timekeeping.h>

#include "broker.h"
#include "call.h"
#include "charge.h"
#include "limits.h"
#include "queue.h"
#include "request.h"
#include "server.h"
#include "session.h"
#include "throttle.h"
#include "trace.h"

/* A parked FETCH that takes such an event, one for nothing else if there is one, or NULL. */
static struct llm_call *llm_queue_fetcher(u32 event)
{
	struct llm_server *server = llm_broker.server;

	if (!server)
		return NULL;
	for (u32 mask = event; mask <= LLM_FETCH_EVENTS; mask++)
		if (mask & event && !list_empty(&server->fetchers[mask]))
			return list_first_entry(&server->fetchers[mask], struct llm_call,
						waiter.node);
	return NULL;
}

/**
 * llm_queue_insert() - puts a request into the queue of its kind, at its place by age
 * @req: in no queue
 */
void llm_queue_insert(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_tree_insert(&llm_broker.queues[llm_request_kind(req)], &req->queue_node, req->id);
}

/** llm_queue_remove() - takes a request out of its queue, if it is in there */
void llm_queue_remove(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_tree_remove(&llm_broker.queues[llm_request_kind(req)], &req->queue_node);
}

/** llm_queue_first() - Return: the oldest request that is queued, or NULL */
struct llm_request *llm_queue_first(enum llm_kind kind)
{
	struct llm_tree_node *node = llm_tree_first(&llm_broker.queues[kind]);

	lockdep_assert_held(&llm_broker.lock);
	return node ? container_of(node, struct llm_request, queue_node) : NULL;
}

static void llm_queue_hand(struct llm_request *req, struct llm_call *call)
{
	llm_request_set_state(req, LLM_STATE_RUNNING);
	req->server = call->server;
	req->handed_to = call;
	llm_request_get(req);
	call->event.type = LLM_EVENT_REQUEST;
	call->event.id = req->id;
	call->event.time_ns = req->submit_ns;
	call->event.req = req;
	call->event.session = NULL;
}

/* Who has been given a slot: to be handed out, or told to go on. NULL: nobody. */
static struct llm_request *llm_queue_next(bool may_start)
{
	struct llm_ticket *ticket;

	if (!llm_broker.stage.waiting)
		return NULL;
	ticket = llm_stage_next(&llm_broker.stage, may_start, ktime_get_ns());
	/* what it was granted may have used up its quota */
	llm_throttle_run();
	return ticket ? container_of(ticket, struct llm_request, ticket) : NULL;
}

static void llm_queue_resume(struct llm_request *req)
{
	llm_request_set_state(req, LLM_STATE_RUNNING);
	llm_charge_set_idle(req, false);
	trace_llm_resume(req);
	llm_queue_notify(req, LLM_EVENT_RESUME);
}

/** llm_queue_pause() - a request's server is being told to let go of it for now */
void llm_queue_pause(struct llm_request *req, enum llm_pause_reason reason)
{
	lockdep_assert_held(&llm_broker.lock);
	if (req->state == LLM_STATE_PAUSED)
		return;
	trace_llm_pause(req, reason);
	llm_queue_drop_notice(req);
	llm_request_set_state(req, LLM_STATE_PAUSED);
}

/** llm_queue_may_start() - Return: a FETCH waits for a request that needs compute */
bool llm_queue_may_start(void)
{
	return llm_queue_fetcher(LLM_FETCH_REQUEST);
}

/** llm_queue_run() - a slot has become free, or somebody wants one */
void llm_queue_run(void)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_throttle_served();
	while (llm_broker.stage.waiting && llm_broker.server && !llm_broker.server->gone) {
		struct llm_call *call = llm_queue_fetcher(LLM_FETCH_REQUEST);
		struct llm_request *req = llm_queue_next(call);

		if (!req)
			break;
		if (req->state == LLM_STATE_QUEUED) {
			llm_queue_hand(req, call);
			llm_waiter_wake(&call->waiter);
		} else {
			/* which may take a FETCH for requests, too */
			llm_queue_resume(req);
		}
	}
	llm_throttle_run();
}

/* A control request waits for nobody but the server. Return: it is on its way there. */
static bool llm_queue_begin_control(struct llm_request *req)
{
	struct llm_call *call = llm_queue_fetcher(LLM_FETCH_CONTROL);

	if (!call)
		return false;
	llm_queue_hand(req, call);
	llm_waiter_wake(&call->waiter);
	return true;
}

static void llm_queue_wait(struct llm_request *req, u64 now_ns)
{
	llm_ticket_wait(&llm_broker.stage, &req->ticket, now_ns);
	llm_throttle_waits(req);
}

/* A new request goes straight to a FETCH where nobody else wants anything. Return: it did. */
static bool llm_queue_begin(struct llm_request *req, u64 now_ns)
{
	struct llm_call *call = llm_queue_fetcher(LLM_FETCH_REQUEST);

	if (!call || llm_broker.server->gone ||
	    !llm_ticket_begin(&llm_broker.stage, &req->ticket, now_ns))
		return false;
	llm_queue_hand(req, call);
	llm_waiter_wake(&call->waiter);
	llm_throttle_run();
	return true;
}

/**
 * llm_queue_offer() - hands a request to a FETCH that waits for it, or queues it
 * @req: new, or not delivered
 * @now_ns: the time, which may be long after its submission
 */
void llm_queue_offer(struct llm_request *req, u64 now_ns)
{
	const bool competes = llm_request_kind(req) == LLM_KIND_COMPUTE;

	lockdep_assert_held(&llm_broker.lock);
	if (req->state != LLM_STATE_QUEUED)
		llm_request_set_state(req, LLM_STATE_QUEUED);
	if (competes ? llm_queue_begin(req, now_ns) : llm_queue_begin_control(req))
		return;
	if (!llm_tree_has(&req->queue_node))
		llm_queue_insert(req);
	if (competes) {
		llm_queue_wait(req, now_ns);
		llm_queue_run();
	}
	if (!llm_broker.server)
		llm_queue_timeout_start();
}

/** llm_queue_go_on() - a request that was paused for its reader could be stepped again */
void llm_queue_go_on(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	if (llm_request_kind(req) == LLM_KIND_CONTROL) {
		llm_queue_resume(req);
	} else {
		llm_queue_wait(req, ktime_get_ns());
		llm_queue_run();
	}
}

static void llm_queue_hand_notice(struct llm_request *req, struct llm_call *call)
{
	call->event.type = req->notice;
	call->event.id = req->id;
	call->event.time_ns = req->notice_ns;
	call->event.req = NULL;
	call->event.session = NULL;
	call->event.cgroup_id = 0;
	call->event.region = req->notice_region;
	call->event.bytes = req->ledger.asked[req->notice_region];
	llm_queue_drop_notice(req);
}

/* Makes a notice due; @place is the list's head, or its end. */
static void llm_queue_post(struct llm_request *req, u32 type, u64 time_ns, bool first)
{
	struct llm_call *call = llm_queue_fetcher(LLM_FETCH_NOTICE);

	llm_queue_drop_notice(req);
	req->notice = type;
	req->notice_ns = time_ns;
	if (call) {
		llm_queue_hand_notice(req, call);
		llm_waiter_wake(&call->waiter);
	} else if (first) {
		list_add(&req->notice_node, &llm_broker.notices);
	} else {
		list_add_tail(&req->notice_node, &llm_broker.notices);
	}
}

/**
 * llm_queue_notify() - has something to tell about a request that its server knows
 * @req: an earlier notice that was not delivered is forgotten
 * @type: LLM_EVENT_CANCEL, LLM_EVENT_RESUME or LLM_EVENT_RECLAIM
 */
void llm_queue_notify(struct llm_request *req, u32 type)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_queue_post(req, type, ktime_get_ns(), false);
}

/** llm_queue_drop_notice() - there is nothing to tell any more */
void llm_queue_drop_notice(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	req->notice = 0;
	list_del_init(&req->notice_node);
}

/* Hands a FETCH what there is to tell that is not about a request. Return: it was handed something. */
static bool llm_queue_take_news(struct llm_call *call)
{
	return llm_charge_take_notice(call) || llm_session_take_notice(call);
}

/** llm_queue_tell() - there is something to tell about a cgroup or a session */
void llm_queue_tell(void)
{
	struct llm_call *call;

	lockdep_assert_held(&llm_broker.lock);
	while ((call = llm_queue_fetcher(LLM_FETCH_NOTICE)) && llm_queue_take_news(call))
		llm_waiter_wake(&call->waiter);
}

/**
 * llm_queue_take() - hands a FETCH what is due
 * @call: has no event; not parked
 * @mask: LLM_FETCH_* events it takes; notices come first, compute last
 *
 * Return: it was handed one.
 */
bool llm_queue_take(struct llm_call *call, u32 mask)
{
	struct llm_request *req;

	lockdep_assert_held(&llm_broker.lock);
	for (;;) {
		if (mask & LLM_FETCH_NOTICE && !list_empty(&llm_broker.notices)) {
			llm_queue_hand_notice(list_first_entry(&llm_broker.notices,
							       struct llm_request, notice_node),
					      call);
			return true;
		}
		if (mask & LLM_FETCH_NOTICE && llm_queue_take_news(call))
			return true;
		req = mask & LLM_FETCH_CONTROL ? llm_queue_first(LLM_KIND_CONTROL) : NULL;
		if (!req && mask & LLM_FETCH_REQUEST)
			req = llm_queue_next(true);
		if (!req && mask & LLM_FETCH_REQUEST)
			llm_stage_contend(&llm_broker.stage);
		if (!req)
			return false;
		if (req->state == LLM_STATE_QUEUED)
			break;
		llm_queue_resume(req);
	}
	llm_queue_hand(req, call);
	return true;
}

/* The state in which a request is while this is to be told about it. */
static enum llm_state llm_queue_notice_state(u32 type)
{
	switch (type) {
	case LLM_EVENT_CANCEL:
		return LLM_STATE_CANCELLING;
	case LLM_EVENT_RECLAIM:
		return LLM_STATE_PAUSED;
	default:
		return LLM_STATE_RUNNING;
	}
}

/**
 * llm_queue_moot() - what a call was handed has been overtaken by events
 * @call: with an event
 *
 * Return: the request was cancelled or recovered before the server heard of it; or what there was
 * to tell about it is no longer so.
 */
bool llm_queue_moot(const struct llm_call *call)
{
	const struct llm_request *req = call->event.req;

	lockdep_assert_held(&llm_broker.lock);
	if (req)
		return req->handed_to != call;
	if (call->event.session)
		return false;
	if (call->event.cgroup_id)
		return llm_charge_notice_moot(call);
	req = llm_request_find(call->event.id);
	return !req || req->server != call->server || req->notice ||
	       req->state != llm_queue_notice_state(call->event.type) ||
	       (call->event.type == LLM_EVENT_RECLAIM &&
		!req->ledger.asked[call->event.region]);
}

/* The caller still has to put the request. */
static void llm_queue_forget(struct llm_call *call)
{
	call->event.type = 0;
	call->event.req = NULL;
	call->event.session = NULL;
	call->event.cgroup_id = 0;
}

/* A server has it for the first time. */
static void llm_queue_dispatched(struct llm_request *req)
{
	struct llm_tally once = { .dispatched = 1 };

	req->dispatch_ns = req->told_ns;
	once.queued_ns = req->dispatch_ns - req->submit_ns;
	if (req->leaf)
		llm_tenant_tally(&req->leaf->share.tenant, &once);
}

/**
 * llm_queue_delivered() - the server has been told
 * @call: forgets its event; the caller still has to put the request
 *
 * Return: false if the event had become moot: the server must not hear of it.
 */
bool llm_queue_delivered(struct llm_call *call)
{
	struct llm_request *req = call->event.req;
	const bool moot = llm_queue_moot(call);

	if (call->event.session)
		llm_session_forget(call->event.session);
	llm_queue_forget(call);
	if (!req || moot)
		return !moot;
	req->handed_to = NULL;
	req->attempts++;
	trace_llm_dispatch(req);
	llm_session_heard(req);
	req->told_ns = ktime_get_ns();
	if (!req->dispatch_ns)
		llm_queue_dispatched(req);
	return true;
}

/**
 * llm_queue_return() - the server could not be told
 * @call: forgets its event, which is due again unless it is moot; the caller still has to put the
 *	request
 */
void llm_queue_return(struct llm_call *call)
{
	const u32 type = call->event.type;
	struct llm_request *req = call->event.req;
	bool moot = llm_queue_moot(call);

	/* either may hand it to this very call's successor, never to this call */
	if (!moot && call->event.session) {
		llm_session_return_notice(call);
		moot = true;
	} else if (!moot && call->event.cgroup_id) {
		llm_charge_return_notice(call);
		moot = true;
	}
	llm_queue_forget(call);
	if (moot)
		return;
	if (req) {
		const u64 now_ns = ktime_get_ns();

		req->handed_to = NULL;
		req->server = NULL;
		llm_ticket_end(&llm_broker.stage, &req->ticket, now_ns);
		llm_queue_offer(req, now_ns);
	} else {
		llm_queue_post(llm_request_find(call->event.id), type, call->event.time_ns, true);
	}
}

/**
 * llm_queue_recover() - the request's server is gone
 * @req: RUNNING, PAUSED or CANCELLING
 * @trash: takes it, if it was cancelled and its client is gone as well
 */
void llm_queue_recover(struct llm_request *req, struct llm_trash *trash)
{
	const u64 now_ns = ktime_get_ns();

	lockdep_assert_held(&llm_broker.lock);
	if (req->state == LLM_STATE_CANCELLING) {
		llm_request_end(req, -ECANCELED, LLM_FINISH_NONE, now_ns, trash);
		return;
	}
	if (!req->handed_to) {
		llm_broker.recovered++;
		trace_llm_requeue(req);
	}
	llm_queue_drop_notice(req);
	llm_ticket_end(&llm_broker.stage, &req->ticket, now_ns);
	req->waits_for_reader = false;
	llm_charge_release(req);
	req->server = NULL;
	req->handed_to = NULL;
	llm_request_set_state(req, LLM_STATE_QUEUED);
	if (llm_request_kind(req) == LLM_KIND_COMPUTE)
		llm_queue_wait(req, now_ns);
	llm_throttle_run();
}

/* The oldest request of a kind whose time is up, or NULL; else @next_ns is lowered to its time. */
static struct llm_request *llm_queue_overdue(int kind, u64 now_ns, u64 *next_ns)
{
	const u64 timeout_ns = llm_limit(recover_timeout_s) * (u64)NSEC_PER_SEC;
	struct llm_request *req = llm_queue_first(kind);
	u64 due_ns;

	if (!req)
		return NULL;
	due_ns = max(req->submit_ns, llm_broker.serverless_ns) + timeout_ns;
	if (due_ns <= now_ns)
		return req;
	*next_ns = min(*next_ns, due_ns);
	return NULL;
}

/* Ends what is overdue, LLM_BATCH at most. Return: the time to look again, U64_MAX: never. */
static u64 llm_queue_expire_batch(struct llm_trash *trash)
{
	const u64 now_ns = ktime_get_ns();
	u64 next_ns = U64_MAX;
	int n = 0;

	for (int kind = 0; kind < LLM_KINDS; kind++) {
		struct llm_request *req;

		while ((req = llm_queue_overdue(kind, now_ns, &next_ns))) {
			if (n++ == LLM_BATCH)
				return now_ns;
			llm_request_end(req, -ECONNRESET, LLM_FINISH_NONE, now_ns, trash);
		}
	}
	return next_ns;
}

/* Under the lock, as all that starts the work: so the next time is never one that is too late. */
static void llm_queue_timeout_set(unsigned long delay)
{
	cancel_delayed_work(&llm_broker.expiry);
	schedule_delayed_work(&llm_broker.expiry, delay);
}

/** llm_queue_expire() - ends the requests that waited too long for a server */
void llm_queue_expire(struct work_struct *work)
{
	u64 now_ns, next_ns = U64_MAX;
	LLM_DEFINE_TRASH(trash);

	spin_lock(&llm_broker.lock);
	if (!llm_broker.server)
		next_ns = llm_queue_expire_batch(&trash);
	now_ns = ktime_get_ns();
	if (next_ns != U64_MAX)
		llm_queue_timeout_set(next_ns > now_ns ?
				      nsecs_to_jiffies(next_ns - now_ns) + 1 : 0);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
}

/** llm_queue_timeout_start() - a request begins to wait for a server; its time comes last */
void llm_queue_timeout_start(void)
{
	lockdep_assert_held(&llm_broker.lock);
	schedule_delayed_work(&llm_broker.expiry, llm_limit(recover_timeout_s) * HZ);
}

/**
 * llm_queue_timeout_changed() - the times of all that wait are to be looked at again
 *
 * Context: under the lock of the module's parameters.
 */
void llm_queue_timeout_changed(void)
{
	if (!llm_broker.ready)
		return;
	spin_lock(&llm_broker.lock);
	llm_queue_timeout_set(0);
	spin_unlock(&llm_broker.lock);
}
