// SPDX-License-Identifier: MIT
/*
 * Drives the module's request logic from a string of bytes: see driver.h.
 */
#include "world.h"

#include <stdio.h>

#include "kmod/broker.h"
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
#include "sessions.h"

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

struct world world;
static struct pid pids[TASKS];
static struct cgroup cgroups[TASKS];
static struct mem_cgroup memcgs[TASKS];
static struct mm_struct mms[TASKS];
static struct task_struct tasks[TASKS];

u64 some_id(void)
{
	const u64 back = next_byte() % 24;

	return llm_broker.last_id > back ? llm_broker.last_id - back : back;
}

u64 some_id_of(const struct list_head *list, bool by_client)
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

u64 some_held_id(void)
{
	return some_id_of(&llm_broker.states[LLM_STATE_RUNNING + next(3)], false);
}

/* ---- results ---- */

static void check_bytes(u64 id, const char *bytes, u32 len)
{
	if (id >= IDS)
		return;
	for (u32 i = 0; i < len; i++)
		WARN_ON((u8)bytes[i] != answer_byte(id, world.known[id].read + i));
	world.known[id].read += len;
	world.stats.bytes_read += len;
}

static void result_read(const struct llm_read *read)
{
	WARN_ON(read->len > read->buf_len);
	check_bytes(read->id, (char *)(uintptr_t)read->buf, read->len);
	if (read->out_flags & LLM_READ_END) {
		world.stats.ends_read++;
		WARN_ON(read->id < IDS &&
			world.known[read->id].read != world.known[read->id].committed);
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
	world.stats.delivered++;
	if (event->type == LLM_EVENT_SESSION_END) {
		session_check_end(event->id);
		return;
	}
	if (event->type == LLM_EVENT_RECLAIM) {
		world.stats.reclaimed++;
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
		world.stats.refused++;
		/* Only who is gone for good loses what it was handed. */
		WARN_ON(call->done && rc != -ECANCELED);
		if (call->done)
			world.known[call->command->cmd == LLM_IOC_READ ? call->args.read.id :
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
	world.stats.parked++;
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
	world.stats.committed++;
	world.stats.paused += rc == LLM_VERDICT_PAUSE;
	if (commit->id < IDS)
		world.known[commit->id].committed += commit->data_len;
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
		struct parked *parked = &world.calls[i];

		if (parked->used)
			continue;
		memset(parked, 0, offsetof(struct parked, room));
		parked->used = true;
		parked->client = client;
		parked->server = server;
		llm_call_init(&parked->call, command, client >= 0 ? world.clients[client] : NULL,
			      server >= 0 ? world.servers[server] : NULL, parked->arg);
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
		struct parked *parked = &world.calls[i];

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

	if (!world.clients[which])
		world.clients[which] = llm_client_create();
	return world.clients[which] ? which : -1;
}

static int some_server(void)
{
	const int which = next_byte() % SERVERS;

	if (!world.servers[which] && llm_server_open(&world.servers[which]))
		world.servers[which] = NULL;
	return world.servers[which] ? which : -1;
}

static void step_close(void)
{
	const int which = next_byte() % CLIENTS;

	if (!world.clients[which])
		return;
	calls_end(which, -1);
	llm_client_destroy(world.clients[which]);
	world.clients[which] = NULL;
}

static void step_server_gone(bool close)
{
	const int which = next_byte() % SERVERS;

	if (!world.servers[which])
		return;
	if (!close) {
		llm_server_leave(world.servers[which]);
		return;
	}
	calls_end(-1, which);
	llm_server_close(world.servers[which]);
	world.servers[which] = NULL;
}

/* Mostly one that this client has. */
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
	struct iov_iter iter = { .at = world.room, .count = next(3000) };
	ssize_t n;
	u64 id;

	if (which < 0)
		return;
	client = world.clients[which];
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
			check_bytes(id, world.room, (u32)n);
		memset(world.room, 's', sizeof(world.room));
	}
}

static void step_woken(bool dead)
{
	const int first = next_byte() % CALLS;

	for (int i = 0; i < CALLS; i++) {
		struct parked *parked = &world.calls[(first + i) % CALLS];

		if (parked->used && parked->woken) {
			parked_run(parked, dead);
			return;
		}
	}
}

static void step_cancel_call(bool expire)
{
	struct parked *parked = &world.calls[next_byte() % CALLS];

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
	world.stats.quotas += !rc;
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
	if (world.calm && what >= 220 && what < 227 && next_byte() % 16)
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
	world.input = data;
	world.input_len = len;
	world.stats = (struct driver_stats) { };
	memset(&llm_broker, 0, sizeof(llm_broker));
	memset(world.known, 0, sizeof(world.known));
	audit_start();
	sessions_start();
	world.calm = next_byte() % 2;
	memset(world.room, 's', sizeof(world.room));
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
	check_world();
	for (int i = 0; i < CLIENTS; i++)
		if (world.clients[i]) {
			llm_client_destroy(world.clients[i]);
			world.clients[i] = NULL;
			check_world();
		}
	for (int i = 0; i < SERVERS; i++) {
		calls_end(-1, i);
		if (world.servers[i])
			llm_server_close(world.servers[i]);
		world.servers[i] = NULL;
		check_world();
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
	while (world.input_len) {
		step();
		check_world();
		world.stats.steps++;
	}
	world.stats.submitted = llm_broker.submitted;
	world.stats.cancelled = llm_broker.cancelled;
	world.stats.recovered = llm_broker.recovered;
	world.stats.told = kshim_told;
	world.stats.session_turns = session_turns;
	world.stats.session_ends = session_ends;
	world.stats.session_bytes = session_bytes;
	finish();
	*ret_stats = world.stats;
}
