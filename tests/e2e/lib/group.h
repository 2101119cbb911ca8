/* SPDX-License-Identifier: MIT */
/*
 * A group of clients that want more than there is: a process in a cgroup, or of a user, with so
 * many open files and so many long answers at once on each, that counts the tokens it gets. It does
 * what it is told when it is told, so that several can begin, and leave, while the daemon stands
 * still.
 */
#ifndef LLMOS_TEST_GROUP_H
#define LLMOS_TEST_GROUP_H

#include <stdatomic.h>

#include "e2e.h"

#define GROUP_FILES_MAX		128
#define GROUP_REQUESTS_MAX	64

#define GROUP_ENDS_MAX		65536

/** enum group_phase - what the process has done last */
enum group_phase { GROUP_NEW, GROUP_OPEN, GROUP_ASKED, GROUP_CANCELLED, GROUP_LEFT };

/**
 * struct group_tally - what the process tells, in shared memory
 * @tokens: that came
 * @made: tokens of answers that have ended, read or not; those whose number was not known yet when
 *	the group was told to leave do not count
 * @phase: an enum group_phase
 * @ends: answers that have ended
 * @end_ns: (GROUP_ENDS_MAX) when the first of them did, by the broker's clock
 */
struct group_tally {
	_Atomic uint64_t tokens;
	_Atomic uint64_t made;
	_Atomic int phase;
	_Atomic size_t ends;
	uint64_t end_ns[GROUP_ENDS_MAX];
};

/**
 * struct group - who wants
 * @where: a cgroup's folder, "uid=NUMBER", or "here": as the test itself
 * @files: connections
 * @requests: on each at once
 * @share: of all, in whatever unit
 * @opts: of each request; NULL: long greedy answers
 * @pid: of the process, while it runs
 * @tally: what that process tells
 * @orders: the end of a pipe by which it is told what to do
 */
struct group {
	const char *where;
	unsigned int files;
	unsigned int requests;
	unsigned int share;
	const struct llmos_generate_opts *opts;
	pid_t pid;
	struct group_tally *tally;
	int orders;
};

/* WHERE:FILES:REQUESTS:SHARE; bails out */
struct group group_parse(char *text);
/* enter the place; bails out if that fails */
void group_enter(const char *where);
/* open the connections, and wait until that is done */
void group_open(struct group *group);
/* ask on all of them: the phase tells when that is done */
void group_ask(struct group *group);
/* cancel all there is, and ask for nothing more */
void group_leave(struct group *group);
enum group_phase group_phase(const struct group *group);
/* open, ask, and return at once */
void group_start(struct group *group);
/* it is killed */
void group_end(struct group *group);
/* tokens so far */
uint64_t group_tokens(const struct group *group);
/* tokens in all, once it has left */
uint64_t group_made(const struct group *group);
/* cancel all, and wait until all has ended; bails out after @seconds */
void group_finish(struct group *group, unsigned int seconds);
/* answers that ended within that time, by the broker's clock; for a group that has left */
unsigned int group_ended(const struct group *group, uint64_t from_ns, uint64_t until_ns);
/* until it has had @tokens; bails out after @seconds */
void group_wait(struct group *group, uint64_t tokens, unsigned int seconds);

#endif /* LLMOS_TEST_GROUP_H */
