// SPDX-License-Identifier: MIT
/*
 * CANCEL in every state, and what either side hears of it.
 */
#include "uapi.h"

#include <pthread.h>
#include <sys/ioctl.h>

static int client, server;
static char buf[64];

static void test_queued(void)
{
	struct event event;
	struct llm_read read;
	const uint64_t id = submit_text(client, "x");

	is(cancel(client, id, 0), 0, "cancel a queued request");
	is(state_of(client, id, NULL), -1, "it has ended");
	fails(fetch(server, LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, &event), EAGAIN,
	      "no server hears of it");
	is(cancel(client, id, 0), 0, "cancel it again");
	is(read_all(client, id, buf, sizeof(buf), &read), 0, "its reader gets nothing");
	is(read.status, -ECANCELED, "but the reason");
	is(read.state, LLM_STATE_ENDED, "it has ended");
	is(read.dispatch_ns, 0, "it was never dispatched");
	fails(cancel(client, id, 0), ENOENT, "now it is forgotten");
}

static void test_running(void)
{
	struct event event;
	struct llm_read read;
	struct llm_pull pull = { .size = sizeof(pull), .buf = (uintptr_t)buf, .buf_len = 4 };
	const uint64_t id = submit_text(client, "hello");
	const uint64_t before = now_ns();

	fetch(server, LLM_FETCH_REQUEST, &event);
	commit(server, id, "half an", 0);
	is(cancel(client, id, 0), 0, "cancel a running request");
	is(state_of(client, id, NULL), LLM_STATE_CANCELLING, "its server has yet to let go");
	is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head), "the server hears of it");
	is(event.head.type, LLM_EVENT_CANCEL, "as a cancel");
	is(event.head.id, id, "of this request");
	ok(event.head.time_ns >= before && event.head.time_ns <= now_ns(), "of just now");
	ok(!event.head.op && !event.head.payload_len && !event.head.attempts && !event.head.uid,
	   "and nothing else");
	fails(fetch(server, LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, &event), EAGAIN, "once");
	pull.id = id;
	fails(ioctl(server, LLM_IOC_PULL, &pull), ECANCELED, "its prompt is gone");
	is(commit(server, id, " answer", 0), LLM_VERDICT_CANCELLED, "a commit takes nothing");
	is(read_all(client, id, buf, sizeof(buf), &read), 7, "the reader has what there was");
	is(read.status, -ECANCELED, "and the reason");
	is(read.state, LLM_STATE_CANCELLING, "though the server still has it");
	is(features(client).requests, 1, "so it exists");
	is(commit_status(server, id, 0), LLM_VERDICT_CANCELLED, "the server lets go");
	is(features(client).requests, 0, "now it does not");
	fails(commit_status(server, id, 0), ENOENT, "nor for the server");
}

static void test_before_notice(void)
{
	struct event event;
	uint64_t id = submit_text(client, "x");

	fetch(server, LLM_FETCH_REQUEST, &event);
	cancel(client, id, 0);
	is(commit(server, id, "all of it", LLM_COMMIT_END), LLM_VERDICT_CANCELLED,
	   "the server ends it before it hears");
	fails(fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event), EAGAIN,
	      "then there is nothing to hear");
	is(cancel(client, id, LLM_CANCEL_FORGET), 0, "forget it");

	id = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	commit(server, id, "done", LLM_COMMIT_END);
	is(cancel(client, id, 0), 0, "cancel one that has ended");
	{
		struct llm_read read;

		is(read_all(client, id, buf, sizeof(buf), &read), 4, "its answer is there");
		is(read.status, 0, "and its status as it was");
	}
}

static void test_close(void)
{
	const int other = client_open();
	const uint64_t queued = submit_text(other, "a"), running = submit_text(other, "b");
	const uint64_t mine = submit_text(client, "c");
	struct event event;

	cancel(other, queued, LLM_CANCEL_FORGET);
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(event.head.id, running, "fetch");
	fails(cancel(client, running, 0), ENOENT, "another file's request is out of reach");
	close(other);
	is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head), "close cancels");
	is(event.head.id, running, "what was running");
	is(state_of(client, running, NULL), LLM_STATE_CANCELLING, "until the server lets go");
	is(commit_status(server, running, 0), LLM_VERDICT_CANCELLED, "which it does");
	is(state_of(client, running, NULL), -1, "nothing is left");
	is(state_of(client, mine, NULL), LLM_STATE_QUEUED, "others are not disturbed");
	is(cancel(client, mine, LLM_CANCEL_FORGET), 0, "forget it");
}

static void *read_thread(void *arg)
{
	struct llm_read read = read_init(*(uint64_t *)arg, buf, sizeof(buf));

	if (ioctl(client, LLM_IOC_READ, &read) < 0)
		return (void *)(intptr_t)errno;
	return (void *)(intptr_t)-read.status;
}

static void test_waiting(void)
{
	static const struct { uint32_t flags; int want; } cases[] = {
		{ 0, ECANCELED }, { LLM_CANCEL_FORGET, ENOENT },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t id = submit_text(client, "x");
		pthread_t thread;
		void *result;

		pthread_create(&thread, NULL, read_thread, &id);
		/* Whether it waits already or not, it must hear of it. */
		cancel(client, id, cases[i].flags);
		pthread_join(thread, &result);
		is((intptr_t)result, cases[i].want, "a READ that waits (or comes late), flags %u",
		   cases[i].flags);
	}
}

static void test_all(void)
{
	struct llm_cancel arg = { .size = sizeof(arg), .flags = LLM_CANCEL_ALL, .id = 1 };
	struct event event;
	uint64_t ids[100];
	int ended = 0;

	fails(ioctl(client, LLM_IOC_CANCEL, &arg), EINVAL, "all of them, and one by name");
	for (int i = 0; i < 100; i++)
		ids[i] = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(cancel(client, 0, LLM_CANCEL_ALL), 0, "cancel all");
	for (int i = 0; i < 100; i++) {
		struct llm_read read;

		if (read_all(client, ids[i], buf, sizeof(buf), &read) == 0 &&
		    read.status == -ECANCELED)
			ended++;
	}
	is(ended, 100, "all of them have ended");
	is(features(client).requests, 1, "but for the one that the server has");
	is(commit_status(server, ids[0], 0), LLM_VERDICT_CANCELLED, "which it lets go");
	is(cancel(client, 0, LLM_CANCEL_ALL), 0, "cancel all of nothing");
}

int main(void)
{
	client = client_open();
	server = server_open();
	test_queued();
	test_running();
	test_before_notice();
	test_close();
	test_waiting();
	test_all();
	is(features(client).requests, 0, "nothing is left");
	close(client);
	close(server);
	return tap_done();
}
