// SPDX-License-Identifier: MIT
/*
 * Quotas by netlink: what is set is shown, out of bounds is refused with the attribute's name, a
 * removed cgroup's quota goes away, events come; and what is sent by those who may not, or is no
 * message at all, changes nothing.
 */
#include "uapi.h"
#include "uapi_netlink.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define TOP	"llmos-quota"

static int nl;
static uint64_t top, child;

static void test_defaults(void)
{
	struct nl_group group;

	is(nl_group_get(nl, top, &group), 0, "a cgroup nobody asked from");
	is(group.cgroup, top, "is shown");
	is(group.parent, cgroup_id_of(""), "with its parent");
	is(group.quota.weight, 100, "weight 100");
	is(group.quota.in_flight, UINT32_MAX, "no limit in flight");
	is(group.quota.queued, UINT32_MAX, "no limit queued");
	is(group.quota.rate, UINT64_MAX, "no rate");
	is(group.quota.burst, UINT64_MAX, "no burst");
	is(group.quota.compute, UINT64_MAX, "no limit of compute time");
	is(group.quota.period, 1000000000, "a period of a second");
	is(group.quota.share_cache, 0, "shares no cache");
	is(group.usage[LLM_NL_A_USAGE_SUBMITTED], 0, "nothing was submitted");
	is(nl_group_get(nl, 1ULL << 60, &group), -ENOENT, "none there");
	is(nl_group_get(nl, cgroup_id_of(""), &group), 0, "the root");
	is(group.parent, 0, "has no parent");
	is(group.quota.prompt_cost, 250, "and the cost of a prompt's token");
}

static void test_set(void)
{
	struct nl_group group;

	is(nl_quota_set(nl, child, LLM_NL_A_QUOTA_WEIGHT, 300ULL, LLM_NL_A_QUOTA_IN_FLIGHT, 4ULL,
			LLM_NL_A_QUOTA_RATE, 100000ULL, LLM_NL_A_QUOTA_MEMORY, 1ULL << 30, 0), 0,
	   "set some");
	is(nl_group_get(nl, child, &group), 0, "get");
	is(group.quota.weight, 300, "weight");
	is(group.quota.in_flight, 4, "in flight");
	is(group.quota.rate, 100000, "rate");
	is(group.quota.burst, UINT64_MAX, "burst as it was");
	is(group.quota.host, 1 << 30, "host memory");
	is(group.parent, top, "parent");
	is(nl_quota_set(nl, child, LLM_NL_A_QUOTA_QUEUED, 7ULL, LLM_NL_A_QUOTA_COMPUTE, 5000000ULL,
			LLM_NL_A_QUOTA_PERIOD, 20000000ULL, LLM_NL_A_QUOTA_SHARE_CACHE, 1ULL,
			LLM_NL_A_QUOTA_BURST, 5000ULL, 0), 0, "set the rest");
	is(nl_group_get(nl, child, &group), 0, "get");
	ok(group.quota.weight == 300 && group.quota.in_flight == 4 && group.quota.rate == 100000,
	   "what was not meant is as it was");
	ok(group.quota.queued == 7 && group.quota.compute == 5000000 &&
	   group.quota.period == 20000000 && group.quota.share_cache == 1 &&
	   group.quota.burst == 5000, "what was meant is set");
	is(nl_quota_set(nl, child, LLM_NL_A_QUOTA_WEIGHT, 100ULL, LLM_NL_A_QUOTA_QUEUED, 0ULL, 0), 0,
	   "0 is a limit");
	is(nl_quota_reset(nl, child), 0, "reset");
	is(nl_group_get(nl, child, &group), 0, "get");
	ok(group.quota.weight == 100 && group.quota.in_flight == UINT32_MAX &&
	   group.quota.queued == UINT32_MAX && group.quota.rate == UINT64_MAX &&
	   group.quota.burst == UINT64_MAX && group.quota.compute == UINT64_MAX &&
	   group.quota.period == 1000000000 && !group.quota.share_cache &&
	   group.quota.host == UINT64_MAX, "all is the default");
	is(nl_quota_reset(nl, child), 0, "reset once more");
	is(nl_quota_reset(nl, 1ULL << 60), -ENOENT, "reset what is not there");
	is(nl_quota_set(nl, 1ULL << 60, LLM_NL_A_QUOTA_WEIGHT, 5ULL, 0), -ENOENT, "or set it");
	is(nl_quota_set(nl, child, 0), 0, "set nothing");
}

