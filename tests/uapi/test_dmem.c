// SPDX-License-Identifier: MIT
/*
 * Where the kernel accounts for device memory itself: dmem.max on a cgroup binds what the server
 * holds for its requests, dmem.current shows it, and nothing is left of it. Who waits pays, however
 * he waits; who does not has credit, which ends.
 */
#include "uapi.h"
#include "uapi_netlink.h"
#include "uapi_step.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <liburing.h>

#define ROOT	"/sys/fs/cgroup"
#define TOP	"llm-dmem"
#define A	TOP "/a"
#define B	TOP "/b"
#define AHEAD	20	/* units paid in advance for one request */

static int client, server, waiting;
static uint64_t a, unit, credit;

/* ---- files of the controller ---- */

static bool file_write(const char *cgroup, const char *file, const char *text)
{
	char path[256];
	int fd;
	bool good;

	snprintf(path, sizeof(path), ROOT "/%s/%s", cgroup, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return good;
}

/* What a file says of a region; UINT64_MAX: nothing, or no limit. */
static uint64_t file_read(const char *cgroup, const char *file, const char *region)
{
	char path[256], name[64];
	uint64_t value = UINT64_MAX, found;
	FILE *stream;

	snprintf(path, sizeof(path), ROOT "/%s/%s", cgroup, file);
	stream = fopen(path, "re");
	if (!stream)
		return UINT64_MAX;
	while (fscanf(stream, "%63s %" SCNu64, name, &found) == 2)
		if (!strcmp(name, region))
			value = found;
	fclose(stream);
	return value;
}

static uint64_t current(const char *cgroup)
{
	return file_read(cgroup, "dmem.current", "llm/host");
}

static void limit(const char *cgroup, uint64_t bytes)
{
	char text[64];

	if (bytes == UINT64_MAX)
		snprintf(text, sizeof(text), "llm/host max");
	else
		snprintf(text, sizeof(text), "llm/host %" PRIu64, bytes);
	must(file_write(cgroup, "dmem.max", text), "dmem.max");
}

/* ---- the server's part ---- */

static int charge_at(unsigned int cmd, uint64_t id, uint64_t cgroup_id, uint64_t bytes,
		     uint32_t flags)
{
	struct llm_charge arg = {
		.size = sizeof(arg), .flags = flags, .id = id, .cgroup_id = cgroup_id,
		.bytes = bytes,
	};

	return ioctl(server, cmd, &arg);
}

static int charge(uint64_t id, uint64_t bytes)
{
	return charge_at(LLM_IOC_CHARGE, id, 0, bytes, 0);
}

static int uncharge(uint64_t id, uint64_t bytes)
{
	return charge_at(LLM_IOC_UNCHARGE, id, 0, bytes, 0);
}

static struct llm_event news(void)
{
	struct event event;

	must(fetch(server, LLM_FETCH_NOTICE, &event) > 0, "FETCH");
	return event.head;
}

static bool resumes(uint64_t id)
{
	const struct llm_event event = news();

	return event.type == LLM_EVENT_RESUME && event.id == id;
}

static bool no_news(void)
{
	struct event event;

	return fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event) == -1 && errno == EAGAIN;
}

static void end(uint64_t id)
{
	must(commit(server, id, "", LLM_COMMIT_END) >= 0, "COMMIT");
	must(!cancel(client, id, LLM_CANCEL_FORGET) || errno == ENOENT, "CANCEL");
}

/* ---- the clients' ---- */

static uint64_t begin(const char *cgroup, uint32_t flags)
{
	const uint64_t id = ask_from(client, cgroup, flags, LLM_CLASS_NORMAL);
	struct event event;

	must(id && fetch(server, LLM_FETCH_REQUEST, &event) > 0 && event.head.id == id, "a request");
	return id;
}

/* Looks whether there is something to read, from a cgroup; who does that pays. */
static void come_by(const char *cgroup)
{
	struct pollfd poller = { .fd = client, .events = POLLPRI };

	must(cgroup_enter(cgroup), cgroup);
	poll(&poller, 1, 0);
	must(cgroup_enter(""), "back to the root");
}

