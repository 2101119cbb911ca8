// SPDX-License-Identifier: MIT
/*
 * Every command by io_uring, of both sides in one process: what parks and what wakes it, with each
 * kind of ring.
 */
#include "uapi.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum who { FETCH, READ, WAIT, COMMIT, SUBMIT };

static int client, server;
static struct io_uring ring;

/* Is nothing completed, even after all that is due has run? */
static bool quiet(void)
{
	struct io_uring_cqe *cqe;
	struct llm_features f = { .size = sizeof(f) };

	/* A command that completes at once flushes task work that was queued before it. */
	uring_queue(&ring, client, LLM_IOC_GET_FEATURES, &f, 1000);
	io_uring_submit(&ring);
	if (io_uring_wait_cqe(&ring, &cqe) || cqe->user_data != 1000)
		return false;
	io_uring_cqe_seen(&ring, cqe);
	return io_uring_peek_cqe(&ring, &cqe) == -EAGAIN;
}

static void test_round(void)
{
	struct event event;
	char answer[64];
	struct llm_fetch fetch = fetch_init(LLM_FETCH_REQUEST, &event, sizeof(event));
	struct llm_fetch notice = fetch_init(LLM_FETCH_NOTICE, &event, sizeof(event));
	struct llm_submit submit = submit_init("hello", 5);
	struct llm_read read;
	struct llm_wait wait = { .size = sizeof(wait), .flags = LLM_WAIT_END };
	struct llm_commit commit;
	uint64_t who;

	uring_queue(&ring, server, LLM_IOC_FETCH, &fetch, FETCH);
	ok(quiet(), "a FETCH parks");
	uring_queue(&ring, client, LLM_IOC_SUBMIT, &submit, SUBMIT);
	is(uring_reap(&ring, &who), 0, "SUBMIT");
	is(who, SUBMIT, "completes at once");
	is(uring_reap(&ring, &who), sizeof(event.head) + 5, "and the FETCH");
	is(who, FETCH, "brings it");
	ok(event.head.id == submit.id && !memcmp(event.data, "hello", 5), "unharmed");

	read = read_init(submit.id, answer, sizeof(answer));
	uring_queue(&ring, client, LLM_IOC_READ, &read, READ);
	wait.id = submit.id;
	uring_queue(&ring, client, LLM_IOC_WAIT, &wait, WAIT);
	ok(quiet(), "READ and WAIT park");
	commit = commit_init(submit.id, "good", 4);
	uring_queue(&ring, server, LLM_IOC_COMMIT, &commit, COMMIT);
	is(uring_reap(&ring, &who), LLM_VERDICT_CONTINUE, "COMMIT");
	is(who, COMMIT, "completes at once");
	is(uring_reap(&ring, &who), 0, "and wakes");
	is(who, READ, "the READ");
	ok(read.len == 4 && !memcmp(answer, "good", 4), "which has the bytes");
	ok(quiet(), "but not the WAIT for the end");

	read = read_init(submit.id, answer, sizeof(answer));
	uring_queue(&ring, client, LLM_IOC_READ, &read, READ);
	commit = commit_init(submit.id, "bye", 3);
	commit.flags = LLM_COMMIT_END;
	commit.fetch_buf = (uintptr_t)&event;
	commit.fetch_len = sizeof(event);
	commit.fetch_flags = LLM_FETCH_REQUEST;
	uring_queue(&ring, server, LLM_IOC_COMMIT_AND_FETCH, &commit, FETCH);
	for (int i = 0; i < 2; i++) {
		is(uring_reap(&ring, &who), 0, "COMMIT_AND_FETCH wakes");
		ok(who == READ || who == WAIT, "both of them");
	}
	is(read.out_flags, LLM_READ_END, "the READ has the end");
	is(wait.state, LLM_STATE_ENDED, "and the WAIT");
	ok(quiet(), "and itself is parked as a FETCH");

	uring_queue(&ring, client, LLM_IOC_SUBMIT, &submit, SUBMIT);
	uring_reap(&ring, NULL);
	is(uring_reap(&ring, &who), sizeof(event.head) + 5, "which brings the next request");
	is(who, FETCH, "as such");

	uring_queue(&ring, server, LLM_IOC_FETCH, &notice, FETCH);
	read = read_init(submit.id, answer, sizeof(answer));
	uring_queue(&ring, client, LLM_IOC_READ, &read, READ);
	ok(quiet(), "a FETCH for notices parks");
	is(cancel(client, submit.id, 0), 0, "cancel");
	for (int i = 0; i < 2; i++)
		ok(uring_reap(&ring, &who) >= 0, "wakes both sides");
	is(read.status, -ECANCELED, "the READ is told");
	is(read.out_flags, LLM_READ_END, "and has its end at once");
	is(event.head.type, LLM_EVENT_CANCEL, "the FETCH brings the notice");
	is(event.head.id, submit.id, "of this request");
	commit = commit_init(submit.id, NULL, 0);
	commit.flags = LLM_COMMIT_END;
	is(uring_call(&ring, server, LLM_IOC_COMMIT, &commit), LLM_VERDICT_CANCELLED,
	   "the server lets go");
}

