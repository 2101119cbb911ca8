/* SPDX-License-Identifier: MIT */
/*
 * An io_uring that carries commands to a device: what device.c needs of liburing and no more.
 * Belongs to the thread of its connection.
 */
#ifndef LLMOS_RING_H
#define LLMOS_RING_H

#include <stdint.h>

struct llmos_ring;

/* -errno where io_uring is missing, switched off, filtered, or too old for device commands */
int llmos_ring_new(struct llmos_ring **ret);
void llmos_ring_free(struct llmos_ring *ring);
/* an eventfd that is readable while there may be completions; made at the first call */
int llmos_ring_event_fd(struct llmos_ring *ring);
/*
 * Queue command @cmd, whose struct @arg starts with its size, for @fd. It is handed to the kernel
 * by the next flush. @token comes back with the completion.
 */
int llmos_ring_queue(struct llmos_ring *ring, int fd, unsigned int cmd, const void *arg,
		     void *token);
/* hand queued commands to the kernel */
int llmos_ring_flush(struct llmos_ring *ring);
/* ask the kernel to cancel everything on its way; the completions still come */
int llmos_ring_cancel_all(struct llmos_ring *ring);
/*
 * One completion. Waits up to timeout_ms for it (0: takes what is there, -1: forever).
 * Return: 1 and the completion; 0 none came; -EINTR, -errno.
 */
int llmos_ring_reap(struct llmos_ring *ring, int timeout_ms, void **ret_token, int *ret_result);

#endif /* LLMOS_RING_H */
