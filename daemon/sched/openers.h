/* SPDX-License-Identifier: MIT */
/*
 * Files of models and adapters that are read up to their weights, each by a thread of its own: one
 * on a disk that does not answer keeps nobody waiting who wants another one. There are not many
 * such threads, and fewer of them for one disk, so that one that hangs leaves some to the others; a
 * file that takes long is told of. Called by the scheduler's thread.
 */
#ifndef LLMOS_SCHED_OPENERS_H
#define LLMOS_SCHED_OPENERS_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/util.h"
#include "sched/opened.h"

#define OPENERS_SLOW_NS		(10 * NS_PER_S)	/* what takes so long is told of */

struct openers;
struct opening;

/**
 * struct opening_what - what is to be read
 * @name: of the model or the adapter
 * @path: of its file or folder
 * @device: the disk that it is on, as st_dev
 * @is_adapter: it is one
 * @is_for_list: nobody waits for it in particular: one thread of each disk is left to those who do
 */
struct opening_what {
	const char *name;
	const char *path;
	uint64_t device;
	bool is_adapter;
	bool is_for_list;
};

/**
 * openers_new() - without a thread before the first file
 * @news_fd: an eventfd that is written to when openers_heard() is to be called
 *
 * Return: 0 or -ENOMEM.
 */
int openers_new(struct openers **ret, int news_fd);
/** openers_free() - waits for all that is being read, and forgets it */
void openers_free(struct openers *openers);
/**
 * openers_heard() - has anything that was being read come to an end since the last call?
 *
 * What was forgotten and has ended makes room for others by that.
 */
bool openers_heard(struct openers *openers);
/** openers_tell() - the log says what has been read for long, once */
void openers_tell(struct openers *openers);
/** openers_tell_ns() - when there will be something to tell, 0: never */
uint64_t openers_tell_ns(const struct openers *openers);
/**
 * openers_slowest() - whose file has been read for longest, if that is long
 * @ret_ns: since when
 *
 * Return: the name of the model or the adapter, until openers_heard(); NULL: none.
 */
const char *openers_slowest(const struct openers *openers, uint64_t *ret_ns);

/**
 * opening_begin() - read another file
 *
 * Return: 0: @ret is to be taken when it has ended, or forgotten; -EBUSY there are as many as there
 * may be, and openers_heard() will tell of the end of one; -ENOMEM, -EAGAIN no thread can be had.
 */
int opening_begin(struct openers *openers, const struct opening_what *what, struct opening **ret);
/** opening_is_heard() - it has ended, as openers_heard() has said: it can be taken */
bool opening_is_heard(const struct opening *opening);
/** opening_print() - that it is being read, and for how long */
void opening_print(const struct opening *opening, char *text, size_t size);
/** opening_take() - it was heard: what opened_new() returned, or opened_new_adapter() */
int opening_take(struct opening *opening, struct opened **ret, struct error *error);
/** opening_forget() - nobody wants it any more; it takes its place until it ends */
void opening_forget(struct opening *opening);

#endif /* LLMOS_SCHED_OPENERS_H */
