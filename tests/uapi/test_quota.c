// SPDX-License-Identifier: MIT
/*
 * What quotas do: who may begin, who waits and who is refused; what happens when they change under
 * way or their cgroup goes; classes, weights and cache domains.
 */
#include "uapi.h"
#include "uapi_netlink.h"
#include "uapi_step.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#define TOP	"llmos-quota"
#define A	TOP "/a"
#define B	TOP "/b"

static int nl, client;
static uint64_t top, a, b;

static uint64_t ask(const char *cgroup)
{
	return ask_from(client, cgroup, 0, LLM_CLASS_NORMAL);
}

static int status_of(uint64_t id)
{
	struct llm_read read;
	char c;

	must(read_all(client, id, &c, 1, &read) >= 0, "read to the end");
	return read.status;
}

static uint64_t usage(uint64_t cgroup, int which)
{
	struct nl_group group;

	must(!nl_group_get(nl, cgroup, &group), "GROUP_GET");
	return group.usage[which];
}

/* All that this process asked for is gone, and so are the quotas. */
static void clean(void)
{
	must(!cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), "forget all");
	step_finish();
	step_end();
	must(!nl_quota_reset_all(nl), "reset all");
	ok(eventually(features(client).requests == 0), "nothing is left");
}

static void test_in_flight(void)
{
	uint64_t third;

	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_IN_FLIGHT, 2ULL, 0), 0, "two in flight");
	step_begin(8);
	must(ask(A) && ask(B), "two");
	third = ask(A);
	must(third, "one more");
	step_news(0);
	is(step_count(), 2, "two begin, of two children");
	ok(!step_find(third), "not the third");
	is(usage(top, LLM_NL_A_USAGE_IN_FLIGHT), 2, "in flight");
	is(usage(top, LLM_NL_A_USAGE_QUEUED), 1, "queued");
	is(usage(a, LLM_NL_A_USAGE_QUEUED), 1, "there");
	is(usage(b, LLM_NL_A_USAGE_QUEUED), 0, "and not there");
	is(usage(top, LLM_NL_A_USAGE_SUBMITTED), 3, "submitted");
	is(usage(top, LLM_NL_A_USAGE_DISPATCHED), 2, "dispatched");
	for (int i = 0; i < 40; i++)
		step_all();
	is(usage(top, LLM_NL_A_USAGE_OUTPUT_TOKENS), 80, "tokens");
	is(usage(top, LLM_NL_A_USAGE_RUNNING), 2, "running");
	step_commit(&step_helds[0], 0, 0, LLM_COMMIT_END);
	step_news(0);
	ok(step_find(third), "when one has ended the third begins");
	must(ask(A) && ask(A), "two more");
	step_news(0);
	is(step_count(), 2, "have to wait");
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_IN_FLIGHT, 4ULL, 0), 0, "four in flight");
	step_news(0);
	is(step_count(), 4, "they begin at once");
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_IN_FLIGHT, 1ULL, 0), 0, "one in flight");
	is(step_all(), 4, "those that have begun go on");
	clean();
}

static void test_queued(void)
{
	const int listener = nl_open();
	struct nl_event event;
	uint64_t told = 0;

	must(!nl_join(listener), "listen");
	step_begin(1);
	is(nl_quota_set(nl, a, LLM_NL_A_QUOTA_QUEUED, 2ULL, 0), 0, "two may wait");
	must(ask(A), "one that begins");
	step_news(0);
	is(step_count(), 1, "it does");
	ok(ask(A) && ask(A), "two wait");
	is(ask(A), 0, "a third may not");
	is(errno, EDQUOT, "EDQUOT");
	ok(ask(B), "elsewhere it may");
	is(usage(a, LLM_NL_A_USAGE_REFUSED), 1, "refused");
	is(usage(top, LLM_NL_A_USAGE_REFUSED), 1, "above as well");
	is(usage(b, LLM_NL_A_USAGE_REFUSED), 0, "elsewhere not");
	ok(nl_event_of(listener, LLM_NL_EVENT_REFUSED, a, &event), "it is told");
	is(event.attrs[LLM_NL_A_EVENT_PID], getpid(), "who it was");
	is(event.attrs[LLM_NL_A_EVENT_COUNT], 1, "once");
	is(event.attrs[LLM_NL_A_EVENT_REQUEST], 0, "before it had a name");
	for (int i = 0; i < 5; i++)
		must(!ask(A), "refused");
	while (told < 5 && nl_event_of(listener, LLM_NL_EVENT_REFUSED, a, &event))
		told += event.attrs[LLM_NL_A_EVENT_COUNT];
	is(told, 5, "all that follow are counted");
	close(listener);
	clean();
}

