/* SPDX-License-Identifier: MIT */
/*
 * As much of io_uring as a command sees: what it was asked, what it keeps in the command, and what
 * becomes of it. Task work is noted down, and run by who calls kshim_run_task_work(). What io_uring
 * would not forgive ends the program: task work that is queued twice, a command finished twice.
 */
#ifndef KSHIM_IO_URING_H
#define KSHIM_IO_URING_H

#define IORING_URING_CMD_FIXED	BIT(0)
#define IORING_URING_CMD_MASK	BIT(0)

struct io_uring_sqe {
	u8 cmd[16];
};

/* The first three and @pdu are the kernel's own; the rest tells what has happened. */
struct io_uring_cmd {
	const struct io_uring_sqe *sqe;
	u32 flags;
	void (*task_work)(struct io_uring_cmd *cmd, unsigned int issue_flags);
	u8 pdu[32] __attribute__((aligned(8)));
	bool cancelable;
	bool dead;		/* nobody is left who could take what it brings */
	bool done;
	s32 result;
};

#define io_uring_cmd_to_pdu(command, type)						\
	({										\
		static_assert(sizeof(type) <= sizeof((command)->pdu));			\
		(type *)(command)->pdu;							\
	})

static inline void io_uring_cmd_mark_cancelable(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	(void)issue_flags;
	WARN_ON(cmd->cancelable || cmd->done);
	cmd->cancelable = true;
}

/* May be called with a lock held: it only queues. */
static inline void io_uring_cmd_complete_in_task(struct io_uring_cmd *cmd,
						 void (*work)(struct io_uring_cmd *, unsigned int))
{
	WARN_ON(cmd->task_work || cmd->done);
	cmd->task_work = work;
}

/* Return: was there any? */
static inline bool kshim_run_task_work(struct io_uring_cmd *cmd)
{
	void (*work)(struct io_uring_cmd *, unsigned int) = cmd->task_work;

	cmd->task_work = NULL;
	if (work)
		work(cmd, 0);
	return work != NULL;
}

#define llm_compat_uring_dead(cmd)	((cmd)->dead)

static inline void llm_compat_uring_done(struct io_uring_cmd *cmd, s32 result,
					 unsigned int issue_flags)
{
	(void)issue_flags;
	WARN_ON(cmd->done || cmd->task_work);
	cmd->done = true;
	cmd->result = result;
}

#define LLM_COMPAT_TASK_WORK(name, function)						\
	static void name(struct io_uring_cmd *cmd, unsigned int issue_flags)		\
	{										\
		function(cmd, issue_flags);						\
	}

/* Nobody has registered a buffer. */
#define llm_compat_uring_import(addr, len, direction, iter, cmd, issue_flags)		\
	((void)(addr), (void)(len), (void)(direction), (void)(iter), (void)(cmd),	\
	 (void)(issue_flags), kshim_bug("a registered buffer", __FILE__, __LINE__), -EINVAL)

#endif /* KSHIM_IO_URING_H */