/* One attribute of a quota out of bounds. */
static void refused(uint16_t type, uint64_t value, int want, const char *name)
{
	static struct nl_answer answer;
	static struct nl_msg msg;
	struct nl_group group;
	size_t nest, at;

	nl_begin(&msg, LLM_NL_CMD_QUOTA_SET, NLM_F_ACK);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, child);
	nest = nl_nest(&msg, LLM_NL_A_QUOTA);
	nl_put_u32(&msg, LLM_NL_A_QUOTA_IN_FLIGHT, 77);
	at = msg.head.nlmsg_len;
	switch (type) {
	case LLM_NL_A_QUOTA_WEIGHT:
	case LLM_NL_A_QUOTA_PROMPT_COST:
		nl_put_u32(&msg, type, (uint32_t)value);
		break;
	case LLM_NL_A_QUOTA_SHARE_CACHE:
		nl_put_u8(&msg, type, (uint8_t)value);
		break;
	default:
		nl_put_u64(&msg, type, value);
	}
	nl_nest_end(&msg, nest);
	is(nl_talk(nl, &msg, &answer, NULL, NULL), want, "%s", name);
	if (type != LLM_NL_A_QUOTA_PROMPT_COST)
		is(answer.bad_offset, at, "it is named: %s", answer.text);
	must(!nl_group_get(nl, child, &group), "get");
	is(group.quota.in_flight, UINT32_MAX, "and nothing of the message was set");
}

static void test_bounds(void)
{
	refused(LLM_NL_A_QUOTA_WEIGHT, 0, -ERANGE, "weight 0");
	refused(LLM_NL_A_QUOTA_WEIGHT, 10001, -ERANGE, "weight 10001");
	refused(LLM_NL_A_QUOTA_RATE, (1ULL << 40) + 1, -ERANGE, "a rate too high");
	refused(LLM_NL_A_QUOTA_RATE, UINT64_MAX - 1, -ERANGE, "a rate just below no limit");
	refused(LLM_NL_A_QUOTA_BURST, 999, -ERANGE, "a burst of less than a token");
	refused(LLM_NL_A_QUOTA_BURST, (1ULL << 40) + 1, -ERANGE, "a burst too high");
	refused(LLM_NL_A_QUOTA_PERIOD, 9999999, -ERANGE, "a period too short");
	refused(LLM_NL_A_QUOTA_PERIOD, 1000000000001, -ERANGE, "a period too long");
	refused(LLM_NL_A_QUOTA_SHARE_CACHE, 2, -ERANGE, "share 2");
	refused(LLM_NL_A_QUOTA_PROMPT_COST, 250, -EINVAL, "a cost that is the root's to have");
	is(nl_quota_set(nl, cgroup_id_of(""), LLM_NL_A_QUOTA_PROMPT_COST, 1000001ULL, 0), -ERANGE,
	   "a cost too high");
	is(nl_quota_set(nl, cgroup_id_of(""), LLM_NL_A_QUOTA_PROMPT_COST, 100ULL, 0), 0, "a cost");
	is(nl_quota_reset(nl, cgroup_id_of("")), 0, "reset");
}

struct dump {
	uint64_t want[256];
	unsigned int seen[256];
	size_t count;
	size_t groups;
	uint64_t last;
	bool ordered;
};

static void dump_one(const struct nlmsghdr *head, void *arg)
{
	struct dump *dump = arg;
	struct nl_group group;

	nl_group_parse(head, &group);
	dump->groups++;
	dump->ordered = dump->ordered && group.cgroup > dump->last;
	dump->last = group.cgroup;
	for (size_t i = 0; i < dump->count; i++)
		dump->seen[i] += group.cgroup == dump->want[i] && group.quota.weight == 200 + i;
}

