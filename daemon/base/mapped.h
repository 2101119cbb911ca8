/* SPDX-License-Identifier: MIT */
/*
 * A file mapped read-only, as a whole. The mapping is private; a file that is cut off later raises
 * SIGBUS where a page that is gone is touched. Whoever opened it owns it.
 */
#ifndef LLMOS_BASE_MAPPED_H
#define LLMOS_BASE_MAPPED_H

#include "base/util.h"

/** struct mapped_id - which file it was, and as of when: all of it changes where its bytes do */
struct mapped_id {
	uint64_t inode;
	uint64_t mtime_ns;
	uint64_t ctime_ns;
};

/** struct mapped - @data is NULL where nothing is mapped */
struct mapped {
	const char *data;
	size_t size_bytes;
	struct mapped_id id;
};

/**
 * mapped_open() - map a regular file that is not empty
 *
 * Return: 0; -ENOENT and what else open() gives, -EISDIR, -EBADMSG not a regular file or empty,
 * -EFBIG, -ENOMEM. The text names the file.
 */
int mapped_open(struct mapped *ret, const char *path, struct error *error);
void mapped_close(struct mapped *mapped);

static inline bool mapped_has(const struct mapped *mapped, uintptr_t address)
{
	return mapped->data && address - (uintptr_t)mapped->data < mapped->size_bytes;
}

#endif /* LLMOS_BASE_MAPPED_H */
