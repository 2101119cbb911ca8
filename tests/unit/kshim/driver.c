// SPDX-License-Identifier: MIT
/*
 * Drives the module's request logic from a string of bytes: see driver.h.
 */
#include "kshim.h"

#include <stdio.h>

#include "kmod/broker.h"
#include "kmod/buffer.h"
#include "kmod/call.h"
#include "kmod/charge.h"
#include "kmod/client.h"
#include "kmod/commands.h"
#include "kmod/limits.h"
#include "kmod/netlink.h"
#include "kmod/policy/quota.h"
#include "kmod/queue.h"
#include "kmod/quota.h"
#include "kmod/region.h"
#include "kmod/request.h"
#include "kmod/server.h"
#include "kmod/session.h"
#include "kmod/stream.h"

#include "audit.h"
#include "driver.h"
#include "sessions.h"

#define CLIENTS		4
#define SERVERS		2
#define SERVER_REGIONS	3
#define TASKS		3
#define CALLS		24
#define ROOM		8192
#define IDS		4096

/* A command by io_uring: made at once, or parked, woken and made again. */
struct parked {
	struct llm_call call;
	bool used;
	bool woken;
	bool has_parked;
	int client;
	int server;
	u8 arg[sizeof(struct llm_submit_read) + 16] __attribute__((aligned(8)));
	char room[ROOM] __attribute__((aligned(8)));
};

/* What is known of a request from outside. */
struct known {
	u32 committed;
	u32 read;
	bool by_file;
};

static const struct llm_limits limits_first = {
	.max_requests = 24,
	.max_requests_user = 12,
	.max_requests_file = 8,
	.max_payload_bytes = 8192,
	.max_payload_bytes_user = 32768,
	.max_unread_bytes = 8192,
	.max_journal_bytes = 16384,
	.max_buffer_bytes = 16384,
	.max_buffers_file = 3,
	.max_sessions = 9,
	.max_sessions_user = 6,
	.max_session_bytes = 12000,
	.recover_timeout_s = 3,
};

static const u8 *input;
static size_t input_len;
static struct driver_stats stats;
static struct llm_client *clients[CLIENTS];
static struct llm_server *servers[SERVERS];
static struct parked calls[CALLS];
static struct known known[IDS];
static struct pid pids[TASKS];
static struct cgroup cgroups[TASKS];
static struct mem_cgroup memcgs[TASKS];
static struct mm_struct mms[TASKS];
static struct task_struct tasks[TASKS];
static char room[2 * 65536] __attribute__((aligned(PAGE_SIZE)));
static u8 turn[ROOM];
static bool calm;

static u8 next_byte(void)
{
	if (!input_len)
		return 0;
	input_len--;
	return *input++;
}

static u32 next(u32 sides)
{
	const u32 value = next_byte() | (u32)next_byte() << 8;

	return value % sides;
}

static u8 answer_byte(u64 id, u32 index)
{
	return (u8)(id * 31 + index * 7 + index / 251);
}

static u64 some_id(void)
{
	const u64 back = next_byte() % 24;

	return llm_broker.last_id > back ? llm_broker.last_id - back : back;
}

/* Mostly one that a server has, or that this client can read. */
static u64 some_id_of(const struct list_head *list, bool by_client)
{
	const struct list_head *node = list->next;

	if (list_empty(list) || next(4) == 0)
		return some_id();
	for (u32 n = next(6); n > 0; n--)
		node = node->next;
	if (node == list)
		node = node->next;
	return by_client ? list_first_entry(node->prev, struct llm_request, client_node)->id :
			   list_first_entry(node->prev, struct llm_request, state_node)->id;
}

static u64 some_held_id(void)
{
	return some_id_of(&llm_broker.states[LLM_STATE_RUNNING + next(3)], false);
}

/* ---- what must be so at any time ---- */

/* Bytes that parked READs of a request have been handed, and will report at their end. */
static u32 in_hands(u64 id)
{
	u32 n = 0;

	for (int i = 0; i < CALLS; i++) {
		const struct llm_call *call = &calls[i].call;

		if (!calls[i].used || !call->done)
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
	WARN_ON(req->id < IDS && req->output_bytes != known[req->id].committed);
	WARN_ON(req->id < IDS && req->client &&
		known[req->id].read + in_hands(req->id) + req->unread !=
		known[req->id].committed);
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

/* The one that is queued after another, or NULL. */
static const struct llm_request *queued_after(int kind, u64 id)
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
		last += clients[i] && clients[i]->leaf;
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
		if (clients[i] && clients[i]->prompt_user)
			owed += clients[i]->prompt.len;
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
		parked += calls[i].used && calls[i].call.client == client &&
			  !list_empty(&calls[i].call.waiter.node);
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

		if (!clients[i])
			continue;
		list_for_each_entry(other, &clients[i]->buffers, node)
			uses += other == buffer;
	}
	for (u64 id = 0;;) {
		const struct llm_request *req = request_after(id);

		if (!req)
			break;
		uses += (req->buffer == buffer) + (req->answer_buffer == buffer);
		stats.buffer_uses += req->buffer == buffer;
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

		if (!clients[i])
			continue;
		list_for_each_entry(buffer, &clients[i]->buffers, node)
			n++;
		WARN_ON(n != clients[i]->buffer_count);
	}
	check_buffer(llm_broker.buffers.rb_node);
}

