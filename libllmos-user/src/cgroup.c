/* SPDX-License-Identifier: MIT */
/*
 * Finds cgroups by id in one walk over the folders of the cgroup v2 mount. Entries carry their
 * inode number and type, so nothing but folders is opened. Bounded in depth and number: the tree
 * is other people's. A walk that had to leave something out knows of it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "internal.h"

/* names in a path: the broker tells no more levels apart */
#define CGROUP_DEPTH_MAX	64
#define CGROUP_FOLDERS_MAX	100000U

/**
 * struct walk - one walk
 * @cgroups: what is looked for, sorted by id
 * @count: number of them
 * @missing: of those, not yet found; the walk ends with the last one
 * @name: what is looked for by name, NULL: nothing
 * @named: the first cgroup of that name
 * @named_count: cgroups of that name
 * @cut: something was left out: it is too deep, too much, or can not be read
 * @folders: that may still be visited
 * @path: of the current folder, "" for the root
 * @len: bytes of @path
 */
struct walk {
	struct llmos_cgroup *cgroups;
	size_t count;
	size_t missing;
	const char *name;
	uint64_t named;
	size_t named_count;
	bool cut;
	unsigned int folders;
	char path[PATH_MAX];
	size_t len;
};

static void close_dirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static void close_filep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static int cgroup_compare(const void *key, const void *element)
{
	uint64_t id = *(const uint64_t *)key;
	const struct llmos_cgroup *cgroup = element;

	return id < cgroup->id ? -1 : id > cgroup->id;
}

static void walk_match(struct walk *walk, uint64_t id)
{
	struct llmos_cgroup *cgroup = NULL;

	if (walk->count)
		cgroup = bsearch(&id, walk->cgroups, walk->count, sizeof(*walk->cgroups),
				 cgroup_compare);
	if (!cgroup || cgroup->path)
		return;
	cgroup->path = strdup(walk->len ? walk->path : "/");
	if (cgroup->path)
		walk->missing--;
}

/* two are one too many: there is no more to be learnt */
static void walk_match_name(struct walk *walk, const char *name, uint64_t id)
{
	if (!walk->name || strcmp(walk->name, name))
		return;
	if (!walk->named_count++)
		walk->named = id;
	else
		walk->missing = 0;
}

static void walk_folder(struct walk *walk, int fd, int depth);

/* the folder whose path is the walk's */
static void walk_enter(struct walk *walk, int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		walk_folder(walk, fd, depth);
	else if (errno != ENOENT)
		walk->cut = true;
}

static void walk_child(struct walk *walk, int parent, const struct dirent *entry, int depth)
{
	size_t len = walk->len, name_len = strlen(entry->d_name);

	if (!walk->folders || depth > CGROUP_DEPTH_MAX || len + name_len + 2 > sizeof(walk->path)) {
		walk->cut = true;
		return;
	}
	walk->folders--;
	walk->path[len] = '/';
	memcpy(walk->path + len + 1, entry->d_name, name_len + 1);
	walk->len = len + 1 + name_len;
	walk_match(walk, entry->d_ino);
	walk_match_name(walk, entry->d_name, entry->d_ino);
	if (walk->missing)
		walk_enter(walk, parent, entry->d_name, depth);
	walk->len = len;
	walk->path[len] = '\0';
}

/* @fd becomes the walk's to close; @depth: names in the path of the folder */
static void walk_folder(struct walk *walk, int fd, int depth)
{
	_cleanup_(close_dirp) DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		walk->cut = true;
		close(fd);
		return;
	}
	while (walk->missing && (walk->folders || !walk->cut) && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") &&
		    strcmp(entry->d_name, ".."))
			walk_child(walk, dirfd(dir), entry, depth + 1);
}

void llmos_cgroup_resolve(struct llmos_cgroup *cgroups, size_t count, const char *mount)
{
	_cleanup_free_ struct walk *walk = calloc(1, sizeof(*walk));
	struct stat st;
	int fd;

	if (!walk || !count)
		return;
	walk->cgroups = cgroups;
	walk->count = count;
	walk->missing = count;
	walk->folders = CGROUP_FOLDERS_MAX;
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return;
	}
	walk_match(walk, st.st_ino);
	walk_folder(walk, fd, 0);
}

static int find_anywhere(const char *mount, const char *name, uint64_t *ret_id)
{
	_cleanup_free_ struct walk *walk = calloc(1, sizeof(*walk));
	int fd;

	if (!walk)
		return -ENOMEM;
	walk->name = name;
	walk->missing = 1;
	walk->folders = CGROUP_FOLDERS_MAX;
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	walk_folder(walk, fd, 0);
	if (walk->named_count > 1)
		return -ENOTUNIQ;
	/* what was left out may be called so as well */
	if (walk->cut)
		return -E2BIG;
	if (!walk->named_count)
		return -ENOENT;
	*ret_id = walk->named;
	return 0;
}

/* is ".." among the names of the path? */
static bool goes_up(const char *path)
{
	const char *at;

	for (at = strstr(path, ".."); at; at = strstr(at + 1, ".."))
		if ((at == path || at[-1] == '/') && (at[2] == '/' || !at[2]))
			return true;
	return false;
}

/* @below: path under the mount */
static int find_path(const char *mount, const char *below, uint64_t *ret_id)
{
	char path[PATH_MAX];
	struct stat root, st;

	if (goes_up(below))
		return -EINVAL;
	if (snprintf(path, sizeof(path), "%s/%s", mount, below) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (stat(mount, &root) < 0 || lstat(path, &st) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	/* a file of a cgroup is none, nor what is mounted over one */
	if (!S_ISDIR(st.st_mode) || st.st_dev != root.st_dev)
		return -ENOENT;
	*ret_id = st.st_ino;
	return 0;
}

int llmos_cgroup_find(const char *mount, const char *name, uint64_t *ret_id)
{
	size_t len = strlen(mount);
	int r;

	if (!*name)
		return -EINVAL;
	if (!strncmp(name, mount, len) && (name[len] == '/' || !name[len]))
		return find_path(mount, name + len, ret_id);
	r = find_path(mount, name, ret_id);
	return r == -ENOENT && !strchr(name, '/') ? find_anywhere(mount, name, ret_id) : r;
}

/* undo mountinfo's \ooo, in place */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned int value;

		if (*text == '\\' && sscanf(text + 1, "%3o", &value) == 1 && value) {
			*to++ = (char)value;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

char *llmos_cgroup_mount(const char *mountinfo)
{
	_cleanup_(close_filep) FILE *file = fopen(mountinfo, "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		/* 36 35 98:0 /root /mount/point options [fields] - type source options */
		char *separator = strstr(line, " - ");
		char *mount = NULL;

		if (!separator || strncmp(separator, " - cgroup2 ", 11))
			continue;
		if (sscanf(line, "%*s %*s %*s %*s %ms", &mount) != 1)
			continue;
		unescape(mount);
		return mount;
	}
	return NULL;
}
