// SPDX-License-Identifier: MIT
/*
 * A server with few slots and many who want them: who is stepped, who has to pause, and what each
 * cgroup, user and file gets of it in the end.
 */
#include "uapi.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CGROUP		"/sys/fs/cgroup/llmos-fair"
#define HELD_MAX	128
#define AHEAD		2	/* FETCHes for requests that stay parked */

enum { REQUEST, NOTICE = AHEAD, FETCHES };

/* A request that the server has. */
struct held {
	uint64_t id;
	uint32_t uid;
	uint32_t tokens;
	bool paused;
};

static struct io_uring ring;
static struct event events[FETCHES];
static struct llm_fetch fetches[FETCHES];
static struct held helds[HELD_MAX];
static int client, server;

static int setup(int fd, uint32_t slots)
{
	struct llm_setup arg = { .size = sizeof(arg), .slots = slots };

	return ioctl(fd, LLM_IOC_SETUP, &arg);
}

static void park(int which)
{
	fetches[which] = fetch_init(which == NOTICE ? LLM_FETCH_NOTICE : LLM_FETCH_REQUEST,
				    &events[which], sizeof(events[which]));
	uring_queue(&ring, server, LLM_IOC_FETCH, &fetches[which], which);
	io_uring_submit(&ring);
}

static struct held *held_find(uint64_t id)
{
	for (int i = 0; i < HELD_MAX; i++)
		if (helds[i].id == id)
			return &helds[i];
	return NULL;
}

static void take(const struct llm_event *event)
{
	struct held *held = held_find(event->type == LLM_EVENT_REQUEST ? 0 : event->id);

	/* news may have been under way while its request was ended */
	if (event->type != LLM_EVENT_REQUEST && !held)
		return;
	must(held, "a request the server has, or room for one");
	if (event->type == LLM_EVENT_REQUEST)
		*held = (struct held){ event->id, event->uid, 0, false };
	else
		held->paused = event->type == LLM_EVENT_CANCEL;
}

/* Takes what has come, and parks again. */
static void news(void)
{
	struct io_uring_cqe *cqe;

	io_uring_get_events(&ring);
	while (!io_uring_peek_cqe(&ring, &cqe)) {
		const int which = (int)cqe->user_data;
		const int result = cqe->res;

		io_uring_cqe_seen(&ring, cqe);
		must(result >= (int)sizeof(struct llm_event), "an event");
		take(&events[which].head);
		park(which);
		io_uring_get_events(&ring);
	}
}

/* Says what a request has come to. Return: the verdict. */
static int report(struct held *held, uint32_t tokens, uint32_t flags)
{
	struct llm_commit arg = commit_init(held->id, NULL, 0);
	int verdict;

	held->tokens += tokens;
	arg.flags = flags;
	arg.output_tokens = held->tokens;
	verdict = ioctl(server, LLM_IOC_COMMIT, &arg);
	if (flags & LLM_COMMIT_END)
		held->id = 0;
	else
		held->paused = verdict == LLM_VERDICT_PAUSE;
	return verdict;
}

/* One step: a token for each that may run. Return: how many did. */
static int step(void)
{
	int n = 0;

	news();
	for (int i = 0; i < HELD_MAX; i++) {
		if (!helds[i].id || helds[i].paused)
			continue;
		report(&helds[i], 1, 0);
		n++;
	}
	return n;
}

static void serve(uint32_t slots)
{
	memset(helds, 0, sizeof(helds));
	server = server_open();
	must(!io_uring_queue_init(8, &ring, 0), "an io_uring");
	must(!setup(server, slots), "SETUP");
	for (int i = 0; i < FETCHES; i++)
		park(i);
}

static void serve_end(void)
{
	io_uring_queue_exit(&ring);
	close(server);
}

static void test_setup(void)
{
	struct llm_setup arg = { .size = sizeof(arg), .slots = 1 };

	server = server_open();
	fails(setup(client, 1), ENOTTY, "SETUP is not for clients");
	is(setup(server, 1), 0, "one slot");
	is(setup(server, 0), 0, "any number");
	arg.flags = 1;
	fails(ioctl(server, LLM_IOC_SETUP, &arg), EINVAL, "a flag");
	arg.flags = 0;
	arg.pad = 1;
	fails(ioctl(server, LLM_IOC_SETUP, &arg), EINVAL, "padding");
	arg.pad = 0;
	arg.reserved[1] = 1;
	fails(ioctl(server, LLM_IOC_SETUP, &arg), EINVAL, "a reserved field");
	close(server);
}

