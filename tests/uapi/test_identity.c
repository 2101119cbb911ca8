// SPDX-License-Identifier: MIT
/*
 * Who asked, as the kernel knows it: process, user and cgroup, each as seen by who asks about them.
 */
#include "uapi.h"

#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CGROUP "/sys/fs/cgroup/llmos-test"

static int client, server;

/* Runs @child in a child of its own and fetches the one request that it submits. */
static struct llm_event asked_by(void (*child)(int fd), pid_t *ret_pid)
{
	struct event event = {};
	const pid_t pid = fork();

	if (!pid) {
		child(client_open());
		_exit(0);
	}
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1, "a request comes");
	*ret_pid = pid;
	return event.head;
}

/* Lets it go on, and end. */
static void answer(const struct llm_event *event, pid_t pid)
{
	commit(server, event->id, NULL, LLM_COMMIT_END);
	is(wait_child(pid), 0, "the child is content");
}

static void ask(int fd)
{
	struct llm_wait wait;
	const uint64_t id = submit_text(fd, "x");

	child_must(id);
	child_must(!wait_for(fd, id, LLM_WAIT_END, 0, &wait));
}

static void ask_as_user(int fd)
{
	child_must(!setresuid(777, 555, 666));
	ask(fd);
}

static void test_user(void)
{
	struct llm_request_info info;
	struct llm_event event;
	pid_t pid;

	event = asked_by(ask_as_user, &pid);
	is(event.uid, 555, "the effective user");
	is(event.pid, pid, "the process");
	is(state_of(client, event.id, &info), LLM_STATE_RUNNING, "list it");
	is(info.uid, 555, "the user");
	is(info.pid, pid, "the process");
	answer(&event, pid);
}

/* A privileged program is given an unprivileged user's file as its standard input and output. */
static void ask_on_opened(int fd)
{
	char c;

	close(fd);
	child_must(!setresuid(0, 555, 0));
	fd = open("/dev/llm", O_RDWR | O_CLOEXEC);
	child_must(!setresuid(0, 0, 0));
	child_must(fd >= 0);
	child_must(write(fd, "x", 1) == 1);
	child_must(read(fd, &c, 1) == 0);
	ask(fd);
}

static void test_opener(void)
{
	struct llm_event event;
	struct event next;
	pid_t pid;

	must(!chmod("/dev/llm", 0666), "a file that anybody may open");
	event = asked_by(ask_on_opened, &pid);
	must(!chmod("/dev/llm", 0660), "and may not again");
	is(event.uid, 555, "what is written is asked in the opener's name");
	is(event.pid, pid, "by this process");
	commit(server, event.id, NULL, LLM_COMMIT_END);
	is(fetch(server, LLM_FETCH_REQUEST, &next), sizeof(next.head) + 1, "a command comes");
	is(next.head.uid, 0, "in the caller's own");
	answer(&next.head, pid);
}

/* A process that is no more has no number: it may be another one's by now. */
static void test_dead(void)
{
	struct llm_request_info info;
	struct event event;
	const pid_t pid = fork();

	if (!pid) {
		child_must(submit_text(client, "x"));
		_exit(0);
	}
	is(wait_child(pid), 0, "a child asks on our file and is gone");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1, "its request is here");
	is(event.head.pid, 0, "without a process");
	is(event.head.uid, geteuid(), "but with a user");
	is(state_of(client, event.head.id, &info), LLM_STATE_RUNNING, "list it");
	is(info.pid, 0, "without a process");
	commit_status(server, event.head.id, 0);
	is(cancel(client, event.head.id, LLM_CANCEL_FORGET), 0, "forget it");
}

static void enter_cgroup(void)
{
	const int fd = open(CGROUP "/cgroup.procs", O_WRONLY | O_CLOEXEC);

	child_must(fd >= 0 && write(fd, "0", 1) == 1);
	close(fd);
}

static void ask_in_cgroup(int fd)
{
	enter_cgroup();
	ask(fd);
}

/* By a worker of io_uring, which is a thread of the same process. */
static void ask_by_worker(int fd)
{
	struct llm_submit_read both = {
		.submit = submit_init("x", 1),
		.read = read_init(0, &both, 1),
	};
	struct io_uring ring;

	enter_cgroup();
	both.submit.size = sizeof(both);
	child_must(!io_uring_queue_init(4, &ring, 0));
	uring_queue(&ring, fd, LLM_IOC_SUBMIT_AND_READ, &both, 0)->flags |= IOSQE_ASYNC;
	child_must(!uring_reap(&ring, NULL));
	io_uring_queue_exit(&ring);
}

static void test_cgroup(void)
{
	struct llm_request_info info;
	struct llm_event event;
	struct stat status;
	pid_t pid;

	if (mkdir(CGROUP, 0755) && errno != EEXIST) {
		tap_skip("cgroup", "no cgroup v2");
		return;
	}
	must(!stat(CGROUP, &status), CGROUP);
	event = asked_by(ask_in_cgroup, &pid);
	is(event.cgroup_id, status.st_ino, "the cgroup of who asked");
	is(state_of(client, event.id, &info), LLM_STATE_RUNNING, "list it");
	is(info.cgroup_id, status.st_ino, "the cgroup");
	answer(&event, pid);
	event = asked_by(ask_by_worker, &pid);
	is(event.cgroup_id, status.st_ino, "the cgroup of who asked through a worker");
	is(event.pid, pid, "and its process");
	answer(&event, pid);

	/* It may be removed while its request is there. */
	event = asked_by(ask_in_cgroup, &pid);
	kill(pid, SIGKILL);
	wait_child(pid);
	ok(eventually(!rmdir(CGROUP)), "its cgroup can be removed");
	is(commit_status(server, event.id, 0), LLM_VERDICT_CANCELLED, "though it has a request");
	{
		struct event notice;

		fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &notice);
	}
}

