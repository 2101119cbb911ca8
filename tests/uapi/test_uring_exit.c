// SPDX-License-Identifier: MIT
/*
 * The end of a ring, a thread or a process while commands are parked, also in the very moment in
 * which something comes for them: nothing is lost, nothing stays.
 */
#include "uapi.h"

#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PARKED 8

static int client;

static void ring_init(struct io_uring *ring)
{
	child_must(!io_uring_queue_init(64, ring, 0));
}

static void park_fetches(struct io_uring *ring, int server, uint32_t flags)
{
	static struct llm_fetch fetches[PARKED];
	static struct event events[PARKED];

	for (int i = 0; i < PARKED; i++) {
		fetches[i] = fetch_init(flags, &events[i], sizeof(events[i]));
		uring_queue(ring, server, LLM_IOC_FETCH, &fetches[i], (uint64_t)i);
	}
	child_must(io_uring_submit(ring) == PARKED);
}

/* The process lives on, its ring does not. */
static void test_ring_exit(void)
{
	int server = server_open();
	struct io_uring ring;
	struct event event;
	uint64_t id;

	ring_init(&ring);
	park_fetches(&ring, server, LLM_FETCH_REQUEST);
	io_uring_queue_exit(&ring);
	id = submit_text(client, "x");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1,
	   "a parked FETCH of a ring that goes takes nothing with it");
	is(event.head.id, id, "the request");
	is(event.head.attempts, 1, "not delivered before");
	commit_status(server, id, 0);
	cancel(client, id, LLM_CANCEL_FORGET);
	close(server);
	server = server_open();
	ok(server >= 0, "the file is let go");
	close(server);
}

static void test_client_ring_exit(void)
{
	const int server = server_open(), other = client_open();
	const uint64_t id = submit_text(other, "x");
	struct llm_wait any = { .size = sizeof(any), .deadline_ns = now_ns() + 3600000000000ULL };
	struct llm_wait one = { .size = sizeof(one), .id = id };
	struct llm_read read;
	struct io_uring ring;
	struct event event;
	char buf[8];

	ring_init(&ring);
	read = read_init(id, buf, sizeof(buf));
	uring_queue(&ring, other, LLM_IOC_READ, &read, 0);
	uring_queue(&ring, other, LLM_IOC_WAIT, &any, 1);
	uring_queue(&ring, other, LLM_IOC_WAIT, &one, 2);
	is(io_uring_submit(&ring), 3, "park a READ and two WAITs");
	io_uring_queue_exit(&ring);
	fetch(server, LLM_FETCH_REQUEST, &event);
	commit(server, id, "data", LLM_COMMIT_END);
	is(read_all(other, id, buf, sizeof(buf), &read), 4, "a READ that goes takes nothing away");
	close(other);
	ok(eventually(features(client).requests == 0), "nothing is left");
	close(server);
}

static void *issue_thread(void *arg)
{
	park_fetches(arg, *(int *)((struct io_uring *)arg + 1), LLM_FETCH_REQUEST);
	return NULL;
}

/* The thread that parked them is gone when something comes. */
static void test_thread_exit(void)
{
	struct { struct io_uring ring; int server; } both = { .server = server_open() };
	struct event event;
	pthread_t thread;
	uint64_t ids[PARKED];
	unsigned int taken = 0;

	ring_init(&both.ring);
	pthread_create(&thread, NULL, issue_thread, &both);
	pthread_join(thread, NULL);
	for (int i = 0; i < PARKED; i++)
		ids[i] = submit_text(client, "x");
	for (int i = 0; i < PARKED; i++) {
		int rc = 0;

		if (!eventually((rc = fetch(both.server, LLM_FETCH_REQUEST | LLM_FETCH_NONBLOCK,
					    &event)) > 0))
			break;
		for (int j = 0; j < PARKED; j++)
			taken |= (unsigned int)(event.head.id == ids[j]) << j;
	}
	is(taken, (1 << PARKED) - 1, "what comes for a dead thread is due again");
	io_uring_queue_exit(&both.ring);
	close(both.server);
	is(cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "forget them");
	ok(eventually(features(client).requests == 0), "nothing is left");
}

static pid_t serving_child(void (*then)(void))
{
	int ready[2];
	char byte;
	pid_t pid;

	must(!pipe(ready), "pipe");
	pid = fork();
	if (!pid) {
		struct io_uring ring;
		const int server = server_open();

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ring_init(&ring);
		park_fetches(&ring, server, LLM_FETCH_EVENTS);
		child_must(write(ready[1], "x", 1) == 1);
		then();
		_exit(1);
	}
	must(read(ready[0], &byte, 1) == 1, "a serving child");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void then_sleep(void)
{
	for (;;)
		pause();
}

static void then_exit(void)
{
	_exit(0);
}

static void then_exec(void)
{
	execl("/bin/sh", "sh", "-c", "exit 0", NULL);
}

static void test_process_exit(void)
{
	static void (*const ends[])(void) = { then_exit, then_exec };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		const pid_t pid = serving_child(ends[i]);
		int server;

		is(wait_child(pid), 0, "a server ends with FETCHes parked (%zu)", i);
		if (!i) {
			server = open("/dev/llmd", O_RDWR | O_CLOEXEC);
			ok(server >= 0, "the next one comes at once");
		} else {
			server = server_open();
		}
		close(server);
	}
}

