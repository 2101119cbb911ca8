/* SPDX-License-Identifier: MIT */
/*
 * A model's file is mapped; if somebody truncates it, the next touch of a lost page is a SIGBUS, on
 * whichever thread computes. There is no answer left to give then: the guard says in one line which
 * model it was and ends the process, so that the service manager starts a new one and the broker
 * hands the requests to it.
 *
 * Memory of clients is another matter: it is copied by guard_copy(), for which a lost page is an
 * error like any other.
 */
#ifndef LLMOS_SCHED_GUARD_H
#define LLMOS_SCHED_GUARD_H

#include <stddef.h>

struct engine_model;

/** guard_install() - catch SIGBUS; 0 or -errno */
int guard_install(void);
/** guard_opening() - this thread is about to open and read model @name's file; NULL: no longer */
void guard_opening(const char *name);
/** guard_loading() - the same, with all threads that this one starts for it; one model at a time */
void guard_loading(const char *name);
/** guard_add() - the pages of the files it maps belong to model @name; both until guard_remove() */
void guard_add(const char *name, const struct engine_model *model);
void guard_remove(const char *name);
/** guard_copy() - memcpy() from or to pages that may go away; 0 or -EFAULT: any part was copied */
int guard_copy(void *to, const void *from, size_t len);

#endif /* LLMOS_SCHED_GUARD_H */
