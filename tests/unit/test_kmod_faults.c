// SPDX-License-Identifier: MIT
/*
 * Stories of requests, told again and again: each time another allocation or another copy
 * fails, until none does. Every command that fails must leave all as it was, and nothing may be left
 * in the end. Then calls that sleep: what wakes them, and what they return otherwise; and a request
 * that could not be delivered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "kmod/broker.h"
#include "kmod/call.h"
#include "kmod/client.h"
#include "kmod/commands.h"
#include "kmod/group.h"
#include "kmod/limits.h"
#include "kmod/queue.h"
#include "kmod/quota.h"
#include "kmod/request.h"
#include "kmod/server.h"
#include "kmod/stream.h"

#include "tests/unit/kshim/sessions.h"

static struct llm_client *client;
static struct llm_server *server;

static int make(unsigned int cmd, void *arg, bool nonblock)
{
	const struct llm_command *command =
		llm_command_find(llm_client_commands, LLM_CLIENT_COMMANDS, cmd);

	if (cmd != LLM_IOC_GET_FEATURES && !command)
		command = llm_command_find(llm_server_commands, LLM_SERVER_COMMANDS, cmd);
	return (int)llm_call_sleep(command, client, server, arg, nonblock);
}

static int submit(u64 *ret_id)
{
	struct llm_submit arg = {
		.size = sizeof(arg), .payload = (uintptr_t)"prompt", .payload_len = 6,
		.stop = (uintptr_t)"stop", .stop_len = 5,
	};
	const int rc = make(LLM_IOC_SUBMIT, &arg, false);

	*ret_id = arg.id;
	return rc;
}

static int fetch(struct llm_event *ret_event, char *data)
{
	static char buf[8192];
	struct llm_fetch arg = {
		.size = sizeof(arg), .flags = LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK,
		.buf = (uintptr_t)buf, .buf_len = sizeof(buf),
	};
	const int rc = make(LLM_IOC_FETCH, &arg, false);

	memcpy(ret_event, buf, sizeof(*ret_event));
	if (data && rc > 0)
		memcpy(data, buf + sizeof(*ret_event), ret_event->data_len);
	return rc;
}

static int commit(u64 id, const char *data, u32 len, u32 flags)
{
	struct llm_commit arg = {
		.size = sizeof(arg), .id = id, .flags = flags,
		.data = (uintptr_t)data, .data_len = len,
		.journal = (uintptr_t)"jrnl", .journal_len = 4,
	};

	return make(LLM_IOC_COMMIT, &arg, false);
}

static int read_once(u64 id, char *buf, u32 room, struct llm_read *ret_read)
{
	*ret_read = (struct llm_read) {
		.size = sizeof(*ret_read), .id = id, .flags = LLM_READ_NONBLOCK,
		.buf = (uintptr_t)buf, .buf_len = room,
	};
	return make(LLM_IOC_READ, ret_read, false);
}

/* Each step is made again until it succeeds; only what is injected may make it fail. */
#define STEP(call)						\
	do {							\
		int rc_ = (call);				\
		if (rc_ < 0) {					\
			assert_true(rc_ == expected_error);	\
			assert_true(kshim_fail_alloc < 0);	\
			assert_true(kshim_fail_copy < 0);	\
			failed++;				\
			rc_ = (call);				\
		}						\
		assert_true(rc_ >= 0);				\
	} while (0)

static int expected_error, failed;

static struct llm_client *client_make(void)
{
	struct llm_client *made = llm_client_create();

	if (!made) {
		failed++;
		made = llm_client_create();
	}
	assert_non_null(made);
	return made;
}

