/* SPDX-License-Identifier: MIT */
/*
 * Packed weights kept in a folder, so that the next start maps them and packs nothing. One file for
 * each model file, named after its path: a header that says of what file, which layout and which
 * matrices it is, and the panels as they are in memory. A file that does not say exactly what is
 * wanted is no error: it is packed anew and replaced. What is in a panel is not checked when it is
 * read, no more than weights in a model's file are; so the folder and its files have to belong to
 * this user, or to root, and be written by nobody else.
 */
#ifndef LLMOS_ENGINE_PACK_CACHE_H
#define LLMOS_ENGINE_PACK_CACHE_H

#include "base/util.h"
#include "engine/pack.h"

/** struct pack_source - what is kept is of this file alone: see struct gguf_identity */
struct pack_source {
	const char *path;
	const struct gguf *gguf;
};

/** struct pack_cache - a file that is being written; the folder is locked meanwhile */
struct pack_cache {
	int dir_fd;
	int fd;
	char name[32];
	char temporary[32];
};

#define PACK_CACHE_INIT	{ .dir_fd = -1, .fd = -1 }

/**
 * pack_cache_find() - map what is kept of this plan to @pack->base, read-only
 *
 * Return: 0; -ENOENT there is no file, -ESTALE it is of another file, layout or plan, -EBADMSG it
 * is broken, -EPERM folder or file are not ours alone, -EOPNOTSUPP the source has no identity, and
 * what open() and mmap() give. The text says why.
 */
int pack_cache_find(struct pack *pack, const struct pack_source *source, const char *directory,
		    struct error *error);
/**
 * pack_cache_begin() - a new file, mapped writable to @pack->base, its room on the disk taken
 * @max_bytes: that all files of the folder may have; the oldest go for it. 0: a quarter of
 *	its file system
 *
 * Files whose source is gone are removed, and what a crash has left.
 *
 * Return: 0; -EBUSY another process writes there, -EPERM, -EFBIG more than @max_bytes or this
 * process's limit, -ENOSPC, -EOPNOTSUPP, ...: @pack is as it was.
 */
int pack_cache_begin(struct pack_cache *cache, struct pack *pack,
		     const struct pack_source *source, const char *directory, uint64_t max_bytes,
		     struct error *error);
/**
 * pack_cache_commit() - the panels are complete: on the disk, and found from now on
 *
 * Return: 0, @pack->base is read-only; what fsync() and rename() give: @pack has no base any more.
 */
int pack_cache_commit(struct pack_cache *cache, struct pack *pack, struct error *error);
/** pack_cache_end() - the folder is free for others; what was not committed is gone */
void pack_cache_end(struct pack_cache *cache);

#endif /* LLMOS_ENGINE_PACK_CACHE_H */