static uint64_t listed_id;
static uint32_t listed_pid, listed_uid;

static int in_namespace(void *arg)
{
	struct llm_request_info info;
	const int fd = client_open();

	(void)arg;
	/* This process is number 1 here, and the lister's parent has no number at all. */
	child_must(state_of(fd, listed_id, &info) >= 0);
	child_must(info.pid == listed_pid && info.uid == listed_uid);
	child_must(features(fd).server_pid == 0);
	ask(fd);
	return 0;
}

static pid_t run_in(int flags)
{
	static char stack[65536] __attribute__((aligned(16)));

	return clone(in_namespace, stack + sizeof(stack), flags | SIGCHLD, NULL);
}

static void test_pid_namespace(void)
{
	struct event event;
	pid_t pid;

	listed_id = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	listed_pid = 0;
	listed_uid = geteuid();
	pid = run_in(CLONE_NEWPID);
	if (pid < 0) {
		tap_skip("pid namespace", strerror(errno));
	} else {
		is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1,
		   "from another pid namespace");
		is(event.head.pid, pid, "the process as the server knows it");
		answer(&event.head, pid);
	}
	commit_status(server, listed_id, 0);
	cancel(client, listed_id, LLM_CANCEL_FORGET);
}

static void test_user_namespace(void)
{
	struct event event;
	pid_t pid;

	listed_id = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	listed_pid = 0;
	listed_uid = 65534;
	/* Nobody is mapped there. */
	pid = run_in(CLONE_NEWUSER | CLONE_NEWPID);
	if (pid < 0) {
		tap_skip("user namespace", strerror(errno));
	} else {
		is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1,
		   "from another user namespace");
		is(event.head.uid, geteuid(), "the user as the server knows him");
		answer(&event.head, pid);
	}
	commit_status(server, listed_id, 0);
	cancel(client, listed_id, LLM_CANCEL_FORGET);
}

static unsigned long cgroup_memory(void)
{
	unsigned long bytes = 0;
	FILE *file = fopen(CGROUP "/memory.current", "r");

	if (file) {
		if (fscanf(file, "%lu", &bytes) != 1)
			bytes = 0;
		fclose(file);
	}
	return bytes;
}

/*
 * Who asks pays for the memory that the answer takes, not who answers. Each processor has paid for
 * up to 64 pages in advance, or not: of so many commits that makes little.
 */
static void test_memory(void)
{
	enum { COMMITS = 100 };
	static char data[65536];
	unsigned long before, after;
	struct llm_event event;
	struct llm_commit arg;
	pid_t pid;

	mkdir(CGROUP, 0755);
	if (access(CGROUP "/memory.current", R_OK)) {
		tap_skip("memory", "no memory controller");
		rmdir(CGROUP);
		return;
	}
	param_set("max_journal_bytes", 2 * COMMITS * sizeof(data));
	event = asked_by(ask_in_cgroup, &pid);
	before = cgroup_memory();
	arg = commit_init(event.id, data, 0);
	arg.journal = (uintptr_t)data;
	arg.journal_len = sizeof(data);
	for (int i = 0; i < COMMITS; i++)
		must(!ioctl(server, LLM_IOC_COMMIT, &arg), "COMMIT");
	after = cgroup_memory();
	ok(after >= before + COMMITS * 3 / 4 * sizeof(data),
	   "a journal is charged to who asked (%lu KiB)", (after - before) / 1024);
	answer(&event, pid);
	ok(eventually(!rmdir(CGROUP)), "and given back");
}

/* A cgroup that is full: its own request fails, nobody is killed for it, nobody else notices. */
static void test_memory_full(void)
{
	static char data[65536];
	struct llm_event event;
	struct llm_commit arg;
	FILE *limit;
	pid_t pid;
	int rc;

	mkdir(CGROUP, 0755);
	if (access(CGROUP "/memory.max", W_OK)) {
		tap_skip("full memory", "no memory controller");
		rmdir(CGROUP);
		return;
	}
	event = asked_by(ask_in_cgroup, &pid);
	limit = fopen(CGROUP "/memory.max", "w");
	must(limit && fprintf(limit, "%lu", cgroup_memory() + 256 * 1024) > 0 && !fclose(limit),
	     "memory.max");
	arg = commit_init(event.id, data, 0);
	arg.journal = (uintptr_t)data;
	arg.journal_len = sizeof(data);
	for (int i = 0; i < 15; i++) {
		rc = ioctl(server, LLM_IOC_COMMIT, &arg);
		if (rc)
			break;
	}
	fails(rc, ENOMEM, "a COMMIT to a request whose cgroup is full");
	ok(!kill(pid, 0), "who asked is alive");
	is(commit_status(server, event.id, -ENOMEM), LLM_VERDICT_CONTINUE, "the server ends it");
	is(wait_child(pid), 0, "as the client learns");
	ok(eventually(!rmdir(CGROUP)), "its cgroup can go");
}

int main(void)
{
	client = client_open();
	server = server_open();
	test_user();
	test_opener();
	test_dead();
	test_cgroup();
	test_pid_namespace();
	test_user_namespace();
	test_memory();
	test_memory_full();
	ok(eventually(features(client).requests == 0), "nothing is left");
	close(client);
	close(server);
	return tap_done();
}
