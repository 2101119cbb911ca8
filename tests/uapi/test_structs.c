// SPDX-License-Identifier: MIT
/*
 * The form of every struct: sizes, unknown flags, padding, unknown enumerators, bad addresses; by
 * ioctl and by io_uring, which must not differ.
 */
#include "uapi.h"

#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define ZERO(type, field) { offsetof(struct type, field), sizeof(((struct type *)0)->field) }

static char payload[8] = "payload", room[4096];
static size_t page;

/* A command whose struct is well-formed and comes back with @want. */
struct form {
	const char *name;
	unsigned int cmd;
	bool on_server;
	size_t size;
	int want;
	struct { size_t at, len; } zero[6];
	void (*fill)(void *arg);
};

static void fill_nothing(void *arg)
{
	(void)arg;
}

/* Every field that is wrong alone is wrong in a struct that would be refused later anyway. */
static void fill_submit(void *arg)
{
	struct llm_submit *submit = arg;

	submit->payload = (uintptr_t)payload;
	submit->payload_len = param_get("max_payload_bytes") + 1;
}

static void fill_submit_read(void *arg)
{
	struct llm_submit_read *both = arg;

	fill_submit(&both->submit);
	both->read = read_init(0, room, sizeof(room));
}

static void fill_list(void *arg)
{
	((struct llm_list *)arg)->entry_size = sizeof(struct llm_request_info);
}

static void fill_register(void *arg)
{
	((struct llm_register *)arg)->addr = page;
	((struct llm_register *)arg)->len = 1ULL << 40;
}

static void fill_session(void *arg)
{
	((struct llm_session_cmd *)arg)->flags = LLM_SESSION_INFO;
	((struct llm_session_cmd *)arg)->fd = -1;
}

static void fill_setup(void *arg)
{
	((struct llm_setup *)arg)->regions = (uintptr_t)nowhere();
	((struct llm_setup *)arg)->region_count = 1;
}

static void fill_fetch(void *arg)
{
	*(struct llm_fetch *)arg = fetch_init(LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, room,
					      sizeof(room));
}

static void fill_charge(void *arg)
{
	((struct llm_charge *)arg)->id = UINT64_MAX;
	((struct llm_charge *)arg)->bytes = 1;
}

static void fill_commit_fetch(void *arg)
{
	struct llm_commit *commit = arg;

	commit->flags = LLM_COMMIT_END;
	commit->fetch_buf = (uintptr_t)room;
	commit->fetch_len = sizeof(room);
	commit->fetch_flags = LLM_FETCH_REQUEST;
}

