// SPDX-License-Identifier: MIT
/*
 * share [-n TOKENS] [-e THOUSANDTHS] WHERE:FILES:REQUESTS:SHARE...
 *
 * Groups of clients that all want more than there is: what each gets of so many tokens (20000) is
 * its share, give or take so many thousandths of it (20). All of them ask while the daemon stands
 * still, and cancel while it does, and what counts is what was made for them in between, by the
 * usage of each request: who of the clients is given a processor, and when, makes no difference.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/group.h"
#include "lib/tap.h"

#define GROUPS_MAX	8
#define LIMIT_S		60
#define RUN_S		200	/* less than what a suite gives a program */

static struct group groups[GROUPS_MAX];
static unsigned int group_count, shares;
static pid_t daemon_pid;

static uint64_t sum(void)
{
	uint64_t tokens = 0;

	for (unsigned int i = 0; i < group_count; i++)
		tokens += group_tokens(&groups[i]);
	return tokens;
}

/* what the scheduler says of a process: R, S, T ... */
static char state_of(pid_t pid)
{
	char path[64], line[512] = "", *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file) || !(end = strrchr(line, ')')) || !end[1])
		tap_bail("'%s' can not be read", path);
	fclose(file);
	return end[2];
}

/* it stands still, and the clients sleep: they have done as told, and read all there is */
static bool is_settled(void *arg)
{
	if (state_of(daemon_pid) != 'T')
		return false;
	for (unsigned int i = 0; i < group_count; i++)
		/* what is cancelled may be over with that */
		if (group_phase(&groups[i]) < *(enum group_phase *)arg ||
		    state_of(groups[i].pid) != 'S')
			return false;
	return true;
}

static void settle(enum group_phase phase)
{
	if (e2e_wait(LIMIT_S, is_settled, &phase))
		return;
	for (unsigned int i = 0; i < group_count; i++)
		tap_note("%s: state %c, phase %d", groups[i].where, state_of(groups[i].pid),
			 group_phase(&groups[i]));
	tap_bail("clients do not sleep although the daemon stands still (state %c)",
		 state_of(daemon_pid));
}

static void stand_still(void)
{
	if (kill(daemon_pid, SIGSTOP) < 0)
		tap_bail("the daemon is %d: %s", (int)daemon_pid, strerror(errno));
}

/* also at the end of a test that breaks off: a daemon that stands still does not end when told */
static void go_on(void)
{
	if (daemon_pid > 0)
		kill(daemon_pid, SIGCONT);
}

static bool reached(void *arg)
{
	return sum() >= *(uint64_t *)arg;
}

static bool all_left(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < group_count; i++)
		if (group_phase(&groups[i]) != GROUP_LEFT)
			return false;
	return true;
}

static void begin(void)
{
	daemon_pid = e2e_daemon_pid();
	for (unsigned int i = 0; i < group_count; i++)
		group_open(&groups[i]);
	if (daemon_pid <= 0 || atexit(go_on))
		tap_bail("the daemon is %d", (int)daemon_pid);
	stand_still();
	for (unsigned int i = 0; i < group_count; i++)
		group_ask(&groups[i]);
	settle(GROUP_ASKED);
	go_on();
}

static void end(void)
{
	stand_still();
	settle(GROUP_ASKED);
	for (unsigned int i = 0; i < group_count; i++)
		group_leave(&groups[i]);
	settle(GROUP_CANCELLED);
	go_on();
	if (!e2e_wait(LIMIT_S, all_left, NULL))
		tap_bail("cancelled answers do not end");
}

static void report(unsigned int i, uint64_t all, unsigned int error)
{
	double got = (double)group_made(&groups[i]) / all;
	double want = (double)groups[i].share / shares;
	double off = (got - want) / want;

	tap_ok(off * 1000 <= error && -off * 1000 <= error,
	       "%s: %u files, %u requests each: %.2f %% of %llu tokens, its share is %.2f %% (%+.2f %%)",
	       groups[i].where, groups[i].files, groups[i].requests, got * 100,
	       (unsigned long long)all, want * 100, off * 100);
}

int main(int argc, char **argv)
{
	uint64_t tokens = 20000, all = 0;
	unsigned int error = 20;
	int option;

	while ((option = getopt(argc, argv, "n:e:")) != -1) {
		if (option == 'n')
			tokens = strtoul(optarg, NULL, 10);
		else if (option == 'e')
			error = strtoul(optarg, NULL, 10);
		else
			return 64;
	}
	for (; optind < argc && group_count < GROUPS_MAX; optind++) {
		groups[group_count] = group_parse(argv[optind]);
		shares += groups[group_count++].share;
	}
	begin();
	if (!e2e_wait(RUN_S, reached, &tokens))
		tap_bail("only %llu tokens", (unsigned long long)sum());
	end();
	for (unsigned int i = 0; i < group_count; i++)
		all += group_made(&groups[i]);
	for (unsigned int i = 0; i < group_count; i++)
		report(i, all, error);
	for (unsigned int i = 0; i < group_count; i++)
		group_end(&groups[i]);
	return tap_done();
}
