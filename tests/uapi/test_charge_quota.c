// SPDX-License-Identifier: MIT
/*
 * Quotas of memory: what is charged never exceeds them, who has to wait gets his turn, what is kept
 * or stands still is asked back so that nobody waits for ever; and after everything that can
 * happen to requests, cgroups' usage is what the server holds.
 */
#include "uapi.h"
#include "uapi_netlink.h"
#include "uapi_step.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define TOP	"llm-charge"
#define A	TOP "/a"
#define B	TOP "/b"
#define DEPTH	66	/* levels of cgroups, more than llm.ko counts */

static int client, server, nl;
static uint64_t top, a, b;

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

static int try(uint64_t id, uint64_t bytes)
{
	return charge_at(LLM_IOC_CHARGE, id, 0, bytes, LLM_CHARGE_TRY);
}

static int keep(uint64_t id, uint64_t bytes)
{
	return charge_at(LLM_IOC_CHARGE, id, 0, bytes, LLM_CHARGE_KEEP);
}

static int uncharge(uint64_t id, uint64_t bytes)
{
	return charge_at(LLM_IOC_UNCHARGE, id, 0, bytes, 0);
}

static int uncharge_kept(uint64_t cgroup_id, uint64_t bytes)
{
	return charge_at(LLM_IOC_UNCHARGE, 0, cgroup_id, bytes, 0);
}

static uint64_t usage(uint64_t cgroup)
{
	struct nl_group group;

	return nl_group_get(nl, cgroup, &group) ? UINT64_MAX : group.usage[LLM_NL_A_USAGE_MEMORY];
}

static void limit(uint64_t cgroup, uint64_t bytes)
{
	must(!nl_quota_set(nl, cgroup, LLM_NL_A_QUOTA_MEMORY, bytes, 0), "QUOTA_SET");
}

static uint64_t begin(const char *cgroup, uint32_t flags)
{
	const uint64_t id = ask_from(client, cgroup, flags, LLM_CLASS_NORMAL);
	struct event event;

	must(id && fetch(server, LLM_FETCH_REQUEST, &event) > 0 && event.head.id == id, "a request");
	return id;
}

static void end(uint64_t id)
{
	must(commit(server, id, "", LLM_COMMIT_END) >= 0, "COMMIT");
	must(!cancel(client, id, LLM_CANCEL_FORGET) || errno == ENOENT, "CANCEL");
}

/* The next notice, which comes by itself. */
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

static void test_limit(void)
{
	const int listener = nl_open();
	struct nl_event event;
	uint64_t x, y, z;

	limit(top, 100);
	x = begin(A, 0);
	y = begin(B, 0);
	z = begin(A, 0);
	must(listener >= 0 && !nl_join(listener), "listen");
	fails(charge(x, 101), EDQUOT, "more than there can ever be");
	ok(nl_event_of(listener, LLM_NL_EVENT_REFUSED, top, &event), "the administrator is told");
	is(event.attrs[LLM_NL_A_EVENT_REQUEST], x, "whom");
	close(listener);
	is(charge(x, 60), 0, "60 of 100");
	fails(charge(x, 41), EDQUOT, "more than that, with what it has");
	is(charge(y, 60), LLM_VERDICT_PAUSE, "another cgroup below the same limit waits");
	is(state_of(client, y, NULL), LLM_STATE_PAUSED, "as its state says");
	is(charge(z, 10), LLM_VERDICT_PAUSE, "a younger one does not pass it");
	is(charge(x, 10), 0, "who is under way does");
	ok(no_news(), "nobody goes on");
	is(usage(a), 70, "charged to the one");
	is(usage(b), 0, "not the other");
	is(usage(top), 70, "and above");
	end(x);
	ok(resumes(y), "when it ends, the older one goes on");
	ok(resumes(z), "and the younger one");
	is(charge(z, 10), 0, "whoever asks first");
	is(charge(y, 60), 0, "both have it");
	is(usage(top), 70, "as charged");
	end(y);
	end(z);
	is(usage(top), 0, "nothing is left");
	limit(b, 0);
	y = begin(B, 0);
	fails(charge(y, 1), EDQUOT, "nothing at all is allowed");
	must(commit_status(server, y, -EDQUOT) == 0, "COMMIT");
	must(!cancel(client, y, LLM_CANCEL_FORGET), "CANCEL");
	limit(b, UINT64_MAX);
}