static void test_never(void)
{
	static const struct {
		int type;
		const char *name;
	} zeros[] = {
		{ LLM_NL_A_QUOTA_IN_FLIGHT, "none in flight" },
		{ LLM_NL_A_QUOTA_QUEUED, "none queued" },
		{ LLM_NL_A_QUOTA_RATE, "no tokens" },
		{ LLM_NL_A_QUOTA_COMPUTE, "no compute time" },
	};

	step_begin(1);
	for (size_t i = 0; i < ARRAY_LEN(zeros); i++) {
		is(nl_quota_set(nl, top, zeros[i].type, 0ULL, 0), 0, "%s", zeros[i].name);
		is(ask(A), 0, "nothing is let in");
		is(errno, EDQUOT, "EDQUOT");
		ok(submit_op(client, LLM_OP_NOP, "x"), "but what needs no compute");
		is(nl_quota_reset(nl, top), 0, "reset");
	}
	ok(ask(A), "now it is");
	clean();
}

/* Who does not want to wait for a quota; for others he does. */
static void test_impatient(void)
{
	const uint64_t refused = usage(a, LLM_NL_A_USAGE_REFUSED);
	uint64_t first, second, id;

	step_begin(1);
	first = ask_from(client, A, LLM_SUBMIT_EDQUOT, 0);
	second = ask_from(client, A, LLM_SUBMIT_EDQUOT, 0);
	ok(first && second, "two, no quota");
	step_news(0);
	ok(step_find(first) && !step_find(second), "the second waits for the first");
	is(nl_quota_set(nl, a, LLM_NL_A_QUOTA_IN_FLIGHT, 1ULL, 0), 0, "one in flight");
	ok(wait_for(client, second, LLM_WAIT_END, 0, &(struct llm_wait){ 0 }) == 0,
	   "now it would wait for a quota: it ends");
	is(status_of(second), -EDQUOT, "with EDQUOT");
	is(ask_from(client, A, LLM_SUBMIT_EDQUOT, 0), 0, "one more is refused");
	is(errno, EDQUOT, "with EDQUOT");
	id = ask(A);
	ok(id, "one that wants to wait, not");
	is(usage(a, LLM_NL_A_USAGE_REFUSED) - refused, 2, "two refused");
	step_commit(step_find(first), 0, 0, LLM_COMMIT_END);
	step_news(0);
	ok(step_find(id), "and it gets its turn");
	clean();
}

/* A running one that a rate stops. */
static void test_impatient_rate(void)
{
	struct step_held *held;
	uint64_t id, other;

	/* so few that none comes while this is looked at */
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_RATE, 1ULL, LLM_NL_A_QUOTA_BURST, 20000ULL, 0), 0,
	   "a token in a thousand seconds, 20 at once");
	step_begin(4);
	id = ask_from(client, A, LLM_SUBMIT_EDQUOT, 0);
	other = ask(B);
	step_news(0);
	ok(step_find(id) && step_find(other), "both begin");
	while (step_all())
		;
	ok(step_find(other)->paused, "one is paused");
	ok(eventually((step_all(), !step_find(id))), "the other one is cancelled");
	is(status_of(id), -EDQUOT, "with EDQUOT");
	held = step_find(other);
	ok(held->tokens > 0 && held->tokens <= 20 + 1, "%u tokens", held->tokens);
	is(ask_from(client, A, LLM_SUBMIT_EDQUOT, 0), 0, "no other one is let in");
	is(errno, EDQUOT, "EDQUOT");
	ok(usage(top, LLM_NL_A_USAGE_THROTTLED) > 0, "time throttled is counted");
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_RATE, 1000ULL, 0), 0, "a token a second");
	ok(eventually((step_news(100), !step_find(other)->paused)), "it goes on when its time comes");
	clean();
}

