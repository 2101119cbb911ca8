// SPDX-License-Identifier: MIT
/*
 * What must be so of the broker at any time: lists, trees, counts and states agree with each other,
 * and with what is known of each request from outside. Called by the driver after each step.
 */
#include "world.h"

#include "kmod/broker.h"
#include "kmod/buffer.h"
#include "kmod/client.h"
#include "kmod/limits.h"
#include "kmod/queue.h"
#include "kmod/quota.h"
#include "kmod/request.h"
#include "kmod/server.h"

#include "audit.h"
#include "sessions.h"

/* Bytes that parked READs of a request have been handed, and will report at their end. */
static u32 in_hands(u64 id)
{
	u32 n = 0;

	for (int i = 0; i < CALLS; i++) {
		const struct llm_call *call = &world.calls[i].call;

		if (!world.calls[i].used || !call->done)
			continue;
		if (id == (call->command->cmd == LLM_IOC_READ ? call->args.read.id :
							    call->args.submit_read.read.id))
			n += call->done;
	}
	return n;
}

/* Where it stands in the competition for compute follows from where it is. */
static void check_ticket(const struct llm_request *req)
{
	const struct llm_ticket *ticket = &req->ticket;

	WARN_ON((req->leaf != NULL) != (llm_request_kind(req) == LLM_KIND_COMPUTE));
	WARN_ON(req->waits_for_reader && req->state != LLM_STATE_PAUSED && !llm_request_over(req));
	if (!req->leaf)
		return;
	switch (req->state) {
	case LLM_STATE_QUEUED:
		WARN_ON(ticket->state != LLM_TICKET_WAITS || ticket->begun);
		break;
	case LLM_STATE_RUNNING:
		WARN_ON(ticket->state != LLM_TICKET_RUNS);
		break;
	case LLM_STATE_PAUSED:
		WARN_ON(ticket->state != (req->waits_for_reader || req->ledger.waits ?
					  LLM_TICKET_AWAY : LLM_TICKET_WAITS));
		break;
	case LLM_STATE_CANCELLING:
		WARN_ON(ticket->state != LLM_TICKET_AWAY || !ticket->begun);
		break;
	case LLM_STATE_ENDED:
		WARN_ON(ticket->state != LLM_TICKET_AWAY || ticket->begun);
		break;
	}
}

/* What was copied of a request. */
static u32 prompt_bytes(const struct llm_request *req)
{
	return req->spec.stop_len + (req->spec.buffer ? 0 : req->spec.payload_len);
}

static void check_request(const struct llm_request *req)
{
	const bool held = req->state >= LLM_STATE_RUNNING && req->state <= LLM_STATE_CANCELLING;

	WARN_ON(req->refs.count < 1);
	WARN_ON(!req->user);
	WARN_ON(held != (req->server != NULL));
	WARN_ON(req->handed_to && req->state != LLM_STATE_RUNNING);
	WARN_ON(req->handed_to && req->handed_to->event.req != req);
	WARN_ON(!req->client && req->state != LLM_STATE_CANCELLING);
	WARN_ON(req->reading || req->data_users);
	check_ticket(req);
	WARN_ON(req->client && req->unread != req->output.len);
	WARN_ON(llm_request_over(req) && (req->prompt.len || req->journal.len));
	WARN_ON(!llm_request_over(req) && req->prompt.len != prompt_bytes(req));
	WARN_ON((req->spec.buffer != 0) != (req->buffer != NULL) &&
		req->state != LLM_STATE_ENDED);
	WARN_ON((req->buffer || req->answer_buffer) && req->state == LLM_STATE_ENDED);
	WARN_ON(llm_request_over(req) != (req->end_ns != 0));
	WARN_ON(req->notice && list_empty(&req->notice_node));
	WARN_ON(req->notice == LLM_EVENT_CANCEL && req->state != LLM_STATE_CANCELLING);
	WARN_ON(req->notice == LLM_EVENT_RESUME && req->state != LLM_STATE_RUNNING);
	WARN_ON(req->notice == LLM_EVENT_RECLAIM && req->state != LLM_STATE_PAUSED);
	WARN_ON(req->id < IDS && req->output_bytes != world.known[req->id].committed);
	WARN_ON(req->id < IDS && req->client &&
		world.known[req->id].read + in_hands(req->id) + req->unread !=
		world.known[req->id].committed);
}

static u32 check_tree(const struct rb_node *node, u64 low, u64 high)
{
	const struct llm_request *req;

	if (!node)
		return 0;
	req = rb_entry(node, const struct llm_request, by_id);
	WARN_ON(req->id <= low || req->id >= high);
	check_request(req);
	return 1 + check_tree(node->rb_left, low, req->id) +
	       check_tree(node->rb_right, req->id, high);
}

const struct llm_request *queued_after(int kind, u64 id)
{
	const struct llm_tree_node *node = llm_tree_after(&llm_broker.queues[kind], id);

	return node ? container_of(node, const struct llm_request, queue_node) : NULL;
}

