/* SPDX-License-Identifier: MIT */
/*
 * Options structs of callers that may be older or newer than the library, and the real numbers in
 * them.
 */
#ifndef LLMOS_OPTS_H
#define LLMOS_OPTS_H

#include "internal.h"

/*
 * Copy a caller's options, which start with their size, into @ret of @size bytes; @opts may be
 * NULL. Return: 0; -EINVAL their size, which is then in *@ret_bad, is nonsense; -E2BIG the option
 * at that byte is set and not known.
 */
int llmos_opts_take(void *ret, size_t size, const void *opts, size_t *ret_bad);
/* the other way: as much as fits, with the size kept; -EINVAL it is nonsense */
int llmos_opts_give(void *caller, const void *src, size_t size);

/*
 * Copy a caller's options, which start with their size, into @ret of @size bytes; @opts may be
 * NULL. Return: 0; -EINVAL the size is nonsense; -E2BIG an option that this library does not know
 * is set.
 */
int llmos_opts_copy(struct llmos *llmos, void *ret, size_t size, const void *opts);
/* copy @src to a caller's struct that starts with its size, as much of it as fits there */
int llmos_opts_return(struct llmos *llmos, void *caller, const void *src, size_t size);

/* check the numbers of a generation and write them as the broker wants them */
int llmos_opts_sampling(struct llmos *llmos, const struct llmos_generate_opts *opts,
			struct llm_sampling *ret);
/* -EINVAL: not an enum llmos_class */
int llmos_opts_class(struct llmos *llmos, unsigned int sched_class);
/* number of alternatives wanted; at least 1 on the wire if log-probabilities are */
int llmos_opts_logprobs(struct llmos *llmos, uint32_t top, bool logprobs, uint32_t *ret);

#endif /* LLMOS_OPTS_H */
