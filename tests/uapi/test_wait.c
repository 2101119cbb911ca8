// SPDX-License-Identifier: MIT
/*
 * WAIT: for one request, for any, for the end, until a time; and what a signal does to those that
 * sleep.
 */
#include "uapi.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static int client, server;

static void test_one(void)
{
	const uint64_t id = submit_text(client, "x");
	struct llm_wait wait;
	struct event event;
	uint64_t until;

	fails(wait_for(client, id, LLM_WAIT_NONBLOCK, 0, &wait), EAGAIN, "nothing yet");
	until = now_ns() + 30000000;
	fails(wait_for(client, id, 0, until, &wait), ETIME, "until a time");
	ok(now_ns() >= until, "not less");
	fails(wait_for(client, id, 0, 1, &wait), ETIME, "until a time gone by");
	fetch(server, LLM_FETCH_REQUEST, &event);
	commit(server, id, "some", 0);
	is(wait_for(client, id, 0, 1, &wait), 0, "there is something, whatever the time");
	is(wait.state, LLM_STATE_RUNNING, "it still runs");
	fails(wait_for(client, id, LLM_WAIT_END, now_ns() + 1000000, &wait), ETIME,
	      "but it has not ended");
	commit(server, id, NULL, LLM_COMMIT_END);
	is(wait_for(client, id, LLM_WAIT_END, 0, &wait), 0, "now it has");
	is(wait.state, LLM_STATE_ENDED, "as it says");
	fails(wait_for(client, id + 1, 0, 0, &wait), ENOENT, "no such request");
	is(cancel(client, id, LLM_CANCEL_FORGET), 0, "forget it");
	fails(wait_for(client, 0, 0, 0, &wait), ENOENT, "none at all");
}

static void test_any(void)
{
	uint64_t ids[4];
	struct llm_wait wait;
	struct event event;

	for (int i = 0; i < 4; i++) {
		ids[i] = submit_text(client, "x");
		fetch(server, LLM_FETCH_REQUEST, &event);
	}
	fails(wait_for(client, 0, LLM_WAIT_NONBLOCK, 0, &wait), EAGAIN, "none is ready");
	commit(server, ids[1], "a", 0);
	commit(server, ids[3], "b", LLM_COMMIT_END);
	for (int i = 0; i < 4; i++) {
		is(wait_for(client, 0, 0, 0, &wait), 0, "one is ready");
		is(wait.id, ids[i % 2 ? 3 : 1], "they are named in turn");
	}
	is(wait_for(client, 0, LLM_WAIT_END, 0, &wait), 0, "one has ended");
	is(wait.id, ids[3], "this one");
	is(cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "forget all");
	for (int i = 0; i < 3; i++) {
		fetch(server, LLM_FETCH_NOTICE, &event);
		commit_status(server, event.head.id, 0);
	}
}

static void *wait_thread(void *arg)
{
	struct llm_wait wait;

	if (wait_for(client, *(uint64_t *)arg, LLM_WAIT_END, 0, &wait) < 0)
		return (void *)(intptr_t)-errno;
	return (void *)(intptr_t)wait.state;
}

static void test_woken(void)
{
	uint64_t id = submit_text(client, "x"), any = 0;
	pthread_t threads[4];
	struct event event;

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, wait_thread, i % 2 ? &id : &any);
	fetch(server, LLM_FETCH_REQUEST, &event);
	commit(server, id, "x", 0);
	commit(server, id, "y", LLM_COMMIT_END);
	for (int i = 0; i < 4; i++) {
		void *result;

		pthread_join(threads[i], &result);
		is((intptr_t)result, LLM_STATE_ENDED, "all that wait are woken");
	}
	cancel(client, id, LLM_CANCEL_FORGET);
}

static void on_signal(int sig)
{
	(void)sig;
}

/* A child waits in @cmd until a signal comes. Return: its errno, or 0. */
static int interrupted(unsigned int cmd, void *arg, int fd, bool restart)
{
	struct sigaction action = {
		.sa_handler = on_signal,
		.sa_flags = restart ? SA_RESTART : 0,
	};
	int status;
	pid_t pid;

	/* Before there is a child, which then never lacks it. */
	sigaction(SIGUSR1, &action, NULL);
	pid = fork();
	if (!pid)
		_exit(ioctl(fd, cmd, arg) < 0 ? errno : 0);
	/* It may not sleep yet at the first one. */
	while (waitpid(pid, &status, WNOHANG) == 0) {
		usleep(2000);
		kill(pid, SIGUSR1);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_signals(void)
{
	const uint64_t id = submit_text(client, "x");
	static struct event event;
	static char buf[16];
	struct llm_wait wait = { .size = sizeof(wait), .id = id };
	struct llm_read read = read_init(id, buf, sizeof(buf));
	struct llm_fetch notice = fetch_init(LLM_FETCH_NOTICE, &event, sizeof(event));
	struct llm_submit_read both = {
		.submit = submit_init("y", 1),
		.read = read_init(0, buf, sizeof(buf)),
	};

	both.submit.size = sizeof(both);
	is(interrupted(LLM_IOC_WAIT, &wait, client, false), EINTR, "a signal interrupts WAIT");
	is(interrupted(LLM_IOC_READ, &read, client, false), EINTR, "and READ");
	is(interrupted(LLM_IOC_FETCH, &notice, server, false), EINTR, "and FETCH");
	is(interrupted(LLM_IOC_SUBMIT_AND_READ, &both, client, true), EINTR,
	   "SUBMIT_AND_READ is not restarted: it has submitted");
	wait.deadline_ns = now_ns() + 300000000;
	is(interrupted(LLM_IOC_WAIT, &wait, client, true), ETIME,
	   "WAIT is restarted, and ends at its time");
	is(features(client).requests, 2, "and no request was submitted twice");
	is(cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "forget all");
}

static void test_nonblock(void)
{
	const int quick = client_open_flags(O_NONBLOCK);
	const uint64_t id = submit_text(quick, "x");
	struct llm_read read;
	struct llm_wait wait;
	char buf[4];

	read = read_init(id, buf, sizeof(buf));
	fails(ioctl(quick, LLM_IOC_READ, &read), EAGAIN, "O_NONBLOCK: READ");
	fails(wait_for(quick, id, 0, 0, &wait), EAGAIN, "O_NONBLOCK: WAIT");
	close(quick);
}

int main(void)
{
	client = client_open();
	server = server_open();
	test_one();
	test_any();
	test_woken();
	test_signals();
	test_nonblock();
	is(features(client).requests, 0, "nothing is left");
	close(client);
	close(server);
	return tap_done();
}
