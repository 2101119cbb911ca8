// SPDX-License-Identifier: MIT
/*
 * A reader that is slower than its answer: only its own request is paused, and goes on when half
 * of the bound has been read.
 */
#include "uapi.h"

#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int client, server;
static uint32_t bound, most;
static char *data;

static int commit_bytes(uint64_t id, uint32_t len, uint32_t flags)
{
	struct llm_commit arg = commit_init(id, data, len);

	arg.flags = flags;
	return ioctl(server, LLM_IOC_COMMIT, &arg);
}

/* Reads @len bytes of a request, in as many READs as it takes. */
static bool read_bytes(uint64_t id, uint32_t len)
{
	while (len) {
		struct llm_read read = read_init(id, data, len);

		if (ioctl(client, LLM_IOC_READ, &read) < 0 || !read.len)
			return false;
		len -= read.len;
	}
	return true;
}

static void test_pause(void)
{
	const uint64_t slow = submit_text(client, "slow"), other = submit_text(client, "other");
	struct llm_request_info info;
	struct event event;
	struct llm_read read;
	uint32_t unread = 0;

	for (int i = 0; i < 2; i++)
		fetch(server, LLM_FETCH_REQUEST, &event);
	while (unread + 1000 < bound) {
		if (commit_bytes(slow, 1000, 0) != LLM_VERDICT_CONTINUE)
			break;
		unread += 1000;
	}
	ok(unread + 1000 >= bound, "up to the bound it goes on");
	is(commit_bytes(slow, 1000, 0), LLM_VERDICT_PAUSE, "over the bound it is paused");
	unread += 1000;
	is(state_of(client, slow, &info), LLM_STATE_PAUSED, "as its state says");
	is(info.unread_bytes, unread, "with these bytes unread");
	is(commit(server, other, "quick", LLM_COMMIT_END), LLM_VERDICT_CONTINUE,
	   "nobody else is paused");
	is(read_all(client, other, data, most, &read), 5, "nobody else waits");

	is(commit_bytes(slow, 1000, 0), LLM_VERDICT_PAUSE, "a server that does not listen");
	unread += 1000;
	while (commit_bytes(slow, most, 0) == LLM_VERDICT_PAUSE)
		unread += most;
	is(errno, E2BIG, "is stopped");
	ok(unread <= bound + 2 * most, "before long");

	ok(read_bytes(slow, unread - bound / 2), "read down to half of the bound");
	is(state_of(client, slow, NULL), LLM_STATE_PAUSED, "that is not less than half");
	fails(fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event), EAGAIN,
	      "nothing to tell");
	ok(read_bytes(slow, 1), "read one byte more");
	is(state_of(client, slow, NULL), LLM_STATE_RUNNING, "it runs again");
	is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head), "the server hears of it");
	is(event.head.type, LLM_EVENT_RESUME, "as a resume");
	is(event.head.id, slow, "of this request");
	ok(event.head.time_ns <= now_ns(), "of just now");
	is(commit_bytes(slow, 10, LLM_COMMIT_END), LLM_VERDICT_CONTINUE, "it ends");
	ok(read_all(client, slow, data, bound, &read) == bound / 2 - 1 + 10, "read the rest");
}

static void test_superseded(void)
{
	uint64_t id = submit_text(client, "x");
	struct event event;

	fetch(server, LLM_FETCH_REQUEST, &event);
	while (commit_bytes(id, most, 0) == LLM_VERDICT_CONTINUE)
		;
	is(state_of(client, id, NULL), LLM_STATE_PAUSED, "paused");
	ok(read_bytes(id, bound), "read it: a resume is due");
	is(cancel(client, id, 0), 0, "then cancel it");
	is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head), "there is one notice");
	is(event.head.type, LLM_EVENT_CANCEL, "the cancel");
	fails(fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event), EAGAIN, "only");
	is(commit_status(server, id, 0), LLM_VERDICT_CANCELLED, "the server lets go");
	is(cancel(client, id, LLM_CANCEL_FORGET), 0, "forget it");

	id = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	while (commit_bytes(id, most, 0) == LLM_VERDICT_CONTINUE)
		;
	is(cancel(client, id, LLM_CANCEL_FORGET), 0, "forget a paused one");
	is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head), "the server hears of it");
	is(event.head.type, LLM_EVENT_CANCEL, "as a cancel");
	is(commit_status(server, id, 0), LLM_VERDICT_CANCELLED, "and lets go");
}

static void test_journal_bound(void)
{
	const uint64_t id = submit_text(client, "x");
	const uint32_t bytes = (uint32_t)param_get("max_journal_bytes");
	struct llm_commit arg = commit_init(id, NULL, 0);
	struct event event;
	uint32_t journal = 0;

	fetch(server, LLM_FETCH_REQUEST, &event);
	arg.journal = (uintptr_t)data;
	arg.journal_len = most + 1;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), E2BIG, "too much journal at once");
	arg.journal_len = most;
	for (; journal + most <= bytes; journal += most)
		if (ioctl(server, LLM_IOC_COMMIT, &arg) != LLM_VERDICT_CONTINUE)
			break;
	ok(journal + most > bytes, "the journal can grow up to its bound");
	arg.journal_len = bytes - journal + 1;
	arg.data = (uintptr_t)data;
	arg.data_len = 5;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), E2BIG, "and not over it");
	is(commit(server, id, "end", LLM_COMMIT_END), LLM_VERDICT_CONTINUE, "end it");
	{
		struct llm_read read;

		is(read_all(client, id, data, most, &read), 3, "nothing of that was taken");
	}
	arg = commit_init(id, data, most + 1);
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), E2BIG, "too much data at once");
}

