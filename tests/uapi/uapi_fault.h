/* SPDX-License-Identifier: MIT */
/*
 * Failures on order, where the kernel can inject them (CONFIG_FAULT_INJECTION): the nth thing of a
 * call that can fail does (an allocation; with CONFIG_FAULT_INJECTION_USERCOPY also a copy), or so
 * many out of a hundred, in the tasks that ask for it. Root only.
 */
#ifndef UAPI_FAULT_H
#define UAPI_FAULT_H

#include <stdbool.h>

/* Makes ready what the kernel has of it, without words. Return: it has what is needed. */
bool fault_begin(void);
/* Failures of copies are among those injected. */
bool fault_has_copies(void);

/* The @nth thing that can fail from here on, in this thread, does. */
void fault_arm(unsigned int nth);
/* Return: it did. */
bool fault_disarm(void);

/*
 * Of what can fail in tasks that asked for it, so many in a hundred do, until it is 0: of what the
 * module calls, where the kernel can tell that (CONFIG_FAULT_INJECTION_STACKTRACE_FILTER).
 */
void fault_shower(unsigned int percent);
/* This task asks for it, and so do all that it forks. */
void fault_join(void);

#endif /* UAPI_FAULT_H */