static void test_compute(void)
{
	const uint64_t before = now_ns();
	uint64_t id;

	is(nl_quota_set(nl, a, LLM_NL_A_QUOTA_COMPUTE, 5000000ULL, LLM_NL_A_QUOTA_PERIOD, 50000000ULL,
			0), 0, "5 ms of each 50");
	step_begin(4);
	id = ask(A);
	step_news(0);
	must(step_find(id), "it begins");
	while (step_commit(step_find(id), 1, 1000000, 0) == LLM_VERDICT_CONTINUE)
		;
	ok(eventually((step_news(100), !step_find(id)->paused)), "paused, and goes on");
	/* a server cannot spend more than there was */
	step_commit(step_find(id), 1, UINT64_MAX, 0);
	ok(usage(top, LLM_NL_A_USAGE_COMPUTE) < (now_ns() - before) << 10, "nonsense is bounded");
	step_commit(step_find(id), 1, UINT64_MAX, 0);
	ok(usage(top, LLM_NL_A_USAGE_COMPUTE) < (now_ns() - before) << 10, "once more");
	clean();
}

/* A cgroup goes while its requests are there; they keep its quota. */
static void test_gone(void)
{
	const uint64_t id = cgroup_make(TOP "/gone");
	const int listener = nl_open();
	struct nl_group group;
	struct nl_event event;
	uint64_t first, second;

	must(!nl_join(listener), "listen");
	is(nl_quota_set(nl, id, LLM_NL_A_QUOTA_IN_FLIGHT, 1ULL, 0), 0, "one in flight");
	step_begin(4);
	first = ask(TOP "/gone");
	second = ask(TOP "/gone");
	step_news(0);
	ok(step_find(first) && !step_find(second), "one begins");
	must(cgroup_remove(TOP "/gone"), "remove the cgroup");
	ok(nl_event_of(listener, LLM_NL_EVENT_GROUP_GONE, id, &event), "its quota is forgotten");
	is(nl_group_get(nl, id, &group), 0, "it is still there for its requests");
	is(group.quota.in_flight, 1, "which keep the quota");
	step_news(0);
	ok(!step_find(second), "the second one waits");
	is(nl_quota_set(nl, id, LLM_NL_A_QUOTA_IN_FLIGHT, 5ULL, 0), -ENOENT, "nobody can set it");
	is(nl_quota_reset(nl, id), 0, "but reset");
	step_news(0);
	must(step_find(second), "now it begins");
	step_commit(step_find(first), 0, 0, LLM_COMMIT_END);
	step_commit(step_find(second), 0, 0, LLM_COMMIT_END);
	is(status_of(first), 0, "the first has ended");
	is(status_of(second), 0, "and the second");
	is(nl_group_get(nl, id, &group), 0, "its counts stay while it was the last to ask by this file");
	is(group.usage[LLM_NL_A_USAGE_ENDED], 2, "two have ended");
	must(ask(A), "another cgroup asks");
	ok(eventually(nl_group_get(nl, id, &group) == -ENOENT), "it is gone");
	is(nl_quota_reset(nl, id), -ENOENT, "and there is nothing to reset");
	close(listener);
	clean();
}

static uint32_t tokens_of(uint64_t id)
{
	return step_find(id) ? step_find(id)->tokens : 0;
}

static void test_weights(void)
{
	uint64_t one, other;
	uint32_t before;

	is(nl_quota_set(nl, a, LLM_NL_A_QUOTA_WEIGHT, 300ULL, 0), 0, "a weight of 300");
	step_begin(1);
	one = ask(A);
	other = ask(B);
	for (int i = 0; i < 20000; i++)
		step_all();
	ok(tokens_of(one) * 1000.0 / 20000 >= 742.5 && tokens_of(one) * 1000.0 / 20000 <= 757.5,
	   "3:1 of 20000 tokens: %u and %u", tokens_of(one), tokens_of(other));
	is(nl_quota_set(nl, a, LLM_NL_A_QUOTA_WEIGHT, 100ULL, 0), 0, "equal from now on");
	before = tokens_of(one);
	for (int i = 0; i < 2000; i++)
		step_all();
	ok(tokens_of(one) - before >= 970 && tokens_of(one) - before <= 1030, "%u of 2000",
	   tokens_of(one) - before);
	clean();
}