/* So many that a dump takes several messages. */
static void test_dump(void)
{
	static struct dump dump = { .count = 256, .ordered = true };
	static struct nl_answer answer;
	static struct nl_msg msg;
	unsigned int wrong = 0;
	char name[64];

	for (size_t i = 0; i < dump.count; i++) {
		snprintf(name, sizeof(name), TOP "/dump%zu", i);
		dump.want[i] = cgroup_make(name);
		must(dump.want[i] && !nl_quota_set(nl, dump.want[i], LLM_NL_A_QUOTA_WEIGHT,
						   200ULL + i, 0), name);
	}
	nl_begin(&msg, LLM_NL_CMD_GROUP_GET, NLM_F_DUMP);
	is(nl_talk(nl, &msg, &answer, dump_one, &dump), 0, "a dump of %zu", dump.groups);
	for (size_t i = 0; i < dump.count; i++)
		wrong += dump.seen[i] != 1;
	is(wrong, 0, "each is there once");
	ok(dump.ordered, "in the order of their ids");
	for (size_t i = 0; i < dump.count; i++) {
		snprintf(name, sizeof(name), TOP "/dump%zu", i);
		must(cgroup_remove(name), name);
	}
}

static size_t count_groups(void)
{
	static struct nl_answer answer;
	static struct nl_msg msg;

	nl_begin(&msg, LLM_NL_CMD_GROUP_GET, NLM_F_DUMP);
	return nl_talk(nl, &msg, &answer, NULL, NULL) ? SIZE_MAX : answer.count;
}

static void test_gone(void)
{
	const int listener = nl_open();
	struct nl_group group;
	struct nl_event event;
	uint64_t id;

	ok(eventually(count_groups() == 0), "the quotas of removed cgroups went away");
	is(nl_join(listener), 0, "listen");
	id = cgroup_make(TOP "/gone");
	is(nl_quota_set(nl, id, LLM_NL_A_QUOTA_WEIGHT, 5ULL, 0), 0, "a quota");
	ok(nl_event_of(listener, LLM_NL_EVENT_QUOTA, id, &event), "is told");
	ok(event.attrs[LLM_NL_A_EVENT_TIME] <= now_ns() &&
	   event.attrs[LLM_NL_A_EVENT_TIME] + 60000000000ULL > now_ns(), "with the time");
	is(count_groups(), 3, "it is there, with those above");
	must(cgroup_remove(TOP "/gone"), "remove it");
	ok(nl_event_of(listener, LLM_NL_EVENT_GROUP_GONE, id, &event), "that it goes, too");
	is(nl_group_get(nl, id, &group), -ENOENT, "it is not there");
	is(count_groups(), 0, "nothing is");
	is(nl_quota_set(nl, child, LLM_NL_A_QUOTA_WEIGHT, 5ULL, 0), 0, "one");
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_WEIGHT, 5ULL, 0), 0, "two");
	is(nl_quota_reset_all(nl), 0, "reset all");
	is(count_groups(), 0, "and nothing is there");
	close(listener);
}

static void test_server_events(void)
{
	const int listener = nl_open();
	struct nl_event event;
	int server;

	must(!nl_join(listener), "listen");
	server = server_open();
	ok(nl_event_of(listener, LLM_NL_EVENT_SERVER_UP, 0, &event), "a server comes");
	is(event.attrs[LLM_NL_A_EVENT_PID], getpid(), "this process");
	close(server);
	ok(nl_event_of(listener, LLM_NL_EVENT_SERVER_DOWN, 0, &event), "and goes");
	is(event.attrs[LLM_NL_A_EVENT_REQUESTS], 0, "with nobody waiting");
	close(listener);
}

/* Comes and goes, as soon as nobody else is there. */
static void serve_often(int rounds)
{
	while (rounds--) {
		int server;

		while ((server = open("/dev/llmd", O_RDWR | O_CLOEXEC)) < 0)
			sched_yield();
		close(server);
	}
}