static void story(void)
{
	static char big[9000], answer[9000], data[8192];
	struct llm_event event;
	struct llm_read read;
	struct iov_iter iter;
	u64 id;

	memset(big, 'b', sizeof(big));
	client = client_make();
	STEP(llm_server_open(&server));
	STEP(submit(&id));
	STEP(fetch(&event, data));
	assert_int_equal(event.id, id);
	assert_memory_equal(data, "stop\0prompt", 11);
	STEP(commit(id, big, 5000, 0));
	llm_server_close(server);
	STEP(llm_server_open(&server));
	STEP(fetch(&event, data));
	assert_int_equal(event.output_bytes, 5000);
	assert_memory_equal(data, "stop\0promptjrnl", 15);
	STEP(commit(id, big, 4000, LLM_COMMIT_END));
	STEP(read_once(id, answer, 7000, &read));
	assert_int_equal(read.len, 7000);
	STEP(read_once(id, answer + 7000, 2000, &read));
	assert_int_equal(read.len, 2000);
	assert_int_equal(read.out_flags, LLM_READ_END);
	assert_memory_equal(answer, big, 9000);

	/* A write that fails takes nothing from its iterator that would not be written again. */
	iter = (struct iov_iter) { .at = big, .count = 5000 };
	STEP((iter = (struct iov_iter) { .at = big, .count = 5000 },
	      llm_stream_write(client, &iter, true)));
	id = llm_broker.last_id + 1;
	iter = (struct iov_iter) { .at = answer, .count = 100 };
	if (llm_stream_read(client, &iter, true) != -EAGAIN) {
		failed++;
		assert_int_equal(llm_stream_read(client, &iter, true), -EAGAIN);
	}
	STEP(fetch(&event, data));
	assert_int_equal(event.payload_len, 5000);
	assert_int_equal(event.data_len, 5000);
	llm_client_destroy(client);
	STEP(fetch(&event, NULL));
	assert_int_equal(event.type, LLM_EVENT_CANCEL);
	llm_server_close(server);
}

