/* SPDX-License-Identifier: MIT */
/* Views of clients' buffers; see view.h. */
#include "ipc/view.h"

#include <sys/mman.h>

int ipc_view_open(int fd, uint64_t offset, size_t len, bool write, struct ipc_view *ret)
{
	const uint64_t page_bytes = sysconf(_SC_PAGESIZE);
	const size_t skip = offset % page_bytes;
	void *base;

	if (!len || len > SIZE_MAX - skip || offset > INT64_MAX - (uint64_t)len)
		return -EINVAL;
	base = mmap(NULL, skip + len, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd,
		    offset - skip);
	if (base == MAP_FAILED)
		return -errno;
	*ret = (struct ipc_view){ .at = (uint8_t *)base + skip, .base = base, .size = skip + len };
	return 0;
}

void ipc_view_close(struct ipc_view *view)
{
	if (view->base)
		munmap(view->base, view->size);
	*view = (struct ipc_view){ 0 };
}
