// SPDX-License-Identifier: MIT
/*
 * A request there and an answer back, by ioctl.
 */
#include "uapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int client, server;

static void test_one(void)
{
	static const char stop[] = "END\0STOP";
	static const char prompt[] = "Once upon a time";
	struct llm_submit submit = submit_init(prompt, strlen(prompt));
	const uint64_t before = now_ns();
	struct event event;
	struct llm_read read;
	char answer[64];

	submit.flags = LLM_SUBMIT_RECORDS | LLM_SUBMIT_IGNORE_EOS;
	submit.max_tokens = 77;
	submit.stop = (uintptr_t)stop;
	submit.stop_len = sizeof(stop);
	submit.sampling.seed = 42;
	submit.sampling.temperature = 800000;
	submit.sampling.top_logprobs = 5;
	strcpy(submit.model, "story");
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "submit");
	ok(submit.id > 0, "it has an id");
	is(state_of(client, submit.id, NULL), LLM_STATE_QUEUED, "it is queued");

	is(fetch(server, LLM_FETCH_REQUEST, &event),
	   sizeof(event.head) + sizeof(stop) + strlen(prompt), "fetch returns all of it");
	is(event.head.size, sizeof(event.head), "where the data begins");
	is(event.head.type, LLM_EVENT_REQUEST, "a request");
	is(event.head.id, submit.id, "this one");
	ok(event.head.time_ns >= before && event.head.time_ns <= now_ns(), "submitted just now");
	is(event.head.pid, getpid(), "by this process");
	is(event.head.uid, geteuid(), "by this user");
	ok(event.head.cgroup_id > 0, "in a cgroup");
	is(event.head.op, LLM_OP_GENERATE, "operation");
	is(event.head.payload_type, LLM_PAYLOAD_RAW, "payload type");
	is(event.head.flags, submit.flags, "flags");
	is(event.head.max_tokens, 77, "max_tokens");
	ok(!memcmp(&event.head.sampling, &submit.sampling, sizeof(submit.sampling)), "sampling");
	ok(!strcmp(event.head.model, "story"), "model");
	is(event.head.stop_len, sizeof(stop), "stop_len");
	is(event.head.payload_len, strlen(prompt), "payload_len");
	is(event.head.journal_len, 0, "no journal");
	is(event.head.output_bytes, 0, "nothing was answered");
	is(event.head.attempts, 1, "first attempt");
	ok(!memcmp(event.data, stop, sizeof(stop)), "stop strings come first");
	ok(!memcmp(event.data + sizeof(stop), prompt, strlen(prompt)), "then the payload");
	is(state_of(client, submit.id, NULL), LLM_STATE_RUNNING, "it runs");

	read = read_init(submit.id, answer, sizeof(answer));
	read.flags = LLM_READ_NONBLOCK;
	fails(ioctl(client, LLM_IOC_READ, &read), EAGAIN, "nothing to read yet");
	is(commit(server, submit.id, "there was", 0), LLM_VERDICT_CONTINUE, "commit");
	read = read_init(submit.id, NULL, 0);
	is(ioctl(client, LLM_IOC_READ, &read), 0, "read with no room asks for the state");
	is(read.state, LLM_STATE_RUNNING, "it still runs");
	read = read_init(submit.id, answer, 5);
	is(ioctl(client, LLM_IOC_READ, &read), 0, "read five bytes");
	ok(read.len == 5 && !memcmp(answer, "there", 5), "the first five");
	read = read_init(submit.id, answer, sizeof(answer));
	is(ioctl(client, LLM_IOC_READ, &read), 0, "read");
	ok(read.len == 4 && !memcmp(answer, " was", 4), "the rest");
	is(read.out_flags, 0, "not the end");
	is(read.status, 0, "no status");

	{
		struct llm_commit arg = commit_init(submit.id, " a kernel", 9);

		arg.flags = LLM_COMMIT_END;
		arg.finish = LLM_FINISH_STOP_STRING;
		arg.prompt_tokens = 4;
		arg.output_tokens = 6;
		is(ioctl(server, LLM_IOC_COMMIT, &arg), LLM_VERDICT_CONTINUE, "commit the end");
	}
	fails(commit(server, submit.id, "more", 0), ENOENT, "after that it is not the server's");
	is(state_of(client, submit.id, NULL), -1, "nor listed");
	read = read_init(submit.id, answer, sizeof(answer));
	is(ioctl(client, LLM_IOC_READ, &read), 0, "read");
	ok(read.len == 9 && !memcmp(answer, " a kernel", 9), "the end");
	is(read.out_flags, LLM_READ_END, "is marked");
	is(read.state, LLM_STATE_ENDED, "state");
	is(read.status, 0, "status");
	is(read.finish, LLM_FINISH_STOP_STRING, "finish");
	is(read.prompt_tokens, 4, "prompt tokens");
	is(read.output_tokens, 6, "output tokens");
	ok(before <= read.submit_ns && read.submit_ns <= read.dispatch_ns &&
	   read.dispatch_ns <= read.first_ns && read.first_ns <= read.end_ns &&
	   read.end_ns <= now_ns(), "times are in order");
	read = read_init(submit.id, answer, sizeof(answer));
	fails(ioctl(client, LLM_IOC_READ, &read), ENOENT, "after that it is forgotten");
}