/* what the server can do without is charged where there is room, and holds up nobody */
static void test_try(void)
{
	const int listener = nl_open();
	const uint64_t x = begin(A, 0), y = begin(B, 0), z = begin(B, LLM_SUBMIT_EDQUOT);
	const uint64_t start_ns = now_ns();
	struct nl_event event;
	bool refused = false;
	uint32_t type;

	must(listener >= 0 && !nl_join(listener), "listen");
	is(charge(x, 60), 0, "60 of 100");
	fails(try(y, 41), EAGAIN, "more than there is");
	is(state_of(client, y, NULL), LLM_STATE_RUNNING, "it goes on without");
	fails(try(z, 41), EAGAIN, "also who never waits");
	is(state_of(client, z, NULL), LLM_STATE_RUNNING, "it goes on, too");
	fails(try(y, 101), EDQUOT, "more than there can ever be");
	is(try(y, 30), 0, "less is charged");
	is(usage(b), 30, "to its cgroup");
	fails(charge_at(LLM_IOC_CHARGE, y, 0, 1, LLM_CHARGE_TRY | LLM_CHARGE_KEEP), EINVAL,
	      "to keep is to have");
	is(uncharge(x, 20), 0, "there is room");
	ok(no_news(), "for which nobody waits");
	is(keep(x, 40), 0, "what is kept for later");
	fails(try(z, 31), EAGAIN, "is in the way as well");
	ok(no_news(), "but not asked back");
	is(charge(y, 31), LLM_VERDICT_PAUSE, "unless somebody needs it");
	is(news().type, LLM_EVENT_RECLAIM, "who waits for it");
	fails(try(z, 30), EAGAIN, "and is not passed by");
	is(uncharge_kept(a, 40), 0, "it is given back");
	ok(resumes(y), "he goes on");
	is(charge(y, 31), 0, "and has it");
	/* a group's are a second apart: one may be told now that was refused before all this */
	while ((type = nl_event(listener, 1200, &event)))
		refused |= type == LLM_NL_EVENT_REFUSED &&
			   event.attrs[LLM_NL_A_EVENT_TIME] >= start_ns;
	ok(!refused, "nobody was told of a refusal");
	close(listener);
	end(x);
	end(y);
	end(z);
	is(usage(top), 0, "nothing is left");
}

static void test_impatient(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, LLM_SUBMIT_EDQUOT);
	struct llm_event event;
	struct llm_read read;
	char buf[8];

	is(charge(x, 60), 0, "60 of 100");
	is(charge(y, 60), LLM_VERDICT_CANCELLED, "who does not want to wait is told at once");
	is(read_all(client, y, buf, sizeof(buf), &read), 0, "he reads");
	is(read.status, -EDQUOT, "why");
	event = news();
	ok(event.type == LLM_EVENT_CANCEL && event.id == y, "the server is to let go");
	is(commit_status(server, y, 0), LLM_VERDICT_CANCELLED, "and does");
	end(x);
}

static void test_kept(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, 0);
	struct llm_event event;

	is(charge(x, 80), 0, "80 of 100");
	is(keep(x, 70), 0, "most of it is worth keeping");
	end(x);
	is(usage(a), 70, "it is the cgroup's");
	is(charge(y, 50), LLM_VERDICT_PAUSE, "until somebody needs it");
	event = news();
	is(event.type, LLM_EVENT_RECLAIM, "it is asked back");
	is(event.id, 0, "from no request");
	is(event.cgroup_id, a, "but from the cgroup");
	is(event.bytes, 20, "as much as is missing");
	is(event.region, 0, "of host memory");
	ok(no_news(), "once");
	is(uncharge_kept(a, 5), 0, "a part is given back");
	ok(no_news(), "which is not enough");
	is(uncharge_kept(a, 15), 0, "the rest");
	ok(resumes(y), "he goes on");
	is(charge(y, 50), 0, "and has it");
	is(usage(top), 100, "the limit is kept");
	end(y);
	is(uncharge_kept(a, 50), 0, "what was kept");
	is(usage(top), 0, "is gone");
}

