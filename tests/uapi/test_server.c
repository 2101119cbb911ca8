// SPDX-License-Identifier: MIT
/*
 * /dev/llmd: one server at a time, what of it survives in other hands, and what it may not do.
 */
#include "uapi.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static int client;

static void test_one_at_a_time(void)
{
	int server = server_open(), again;
	struct event event;

	ok(is_open_refused("/dev/llmd", O_RDWR, EBUSY), "a second server is refused");
	ok(is_open_refused("/dev/llmd", O_RDONLY, EBUSY), "also to look");
	again = dup(server);
	close(server);
	ok(is_open_refused("/dev/llmd", O_RDWR, EBUSY), "until the last close");
	fails(fetch(again, LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, &event), EAGAIN,
	      "a duplicate serves");
	close(again);
	server = open("/dev/llmd", O_RDWR | O_CLOEXEC);
	ok(server >= 0, "then there may be another, at once");
	close(server);
	ok(eventually(features(client).server_pid == 0), "none is left");
}

/* The child that serves dies while this process holds its file. */
static void test_process(void)
{
	struct llm_commit arg;
	struct event event;
	uint64_t id;
	int pipes[2], server, next;
	pid_t pid;
	char byte;

	server = server_open();
	must(!pipe(pipes), "pipe");
	id = submit_text(client, "x");
	pid = fork();
	if (!pid) {
		child_must(fetch(server, LLM_FETCH_REQUEST, &event) > 0);
		child_must(write(pipes[1], "x", 1) == 1);
		pause();
	}
	is(read(pipes[0], &byte, 1), 1, "a child serves");
	is(features(client).server_pid, pid, "and is the server");
	is(state_of(client, id, NULL), LLM_STATE_RUNNING, "it has the request");
	kill(pid, SIGKILL);
	is(wait_child(pid), 128 + SIGKILL, "it is killed");
	is(state_of(client, id, NULL), LLM_STATE_QUEUED, "its request is queued again");
	is(features(client).server_pid, 0, "there is no server");
	next = open("/dev/llmd", O_RDWR | O_CLOEXEC);
	ok(next >= 0, "the next one can come at once, though the old file is open");
	fails(fetch(server, LLM_FETCH_REQUEST | LLM_FETCH_NONBLOCK, &event), ESHUTDOWN,
	      "the old file fetches nothing");
	fails(fetch(server, LLM_FETCH_REQUEST, &event), ESHUTDOWN, "and does not wait");
	is(fetch(next, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1, "the next server has it");
	is(event.head.attempts, 2, "as the second one");
	arg = commit_init(id, "stale", 5);
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), ENOENT, "the old file commits nothing");
	close(server);
	is(state_of(client, id, NULL), LLM_STATE_RUNNING, "its close disturbs nobody");
	is(commit(next, id, "fresh", LLM_COMMIT_END), LLM_VERDICT_CONTINUE, "the new one does");
	cancel(client, id, LLM_CANCEL_FORGET);

	/* A child that only inherited the file, and goes. */
	pid = fork();
	if (!pid)
		_exit(0);
	wait_child(pid);
	is(features(client).server_pid, getpid(), "a child's death means nothing");
	close(next);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_totals(void)
{
	const int server = server_open();
	const uint64_t id = submit_text(client, "x");
	struct llm_commit arg = commit_init(id, NULL, 0);
	struct llm_read read;
	struct event event;
	char buf[8];

	fails(commit(server, id, "x", 0), ENOENT, "COMMIT to a request it has not fetched");
	fetch(server, LLM_FETCH_REQUEST, &event);
	arg.prompt_tokens = 5;
	arg.output_tokens = 2;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "totals");
	arg.prompt_tokens = 4;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "never go back");
	arg.prompt_tokens = 5;
	arg.output_tokens = 1;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "neither of them");
	arg.output_tokens = UINT32_MAX;
	arg.flags = LLM_COMMIT_END;
	arg.status = -511;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "the largest");
	is(read_all(client, id, buf, sizeof(buf), &read), 0, "the end");
	is(read.status, -511, "the status");
	ok(read.output_tokens == UINT32_MAX && read.prompt_tokens == 5, "the totals");
	close(server);
}

static void *fetch_thread(void *arg)
{
	struct event event;

	if (fetch(*(int *)arg, LLM_FETCH_REQUEST, &event) < 0)
		return (void *)(intptr_t)-errno;
	return (void *)(intptr_t)event.head.id;
}

/* Eight threads wait for eight requests: each gets one. */
static void test_threads(void)
{
	int server = server_open();
	pthread_t threads[8];
	uint64_t ids[8], seen = 0;

	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, fetch_thread, &server);
	for (int i = 0; i < 8; i++)
		ids[i] = submit_text(client, "x");
	for (int i = 0; i < 8; i++) {
		void *result;

		pthread_join(threads[i], &result);
		for (int j = 0; j < 8; j++)
			if (ids[j] == (uint64_t)(uintptr_t)result)
				seen |= 1ULL << j;
	}
	is(seen, 0xff, "each thread that waits gets a request of its own");
	close(server);
	is(cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "forget them");
}

static void test_nonblock(void)
{
	struct event event;
	int server = -1;

	ok(eventually((server = open("/dev/llmd", O_RDWR | O_NONBLOCK | O_CLOEXEC)) >= 0), "open");
	fails(fetch(server, LLM_FETCH_EVENTS, &event), EAGAIN, "O_NONBLOCK: FETCH");
	fails(read(server, &event, 1), EINVAL, "no read()");
	fails(write(server, &event, 1), EINVAL, "no write()");
	close(server);
}

int main(void)
{
	client = client_open();
	test_one_at_a_time();
	test_process();
	test_totals();
	test_threads();
	test_nonblock();
	is(features(client).requests, 0, "nothing is left");
	close(client);
	return tap_done();
}
