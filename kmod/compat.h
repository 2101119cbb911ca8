/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that llm.ko is built for, 6.12 and newer. The only file that
 * asks for a version. The rest of the module writes against the newest form.
 */
#ifndef LLM_COMPAT_H
#define LLM_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/io_uring/cmd.h>
#include <linux/percpu-refcount.h>
#include <linux/sched.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "llm needs Linux 6.12: older ones can not cancel a parked io_uring command"
#endif

/* Is nobody left who could take what a command brings, so that its memory must not be touched? */
static inline bool llm_compat_uring_dead(struct io_uring_cmd *cmd)
{
	return current->flags & (PF_EXITING | PF_KTHREAD) ||
	       percpu_ref_is_dying(&cmd_to_io_kiocb(cmd)->ctx->refs);
}

/* 6.18 took away the second result, which was never ours. */
static inline void llm_compat_uring_done(struct io_uring_cmd *cmd, s32 result,
					 unsigned int issue_flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	io_uring_cmd_done(cmd, result, 0, issue_flags);
#else
	io_uring_cmd_done(cmd, result, issue_flags);
#endif
}

static inline void llm_compat_hrtimer_setup(struct hrtimer *timer,
					    enum hrtimer_restart (*function)(struct hrtimer *),
					    clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#else
	hrtimer_setup(timer, function, clock, mode);
#endif
}

/* 6.15 finds the buffer when it is asked for, and needs to know what is locked. */
static inline int llm_compat_uring_import(u64 addr, unsigned long len, int direction,
					  struct iov_iter *ret_iter, struct io_uring_cmd *cmd,
					  unsigned int issue_flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	return io_uring_cmd_import_fixed(addr, len, direction, ret_iter, cmd);
#else
	return io_uring_cmd_import_fixed(addr, len, direction, ret_iter, cmd, issue_flags);
#endif
}

/* Defines @name, to be given to io_uring_cmd_complete_in_task(), as a call of @function. */
#ifdef IO_URING_CMD_TASK_WORK_ISSUE_FLAGS
#define LLM_COMPAT_TASK_WORK(name, function)					\
	static void name(struct io_tw_req tw_req, io_tw_token_t tw)		\
	{									\
		function(io_uring_cmd_from_tw(tw_req),				\
			 IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);			\
	}
#else
#define LLM_COMPAT_TASK_WORK(name, function)					\
	static void name(struct io_uring_cmd *cmd, unsigned int issue_flags)	\
	{									\
		function(cmd, issue_flags);					\
	}
#endif

#endif /* LLM_COMPAT_H */