/*
 * What a parked FETCH was handed is cancelled before its task gets around to taking it; that can
 * be had for certain where the ring defers what it has to do until it is asked.
 */
static void test_moot(void)
{
	struct event event;
	struct llm_fetch fetch = fetch_init(LLM_FETCH_REQUEST | LLM_FETCH_NOTICE, &event,
					    sizeof(event));
	struct llm_submit submit = submit_init("second", 6);
	uint64_t first;

	uring_queue(&ring, server, LLM_IOC_FETCH, &fetch, FETCH);
	ok(quiet(), "a FETCH parks");
	first = submit_text(client, "first");
	is(cancel(client, first, LLM_CANCEL_FORGET), 0, "a request comes and goes");
	ok(quiet(), "the FETCH brings neither it nor a notice of it");
	is(call(NULL, client, LLM_IOC_SUBMIT, &submit), 0, "another one comes");
	is(uring_reap(&ring, NULL), sizeof(event.head) + 6, "the FETCH brings that");
	is(event.head.id, submit.id, "this one");
	is(commit_status(server, submit.id, 0), LLM_VERDICT_CONTINUE, "end it");
	is(cancel(client, submit.id, LLM_CANCEL_FORGET), 0, "forget it");
}

static void test_at_once(void)
{
	struct event event;
	struct llm_fetch fetch = fetch_init(LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, &event,
					    sizeof(event));
	struct llm_wait wait = { .size = sizeof(wait) };
	struct llm_cancel none = { .size = sizeof(none), .id = 1ULL << 60 };
	struct llm_read read = read_init(1ULL << 60, NULL, 0);
	struct llm_submit submit = submit_init("x", 1);
	const uint64_t before = now_ns();

	is(uring_call(&ring, server, LLM_IOC_FETCH, &fetch), -EAGAIN, "FETCH with nothing due");
	is(uring_call(&ring, client, LLM_IOC_WAIT, &wait), -ENOENT, "WAIT without a request");
	is(uring_call(&ring, client, LLM_IOC_CANCEL, &none), -ENOENT, "CANCEL of none");
	is(uring_call(&ring, client, LLM_IOC_READ, &read), -ENOENT, "READ of none");
	is(uring_call(&ring, client, LLM_IOC_FETCH, &fetch), -ENOTTY, "no FETCH on /dev/llm");
	is(uring_call(&ring, server, LLM_IOC_SUBMIT, &submit), -ENOTTY, "no SUBMIT on /dev/llmd");
	is(uring_call(&ring, client, LLM_IOC_SUBMIT, &submit), 0, "SUBMIT");
	wait.id = 0;
	wait.deadline_ns = now_ns() + 20000000;
	is(uring_call(&ring, client, LLM_IOC_WAIT, &wait), -ETIME, "WAIT until a deadline");
	ok(now_ns() >= wait.deadline_ns, "not less");
	wait.deadline_ns = before;
	is(uring_call(&ring, client, LLM_IOC_WAIT, &wait), -ETIME, "WAIT until a time gone by");
	read = read_init(submit.id, &event, sizeof(event));
	read.flags = LLM_READ_NONBLOCK;
	is(uring_call(&ring, client, LLM_IOC_READ, &read), -EAGAIN, "READ with nothing there");
	is(cancel(client, submit.id, LLM_CANCEL_FORGET), 0, "cancel");
}

/* What is there already must not make a READ_ALL return before the rest has come. */
static void test_read_all(void)
{
	const uint32_t bound = features(client).max_unread_bytes;
	const uint32_t most = features(client).max_commit_bytes;
	char *data = calloc(1, bound + most), *answer = calloc(1, bound + most);
	struct llm_submit submit = submit_init("x", 1);
	struct llm_commit commit;
	struct llm_read read;
	struct event event;
	uint32_t len = 0;

	must(data && answer, "calloc");
	for (uint32_t i = 0; i < bound + most; i++)
		data[i] = (char)gen_byte(9, i);
	is(call(NULL, client, LLM_IOC_SUBMIT, &submit), 0, "SUBMIT");
	fetch(server, LLM_FETCH_REQUEST, &event);
	for (; len < bound / 2; len += most) {
		commit = commit_init(submit.id, data + len, most);
		call(NULL, server, LLM_IOC_COMMIT, &commit);
	}
	read = read_init(submit.id, answer, bound + most);
	read.flags = LLM_READ_ALL;
	uring_queue(&ring, client, LLM_IOC_READ, &read, READ);
	ok(quiet(), "a READ_ALL that finds half of the bound waits for the end");
	commit = commit_init(submit.id, data + len, 100);
	commit.flags = LLM_COMMIT_END;
	is(call(NULL, server, LLM_IOC_COMMIT, &commit), LLM_VERDICT_CONTINUE, "which comes");
	is(uring_reap(&ring, NULL), 0, "it returns");
	is(read.len, len + 100, "all of it");
	is(read.out_flags, LLM_READ_END, "with the end");
	ok(gen_matches(9, answer, len + 100), "unharmed");
	free(answer);
	free(data);
}