/* One slot: who has used it for a while gives way to who has not, and gets it back. */
static void test_one_slot(void)
{
	const int other = client_open();
	const uint64_t first = submit_text(client, "a"), second = submit_text(client, "b");
	struct llm_request_info info;
	uint64_t third;
	int tokens = 0;

	serve(1);
	news();
	ok(held_find(first) && !held_find(second), "the older one has the slot");
	for (int i = 0; i < 100; i++)
		step();
	ok(held_find(first) && !held_find(second), "and keeps it: one file takes its own in turn");
	third = submit_text(other, "c");
	is(report(held_find(first), 1, 0), LLM_VERDICT_PAUSE, "somebody else comes: it gives way");
	is(state_of(client, first, &info), LLM_STATE_PAUSED, "it is paused");
	news();
	must(held_find(third), "the newcomer has the slot");
	while (!held_find(third)->paused && ++tokens < 100)
		report(held_find(third), 1, 0);
	ok(tokens >= 8 && tokens <= 64, "for %d tokens", tokens);
	news();
	ok(!held_find(first)->paused, "then it is the first one's again");
	is(cancel(client, first, LLM_CANCEL_FORGET), 0, "that is cancelled");
	news();
	ok(!held_find(third)->paused || held_find(second), "so that somebody else has the slot");
	is(report(held_find(first), 1, LLM_COMMIT_END), LLM_VERDICT_CANCELLED, "the server hears");
	for (int i = 0; i < 50; i++)
		step();
	ok(held_find(second) && held_find(second)->tokens >= 16 && held_find(third)->tokens >= 32,
	   "those who are left take turns");
	serve_end();
	is(cancel(client, second, LLM_CANCEL_FORGET), 0, "forget it");
	close(other);
	ok(eventually(features(client).requests == 0), "nothing is left");
}

/* Asks @count times, each on a file of its own if @files, and waits for its own end. */
static pid_t crowd(const char *cgroup, uint32_t uid, int count, bool files)
{
	int ready[2];
	pid_t pid;
	char c;

	must(!pipe(ready), "a pipe");
	pid = fork();
	if (!pid) {
		const int fd = client_open();

		if (cgroup) {
			const int procs = open(cgroup, O_WRONLY);

			child_must(procs >= 0 && write(procs, "0", 1) == 1);
		}
		child_must(!setresuid(uid, uid, 0));
		for (int i = 0; i < count; i++) {
			int own = fd;

			if (files) {
				child_must(!setresuid(uid, 0, 0));
				own = client_open();
				child_must(!setresuid(uid, uid, 0));
			}
			child_must(submit_text(own, "x"));
		}
		child_must(write(ready[1], "", 1) == 1);
		pause();
		_exit(1);
	}
	must(pid > 0 && read(ready[0], &c, 1) == 1, "a crowd");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void crowd_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static uint32_t tokens_of(uint32_t uid)
{
	uint32_t sum = 0;

	for (int i = 0; i < HELD_MAX; i++)
		if (helds[i].id && helds[i].uid == uid)
			sum += helds[i].tokens;
	return sum;
}

/* Parts per thousand of what both got that the first one did. */
static uint32_t share(uint32_t uid, uint32_t other)
{
	const uint32_t both = tokens_of(uid) + tokens_of(other);

	return both ? tokens_of(uid) * 1000 / both : 0;
}

static void run_crowds(pid_t one, pid_t many, const char *name)
{
	int most = 0;

	serve(4);
	for (int i = 0; i < 1500; i++) {
		const int n = step();

		most = n > most ? n : most;
	}
	is(most, 4, "%s: as many at once as there are slots", name);
	ok(share(701, 702) >= 480 && share(701, 702) <= 520, "%s: %u and %u tokens", name,
	   tokens_of(701), tokens_of(702));
	crowd_end(one);
	crowd_end(many);
	serve_end();
	ok(eventually(features(client).requests == 0), "nothing is left");
}

static void test_users(void)
{
	run_crowds(crowd(NULL, 701, 4, false), crowd(NULL, 702, 40, true),
		   "a user with one file, one with 40");
}

static void test_cgroups(void)
{
	if (mkdir(CGROUP, 0755) || mkdir(CGROUP "/one", 0755) || mkdir(CGROUP "/many", 0755)) {
		tap_skip("cgroups", strerror(errno));
		return;
	}
	run_crowds(crowd(CGROUP "/one/cgroup.procs", 701, 4, false),
		   crowd(CGROUP "/many/cgroup.procs", 702, 40, true),
		   "a cgroup with one file, one with 40");
	ok(eventually(!rmdir(CGROUP "/one")) && eventually(!rmdir(CGROUP "/many")) &&
	   !rmdir(CGROUP), "the cgroups can go");
}

/* A cgroup that is gone while its requests are there harms nobody. */
static void test_dead_cgroup(void)
{
	const pid_t pid = crowd(NULL, 701, 2, false);
	pid_t gone;

	if (mkdir(CGROUP, 0755)) {
		tap_skip("a cgroup that goes", strerror(errno));
		crowd_end(pid);
		return;
	}
	serve(1);
	gone = crowd(CGROUP "/cgroup.procs", 702, 2, false);
	for (int i = 0; i < 50; i++)
		step();
	ok(tokens_of(702) > 0, "a cgroup's request runs");
	crowd_end(gone);
	ok(eventually(!rmdir(CGROUP)), "the cgroup goes first");
	for (int i = 0; i < HELD_MAX; i++)
		if (helds[i].id && helds[i].uid == 702)
			report(&helds[i], 1, LLM_COMMIT_END);
	is(step(), 1, "the other one has the slot");
	crowd_end(pid);
	serve_end();
	ok(eventually(features(client).requests == 0), "nothing is left");
}

int main(void)
{
	client = client_open();
	test_setup();
	test_one_slot();
	test_users();
	test_cgroups();
	test_dead_cgroup();
	close(client);
	return tap_done();
}