/* Charges, and comes by from a cgroup and charges again until it has it, or is told otherwise. */
static int charge_from(const char *cgroup, uint64_t id, uint64_t bytes)
{
	int rc;

	while ((rc = charge(id, bytes)) == LLM_VERDICT_PAUSE) {
		come_by(cgroup);
		must(resumes(id), "RESUME");
	}
	return rc;
}

/* There is no room: it is let try again now and then, and has to wait each time. */
static bool has_to_wait(const char *cgroup, uint64_t id, uint64_t bytes)
{
	for (int round = 0; round < 3; round++) {
		must(!round || resumes(id), "RESUME");
		if (charge(id, bytes) != LLM_VERDICT_PAUSE)
			return false;
		come_by(cgroup);
	}
	return true;
}

/* A charge that has to wait. */
struct wish {
	uint64_t id;
	const char *cgroup;
	uint64_t bytes;
	bool fulfilled;
};

static void wish_try(struct wish *wish)
{
	const int rc = charge(wish->id, wish->bytes);

	must(rc == 0 || rc == LLM_VERDICT_PAUSE, "CHARGE");
	wish->fulfilled = !rc;
	if (rc)
		come_by(wish->cgroup);
}

/* Whoever goes on charges again, until something else is to be told. */
static struct llm_event news_but_resume(struct wish *wishes, size_t count)
{
	struct llm_event event;

	for (;;) {
		event = news();
		if (event.type != LLM_EVENT_RESUME)
			return event;
		for (size_t i = 0; i < count; i++)
			if (wishes[i].id == event.id)
				wish_try(&wishes[i]);
	}
}

/* The same, where its client waits by himself. */
static int charge_waiting(uint64_t id, uint64_t bytes)
{
	int rc;

	while ((rc = charge(id, bytes)) == LLM_VERDICT_PAUSE)
		must(resumes(id), "RESUME");
	return rc;
}

/* As if somebody waited all the time: then nothing is had on credit. */
static void begin_waiting(void)
{
	struct epoll_event event = { .events = EPOLLPRI };

	waiting = epoll_create1(EPOLL_CLOEXEC);
	must(waiting >= 0 && !epoll_ctl(waiting, EPOLL_CTL_ADD, client, &event), "epoll");
}

static void end_waiting(void)
{
	close(waiting);
}

static bool all_given_back(void)
{
	return eventually(!current(TOP) && !current(A) && !current(B));
}

/* ---- tests ---- */

static void test_region(void)
{
	const uint64_t capacity = file_read("", "dmem.capacity", "llm/host");
	struct llm_region regions[2] = {
		{ .name = "host", .bytes = 1 << 30 }, { .name = "cuda0", .bytes = 1 << 30 },
	};
	struct llm_setup arg = {
		.size = sizeof(arg), .regions = (uintptr_t)regions, .region_count = 2,
	};

	ok(capacity > 0 && capacity < UINT64_MAX, "host memory is a region");
	for (unit = 64 << 10; unit < capacity >> 14; unit *= 2)
		;
	credit = capacity >> 6;
	is(file_read("", "dmem.capacity", "llm/cuda0"), UINT64_MAX, "no device is");
	is(ioctl(server, LLM_IOC_SETUP, &arg), 0, "until a server names it");
	is(file_read("", "dmem.capacity", "llm/cuda0"), 1 << 30, "then it is one, too");
	is(file_read("", "dmem.capacity", "llm/host"), capacity, "once");
	close(server);
	server = server_open();
	is(file_read("", "dmem.capacity", "llm/cuda0"), 1 << 30, "and stays, with its limits");
}

