/* SPDX-License-Identifier: MIT */
/*
 * A view is a part of a client's registered buffer, mapped for a moment. Its owner may
 * change the memory at any time, and touching it is SIGBUS once the request is over: use guard_copy(), and
 * look at nothing but the copy. Made by a transport, owned by who asked for it.
 */
#ifndef LLMOS_IPC_VIEW_H
#define LLMOS_IPC_VIEW_H

#include "base/util.h"

/**
 * struct ipc_view - see above
 * @at: the first byte that was asked for
 * @base: of the whole pages around it; NULL: nothing is mapped
 * @size: bytes of these
 */
struct ipc_view {
	uint8_t *at;
	void *base;
	size_t size;
};

/**
 * ipc_view_open() - map a part of a file
 * @fd: the file
 * @offset: where in it; need not be the start of a page
 * @len: bytes, not 0
 * @write: it is to be written, too
 * @ret: the view
 *
 * Return: 0; -EINVAL nothing is there, or out of range, -EACCES not to be written, -EPERM, -ENOMEM.
 */
int ipc_view_open(int fd, uint64_t offset, size_t len, bool write, struct ipc_view *ret);
/** ipc_view_close() - zero-initialised is fine */
void ipc_view_close(struct ipc_view *view);

#endif /* LLMOS_IPC_VIEW_H */