/* what is kept does not make a quota stand in the way of who does not want to wait for one */
static void test_impatient_kept(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, LLM_SUBMIT_EDQUOT),
		       z = begin(B, LLM_SUBMIT_EDQUOT);
	struct llm_event event;
	struct llm_read read;
	char buf[8];

	is(charge(x, 90), 0, "90 of 100");
	is(keep(x, 60), 0, "of which 60 are kept");
	is(charge(y, 70), LLM_VERDICT_PAUSE, "there is room but for what is kept");
	event = news();
	ok(event.type == LLM_EVENT_RECLAIM && event.cgroup_id == a && event.bytes == 60,
	   "which is asked back");
	is(charge(z, 71), LLM_VERDICT_CANCELLED, "where that would not do, it ends at once");
	is(read_all(client, z, buf, sizeof(buf), &read), 0, "he reads");
	is(read.status, -EDQUOT, "why");
	ok(news().id == z, "the server is to let go");
	is(commit_status(server, z, 0), LLM_VERDICT_CANCELLED, "and does");
	is(uncharge_kept(a, 60), 0, "what was kept is given back");
	ok(resumes(y), "who waited for it goes on");
	is(charge(y, 70), 0, "and has what he asked for");
	end(y);
	end(x);
	is(usage(top), 0, "all is given back");
}

/* ... but if somebody else takes the room before it is given back, one does */
static void test_impatient_late(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, LLM_SUBMIT_EDQUOT);
	struct llm_event event;
	struct llm_read read;
	char buf[8];

	is(charge(x, 30), 0, "30 of 100");
	is(keep(x, 20), 0, "of which 20 are kept");
	is(charge(y, 80), LLM_VERDICT_PAUSE, "there is room but for what is kept");
	event = news();
	ok(event.type == LLM_EVENT_RECLAIM && event.bytes == 10, "which is asked back");
	is(charge(x, 15), 0, "an older one grows");
	ok(resumes(y), "who waited is to ask again");
	is(charge(y, 80), LLM_VERDICT_CANCELLED, "and it ends");
	is(read_all(client, y, buf, sizeof(buf), &read), 0, "he reads");
	is(read.status, -EDQUOT, "why");
	ok(news().id == y, "the server is to let go");
	is(commit_status(server, y, 0), LLM_VERDICT_CANCELLED, "and does");
	is(uncharge_kept(a, 20), 0, "what was kept is given back");
	end(x);
	is(usage(top), 0, "and all the rest");
}

/* a cgroup that is removed is asked for all that is kept for it */
static void test_orphan(void)
{
	const char *const name = TOP "/orphan";
	const uint64_t id = cgroup_make(name);
	struct llm_event event;
	uint64_t x;

	must(id != 0, "a cgroup");
	x = begin(name, 0);
	is(charge(x, 20), 0, "20 of 100");
	is(keep(x, 20), 0, "are kept");
	end(x);
	ok(no_news(), "as long as it is there");
	ok(cgroup_remove(name), "it is removed");
	event = news();
	ok(event.type == LLM_EVENT_RECLAIM && !event.id && event.cgroup_id == id &&
	   event.bytes == 20, "all of it is asked back");
	is(usage(top), 20, "until then it is charged above");
	is(uncharge_kept(id, 20), 0, "it is given back");
	is(usage(top), 0, "and nothing is left");
	fails(uncharge_kept(id, 1), ENOENT, "nor the cgroup");
}

/* deeper than is counted, a request belongs to a cgroup above it, for which it can not keep */
static void test_too_deep(void)
{
	char name[256] = TOP;
	int depth;
	uint64_t x;

	for (depth = 0; depth < DEPTH; depth++) {
		strcat(name, "/d");
		if (!cgroup_make(name))
			break;
	}
	if (depth == DEPTH) {
		x = begin(name, 0);
		is(charge(x, 20), 0, "a request from %d levels down is charged", DEPTH);
		fails(keep(x, 20), EINVAL, "and keeps nothing");
		is(usage(top), 20, "it still has it");
		end(x);
		is(usage(top), 0, "until it ends");
	} else {
		tap_skip("a cgroup that is nested too deep", strerror(errno));
	}
	for (; strlen(name) > strlen(TOP); name[strlen(name) - 2] = '\0')
		must(cgroup_remove(name), "rmdir");
}