static void check_sessions(void)
{
	const struct llm_call *all[CALLS];
	u32 n = 0;

	for (int i = 0; i < CALLS; i++)
		if (calls[i].used)
			all[n++] = &calls[i].call;
	sessions_check(all, n);
}

static void check(void)
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
	stats.short_of_memory += audit_check() > 0;
	for (int i = 0; i < CLIENTS; i++)
		if (clients[i])
			check_client(clients[i]);
}

/* ---- results ---- */

static void check_bytes(u64 id, const char *bytes, u32 len)
{
	if (id >= IDS)
		return;
	for (u32 i = 0; i < len; i++)
		WARN_ON((u8)bytes[i] != answer_byte(id, known[id].read + i));
	known[id].read += len;
	stats.bytes_read += len;
}

static void result_read(const struct llm_read *read)
{
	WARN_ON(read->len > read->buf_len);
	check_bytes(read->id, (char *)(uintptr_t)read->buf, read->len);
	if (read->out_flags & LLM_READ_END) {
		stats.ends_read++;
		WARN_ON(read->id < IDS && known[read->id].read != known[read->id].committed);
		WARN_ON(read->state < LLM_STATE_CANCELLING);
	}
}

/*
 * What was delivered is whole; and the oldest of those it competes with on equal terms, unless the
 * call was handed it while it was parked, since when an older one may have been given back.
 */
static void result_fetch(const struct llm_event *event, int rc, bool handed)
{
	const struct llm_request *req, *other = NULL;

	WARN_ON(rc < (int)sizeof(*event) || event->size != sizeof(*event));
	WARN_ON(rc != (int)(sizeof(*event) + event->data_len));
	spin_lock(&llm_broker.lock);
	req = llm_request_find(event->id);
	spin_unlock(&llm_broker.lock);
	stats.delivered++;
	if (event->type == LLM_EVENT_SESSION_END) {
		session_check_end(event->id);
		return;
	}
	if (event->type == LLM_EVENT_RECLAIM) {
		stats.reclaimed++;
		WARN_ON(!event->bytes || !event->id == !event->cgroup_id);
		if (!event->id)
			return;
	}
	WARN_ON(!req || req->handed_to);
	if (event->type != LLM_EVENT_REQUEST)
		return;
	WARN_ON(req->state != LLM_STATE_RUNNING || event->attempts != req->attempts);
	WARN_ON(event->output_bytes != req->output_bytes);
	for (u32 i = 0; i < event->stop_len && i < event->data_len; i++)
		WARN_ON(((const char *)(event + 1))[i] != 's' * (i + 1 != event->stop_len));
	WARN_ON(event->session_len != llm_past_len(req->past) || !event->session != !req->session);
	if (!(event->flags & LLM_SUBMIT_BUFFER))
		session_check_data(event->id, 0, (const u8 *)(event + 1), event->data_len);
	while ((other = queued_after(llm_request_kind(req), other ? other->id : 0)))
		WARN_ON(!handed && other->leaf == req->leaf && other->id < event->id);
}

/* A call has come to its end with this result. */
static void result(struct parked *parked, int rc)
{
	const struct llm_call *call = &parked->call;

	WARN_ON(call->event.type || call->event.req);
	if (rc < 0) {
		stats.refused++;
		/* Only who is gone for good loses what it was handed. */
		WARN_ON(call->done && rc != -ECANCELED);
		if (call->done)
			known[call->command->cmd == LLM_IOC_READ ? call->args.read.id :
			      call->args.submit_read.read.id].read += call->done;
		return;
	}
	switch (call->command->cmd) {
	case LLM_IOC_READ:
		result_read(&call->args.read);
		break;
	case LLM_IOC_SUBMIT_AND_READ:
		result_read(&call->args.submit_read.read);
		break;
	case LLM_IOC_FETCH:
		result_fetch((void *)(uintptr_t)call->args.fetch.buf, rc,
			     parked->has_parked);
		break;
	case LLM_IOC_COMMIT_AND_FETCH:
		result_fetch((void *)(uintptr_t)call->args.commit.fetch_buf, rc,
			     parked->has_parked);
		break;
	case LLM_IOC_PULL:
		session_check_data(call->args.pull.id, call->args.pull.offset,
				   (const u8 *)(uintptr_t)call->args.pull.buf, (u64)rc);
		break;
	default:
		break;
	}
}

/* ---- calls, as io_uring makes them ---- */

static void parked_wake(struct llm_waiter *waiter)
{
	struct parked *parked = container_of(waiter, struct parked, call.waiter);

	WARN_ON(parked->woken);
	parked->woken = true;
}

static void parked_finish(struct parked *parked, int rc)
{
	result(parked, rc);
	parked->used = false;
}

static void parked_attempt(struct parked *parked)
{
	int rc;

	rc = parked->call.command->attempt(&parked->call, !parked->call.nonblock);
	if (rc != -EIOCBQUEUED) {
		parked_finish(parked, rc);
		return;
	}
	stats.parked++;
	parked->has_parked = true;
	WARN_ON(!parked->woken && list_empty(&parked->call.waiter.node));
}