static u32 check_queue(int kind)
{
	const struct llm_request *req;
	u64 last = 0;
	u32 n = 0;

	while ((req = queued_after(kind, last))) {
		WARN_ON(!list_empty(&req->state_node));
		WARN_ON(req->state != LLM_STATE_QUEUED || req->id <= last);
		WARN_ON((int)llm_request_kind(req) != kind);
		last = req->id;
		n++;
	}
	return n;
}

static u32 check_states(void)
{
	u32 n = 0;

	for (int state = LLM_STATE_RUNNING; state <= LLM_STATE_ENDED; state++) {
		const struct llm_request *req;

		list_for_each_entry(req, &llm_broker.states[state], state_node) {
			WARN_ON((int)req->state != state);
			WARN_ON(req->server && req->server != llm_broker.server);
			n += state != LLM_STATE_ENDED;
		}
	}
	WARN_ON(!list_empty(&llm_broker.states[LLM_STATE_QUEUED]));
	return n;
}

static const struct llm_request *request_after(u64 id)
{
	const struct llm_request *req;

	spin_lock(&llm_broker.lock);
	req = llm_request_after(id);
	spin_unlock(&llm_broker.lock);
	return req;
}

/* Those that are queued although they could be handed out are kept back by a quota. */
static void check_kept(void)
{
	const struct llm_request *req = NULL;

	while ((req = queued_after(LLM_KIND_COMPUTE, req ? req->id : 0)))
		WARN_ON(!llm_tenant_kept(&req->leaf->share.tenant, LLM_WANT_START));
}

/* Who does not want to wait for a quota does not, once the work has run. */
static void check_impatient(void)
{
	const struct llm_request *req;
	u32 n = 0;

	list_for_each_entry(req, &llm_broker.throttle.impatient, impatient_node) {
		WARN_ON(!(req->spec.flags & LLM_SUBMIT_EDQUOT) || llm_request_over(req));
		WARN_ON(!llm_broker.throttle.work.pending &&
			req->ticket.state == LLM_TICKET_WAITS &&
			llm_tenant_kept(&req->leaf->share.tenant, req->ticket.begun ?
					LLM_WANT_GO_ON : LLM_WANT_START));
		n++;
	}
	WARN_ON(n != llm_broker.throttle.impatient_count);
	WARN_ON(n != llm_broker.stage.policy.root.impatient);
}

/* Nothing is due while a FETCH that takes it is parked. */
static void check_fetchers(void)
{
	const struct llm_stage *stage = &llm_broker.stage;

	for (u32 mask = 0; llm_broker.server && mask <= LLM_FETCH_EVENTS; mask++) {
		const struct list_head *fetchers = &llm_broker.server->fetchers[mask];
		const struct llm_call *call;

		list_for_each_entry(call, fetchers, waiter.node) {
			const u32 flags = call->command->cmd == LLM_IOC_FETCH ?
					  call->args.fetch.flags : call->args.commit.fetch_flags;

			WARN_ON((flags & LLM_FETCH_EVENTS) != mask);
			WARN_ON(call->event.type);
		}
		if (list_empty(fetchers))
			continue;
		WARN_ON(mask & LLM_FETCH_NOTICE && !list_empty(&llm_broker.notices));
		WARN_ON(mask & LLM_FETCH_NOTICE && !list_empty(&llm_broker.reclaims));
		WARN_ON(mask & LLM_FETCH_NOTICE && !list_empty(&llm_broker.farewells));
		WARN_ON(mask & LLM_FETCH_CONTROL &&
			!llm_tree_empty(&llm_broker.queues[LLM_KIND_CONTROL]));
		if (mask & LLM_FETCH_REQUEST && stage->running < stage->slots &&
		    !llm_broker.throttle.work.pending)
			check_kept();
	}
}

/* The tree of tenants is there as far as somebody needs it, and its sums are right. */
static void check_stage(void)
{
	const struct llm_usage *usage = &llm_broker.stage.policy.root.usage;
	const struct llm_pressure *pressure = &llm_broker.stage.policy.root.pressure;
	const struct llm_stock *stock = &llm_broker.stage.policy.stock;
	u32 running = 0, waiting = 0, begun = 0, queued = 0, members = 0, quotas = 0, last = 0;
	const struct llm_group *group;

	for (u64 id = 0;;) {
		const struct llm_request *req = request_after(id);

		if (!req)
			break;
		running += req->ticket.state == LLM_TICKET_RUNS;
		queued += req->ticket.state == LLM_TICKET_WAITS && !req->ticket.begun;
		begun += req->ticket.begun;
		waiting += req->ticket.state == LLM_TICKET_WAITS || req->ticket.stalled;
		id = req->id;
	}
	WARN_ON(running != llm_broker.stage.running || queued != usage->queued ||
		begun != usage->in_flight + stock->in_flight);
	WARN_ON(pressure->running + stock->in_flight != running || pressure->waiting != waiting);
	WARN_ON(!stock->leaf ? stock->in_flight : waiting);
	for (int i = 0; i < LLM_MEMBER_BUCKETS; i++)
		members += !hlist_empty(&llm_broker.members[i]);
	list_for_each_entry(group, &llm_broker.quotas, quota_node)
		quotas++;
	WARN_ON(quotas != llm_broker.quota_count);
	WARN_ON(members + quotas && RB_EMPTY_ROOT(&llm_broker.groups));
	/* an open file keeps the leaf that asked last */
	for (int i = 0; i < CLIENTS; i++)
		last += world.clients[i] && world.clients[i]->leaf;
	WARN_ON(!llm_broker.requests && members > last);
	WARN_ON(!llm_broker.requests && !llm_broker.server && !quotas && !last &&
		!RB_EMPTY_ROOT(&llm_broker.groups));
	WARN_ON(llm_policy_next_ns(&llm_broker.stage.policy) < llm_broker.throttle.due_ns);
	WARN_ON(llm_broker.throttle.due_ns != UINT64_MAX && !llm_broker.throttle.timer.armed &&
		!llm_broker.throttle.work.pending);
}

