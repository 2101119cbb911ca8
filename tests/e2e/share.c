// SPDX-License-Identifier: MIT
/*
 * share [-n TOKENS] [-e THOUSANDTHS] WHERE:FILES:REQUESTS:SHARE...
 *
 * Groups of clients that all want more than there is: what each gets of so many tokens (20000) is its
 * share, give or take so many thousandths of it (20). What counts is what the clients have read.
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
#define LIMIT_S		120

static struct group groups[GROUPS_MAX];
static uint64_t before[GROUPS_MAX];
static unsigned int group_count, shares;

static uint64_t sum(void)
{
	uint64_t tokens = 0;

	for (unsigned int i = 0; i < group_count; i++)
		tokens += group_tokens(&groups[i]);
	return tokens;
}

static bool all_under_way(void *arg)
{
	for (unsigned int i = 0; i < group_count; i++)
		if (group_tokens(&groups[i]) < *(uint64_t *)arg)
			return false;
	return true;
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

/* it stands still, and the clients sleep: they have read all that it has made */
static bool is_settled(void *arg)
{
	if (state_of(*(pid_t *)arg) != 'T')
		return false;
	for (unsigned int i = 0; i < group_count; i++)
		if (state_of(groups[i].pid) != 'S')
			return false;
	return true;
}

/*
 * The daemon stands still while they are counted: where clients wait for a processor, what they have
 * read says little about what was made for them.
 */
static void settle(pid_t daemon)
{
	if (kill(daemon, SIGSTOP) < 0)
		tap_bail("the daemon is %d: %s", (int)daemon, strerror(errno));
	if (!e2e_wait(LIMIT_S, is_settled, &daemon))
		tap_bail("clients do not sleep although the daemon stands still");
}

static bool reached(void *arg)
{
	return sum() >= *(uint64_t *)arg;
}

static void report(unsigned int i, uint64_t all, unsigned int error)
{
	double got = (double)(group_tokens(&groups[i]) - before[i]) / all;
	double want = (double)groups[i].share / shares;
	double off = (got - want) / want;

	tap_ok(off * 1000 <= error && -off * 1000 <= error,
	       "%s: %u files, %u requests each: %.2f %% of %llu tokens, its share is %.2f %% (%+.2f %%)",
	       groups[i].where, groups[i].files, groups[i].requests, got * 100,
	       (unsigned long long)all, want * 100, off * 100);
}

int main(int argc, char **argv)
{
	uint64_t tokens = 20000, warm = 200, until = 0;
	pid_t daemon;
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
	for (unsigned int i = 0; i < group_count; i++)
		group_start(&groups[i]);
	if (!e2e_wait(LIMIT_S, all_under_way, &warm))
		tap_bail("not all are under way");
	daemon = e2e_daemon_pid();
	settle(daemon);
	for (unsigned int i = 0; i < group_count; i++)
		until += before[i] = group_tokens(&groups[i]);
	until += tokens;
	kill(daemon, SIGCONT);
	if (!e2e_wait(LIMIT_S, reached, &until))
		tap_bail("only %llu tokens", (unsigned long long)(sum() + tokens - until));
	settle(daemon);
	tokens = sum() + tokens - until;
	for (unsigned int i = 0; i < group_count; i++)
		report(i, tokens, error);
	for (unsigned int i = 0; i < group_count; i++)
		group_end(&groups[i]);
	kill(daemon, SIGCONT);
	return tap_done();
}
