// SPDX-License-Identifier: MIT
/*
 * Arguments of commands, from the bytes: mostly what a client or a server would ask, sometimes what
 * none would.
 */
#include "world.h"

#include "kmod/broker.h"
#include "kmod/buffer.h"
#include "kmod/client.h"
#include "kmod/commands.h"
#include "kmod/region.h"
#include "kmod/request.h"

#include "audit.h"
#include "sessions.h"

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
	reg->addr = next(8) ? (uintptr_t)world.room : 0;
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
	submit->payload = (uintptr_t)world.room;
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

bool is_read(u64 id, bool in_parts)
{
	for (int i = 0; i < CALLS; i++) {
		const struct llm_call *call = &world.calls[i].call;
		const struct llm_read *read = call->command && call->command->cmd == LLM_IOC_READ ?
					      &call->args.read : &call->args.submit_read.read;

		if (world.calls[i].used && call->waiter.parked && read->id == id &&
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
	for (u32 i = 0; i < sizeof(world.turn); i++)
		world.turn[i] = (u8)(seed + i + i / 251);
	commit->session = (uintptr_t)world.turn;
	commit->session_len = next(4) ? 1 + next(300) : 1 + next(sizeof(world.turn) - 1);
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
		parked->room[i] = (char)answer_byte(id, world.known[id].committed + i);
	commit->data = (uintptr_t)parked->room;
	commit->journal = (uintptr_t)world.room;
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
		cancel->flags = next(4) & (world.calm ? ~LLM_CANCEL_ALL : ~0U);
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

void fill(unsigned int cmd, struct parked *parked)
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

void spoil(unsigned int cmd, struct parked *parked)
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
			both->submit.payload = next(4) ? (uintptr_t)world.room : 8;
		both->submit.stop = next(4) ? (uintptr_t)world.room : 8;
		if (cmd == LLM_IOC_SUBMIT_AND_READ) {
			both->read.buf = (uintptr_t)parked->room;
			both->read.buf_len %= ROOM;
		}
		/* What is read back must be what is known. */
		memset(world.room, 's', sizeof(world.room));
		if (both->submit.stop_len && both->submit.stop_len < sizeof(world.room))
			world.room[both->submit.stop_len - 1] = '\0';
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
		((struct llm_register *)parked->arg)->addr = next(4) ? (uintptr_t)world.room : 8;
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
		commit->journal = next(4) ? (uintptr_t)world.room : 8;
		commit->session = !commit->session ? 0 : next(4) ? (uintptr_t)world.turn : 8;
		commit->session_len %= sizeof(world.turn);
		commit->fetch_buf = commit->fetch_buf ? (uintptr_t)parked->room : 0;
		commit->fetch_len %= ROOM;
		for (u32 i = 0; i < commit->data_len && commit->id < IDS; i++)
			parked->room[i] = (char)answer_byte(commit->id,
							    world.known[commit->id].committed + i);
		break;
	}
	default:
		break;
	}
}
