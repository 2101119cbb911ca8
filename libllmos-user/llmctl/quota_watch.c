/* SPDX-License-Identifier: MIT */
/*
 * llmctl quota apply and watch: the files of llmos-quota.d(5) at work. watch is what
 * llmos-quota.service runs: SIGHUP has it read the files again, SIGTERM ends it. What fails is tried again,
 * at growing distances.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "notify.h"
#include "quota.h"
#include "quota_file.h"
#include "quota_tree.h"

#define AGAIN_FIRST_MS	1000
#define AGAIN_MAX_MS	300000

static void tree_freep(struct quota_tree **tree)
{
	quota_tree_free(*tree);
}

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Return: exit code, said what; then @rules is empty */
static int read_rules(struct quota_rules *rules, const char *folder)
{
	char why[QUOTA_WHY_MAX] = "";
	int r = quota_rules_read(rules, folder, why);

	if (r >= 0)
		return EX_OK;
	quota_rules_done(rules);
	return fail(EX_CONFIG, "%s", why);
}

static int new_tree(struct quota_tree **ret, struct llmos_admin *admin, bool watch)
{
	int r = quota_tree_new(ret, admin, watch);

	if (r == -EOPNOTSUPP)
		return fail(exit_code(r), "cgroup v2 is not mounted");
	return r < 0 ? fail(EX_OSERR, "%s: %s", watch ? "inotify" : "cgroups", strerror(-r)) :
		       EX_OK;
}

int quota_apply(struct llmos_admin *admin, const char *folder)
{
	_cleanup_(quota_rules_done) struct quota_rules rules = { 0 };
	_cleanup_(tree_freep) struct quota_tree *tree = NULL;
	int code = read_rules(&rules, folder);

	if (!code)
		code = new_tree(&tree, admin, false);
	if (code)
		return code;
	code = quota_tree_apply(tree, &rules);
	return quota_tree_lost(tree) ? fail_unloaded() : code;
}

/* ---- for as long as it runs ---- */

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void tell(const struct quota_tree *tree, const char *ready)
{
	char failed[64] = "";

	if (quota_tree_failed(tree))
		snprintf(failed, sizeof(failed), ", %zu could not be given theirs",
			 quota_tree_failed(tree));
	notify_manager("%sSTATUS=%zu cgroups have a quota by files%s", ready,
		       quota_tree_count(tree), failed);
}

/**
 * struct again - when what failed is tried again
 * @wait_ms: from one try to the next
 * @at_ms: CLOCK_MONOTONIC of the next one, 0: not set
 */
struct again {
	int wait_ms;
	int64_t at_ms;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Return: for poll(2) */
static int again_timeout(struct again *again, const struct quota_tree *tree)
{
	int64_t now = now_ms();

	if (!quota_tree_owes(tree)) {
		*again = (struct again){ .wait_ms = AGAIN_FIRST_MS };
		return -1;
	}
	if (!again->at_ms)
		again->at_ms = now + again->wait_ms;
	return again->at_ms > now ? (int)(again->at_ms - now) : 0;
}

static void again_try(struct again *again, struct quota_tree *tree)
{
	if (!again->at_ms || now_ms() < again->at_ms)
		return;
	(void)quota_tree_again(tree);
	tell(tree, "");
	again->at_ms = 0;
	again->wait_ms = again->wait_ms > AGAIN_MAX_MS / 2 ? AGAIN_MAX_MS : again->wait_ms * 2;
}

/* with a file that is wrong all stays as it was */
static void reload(struct quota_tree *tree, const char *folder)
{
	_cleanup_(quota_rules_done) struct quota_rules rules = { 0 };
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	notify_manager("RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	if (!read_rules(&rules, folder))
		(void)quota_tree_apply(tree, &rules);
	tell(tree, "READY=1\n");
}

/* Return: it is to end */
static bool take_signal(struct quota_tree *tree, int signals, const char *folder)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo != SIGHUP)
		return true;
	reload(tree, folder);
	return false;
}

/* nobody told this connection to tell of events: what there is to hear of is the module's end */
static bool module_gone(struct llmos_admin *admin)
{
	struct llmos_event event = { .size = sizeof(event) };

	return llmos_events_next(admin, &event, 0) == -ENODEV;
}

static int watch_loop(struct quota_tree *tree, struct llmos_admin *admin, int signals,
		      const char *folder)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = quota_tree_fd(tree), .events = POLLIN },
		{ .fd = llmos_events_fd(admin), .events = POLLIN },
	};

	struct again again = { .wait_ms = AGAIN_FIRST_MS };
	int r;

	while (!quota_tree_lost(tree)) {
		r = poll(fds, 3, again_timeout(&again, tree));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return fail(EX_OSERR, "poll: %s", strerror(errno));
		if (fds[2].revents && module_gone(admin))
			break;
		if (fds[0].revents && take_signal(tree, signals, folder)) {
			notify_manager("STOPPING=1");
			return EX_OK;
		}
		if (fds[1].revents) {
			/* one cgroup's failure was told and is not the others' */
			(void)quota_tree_changed(tree);
			tell(tree, "");
		}
		again_try(&again, tree);
	}
	return fail_unloaded();
}

int quota_watch(struct llmos_admin *admin, const char *folder)
{
	_cleanup_(quota_rules_done) struct quota_rules rules = { 0 };
	_cleanup_(tree_freep) struct quota_tree *tree = NULL;
	_cleanup_(closep) int signals = -1;
	int code = read_rules(&rules, folder);

	if (!code)
		code = new_tree(&tree, admin, true);
	if (code)
		return code;
	/* before the first look: whoever waits for it may send one at once */
	signals = signals_open();
	if (signals < 0)
		return fail(EX_OSERR, "signals: %s", strerror(errno));
	(void)quota_tree_apply(tree, &rules);
	tell(tree, "READY=1\n");
	return watch_loop(tree, admin, signals, folder);
}
