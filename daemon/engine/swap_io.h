/* SPDX-License-Identifier: MIT */
/*
 * A file without a name, buffers of its pages, and the thread that moves them: reads before writes,
 * each kind in the order in which it was asked for, so that who waits for a page never waits for
 * all that has just made way.
 *
 * The thread may be held up by the file system for as long as that likes. Nobody waits for it, and
 * neither does who closes: what the thread still needs is its own then, and goes with it. It writes
 * into buffers alone, never into a page of the cache.
 *
 * The calls belong to one thread, the owner of the swap, and allocate nothing after swap_io_open().
 */
#ifndef LLMOS_ENGINE_SWAP_IO_H
#define LLMOS_ENGINE_SWAP_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define SWAP_BUFFERS_MAX	256U

struct swap_io;

enum swap_buffer_state {
	SWAP_BUFFER_FREE,
	SWAP_BUFFER_TAKEN,	/* being filled by the owner */
	SWAP_BUFFER_QUEUED,
	SWAP_BUFFER_MOVING,	/* by the thread */
	SWAP_BUFFER_DONE,
};

/**
 * struct swap_buffer - a page on its way
 * @link: in a queue; @state: both under the lock
 * @result: 0 or -errno, when done; @took_ns: the time that was, 0: it was not moved at all
 * @place: in the file, counted in pages
 * @is_write: there; else from there
 * @data: (page_bytes)
 * @generation, @is_orphan: the owner's, as it likes
 */
struct swap_buffer {
	struct list link;
	enum swap_buffer_state state;
	int result;
	uint64_t took_ns;
	uint32_t place;
	uint32_t generation;
	bool is_write;
	bool is_orphan;
	char *data;
};

/**
 * swap_io_open() - buffers, and the thread that opens a file in @folder and moves them
 * @ready: called by that thread, under the lock, each time a read is done, and if there is no file;
 *	NULL: nobody waits. Not after swap_io_close()
 *
 * What is asked for before there is a file is done when there is one, or fails; where there is none
 * the buffers take no memory. Return: 0; -ENOMEM, -EAGAIN there can be no thread.
 */
int swap_io_open(struct swap_io **ret, const char *folder, size_t page_bytes,
		 void (*ready)(void *arg), void *arg);
/** swap_io_close() - what is not done is dropped; waits for nothing; takes NULL */
void swap_io_close(struct swap_io *io);
/** swap_io_error() - why there is no file, -errno; 0: there is one, or will be */
int swap_io_error(struct swap_io *io);
/** swap_io_bytes() - of all buffers; 0 where there is no file: none is kept filled */
size_t swap_io_bytes(struct swap_io *io);

/** swap_io_count() - buffers that there are; swap_io_at() is each of them */
unsigned int swap_io_count(const struct swap_io *io);
struct swap_buffer *swap_io_at(struct swap_io *io, unsigned int index);
/** swap_io_index() - for swap_io_at() */
unsigned int swap_io_index(const struct swap_io *io, const struct swap_buffer *buffer);
/** swap_io_take() - one that was free, to be asked for or filled, or NULL; some are for reads */
struct swap_buffer *swap_io_take(struct swap_io *io, bool is_write);
/** swap_io_ask() - move it */
void swap_io_ask(struct swap_io *io, struct swap_buffer *buffer);
/** swap_io_fill() - its data are there already */
void swap_io_fill(struct swap_io *io, struct swap_buffer *buffer);
/** swap_io_drop() - it is free again if the thread has not begun; Return: that was so */
bool swap_io_drop(struct swap_io *io, struct swap_buffer *buffer);
/** swap_io_free() - one that is done is free again */
void swap_io_free(struct swap_io *io, struct swap_buffer *buffer);
/** swap_io_done() - those that are done now, to @ret (SWAP_BUFFERS_MAX); Return: so many */
unsigned int swap_io_done(struct swap_io *io, struct swap_buffer **ret);
enum swap_buffer_state swap_io_state(struct swap_io *io, const struct swap_buffer *buffer);
/** swap_io_is_busy() - the thread has something to do, or is doing it */
bool swap_io_is_busy(struct swap_io *io);
/** swap_io_moves() - what the thread has done so far; @ret_busy: it is moving something now */
uint64_t swap_io_moves(struct swap_io *io, bool *ret_busy);

#endif /* LLMOS_ENGINE_SWAP_IO_H */
