/* SPDX-License-Identifier: MIT */
/*
 * A team of threads that runs one function at a time together with its caller. The engine starts a
 * run for every step; inside it the members meet at barriers and hand out work in chunks. A member
 * that waits spins for some tens of microseconds, then sleeps: a neighbour who needs the processor
 * gets it. A team belongs to the thread that made it.
 */
#ifndef LLMOS_ENGINE_THREADS_H
#define LLMOS_ENGINE_THREADS_H

#include "base/util.h"

#define THREADS_MAX	1024U

struct threads;

typedef void (*threads_func)(void *arg, unsigned int member);

/** threads_allowed() - processors this process may run on, 1 at least */
unsigned int threads_allowed(void);

/**
 * threads_new() - start a team
 * @count: members, the caller included, 1 to THREADS_MAX
 *
 * Return: 0; -ENOMEM, -EAGAIN no more threads, -EINVAL.
 */
int threads_new(struct threads **ret, unsigned int count);
void threads_free(struct threads *threads);
DEFINE_CLEANUP(struct threads *, threads_free);
unsigned int threads_count(const struct threads *threads);

/**
 * threads_run() - run @func in @members members (1: the caller alone; else all) and wait for them
 *
 * The caller is member 0.
 */
void threads_run(struct threads *threads, unsigned int members, threads_func func, void *arg);

/* ---- inside a run ---- */

/** threads_members() - how many take part in this run */
unsigned int threads_members(const struct threads *threads);

/** threads_barrier() - wait for the others; what they wrote is visible, chunks start again at 0 */
void threads_barrier(struct threads *threads);

/**
 * threads_chunk_next() - take the next chunk nobody has; chunks count up from 0 at each barrier
 *
 * A member's first chunk after a barrier is its own number, which costs nothing:
 *	for (c = member; c < count; c = threads_chunk_next(threads))
 */
unsigned int threads_chunk_next(struct threads *threads);

#endif /* LLMOS_ENGINE_THREADS_H */
