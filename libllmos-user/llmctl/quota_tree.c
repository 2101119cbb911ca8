/* SPDX-License-Identifier: MIT */
/*
 * Walks the cgroup tree only where a rule could match. A folder whose children could match is
 * watched first and then read, so that none appears unseen between the two; what is seen twice is
 * set once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "llmctl.h"
#include "quota_given.h"
#include "quota_key.h"
#include "quota_tree.h"

#define EVENT_BYTES	(64U * (sizeof(struct inotify_event) + NAME_MAX + 1))

/** struct watched - a folder whose children are noted; @wd: inotify's number of it */
struct watched {
	int wd;
	char *path;
};

/**
 * struct quota_tree - the cgroups
 * @admin: sets quotas; not owned
 * @root: where the tree is mounted
 * @rules: what is to be given
 * @notify: inotify, -1: nothing is noted
 * @watched: by number
 * @watched_count: number of them
 * @given: what each has by the rules, or is owed
 * @round: number of this application of the rules
 * @code: exit code of the first failure
 * @quiet: a repeated try: what fails was told
 * @again: something that is no cgroup's failed, and may go well another time
 * @stale: what is watched and given may not be what is there
 * @lost: the broker is gone
 */
struct quota_tree {
	struct llmos_admin *admin;
	const char *root;
	struct quota_rules rules;
	int notify;
	struct watched *watched;
	size_t watched_count;
	struct given_list given;
	unsigned int round;
	int code;
	bool quiet;
	bool again;
	bool stale;
	bool lost;
};

/* @path: what it is about */
static void tree_fail(struct quota_tree *tree, int code, const char *path, const char *why)
{
	if (!tree->quiet)
		fail(code, "%s: %s", path, why);
	if (!tree->code)
		tree->code = code;
}

/* ---- what was given ---- */

/* @quota, and the defaults for what @before has and it has not */
static struct llmos_quota with_defaults(const struct llmos_quota *before,
					const struct llmos_quota *quota)
{
	struct llmos_quota all = quota_defaults();
	size_t i;

	all.fields = before->fields & ~quota->fields;
	for (i = 0; i < before->memory_count; i++)
		(void)quota_memory_set(&all, before->memory[i].region, UINT64_MAX);
	/* regions that are one too many were never set either */
	(void)quota_merge(&all, quota);
	return all;
}

/* is the cgroup still there, under that number? 0; -ENOENT no; -errno nobody can tell */
static int look(const struct quota_tree *tree, const struct given *given)
{
	uint64_t now = 0;
	int r = llmos_cgroup_id(tree->admin, &now, given->path);

	return !r && now != given->id ? -ENOENT : r;
}

/* it was not given, or not taken back: told once for each reason; the library's line has it */
static void owe(struct quota_tree *tree, struct given *given, int error)
{
	if (given->error != error)
		fail_admin(tree->admin, given->path, error);
	if (!tree->code)
		tree->code = exit_code(error);
	given_result(&tree->given, given, error);
}

/* Return: 0 it has it; -ENOENT the cgroup is gone; -errno it is owed that */
static int send_quota(struct quota_tree *tree, struct given *given,
		      const struct llmos_quota *quota)
{
	int r = llmos_quota_set(tree->admin, given->id, quota);

	if (r == -ENOENT) {
		r = look(tree, given);
		if (r == -ENOENT)
			return r;
		if (!r) {
			tree->lost = true;
			return -ENODEV;
		}
	}
	if (r < 0)
		owe(tree, given, r);
	else
		given_result(&tree->given, given, 0);
	return r;
}

/* the cgroup that is there now is to have @quota by this round */
static void give_to(struct quota_tree *tree, struct given *given, uint64_t id,
		    const struct llmos_quota *quota)
{
	struct llmos_quota all;
	int r;

	if (given->id == id && given->round == tree->round && (!given->error || !given_owed(given)))
		return;
	if (given->id != id)
		given->quota = quota_none();
	all = with_defaults(&given->quota, quota);
	given->id = id;
	given->round = tree->round;
	r = send_quota(tree, given, &all);
	if (r == -ENOENT)
		given_remove(&tree->given, given);
	else
		/* without an answer it may have either */
		given->quota = r ? all : *quota;
}

