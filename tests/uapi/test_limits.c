// SPDX-License-Identifier: MIT
/*
 * What one file, one user and all of them may have, and that the limits can be changed.
 */
#include "uapi.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

/* Submits until it fails. Return: how many went in. */
static int fill(int fd, int want)
{
	int n = 0;

	while (submit_text(fd, "x"))
		n++;
	if (errno != want)
		n = -1;
	return n;
}

static void test_counts(void)
{
	const int one = client_open(), two = client_open(), three = client_open();
	struct llm_features f;
	uint64_t id;

	param_set("max_requests_file", 5);
	param_set("max_requests_user", 8);
	param_set("max_requests", 10);
	f = features(one);
	ok(f.max_requests_file == 5 && f.max_requests_user == 8 && f.max_requests == 10,
	   "limits as set");
	is(fill(one, EBUSY), 5, "a file is full");
	is(fill(two, EBUSY), 3, "a user is full");
	is(fill(three, EBUSY), 0, "with every file");
	{
		const pid_t pid = fork();

		if (!pid) {
			int fd;

			become_user(54321);
			fd = client_open();
			child_must(fill(fd, EBUSY) == 2);
			_exit(0);
		}
		is(wait_child(pid), 0, "another user has room, until all is full");
	}
	ok(eventually(features(one).requests == 8), "he is gone");
	is(cancel(one, 0, LLM_CANCEL_ALL), 0, "cancelled requests");
	is(fill(one, EBUSY), 0, "count until they are forgotten");
	is(cancel(one, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "then");
	is(fill(one, EBUSY), 5, "there is room");
	param_set("max_requests_file", 2);
	is(cancel(two, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "a lower limit");
	is(fill(two, EBUSY), 2, "holds from now on");
	is(features(one).requests, 7, "and takes nothing away");
	close(one);
	id = submit_text(two, "x");
	is(id, 0, "still full");
	close(two);
	close(three);
	param_set("max_requests_file", 256);
	param_set("max_requests_user", 1024);
	param_set("max_requests", 4096);
}

/* A request whose client is gone still counts, as long as a server has it. */
static void test_orphans(void)
{
	const int server = server_open(), other = client_open();
	struct event event;
	int client;

	param_set("max_requests_user", 3);
	for (int i = 0; i < 3; i++) {
		client = client_open();
		submit_text(client, "x");
		fetch(server, LLM_FETCH_REQUEST, &event);
		close(client);
	}
	is(submit_text(other, "x"), 0, "closing the file does not make room at the server");
	is(errno, EBUSY, "as the error says");
	fetch(server, LLM_FETCH_NOTICE, &event);
	commit_status(server, event.head.id, 0);
	ok(submit_text(other, "x"), "the server's END does");
	close(other);
	close(server);
	param_set("max_requests_user", 1024);
}

static void test_bytes(void)
{
	const size_t len = 100000;
	char *payload = calloc(1, len);
	const int one = client_open(), two = client_open();
	struct llm_submit submit = submit_init(payload, len);
	int n = 0;

	must(payload != NULL, "calloc");
	param_set("max_payload_bytes_user", 10 * len);
	while (!ioctl(one, LLM_IOC_SUBMIT, &submit))
		n++;
	is(n, 10, "a user may have that many bytes of prompts");
	is(errno, EBUSY, "and no more");
	fails(write(two, payload, 1), EBUSY, "also by write()");
	is(cancel(one, submit.id, LLM_CANCEL_FORGET), 0, "forget one");
	is(write(two, payload, len), (ssize_t)len, "there is room for a prompt that gathers");
	fails(ioctl(one, LLM_IOC_SUBMIT, &submit), EBUSY, "which counts");
	{
		char byte;
		const int quick = client_open_flags(O_NONBLOCK);

		/* Submitting it does not need room for it twice. */
		close(two);
		is(write(quick, payload, len), (ssize_t)len, "close gives it back");
		fails(read(quick, &byte, 1), EAGAIN, "submit");
		fails(ioctl(one, LLM_IOC_SUBMIT, &submit), EBUSY, "it still counts");
		close(quick);
	}
	is(ioctl(one, LLM_IOC_SUBMIT, &submit), 0, "close gives it back again");
	close(one);
	param_set("max_payload_bytes_user", 64 << 20);
	free(payload);
}

static void test_values(void)
{
	static const struct { const char *name; const char *value; } wrong[] = {
		{ "max_requests", "0" }, { "max_requests", "65537" }, { "max_requests", "x" },
		{ "max_requests_file", "4097" }, { "max_payload_bytes", "4095" },
		{ "max_unread_bytes", "0" }, { "max_journal_bytes", "67108865" },
		{ "recover_timeout_s", "86401" }, { "recover_timeout_s", "-1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		const unsigned long before = param_get(wrong[i].name);
		char path[96];
		FILE *file;

		snprintf(path, sizeof(path), "/sys/module/llm/parameters/%s", wrong[i].name);
		file = fopen(path, "w");
		must(file != NULL, path);
		fputs(wrong[i].value, file);
		ok(fclose(file) && errno == EINVAL && param_get(wrong[i].name) == before,
		   "%s cannot be %s", wrong[i].name, wrong[i].value);
	}
}

static void *wait_thread(void *arg)
{
	struct llm_wait wait;

	if (wait_for(*(int *)arg, 0, 0, 0, &wait) < 0)
		return (void *)(intptr_t)errno;
	return NULL;
}

/* Those who wait are bounded as well. */
static void test_waiters(void)
{
	enum { THREADS = 12 };
	int client = client_open(), busy = 0;
	pthread_t threads[THREADS];

	param_set("max_requests_file", 4);
	submit_text(client, "x");
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, wait_thread, &client);
	/* Those over the bound return by themselves; then the others are woken. */
	for (int i = 0; i < THREADS; i++) {
		void *result;

		if (i == THREADS - 8)
			cancel(client, 0, LLM_CANCEL_ALL);
		if (i < THREADS - 8) {
			bool done = false;

			for (int j = 0; !done; j = (j + 1) % THREADS) {
				if (threads[j] && !pthread_tryjoin_np(threads[j], &result)) {
					threads[j] = 0;
					busy += (intptr_t)result == EBUSY;
					done = true;
				}
				usleep(100);
			}
		}
	}
	is(busy, THREADS - 8, "twice the file's requests may wait, no more");
	for (int j = 0; j < THREADS; j++) {
		void *result;

		if (!threads[j])
			continue;
		pthread_join(threads[j], &result);
		busy += (intptr_t)result != 0;
	}
	is(busy, THREADS - 8, "the others are woken");
	close(client);
	param_set("max_requests_file", 256);
}

int main(void)
{
	const int client = client_open();

	test_counts();
	test_orphans();
	test_bytes();
	test_values();
	test_waiters();
	is(features(client).requests, 0, "nothing is left");
	close(client);
	return tap_done();
}