/* The bound shrinks under a READ that waits for more than it now allows. */
static void test_bound_shrinks(void)
{
	const uint64_t id = submit_text(client, "x");
	struct llm_read read = read_init(id, data, bound);
	struct io_uring ring;
	struct event event;

	must(io_uring_queue_init(4, &ring, 0) == 0, "io_uring_queue_init");
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(commit_bytes(id, 8000, 0), LLM_VERDICT_CONTINUE, "far from the bound");
	read.flags = LLM_READ_ALL;
	uring_queue(&ring, client, LLM_IOC_READ, &read, 0);
	is(io_uring_submit(&ring), 1, "a READ_ALL waits");
	param_set("max_unread_bytes", 4096);
	is(commit_bytes(id, 0, 0), LLM_VERDICT_PAUSE, "a COMMIT of nothing but progress");
	io_uring_get_events(&ring);
	is(fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event), sizeof(event.head),
	   "the READ takes what there is");
	is(event.head.type, LLM_EVENT_RESUME, "and the server goes on");
	is(commit_bytes(id, 3, LLM_COMMIT_END), LLM_VERDICT_CONTINUE, "to the end");
	cancel(client, id, 0);
	is(uring_reap(&ring, NULL), 0, "which the READ has");
	is(read.len, 8003, "with all before it");
	is(read.out_flags, LLM_READ_END, "as its end");
	io_uring_queue_exit(&ring);
	param_set("max_unread_bytes", bound);
}

/* Bounds that are lowered below what a request has: it goes on, adds no more, and ends. */
static void test_bounds_lowered(void)
{
	const unsigned long journal = param_get("max_journal_bytes");
	uint64_t id = submit_text(client, "x");
	struct llm_commit arg = commit_init(id, "data", 4);
	struct llm_read read;
	struct event event;
	char *answer = malloc(bound + 2 * most);

	must(answer != NULL, "malloc");
	fetch(server, LLM_FETCH_REQUEST, &event);
	arg.journal = (uintptr_t)data;
	arg.journal_len = most;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), LLM_VERDICT_CONTINUE, "a journal");
	param_set("max_journal_bytes", 4096);
	arg.journal_len = 1;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), E2BIG, "its bound is lowered: no more of it");
	is(commit(server, id, "more", 0), LLM_VERDICT_CONTINUE, "the answer goes on without");
	is(commit(server, id, "end", LLM_COMMIT_END), LLM_VERDICT_CONTINUE, "to its end");
	is(read_all(client, id, answer, most, &read), 11, "and is read");
	param_set("max_journal_bytes", journal);

	id = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(commit_bytes(id, bound - 1, 0), LLM_VERDICT_CONTINUE, "almost as much as may be unread");
	param_set("max_unread_bytes", 4096);
	is(commit_bytes(id, most, 0), LLM_VERDICT_PAUSE, "its bound is lowered: taken, and paused");
	fails(commit_bytes(id, most, 0), E2BIG, "the server goes on all the same");
	is(commit_bytes(id, 0, LLM_COMMIT_END), LLM_VERDICT_CONTINUE, "it ends");
	is(read_all(client, id, answer, bound + 2 * most, &read), bound - 1 + most,
	   "the reader has what was taken");
	param_set("max_unread_bytes", bound);
	free(answer);
}

/* All the way through, with a server that honours the verdicts and readers of three kinds. */
static void test_flow(void)
{
	const size_t len = 3 * bound;
	const pid_t pid = server_start(true);
	char *answer = malloc(len + 1), prompt[64];
	struct llm_read read;
	struct pollfd poller = { .fd = client, .events = POLLIN };
	uint64_t id;
	size_t done;

	must(answer != NULL, "malloc");
	snprintf(prompt, sizeof(prompt), "gen 11 %zu 4096", len);
	id = submit_text(client, prompt);
	ok(eventually(state_of(client, id, NULL) == LLM_STATE_PAUSED), "nobody reads: paused");
	is(read_all(client, id, answer, len, &read), (ssize_t)len, "read all of it");
	ok(gen_matches(11, answer, len), "unharmed");

	id = submit_text(client, prompt);
	for (done = 0;; done += read.len) {
		read = read_init(id, answer + done, 777);
		if (poll(&poller, 1, -1) != 1 || ioctl(client, LLM_IOC_READ, &read) < 0 ||
		    read.out_flags & LLM_READ_END)
			break;
	}
	is(done + read.len, len, "by small READs after poll");
	ok(gen_matches(11, answer, len), "unharmed");

	id = submit_text(client, prompt);
	read = read_init(id, answer, len);
	read.flags = LLM_READ_ALL;
	is(ioctl(client, LLM_IOC_READ, &read), 0, "by one READ, longer than the bound");
	is(read.len, len, "all of it");
	is(read.out_flags, LLM_READ_END, "to the end");
	ok(gen_matches(11, answer, len), "unharmed");
	server_stop(pid);
	free(answer);
}

int main(void)
{
	param_set("max_unread_bytes", 64 * 1024);
	param_set("max_journal_bytes", 256 * 1024 + 100);
	client = client_open();
	bound = features(client).max_unread_bytes;
	most = features(client).max_commit_bytes;
	data = calloc(1, bound + 3 * most);
	must(data != NULL, "calloc");
	/* before any io_uring: the end of a ring interrupts like a signal, some time later */
	test_flow();
	server = server_open();
	test_pause();
	test_superseded();
	test_journal_bound();
	test_bound_shrinks();
	test_bounds_lowered();
	close(server);
	is(features(client).requests, 0, "nothing is left");
	close(client);
	free(data);
	return tap_done();
}