static const struct form forms[] = {
	{ "GET_FEATURES", LLM_IOC_GET_FEATURES, false, sizeof(struct llm_features), 0,
	  { ZERO(llm_features, flags), ZERO(llm_features, pad), ZERO(llm_features, reserved) },
	  fill_nothing },
	{ "GET_FEATURES (server)", LLM_IOC_GET_FEATURES, true, sizeof(struct llm_features), 0,
	  { ZERO(llm_features, flags), ZERO(llm_features, pad), ZERO(llm_features, reserved) },
	  fill_nothing },
	{ "SUBMIT", LLM_IOC_SUBMIT, false, sizeof(struct llm_submit), -E2BIG,
	  { ZERO(llm_submit, pad), ZERO(llm_submit, session), ZERO(llm_submit, sampling.reserved),
	    ZERO(llm_submit, reserved) }, fill_submit },
	{ "READ", LLM_IOC_READ, false, sizeof(struct llm_read), -ENOENT,
	  { ZERO(llm_read, reserved) }, fill_nothing },
	{ "SUBMIT_AND_READ", LLM_IOC_SUBMIT_AND_READ, false, sizeof(struct llm_submit_read),
	  -E2BIG, { ZERO(llm_submit_read, submit.pad), ZERO(llm_submit_read, read.id),
		    ZERO(llm_submit_read, read.reserved) }, fill_submit_read },
	{ "CANCEL", LLM_IOC_CANCEL, false, sizeof(struct llm_cancel), -ENOENT,
	  { ZERO(llm_cancel, reserved) }, fill_nothing },
	{ "WAIT", LLM_IOC_WAIT, false, sizeof(struct llm_wait), -ENOENT,
	  { ZERO(llm_wait, pad), ZERO(llm_wait, reserved) }, fill_nothing },
	{ "LIST", LLM_IOC_LIST, false, sizeof(struct llm_list), 0,
	  { ZERO(llm_list, flags), ZERO(llm_list, reserved) }, fill_list },
	{ "REGISTER", LLM_IOC_REGISTER, false, sizeof(struct llm_register), -E2BIG,
	  { ZERO(llm_register, fd), ZERO(llm_register, pad), ZERO(llm_register, reserved) },
	  fill_register },
	{ "UNREGISTER", LLM_IOC_UNREGISTER, false, sizeof(struct llm_unregister), -ENOENT,
	  { ZERO(llm_unregister, reserved) }, fill_nothing },
	{ "SESSION", LLM_IOC_SESSION, false, sizeof(struct llm_session_cmd), -EBADF,
	  { ZERO(llm_session_cmd, reserved) }, fill_session },
	{ "SETUP", LLM_IOC_SETUP, true, sizeof(struct llm_setup), -EFAULT,
	  { ZERO(llm_setup, pad), ZERO(llm_setup, reserved) }, fill_setup },
	{ "FETCH", LLM_IOC_FETCH, true, sizeof(struct llm_fetch), -EAGAIN,
	  { ZERO(llm_fetch, pad), ZERO(llm_fetch, reserved) }, fill_fetch },
	{ "PULL", LLM_IOC_PULL, true, sizeof(struct llm_pull), -ENOENT,
	  { ZERO(llm_pull, flags), ZERO(llm_pull, pad), ZERO(llm_pull, reserved) },
	  fill_nothing },
	{ "COMMIT", LLM_IOC_COMMIT, true, sizeof(struct llm_commit), -ENOENT,
	  { ZERO(llm_commit, fetch_buf), ZERO(llm_commit, fetch_len),
	    ZERO(llm_commit, fetch_flags), ZERO(llm_commit, session),
	    ZERO(llm_commit, session_tokens), ZERO(llm_commit, reserved) }, fill_nothing },
	{ "CHARGE", LLM_IOC_CHARGE, true, sizeof(struct llm_charge), -ENOENT,
	  { ZERO(llm_charge, pad), ZERO(llm_charge, reserved) }, fill_charge },
	{ "UNCHARGE", LLM_IOC_UNCHARGE, true, sizeof(struct llm_charge), -ENOENT,
	  { ZERO(llm_charge, pad), ZERO(llm_charge, reserved) }, fill_charge },
	{ "COMMIT_AND_FETCH", LLM_IOC_COMMIT_AND_FETCH, true, sizeof(struct llm_commit), -ENOENT,
	  { ZERO(llm_commit, reserved) }, fill_commit_fetch },
};

static int client, server;
static struct io_uring *ring;
/* Two pages, of which the second is not there. */
static char *edge;

/* A well-formed struct with @extra zero bytes behind it, ending where the memory ends. */
static void *make(const struct form *form, size_t extra)
{
	char *arg = edge + page - form->size - extra;

	memset(arg, 0, form->size + extra);
	form->fill(arg);
	*(uint32_t *)arg = (uint32_t)(form->size + extra);
	return arg;
}

static int make_call(const struct form *form, void *arg)
{
	return call(ring, form->on_server ? server : client, form->cmd, arg);
}

static void test_sizes(const struct form *form)
{
	static const uint32_t none[] = { 0, 1, 4, 7 };
	uint32_t *arg;

	is(make_call(form, make(form, 0)), form->want, "%s: well-formed", form->name);
	is(make_call(form, make(form, 8)), form->want, "%s: longer, zero tail", form->name);
	is(make_call(form, make(form, page - form->size)), form->want, "%s: a page", form->name);
	arg = make(form, 8);
	((char *)arg)[form->size + 7] = 1;
	is(make_call(form, arg), -E2BIG, "%s: longer, the tail means something", form->name);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		arg = make(form, 0);
		*arg = none[i];
		is(make_call(form, arg), -EINVAL, "%s: size %u", form->name, none[i]);
	}
	arg = make(form, 0);
	*arg = (uint32_t)page + 1;
	is(make_call(form, arg), -E2BIG, "%s: longer than a page", form->name);
	*arg = UINT32_MAX;
	is(make_call(form, arg), -E2BIG, "%s: as long as can be said", form->name);
	*arg = (uint32_t)form->size + 8;
	is(make_call(form, arg), -EFAULT, "%s: longer than its memory", form->name);
}