static void test_current(void)
{
	const uint64_t x = begin(A, 0);

	begin_waiting();
	is(current(A), AHEAD * unit, "a request is paid for in advance");
	is(current(TOP), AHEAD * unit, "in all cgroups above");
	is(charge(x, 4 * unit), 0, "so a charge need not wait");
	is(charge(x, 100 * unit), LLM_VERDICT_PAUSE, "a larger one does");
	ok(no_news(), "as long as nobody comes by");
	come_by(A);
	ok(resumes(x), "who comes by pays");
	is(charge(x, 100 * unit), 0, "and it has it");
	ok(current(A) >= 104 * unit, "as dmem.current shows");
	ok(current(A) <= (104 + 2 * (AHEAD + 4)) * unit, "and little more");
	is(current(B), 0, "nobody else has anything");
	is(uncharge(x, 100 * unit), 0, "what is given back");
	ok(eventually(current(A) <= (4 + 2 * AHEAD) * unit), "is given back there");
	end(x);
	ok(all_given_back(), "nothing is left at the end");
	end_waiting();
}

static void test_limit(void)
{
	uint64_t x, y;

	begin_waiting();
	limit(A, 40 * unit);
	x = begin(A, 0);
	y = begin(A, 0);
	is(charge_from(A, x, 30 * unit), 0, "30 of 40");
	ok(has_to_wait(A, y, 20 * unit), "20 more are too many");
	ok(current(A) <= 40 * unit, "the limit is kept");
	end(x);
	ok(resumes(y), "it waits until there is room");
	is(charge_from(A, y, 20 * unit), 0, "it asks, and has it");
	is(charge(y, 21 * unit), LLM_VERDICT_PAUSE, "what can never be");
	come_by(A);
	is(news().type, LLM_EVENT_CANCEL, "is not waited for");
	is(commit_status(server, y, 0), LLM_VERDICT_CANCELLED, "it ends");
	must(!cancel(client, y, LLM_CANCEL_FORGET), "CANCEL");
	ok(all_given_back(), "nothing is left");
	limit(A, UINT64_MAX);
	end_waiting();
}

static void test_impatient(void)
{
	struct llm_read read;
	uint64_t x, y;
	char buf[8];

	begin_waiting();
	limit(TOP, 40 * unit);
	x = begin(A, 0);
	y = begin(B, LLM_SUBMIT_EDQUOT);
	is(charge_from(A, x, 30 * unit), 0, "30 of 40, which a cgroup above sets");
	is(charge(y, 20 * unit), LLM_VERDICT_PAUSE, "another cgroup below it");
	come_by(B);
	is(news().type, LLM_EVENT_CANCEL, "does not want to wait");
	is(read_all(client, y, buf, sizeof(buf), &read), 0, "it reads");
	is(read.status, -EDQUOT, "why");
	is(commit_status(server, y, 0), LLM_VERDICT_CANCELLED, "the server lets go");
	end(x);
	ok(all_given_back(), "nothing is left");
	limit(TOP, UINT64_MAX);
	end_waiting();
}

static void test_raised(void)
{
	uint64_t x, y;

	begin_waiting();
	limit(TOP, 40 * unit);
	x = begin(A, 0);
	y = begin(B, 0);
	is(charge_from(A, x, 40 * unit), 0, "all there is");
	ok(has_to_wait(B, y, 20 * unit), "another one waits");
	limit(TOP, 80 * unit);
	ok(resumes(y), "until the limit is raised");
	is(charge_from(B, y, 20 * unit), 0, "it asks, and has it");
	end(x);
	end(y);
	ok(all_given_back(), "nothing is left");
	limit(TOP, UINT64_MAX);
	end_waiting();
}

