/* SPDX-License-Identifier: MIT */
/*
 * A group of clients that want more than there is: a process in a cgroup, or of a user, with so many
 * open files and so many long answers at once on each, that counts the tokens it gets.
 */
#ifndef LLMOS_TEST_GROUP_H
#define LLMOS_TEST_GROUP_H

#include <stdatomic.h>

#include "e2e.h"

#define GROUP_FILES_MAX		128
#define GROUP_REQUESTS_MAX	64

/**
 * struct group - who wants
 * @where: a cgroup's folder, "uid=NUMBER", or "here": as the test itself
 * @files: connections
 * @requests: on each at once
 * @share: of all, in whatever unit
 * @opts: of each request; NULL: long greedy answers
 * @pid: of the process, while it runs
 * @tokens: that came, written by that process
 */
struct group {
	const char *where;
	unsigned int files;
	unsigned int requests;
	unsigned int share;
	const struct llmos_generate_opts *opts;
	pid_t pid;
	_Atomic uint64_t *tokens;
};

/* WHERE:FILES:REQUESTS:SHARE; bails out */
struct group group_parse(char *text);
/* enter the place; bails out if that fails */
void group_enter(const char *where);
/* begin, and return at once */
void group_start(struct group *group);
void group_end(struct group *group);
/* tokens so far */
uint64_t group_tokens(const struct group *group);
/* until it has had @tokens; bails out after @seconds */
void group_wait(struct group *group, uint64_t tokens, unsigned int seconds);

#endif /* LLMOS_TEST_GROUP_H */