static void check_users(void)
{
	u32 requests = 0;
	u64 bytes = 0, owed = 0;

	for (int i = 0; i < LLM_USER_BUCKETS; i++) {
		const struct llm_user *user;

		hlist_for_each_entry(user, &llm_broker.users[i], node) {
			WARN_ON(!user->refs);
			requests += user->requests;
			bytes += user->bytes;
		}
	}
	WARN_ON(requests != llm_broker.requests);
	for (u64 id = 0;;) {
		const struct llm_request *req = request_after(id);

		if (!req)
			break;
		owed += prompt_bytes(req);
		id = req->id;
	}
	for (int i = 0; i < CLIENTS; i++)
		if (world.clients[i] && world.clients[i]->prompt_user)
			owed += world.clients[i]->prompt.len;
	WARN_ON(bytes != owed);
}

static void check_client(const struct llm_client *client)
{
	const struct llm_request *req;
	u64 last = 0;
	u32 n = 0, parked = 0;

	list_for_each_entry(req, &client->requests, client_node) {
		WARN_ON(req->client != client || req->id <= last);
		last = req->id;
		n++;
	}
	WARN_ON(n != client->admitted);
	for (int i = 0; i < CALLS; i++)
		parked += world.calls[i].used && world.calls[i].call.client == client &&
			  !list_empty(&world.calls[i].call.waiter.node);
	WARN_ON(parked != client->parked);
}

/* A buffer is alive as long as its file or a request uses it. */
static u32 check_buffer(const struct rb_node *node)
{
	const struct llm_buffer *buffer;
	u32 uses = 0;

	if (!node)
		return 0;
	buffer = rb_entry(node, const struct llm_buffer, by_first);
	for (int i = 0; i < CLIENTS; i++) {
		const struct llm_buffer *other;

		if (!world.clients[i])
			continue;
		list_for_each_entry(other, &world.clients[i]->buffers, node)
			uses += other == buffer;
	}
	for (u64 id = 0;;) {
		const struct llm_request *req = request_after(id);

		if (!req)
			break;
		uses += (req->buffer == buffer) + (req->answer_buffer == buffer);
		world.stats.buffer_uses += req->buffer == buffer;
		id = req->id;
	}
	WARN_ON(buffer->uses != uses || buffer->dead || !buffer->pin.pages);
	return 1 + check_buffer(node->rb_left) + check_buffer(node->rb_right);
}

static void check_buffers(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		const struct llm_buffer *buffer;
		u32 n = 0;

		if (!world.clients[i])
			continue;
		list_for_each_entry(buffer, &world.clients[i]->buffers, node)
			n++;
		WARN_ON(n != world.clients[i]->buffer_count);
	}
	check_buffer(llm_broker.buffers.rb_node);
}

static void check_sessions(void)
{
	const struct llm_call *all[CALLS];
	u32 n = 0;

	for (int i = 0; i < CALLS; i++)
		if (world.calls[i].used)
			all[n++] = &world.calls[i].call;
	sessions_check(all, n);
}

void check_world(void)
{
	const u32 total = check_tree(llm_broker.by_id.rb_node, 0, UINT64_MAX);
	const u32 unended = check_queue(LLM_KIND_CONTROL) + check_queue(LLM_KIND_COMPUTE) +
			    check_states();
	const struct llm_request *req;

	WARN_ON(kshim_spinlocks_held);
	WARN_ON(current->active_memcg);
	WARN_ON(total != llm_broker.requests);
	WARN_ON(unended != llm_broker.unended);
	WARN_ON(llm_broker.submitted != llm_broker.ended + unended);
	list_for_each_entry(req, &llm_broker.notices, notice_node)
		WARN_ON(!req->notice);
	check_fetchers();
	check_impatient();
	check_stage();
	check_users();
	check_buffers();
	check_sessions();
	world.stats.short_of_memory += audit_check() > 0;
	for (int i = 0; i < CLIENTS; i++)
		if (world.clients[i])
			check_client(world.clients[i]);
}