/* Two that hold half each below a limit that nobody here knows of, and want more. */
static void test_wedge(void)
{
	struct llm_event event;
	struct wish wishes[2];
	uint64_t x, y;

	begin_waiting();
	limit(TOP, 40 * unit);
	x = begin(A, 0);
	y = begin(B, 0);
	is(charge_from(A, x, 20 * unit), 0, "half for one");
	is(charge_from(B, y, 20 * unit), 0, "half for another");
	wishes[0] = (struct wish) { .id = x, .cgroup = A, .bytes = 10 * unit };
	wishes[1] = (struct wish) { .id = y, .cgroup = B, .bytes = 20 * unit };
	wish_try(&wishes[1]);
	wish_try(&wishes[0]);
	event = news_but_resume(wishes, 2);
	is(event.type, LLM_EVENT_RECLAIM, "where both want more, something has to be given up");
	is(event.id, y, "by the younger one");
	is(event.bytes, 20 * unit, "all it has");
	ok(!wishes[0].fulfilled && !wishes[1].fulfilled, "there was no other way");
	is(uncharge(y, event.bytes), 0, "it does");
	while (!wishes[0].fulfilled) {
		event = news();
		must(event.type == LLM_EVENT_RESUME, "RESUME");
		wish_try(&wishes[event.id == y]);
	}
	ok(!wishes[1].fulfilled, "so the older one goes on");
	end(x);
	end(y);
	ok(all_given_back(), "nothing is left");
	limit(TOP, UINT64_MAX);
	end_waiting();
}

static void test_kept(void)
{
	struct llm_event event;
	struct wish wish;
	uint64_t x, y;

	begin_waiting();
	limit(A, 40 * unit);
	x = begin(A, 0);
	is(charge_from(A, x, 30 * unit), 0, "30 of 40");
	is(charge_at(LLM_IOC_CHARGE, x, 0, 30 * unit, LLM_CHARGE_KEEP), 0, "and kept");
	end(x);
	y = begin(A, 0);
	ok(current(A) >= 30 * unit, "it is still paid for");
	wish = (struct wish) { .id = y, .cgroup = A, .bytes = 20 * unit };
	wish_try(&wish);
	ok(!wish.fulfilled, "somebody needs it");
	event = news_but_resume(&wish, 1);
	is(event.type, LLM_EVENT_RECLAIM, "it is asked back");
	is(event.cgroup_id, a, "from the cgroup");
	is(charge_at(LLM_IOC_UNCHARGE, 0, a, 30 * unit, 0), 0, "and given back");
	ok(resumes(y), "he goes on");
	end(y);
	ok(all_given_back(), "nothing is left");
	limit(A, UINT64_MAX);
	end_waiting();
}

/* Who does not wait for his answer. */
static void test_credit(void)
{
	const uint64_t x = begin(A, 0), most = credit / unit * unit;

	is(charge(x, most), 0, "who is not there to pay has credit");
	ok(current(A) < most, "for what is not paid");
	is(charge(x, credit), LLM_VERDICT_PAUSE, "not for more than that");
	come_by(A);
	ok(resumes(x), "until he comes by");
	ok(current(A) >= most + credit, "and pays for all");
	is(charge(x, credit), 0, "then he has it");
	is(charge(x, credit / 2), 0, "and credit again");
	is(uncharge(x, credit / 2), 0, "which ends with what it was for");
	end(x);
	ok(all_given_back(), "nothing is left");
}

/* Nobody pays for what a stranger began; his neighbours do. */
static void test_stranger(void)
{
	struct event event;
	uint64_t x;
	pid_t pid;

	begin_waiting();
	pid = fork();
	if (!pid) {
		child_must(ask_from(client, A, 0, LLM_CLASS_NORMAL));
		_exit(0);
	}
	is(wait_child(pid), 0, "somebody asks and is gone");
	must(fetch(server, LLM_FETCH_REQUEST, &event) > 0, "FETCH");
	x = event.head.id;
	is(charge(x, 100 * unit), LLM_VERDICT_PAUSE, "his request needs memory");
	come_by(B);
	ok(no_news(), "another cgroup does not pay");
	is(current(B), 0, "not a byte");
	come_by(A);
	ok(resumes(x), "his own does");
	end(x);
	ok(all_given_back(), "nothing is left");
	end_waiting();
}