static void test_order(void)
{
	uint64_t ids[5];
	struct event event;

	for (int i = 0; i < 5; i++)
		ids[i] = submit_op(client, i == 3 ? LLM_OP_NOP : LLM_OP_GENERATE, "x");
	for (int i = 1; i < 5; i++)
		ok(ids[i] > ids[i - 1], "ids grow");
	is(fetch(server, LLM_FETCH_CONTROL, &event), sizeof(event.head) + 1, "fetch control");
	is(event.head.id, ids[3], "a control request does not wait behind others");
	fails(fetch(server, LLM_FETCH_CONTROL | LLM_FETCH_NONBLOCK, &event), EAGAIN,
	      "there is one only");
	for (int i = 0; i < 5; i++) {
		if (i == 3)
			continue;
		fetch(server, LLM_FETCH_REQUEST | LLM_FETCH_CONTROL, &event);
		is(event.head.id, ids[i], "first come, first served");
	}
	fails(fetch(server, LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, &event), EAGAIN,
	      "nothing else is due");
	is(cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "cancel all of them");
	for (int i = 0; i < 5; i++) {
		fetch(server, LLM_FETCH_NOTICE, &event);
		is(event.head.type, LLM_EVENT_CANCEL, "the server hears of it");
		is(commit_status(server, event.head.id, -ECANCELED), LLM_VERDICT_CANCELLED,
		   "and lets go");
	}
	is(features(client).requests, 0, "nothing is left");
}

static void test_large(void)
{
	const struct llm_features f = features(client);
	const size_t len = f.max_payload_bytes;
	char *payload = malloc(len), *copy = malloc(len);
	struct llm_submit submit = submit_init(payload, len);
	struct llm_pull pull = { .size = sizeof(pull), .buf = (uintptr_t)copy };
	uint64_t state = 1;
	struct event event;
	size_t done;
	ssize_t n;

	must(payload && copy, "malloc");
	for (size_t i = 0; i < len; i++)
		payload[i] = (char)random_next(&state);
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "submit as much as there may be");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event), "fetch fills its buffer");
	is(event.head.payload_len, len, "payload_len is all of it");
	is(event.head.data_len, sizeof(event.data), "data_len is what came");
	memcpy(copy, event.data, event.head.data_len);
	pull.id = submit.id;
	for (done = event.head.data_len; done < len; done += (size_t)n) {
		pull.buf = (uintptr_t)copy + done;
		pull.buf_len = 100001;
		pull.offset = done;
		n = ioctl(server, LLM_IOC_PULL, &pull);
		if (n <= 0)
			break;
	}
	ok(done == len && !memcmp(payload, copy, len), "pull brings the rest");
	pull.offset = len;
	is(ioctl(server, LLM_IOC_PULL, &pull), 0, "and nothing past the end");
	pull.offset = UINT64_MAX;
	is(ioctl(server, LLM_IOC_PULL, &pull), 0, "nor far past it");
	pull.id = submit.id + 1;
	fails(ioctl(server, LLM_IOC_PULL, &pull), ENOENT, "nor of another request");
	is(commit_status(server, submit.id, -E2BIG), 0, "end it with an error");
	{
		struct llm_read read;

		is(read_all(client, submit.id, copy, len, &read), 0, "no answer");
		is(read.status, -E2BIG, "but a status");
		is(read.finish, LLM_FINISH_NONE, "and no reason");
	}
	submit.payload_len = (uint32_t)len + 1;
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), E2BIG, "a byte more is too much");
	submit.payload_len = 0;
	submit.payload = 0;
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "no payload is fine");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head), "and arrives as such");
	commit(server, submit.id, "ok", LLM_COMMIT_END);
	is(cancel(client, submit.id, LLM_CANCEL_FORGET), 0, "forget its answer");
	fails(cancel(client, submit.id, 0), ENOENT, "it is forgotten");
	free(payload);
	free(copy);
}

static void test_submit_and_read(void)
{
	const pid_t pid = server_start(false);
	char prompt[64], answer[8192];
	struct llm_submit_read arg;
	struct llm_read read;

	for (size_t len = 0; len <= 5000; len = len * 3 + 1) {
		snprintf(prompt, sizeof(prompt), "gen 7 %zu 100", len);
		arg = (struct llm_submit_read) {
			.submit = submit_init(prompt, strlen(prompt)),
			.read = read_init(0, answer, sizeof(answer)),
		};
		arg.submit.size = sizeof(arg);
		arg.read.flags = LLM_READ_ALL;
		is(ioctl(client, LLM_IOC_SUBMIT_AND_READ, &arg), 0, "submit and read all");
		is(arg.read.len, len, "all of it came");
		ok(gen_matches(7, answer, arg.read.len), "unharmed");
		is(arg.read.out_flags, LLM_READ_END, "and it was the end");
		is(arg.read.id, arg.submit.id, "the id is told");
	}

	strcpy(prompt, "gen 9 5000 10");
	arg.submit.payload_len = (uint32_t)strlen(prompt);
	arg.read.id = 0;
	arg.read.buf_len = 1234;
	is(ioctl(client, LLM_IOC_SUBMIT_AND_READ, &arg), 0, "with too little room");
	is(arg.read.len, 1234, "the buffer is filled");
	is(arg.read.out_flags, 0, "it is not the end");
	is(read_all(client, arg.submit.id, answer + 1234, sizeof(answer) - 1234, &read),
	   5000 - 1234, "the rest can be read");
	ok(gen_matches(9, answer, 5000), "and fits");

	arg.read.id = 0;
	arg.read.flags = LLM_READ_NONBLOCK;
	server_stop(pid);
	fails(ioctl(client, LLM_IOC_SUBMIT_AND_READ, &arg), EAGAIN, "submit, then EAGAIN");
	is(state_of(client, arg.submit.id, NULL), LLM_STATE_QUEUED, "the request lives on");
	is(cancel(client, arg.submit.id, LLM_CANCEL_FORGET), 0, "until it is cancelled");
}

int main(void)
{
	client = client_open();
	server = server_open();
	test_one();
	test_order();
	test_large();
	close(server);
	test_submit_and_read();
	is(features(client).requests, 0, "nothing is left");
	close(client);
	return tap_done();
}
