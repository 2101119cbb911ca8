/* SPDX-License-Identifier: MIT */
/* A file's bytes in memory; see mapped.h. */
#include "base/mapped.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"

static uint64_t time_ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec;
}

/* open_regular() - and what is known of it: all but where it is mapped */
static int open_regular(const char *path, struct mapped *ret, struct error *error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return error_set(error, -errno, "can't open '%s': %s", path, strerror(errno));
	if (fstat(fd, &st) < 0)
		return error_set(error, -errno, "can't stat '%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return error_set(error, -EISDIR, "can't open '%s': %s", path, strerror(EISDIR));
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EBADMSG, "'%s' is not a regular file", path);
	if ((uint64_t)st.st_size > SIZE_MAX / 2)
		return error_set(error, -EFBIG, "'%s': %s", path, strerror(EFBIG));
	if (!st.st_size)
		return error_set(error, -EBADMSG, "'%s': the file is empty", path);
	ret->size_bytes = (size_t)st.st_size;
	ret->id = (struct mapped_id){
		.inode = st.st_ino,
		.mtime_ns = time_ns(&st.st_mtim),
		.ctime_ns = time_ns(&st.st_ctim),
	};
	return steal_fd(fd);
}

static int open_as(struct mapped *ret, const char *path, bool is_read, struct error *error)
{
	_cleanup_close_ int fd = -1;
	struct mapped mapped = { .is_read = is_read };
	void *data;

	fd = open_regular(path, &mapped, error);
	if (fd < 0)
		return fd;
	if (is_read)
		data = mmap(NULL, mapped.size_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	else
		data = mmap(NULL, mapped.size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return error_set(error, -errno, "can't map '%s': %s", path, strerror(errno));
	mapped.data = data;
	mapped.fd = steal_fd(fd);
	*ret = mapped;
	return 0;
}

int mapped_open(struct mapped *ret, const char *path, struct error *error)
{
	return open_as(ret, path, false, error);
}

int mapped_open_read(struct mapped *ret, const char *path, struct error *error)
{
	return open_as(ret, path, true, error);
}

int mapped_read(const struct mapped *mapped, void *to, size_t at, size_t len, struct error *error)
{
	char *next = to;

	while (len) {
		const ssize_t n = pread(mapped->fd, next, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(error, -errno, "can't be read at byte %zu: %s", at,
					 strerror(errno));
		if (!n)
			return error_set(error, -EBADMSG,
					 "cut off at byte %zu while it was read", at);
		next += n;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* EFAULT stands for the SIGBUS that a touch would be; what else is wrong the touch will tell */
static int fetch_pages(const struct mapped *mapped, size_t at, size_t len, struct error *error)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t begin = ((uintptr_t)mapped->data + at) / page * page;
	const uintptr_t end = (uintptr_t)mapped->data + at + len;

	if (!len || !madvise((void *)begin, end - begin, MADV_POPULATE_READ) || errno != EFAULT)
		return 0;
	return error_set(error, -EIO, "can't be read between bytes %zu and %zu: %s", at, at + len,
			 strerror(EIO));
}

int mapped_fill(const struct mapped *mapped, size_t at, size_t len, struct error *error)
{
	if (mapped->is_read)
		return mapped_read(mapped, (char *)(uintptr_t)mapped->data + at, at, len, error);
	return fetch_pages(mapped, at, len, error);
}

int mapped_read_all(struct mapped *ret, const char *path, size_t max, struct error *error)
{
	struct error inner = { "" };
	struct mapped mapped;
	int r = mapped_open_read(&mapped, path, error);

	if (r < 0)
		return r;
	if (mapped.size_bytes > max)
		r = error_set(&inner, -E2BIG, "%zu bytes, the limit is %zu", mapped.size_bytes, max);
	else
		r = mapped_fill(&mapped, 0, mapped.size_bytes, &inner);
	if (r < 0) {
		mapped_close(&mapped);
		return error_set(error, r, "'%s': %s", path, inner.text);
	}
	*ret = mapped;
	return 0;
}

void mapped_close(struct mapped *mapped)
{
	if (mapped->data) {
		munmap((void *)(uintptr_t)mapped->data, mapped->size_bytes);
		close(mapped->fd);
	}
	*mapped = (struct mapped){ 0 };
}