/* What became known by a COMMIT that was taken. */
static void note_commit(const struct llm_call *call, const struct session_growth *growth, int rc)
{
	const struct llm_commit *commit = &call->args.commit;

	if (rc < 0 || rc == LLM_VERDICT_CANCELLED)
		return;
	if (commit->session_len)
		session_grew(growth, commit);
	stats.committed++;
	stats.paused += rc == LLM_VERDICT_PAUSE;
	if (commit->id < IDS)
		known[commit->id].committed += commit->data_len;
}

/* COMMIT_AND_FETCH hides its verdict: what was taken shows in the request, if it is still there. */
static void note_commit_fetch(const struct llm_call *call, const struct session_growth *growth,
			      const struct llm_request *req, bool was_cancelling,
			      u64 ended_before)
{
	if (!req || was_cancelling || llm_broker.ended == ended_before)
		return;
	note_commit(call, growth, LLM_VERDICT_CONTINUE);
}

static void parked_start(struct parked *parked)
{
	struct llm_call *call = &parked->call;
	const bool fetches = call->command->cmd == LLM_IOC_COMMIT_AND_FETCH;
	const u64 ended = llm_broker.ended;
	struct llm_request *req = NULL;
	struct session_growth growth = { };
	bool cancelling = false;
	int rc;

	call->waiter.wake = parked_wake;
	if (fetches) {
		spin_lock(&llm_broker.lock);
		req = llm_server_find(call->server, ((struct llm_commit *)parked->arg)->id);
		spin_unlock(&llm_broker.lock);
		cancelling = req && req->state == LLM_STATE_CANCELLING;
	}
	if (fetches || call->command->cmd == LLM_IOC_COMMIT)
		growth = session_growth(call, ((struct llm_commit *)parked->arg)->id);
	rc = llm_call_begin(call);
	if (call->command->cmd == LLM_IOC_COMMIT)
		note_commit(call, &growth, rc);
	if (call->command->cmd == LLM_IOC_CHARGE || call->command->cmd == LLM_IOC_UNCHARGE)
		audit_note(call, rc);
	if (fetches)
		note_commit_fetch(call, &growth, req, cancelling, ended);
	if (rc < 0 || !call->command->attempt)
		parked_finish(parked, rc);
	else
		parked_attempt(parked);
}

static struct parked *parked_new(unsigned int cmd, int client, int server)
{
	const struct llm_command *command = client >= 0 ?
		llm_command_find(llm_client_commands, LLM_CLIENT_COMMANDS, cmd) :
		llm_command_find(llm_server_commands, LLM_SERVER_COMMANDS, cmd);

	for (int i = 0; i < CALLS; i++) {
		struct parked *parked = &calls[i];

		if (parked->used)
			continue;
		memset(parked, 0, offsetof(struct parked, room));
		parked->used = true;
		parked->client = client;
		parked->server = server;
		llm_call_init(&parked->call, command, client >= 0 ? clients[client] : NULL,
			      server >= 0 ? servers[server] : NULL, parked->arg);
		*(u32 *)parked->arg = (u32)command->size;
		return parked;
	}
	return NULL;
}

static void parked_run(struct parked *parked, bool dead)
{
	parked->woken = false;
	if (!dead) {
		parked_attempt(parked);
		return;
	}
	if (parked->call.command->abandon)
		parked->call.command->abandon(&parked->call);
	parked_finish(parked, -ECANCELED);
}

static void parked_cancel(struct parked *parked)
{
	bool parked_now;

	spin_lock(&llm_broker.lock);
	parked_now = !list_empty(&parked->call.waiter.node);
	if (parked_now)
		llm_waiter_unpark(&parked->call.waiter);
	parked->call.waiter.cancelled = true;
	spin_unlock(&llm_broker.lock);
	if (parked_now)
		parked_finish(parked, -ECANCELED);
}

/* A file goes only when io_uring has given up its commands. */
static void calls_end(int client, int server)
{
	for (int i = 0; i < CALLS; i++) {
		struct parked *parked = &calls[i];

		if (!parked->used || parked->client != client || parked->server != server)
			continue;
		if (parked->woken)
			parked_run(parked, true);
		else
			parked_cancel(parked);
		WARN_ON(parked->used);
	}
}

/* ---- steps ---- */

static int some_client(void)
{
	const int which = next_byte() % CLIENTS;

	if (!clients[which])
		clients[which] = llm_client_create();
	return clients[which] ? which : -1;
}

static int some_server(void)
{
	const int which = next_byte() % SERVERS;

	if (!servers[which] && llm_server_open(&servers[which]))
		servers[which] = NULL;
	return servers[which] ? which : -1;
}

static void step_close(void)
{
	const int which = next_byte() % CLIENTS;

	if (!clients[which])
		return;
	calls_end(which, -1);
	llm_client_destroy(clients[which]);
	clients[which] = NULL;
}

static void step_server_gone(bool close)
{
	const int which = next_byte() % SERVERS;

	if (!servers[which])
		return;
	if (!close) {
		llm_server_leave(servers[which]);
		return;
	}
	calls_end(-1, which);
	llm_server_close(servers[which]);
	servers[which] = NULL;
}