/* Two that want to serve: what is told of them is in the order in which they did. */
static void test_server_order(void)
{
	enum { ROUNDS = 25 };
	const int listener = nl_open();
	struct nl_event event;
	unsigned int wrong = 0;
	uint64_t who = 0;
	pid_t pid;

	must(!nl_join(listener), "listen");
	pid = fork();
	if (!pid) {
		serve_often(ROUNDS);
		_exit(0);
	}
	serve_often(ROUNDS);
	is(wait_child(pid), 0, "another one comes and goes");
	for (int i = 0; i < 4 * ROUNDS; i++) {
		const uint32_t type = nl_event(listener, 1000, &event);

		if (i % 2)
			wrong += type != LLM_NL_EVENT_SERVER_DOWN ||
				 event.attrs[LLM_NL_A_EVENT_PID] != who;
		else
			wrong += type != LLM_NL_EVENT_SERVER_UP;
		who = event.attrs[LLM_NL_A_EVENT_PID];
	}
	is(wrong, 0, "each is told to have gone before the next one has come");
	close(listener);
}

/* ---- who may ---- */

static int as_user(int (*what)(int fd))
{
	const pid_t pid = fork();

	if (!pid) {
		int fd;

		child_must(!setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534));
		fd = nl_open();
		child_must(fd >= 0);
		_exit(what(fd));
	}
	return wait_child(pid);
}

static int user_may_look(int fd)
{
	struct nl_group group;

	child_must(!nl_group_get(fd, top, &group));
	return 0;
}

static int user_may_not_set(int fd)
{
	static struct nl_answer answer;
	static struct nl_msg msg;

	child_must(nl_quota_set(fd, top, LLM_NL_A_QUOTA_WEIGHT, 7ULL, 0) == -EPERM);
	child_must(nl_quota_reset(fd, top) == -EPERM);
	child_must(nl_quota_reset_all(fd) == -EPERM);
	nl_begin(&msg, LLM_NL_CMD_REQUEST_GET, NLM_F_DUMP);
	child_must(nl_talk(fd, &msg, &answer, NULL, NULL) == -EPERM);
	child_must(nl_join(fd) == -1 && errno == EPERM);
	return 0;
}

/* A socket that root opened does not carry his rights. */
static int user_may_not_borrow(int fd)
{
	(void)fd;
	child_must(nl_quota_set(nl, top, LLM_NL_A_QUOTA_WEIGHT, 7ULL, 0) == -EPERM);
	return 0;
}

static int user_watches(int fd)
{
	int n = 0;

	child_must(nl_watch(fd, top, false, 1000000, 400000000) == -ERANGE);
	child_must(nl_watch(fd, top, false, 0, 500000000) == -ERANGE);
	child_must(nl_watch(fd, top, false, 500000001, 500000000) == -ERANGE);
	child_must(nl_watch(fd, top, true, 1, 300000000001) == -ERANGE);
	child_must(nl_watch(fd, 1ULL << 60, true, 1, 500000000) == -ENOENT);
	while (n < 1000 && !nl_watch(fd, top, false, 500000000, 300000000000))
		n++;
	child_must(n == 64);
	child_must(nl_watch(fd, top, false, 1000000, 500000000) == -EBUSY);
	return 0;
}

static void test_permissions(void)
{
	struct nl_group group;

	is(as_user(user_may_look), 0, "a user may look");
	is(as_user(user_may_not_set), 0, "but not set, reset, list requests or listen");
	is(as_user(user_may_not_borrow), 0, "nor by a socket of root's");
	must(!nl_group_get(nl, top, &group), "get");
	is(group.quota.weight, 100, "nothing was set");
	is(as_user(user_watches), 0, "may watch, within bounds, 64 things");
	is(as_user(user_watches), 0, "which are forgotten with the socket");
}

/* ---- messages that are wrong ---- */

static int send_get(void (*spoil)(struct nl_msg *msg))
{
	static struct nl_answer answer;
	static struct nl_msg msg;

	nl_begin(&msg, LLM_NL_CMD_QUOTA_SET, NLM_F_ACK);
	spoil(&msg);
	return nl_talk(nl, &msg, &answer, NULL, NULL);
}