/* a cgroup that is there: what the rules have for it, unless it has that already */
static void give(struct quota_tree *tree, const char *path)
{
	struct llmos_quota quota;
	struct given *given;
	uint64_t id = 0;
	char why[40];
	int r;

	r = quota_rules_match(&tree->rules, path, &quota);
	if (r < 0) {
		snprintf(why, sizeof(why), "more than %d regions", LLMOS_REGIONS_MAX);
		tree_fail(tree, exit_code(r), path, why);
	}
	if (r <= 0)
		return;
	r = llmos_cgroup_id(tree->admin, &id, path);
	given = given_find(&tree->given, path);
	if (r == -ENOENT) {
		if (given)
			given_remove(&tree->given, given);
		return;
	}
	if (!given && given_add(&tree->given, path, &given) < 0) {
		tree->again = true;
		tree_fail(tree, EX_OSERR, path, "too many cgroups");
		return;
	}
	if (r < 0) {
		given->round = tree->round;
		owe(tree, given, r);
		return;
	}
	give_to(tree, given, id, &quota);
}

/* Return: there is no more to be done about it */
static bool take_back_from(struct quota_tree *tree, struct given *given)
{
	const struct llmos_quota none = quota_none();
	struct llmos_quota all = with_defaults(&given->quota, &none);
	int r = look(tree, given);

	if (r == -ENOENT || (!all.fields && !all.memory_count))
		return true;
	if (r < 0)
		owe(tree, given, r);
	else
		r = send_quota(tree, given, &all);
	return !r || r == -ENOENT || !given_owed(given);
}

/* what no rule is about any more goes back to the defaults */
static void take_back(struct quota_tree *tree)
{
	size_t i = 0;

	while (i < tree->given.count && !tree->lost) {
		struct given *given = &tree->given.given[i];

		if (given->round != tree->round && take_back_from(tree, given))
			given_remove(&tree->given, given);
		else
			i++;
	}
}

/* those whose end was not heard of */
static void forget_gone(struct quota_tree *tree)
{
	size_t i = 0;

	while (i < tree->given.count) {
		struct given *given = &tree->given.given[i];

		if (look(tree, given) == -ENOENT)
			given_remove(&tree->given, given);
		else
			i++;
	}
}

/* ---- the walk ---- */

static void watched_forget(struct quota_tree *tree)
{
	while (tree->watched_count)
		free(tree->watched[--tree->watched_count].path);
}

