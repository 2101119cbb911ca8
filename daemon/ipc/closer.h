/* SPDX-License-Identifier: MIT */
/*
 * Closes what came from clients. To close a file is to flush it, and a file system in user space
 * may never be done with that, nor a socket that lingers: so threads do it, a few for each user and
 * not many in all. What none of them has time for waits. Owned by the socket server; a thread that is
 * stuck outlives it.
 */
#ifndef LLMOS_IPC_CLOSER_H
#define LLMOS_IPC_CLOSER_H

#include "base/util.h"
#include "ipc/loop.h"

#define CLOSERS_MAX		64U	/* at work at once */
#define CLOSERS_USER_MAX	8U	/* of them for one user */
#define CLOSERS_USER_WAITING	32U	/* descriptors of one user for whom all of those are at work */
#define CLOSERS_WAITING_MAX	4096U	/* descriptors; beyond that no connection is accepted */

struct closers;

/** closers_new() - 0, -ENOMEM */
int closers_new(struct closers **ret, struct loop *loop);
void closers_free(struct closers *closers);
/**
 * closers_close() - close @fd, which is taken over, without making the caller wait
 * @uid: who sent it
 *
 * Return: false: that user keeps as many threads busy as he may, and more waits for them than would
 * if they only had to wait for a processor.
 */
bool closers_close(struct closers *closers, uint32_t uid, int fd);
/** closers_close_socket() - hang up a connection of @uid, in which descriptors may be queued */
void closers_close_socket(struct closers *closers, uint32_t uid, int fd);
/** closers_busy() - for @uid as many are at work, and as many wait, as may */
bool closers_busy(struct closers *closers, uint32_t uid);
/** closers_full() - too much waits */
bool closers_full(struct closers *closers);

#endif /* LLMOS_IPC_CLOSER_H */