static void spoil_no_cgroup(struct nl_msg *msg)
{
	nl_nest_end(msg, nl_nest(msg, LLM_NL_A_QUOTA));
}

static void spoil_no_quota(struct nl_msg *msg)
{
	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
}

static void spoil_narrow(struct nl_msg *msg)
{
	nl_put_u32(msg, LLM_NL_A_CGROUP, (uint32_t)child);
	spoil_no_cgroup(msg);
}

static void spoil_unknown(struct nl_msg *msg)
{
	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	spoil_no_cgroup(msg);
	nl_put_u32(msg, LLM_NL_A_MAX + 1, 1);
}

static void spoil_misplaced(struct nl_msg *msg)
{
	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	spoil_no_cgroup(msg);
	nl_put_u64(msg, LLM_NL_A_PARENT, 1);
}

static void spoil_unnested(struct nl_msg *msg)
{
	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	nl_put_u32(msg, LLM_NL_A_QUOTA, 0);
}

static void spoil_unknown_quota(struct nl_msg *msg)
{
	size_t nest;

	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	nest = nl_nest(msg, LLM_NL_A_QUOTA);
	nl_put_u32(msg, LLM_NL_A_QUOTA_MAX + 1, 1);
	nl_nest_end(msg, nest);
}

static void spoil_wide_quota(struct nl_msg *msg)
{
	size_t nest;

	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	nest = nl_nest(msg, LLM_NL_A_QUOTA);
	nl_put_u64(msg, LLM_NL_A_QUOTA_WEIGHT, 1);
	nl_nest_end(msg, nest);
}

/* A region with a name, or with none (NULL), with or without bytes. */
static void put_memory(struct nl_msg *msg, const char *name, size_t len, bool bytes)
{
	size_t quota, memory;

	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	quota = nl_nest(msg, LLM_NL_A_QUOTA);
	memory = nl_nest(msg, LLM_NL_A_QUOTA_MEMORY);
	if (name)
		nl_put(msg, LLM_NL_A_MEMORY_REGION, name, len);
	if (bytes)
		nl_put_u64(msg, LLM_NL_A_MEMORY_BYTES, 5);
	nl_nest_end(msg, memory);
	nl_nest_end(msg, quota);
}

static void spoil_memory_nameless(struct nl_msg *msg)
{
	put_memory(msg, NULL, 0, true);
}

static void spoil_memory_boundless(struct nl_msg *msg)
{
	put_memory(msg, "host", 5, false);
}

static void spoil_memory_unended(struct nl_msg *msg)
{
	put_memory(msg, "host", 4, true);
}

static void spoil_memory_long(struct nl_msg *msg)
{
	put_memory(msg, "a-name-that-is-too-long-for-a-region", 37, true);
}

static void spoil_memory_odd(struct nl_msg *msg)
{
	put_memory(msg, "Ho st", 6, true);
}

/* An attribute that says it is longer than the message. */
static void spoil_truncated(struct nl_msg *msg)
{
	struct nlattr *attr = (struct nlattr *)(msg->bytes + msg->head.nlmsg_len);

	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	attr->nla_len = 200;
}

/* A nest whose inside says it is longer than the nest. */
static void spoil_truncated_nest(struct nl_msg *msg)
{
	size_t nest;

	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	nest = nl_nest(msg, LLM_NL_A_QUOTA);
	nl_put_u32(msg, LLM_NL_A_QUOTA_WEIGHT, 5);
	nl_nest_end(msg, nest);
	((struct nlattr *)(msg->bytes + nest + NLA_HDRLEN))->nla_len = 1000;
}

static void spoil_deep(struct nl_msg *msg)
{
	size_t nests[200];

	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	for (int i = 0; i < 200; i++)
		nests[i] = nl_nest(msg, i ? LLM_NL_A_QUOTA_MEMORY : LLM_NL_A_QUOTA);
	for (int i = 200; i > 0; i--)
		nl_nest_end(msg, nests[i - 1]);
}

static void spoil_command(struct nl_msg *msg)
{
	((struct genlmsghdr *)NLMSG_DATA(&msg->head))->cmd = LLM_NL_CMD_EVENT;
}

