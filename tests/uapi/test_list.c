// SPDX-License-Identifier: MIT
/*
 * LIST: who is running and waiting, page by page, for everybody and without anybody's text.
 */
#include "uapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static int client, server;

static struct llm_list list_init(void *buf, uint32_t entry_size, uint32_t capacity, uint64_t cursor)
{
	return (struct llm_list) {
		.size = sizeof(struct llm_list),
		.buf = (uintptr_t)buf,
		.entry_size = entry_size,
		.capacity = capacity,
		.cursor = cursor,
	};
}

static void test_empty(void)
{
	struct llm_list list = list_init(NULL, sizeof(struct llm_request_info), 0, 0);

	is(ioctl(client, LLM_IOC_LIST, &list), 0, "with no room");
	is(list.total, 0, "there are none");
	list = list_init(nowhere(), sizeof(struct llm_request_info), UINT32_MAX, 0);
	is(ioctl(client, LLM_IOC_LIST, &list), 0, "with all the room there can be");
	is(list.count, 0, "none are returned");
}

static void test_entry(void)
{
	struct llm_submit submit = submit_init("secret prompt", 13);
	struct llm_request_info info;
	struct llm_commit arg;
	struct event event;
	struct llm_list list;

	strcpy(submit.model, "story");
	submit.op = LLM_OP_SCORE;
	ioctl(client, LLM_IOC_SUBMIT, &submit);
	list = list_init(&info, sizeof(info), 1, 0);
	is(ioctl(client, LLM_IOC_LIST, &list), 0, "list");
	is(list.count, 1, "one returned");
	is(list.total, 1, "of one");
	is(info.id, submit.id, "id");
	is(info.pid, getpid(), "pid");
	is(info.uid, geteuid(), "uid");
	is(info.op, LLM_OP_SCORE, "op");
	is(info.state, LLM_STATE_QUEUED, "state");
	ok(!strcmp(info.model, "story"), "model");
	ok(info.submit_ns && !info.dispatch_ns && !info.first_ns, "times");
	is(info.attempts, 0, "attempts");

	fetch(server, LLM_FETCH_REQUEST, &event);
	arg = commit_init(submit.id, "answer", 6);
	arg.prompt_tokens = 5;
	arg.output_tokens = 2;
	ioctl(server, LLM_IOC_COMMIT, &arg);
	is(state_of(client, submit.id, &info), LLM_STATE_RUNNING, "state");
	is(info.prompt_tokens, 5, "prompt tokens");
	is(info.output_tokens, 2, "output tokens");
	is(info.output_bytes, 6, "bytes");
	is(info.unread_bytes, 6, "unread");
	is(info.attempts, 1, "attempts");
	ok(info.submit_ns <= info.dispatch_ns && info.dispatch_ns <= info.first_ns, "times");
	{
		char buf[4];
		struct llm_read read = read_init(submit.id, buf, 4);

		ioctl(client, LLM_IOC_READ, &read);
		state_of(client, submit.id, &info);
		is(info.output_bytes, 6, "bytes");
		is(info.unread_bytes, 2, "some were read");
	}
	commit_status(server, submit.id, 0);
	arg.flags = LLM_COMMIT_END;
	ioctl(server, LLM_IOC_COMMIT, &arg);
	is(state_of(client, submit.id, NULL), -1, "one that has ended is not listed");
	list = list_init(&info, sizeof(info), 1, 0);
	ioctl(client, LLM_IOC_LIST, &list);
	is(list.total, 0, "nor counted");
	cancel(client, submit.id, LLM_CANCEL_FORGET);
}

static void test_pages(void)
{
	struct llm_request_info infos[7];
	uint64_t ids[100], cursor = 0;
	struct llm_list list;
	int seen = 0;

	for (int i = 0; i < 100; i++)
		ids[i] = submit_text(client, "x");
	for (int i = 0; i < 100; i += 3)
		cancel(client, ids[i], 0);
	for (;;) {
		list = list_init(infos, sizeof(infos[0]), 7, cursor);
		if (ioctl(client, LLM_IOC_LIST, &list) || !list.count)
			break;
		for (uint32_t i = 0; i < list.count; i++, seen++) {
			while (seen % 3 == 0)
				seen++;
			if (seen >= 100 || infos[i].id != ids[seen])
				ok(false, "entry %d is %llu", seen,
				   (unsigned long long)infos[i].id);
		}
		cursor = infos[list.count - 1].id;
	}
	is(seen, 99, "pages of seven, in the order of ids, without those that ended");
	is(list.total, 66, "of all there are");
	list = list_init(infos, sizeof(infos[0]), 7, UINT64_MAX);
	is(ioctl(client, LLM_IOC_LIST, &list), 0, "past the end");
	is(list.count, 0, "there is nothing");
	list = list_init(nowhere(), sizeof(infos[0]), 7, 0);
	fails(ioctl(client, LLM_IOC_LIST, &list), EFAULT, "to nowhere");
	cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET);
}

/* Programs compiled against a shorter or a longer entry. */
static void test_entry_sizes(void)
{
	struct llm_request_info info;
	unsigned char bytes[3 * 200];
	struct llm_list list;
	uint64_t ids[2];

	ids[0] = submit_text(client, "x");
	ids[1] = submit_text(client, "x");
	memset(bytes, 0xff, sizeof(bytes));
	list = list_init(bytes, 16, 2, 0);
	is(ioctl(client, LLM_IOC_LIST, &list), 0, "short entries");
	ok(!memcmp(bytes, &ids[0], 8) && !memcmp(bytes + 16, &ids[1], 8) && bytes[32] == 0xff,
	   "are filled as far as they go");
	memset(bytes, 0xff, sizeof(bytes));
	list = list_init(bytes, 200, 2, 0);
	is(ioctl(client, LLM_IOC_LIST, &list), 0, "long entries");
	memcpy(&info, bytes + 200, sizeof(info));
	is(info.id, ids[1], "are filled");
	ok(bytes[199] == 0 && bytes[399] == 0 && bytes[400] == 0xff, "with zeros behind");
	cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET);
}

static void test_anybody(void)
{
	const uint64_t id = submit_text(client, "root's secret");
	const pid_t pid = fork();

	if (!pid) {
		struct llm_request_info info;
		int fd;

		become_user(12345);
		fd = client_open();
		child_must(state_of(fd, id, &info) == LLM_STATE_QUEUED);
		child_must(info.uid == 0);
		child_must(features(fd).requests == 1);
		child_must(cancel(fd, id, 0) == -1 && errno == ENOENT);
		child_must(submit_text(fd, "x"));
		child_must(state_of(fd, id + 1, &info) == LLM_STATE_QUEUED && info.uid == 12345);
		_exit(0);
	}
	is(wait_child(pid), 0, "another user sees it, and can do nothing to it");
	cancel(client, id, LLM_CANCEL_FORGET);
}

int main(void)
{
	client = client_open();
	server = server_open();
	test_empty();
	test_entry();
	test_pages();
	test_entry_sizes();
	test_anybody();
	ok(eventually(features(client).requests == 0), "nothing is left");
	close(client);
	close(server);
	return tap_done();
}