static void test_zeros(const struct form *form)
{
	uint32_t *arg = make(form, 0);
	bool good = true;

	/* The second field of every struct. */
	arg[1] |= 1U << 31;
	is(make_call(form, arg), -EINVAL, "%s: an unknown flag", form->name);
	for (size_t i = 0; i < ARRAY_LEN(form->zero); i++) {
		for (size_t j = 0; j < form->zero[i].len; j++) {
			arg = make(form, 0);
			((char *)arg)[form->zero[i].at + j] ^= 1;
			good &= make_call(form, arg) == -EINVAL;
		}
	}
	ok(good, "%s: a byte that must be zero and is not", form->name);
}

static void test_addresses(const struct form *form)
{
	char *arg = make(form, 0), *last = edge + page - 4;
	int rc;

	is(make_call(form, arg), form->want, "%s: up to the edge", form->name);
	*(uint32_t *)last = (uint32_t)form->size;
	is(make_call(form, last), -EFAULT, "%s: over the edge", form->name);
	if (!ring) {
		is(make_call(form, NULL), -EFAULT, "%s: no struct", form->name);
		is(make_call(form, (void *)(UINTPTR_MAX - 7)), -EFAULT, "%s: the kernel's", form->name);
	}
	make(form, 0);
	must(!mprotect(edge, page, PROT_READ), "mprotect");
	rc = make_call(form, arg);
	must(!mprotect(edge, page, PROT_READ | PROT_WRITE), "mprotect");
	is(rc, form->want ?: -EFAULT, "%s: cannot be written", form->name);
}

