/* SPDX-License-Identifier: MIT */
/*
 * Finds cgroups by id in one walk over the folders of the cgroup v2 mount. Entries carry their
 * inode number and type, so nothing but folders is opened. Bounded in depth and number: the tree
 * is other people's.
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

#define CGROUP_DEPTH_MAX	32
#define CGROUP_FOLDERS_MAX	100000U

/**
 * struct walk - one walk
 * @cgroups: what is looked for, sorted by id
 * @count: number of them
 * @missing: of those, not yet found
 * @folders: that may still be visited
 * @path: of the current folder, "" for the root
 * @len: bytes of @path
 */
struct walk {
	struct llmos_cgroup *cgroups;
	size_t count;
	size_t missing;
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
	struct llmos_cgroup *cgroup = bsearch(&id, walk->cgroups, walk->count,
					      sizeof(*walk->cgroups), cgroup_compare);

	if (!cgroup || cgroup->path)
		return;
	cgroup->path = strdup(walk->len ? walk->path : "/");
	if (cgroup->path)
		walk->missing--;
}

/* @fd becomes the walk's to close */
static void walk_folder(struct walk *walk, int fd, int depth)
{
	_cleanup_(close_dirp) DIR *dir = fdopendir(fd);
	size_t len = walk->len;
	struct dirent *entry;

	if (!dir) {
		close(fd);
		return;
	}
	while (walk->missing && walk->folders && (entry = readdir(dir))) {
		size_t name_len = strlen(entry->d_name);
		int child;

		if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".") ||
		    !strcmp(entry->d_name, "..") || len + name_len + 2 > sizeof(walk->path))
			continue;
		walk->folders--;
		walk->path[len] = '/';
		memcpy(walk->path + len + 1, entry->d_name, name_len + 1);
		walk->len = len + 1 + name_len;
		walk_match(walk, entry->d_ino);
		if (walk->missing && depth < CGROUP_DEPTH_MAX) {
			child = openat(dirfd(dir), entry->d_name,
				       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (child >= 0)
				walk_folder(walk, child, depth + 1);
		}
		walk->len = len;
		walk->path[len] = '\0';
	}
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
