/* SPDX-License-Identifier: MIT */
/* Mapping a file; see mapped.h. */
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

int mapped_open(struct mapped *ret, const char *path, struct error *error)
{
	_cleanup_close_ int fd = -1;
	struct mapped mapped = { 0 };
	void *data;

	fd = open_regular(path, &mapped, error);
	if (fd < 0)
		return fd;
	data = mmap(NULL, mapped.size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return error_set(error, -errno, "can't map '%s': %s", path, strerror(errno));
	mapped.data = data;
	*ret = mapped;
	return 0;
}

void mapped_close(struct mapped *mapped)
{
	if (mapped->data)
		munmap((void *)mapped->data, mapped->size_bytes);
	*mapped = (struct mapped){ 0 };
}