#define WRONG(type, command, where, field, value)					\
	do {										\
		struct type arg_;							\
		const struct form *form_ = NULL;					\
		for (size_t i_ = 0; i_ < ARRAY_LEN(forms); i_++)			\
			if (forms[i_].cmd == (command) && forms[i_].on_server == (where)) \
				form_ = &forms[i_];					\
		memcpy(&arg_, make(form_, 0), sizeof(arg_));				\
		arg_.field = (value);							\
		is(make_call(form_, &arg_), -EINVAL, "%s: %s", form_->name, #field " = " #value); \
	} while (0)

static void test_values(void)
{
	WRONG(llm_submit, LLM_IOC_SUBMIT, false, flags, LLM_SUBMIT_FILE);
	WRONG(llm_submit, LLM_IOC_SUBMIT, false, op, LLM_OP_MAX + 1);
	WRONG(llm_submit, LLM_IOC_SUBMIT, false, payload_type, LLM_PAYLOAD_MAX + 1);
	WRONG(llm_submit, LLM_IOC_SUBMIT, false, sampling.top_logprobs, 1);
	WRONG(llm_submit, LLM_IOC_SUBMIT, false, model[LLM_MODEL_NAME_MAX - 1], 1);
	WRONG(llm_submit, LLM_IOC_SUBMIT, false, model[1], 'x');
	WRONG(llm_submit_read, LLM_IOC_SUBMIT_AND_READ, false, submit.op, LLM_OP_MAX + 1);
	WRONG(llm_submit_read, LLM_IOC_SUBMIT_AND_READ, false, read.size, 0);
	WRONG(llm_submit_read, LLM_IOC_SUBMIT_AND_READ, false, read.flags, 4);
	WRONG(llm_cancel, LLM_IOC_CANCEL, false, flags, 4);
	WRONG(llm_list, LLM_IOC_LIST, false, entry_size, 0);
	WRONG(llm_list, LLM_IOC_LIST, false, entry_size, 4097);
	WRONG(llm_setup, LLM_IOC_SETUP, true, region_count, LLM_REGIONS_MAX + 1);
	WRONG(llm_setup, LLM_IOC_SETUP, true, region_count, 0);
	WRONG(llm_session_cmd, LLM_IOC_SESSION, false, flags, LLM_SESSION_FORK | LLM_SESSION_SEAL);
	WRONG(llm_commit, LLM_IOC_COMMIT, true, session_len, 1);
	WRONG(llm_fetch, LLM_IOC_FETCH, true, flags, LLM_FETCH_NONBLOCK);
	WRONG(llm_fetch, LLM_IOC_FETCH, true, flags, LLM_FETCH_REQUEST | 16);
	WRONG(llm_fetch, LLM_IOC_FETCH, true, buf_len, sizeof(struct llm_event) - 1);
	WRONG(llm_commit, LLM_IOC_COMMIT, true, status, -1);
	WRONG(llm_commit, LLM_IOC_COMMIT, true, finish, LLM_FINISH_STOP);
	WRONG(llm_commit, LLM_IOC_COMMIT_AND_FETCH, true, flags, 0);
	WRONG(llm_commit, LLM_IOC_COMMIT_AND_FETCH, true, status, 1);
	WRONG(llm_commit, LLM_IOC_COMMIT_AND_FETCH, true, status, -4096);
	WRONG(llm_commit, LLM_IOC_COMMIT_AND_FETCH, true, finish, LLM_FINISH_CONTEXT + 1);
	WRONG(llm_commit, LLM_IOC_COMMIT_AND_FETCH, true, fetch_flags, 0);
	WRONG(llm_commit, LLM_IOC_COMMIT_AND_FETCH, true, fetch_len, 8);
}

static void test_payloads(void)
{
	static const char unended[] = { 'a', '\0', 'b' };
	struct llm_submit submit = submit_init(nowhere(), 100);
	struct llm_read read;
	struct event event;
	struct llm_fetch fetch_arg;
	struct llm_commit commit_arg;
	struct llm_pull pull = { .size = sizeof(pull), .buf = (uintptr_t)nowhere(), .buf_len = 4 };
	uint64_t id;

	is(call(ring, client, LLM_IOC_SUBMIT, &submit), -EFAULT, "a payload that is not there");
	submit = submit_init(edge + page - 8, 9);
	is(call(ring, client, LLM_IOC_SUBMIT, &submit), -EFAULT, "a payload that ends early");
	submit = submit_init(payload, 7);
	submit.stop = (uintptr_t)unended;
	submit.stop_len = sizeof(unended);
	is(call(ring, client, LLM_IOC_SUBMIT, &submit), -EINVAL, "a stop string without an end");
	submit.stop_len = LLM_STOP_BYTES_MAX + 1;
	is(call(ring, client, LLM_IOC_SUBMIT, &submit), -E2BIG, "too many stop strings");
	submit.stop = (uintptr_t)nowhere();
	submit.stop_len = 1;
	is(call(ring, client, LLM_IOC_SUBMIT, &submit), -EFAULT, "stop strings not there");
	is(features(client).requests, 0, "none of them has left anything");

	id = submit_text(client, "hello");
	fetch_arg = fetch_init(LLM_FETCH_REQUEST, nowhere(), sizeof(event));
	is(call(ring, server, LLM_IOC_FETCH, &fetch_arg), -EFAULT, "FETCH to nowhere");
	fetch_arg = fetch_init(LLM_FETCH_REQUEST, edge + page - sizeof(event.head) - 2,
			       sizeof(event));
	is(call(ring, server, LLM_IOC_FETCH, &fetch_arg), -EFAULT, "FETCH to too little memory");
	is(state_of(client, id, NULL), LLM_STATE_QUEUED, "it is still due");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 5, "FETCH gets it");
	is(event.head.attempts, 1, "as if for the first time");
	pull.id = id;
	is(call(ring, server, LLM_IOC_PULL, &pull), -EFAULT, "PULL to nowhere");
	commit_arg = commit_init(id, nowhere(), 4);
	is(call(ring, server, LLM_IOC_COMMIT, &commit_arg), -EFAULT, "COMMIT from nowhere");
	commit_arg = commit_init(id, "data", 4);
	commit_arg.journal = (uintptr_t)nowhere();
	commit_arg.journal_len = 4;
	is(call(ring, server, LLM_IOC_COMMIT, &commit_arg), -EFAULT, "a journal from nowhere");
	is(call(ring, client, LLM_IOC_READ, &(struct llm_read) {
			.size = sizeof(read), .id = id, .buf = (uintptr_t)room, .buf_len = 8,
			.flags = LLM_READ_NONBLOCK }), -EAGAIN, "nothing of it was taken");
	commit_arg = commit_init(id, "data", 4);
	commit_arg.flags = LLM_COMMIT_END;
	is(call(ring, server, LLM_IOC_COMMIT, &commit_arg), 0, "COMMIT");
	read = read_init(id, nowhere(), 4);
	is(call(ring, client, LLM_IOC_READ, &read), -EFAULT, "READ to nowhere");
	{
		struct llm_read *fixed = (void *)(edge + page - sizeof(read));
		int rc;

		*fixed = read_init(id, room, sizeof(room));
		must(!mprotect(edge, page, PROT_READ), "mprotect");
		rc = call(ring, client, LLM_IOC_READ, fixed);
		must(!mprotect(edge, page, PROT_READ | PROT_WRITE), "mprotect");
		is(rc, -EFAULT, "READ whose struct cannot be written");
	}
	read = read_init(id, room, sizeof(room));
	is(call(ring, client, LLM_IOC_READ, &read), 0, "READ");
	ok(read.len == 4 && !memcmp(room, "data", 4) && read.out_flags == LLM_READ_END,
	   "nothing was lost");
	is(features(client).requests, 0, "nothing is left");
}