/* Mostly one that this client has. */
static u64 some_buffer(const struct llm_client *client)
{
	const struct list_head *node = client->buffers.next;

	if (list_empty(&client->buffers) || next(4) == 0)
		return (u64)next(200) << PAGE_SHIFT;
	for (u32 n = next(3); n > 0 && node->next != &client->buffers; n--)
		node = node->next;
	return llm_buffer_id(list_first_entry(node->prev, struct llm_buffer, node));
}

static void fill_submit_buffers(struct llm_submit *submit, const struct llm_client *client)
{
	if (next(4) == 0) {
		submit->flags |= LLM_SUBMIT_BUFFER;
		submit->buffer = some_buffer(client);
		submit->payload = next(3 * PAGE_SIZE);
	}
	if (next(4) == 0) {
		submit->answer_buffer = some_buffer(client);
		submit->answer_offset = next(3 * PAGE_SIZE);
		submit->answer_len = next(3 * PAGE_SIZE);
	}
}

static void fill_register(struct llm_register *reg)
{
	reg->flags = next(2);
	reg->addr = next(8) ? (uintptr_t)room : 0;
	reg->len = next(4) * PAGE_SIZE;
}

/* Mostly one that is open. */
static int some_session(void)
{
	const u32 which = next(256);

	return which < 240 ? session_some(which) : (int)which - 242;
}

static void fill_submit(struct llm_submit *submit)
{
	static char stop[64];
	const u32 stop_len = next(4) ? 0 : 1 + next(63);

	memset(stop, 's', sizeof(stop));
	if (stop_len)
		stop[stop_len - 1] = '\0';
	submit->op = next(4) ? LLM_OP_GENERATE : LLM_OP_NOP;
	submit->sched_class = submit->op == LLM_OP_GENERATE ? next(3) : 0;
	submit->flags = next(4) ? 0 : LLM_SUBMIT_EDQUOT;
	submit->payload = (uintptr_t)room;
	submit->payload_len = next(8) ? next(600) : next(9000);
	submit->stop = (uintptr_t)stop;
	submit->stop_len = stop_len;
	if (next(2)) {
		submit->flags |= LLM_SUBMIT_SESSION;
		submit->session = some_session();
	}
}

static void fill_session(struct llm_session_cmd *cmd)
{
	static const u32 flags[] = { 0, LLM_SESSION_FORK, LLM_SESSION_INFO, LLM_SESSION_SEAL };
	const u32 which = next(12);

	/* what is sealed grows no more */
	cmd->flags = flags[which < 6 ? 0 : which < 10 ? 1 : which - 8];
	cmd->fd = cmd->flags ? some_session() : -1;
}

/* Is there a READ of this request already; one with LLM_READ_ALL, which may get its bytes in parts? */
static bool is_read(u64 id, bool in_parts)
{
	for (int i = 0; i < CALLS; i++) {
		const struct llm_call *call = &calls[i].call;
		const struct llm_read *read = call->command && call->command->cmd == LLM_IOC_READ ?
					      &call->args.read : &call->args.submit_read.read;

		if (calls[i].used && call->waiter.parked && read->id == id &&
		    (!in_parts || read->flags & LLM_READ_ALL))
			return true;
	}
	return false;
}

/* Which READ gets which bytes must be plain, to be checked: none beside one that gets parts. */
static void fill_read(struct llm_read *read, struct parked *parked, u64 id)
{
	read->id = id;
	read->flags = next(4);
	if (id && is_read(id, false))
		read->flags &= ~LLM_READ_ALL;
	read->buf = (uintptr_t)parked->room;
	read->buf_len = next(4) ? next(ROOM) : next(4);
	if (id && is_read(id, true))
		read->buf_len = 0;
}

static void fill_fetch(struct llm_fetch *fetch, struct parked *parked)
{
	fetch->flags = 1 + next(LLM_FETCH_FLAGS);
	fetch->buf = (uintptr_t)parked->room;
	fetch->buf_len = sizeof(struct llm_event) + next(ROOM - sizeof(struct llm_event));
}

/* Mostly what its session is to have is committed with its end, and no other session's. */
static void fill_turn(struct llm_commit *commit, const struct llm_request *req)
{
	const u8 seed = next_byte();

	if (next(16) && (!(commit->flags & LLM_COMMIT_END) || commit->status || !req ||
			 !req->session || req->spec.op != LLM_OP_GENERATE))
		return;
	for (u32 i = 0; i < sizeof(turn); i++)
		turn[i] = (u8)(seed + i + i / 251);
	commit->session = (uintptr_t)turn;
	commit->session_len = next(4) ? 1 + next(300) : 1 + next(sizeof(turn) - 1);
	commit->session_tokens = 1 + next(100);
}