static void spoil_unknown_command(struct nl_msg *msg)
{
	((struct genlmsghdr *)NLMSG_DATA(&msg->head))->cmd = 200;
}

static void spoil_reserved(struct nl_msg *msg)
{
	((struct genlmsghdr *)NLMSG_DATA(&msg->head))->reserved = 1;
	nl_put_u64(msg, LLM_NL_A_CGROUP, child);
	spoil_no_cgroup(msg);
}

static void test_wrong(void)
{
	static const struct {
		void (*spoil)(struct nl_msg *msg);
		int want;
		const char *name;
	} cases[] = {
		{ spoil_no_cgroup, -EINVAL, "no cgroup" },
		{ spoil_no_quota, -EINVAL, "no quota" },
		{ spoil_narrow, -EINVAL, "an id too narrow" },
		{ spoil_unknown, -EINVAL, "an unknown attribute" },
		{ spoil_misplaced, -EINVAL, "one that is for answers" },
		{ spoil_unnested, -EINVAL, "a nest that is none" },
		{ spoil_unknown_quota, -EINVAL, "an unknown one in a nest" },
		{ spoil_wide_quota, -EINVAL, "a number too wide" },
		{ spoil_memory_nameless, -EINVAL, "memory of no region" },
		{ spoil_memory_boundless, -EINVAL, "a region without bytes" },
		{ spoil_memory_unended, -EINVAL, "a name without an end" },
		{ spoil_memory_long, -EINVAL, "a name too long" },
		{ spoil_memory_odd, -EINVAL, "a name of odd characters" },
		{ spoil_truncated, -EINVAL, "an attribute longer than its message" },
		{ spoil_truncated_nest, -EINVAL, "one longer than its nest" },
		{ spoil_deep, -EINVAL, "nests without end" },
		{ spoil_command, -EOPNOTSUPP, "the kernel's own command" },
		{ spoil_unknown_command, -EOPNOTSUPP, "an unknown one" },
		{ spoil_reserved, -EINVAL, "reserved bits" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		is(send_get(cases[i].spoil), cases[i].want, "%s", cases[i].name);
	is(count_groups(), 0, "none of it left anything");
}

/* Random bytes behind a right head; none of it may do harm. */
static void test_noise(void)
{
	static struct nl_answer answer;
	static struct nl_msg msg;
	uint64_t seed = random_seed();
	int odd = 0;

	for (int i = 0; i < 20000; i++) {
		size_t len = random_next(&seed) % 200;

		nl_begin(&msg, (uint8_t)(random_next(&seed) % 8),
			 random_next(&seed) % 8 ? NLM_F_ACK : NLM_F_DUMP);
		if (random_next(&seed) % 2)
			nl_put_u64(&msg, LLM_NL_A_CGROUP, random_next(&seed) % 2 ? child : top);
		while (len--)
			msg.bytes[msg.head.nlmsg_len++] = (char)(random_next(&seed) % 4 ?
				random_next(&seed) % 14 : random_next(&seed));
		odd += nl_talk(nl, &msg, &answer, NULL, NULL) == -ETIME;
	}
	is(odd, 0, "20000 random messages are all answered");
	is(nl_quota_reset_all(nl), 0, "reset what they did");
	ok(eventually(count_groups() == 0), "and nothing is left");
}

/* Limits @count regions "PREFIX0" ... below the test's cgroup; to @bytes, with a burst. */
static int limit_regions(const char *prefix, int count, uint64_t bytes, uint64_t burst)
{
	struct nl_answer answer;
	struct nl_msg msg;
	size_t quota, memory;
	char name[16];

	nl_begin(&msg, LLM_NL_CMD_QUOTA_SET, NLM_F_ACK);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, child);
	quota = nl_nest(&msg, LLM_NL_A_QUOTA);
	nl_put_u64(&msg, LLM_NL_A_QUOTA_BURST, burst);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		memory = nl_nest(&msg, LLM_NL_A_QUOTA_MEMORY);
		nl_put(&msg, LLM_NL_A_MEMORY_REGION, name, strlen(name) + 1);
		nl_put_u64(&msg, LLM_NL_A_MEMORY_BYTES, bytes);
		nl_nest_end(&msg, memory);
	}
	nl_nest_end(&msg, quota);
	return nl_talk(nl, &msg, &answer, NULL, NULL);
}

