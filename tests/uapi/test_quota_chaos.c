// SPDX-License-Identifier: MIT
/*
 * Quotas under everything at once: administrators set and reset them, cgroups come and go, users
 * ask from them in every class, sockets watch, dump and are closed, servers are killed. Nothing may
 * be left in the end. LLMOS_SEED repeats what each of them does, LLMOS_CHAOS_OPS how often (2000).
 */
#include "uapi.h"
#include "uapi_netlink.h"
#include "uapi_step.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define TOP	"llmos-qchaos"
#define CGROUPS	12

static uint64_t seed;
static unsigned int ops;

static uint64_t below(uint64_t n)
{
	return random_next(&seed) % n;
}

static const char *some_cgroup(void)
{
	static char name[64];
	const unsigned int which = (unsigned int)below(CGROUPS);

	/* every third one is within the one before */
	if (which % 3)
		snprintf(name, sizeof(name), TOP "/%u", which - which % 3);
	else
		snprintf(name, sizeof(name), TOP "/%u", which);
	if (which % 3)
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "/%u", which);
	return name;
}

static uint64_t value_of(int type)
{
	switch (type) {
	case LLM_NL_A_QUOTA_WEIGHT:
		return 1 + below(10000);
	case LLM_NL_A_QUOTA_IN_FLIGHT:
	case LLM_NL_A_QUOTA_QUEUED:
		return below(3) ? below(5) : UINT32_MAX;
	case LLM_NL_A_QUOTA_RATE:
		return below(3) ? below(3000000) : UINT64_MAX;
	case LLM_NL_A_QUOTA_BURST:
		return below(3) ? 1000 + below(50000) : UINT64_MAX;
	case LLM_NL_A_QUOTA_COMPUTE:
		return below(3) ? below(50000000) : UINT64_MAX;
	case LLM_NL_A_QUOTA_PERIOD:
		return 10000000 + below(200000000);
	case LLM_NL_A_QUOTA_SHARE_CACHE:
		return below(2);
	default:
		return below(2) ? below(1 << 20) : UINT64_MAX;
	}
}

/* Sets and resets. */
static void be_admin(void)
{
	const int nl = nl_open();

	child_must(nl >= 0);
	for (unsigned int i = 0; i < ops; i++) {
		const int type = LLM_NL_A_QUOTA_WEIGHT +
				 (int)below(LLM_NL_A_QUOTA_SHARE_CACHE - LLM_NL_A_QUOTA_WEIGHT + 1);
		const uint64_t id = below(8) ? cgroup_id_of(some_cgroup()) : below(100000);
		int err;

		if (below(200) == 0)
			err = nl_quota_reset_all(nl);
		else if (below(6) == 0)
			err = nl_quota_reset(nl, id);
		else
			err = nl_quota_set(nl, id, type, value_of(type), 0);
		child_must(!err || err == -ENOENT);
	}
}

/* Makes and removes cgroups; those that are in use stay. */
static void be_manager(void)
{
	char path[128];

	for (unsigned int i = 0; i < ops; i++) {
		const char *name = some_cgroup();

		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", name);
		if (below(3))
			cgroup_make(name);
		else
			rmdir(path);
	}
}

/* Asks, reads a little, cancels, closes. */
static void be_user(void)
{
	static const int allowed[] = { EBUSY, EDQUOT, EAGAIN, ENOENT, EINTR };
	int fd = client_open();
	char buf[64];

	for (unsigned int i = 0; i < ops; i++) {
		struct llm_submit arg = submit_init("gen 5 40 7", 10);
		struct llm_read read;
		bool good;
		int rc;

		if (below(4) == 0)
			cgroup_enter(below(4) ? some_cgroup() : "");
		arg.flags = below(2) ? LLM_SUBMIT_EDQUOT : 0;
		arg.sched_class = (uint32_t)below(3);
		rc = ioctl(fd, LLM_IOC_SUBMIT, &arg);
		good = !rc;
		for (size_t n = 0; n < ARRAY_LEN(allowed); n++)
			good = good || errno == allowed[n];
		child_must(good);
		if (!rc && below(2)) {
			read = read_init(arg.id, buf, sizeof(buf));
			read.flags = LLM_READ_NONBLOCK;
			ioctl(fd, LLM_IOC_READ, &read);
		}
		if (!rc && below(3) == 0)
			cancel(fd, arg.id, below(2) ? LLM_CANCEL_FORGET : 0);
		if (below(20) == 0) {
			close(fd);
			fd = client_open();
		} else if (below(8) == 0) {
			cancel(fd, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET);
		}
	}
	close(fd);
}