static void fill_commit(struct llm_commit *commit, struct parked *parked)
{
	const u64 id = some_held_id();
	const struct llm_request *req;

	spin_lock(&llm_broker.lock);
	req = llm_request_find(id);
	spin_unlock(&llm_broker.lock);
	commit->id = id;
	commit->prompt_tokens = req ? req->prompt_tokens + next(3) : 0;
	commit->output_tokens = req ? req->output_tokens + next(3) : 0;
	commit->compute_ns = next(8) ? next(50000) * 1000ULL : UINT64_MAX;
	commit->data_len = next(4) ? next(64) : next(ROOM);
	for (u32 i = 0; i < commit->data_len && id < IDS; i++)
		parked->room[i] = (char)answer_byte(id, known[id].committed + i);
	commit->data = (uintptr_t)parked->room;
	commit->journal = (uintptr_t)room;
	commit->journal_len = next(4) ? next(16) : next(6000);
	/* turns would be rare */
	if (next(6) == 0 || (req && req->session && next(2))) {
		commit->flags = LLM_COMMIT_END;
		commit->status = next(4) ? 0 : -(int)next(4095);
	}
	fill_turn(commit, req);
}

static void fill_commit_fetch(struct llm_commit *commit, struct parked *parked)
{
	struct llm_fetch fetch;

	const struct llm_request *req;

	fill_commit(commit, parked);
	if (!(commit->flags & LLM_COMMIT_END)) {
		commit->flags = LLM_COMMIT_END;
		spin_lock(&llm_broker.lock);
		req = llm_request_find(commit->id);
		spin_unlock(&llm_broker.lock);
		fill_turn(commit, req);
	}
	/* The event would overwrite data that a parked call no longer needs. */
	fill_fetch(&fetch, parked);
	commit->fetch_buf = fetch.buf;
	commit->fetch_len = fetch.buf_len;
	commit->fetch_flags = fetch.flags;
}

static void fill_setup(struct llm_setup *setup, struct parked *parked)
{
	static const char *const names[] = { "host", "gpu0", "gpu1", "gpu0", "", "a/b" };
	struct llm_region *regions = (void *)parked->room;

	setup->slots = next(5);
	setup->sequences = next(9);
	setup->region_count = next(2) ? 0 : next(4);
	setup->regions = setup->region_count ? (uintptr_t)regions : 0;
	memset(regions, 0, setup->region_count * sizeof(*regions));
	for (u32 i = 0; i < setup->region_count; i++)
		strcpy(regions[i].name, names[i && next(4) == 0 ? next(6) : i]);
}

static void fill_charge(struct llm_charge *charge, bool uncharge)
{
	charge->region = next(4) ? 0 : next(SERVER_REGIONS);
	/* what a server that lost count would ask for, too */
	charge->bytes = next(16) ? 1 + next(300) : (1ULL << (next(64))) - next(2);
	if (uncharge && next(2))
		charge->cgroup_id = audit_some_cgroup(next_byte());
	else
		charge->id = some_held_id();
	if (!uncharge && next(3) == 0)
		charge->flags = next(3) ? LLM_CHARGE_KEEP : LLM_CHARGE_TRY;
	if (uncharge || charge->flags)
		charge->bytes = 1 + next(60);
}

static void fill_other(unsigned int cmd, void *arg, struct parked *parked)
{
	struct llm_cancel *cancel = arg;
	struct llm_wait *wait = arg;
	struct llm_list *list = arg;
	struct llm_pull *pull = arg;

	switch (cmd) {
	case LLM_IOC_CANCEL:
		cancel->flags = next(4) & (calm ? ~LLM_CANCEL_ALL : ~0U);
		cancel->id = cancel->flags & LLM_CANCEL_ALL ? 0 : some_id();
		break;
	case LLM_IOC_WAIT:
		wait->flags = next(4);
		wait->id = next(2) ? some_id() : 0;
		wait->deadline_ns = next(2) ? kshim_now_ns + next(1000) : 0;
		break;
	case LLM_IOC_LIST:
		list->buf = (uintptr_t)parked->room;
		list->entry_size = 8 + next(200);
		list->capacity = next(ROOM / 208);
		list->cursor = next(2) ? 0 : some_id();
		break;
	case LLM_IOC_PULL:
		pull->id = some_held_id();
		pull->buf = (uintptr_t)parked->room;
		pull->buf_len = next(ROOM);
		pull->offset = next(20000);
		break;
	case LLM_IOC_SETUP:
		fill_setup(arg, parked);
		break;
	case LLM_IOC_REGISTER:
		fill_register(arg);
		break;
	case LLM_IOC_SESSION:
		fill_session(arg);
		break;
	case LLM_IOC_UNREGISTER:
		((struct llm_unregister *)arg)->buffer = some_buffer(parked->call.client);
		break;
	case LLM_IOC_CHARGE:
	case LLM_IOC_UNCHARGE:
		fill_charge(arg, cmd == LLM_IOC_UNCHARGE);
		break;
	default:
		break;
	}
}

static void fill(unsigned int cmd, struct parked *parked)
{
	struct llm_submit_read *both = (void *)parked->arg;

	switch (cmd) {
	case LLM_IOC_SUBMIT:
		fill_submit((void *)parked->arg);
		fill_submit_buffers((void *)parked->arg, parked->call.client);
		break;
	case LLM_IOC_SUBMIT_AND_READ:
		fill_submit(&both->submit);
		fill_submit_buffers(&both->submit, parked->call.client);
		fill_read(&both->read, parked, 0);
		both->read.size = sizeof(both->read);
		break;
	case LLM_IOC_READ:
		fill_read((void *)parked->arg, parked,
			  some_id_of(&parked->call.client->requests, true));
		break;
	case LLM_IOC_FETCH:
		fill_fetch((void *)parked->arg, parked);
		break;
	case LLM_IOC_COMMIT:
		fill_commit((void *)parked->arg, parked);
		break;
	case LLM_IOC_COMMIT_AND_FETCH:
		fill_commit_fetch((void *)parked->arg, parked);
		break;
	default:
		fill_other(cmd, parked->arg, parked);
	}
}

