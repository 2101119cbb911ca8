/* SPDX-License-Identifier: MIT */
/*
 * The daemon's event loop: an io_uring for the device's commands, an epoll set for everything that
 * is a plain descriptor, and timers. The ring waits for all of them, because it polls the epoll set;
 * where there is no io_uring (containers often forbid it) the epoll set waits alone, and only the
 * device can't be served. One thread.
 */
#ifndef LLMOS_IPC_LOOP_H
#define LLMOS_IPC_LOOP_H

#include "base/list.h"
#include "base/util.h"

struct io_uring_sqe;
struct loop;

/** struct loop_source - a descriptor; @ready is called with EPOLL* bits as long as they hold */
struct loop_source {
	int fd;
	uint32_t events;
	void (*ready)(struct loop_source *source, uint32_t events);
};

/** struct loop_timer - list_init() its link first; @fire is called once, at or after @at_ns */
struct loop_timer {
	struct list link;
	uint64_t at_ns;
	void (*fire)(struct loop_timer *timer);
};

/** struct loop_op - a command in the ring; @done is called once with its result */
struct loop_op {
	void (*done)(struct loop_op *op, int res);
};

/** struct loop_dead - something to free once no event of this turn can name it any more */
struct loop_dead {
	struct list link;
	void (*free)(struct loop_dead *dead);
};

/** loop_new() - 0 or -errno; a ring that can't be had is no failure, see loop_ring_error() */
int loop_new(struct loop **ret, struct error *error);
void loop_free(struct loop *loop);
DEFINE_CLEANUP(struct loop *, loop_free);
/** loop_ring_error() - 0: there is a ring; -errno: why there is none */
int loop_ring_error(const struct loop *loop);

/**
 * loop_close_ring() - cancel all that is in the ring; none of its operations is told
 *
 * When it returns the kernel looks at no memory of theirs any more.
 */
void loop_close_ring(struct loop *loop);

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
/** loop_watch() - change the events of a source; 0 keeps it but hears only of hang-ups */
int loop_watch(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
void loop_timer_stop(struct loop_timer *timer);

void loop_bury(struct loop *loop, struct loop_dead *dead);

/**
 * loop_sqe() - the next free entry of the ring, with @op to be told of its result
 *
 * It is submitted by the next loop_run() or loop_submit(). Return: NULL: the ring can't take more.
 */
struct io_uring_sqe *loop_sqe(struct loop *loop, struct loop_op *op);
/** loop_submit() - hand all entries to the kernel and handle the results there are */
void loop_submit(struct loop *loop);

/**
 * loop_run() - one turn: submit, wait if @wait, handle every event there is
 *
 * Return: number of things handled; -errno the loop itself is broken.
 */
int loop_run(struct loop *loop, bool wait);

#endif /* LLMOS_IPC_LOOP_H */
