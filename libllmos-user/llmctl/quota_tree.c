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
#include "quota_key.h"
#include "quota_tree.h"

#define GIVEN_MAX	100000U
#define EVENT_BYTES	(64U * (sizeof(struct inotify_event) + NAME_MAX + 1))

/**
 * struct given - a cgroup and what it was given
 * @path: below the mount
 * @id: of the cgroup, which another one of that path would not have
 * @quota: what was set
 * @round: of the application that last saw it
 */
struct given {
	char *path;
	uint64_t id;
	struct llmos_quota quota;
	unsigned int round;
};

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
 * @watch: what appears is noted
 * @notify: inotify, -1: nothing is noted
 * @watched: by number
 * @watched_count: number of them
 * @given: by path
 * @given_count: number of them
 * @round: number of this application of the rules
 * @code: exit code of the first failure
 * @lost: the broker is gone
 */
struct quota_tree {
	struct llmos_admin *admin;
	const char *root;
	struct quota_rules rules;
	bool watch;
	int notify;
	struct watched *watched;
	size_t watched_count;
	struct given *given;
	size_t given_count;
	unsigned int round;
	int code;
	bool lost;
};

static void tree_fail(struct quota_tree *tree, int code)
{
	if (!tree->code)
		tree->code = code;
}

/* ---- what was given ---- */

/* where the path is among them, or would be */
static size_t given_place(const struct quota_tree *tree, const char *path, bool *ret_there)
{
	size_t low = 0, high = tree->given_count, middle;
	int order;

	*ret_there = false;
	while (low < high) {
		middle = low + (high - low) / 2;
		order = strcmp(path, tree->given[middle].path);
		if (!order) {
			*ret_there = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void given_remove(struct quota_tree *tree, size_t place)
{
	free(tree->given[place].path);
	tree->given_count--;
	memmove(&tree->given[place], &tree->given[place + 1],
		(tree->given_count - place) * sizeof(*tree->given));
}

static int given_insert(struct quota_tree *tree, size_t place, const char *path)
{
	struct given *grown;
	char *copy;

	if (tree->given_count == GIVEN_MAX)
		return -E2BIG;
	if (!(tree->given_count & (tree->given_count - 1))) {
		grown = reallocarray(tree->given, tree->given_count ? tree->given_count * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		tree->given = grown;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	memmove(&tree->given[place + 1], &tree->given[place],
		(tree->given_count - place) * sizeof(*tree->given));
	tree->given[place] = (struct given){ .path = copy, .quota = quota_none() };
	tree->given_count++;
	return 0;
}

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

/* is the cgroup still there, under that number? */
static bool still_there(const struct quota_tree *tree, const char *path, uint64_t id)
{
	uint64_t now = 0;

	return !llmos_cgroup_id(tree->admin, &now, path) && now == id;
}

/* Return: 0 it has it; -ENOENT the cgroup is gone; another error was told */
static int send_quota(struct quota_tree *tree, const char *path, uint64_t id,
		      const struct llmos_quota *quota)
{
	int r = llmos_quota_set(tree->admin, id, quota);

	if (!r)
		return 0;
	if (r == -ENOENT && !still_there(tree, path, id))
		return r;
	if (r == -ENOENT)
		tree->lost = true;
	tree_fail(tree, fail_admin(tree->admin, path, r));
	return -EIO;
}

/* a cgroup that is there: what the rules have for it, unless it has that already */
static void give(struct quota_tree *tree, const char *path)
{
	struct llmos_quota quota, all;
	struct given *given;
	uint64_t id = 0;
	size_t place;
	bool there;
	int r;

	r = quota_rules_match(&tree->rules, path, &quota);
	if (!r)
		return;
	if (r < 0) {
		tree_fail(tree, fail(exit_code(r), "%s: more than %d regions", path,
				     LLMOS_REGIONS_MAX));
		return;
	}
	/* gone already */
	if (llmos_cgroup_id(tree->admin, &id, path) < 0)
		return;
	place = given_place(tree, path, &there);
	if (!there && given_insert(tree, place, path) < 0) {
		tree_fail(tree, fail(EX_OSERR, "%s: too many cgroups", path));
		return;
	}
	given = &tree->given[place];
	if (given->id == id && given->round == tree->round)
		return;
	if (given->id != id)
		given->quota = quota_none();
	all = with_defaults(&given->quota, &quota);
	given->id = id;
	given->round = tree->round;
	given->quota = quota;
	if (send_quota(tree, path, id, &all) == -ENOENT)
		given_remove(tree, place);
}

/* what no rule is about any more goes back to the defaults */
static void take_back(struct quota_tree *tree)
{
	const struct llmos_quota none = quota_none();
	size_t i = 0;

	while (i < tree->given_count) {
		struct given *given = &tree->given[i];
		struct llmos_quota all = with_defaults(&given->quota, &none);

		if (given->round == tree->round) {
			i++;
			continue;
		}
		if (still_there(tree, given->path, given->id))
			(void)send_quota(tree, given->path, given->id, &all);
		given_remove(tree, i);
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
		if (errno != ENOENT)
			tree_fail(tree, fail(exit_code(-errno), "%s: %s", path, strerror(errno)));
		if (fd >= 0)
			close(fd);
		return;
	}
	r = watch_folder(tree, fd, path);
	if (r < 0)
		tree_fail(tree, fail(EX_OSERR, "%s: it can not be watched: %s", path,
				     strerror(-r)));
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
	tree->watch = watch;
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
	while (tree->given_count)
		given_remove(tree, tree->given_count - 1);
	free(tree->given);
	quota_rules_done(&tree->rules);
	free(tree);
}

int quota_tree_fd(const struct quota_tree *tree)
{
	return tree->notify;
}

size_t quota_tree_count(const struct quota_tree *tree)
{
	return tree->given_count;
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
	watched_forget(tree);
	return r;
}

int quota_tree_apply(struct quota_tree *tree, struct quota_rules *rules)
{
	int r;

	quota_rules_done(&tree->rules);
	tree->rules = *rules;
	*rules = (struct quota_rules){ 0 };
	tree->code = 0;
	tree->round++;
	if (tree->watch) {
		r = notify_renew(tree);
		if (r < 0)
			return fail(EX_OSERR, "inotify: %s", strerror(-r));
	}
	walk(tree, "/");
	take_back(tree);
	return tree->code;
}

/* a child of a watched folder has appeared or gone */
static void child_changed(struct quota_tree *tree, const struct inotify_event *event)
{
	struct watched *watched = watched_find(tree, event->wd);
	char path[PATH_MAX];
	size_t place;
	bool there;

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
		place = given_place(tree, path, &there);
		if (there && !still_there(tree, path, tree->given[place].id))
			given_remove(tree, place);
		return;
	}
	walk_child(tree, watched->path, event->name);
}

int quota_tree_changed(struct quota_tree *tree)
{
	_Alignas(struct inotify_event) char buf[EVENT_BYTES];
	bool missed = false;
	ssize_t n, at;

	tree->code = 0;
	while ((n = read(tree->notify, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(buf + at);

			missed |= event->mask & IN_Q_OVERFLOW;
			child_changed(tree, event);
			at += sizeof(*event) + event->len;
		}
	}
	if (missed)
		walk(tree, "/");
	return tree->code;
}