static void test_classes(void)
{
	uint64_t normal, interactive, idle;
	uint32_t before;

	step_begin(1);
	idle = ask_from(client, A, 0, LLM_CLASS_IDLE);
	for (int i = 0; i < 100; i++)
		step_all();
	is(tokens_of(idle), 100, "an idle one has the machine for itself");
	normal = ask_from(client, B, 0, LLM_CLASS_NORMAL);
	interactive = ask_from(client, B, 0, LLM_CLASS_INTERACTIVE);
	for (int i = 0; i < 5000; i++)
		step_all();
	before = tokens_of(idle);
	ok(before <= 101, "then it has to rest");
	ok(tokens_of(interactive) >= 3900 && tokens_of(interactive) <= 4100,
	   "4:1 between classes: %u and %u", tokens_of(interactive), tokens_of(normal));
	must(!cancel(client, normal, LLM_CANCEL_FORGET) &&
	     !cancel(client, interactive, LLM_CANCEL_FORGET), "cancel");
	for (int i = 0; i < 100; i++)
		step_all();
	ok(tokens_of(idle) >= before + 90, "and goes on when nobody else wants to");
	clean();
}

/* The domain of a request from a cgroup. */
static struct step_held domain(const char *cgroup)
{
	const uint64_t id = ask(cgroup);
	struct step_held held;

	must(id, "a request");
	step_news(0);
	must(step_find(id), "it begins");
	held = *step_find(id);
	step_commit(step_find(id), 0, 0, LLM_COMMIT_END);
	return held;
}

static void test_domains(void)
{
	struct step_held held;

	step_begin(4);
	held = domain(A);
	ok(held.domain_cgroup == a && held.domain_uid == getuid(), "cgroup and user");
	is(nl_quota_set(nl, a, LLM_NL_A_QUOTA_SHARE_CACHE, 1ULL, 0), 0, "a shares");
	held = domain(A);
	ok(held.domain_cgroup == a && held.domain_uid == UINT32_MAX, "with all its users");
	held = domain(B);
	ok(held.domain_cgroup == b && held.domain_uid == getuid(), "b does not");
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_SHARE_CACHE, 1ULL, 0), 0, "the one above shares");
	held = domain(A);
	ok(held.domain_cgroup == top && held.domain_uid == UINT32_MAX, "the topmost counts");
	held = domain(B);
	ok(held.domain_cgroup == top && held.domain_uid == UINT32_MAX, "for all below");
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_SHARE_CACHE, 0ULL, 0), 0, "it does not");
	held = domain(A);
	ok(held.domain_cgroup == a && held.domain_uid == UINT32_MAX, "a still does");
	clean();
}

/* The plain way of a file: the prompt is kept until it may be asked. */
static void test_file(void)
{
	const int fd = client_open_flags(O_NONBLOCK);
	char c;

	step_begin(1);
	is(nl_quota_set(nl, a, LLM_NL_A_QUOTA_IN_FLIGHT, 0ULL, 0), 0, "none in flight");
	is(write(fd, "x", 1), 1, "write");
	must(cgroup_enter(A), A);
	fails(read(fd, &c, 1), EDQUOT, "read submits, and is refused");
	fails(read(fd, &c, 1), EDQUOT, "once more");
	is(nl_quota_reset(nl, a), 0, "reset");
	fails(read(fd, &c, 1), EAGAIN, "now there is an answer to come");
	must(cgroup_enter(""), "back to the root");
	step_news(1000);
	is(step_count(), 1, "it has begun");
	close(fd);
	clean();
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
		tap_skip("quotas", strerror(errno));
		return tap_done();
	}
	test_in_flight();
	test_queued();
	test_never();
	test_impatient();
	test_impatient_rate();
	test_compute();
	test_gone();
	test_weights();
	test_classes();
	test_domains();
	test_file();
	must(cgroup_remove(A) && cgroup_remove(B) && cgroup_remove(TOP), "remove");
	close(nl);
	close(client);
	return tap_done();
}
