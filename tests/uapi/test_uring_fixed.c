// SPDX-License-Identifier: MIT
/*
 * Buffers that are registered with an io_uring: payloads come from there and answers go there, also
 * when the READ has waited. What is not in the buffer is refused.
 */
#include "uapi.h"

#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ROOM	(256 * 1024)

static int client;
static struct io_uring ring;
static char *fixed;

static void queue_fixed(unsigned int cmd, void *arg, uint64_t user_data, unsigned int index)
{
	struct io_uring_sqe *sqe = uring_queue(&ring, client, cmd, arg, user_data);

	sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	sqe->buf_index = (uint16_t)index;
}

static int call_fixed_at(unsigned int cmd, void *arg, unsigned int index)
{
	queue_fixed(cmd, arg, 1, index);
	io_uring_submit(&ring);
	return uring_reap(&ring, NULL);
}

static int call_fixed(unsigned int cmd, void *arg)
{
	return call_fixed_at(cmd, arg, 0);
}

static void test_there_and_back(void)
{
	struct llm_submit submit;
	struct llm_read read;
	char *const answer = fixed + ROOM / 2;

	strcpy(fixed + 100, "gen 5 20000 700");
	submit = submit_init(fixed + 100, strlen(fixed + 100));
	submit.stop = (uintptr_t)"stop";
	submit.stop_len = 5;
	is(call_fixed(LLM_IOC_SUBMIT, &submit), 0, "SUBMIT from the buffer");
	read = read_init(submit.id, answer, 20000);
	read.flags = LLM_READ_ALL;
	is(call_fixed(LLM_IOC_READ, &read), 0, "READ into it");
	is(read.len, 20000, "all of it");
	ok(gen_matches(5, answer, 20000), "as it should be");
	ok(read.out_flags & LLM_READ_END, "to the end");
}

/* The READ is there first, and its bytes come one by one. */
static void test_waiting(void)
{
	struct llm_submit_read both = {
		.submit = submit_init(fixed, 0),
		.read = read_init(0, fixed + 8192, 1000),
	};
	const int server = server_open();
	struct event event;
	uint64_t data;

	strcpy(fixed, "one by one");
	both.submit.size = sizeof(both);
	both.submit.payload_len = 10;
	both.read.flags = LLM_READ_ALL;
	memset(fixed + 8192, 0, 1000);
	queue_fixed(LLM_IOC_SUBMIT_AND_READ, &both, 7, 0);
	io_uring_submit(&ring);
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 10, "a payload comes");
	ok(!memcmp(event.data, "one by one", 10), "as it was in the buffer");
	for (int i = 0; i < 5; i++)
		commit(server, event.head.id, "abc", 0);
	commit(server, event.head.id, "end", LLM_COMMIT_END);
	is(uring_reap(&ring, &data), 0, "its answer as well");
	ok(data == 7 && both.read.len == 18 && !memcmp(fixed + 8192, "abcabcabcabcabcend", 18),
	   "byte by byte");
	close(server);
}

static void test_refused(void)
{
	char elsewhere[64] = "elsewhere";
	struct llm_submit submit = submit_init(elsewhere, 9);
	struct llm_wait wait = { .size = sizeof(wait) };
	struct llm_features f = { .size = sizeof(f) };
	const int server = server_open();
	struct llm_read read;
	struct event event;
	uint64_t id;

	is(call_fixed(LLM_IOC_SUBMIT, &submit), -EFAULT, "a payload that is not in the buffer");
	submit = submit_init(fixed + ROOM - 8, 9);
	is(call_fixed(LLM_IOC_SUBMIT, &submit), -EFAULT, "one that leaves it");
	submit = submit_init(fixed, 9);
	is(call_fixed_at(LLM_IOC_SUBMIT, &submit, 1), -EFAULT, "no such buffer");
	is(call_fixed(LLM_IOC_WAIT, &wait), -EINVAL, "WAIT has nothing to do with it");
	is(call_fixed(LLM_IOC_GET_FEATURES, &f), -EINVAL, "nor has GET_FEATURES");
	is(features(client).requests, 0, "nothing is left of them");
	submit = submit_init(fixed, 0);
	is(call_fixed(LLM_IOC_SUBMIT, &submit), 0, "no payload");
	id = submit.id;
	must(fetch(server, LLM_FETCH_REQUEST, &event) > 0, "FETCH");
	commit(server, id, "answer", LLM_COMMIT_END);
	read = read_init(id, elsewhere, sizeof(elsewhere));
	is(call_fixed(LLM_IOC_READ, &read), -EFAULT, "an answer to elsewhere");
	read = read_init(id, fixed + ROOM - 3, 64);
	is(call_fixed(LLM_IOC_READ, &read), -EFAULT, "or over the end");
	read = read_init(id, fixed + ROOM - 6, 64);
	is(call_fixed(LLM_IOC_READ, &read), 0, "it is not lost");
	ok(read.len == 6 && !memcmp(fixed + ROOM - 6, "answer", 6), "up to the end");
	close(server);
}

int main(void)
{
	static const struct { unsigned int flags; const char *name; } rings[] = {
		{ 0, "plain" },
		{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN" },
		{ IORING_SETUP_SQPOLL, "SQPOLL" },
	};
	struct iovec iov = { .iov_len = ROOM };
	pid_t pid;

	fixed = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(fixed != MAP_FAILED, "mmap");
	iov.iov_base = fixed;
	client = client_open();
	for (size_t i = 0; i < ARRAY_LEN(rings); i++) {
		tap_note("ring: %s", rings[i].name);
		must(io_uring_queue_init(8, &ring, rings[i].flags) == 0, "io_uring_queue_init");
		must(io_uring_register_buffers(&ring, &iov, 1) == 0, "io_uring_register_buffers");
		pid = server_start(false);
		test_there_and_back();
		server_stop(pid);
		test_waiting();
		test_refused();
		io_uring_queue_exit(&ring);
	}
	is(features(client).requests, 0, "nothing is left");
	close(client);
	return tap_done();
}