static void test_wedge(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, 0);
	struct llm_event event;

	is(charge(x, 50), 0, "half for one");
	is(charge(y, 50), 0, "half for another");
	is(charge(y, 10), LLM_VERDICT_PAUSE, "the one waits");
	ok(no_news(), "the other may end");
	is(charge(x, 10), LLM_VERDICT_PAUSE, "or not: now both wait");
	event = news();
	is(event.type, LLM_EVENT_RECLAIM, "something has to be given up");
	is(event.id, y, "by the younger one");
	is(event.bytes, 50, "what it has");
	is(event.cgroup_id, 0, "a request is named by its id");
	is(uncharge(y, 50), 0, "it does");
	ok(resumes(x), "the older one goes on");
	is(charge(x, 10), 0, "with more");
	ok(resumes(y), "the younger one has room for what it wanted");
	is(charge(y, 60), LLM_VERDICT_PAUSE, "but needs more by now");
	end(x);
	ok(resumes(y), "that comes");
	is(charge(y, 60), 0, "and it has it all");
	end(y);
	is(usage(top), 0, "nothing is left");
}

/* A request whose reader does not read keeps nobody from his memory. */
static void test_reader(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, 0);
	const uint32_t most = features(client).max_commit_bytes;
	char *data = calloc(1, most);
	struct llm_event event;
	struct llm_commit arg = commit_init(x, data, most);
	struct llm_read read;

	must(data != NULL, "calloc");
	is(charge(x, 100), 0, "all of it");
	while (ioctl(server, LLM_IOC_COMMIT, &arg) == LLM_VERDICT_CONTINUE)
		;
	is(state_of(client, x, NULL), LLM_STATE_PAUSED, "its reader is behind");
	is(charge(y, 1), LLM_VERDICT_PAUSE, "another one waits");
	event = news();
	ok(event.type == LLM_EVENT_RECLAIM && event.id == x && event.bytes == 100,
	   "the one that is not read is asked");
	is(uncharge(x, 100), 0, "and gives it back");
	ok(resumes(y), "the other one goes on");
	is(charge(y, 1), 0, "with it");
	read = read_init(x, data, most);
	for (int i = 0; i < 100 && state_of(client, x, NULL) == LLM_STATE_PAUSED; i++)
		ioctl(client, LLM_IOC_READ, &read);
	ok(resumes(x), "when it is read, so does the one");
	is(charge(x, 99), 0, "as far as there is room");
	end(x);
	end(y);
	free(data);
}

static void test_changed(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, 0);

	is(charge(x, 60), 0, "60 of 100");
	is(charge(y, 60), LLM_VERDICT_PAUSE, "there is no room");
	limit(top, 120);
	ok(resumes(y), "until the limit is raised");
	is(charge(y, 60), 0, "then there is");
	is(uncharge(y, 60), 0, "given back");
	limit(top, 100);
	is(charge(y, 60), LLM_VERDICT_PAUSE, "again");
	limit(top, 50);
	ok(resumes(y), "or is lowered");
	fails(charge(y, 60), EDQUOT, "so far that there never will be");
	is(usage(top), 60, "what is held is held");
	end(x);
	end(y);
	limit(top, 100);
}

