/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the policy needs of the world: fixed-width integers and a division. The files of this folder
 * are the arithmetic of quotas, fair order and credits; the module compiles them, the daemon
 * compiles the same ones for its socket, and tests run them in user space. They allocate nothing,
 * sleep never, know no lock (the caller holds one around every call) and read no clock: times are
 * CLOCK_MONOTONIC nanoseconds that the caller passes.
 */
#ifndef LLM_POLICY_TYPES_H
#define LLM_POLICY_TYPES_H

#ifdef __KERNEL__
#include <linux/bug.h>
#include <linux/container_of.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/types.h>
#elif !defined(KSHIM_H)
#include "base/kernel.h"
#endif

#endif /* LLM_POLICY_TYPES_H */