/* inotify's numbers only grow: what is new goes to the end, what is known is in order */
static int watched_add(struct quota_tree *tree, int wd, const char *path)
{
	struct watched *grown;
	char *copy;

	if (tree->watched_count && tree->watched[tree->watched_count - 1].wd >= wd)
		return 0;
	if (!(tree->watched_count & (tree->watched_count - 1))) {
		grown = reallocarray(tree->watched,
				     tree->watched_count ? tree->watched_count * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		tree->watched = grown;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	tree->watched[tree->watched_count++] = (struct watched){ wd, copy };
	return 0;
}

static int watched_compare(const void *key, const void *element)
{
	int wd = *(const int *)key, other = ((const struct watched *)element)->wd;

	return wd < other ? -1 : wd > other;
}

static struct watched *watched_find(const struct quota_tree *tree, int wd)
{
	if (!tree->watched_count)
		return NULL;
	return bsearch(&wd, tree->watched, tree->watched_count, sizeof(*tree->watched),
		       watched_compare);
}

static void watched_remove(struct quota_tree *tree, struct watched *watched)
{
	size_t place = watched - tree->watched;

	free(watched->path);
	tree->watched_count--;
	memmove(watched, watched + 1, (tree->watched_count - place) * sizeof(*watched));
}

static int watch_folder(struct quota_tree *tree, int folder, const char *path)
{
	char name[64];
	int wd;

	if (tree->notify < 0)
		return 0;
	/* the folder that was opened, whatever has its name by now */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", folder);
	wd = inotify_add_watch(tree->notify, name, IN_CREATE | IN_DELETE | IN_ONLYDIR);
	if (wd < 0)
		return -errno;
	return watched_add(tree, wd, path);
}

static void walk(struct quota_tree *tree, const char *path);

/* @path of the parent, "/" or without a slash at its end */
static void walk_child(struct quota_tree *tree, const char *path, const char *name)
{
	char child[PATH_MAX];

	if (!strcmp(name, ".") || !strcmp(name, "..") ||
	    snprintf(child, sizeof(child), "%s/%s", path[1] ? path : "", name) >=
		    (int)sizeof(child))
		return;
	walk(tree, child);
}

static void walk_children(struct quota_tree *tree, const char *path)
{
	char full[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int fd, r;

	if (snprintf(full, sizeof(full), "%s%s", tree->root, path) >= (int)sizeof(full))
		return;
	fd = open(full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (errno != ENOENT && errno != ENOTDIR) {
			tree->again = true;
			tree_fail(tree, exit_code(-errno), path, strerror(errno));
		}
		if (fd >= 0)
			close(fd);
		return;
	}
	r = watch_folder(tree, fd, path);
	if (r < 0) {
		tree->again = true;
		snprintf(full, sizeof(full), "it can not be watched: %s", strerror(-r));
		tree_fail(tree, EX_OSERR, path, full);
	}
	while ((entry = readdir(dir)))
		if (entry->d_type == DT_DIR)
			walk_child(tree, path, entry->d_name);
	closedir(dir);
}

/* a cgroup that is there, and those below it */
static void walk(struct quota_tree *tree, const char *path)
{
	if (tree->lost)
		return;
	give(tree, path);
	if (quota_rules_below(&tree->rules, path))
		walk_children(tree, path);
}

/* ---- from outside ---- */

int quota_tree_new(struct quota_tree **ret, struct llmos_admin *admin, bool watch)
{
	struct quota_tree *tree;

	if (!llmos_cgroup_root(admin))
		return -EOPNOTSUPP;
	tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	tree->admin = admin;
	tree->root = llmos_cgroup_root(admin);
	tree->notify = watch ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
	if (watch && tree->notify < 0) {
		int r = -errno;

		free(tree);
		return r;
	}
	*ret = tree;
	return 0;
}

void quota_tree_free(struct quota_tree *tree)
{
	if (!tree)
		return;
	if (tree->notify >= 0)
		close(tree->notify);
	watched_forget(tree);
	free(tree->watched);
	given_done(&tree->given);
	quota_rules_done(&tree->rules);
	free(tree);
}

int quota_tree_fd(const struct quota_tree *tree)
{
	return tree->notify;
}

size_t quota_tree_count(const struct quota_tree *tree)
{
	return tree->given.count - tree->given.failed;
}

size_t quota_tree_failed(const struct quota_tree *tree)
{
	return tree->given.failed;
}

bool quota_tree_owes(const struct quota_tree *tree)
{
	return tree->given.owed || tree->again || tree->stale;
}

bool quota_tree_lost(const struct quota_tree *tree)
{
	return tree->lost;
}

/* a fresh instance under the old number: earlier rules may have watched other folders */
static int notify_renew(struct quota_tree *tree)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = dup3(fd, tree->notify, O_CLOEXEC) < 0 ? -errno : 0;
	close(fd);
	if (!r)
		watched_forget(tree);
	return r;
}

/* what is watched and remembered is brought to what is there */
static void refresh(struct quota_tree *tree)
{
	int r = tree->notify < 0 ? 0 : notify_renew(tree);

	if (r < 0) {
		tree_fail(tree, EX_OSERR, "inotify", strerror(-r));
		return;
	}
	tree->stale = false;
	forget_gone(tree);
}

/* all that are there. Return: 0, or the exit code of the first failure */
static int pass(struct quota_tree *tree, bool quiet)
{
	tree->code = 0;
	tree->again = false;
	tree->quiet = quiet;
	if (tree->stale)
		refresh(tree);
	walk(tree, "/");
	take_back(tree);
	tree->quiet = false;
	return tree->code;
}

int quota_tree_apply(struct quota_tree *tree, struct quota_rules *rules)
{
	quota_rules_done(&tree->rules);
	tree->rules = *rules;
	*rules = (struct quota_rules){ 0 };
	tree->round++;
	tree->stale = true;
	return pass(tree, false);
}

int quota_tree_again(struct quota_tree *tree)
{
	return pass(tree, true);
}

/* a child of a watched folder has appeared or gone */
static void child_changed(struct quota_tree *tree, const struct inotify_event *event)
{
	struct watched *watched = watched_find(tree, event->wd);
	char path[PATH_MAX];
	struct given *given;

	if (!watched)
		return;
	if (event->mask & IN_IGNORED) {
		watched_remove(tree, watched);
		return;
	}
	if (!(event->mask & IN_ISDIR) || !event->len)
		return;
	if (event->mask & IN_DELETE) {
		snprintf(path, sizeof(path), "%.*s/%.255s", PATH_MAX - 300,
			 watched->path[1] ? watched->path : "", event->name);
		given = given_find(&tree->given, path);
		if (given && look(tree, given) == -ENOENT)
			given_remove(&tree->given, given);
		return;
	}
	walk_child(tree, watched->path, event->name);
}

int quota_tree_changed(struct quota_tree *tree)
{
	_Alignas(struct inotify_event) char buf[EVENT_BYTES];
	ssize_t n, at;

	tree->code = 0;
	while ((n = read(tree->notify, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(buf + at);

			tree->stale |= event->mask & IN_Q_OVERFLOW;
			child_changed(tree, event);
			at += sizeof(*event) + event->len;
		}
	}
	return tree->stale ? pass(tree, false) : tree->code;
}