/*
 * A struct as the bytes have it. Its addresses are led back to where there is memory: an address
 * is the tests' matter on a real kernel, where it can be wrong without harm.
 */
static void spoil(unsigned int cmd, struct parked *parked)
{
	const size_t size = parked->call.command->size;
	const u32 n = 1 + next(4);

	for (u32 i = 0; i < n; i++) {
		const size_t at = next((u32)size);

		parked->arg[at] ^= next_byte();
	}
	/* Half an address would lead anywhere. */
	if (*(u32 *)parked->arg < size)
		*(u32 *)parked->arg &= ~7U;
	switch (cmd) {
	case LLM_IOC_SUBMIT:
	case LLM_IOC_SUBMIT_AND_READ: {
		struct llm_submit_read *both = (void *)parked->arg;

		if (!(both->submit.flags & LLM_SUBMIT_BUFFER))
			both->submit.payload = next(4) ? (uintptr_t)room : 8;
		both->submit.stop = next(4) ? (uintptr_t)room : 8;
		if (cmd == LLM_IOC_SUBMIT_AND_READ) {
			both->read.buf = (uintptr_t)parked->room;
			both->read.buf_len %= ROOM;
		}
		/* What is read back must be what is known. */
		memset(room, 's', sizeof(room));
		if (both->submit.stop_len && both->submit.stop_len < sizeof(room))
			room[both->submit.stop_len - 1] = '\0';
		break;
	}
	case LLM_IOC_READ:
		((struct llm_read *)parked->arg)->buf = next(4) ? (uintptr_t)parked->room : 8;
		((struct llm_read *)parked->arg)->buf_len %= ROOM;
		((struct llm_read *)parked->arg)->flags &= ~LLM_READ_ALL;
		if (is_read(((struct llm_read *)parked->arg)->id, true))
			((struct llm_read *)parked->arg)->buf_len = 0;
		break;
	case LLM_IOC_FETCH:
		((struct llm_fetch *)parked->arg)->buf = next(4) ? (uintptr_t)parked->room : 8;
		((struct llm_fetch *)parked->arg)->buf_len %= ROOM;
		break;
	case LLM_IOC_LIST: {
		struct llm_list *list = (void *)parked->arg;

		list->buf = next(4) ? (uintptr_t)parked->room : 8;
		list->capacity %= ROOM / 4096;
		break;
	}
	case LLM_IOC_SETUP:
		((struct llm_setup *)parked->arg)->regions = next(4) ? (uintptr_t)parked->room : 8;
		break;
	case LLM_IOC_REGISTER:
		((struct llm_register *)parked->arg)->addr = next(4) ? (uintptr_t)room : 8;
		((struct llm_register *)parked->arg)->len &= 7 * PAGE_SIZE | 1;
		break;
	case LLM_IOC_PULL:
		((struct llm_pull *)parked->arg)->buf = next(4) ? (uintptr_t)parked->room : 8;
		((struct llm_pull *)parked->arg)->buf_len %= ROOM;
		break;
	case LLM_IOC_COMMIT:
	case LLM_IOC_COMMIT_AND_FETCH: {
		struct llm_commit *commit = (void *)parked->arg;

		commit->data = next(4) ? (uintptr_t)parked->room : 8;
		commit->data_len %= ROOM;
		commit->journal = next(4) ? (uintptr_t)room : 8;
		commit->session = !commit->session ? 0 : next(4) ? (uintptr_t)turn : 8;
		commit->session_len %= sizeof(turn);
		commit->fetch_buf = commit->fetch_buf ? (uintptr_t)parked->room : 0;
		commit->fetch_len %= ROOM;
		for (u32 i = 0; i < commit->data_len && commit->id < IDS; i++)
			parked->room[i] = (char)answer_byte(commit->id,
							    known[commit->id].committed + i);
		break;
	}
	default:
		break;
	}
}

static void step_command(unsigned int cmd, bool by_client)
{
	const int client = by_client ? some_client() : -1;
	const int server = by_client ? -1 : some_server();
	struct parked *parked;

	if (client < 0 && server < 0)
		return;
	parked = parked_new(cmd, client, server);
	if (!parked)
		return;
	fill(cmd, parked);
	if (next_byte() % 8 == 0)
		spoil(cmd, parked);
	parked_start(parked);
}

static void step_file(void)
{
	const int which = some_client();
	struct llm_client *client;
	struct iov_iter iter = { .at = room, .count = next(3000) };
	ssize_t n;
	u64 id;

	if (which < 0)
		return;
	client = clients[which];
	switch (next_byte() % 4) {
	case 0:
		llm_stream_write(client, &iter, true);
		break;
	case 1:
		llm_stream_poll(client, next_byte() % 2);
		break;
	default:
		/* A read may submit first. */
		id = client->stream_id ? client->stream_id : llm_broker.last_id + 1;
		if (is_read(id, true))
			break;
		n = llm_stream_read(client, &iter, true);
		if (n > 0)
			check_bytes(id, room, (u32)n);
		memset(room, 's', sizeof(room));
	}
}