static void test_cancelled(void)
{
	const uint64_t x = begin(A, 0), y = begin(B, 0), z = begin(B, 0);
	struct llm_event event;

	is(charge(x, 60), 0, "60 of 100");
	is(charge(y, 60), LLM_VERDICT_PAUSE, "one waits");
	is(charge(z, 40), LLM_VERDICT_PAUSE, "another behind it");
	is(cancel(client, y, 0), 0, "the first is cancelled");
	event = news();
	ok(event.type == LLM_EVENT_CANCEL || event.type == LLM_EVENT_RESUME, "there is news");
	event = news();
	ok(event.type == LLM_EVENT_CANCEL || event.type == LLM_EVENT_RESUME, "of both");
	is(charge(z, 40), 0, "the other has room");
	is(commit_status(server, y, 0), LLM_VERDICT_CANCELLED, "the server lets go");
	end(z);
	end(x);
	must(!cancel(client, y, LLM_CANCEL_FORGET), "CANCEL");
	is(usage(top), 0, "nothing is left");
}

/* ---- chaos ---- */

#define HELD	24

/* What the server of the chaos holds. */
struct held {
	uint64_t id, cgroup, bytes, wants;
	bool paused;
};

static struct held helds[HELD];
static uint64_t kept[2];
static uint64_t seed, said;

static struct held *held_of(uint64_t id)
{
	for (int i = 0; i < HELD; i++)
		if (helds[i].id == id)
			return &helds[i];
	return NULL;
}

static void held_end(struct held *held)
{
	commit_status(server, held->id, 0);
	cancel(client, held->id, LLM_CANCEL_FORGET);
	*held = (struct held) { .id = 0 };
}

static void held_charge(struct held *held, uint64_t bytes)
{
	const int rc = charge(held->id, bytes);

	held->paused = rc == LLM_VERDICT_PAUSE;
	held->wants = held->paused ? bytes : 0;
	if (rc == 0)
		held->bytes += bytes;
	else if (rc == LLM_VERDICT_CANCELLED || (rc < 0 && errno == EDQUOT))
		held_end(held);
	else
		must(rc == LLM_VERDICT_PAUSE, "CHARGE");
}

static void held_give(struct held *held, uint64_t bytes)
{
	if (!bytes)
		return;
	must(uncharge(held->id, bytes) == 0, "UNCHARGE");
	held->bytes -= bytes;
}

/* Does as it is told, as far as it is told something. Return: it was. */
static bool chaos_news(void)
{
	struct event event;
	struct held *held;

	if (fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event) < 0)
		return false;
	held = event.head.id ? held_of(event.head.id) : NULL;
	said++;
	if (event.head.type == LLM_EVENT_RECLAIM && !event.head.id) {
		uint64_t *bytes = &kept[event.head.cgroup_id == b];
		const uint64_t n = *bytes < event.head.bytes ? *bytes : event.head.bytes;

		must(!n || uncharge_kept(event.head.cgroup_id, n) == 0, "UNCHARGE");
		*bytes -= n;
	} else if (held && event.head.type == LLM_EVENT_RECLAIM) {
		held->wants += held->bytes;
		held_give(held, held->bytes);
	} else if (held && event.head.type == LLM_EVENT_RESUME) {
		if (held->wants)
			held_charge(held, held->wants);
		else
			held->paused = false;
	} else if (held && event.head.type == LLM_EVENT_CANCEL) {
		held_end(held);
	}
	return true;
}

static void chaos_begin(struct held *held)
{
	const bool in_b = random_next(&seed) % 2;

	held->id = begin(in_b ? B : A, random_next(&seed) % 8 ? 0 : LLM_SUBMIT_EDQUOT);
	held->cgroup = in_b ? b : a;
}

static void chaos_keep(struct held *held)
{
	const uint64_t bytes = held->bytes / 2;

	if (!bytes || held->paused)
		return;
	must(keep(held->id, bytes) == 0, "CHARGE");
	held->bytes -= bytes;
	kept[held->cgroup == b] += bytes;
}

static void chaos_die(void)
{
	struct event event;

	close(server);
	server = server_open();
	memset(kept, 0, sizeof(kept));
	for (int i = 0; i < HELD; i++) {
		struct held *held = &helds[i];

		if (held->id)
			*held = (struct held) { .id = held->id, .cgroup = held->cgroup };
	}
	while (fetch(server, LLM_FETCH_REQUEST | LLM_FETCH_NONBLOCK, &event) > 0)
		must(held_of(event.head.id) != NULL, "a request that is known");
}