static int setup_region(int server, const char *name)
{
	struct llm_region regions[2] = { { .name = "host" } };
	struct llm_setup arg = {
		.size = sizeof(arg), .regions = (uintptr_t)regions, .region_count = 2,
	};

	strncpy(regions[1].name, name, sizeof(regions[1].name) - 1);
	return ioctl(server, LLM_IOC_SETUP, &arg) ? -errno : 0;
}

/* There is room for host memory and seven more, which is for those that are used. */
static void test_regions(void)
{
	const uint64_t burst = 1000, wrong = 1;
	int server = server_open();

	is(limit_regions("bad", 7, 5, wrong), -ERANGE, "what is refused for something else");
	is(limit_regions("good", 7, 5, burst), 0, "takes no names");
	is(limit_regions("more", 1, 5, burst), -ENOSPC, "eight are too many");
	is(limit_regions("more", 1, UINT64_MAX, burst), 0, "no limit needs no name");
	is(limit_regions("good", 7, 6, burst), 0, "other limits on the same");
	is(setup_region(server, "cuda0"), -ENOSPC, "a server's are too many as well");
	is(limit_regions("good", 1, UINT64_MAX, burst), 0, "one that is not limited any more");
	is(setup_region(server, "cuda0"), 0, "makes room for it");
	is(limit_regions("more", 1, 5, burst), -ENOSPC, "and for no more");
	close(server);
	server = server_open();
	is(limit_regions("more", 1, 5, burst), 0, "until the server is gone");
	is(setup_region(server, "cuda0"), -ENOSPC, "and others have taken its place");
	is(nl_quota_reset(nl, child), 0, "without a quota");
	is(setup_region(server, "good6"), 0, "there is room for all");
	is(limit_regions("seven", 7, 5, burst), -ENOSPC, "but for one");
	is(limit_regions("six", 6, 5, burst), 0, "the others");
	is(limit_regions("none", 1, 5, burst), -ENOSPC, "are in use");
	is(nl_quota_reset(nl, child), 0, "until the end");
	for (int i = 0; i < 20; i++) {
		char name[8];

		snprintf(name, sizeof(name), "r%d-", i);
		must(!limit_regions(name, 6, 5, burst) && !nl_quota_reset(nl, child), name);
	}
	close(server);
	is(count_groups(), 0, "nothing is left");
}

/* Deeper than is looked at. */
static void test_deep(void)
{
	char name[1024] = TOP;
	struct nl_group group;
	int depth = 1;
	uint64_t id = 0;

	while (depth < 70) {
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "/d");
		id = cgroup_make(name);
		if (!id)
			break;
		depth++;
	}
	if (depth < 70) {
		tap_skip("a cgroup 70 deep", strerror(errno));
	} else {
		is(nl_quota_set(nl, id, LLM_NL_A_QUOTA_WEIGHT, 5ULL, 0), -E2BIG, "nested too deep");
		is(nl_group_get(nl, id, &group), -E2BIG, "also to look at");
	}
	for (; depth > 1; depth--) {
		must(cgroup_remove(name), name);
		name[strlen(name) - 2] = '\0';
	}
	is(count_groups(), 0, "nothing is left");
}

int main(void)
{
	nl = nl_open();
	must(nl >= 0, "the family \"llm\"");
	top = cgroup_make(TOP);
	child = cgroup_make(TOP "/child");
	must(top && child, "cgroups");
	test_defaults();
	test_set();
	test_bounds();
	test_dump();
	test_gone();
	test_server_events();
	test_server_order();
	test_permissions();
	test_wrong();
	test_regions();
	test_noise();
	test_deep();
	must(cgroup_remove(TOP "/child") && cgroup_remove(TOP), "remove");
	close(nl);
	return tap_done();
}