static u8 pages[2 * PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static int charge(u64 id, u64 cgroup_id, u32 flags, bool back)
{
	struct llm_charge arg = {
		.size = sizeof(arg), .id = id, .cgroup_id = cgroup_id, .flags = flags, .region = 1,
		.bytes = 4096,
	};

	return make(back ? LLM_IOC_UNCHARGE : LLM_IOC_CHARGE, &arg, false);
}

static int setup(void)
{
	struct llm_region regions[2] = { { .name = "host" }, { .name = "vram0" } };
	struct llm_setup arg = {
		.size = sizeof(arg), .slots = 2, .sequences = 4, .regions = (uintptr_t)regions,
		.region_count = 2,
	};

	return make(LLM_IOC_SETUP, &arg, false);
}

static int register_pages(u64 *ret_buffer)
{
	struct llm_register arg = {
		.size = sizeof(arg), .flags = LLM_BUFFER_WRITE, .addr = (uintptr_t)pages,
		.len = sizeof(pages),
	};
	const int rc = make(LLM_IOC_REGISTER, &arg, false);

	*ret_buffer = arg.buffer;
	return rc;
}

static int unregister_pages(u64 buffer)
{
	struct llm_unregister arg = { .size = sizeof(arg), .buffer = buffer };

	return make(LLM_IOC_UNREGISTER, &arg, false);
}

static int submit_in_buffer(u64 buffer)
{
	struct llm_submit arg = {
		.size = sizeof(arg), .flags = LLM_SUBMIT_BUFFER, .buffer = buffer, .payload = 1,
		.payload_len = 5000, .answer_buffer = buffer, .answer_len = 100,
	};

	return make(LLM_IOC_SUBMIT, &arg, false);
}

static int pull(u64 id, char *buf, u32 len)
{
	struct llm_pull arg = {
		.size = sizeof(arg), .id = id, .buf = (uintptr_t)buf, .buf_len = len,
	};

	return make(LLM_IOC_PULL, &arg, false);
}

static int list(struct llm_request_info *ret_info, u32 *ret_count)
{
	struct llm_list arg = {
		.size = sizeof(arg), .buf = (uintptr_t)ret_info, .entry_size = sizeof(*ret_info),
		.capacity = 1,
	};
	const int rc = make(LLM_IOC_LIST, &arg, false);

	*ret_count = arg.count;
	return rc;
}

static int wait_nonblock(u64 *ret_id)
{
	struct llm_wait arg = { .size = sizeof(arg), .flags = LLM_WAIT_NONBLOCK };
	const int rc = make(LLM_IOC_WAIT, &arg, false);

	*ret_id = arg.id;
	return rc;
}

static int cancel(u64 id, u32 flags)
{
	struct llm_cancel arg = { .size = sizeof(arg), .id = id, .flags = flags };

	return make(LLM_IOC_CANCEL, &arg, false);
}

/* A request in a buffer, for which memory is charged and kept; and who looks on. */
static void story_of_memory(void)
{
	static char data[8192];
	struct llm_request_info info;
	struct llm_event event;
	u64 buffer, id;
	u32 count;

	memset(pages, 'p', sizeof(pages));
	client = client_make();
	STEP(llm_server_open(&server));
	STEP(setup());
	STEP(register_pages(&buffer));
	STEP(submit_in_buffer(buffer));
	if (unregister_pages(buffer) != -EBUSY) {
		failed++;
		assert_int_equal(unregister_pages(buffer), -EBUSY);
	}
	STEP(fetch(&event, NULL));
	assert_int_equal(event.buffer, buffer);
	STEP(pull(event.id, data, sizeof(data)));
	assert_memory_equal(data, pages, 5000);
	STEP(charge(event.id, 0, 0, false));
	STEP(charge(event.id, 0, 0, false));
	STEP(charge(event.id, 0, LLM_CHARGE_KEEP, false));
	STEP(list(&info, &count));
	assert_int_equal(count, 1);
	assert_int_equal(info.id, event.id);
	assert_int_equal(info.memory_device, 4096);
	STEP(charge(event.id, 0, 0, true));
	STEP(charge(0, event.cgroup_id, 0, true));
	STEP(commit(event.id, "text", 4, 0));
	STEP(wait_nonblock(&id));
	assert_int_equal(id, event.id);
	STEP(cancel(id, LLM_CANCEL_FORGET));
	STEP(fetch(&event, NULL));
	assert_int_equal(event.type, LLM_EVENT_CANCEL);
	STEP(commit(event.id, NULL, 0, LLM_COMMIT_END));
	STEP(unregister_pages(buffer));
	llm_client_destroy(client);
	llm_server_close(server);
}

static int session(u32 flags, int fd, struct llm_session_cmd *ret_cmd)
{
	*ret_cmd = (struct llm_session_cmd) { .size = sizeof(*ret_cmd), .flags = flags, .fd = fd };
	return make(LLM_IOC_SESSION, ret_cmd, false);
}

static int submit_turn(int fd, u64 *ret_id)
{
	struct llm_submit arg = {
		.size = sizeof(arg), .flags = LLM_SUBMIT_SESSION, .session = fd,
		.payload = (uintptr_t)"turn", .payload_len = 4,
	};
	const int rc = make(LLM_IOC_SUBMIT, &arg, false);

	*ret_id = arg.id;
	return rc;
}

static int end_turn(u64 id, const char *turn, u32 len)
{
	struct llm_commit arg = {
		.size = sizeof(arg), .id = id, .flags = LLM_COMMIT_END,
		.data = (uintptr_t)"text", .data_len = 4,
		.session = (uintptr_t)turn, .session_len = len, .session_tokens = len / 4,
	};

	return make(LLM_IOC_COMMIT, &arg, false);
}

/* A turn of a session, and one of its fork, longer than a page; and what is heard of their end. */
static void story_of_session(void)
{
	static char turns[9000], data[9000], answer[8];
	struct llm_session_cmd first, second, info;
	struct llm_event event;
	struct llm_read read;
	u64 id;

	for (u32 i = 0; i < sizeof(turns); i++)
		turns[i] = (char)(i * 7 + i / 251);
	client = client_make();
	STEP(llm_server_open(&server));
	STEP(session(0, -1, &first));
	STEP(submit_turn(first.fd, &id));
	STEP(fetch(&event, NULL));
	STEP(end_turn(id, turns, 5000));
	STEP(read_once(id, answer, sizeof(answer), &read));
	assert_int_equal(read.out_flags, LLM_READ_END);
	STEP(session(LLM_SESSION_FORK, first.fd, &second));
	assert_int_equal(second.bytes, 5000);
	STEP(submit_turn(second.fd, &id));
	session_close((u32)first.fd);
	STEP(fetch(&event, data));
	assert_int_equal(event.past_session, first.id);
	assert_int_equal(event.session_len, 5000);
	STEP(pull(id, data, sizeof(data)));
	assert_memory_equal(data + 4, turns, 5000);
	STEP(end_turn(id, turns + 5000, 4000));
	/* nobody has what the first one made any more */
	STEP(fetch(&event, NULL));
	assert_int_equal(event.type, LLM_EVENT_SESSION_END);
	assert_int_equal(event.id, first.id);
	STEP(read_once(id, answer, sizeof(answer), &read));
	STEP(session(LLM_SESSION_SEAL, second.fd, &info));
	assert_int_equal(info.bytes, 9000);
	assert_int_equal(info.tokens, 1000);
	assert_int_equal(info.out_flags, LLM_SESSION_SEALED);
	session_close((u32)second.fd);
	STEP(fetch(&event, NULL));
	assert_int_equal(event.id, second.id);
	llm_client_destroy(client);
	llm_server_close(server);
}

static void begin(void)
{
	memset(&llm_broker, 0, sizeof(llm_broker));
	assert_int_equal(llm_request_init(), 0);
	llm_broker_init();
}

static void end(void)
{
	assert_int_equal(llm_broker.requests, 0);
	assert_int_equal(llm_broker.sessions, 0);
	assert_int_equal(llm_broker.submitted, llm_broker.ended);
	llm_broker_exit();
	llm_request_exit();
	assert_int_equal(kshim_allocs, 0);
	assert_int_equal(current->tgid->refs, 1);
	assert_int_equal(current->mm->memcg->refs, 1);
}

static void sweep(void (*tell)(void), int *countdown, int error)
{
	int points = 0;

	expected_error = error;
	for (;;) {
		begin();
		failed = 0;
		*countdown = points;
		tell();
		end();
		if (!failed)
			break;
		assert_int_equal(failed, 1);
		points++;
	}
	assert_true(*countdown >= 0);
	*countdown = -1;
	print_message("# %d points\n", points);
	assert_true(points > 10);
}

static void test_allocations(void **state)
{
	(void)state;
	sweep(story, &kshim_fail_alloc, -ENOMEM);
}

static void test_copies(void **state)
{
	(void)state;
	sweep(story, &kshim_fail_copy, -EFAULT);
}

static void test_memory_allocations(void **state)
{
	(void)state;
	sweep(story_of_memory, &kshim_fail_alloc, -ENOMEM);
}

static void test_memory_copies(void **state)
{
	(void)state;
	sweep(story_of_memory, &kshim_fail_copy, -EFAULT);
}

static void test_session_allocations(void **state)
{
	(void)state;
	sweep(story_of_session, &kshim_fail_alloc, -ENOMEM);
}

static void test_session_copies(void **state)
{
	(void)state;
	sweep(story_of_session, &kshim_fail_copy, -EFAULT);
}

/* ---- memory that is short when nobody wants it any more ---- */

static void test_cancelled(void **state)
{
	struct llm_session_cmd chat;
	struct llm_event event;
	u64 id;

	(void)state;
	begin();
	client = llm_client_create();
	assert_int_equal(llm_server_open(&server), 0);
	assert_int_equal(submit(&id), 0);
	assert_true(fetch(&event, NULL) > 0);
	assert_int_equal(cancel(id, 0), 0);
	kshim_fail_alloc = 0;
	assert_int_equal(commit(id, "x", 1, 0), LLM_VERDICT_CANCELLED);
	assert_int_equal(commit(id, "x", 1, LLM_COMMIT_END), LLM_VERDICT_CANCELLED);
	kshim_fail_alloc = -1;
	assert_int_equal(session(0, -1, &chat), 0);
	assert_int_equal(submit_turn(chat.fd, &id), 0);
	assert_true(fetch(&event, NULL) > 0);
	assert_int_equal(cancel(id, 0), 0);
	kshim_fail_alloc = 0;
	assert_int_equal(end_turn(id, "turn", 4), LLM_VERDICT_CANCELLED);
	kshim_fail_alloc = -1;
	assert_int_equal(session(LLM_SESSION_INFO, chat.fd, &chat), 0);
	assert_int_equal(chat.bytes, 0);
	session_close((u32)chat.fd);
	llm_client_destroy(client);
	llm_server_close(server);
	end();
}

/* ---- a PULL that takes so long that another server is told of more ---- */

static struct llm_server *next_server;
static u32 next_journal_len;

static void take_over(void)
{
	struct llm_server *const old = server;
	struct llm_event event;

	llm_server_leave(old);
	assert_int_equal(llm_server_open(&next_server), 0);
	server = next_server;
	assert_true(fetch(&event, NULL) > 0);
	next_journal_len = event.journal_len;
	server = old;
}

static void test_pull_taken_over(void **state)
{
	static char turns[5000], data[9000];
	struct llm_session_cmd chat;
	struct llm_event event;
	struct llm_read read;
	char answer[8];
	u64 id;

	(void)state;
	begin();
	memset(turns, 't', sizeof(turns));
	client = llm_client_create();
	assert_int_equal(llm_server_open(&server), 0);
	assert_int_equal(session(0, -1, &chat), 0);
	assert_int_equal(submit_turn(chat.fd, &id), 0);
	assert_true(fetch(&event, NULL) > 0);
	assert_int_equal(end_turn(id, turns, sizeof(turns)), LLM_VERDICT_CONTINUE);
	assert_int_equal(read_once(id, answer, sizeof(answer), &read), 0);
	assert_int_equal(submit_turn(chat.fd, &id), 0);
	assert_true(fetch(&event, NULL) > 0);
	assert_int_equal(event.journal_len, 0);
	assert_int_equal(commit(id, "x", 1, 0), LLM_VERDICT_CONTINUE);
	kshim_copying = take_over;
	assert_int_equal(pull(id, data, sizeof(data)), 4 + sizeof(turns));
	assert_null(kshim_copying);
	assert_int_equal(next_journal_len, 4);
	assert_memory_equal(data, "turn", 4);
	assert_memory_equal(data + 4, turns, sizeof(turns));
	llm_server_close(server);
	server = next_server;
	assert_int_equal(pull(id, data, sizeof(data)), 8 + sizeof(turns));
	assert_memory_equal(data, "turnjrnl", 8);
	session_close((u32)chat.fd);
	llm_client_destroy(client);
	llm_server_close(server);
	end();
}

/* ---- calls that sleep ---- */

static u64 idle_id;

static void idle_commit(void)
{
	kshim_idle = NULL;
	assert_int_equal(commit(idle_id, "late", 4, 0), LLM_VERDICT_CONTINUE);
}

static void idle_commit_much(void)
{
	static char much[3000];

	kshim_idle = NULL;
	assert_int_equal(commit(idle_id, much, sizeof(much), 0), LLM_VERDICT_CONTINUE);
}

static void idle_cancel(void)
{
	struct llm_cancel arg = { .size = sizeof(arg), .flags = LLM_CANCEL_ALL };

	kshim_idle = NULL;
	assert_int_equal(make(LLM_IOC_CANCEL, &arg, false), 0);
}

static void idle_submit(void)
{
	kshim_idle = NULL;
	assert_int_equal(submit(&idle_id), 0);
}

static void idle_leave(void)
{
	kshim_idle = NULL;
	llm_server_leave(server);
}

static void test_sleep(void **state)
{
	static char large[8192];
	char buf[64];
	struct llm_event event;
	struct llm_read read;
	struct llm_wait wait;
	struct llm_fetch take = {
		.size = sizeof(take), .flags = LLM_FETCH_REQUEST, .buf = (uintptr_t)&event,
		.buf_len = sizeof(event),
	};
	struct llm_submit_read both = {
		.submit = { .size = sizeof(both) },
		.read = { .size = sizeof(both.read), .buf = (uintptr_t)buf, .buf_len = 64 },
	};

	(void)state;
	begin();
	llm_limits.max_unread_bytes = 4096;
	client = llm_client_create();
	assert_int_equal(llm_server_open(&server), 0);

	assert_int_equal(make(LLM_IOC_FETCH, &take, false), -ERESTARTSYS);
	assert_int_equal(make(LLM_IOC_FETCH, &take, true), -EAGAIN);
	kshim_idle = idle_submit;
	assert_int_equal(make(LLM_IOC_FETCH, &take, false), sizeof(event));
	assert_int_equal(event.id, idle_id);

	read = (struct llm_read) {
		.size = sizeof(read), .id = idle_id, .buf = (uintptr_t)buf, .buf_len = 4,
	};
	assert_int_equal(make(LLM_IOC_READ, &read, false), -ERESTARTSYS);
	kshim_idle = idle_commit;
	assert_int_equal(make(LLM_IOC_READ, &read, false), 0);
	assert_memory_equal(buf, "late", 4);
	/* All of it, but the signal comes while there is little: it stays where it is. */
	kshim_idle = idle_commit;
	read.flags = LLM_READ_ALL;
	read.buf = (uintptr_t)large;
	read.buf_len = sizeof(large);
	assert_int_equal(make(LLM_IOC_READ, &read, false), -ERESTARTSYS);
	/* Or after some of it has been handed out: then that is what there is. */
	kshim_idle = idle_commit_much;
	assert_int_equal(make(LLM_IOC_READ, &read, false), 0);
	assert_int_equal(read.len, 3004);
	assert_int_equal(read.out_flags, 0);

	wait = (struct llm_wait) { .size = sizeof(wait), .id = idle_id };
	assert_int_equal(make(LLM_IOC_WAIT, &wait, false), -ERESTARTSYS);
	wait.deadline_ns = kshim_now_ns + 100000000;
	assert_int_equal(make(LLM_IOC_WAIT, &wait, false), -ETIME);
	assert_true(kshim_now_ns >= wait.deadline_ns);
	/* Not less either where the tick is behind the clock. */
	kshim_behind_ns = 50000000;
	wait.deadline_ns = kshim_now_ns + 100000000;
	assert_int_equal(make(LLM_IOC_WAIT, &wait, false), -ETIME);
	assert_true(kshim_now_ns >= wait.deadline_ns);
	assert_int_equal(kshim_behind_ns, 0);
	wait.deadline_ns = 0;
	kshim_idle = idle_cancel;
	assert_int_equal(make(LLM_IOC_WAIT, &wait, false), 0);
	assert_int_equal(wait.state, LLM_STATE_CANCELLING);

	assert_int_equal(make(LLM_IOC_SUBMIT_AND_READ, &both, false), -EINTR);
	assert_int_equal(both.submit.id, both.read.id);
	both.read.id = 0;
	assert_int_equal(make(LLM_IOC_SUBMIT_AND_READ, &both, true), -EAGAIN);

	/* A server that is told to go while it waits. */
	assert_int_equal(make(LLM_IOC_FETCH, &take, true), sizeof(event));
	assert_int_equal(make(LLM_IOC_FETCH, &take, true), sizeof(event));
	kshim_idle = idle_leave;
	assert_int_equal(make(LLM_IOC_FETCH, &take, false), -ESHUTDOWN);
	assert_int_equal(commit(event.id, "x", 1, 0), -ENOENT);
	llm_client_destroy(client);
	llm_server_close(server);
	end();
}

/* ---- a request that comes back long after it was submitted ---- */

static void fetcher_wake(struct llm_waiter *waiter)
{
	(void)waiter;
}

/* A FETCH that waits, as one by io_uring does. */
static void fetcher_park(struct llm_call *call, struct llm_fetch *arg)
{
	static struct llm_event event;
	const struct llm_command *command =
		llm_command_find(llm_server_commands, LLM_SERVER_COMMANDS, LLM_IOC_FETCH);

	*arg = (struct llm_fetch) {
		.size = sizeof(*arg), .flags = LLM_FETCH_REQUEST, .buf = (uintptr_t)&event,
		.buf_len = sizeof(event),
	};
	llm_call_init(call, command, NULL, server, arg);
	call->waiter.wake = fetcher_wake;
	assert_int_equal(llm_call_begin(call), 0);
	assert_int_equal(command->attempt(call, true), -EIOCBQUEUED);
}

static const struct llm_usage *usage_of(u64 cgroup)
{
	struct llm_group *group;

	spin_lock(&llm_broker.lock);
	group = llm_group_find(cgroup);
	spin_unlock(&llm_broker.lock);
	assert_non_null(group);
	return &group->tenant.usage;
}

/*
 * It is handed out, an hour passes, the server's memory is gone when it comes to take it, and
 * another FETCH is there: the request begins now and not when it was submitted, or its cgroup's
 * quota would have kept it out for an hour that was counted before.
 */
static void test_return(void **state)
{
	const struct llm_quota_change change = {
		.fields = BIT(LLM_QUOTA_RATE) | BIT(LLM_QUOTA_BURST),
		.quota = { .rate = 1000, .burst = 16000 },
	};
	const u64 cgroup = task_dfl_cgroup(current)->id, start_ns = kshim_now_ns;
	struct llm_call first, second;
	struct llm_fetch args[2];
	u64 id;

	(void)state;
	begin();
	kshim_cgroups = task_dfl_cgroup(current);
	kshim_cgroup_count = 1;
	client = llm_client_create();
	assert_int_equal(llm_server_open(&server), 0);
	assert_int_equal(llm_quota_change(cgroup, &change), 0);
	fetcher_park(&first, &args[0]);
	assert_int_equal(submit(&id), 0);
	assert_non_null(first.event.req);
	fetcher_park(&second, &args[1]);
	kshim_now_ns += 3600 * (u64)NSEC_PER_SEC;
	kshim_fail_copy = 0;
	assert_int_equal(first.command->attempt(&first, false), -EFAULT);
	assert_non_null(second.event.req);
	assert_int_equal(second.command->attempt(&second, false), args[1].buf_len);
	assert_int_equal(commit(id, "x", 1, LLM_COMMIT_END), LLM_VERDICT_CONTINUE);
	assert_true(usage_of(cgroup)->throttled_ns <= kshim_now_ns - start_ns);
	llm_client_destroy(client);
	llm_server_close(server);
	end();
	kshim_cgroup_count = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocations),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_memory_allocations),
		cmocka_unit_test(test_memory_copies),
		cmocka_unit_test(test_session_allocations),
		cmocka_unit_test(test_session_copies),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_pull_taken_over),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_return),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("kmod_faults", tests, NULL, NULL);
}
