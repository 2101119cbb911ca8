/* SPDX-License-Identifier: MIT */
/* Packed weights on the disk; see pack_cache.h. */
#include "engine/pack_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "kernels/panel.h"
#include "model/gguf.h"

#define MAGIC		"llmosPK"
#define SUFFIX		".panels"
#define TEMPORARY	".part"
#define HEADER_BYTES	4096U		/* panels begin on a page */
#define PATH_BYTES	3072U
#define FNV_BASIS	UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME	UINT64_C(0x100000001b3)

/**
 * struct header - the first page of a file; what is not used is zero
 * @plan: hash of types, shapes and places of all matrices
 * @checksum: of all bytes before it
 */
struct header {
	char magic[8];
	uint32_t header_bytes;
	uint32_t layout;
	uint64_t panel_bytes;
	uint64_t plan;
	struct gguf_identity source;
	char path[PATH_BYTES];
	uint8_t unused[HEADER_BYTES - PATH_BYTES - 80];
	uint64_t checksum;
};

_Static_assert(sizeof(struct header) == HEADER_BYTES, "a header is a page");

/* FNV-1a: against bits that were lost, and to name files; nobody who could write here is fooled */
static uint64_t hash_more(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * FNV_PRIME;
	return hash;
}

static uint64_t plan_hash(const struct pack *pack)
{
	uint64_t hash = FNV_BASIS;

	for (size_t i = 0; i < pack->count; i++) {
		const struct pack_item *item = &pack->items[i];
		const uint64_t facts[] = { item->matrix->type, item->matrix->w.rows,
					   item->matrix->w.cols, item->offset };

		hash = hash_more(hash, facts, sizeof(facts));
	}
	return hash;
}

/* header_fill() - the one that a file of this plan and source has */
static int header_fill(struct header *h, const struct pack *pack, const struct pack_source *source,
		       struct error *error)
{
	_cleanup_free_ char *path = realpath(source->path, NULL);
	int r;

	memset(h, 0, sizeof(*h));
	if (!path)
		return error_set(error, -errno, "'%s': %s", source->path, strerror(errno));
	if (strlen(path) >= sizeof(h->path))
		return error_set(error, -ENAMETOOLONG, "'%s': %s", path, strerror(ENAMETOOLONG));
	r = gguf_identify(source->gguf, &h->source);
	if (r < 0)
		return error_set(error, r, "'%s' is no file that can be recognised", path);
	memcpy(h->magic, MAGIC, sizeof(MAGIC));
	strcpy(h->path, path);
	h->header_bytes = HEADER_BYTES;
	h->layout = KERN_PANEL_VERSION;
	h->panel_bytes = pack->bytes;
	h->plan = plan_hash(pack);
	h->checksum = hash_more(FNV_BASIS, h, offsetof(struct header, checksum));
	return 0;
}

static void file_name(char *ret, size_t size, const struct header *h)
{
	snprintf(ret, size, "%016" PRIx64 SUFFIX,
		 hash_more(FNV_BASIS, h->path, strlen(h->path)));
}

/* ---- who may write there ---- */

static bool is_ours(const struct stat *st)
{
	return (st->st_uid == geteuid() || !st->st_uid) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int open_directory(const char *path, struct error *error)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(error, -errno, "can't make '%s': %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(error, -errno, "can't open '%s': %s", path, strerror(errno));
	if (!is_ours(&st))
		return error_set(error, -EPERM, "others may write into '%s'", path);
	return steal_fd(fd);
}

/* open_file() - one of the folder that is ours, and its size; without text: -ENOENT, -EPERM, ... */
static int open_file(int dir_fd, const char *name, struct stat *ret)
{
	_cleanup_close_ int fd = openat(dir_fd, name,
					O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, ret) < 0)
		return -errno;
	if (!S_ISREG(ret->st_mode) || !is_ours(ret))
		return -EPERM;
	return steal_fd(fd);
}

/* ---- finding ---- */

