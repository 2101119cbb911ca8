// SPDX-License-Identifier: MIT
/*
 * Pressure: the time in which requests could have gone on and were not stepped, some of them or
 * all, along the cgroups; and a socket that is told of it.
 */
#include "uapi.h"
#include "uapi_netlink.h"
#include "uapi_step.h"

#include <poll.h>

#define TOP	"llmos-pressure"
#define A	TOP "/a"
#define B	TOP "/b"

#define MS	1000000ULL

static int nl, client;
static uint64_t top, a, b;

static uint64_t pressure(uint64_t cgroup, int which)
{
	struct nl_group group;

	must(!nl_group_get(nl, cgroup, &group), "GROUP_GET");
	return group.pressure[which];
}

static uint64_t some(uint64_t cgroup)
{
	return pressure(cgroup, LLM_NL_A_PRESSURE_SOME_TOTAL);
}

static uint64_t full(uint64_t cgroup)
{
	return pressure(cgroup, LLM_NL_A_PRESSURE_FULL_TOTAL);
}

/* One slot: a's request has it, b's waits. */
static void test_totals(void)
{
	const uint64_t start_ns = now_ns();
	uint64_t first, before_ns, seen_ns, a_ns;

	first = ask_from(client, A, 0, 0);
	must(first, "a request");
	ok(eventually(full(a) > 10 * MS), "nobody serves: all of a stands still");
	is(full(b), 0, "b has nothing that could");
	step_begin(1);
	step_news(1000);
	must(step_find(first), "it begins");
	a_ns = some(a);
	ok(a_ns <= now_ns() - start_ns, "it did so no longer than time has passed");
	before_ns = now_ns();
	must(ask_from(client, B, 0, 0), "one of b");
	ok(eventually(full(b) > 50 * MS), "it waits: all of b stands still");
	seen_ns = some(b);
	ok(seen_ns <= now_ns() - before_ns, "no longer than it waits");
	is(some(a), a_ns, "a runs");
	ok(some(top) >= a_ns + 50 * MS, "some of what is above");
	is(full(top), full(a), "not all of it");
	/* time that is read twice is not counted twice */
	seen_ns = full(b);
	ok(full(b) - seen_ns < now_ns() - before_ns, "reading costs nothing");
	step_commit(step_find(first), 0, 0, LLM_COMMIT_END);
	step_news(1000);
	is(step_count(), 1, "b's turn");
	seen_ns = some(b);
	is(some(b), seen_ns, "it waits no more");
	step_finish();
	must(!cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), "forget all");
	step_end();
}

/* A quota keeps it out: after two seconds the averages show it. */
static void test_averages(void)
{
	struct nl_group group;
	uint64_t id;

	is(nl_quota_set(nl, b, LLM_NL_A_QUOTA_RATE, 1ULL, LLM_NL_A_QUOTA_BURST, 1000ULL, 0), 0,
	   "a rate of next to nothing");
	step_begin(4);
	id = ask_from(client, B, 0, 0);
	must(id, "a request");
	step_news(1000);
	while (step_all())
		;
	ok(step_find(id)->paused, "it is kept out");
	ok(eventually(pressure(b, LLM_NL_A_PRESSURE_FULL_AVG10) > 1000), "full over 10 s");
	/* of one moment: they grow */
	must(!nl_group_get(nl, b, &group), "GROUP_GET");
	tap_note("%.2f %%", (double)group.pressure[LLM_NL_A_PRESSURE_FULL_AVG10] / 100);
	ok(group.pressure[LLM_NL_A_PRESSURE_SOME_AVG10] >=
	   group.pressure[LLM_NL_A_PRESSURE_FULL_AVG10] &&
	   group.pressure[LLM_NL_A_PRESSURE_FULL_AVG60] > 0 &&
	   group.pressure[LLM_NL_A_PRESSURE_FULL_AVG60] <
	   group.pressure[LLM_NL_A_PRESSURE_FULL_AVG10] &&
	   group.pressure[LLM_NL_A_PRESSURE_FULL_AVG300] <
	   group.pressure[LLM_NL_A_PRESSURE_FULL_AVG60], "less over longer times");
	ok(group.pressure[LLM_NL_A_PRESSURE_SOME_AVG10] <= 10000,
	   "never more than all of the time");
	ok(pressure(top, LLM_NL_A_PRESSURE_FULL_AVG10) > 0, "also above");
}

/* The same request goes on waiting; b is watched. */
static void test_watch(void)
{
	const int watcher = nl_open(), other = nl_open(), closed = nl_open();
	struct pollfd poll_fd = { .fd = watcher, .events = POLLIN };
	const uint64_t start_ns = now_ns();
	struct nl_event event;

	is(nl_watch(watcher, b, true, 100 * MS, 500 * MS), 0, "100 ms of 500");
	is(nl_watch(other, a, false, 1 * MS, 500 * MS), 0, "a watch on who runs");
	is(nl_watch(closed, b, true, 100 * MS, 500 * MS), 0, "one whose socket is closed");
	/* others', that come and go, have nothing to do with it */
	for (int i = 0; i < 1000; i++)
		close(nl_open());
	close(closed);
	is(poll(&poll_fd, 1, 20000), 1, "the socket becomes readable");
	is(nl_event(watcher, 0, &event), LLM_NL_EVENT_PRESSURE, "told of pressure");
	is(event.attrs[LLM_NL_A_EVENT_CGROUP], b, "of b");
	/* how late it is looked at is the machine's business */
	ok(event.attrs[LLM_NL_A_EVENT_STALL] >= 100 * MS &&
	   event.attrs[LLM_NL_A_EVENT_STALL] <= now_ns() - start_ns,
	   "%.0f ms", (double)event.attrs[LLM_NL_A_EVENT_STALL] / 1e6);
	ok(now_ns() - start_ns >= 100 * MS, "not before it was");
	is(nl_event(watcher, 20000, &event), LLM_NL_EVENT_PRESSURE, "and again");
	ok(now_ns() - start_ns >= 600 * MS, "a window later");
	is(nl_event(other, 0, &event), 0, "who watches others hears nothing");
	close(watcher);
	close(other);
}

int main(void)
{
	client = client_open();
	nl = nl_open();
	must(nl >= 0, "the family \"llm\"");
	top = cgroup_make(TOP);
	a = cgroup_make(A);
	b = cgroup_make(B);
	if (!top || !a || !b) {
		tap_skip("pressure", strerror(errno));
		return tap_done();
	}
	test_totals();
	test_averages();
	test_watch();
	step_finish();
	must(!cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), "forget all");
	step_end();
	is(nl_quota_reset_all(nl), 0, "reset");
	must(cgroup_remove(A) && cgroup_remove(B) && cgroup_remove(TOP), "remove");
	close(nl);
	close(client);
	return tap_done();
}