/* Killed in the very moment in which requests come. */
static void test_kill(void)
{
	const int rounds = is_slow() ? 40 : 100;
	uint64_t state = random_seed();
	int lost = 0, wrong = 0;

	for (int round = 0; round < rounds; round++) {
		const pid_t pid = serving_child(then_sleep);
		const int requests = 1 + (int)(random_next(&state) % (2 * PARKED));
		const int when = (int)(random_next(&state) % ((unsigned int)requests + 1));
		uint64_t ids[2 * PARKED];
		struct event event;
		int server;

		for (int i = 0; i < requests; i++) {
			if (i == when)
				kill(pid, SIGKILL);
			ids[i] = submit_text(client, "x");
		}
		kill(pid, SIGKILL);
		wait_child(pid);
		server = open("/dev/llmd", O_RDWR | O_CLOEXEC);
		if (server < 0) {
			wrong++;
			server = server_open();
		}
		for (int i = 0; i < requests; i++) {
			if (fetch(server, LLM_FETCH_REQUEST | LLM_FETCH_NONBLOCK, &event) < 0)
				lost++;
			else if (event.head.id != ids[i])
				wrong++;
			commit(server, ids[i], NULL, LLM_COMMIT_END);
			cancel(client, ids[i], LLM_CANCEL_FORGET);
		}
		close(server);
	}
	is(lost, 0, "the next server has every request, at once, %d times", rounds);
	is(wrong, 0, "in order");
	is(features(client).requests, 0, "nothing is left");
}

/* A client killed with everything parked that can be: its requests are cancelled. */
static void test_client_kill(void)
{
	const int server = server_open();
	struct event event;
	int ready[2];
	char byte;
	pid_t pid;

	must(!pipe(ready), "pipe");
	pid = fork();
	if (!pid) {
		static struct llm_submit_read both[4];
		static struct llm_wait wait = { .size = sizeof(wait), .flags = LLM_WAIT_END };
		static char buf[4][8];
		struct io_uring ring;
		const int fd = client_open();

		ring_init(&ring);
		for (int i = 0; i < 4; i++) {
			both[i].submit = submit_init("x", 1);
			both[i].submit.size = sizeof(both[i]);
			both[i].read = read_init(0, buf[i], sizeof(buf[i]));
			uring_queue(&ring, fd, LLM_IOC_SUBMIT_AND_READ, &both[i], 0);
		}
		uring_queue(&ring, fd, LLM_IOC_WAIT, &wait, 1);
		child_must(io_uring_submit(&ring) == 5);
		child_must(write(ready[1], "x", 1) == 1);
		then_sleep();
	}
	must(read(ready[0], &byte, 1) == 1, "a client");
	for (int i = 0; i < 3; i++)
		fetch(server, LLM_FETCH_REQUEST, &event);
	kill(pid, SIGKILL);
	for (int i = 0; i < 3; i++) {
		is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head),
		   "the server hears of its death");
		is(event.head.type, LLM_EVENT_CANCEL, "as a cancel");
		is(commit_status(server, event.head.id, 0), LLM_VERDICT_CANCELLED, "and lets go");
	}
	wait_child(pid);
	ok(eventually(features(client).requests == 0), "nothing is left");
	close(server);
}

/* More than may be parked. */
static void test_too_many(void)
{
	const int other = client_open();
	const uint64_t id = submit_text(other, "x");
	static struct llm_wait waits[64];
	struct io_uring ring;
	uint64_t who;

	param_set("max_requests_file", 16);
	ring_init(&ring);
	for (int i = 0; i < 33; i++) {
		waits[i] = (struct llm_wait) { .size = sizeof(waits[i]) };
		uring_queue(&ring, other, LLM_IOC_WAIT, &waits[i], (uint64_t)i);
	}
	is(uring_reap(&ring, &who), -EBUSY, "one more than may wait");
	is(who, 32, "is refused");
	cancel(other, id, 0);
	for (int i = 0; i < 32; i++)
		if (uring_reap(&ring, &who))
			ok(false, "WAIT %d", (int)who);
	waits[0].id = 0;
	is(uring_call(&ring, other, LLM_IOC_WAIT, &waits[0]), 0, "after that there is room");
	io_uring_queue_exit(&ring);
	close(other);
}

int main(void)
{
	client = client_open();
	test_ring_exit();
	test_client_ring_exit();
	test_thread_exit();
	test_process_exit();
	test_kill();
	test_client_kill();
	test_too_many();
	ok(eventually(features(client).requests == 0), "nothing is left");
	close(client);
	return tap_done();
}