static void chaos_step(void)
{
	struct held *held = &helds[random_next(&seed) % HELD];
	const unsigned int what = random_next(&seed) % 40;

	if (!held->id)
		chaos_begin(held);
	else if (what == 0)
		chaos_die();
	else if (what < 4)
		cancel(client, held->id, random_next(&seed) % 2 ? LLM_CANCEL_FORGET : 0);
	else if (what < 8)
		limit(random_next(&seed) % 2 ? top : a, 50 + random_next(&seed) % 400);
	else if (what < 12)
		chaos_keep(held);
	else if (what < 16 && !held->paused)
		held_end(held);
	else if (what < 20)
		held_give(held, held->bytes / 2);
	else if (!held->paused)
		held_charge(held, 1 + random_next(&seed) % 60);
}

static uint64_t held_sum(uint64_t cgroup)
{
	uint64_t sum = kept[cgroup == b];

	for (int i = 0; i < HELD; i++)
		if (helds[i].id && helds[i].cgroup == cgroup)
			sum += helds[i].bytes;
	return sum;
}

static bool chaos_agrees(void)
{
	const uint64_t in_a = held_sum(a), in_b = held_sum(b);

	while (chaos_news())
		;
	/* what has been put aside for somebody who has yet to hear of it is charged as well */
	return usage(a) == held_sum(a) && usage(b) == held_sum(b) &&
	       usage(top) == held_sum(a) + held_sum(b) && held_sum(a) == in_a &&
	       held_sum(b) == in_b && features(client).memory_host == in_a + in_b;
}

static int chaos_left(void)
{
	int left = 0;

	for (int i = 0; i < HELD; i++)
		left += helds[i].id != 0;
	return left;
}

/* Ends all that do not wait, or hears of one that need not any more. Return: there are more. */
static bool chaos_end_some(void)
{
	int ended = 0;

	for (int i = 0; i < HELD; i++) {
		if (!helds[i].id || helds[i].paused)
			continue;
		held_end(&helds[i]);
		ended++;
	}
	if (!chaos_left())
		return false;
	return chaos_news() || ended || eventually(chaos_news());
}

static void test_chaos(void)
{
	const int steps = is_slow() ? 1500 : 6000;
	unsigned int agreed = 0, checks = 0;

	seed = random_seed();
	for (int i = 0; i < steps; i++) {
		chaos_step();
		while (chaos_news())
			;
		if (i % 50)
			continue;
		checks++;
		agreed += eventually(chaos_agrees());
	}
	is(agreed, checks, "what is charged is what is held, each time");
	tap_note("%d steps, %" PRIu64 " notices, %u comparisons", steps, said, checks);
	ok(said > 100, "there was something to hear");
	/* everybody who waits gets his turn, when others end */
	limit(top, 100);
	limit(a, UINT64_MAX);
	while (chaos_end_some())
		;
	ok(!chaos_left(), "nobody waits for ever");
	for (int i = 0; i < 2; i++)
		if (kept[i])
			must(uncharge_kept(i ? b : a, kept[i]) == 0, "UNCHARGE");
	memset(kept, 0, sizeof(kept));
	while (chaos_news())
		;
	is(usage(top), 0, "nothing is left");
}

int main(void)
{
	client = client_open();
	server = server_open();
	nl = nl_open();
	must(nl >= 0, "the family \"llm\"");
	param_set("max_unread_bytes", 64 * 1024);
	top = cgroup_make(TOP);
	a = cgroup_make(A);
	b = cgroup_make(B);
	if (!top || !a || !b) {
		tap_skip("quotas of memory", strerror(errno));
		return tap_done();
	}
	test_limit();
	test_try();
	test_impatient();
	test_kept();
	test_impatient_kept();
	test_impatient_late();
	test_orphan();
	test_too_deep();
	test_wedge();
	test_reader();
	test_changed();
	test_cancelled();
	test_chaos();
	must(!nl_quota_reset_all(nl), "QUOTA_RESET");
	is(features(client).requests, 0, "nothing is left");
	ok(cgroup_remove(A) && cgroup_remove(B) && cgroup_remove(TOP), "nor the cgroups");
	close(nl);
	close(server);
	close(client);
	return tap_done();
}
