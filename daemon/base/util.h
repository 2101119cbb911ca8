/* SPDX-License-Identifier: MIT */
/*
 * What every room of the daemon leans on: scope-bound cleanup, arithmetic that can't overflow
 * unseen, and an error that carries its one line of text upwards. Libraries never log: a function
 * that can fail in more than one way takes a struct error, and its caller decides who hears of it.
 */
#ifndef LLMOS_BASE_UTIL_H
#define LLMOS_BASE_UTIL_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)	({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })
#define MAX(a, b)	({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })

#define _cleanup_(f)	__attribute__((cleanup(f)))
#define _printf_(a, b)	__attribute__((format(printf, a, b)))

/* DEFINE_CLEANUP(struct thing *, thing_free): thing_freep() for _cleanup_ */
#define DEFINE_CLEANUP(type, func)			\
	static inline void func##p(type *p)		\
	{						\
		if (*p)					\
			func(*p);			\
	}						\
	struct _cleanup_needs_semicolon

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_	_cleanup_(freep)
#define _cleanup_close_	_cleanup_(closep)

/** steal_ptr() - hand a pointer over: returns it and leaves NULL behind */
#define steal_ptr(p)	({ __typeof__(p) _p = (p); (p) = NULL; _p; })
#define steal_fd(fd)	({ int _f = (fd); (fd) = -1; _f; })

/** size_mul() - *ret = a * b; false if that overflows */
static inline bool size_mul(size_t *ret, size_t a, size_t b)
{
	return !__builtin_mul_overflow(a, b, ret);
}

/** size_add() - *ret = a + b; false if that overflows */
static inline bool size_add(size_t *ret, size_t a, size_t b)
{
	return !__builtin_add_overflow(a, b, ret);
}

/** struct error - one line about what failed, without a newline */
struct error {
	char text[256];
};

/**
 * error_set() - describe a failure
 * @error: NULL: nobody wants to know
 * @r: -errno
 *
 * Return: @r, so that "return error_set(...)" reads well.
 */
int error_set(struct error *error, int r, const char *format, ...) _printf_(3, 4);

#endif /* LLMOS_BASE_UTIL_H */