static void count(const struct nlmsghdr *head, void *arg)
{
	struct nl_group group;

	nl_group_parse(head, &group);
	child_must(group.cgroup);
	++*(unsigned int *)arg;
}

/* Looks, watches and listens. */
static void be_monitor(void)
{
	static struct nl_answer answer;
	static struct nl_msg msg;
	unsigned int seen = 0;
	int fd = nl_open();

	child_must(fd >= 0);
	nl_join(fd);
	for (unsigned int i = 0; i < ops / 4; i++) {
		struct nl_group group;
		struct nl_event event;
		int err = 0;

		switch (below(6)) {
		case 0:
			nl_begin(&msg, LLM_NL_CMD_GROUP_GET, NLM_F_DUMP);
			err = nl_talk(fd, &msg, &answer, count, &seen);
			break;
		case 5:
			nl_begin(&msg, LLM_NL_CMD_REQUEST_GET, NLM_F_DUMP);
			err = nl_talk(fd, &msg, &answer, NULL, NULL);
			break;
		case 1:
			err = nl_watch(fd, cgroup_id_of(some_cgroup()), below(2),
				       1 + below(500000000), 500000000 + below(1000000000));
			break;
		case 2:
			close(fd);
			fd = nl_open();
			child_must(fd >= 0);
			if (below(2))
				nl_join(fd);
			break;
		case 3:
			while (nl_event(fd, 0, &event))
				;
			break;
		default:
			err = nl_group_get(fd, cgroup_id_of(some_cgroup()), &group);
		}
		/* more came than the socket holds: what comes next is what it asked for, or not */
		if (err == -ENOBUFS || err == -ETIME) {
			close(fd);
			fd = nl_open();
			continue;
		}
		child_must(!err || err == -ENOENT || err == -EBUSY || err == -EPROTO);
	}
	close(fd);
}

/* Serves until it is killed. */
static void be_server(void)
{
	step_begin(1 + (uint32_t)below(6));
	for (;;) {
		const struct step_held *held = &step_helds[below(STEP_HELD_MAX)];

		if (!step_all())
			step_news(20);
		if (held->id && !held->paused && held->tokens > 20)
			step_commit(step_find(held->id), 0, below(1000000), LLM_COMMIT_END);
	}
}

static pid_t start(void (*what)(void))
{
	const uint64_t own = random_next(&seed);
	const pid_t pid = fork();

	if (!pid) {
		seed = own;
		what();
		_exit(0);
	}
	must(pid > 0, "fork");
	return pid;
}

static void end_server(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void clean_cgroups(void)
{
	char path[128];

	for (int i = CGROUPS - 1; i >= 0; i--) {
		if (i % 3)
			snprintf(path, sizeof(path), TOP "/%d/%d", i - i % 3, i);
		else
			snprintf(path, sizeof(path), TOP "/%d", i);
		must(cgroup_remove(path), path);
	}
	must(cgroup_remove(TOP), TOP);
}

static unsigned int groups_left(void)
{
	static struct nl_answer answer;
	static struct nl_msg msg;
	const int fd = nl_open();
	int err;

	nl_begin(&msg, LLM_NL_CMD_GROUP_GET, NLM_F_DUMP);
	err = nl_talk(fd, &msg, &answer, NULL, NULL);
	close(fd);
	return err ? UINT32_MAX : (unsigned int)answer.count;
}

int main(void)
{
	static void (*const roles[])(void) = {
		be_admin, be_admin, be_manager, be_user, be_user, be_user, be_monitor,
	};
	const char *given = getenv("LLMOS_CHAOS_OPS");
	pid_t pids[ARRAY_LEN(roles)], server;
	int client, wrong = 0, kills = 0;

	seed = random_seed();
	ops = given && *given ? (unsigned int)atoi(given) : 2000;
	if (!cgroup_make(TOP)) {
		tap_skip("chaos", strerror(errno));
		return tap_done();
	}
	server = start(be_server);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		pids[i] = start(roles[i]);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		/* a server dies each time somebody is through, which is at very different times */
		wrong += wait_child(pids[i]) != 0;
		end_server(server);
		server = start(be_server);
		kills++;
	}
	end_server(server);
	is(wrong, 0, "nobody saw anything odd, with %d servers killed", kills);
	client = client_open();
	ok(eventually(features(client).requests == 0), "no request is left");
	close(client);
	clean_cgroups();
	ok(eventually(groups_left() == 0), "no quota of a cgroup that was removed");
	return tap_done();
}