static int read_header(int fd, const struct stat *st, struct header *ret)
{
	if (pread(fd, ret, sizeof(*ret), 0) != (ssize_t)sizeof(*ret))
		return -EBADMSG;
	if (memcmp(ret->magic, MAGIC, sizeof(MAGIC)) || ret->path[sizeof(ret->path) - 1] ||
	    ret->checksum != hash_more(FNV_BASIS, ret, offsetof(struct header, checksum)))
		return -EBADMSG;
	if (ret->panel_bytes > (uint64_t)INT64_MAX - HEADER_BYTES ||
	    st->st_size != (off_t)(ret->panel_bytes + HEADER_BYTES))
		return -EBADMSG;
	return 0;
}

/* map_file() - and note where it is: without memory for that it is not removed where it is broken */
static int map_file(struct pack *pack, int fd, int protection, const char *directory,
		    const char *name)
{
	void *map;

	map = mmap(NULL, pack->bytes + HEADER_BYTES, protection, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	(void)madvise(map, pack->bytes + HEADER_BYTES, MADV_HUGEPAGE);
	pack->map = map;
	pack->map_bytes = pack->bytes + HEADER_BYTES;
	pack->base = pack->map + HEADER_BYTES;
	if (asprintf(&pack->kept, "%s/%s", directory, name) < 0)
		pack->kept = NULL;
	return 0;
}

int pack_cache_find(struct pack *pack, const struct pack_source *source, const char *directory,
		    struct error *error)
{
	_cleanup_close_ int dir_fd = -1, fd = -1;
	struct header wanted, there;
	char name[32];
	struct stat st;
	int r;

	r = header_fill(&wanted, pack, source, error);
	if (r < 0)
		return r;
	dir_fd = open_directory(directory, error);
	if (dir_fd < 0)
		return dir_fd;
	file_name(name, sizeof(name), &wanted);
	fd = open_file(dir_fd, name, &st);
	if (fd < 0)
		return error_set(error, fd, "'%s/%s': %s", directory, name, strerror(-fd));
	r = read_header(fd, &st, &there);
	if (r < 0)
		return error_set(error, r, "'%s/%s' is broken", directory, name);
	if (memcmp(&there, &wanted, sizeof(there)))
		return error_set(error, -ESTALE, "'%s/%s' is of another file or layout", directory,
				 name);
	r = map_file(pack, fd, PROT_READ, directory, name);
	if (r < 0)
		return error_set(error, r, "'%s/%s': %s", directory, name, strerror(-r));
	/* which of them is the oldest */
	(void)futimens(fd, (const struct timespec[2]){ { 0, UTIME_NOW }, { 0, UTIME_NOW } });
	return 0;
}

/* ---- making room ---- */
/* is_useless() - nobody will look for it again */
static bool is_useless(int fd, const struct stat *st)
{
	struct header h;

	if (read_header(fd, st, &h) < 0 || h.layout != KERN_PANEL_VERSION)
		return true;
	return access(h.path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* struct sweep - what one look through the folder gave */
struct sweep {
	uint64_t bytes;			/* of the files that are left */
	char oldest[NAME_MAX + 1];
	struct timespec oldest_time;
};

static bool is_older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void sweep_file(struct sweep *s, int dir_fd, const char *name, const char *keep)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* there may be other people's files */
	if (strspn(name, "0123456789abcdef") != 16)
		return;
	if (!strcmp(name + 16, SUFFIX TEMPORARY)) {
		(void)unlinkat(dir_fd, name, 0);
		return;
	}
	/* what is to be replaced goes by itself */
	if (strcmp(name + 16, SUFFIX) || !strcmp(name, keep))
		return;
	fd = open_file(dir_fd, name, &st);
	if (fd < 0)
		return;
	if (is_useless(fd, &st)) {
		(void)unlinkat(dir_fd, name, 0);
		return;
	}
	s->bytes += (uint64_t)st.st_size;
	if (s->oldest[0] && !is_older(&st.st_mtim, &s->oldest_time))
		return;
	snprintf(s->oldest, sizeof(s->oldest), "%s", name);
	s->oldest_time = st.st_mtim;
}

static int sweep(struct sweep *s, int dir_fd, const char *keep)
{
	const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	DIR *dir;

	*s = (struct sweep){ 0 };
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		const int r = -errno;

		close(fd);
		return r;
	}
	while ((entry = readdir(dir)))
		sweep_file(s, dir_fd, entry->d_name, keep);
	closedir(dir);
	return 0;
}

/* a quarter of the file system, where nobody said */
static uint64_t bound_of(int dir_fd, uint64_t max_bytes)
{
	struct statvfs fs;

	if (max_bytes || fstatvfs(dir_fd, &fs) < 0)
		return max_bytes;
	return (uint64_t)fs.f_blocks / 4 * fs.f_frsize;
}

/* make_room() - the oldest files go, until @bytes more are within the bound */
static int make_room(int dir_fd, const char *keep, uint64_t bytes, uint64_t max_bytes)
{
	struct sweep s;
	int r;

	if (max_bytes && bytes > max_bytes)
		return -EFBIG;
	for (;;) {
		r = sweep(&s, dir_fd, keep);
		if (r < 0)
			return r;
		if (!max_bytes || !s.oldest[0] || s.bytes <= max_bytes - bytes)
			return 0;
		if (unlinkat(dir_fd, s.oldest, 0) < 0)
			return -errno;
	}
}

/* ---- writing ---- */

/* a signal would end the process otherwise */
static bool is_within_limit(uint64_t bytes)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) < 0 || bytes <= limit.rlim_cur;
}

