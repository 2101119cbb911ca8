/* SPDX-License-Identifier: MIT */
/*
 * A file's bytes in memory. Either it is mapped read-only, as a whole: the mapping is private, and a
 * file that is cut off later, or a disk that fails, raises SIGBUS where a page that is gone is
 * touched. Or there is memory of its size, into which its bytes are read as they are asked for: that
 * takes memory for what was read, and what goes wrong is an error. Whoever opened it owns it.
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

/**
 * struct mapped - see above
 * @data: NULL where nothing is mapped
 * @is_read: bytes are there once mapped_fill() was asked for them
 * @fd: the file, open for reading
 */
struct mapped {
	const char *data;
	size_t size_bytes;
	struct mapped_id id;
	bool is_read;
	int fd;
};

/**
 * mapped_open() - map a regular file that is not empty
 *
 * Return: 0; -ENOENT and what else open() gives, -EISDIR, -EBADMSG not a regular file or empty,
 * -EFBIG, -ENOMEM. The text names the file.
 */
int mapped_open(struct mapped *ret, const char *path, struct error *error);
void mapped_close(struct mapped *mapped);

/** mapped_open_read() - the same, with memory into which nothing was read yet; as mapped_open() */
int mapped_open_read(struct mapped *ret, const char *path, struct error *error);

/**
 * mapped_fill() - have bytes of it, which lie within it
 *
 * Of a file that is mapped they are fetched: if that fails now it is an error, as it is for one that
 * is read; afterwards the kernel may still drop them and fail to fetch them again.
 *
 * Return: 0; -EIO and what else pread() gives, -EBADMSG the file ends before them by now. The text
 * does not name the file.
 */
int mapped_fill(const struct mapped *mapped, size_t at, size_t len, struct error *error);

/**
 * mapped_read() - copy bytes of it, which lie within it, without mapping their pages
 *
 * Return: 0; as mapped_fill() of one that is read, and @to may have some of them.
 */
int mapped_read(const struct mapped *mapped, void *to, size_t at, size_t len, struct error *error);

/** mapped_read_all() - mapped_open_read() and all of it; -E2BIG more than @max bytes */
int mapped_read_all(struct mapped *ret, const char *path, size_t max, struct error *error);

static inline bool mapped_has(const struct mapped *mapped, uintptr_t address)
{
	return mapped->data && address - (uintptr_t)mapped->data < mapped->size_bytes;
}

#endif /* LLMOS_BASE_MAPPED_H */