static void test_small_structs(void)
{
	/* What a program compiled against a shorter struct would send. */
	struct llm_read read;
	struct llm_features f = { .size = 16, .max_requests = 12345 };
	const uint64_t id = submit_text(client, "x");

	is(call(ring, client, LLM_IOC_GET_FEATURES, &f), 0, "short features");
	is(f.size, 16, "the size comes back");
	is(f.abi_version, LLM_ABI_VERSION, "what fits comes back");
	is(f.max_requests, 12345, "and nothing more");
	read = read_init(id, room, 0);
	read.size = offsetof(struct llm_read, status);
	read.status = 77;
	is(call(ring, client, LLM_IOC_READ, &read), 0, "a short READ");
	is(read.state, LLM_STATE_QUEUED, "what fits comes back");
	is(read.status, 77, "and nothing more");
	is(cancel(client, id, LLM_CANCEL_FORGET), 0, "cancel");
}

static void test_numbers(void)
{
	char arg[4096] = { 8 };
	bool good = true;

	for (unsigned int nr = 0; nr < 256; nr++) {
		const bool exists = nr < 10 || (nr >= 0x20 && nr < 0x27);
		const unsigned int cmd = _IOWR(LLM_IOC_MAGIC, nr, char[8]);

		if (exists)
			continue;
		good &= call(ring, client, cmd, arg) == -ENOTTY;
		good &= call(ring, server, cmd, arg) == -ENOTTY;
	}
	ok(good, "unknown numbers");
	is(call(ring, client, _IOR(LLM_IOC_MAGIC, 0, struct llm_features), arg), -ENOTTY,
	   "a known number in another direction");
	is(call(ring, client, _IOWR('x', 0, struct llm_features), arg), -ENOTTY, "another magic");
}

int main(void)
{
	struct io_uring one;

	page = (size_t)sysconf(_SC_PAGESIZE);
	edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(edge != MAP_FAILED && !mprotect(edge + page, page, PROT_NONE), "mmap");
	client = client_open();
	server = server_open();
	must(io_uring_queue_init(8, &one, 0) == 0, "io_uring_queue_init");
	for (int way = 0; way < 2; way++) {
		ring = way ? &one : NULL;
		tap_note("by %s", way ? "io_uring" : "ioctl");
		for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
			test_sizes(&forms[i]);
			test_zeros(&forms[i]);
			test_addresses(&forms[i]);
		}
		test_values();
		test_payloads();
		test_small_structs();
		test_numbers();
	}
	io_uring_queue_exit(&one);
	close(client);
	close(server);
	return tap_done();
}