static void test_forced_async(void)
{
	struct event event;
	struct llm_fetch fetch = fetch_init(LLM_FETCH_REQUEST, &event, sizeof(event));
	struct llm_submit submit = submit_init("async", 5);
	struct io_uring_sqe *sqe;
	uint64_t who;

	/* A worker issues it, the task completes it. */
	sqe = uring_queue(&ring, server, LLM_IOC_FETCH, &fetch, FETCH);
	sqe->flags |= IOSQE_ASYNC;
	uring_queue(&ring, client, LLM_IOC_SUBMIT, &submit, SUBMIT);
	for (int i = 0; i < 2; i++) {
		const int rc = uring_reap(&ring, &who);

		is(rc, who == FETCH ? (int)sizeof(event.head) + 5 : 0, "forced into a worker");
	}
	is(commit_status(server, submit.id, 0), LLM_VERDICT_CONTINUE, "end it");
	is(cancel(client, submit.id, LLM_CANCEL_FORGET), 0, "forget it");
}

static void test_command_bytes(void)
{
	struct llm_features f = { .size = sizeof(f) };
	struct io_uring_sqe *sqe;
	bool refused = true;

	sqe = uring_queue(&ring, client, LLM_IOC_GET_FEATURES, &f, 0);
	((struct llm_uring_cmd *)sqe->cmd)->flags = 1;
	is(uring_reap(&ring, NULL), -EINVAL, "flags of the command bytes");
	sqe = uring_queue(&ring, client, LLM_IOC_GET_FEATURES, &f, 0);
	((struct llm_uring_cmd *)sqe->cmd)->arg_len++;
	is(uring_reap(&ring, NULL), -EINVAL, "a size that is not the struct's");
	sqe = uring_queue(&ring, client, LLM_IOC_GET_FEATURES, &f, 0);
	((struct llm_uring_cmd *)sqe->cmd)->arg = 8;
	is(uring_reap(&ring, NULL), -EFAULT, "an address where nothing is");
	for (unsigned int bit = 0; bit < 32; bit++) {
		sqe = uring_queue(&ring, client, LLM_IOC_GET_FEATURES, &f, 0);
		sqe->rw_flags = (int)(1U << bit);
		/* The second is io_uring's "multishot", which goes with that. */
		if (bit == 1)
			sqe->flags |= IOSQE_BUFFER_SELECT;
		if (uring_reap(&ring, NULL) >= 0) {
			tap_note("flag %u", bit);
			refused = false;
		}
	}
	ok(refused, "no flag of io_uring's own is ignored");
	is(uring_call(&ring, client, LLM_IOC_GET_FEATURES ^ 0x4000000, &f), 0,
	   "the size bits of a number are not looked at");
	is(uring_call(&ring, client, _IOWR(LLM_IOC_MAGIC, 0x7f, f), &f), -ENOTTY, "no such number");
}

static void test_ring(const char *name, unsigned int flags)
{
	struct io_uring_params params = { .flags = flags };
	const int rc = io_uring_queue_init_params(64, &ring, &params);

	if (rc) {
		tap_skip(name, strerror(-rc));
		return;
	}
	tap_note("ring: %s", name);
	client = client_open();
	server = server_open();
	if (!(flags & IORING_SETUP_SQPOLL)) {
		test_round();
		if (flags & IORING_SETUP_DEFER_TASKRUN)
			test_moot();
		test_at_once();
		test_read_all();
		test_command_bytes();
	}
	test_forced_async();
	is(features(client).requests, 0, "nothing is left");
	io_uring_queue_exit(&ring);
	close(client);
	close(server);
}

static void test_iopoll(void)
{
	struct llm_features f = { .size = sizeof(f) };
	struct io_uring_params params = { .flags = IORING_SETUP_IOPOLL };
	const int rc = io_uring_queue_init_params(4, &ring, &params);
	int res;

	if (rc) {
		tap_skip("IOPOLL", strerror(-rc));
		return;
	}
	client = client_open();
	uring_queue(&ring, client, LLM_IOC_GET_FEATURES, &f, 0);
	res = uring_reap(&ring, NULL);
	ok(res == -EOPNOTSUPP || res == 0, "a polled ring is refused, or served, but harmless");
	io_uring_queue_exit(&ring);
	close(client);
}

int main(void)
{
	test_ring("plain", 0);
	test_ring("SINGLE_ISSUER|DEFER_TASKRUN",
		  IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	test_ring("COOP_TASKRUN|SQE128|CQE32",
		  IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
	test_ring("SQPOLL", IORING_SETUP_SQPOLL);
	test_iopoll();
	return tap_done();
}
