/* SPDX-License-Identifier: MIT */
/*
 * The cgroups that the rules of llmos-quota.d(5) are about: finds those that are there, gives each
 * its quota, and does so again for those that appear later. Remembers what it gave, so that what a
 * changed file no longer says can be taken back. One thread; owns its inotify instance.
 */
#ifndef LLMCTL_QUOTA_TREE_H
#define LLMCTL_QUOTA_TREE_H

#include <stdbool.h>

#include "llmos.h"
#include "quota_file.h"

struct quota_tree;

/* @watch: note what appears; Return: 0, -EOPNOTSUPP no cgroup v2, -errno */
int quota_tree_new(struct quota_tree **ret, struct llmos_admin *admin, bool watch);
void quota_tree_free(struct quota_tree *tree);
/* polls readable when quota_tree_changed() has work */
int quota_tree_fd(const struct quota_tree *tree);
/*
 * Give all that are there what @rules say, and take back what earlier ones said and these do not;
 * the rules are the tree's from here on. What fails is told on standard error, one line each.
 * Return: 0, or the exit code of the first failure.
 */
int quota_tree_apply(struct quota_tree *tree, struct quota_rules *rules);
/* look at what has appeared and gone. Return: 0, or the exit code of the first failure */
int quota_tree_changed(struct quota_tree *tree);
/* something failed that may go well another time: quota_tree_again() is to be called, not at once */
bool quota_tree_owes(const struct quota_tree *tree);
/*
 * Try again what failed, and tell of it what was not told.
 * Return: 0, or the exit code of the first failure.
 */
int quota_tree_again(struct quota_tree *tree);
/* cgroups that have a quota by it, and that should have and have not */
size_t quota_tree_count(const struct quota_tree *tree);
size_t quota_tree_failed(const struct quota_tree *tree);
/* the broker is gone: nothing can be set any more */
bool quota_tree_lost(const struct quota_tree *tree);

#endif /* LLMCTL_QUOTA_TREE_H */