static void step_woken(bool dead)
{
	const int first = next_byte() % CALLS;

	for (int i = 0; i < CALLS; i++) {
		struct parked *parked = &calls[(first + i) % CALLS];

		if (parked->used && parked->woken) {
			parked_run(parked, dead);
			return;
		}
	}
}

static void step_cancel_call(bool expire)
{
	struct parked *parked = &calls[next_byte() % CALLS];

	if (!parked->used)
		return;
	if (expire && !parked->woken)
		llm_call_expire(&parked->call);
	else if (!expire)
		parked_cancel(parked);
}

static void step_time(void)
{
	kshim_now_ns += (u64)next(5000) * 1000000;
	kshim_run_work(&llm_broker.expiry);
	kshim_run_work(&llm_broker.claims);
	kshim_run_work(&llm_broker.orphans);
	kshim_run_work(&llm_broker.collection);
	kshim_run_work(&llm_broker.telling);
	kshim_run_timer(&llm_broker.throttle.timer);
}

/* What an administrator does, and what happens to cgroups that have a quota. */
static void step_quota(void)
{
	const u64 id = 999 + next(TASKS + 2);
	struct llm_quota_change change = {
		.fields = next(1 << (LLM_QUOTA_PROMPT_COST + 1)),
		.share_cache = next(2),
		.prompt_cost = next(2000),
		.quota = llm_quota_none(1 + next(500)),
	};
	int rc;

	change.quota.in_flight = next(4) ? next(6) : UINT32_MAX;
	change.quota.queued = next(4) ? next(6) : UINT32_MAX;
	change.quota.rate = next(4) ? next(60000) : UINT64_MAX;
	change.quota.burst = next(4) ? 1000 + next(20000) : UINT64_MAX;
	change.quota.compute_ns = next(4) ? next(60000) * 10000ULL : UINT64_MAX;
	change.quota.period_ns = LLM_PERIOD_MIN_NS + next(60000) * 10000ULL;
	/* more names than there is room for, over time */
	change.memory_count = next(3);
	strscpy(change.memory[0].region, "host", LLM_REGION_NAME_MAX);
	snprintf(change.memory[1].region, LLM_REGION_NAME_MAX, "dev%u", (unsigned int)next(12));
	for (int i = 0; i < 2; i++)
		change.memory[i].bytes = next(4) ? next(60000) : U64_MAX;
	switch (next(6)) {
	case 0:
		rc = llm_quota_reset(id);
		break;
	case 1:
		llm_quota_reset_all();
		rc = 0;
		break;
	case 2:
		cgroups[1 + next(TASKS - 1)].dead = next(2);
		rc = 0;
		break;
	default:
		rc = llm_quota_change(id, &change);
	}
	stats.quotas += !rc;
	WARN_ON(rc && rc != -ENOENT && rc != -EINVAL && rc != -ENOMEM && rc != -ERANGE &&
		rc != -ENOSPC);
}

static void step_limit(void)
{
	unsigned int *const fields[] = {
		&llm_limits.max_requests, &llm_limits.max_requests_user,
		&llm_limits.max_requests_file, &llm_limits.max_payload_bytes,
		&llm_limits.max_payload_bytes_user, &llm_limits.max_unread_bytes,
		&llm_limits.max_journal_bytes, &llm_limits.max_session_bytes,
		&llm_limits.max_sessions, &llm_limits.max_sessions_user,
		&llm_limits.recover_timeout_s,
	};
	const u32 which = next(11);

	*fields[which] = which < 3 ? 1 + next(30) : which < 8 ? 4096 + next(30000) :
			 which < 10 ? next(12) + next(8) : next(5);
	llm_queue_timeout_changed();
}

/* The administrator sets what some cgroup may have of some region. */
static void step_memory(void)
{
	struct llm_tenant *tenant = &llm_broker.stage.policy.root;
	const u32 region = next(4) ? 0 : next(SERVER_REGIONS);
	const u64 limit = next(8) ? 200 + next(600) : U64_MAX;
	struct llm_group *group;
	struct llm_quota quota;
	const char *name;
	u32 used;

	spin_lock(&llm_broker.lock);
	group = llm_group_find(cgroups[next(TASKS)].id);
	name = llm_region_name(region);
	if (group && name && next(2))
		tenant = &group->tenant;
	quota = tenant->quota;
	/* a group's limit uses the region, as one that was set by a message */
	if (tenant != &llm_broker.stage.policy.root && limit != U64_MAX)
		WARN_ON(llm_regions_get(&name, 1, &used) || used != region);
	if (tenant != &llm_broker.stage.policy.root && quota.memory[region] != U64_MAX)
		llm_region_put(region);
	quota.memory[region] = limit;
	llm_tenant_set_quota(tenant, &quota, kshim_now_ns);
	llm_charge_run();
	llm_throttle_run();
	spin_unlock(&llm_broker.lock);
}