static int create_file(struct pack_cache *cache, struct pack *pack, const char *directory,
		       uint64_t max_bytes)
{
	const uint64_t bytes = (uint64_t)pack->bytes + HEADER_BYTES;
	int r;

	if (flock(cache->dir_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (!is_within_limit(bytes))
		return -EFBIG;
	r = make_room(cache->dir_fd, cache->name, bytes, bound_of(cache->dir_fd, max_bytes));
	if (r < 0)
		return r;
	cache->fd = openat(cache->dir_fd, cache->temporary,
			   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (cache->fd < 0)
		return -errno;
	/* a page that finds no room when it is written raises SIGBUS */
	r = posix_fallocate(cache->fd, 0, (off_t)bytes);
	return r ? -r : map_file(pack, cache->fd, PROT_READ | PROT_WRITE, directory, cache->name);
}

int pack_cache_begin(struct pack_cache *cache, struct pack *pack,
		     const struct pack_source *source, const char *directory, uint64_t max_bytes,
		     struct error *error)
{
	struct header h;
	int r;

	r = header_fill(&h, pack, source, error);
	if (r < 0)
		return r;
	cache->dir_fd = open_directory(directory, error);
	if (cache->dir_fd < 0)
		return cache->dir_fd;
	file_name(cache->name, sizeof(cache->name), &h);
	snprintf(cache->temporary, sizeof(cache->temporary), "%.24s" TEMPORARY, cache->name);
	r = create_file(cache, pack, directory, max_bytes);
	if (r < 0)
		return error_set(error, r, "can't keep %zu bytes of packed weights in '%s': %s",
				 pack->bytes, directory, strerror(-r));
	memcpy(pack->map, &h, sizeof(h));
	return 0;
}

static int finish_file(struct pack_cache *cache, struct pack *pack)
{
	if (msync(pack->map, pack->map_bytes, MS_SYNC) < 0 || fsync(cache->fd) < 0 ||
	    mprotect(pack->map, pack->map_bytes, PROT_READ) < 0 ||
	    renameat(cache->dir_fd, cache->temporary, cache->dir_fd, cache->name) < 0)
		return -errno;
	cache->temporary[0] = '\0';
	(void)fsync(cache->dir_fd);
	return 0;
}

int pack_cache_commit(struct pack_cache *cache, struct pack *pack, struct error *error)
{
	const int r = finish_file(cache, pack);

	if (r < 0) {
		error_set(error, r, "packed weights can't be written: %s", strerror(-r));
		pack_unmap(pack);
	}
	return r;
}

void pack_cache_end(struct pack_cache *cache)
{
	if (cache->fd >= 0 && cache->temporary[0])
		(void)unlinkat(cache->dir_fd, cache->temporary, 0);
	if (cache->fd >= 0)
		close(cache->fd);
	if (cache->dir_fd >= 0)
		close(cache->dir_fd);
	*cache = (struct pack_cache)PACK_CACHE_INIT;
}
