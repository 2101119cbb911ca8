/* SPDX-License-Identifier: MIT */
/*
 * The connection as the library's own files see it, and the few helpers they share. Public calls
 * are declared in llmos.h; names declared here or in the other headers of this folder never leave
 * the shared library.
 */
#ifndef LLMOS_INTERNAL_H
#define LLMOS_INTERNAL_H

#include <stdarg.h>
#include <stdlib.h>
#include <linux/llm.h>

#include "list.h"
#include "llmos.h"
#include "transport.h"

#define LLMOS_ERROR_MAX	512

/**
 * struct llmos - a connection
 * @transport: carries its commands
 * @address: as llmos_open() takes it
 * @features: limits of the broker
 * @requests: all that the caller has not freed
 * @callbacks: run by the dispatch that is under way
 * @dispatching: a dispatch is under way: a callback may not begin another
 * @error: about the last call that failed
 */
struct llmos {
	struct llmos_transport *transport;
	char *address;
	struct llm_features features;
	struct llmos_list requests;
	int callbacks;
	bool dispatching;
	char error[LLMOS_ERROR_MAX];
};

/* set the error line to "what: errno text" and return @error, a -errno */
__attribute__((format(printf, 3, 4)))
int llmos_fail(struct llmos *llmos, int error, const char *what, ...);
/* the same into a line of somebody else's */
__attribute__((format(printf, 3, 0)))
int llmos_fail_line(char line[LLMOS_ERROR_MAX], int error, const char *what, va_list ap);
/* text of a -errno */
const char *llmos_strerror(int error);

/* llmos_dispatch() for calls of the library that wait: 0 or -errno, the error line set */
int llmos_step(struct llmos *llmos, int timeout_ms);
/*
 * Do one command and wait for its result, which is returned. The command must not have an on_done;
 * if waiting fails it is no longer the caller's: *command becomes NULL.
 */
int llmos_call(struct llmos *llmos, struct llmos_command **command);

/* -EOPNOTSUPP: there are no buffers over this connection */
int llmos_buffer_check(struct llmos *llmos);

/* ---- cleanup ---- */

#define _cleanup_(fn)	__attribute__((cleanup(fn)))

static inline void llmos_freep(void *ptr)
{
	free(*(void **)ptr);
}

static inline void llmos_command_freep(struct llmos_command **command)
{
	llmos_command_free(*command);
}

static inline void llmos_request_freep(struct llmos_request **request)
{
	llmos_request_free(*request);
}

static inline void llmos_tokens_freep(struct llmos_tokens **tokens)
{
	llmos_tokens_free(*tokens);
}

static inline void llmos_models_freep(struct llmos_models **models)
{
	llmos_models_free(*models);
}

static inline void llmos_processes_freep(struct llmos_processes **processes)
{
	llmos_processes_free(*processes);
}

#define _cleanup_free_	_cleanup_(llmos_freep)

#endif /* LLMOS_INTERNAL_H */