static void step(void)
{
	static const unsigned int client_cmds[] = {
		LLM_IOC_SUBMIT, LLM_IOC_SUBMIT, LLM_IOC_SUBMIT_AND_READ, LLM_IOC_READ,
		LLM_IOC_READ, LLM_IOC_READ, LLM_IOC_WAIT, LLM_IOC_CANCEL, LLM_IOC_LIST,
		LLM_IOC_GET_FEATURES, LLM_IOC_REGISTER, LLM_IOC_UNREGISTER, LLM_IOC_SESSION,
	};
	static const unsigned int server_cmds[] = {
		LLM_IOC_FETCH, LLM_IOC_FETCH, LLM_IOC_FETCH, LLM_IOC_COMMIT, LLM_IOC_COMMIT,
		LLM_IOC_COMMIT, LLM_IOC_COMMIT, LLM_IOC_COMMIT_AND_FETCH, LLM_IOC_PULL,
		LLM_IOC_GET_FEATURES, LLM_IOC_SETUP, LLM_IOC_CHARGE, LLM_IOC_CHARGE,
		LLM_IOC_CHARGE, LLM_IOC_CHARGE, LLM_IOC_CHARGE, LLM_IOC_UNCHARGE,
	};
	const u8 what = next_byte();

	/* In every other run files and servers last, and with them what they hold. */
	if (calm && what >= 220 && what < 227 && next_byte() % 16)
		return;
	if (what < 80)
		step_command(client_cmds[what % 13], true);
	else if (what < 160)
		step_command(server_cmds[what % 17], false);
	else if (what < 190)
		step_woken(what == 189);
	else if (what < 213)
		step_file();
	else if (what < 215)
		session_close(next(SESSION_FDS));
	else if (what < 220)
		step_cancel_call(what % 2);
	else if (what < 224)
		step_close();
	else if (what < 227)
		step_server_gone(what == 226);
	else if (what < 232)
		step_time();
	else if (what < 234)
		step_limit();
	else if (what < 238)
		kshim_fail_alloc = next_byte() % 8;
	else if (what < 242)
		kshim_fail_copy = next_byte() % 8;
	else if (what < 244)
		step_quota();
	else if (what < 247)
		step_memory();
	else if (what < 249)
		kshim_run_work(&llm_broker.claims);
	else if (what < 251)
		kshim_run_plain_work(&llm_broker.throttle.work);
	else
		current = &tasks[next_byte() % TASKS];
}

/* ---- the beginning and the end ---- */

static void start(const uint8_t *data, size_t len)
{
	input = data;
	input_len = len;
	stats = (struct driver_stats) { };
	memset(&llm_broker, 0, sizeof(llm_broker));
	memset(known, 0, sizeof(known));
	audit_start();
	sessions_start();
	calm = next_byte() % 2;
	memset(room, 's', sizeof(room));
	kshim_now_ns = 1;
	llm_limits = limits_first;
	for (u32 i = 0; i < TASKS; i++) {
		pids[i] = (struct pid) { .refs = 1, .nr = 100 + i };
		/* the first one is the root, which there is one of, and the others are within it */
		cgroups[i] = (struct cgroup) {
			.id = 1000 + i,
			.level = i != 0,
			.ancestors = { &cgroups[0], &cgroups[i] },
		};
		memcgs[i] = (struct mem_cgroup) { .refs = 1 };
		mms[i] = (struct mm_struct) { .memcg = &memcgs[i] };
		tasks[i] = (struct task_struct) {
			.tgid = &pids[i],
			.euid.val = 1000 + i % 2,
			.cgroup = &cgroups[i],
			.mm = &mms[i],
		};
	}
	current = &tasks[0];
	WARN_ON(llm_request_init());
	kshim_cgroups = cgroups;
	kshim_cgroup_count = TASKS;
	kshim_told = 0;
	llm_broker_init();
}

static void finish(void)
{
	kshim_fail_alloc = -1;
	kshim_fail_copy = -1;
	for (int i = 0; i < CLIENTS; i++)
		calls_end(i, -1);
	sessions_finish();
	check();
	for (int i = 0; i < CLIENTS; i++)
		if (clients[i]) {
			llm_client_destroy(clients[i]);
			clients[i] = NULL;
			check();
		}
	for (int i = 0; i < SERVERS; i++) {
		calls_end(-1, i);
		if (servers[i])
			llm_server_close(servers[i]);
		servers[i] = NULL;
		check();
	}
	llm_broker_exit();
	llm_request_exit();
	WARN_ON(llm_broker.submitted != llm_broker.ended);
	WARN_ON(kshim_allocs);
	for (int i = 0; i < TASKS; i++)
		WARN_ON(pids[i].refs != 1 || memcgs[i].refs != 1);
}

void driver_run(const uint8_t *data, size_t len, struct driver_stats *ret_stats)
{
	start(data, len);
	while (input_len) {
		step();
		check();
		stats.steps++;
	}
	stats.submitted = llm_broker.submitted;
	stats.cancelled = llm_broker.cancelled;
	stats.recovered = llm_broker.recovered;
	stats.told = kshim_told;
	stats.session_turns = session_turns;
	stats.session_ends = session_ends;
	stats.session_bytes = session_bytes;
	finish();
	*ret_stats = stats;
}
