/* SPDX-License-Identifier: MIT */
/*
 * llmctl quota: the verbs that have files of their own. Each returns an exit code after having said
 * what was wrong.
 */
#ifndef LLMCTL_QUOTA_H
#define LLMCTL_QUOTA_H

#include "llmctl.h"

/* @name NULL: all cgroups */
int quota_show(const struct options *options, struct llmos_admin *admin, const char *name);
/* what the files say, once */
int quota_apply(struct llmos_admin *admin, const char *folder);
/* the same, and for each such cgroup that appears, until a signal ends it */
int quota_watch(struct llmos_admin *admin, const char *folder);

#endif /* LLMCTL_QUOTA_H */
