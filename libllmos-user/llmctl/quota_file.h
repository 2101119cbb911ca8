/* SPDX-License-Identifier: MIT */
/*
 * The files of llmos-quota.d(5): which cgroups get which quota. A rule is a section; all rules that
 * match a cgroup apply, in the order of files by name and of sections in them, a later value over
 * an earlier one.
 */
#ifndef LLMCTL_QUOTA_FILE_H
#define LLMCTL_QUOTA_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "llmos.h"

#define QUOTA_FOLDER	"/etc/llmos/quota.d"
#define QUOTA_WHY_MAX	512

/** struct quota_rule - @pattern: path of the cgroups, its names are shell patterns; owned */
struct quota_rule {
	char *pattern;
	struct llmos_quota quota;
};

/** struct quota_rules - all of them; all zero is none */
struct quota_rules {
	struct quota_rule *rules;
	size_t count;
};

/*
 * Add the rules of the *.conf in a folder; one that is not there has none.
 * Return: 0; -EINVAL a line is wrong, -errno; @why names file and line.
 */
int quota_rules_read(struct quota_rules *rules, const char *folder, char why[QUOTA_WHY_MAX]);
/* add those of one file; @name: for @why */
int quota_rules_parse(struct quota_rules *rules, FILE *file, const char *name,
		      char why[QUOTA_WHY_MAX]);
void quota_rules_done(struct quota_rules *rules);

/* the quota of a cgroup by its path; Return: 1, 0 no rule is about it, -E2BIG too many regions */
int quota_rules_match(const struct quota_rules *rules, const char *path, struct llmos_quota *ret);
/* could one below it have a rule? */
bool quota_rules_below(const struct quota_rules *rules, const char *path);

#endif /* LLMCTL_QUOTA_FILE_H */
