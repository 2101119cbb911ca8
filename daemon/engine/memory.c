/* SPDX-License-Identifier: MIT */
/*
 * How much memory there is for this process: the machine's, or the least that its cgroup or one of
 * that one's ancestors allows (memory.max of the version 2 hierarchy).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine_internal.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

/* read_line() - the first line of a small file that starts with @prefix, without it */
static int read_line(const char *path, const char *prefix, char *ret, int size)
{
	FILE *file = fopen(path, "re");
	int r = -ENOENT;

	if (!file)
		return -errno;
	while (r < 0 && fgets(ret, size, file)) {
		if (strncmp(ret, prefix, strlen(prefix)))
			continue;
		memmove(ret, ret + strlen(prefix), strlen(ret + strlen(prefix)) + 1);
		ret[strcspn(ret, "\n")] = '\0';
		r = 0;
	}
	fclose(file);
	return r;
}

static size_t cgroup_limit(void)
{
	char cgroup[PATH_MAX], path[PATH_MAX + 64], text[32];
	size_t limit = SIZE_MAX;
	char *slash;

	if (read_line("/proc/self/cgroup", "0::", cgroup, sizeof(cgroup)) < 0)
		return limit;
	do {
		uint64_t bytes;

		snprintf(path, sizeof(path), "%s%s/memory.max", CGROUP_ROOT, cgroup);
		if (read_line(path, "", text, sizeof(text)) >= 0 &&
		    sscanf(text, "%" SCNu64, &bytes) == 1)
			limit = MIN(limit, bytes);
		slash = strrchr(cgroup, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
	return limit;
}

size_t memory_limit(void)
{
	const long pages = sysconf(_SC_PHYS_PAGES);
	const long page_bytes = sysconf(_SC_PAGESIZE);
	size_t machine = SIZE_MAX;

	if (pages > 0 && page_bytes > 0)
		(void)size_mul(&machine, (size_t)pages, (size_t)page_bytes);
	return MIN(machine, cgroup_limit());
}