static void test_removed(void)
{
	const uint64_t x = begin(B, 0);

	begin_waiting();
	is(charge(x, 100 * unit), LLM_VERDICT_PAUSE, "a charge");
	come_by(B);
	ok(resumes(x), "is paid for");
	is(charge(x, 100 * unit), 0, "and made");
	ok(cgroup_remove(B), "the cgroup is removed");
	ok(current(TOP) >= 100 * unit, "what it had is still charged above");
	is(charge(x, 100 * unit), LLM_VERDICT_PAUSE, "it wants more");
	come_by(A);
	ok(resumes(x), "for which its process pays, where it is now");
	is(charge(x, 100 * unit), 0, "so that it goes on");
	ok(current(A) >= 50 * unit, "as is to be seen there");
	end(x);
	must(cgroup_make(B), B);
	ok(all_given_back(), "nothing is left");
	end_waiting();
}

/* Waits for its answer in one of all the ways there are. */
static void child_waits(const char *how)
{
	const int fd = open("/dev/llm", O_RDWR | O_CLOEXEC);
	char buf[64];
	struct llm_submit_read both = {
		.submit = submit_init("x", 1), .read = read_init(0, buf, sizeof(buf)),
	};
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	struct llm_wait waited;
	struct io_uring ring;

	child_must(cgroup_enter(A));
	if (!strcmp(how, "read()")) {
		child_must(write(fd, "x", 1) == 1);
		child_must(read(fd, buf, sizeof(buf)) == 0);
		_exit(0);
	}
	if (!strcmp(how, "io_uring")) {
		child_must(!io_uring_queue_init(4, &ring, 0));
		both.submit.size = sizeof(both);
		child_must(uring_call(&ring, fd, LLM_IOC_SUBMIT_AND_READ, &both) >= 0);
		_exit(0);
	}
	child_must(submit_text(fd, "x"));
	if (!strcmp(how, "poll()"))
		child_must(poll(&poller, 1, -1) == 1);
	else
		child_must(!wait_for(fd, 0, LLM_WAIT_END, 0, &waited));
	_exit(0);
}

static void test_waits(const char *how)
{
	struct event event;
	const pid_t pid = fork();

	if (!pid)
		child_waits(how);
	must(fetch(server, LLM_FETCH_REQUEST, &event) > 0, "FETCH");
	is(charge_waiting(event.head.id, 500 * unit), 0, "who waits by %s pays", how);
	ok(eventually(current(A) >= 500 * unit), "from his cgroup");
	is(commit(server, event.head.id, "", LLM_COMMIT_END), 0, "an answer");
	is(wait_child(pid), 0, "which he gets");
	ok(all_given_back(), "nothing is left");
}

/* A server that dies has nothing any more. */
static void test_death(void)
{
	const uint64_t x = begin(A, 0);

	is(charge(x, AHEAD * unit), 0, "something is charged");
	close(server);
	server = server_open();
	ok(eventually(current(A) <= 2 * AHEAD * unit), "and given back with its server");
	must(!cancel(client, x, LLM_CANCEL_FORGET), "CANCEL");
	ok(all_given_back(), "all of it with its request");
}

int main(void)
{
	if (access(ROOT "/dmem.capacity", R_OK)) {
		tap_skip("dmem", "this kernel has no dmem controller");
		return tap_done();
	}
	must(file_write("", "cgroup.subtree_control", "+dmem"), "the controller");
	must(cgroup_make(TOP) && file_write(TOP, "cgroup.subtree_control", "+dmem"), TOP);
	a = cgroup_make(A);
	must(a && cgroup_make(B), "cgroups");
	client = client_open();
	server = server_open();
	test_region();
	test_current();
	test_limit();
	test_impatient();
	test_raised();
	test_wedge();
	test_kept();
	test_credit();
	test_stranger();
	test_removed();
	test_waits("read()");
	test_waits("poll()");
	test_waits("WAIT");
	test_waits("io_uring");
	test_death();
	is(features(client).requests, 0, "nothing is left");
	close(server);
	close(client);
	ok(cgroup_remove(A) && cgroup_remove(B) && cgroup_remove(TOP), "the cgroups go");
	return tap_done();
}
