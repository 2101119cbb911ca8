// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands by io_uring: a call that has to wait is parked without a thread, and makes its next
 * attempt in task work of the task that issued it, which is the only place where its memory may
 * be written.
 *
 * Whoever finishes a command: the issue itself, before the call is parked; else its task work,
 * if the call was woken; else io_uring's cancel, if it was still parked. The broker's lock decides
 * which, by who takes the call off its list. A command that io_uring may cancel is only
 * ever finished by io_uring_cmd_done(), which takes it off io_uring's list of those; a cancel that
 * comes before that finds the command without its call, which its file keeps for another one.
 */
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "args.h"
#include "broker.h"
#include "call.h"
#include "client.h"
#include "compat.h"
#include "server.h"
#include "uring.h"

/* A file keeps so many calls for its next commands. */
#define LLM_URING_SPARES	64

/**
 * struct llm_uring_call - a call that can park without a thread
 * @call: the call
 * @next: while it is a spare one
 * @cmd: io_uring's side of it
 * @deadline: ends the wait, if the call has a deadline
 */
struct llm_uring_call {
	struct llm_call call;
	struct llm_uring_call *next;
	struct io_uring_cmd *cmd;
	struct delayed_work deadline;
};

static struct kmem_cache *llm_uring_cache;

/* What io_uring keeps for us in a command. */
struct llm_uring_pdu {
	struct llm_uring_call *ucall;
};

static struct llm_uring_call *llm_uring_call(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct llm_uring_pdu)->ucall;
}

static struct llm_uring_pool *llm_uring_pool(const struct llm_uring_call *ucall)
{
	return ucall->call.client ? &ucall->call.client->pool : &ucall->call.server->pool;
}

/** llm_uring_pool_init() - nothing is spare */
void llm_uring_pool_init(struct llm_uring_pool *pool)
{
	spin_lock_init(&pool->lock);
	pool->first = NULL;
	pool->count = 0;
}

/** llm_uring_pool_empty() - its file is closed */
void llm_uring_pool_empty(struct llm_uring_pool *pool)
{
	while (pool->first) {
		struct llm_uring_call *ucall = pool->first;

		pool->first = ucall->next;
		kmem_cache_free(llm_uring_cache, ucall);
	}
}

/* Return: a call that was used before, or a new one; or NULL. */
static struct llm_uring_call *llm_uring_take(struct llm_uring_pool *pool)
{
	struct llm_uring_call *ucall;

	spin_lock(&pool->lock);
	ucall = pool->first;
	if (ucall) {
		pool->first = ucall->next;
		pool->count--;
	}
	spin_unlock(&pool->lock);
	return ucall ?: kmem_cache_alloc(llm_uring_cache, GFP_KERNEL);
}

/* Nothing refers to the call any more but, if it was parked, its command. */
static void llm_uring_return(struct llm_uring_call *ucall, struct io_uring_cmd *parked)
{
	struct llm_uring_pool *pool = llm_uring_pool(ucall);

	spin_lock(&pool->lock);
	if (parked)
		io_uring_cmd_to_pdu(parked, struct llm_uring_pdu)->ucall = NULL;
	if (pool->count < LLM_URING_SPARES) {
		ucall->next = pool->first;
		pool->first = ucall;
		pool->count++;
		ucall = NULL;
	}
	spin_unlock(&pool->lock);
	if (ucall)
		kmem_cache_free(llm_uring_cache, ucall);
}

/* With its command goes what may be the last reference to the file. */
static void llm_uring_finish(struct llm_uring_call *ucall, int result, unsigned int issue_flags)
{
	struct io_uring_cmd *cmd = ucall->cmd;

	if (ucall->call.deadline_ns)
		cancel_delayed_work_sync(&ucall->deadline);
	llm_uring_return(ucall, cmd);
	llm_compat_uring_done(cmd, result, issue_flags);
}

static void llm_uring_retry(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct llm_uring_call *ucall = llm_uring_call(cmd);
	struct llm_call *call = &ucall->call;
	int rc;

	if (llm_compat_uring_dead(cmd)) {
		if (call->command->abandon)
			call->command->abandon(call);
		llm_uring_finish(ucall, -ECANCELED, issue_flags);
		return;
	}
	call->fixed_flags = issue_flags;
	rc = call->command->attempt(call, true);
	if (rc != -EIOCBQUEUED)
		llm_uring_finish(ucall, rc, issue_flags);
}

LLM_COMPAT_TASK_WORK(llm_uring_task_work, llm_uring_retry)

/* The lock is held; from here on the call belongs to its task work. */
static void llm_uring_wake(struct llm_waiter *waiter)
{
	struct llm_uring_call *ucall = container_of(waiter, struct llm_uring_call, call.waiter);

	io_uring_cmd_complete_in_task(ucall->cmd, llm_uring_task_work);
}

static void llm_uring_deadline(struct work_struct *work)
{
	struct llm_uring_call *ucall =
		container_of(to_delayed_work(work), struct llm_uring_call, deadline);
	const unsigned long timeout = llm_call_timeout(&ucall->call);

	if (timeout)
		schedule_delayed_work(&ucall->deadline, timeout);
	else
		llm_call_expire(&ucall->call);
}

static void llm_uring_start_deadline(struct llm_uring_call *ucall)
{
	if (!ucall->call.deadline_ns)
		return;
	INIT_DELAYED_WORK(&ucall->deadline, llm_uring_deadline);
	schedule_delayed_work(&ucall->deadline, llm_call_timeout(&ucall->call));
}

/* The address and the size of the struct; the entry may change while it is looked at. */
static int llm_uring_arg(const struct io_uring_cmd *cmd, const struct llm_command *command,
			 void __user **ret_arg, u32 *ret_len)
{
	const struct llm_uring_cmd *sqe_cmd = (const void *)cmd->sqe->cmd;
	const u32 known = command->fixed ? IORING_URING_CMD_FIXED : 0;

	/* Several completions are not for these commands. */
	if (cmd->flags & IORING_URING_CMD_MASK & ~known || READ_ONCE(sqe_cmd->flags))
		return -EINVAL;
	*ret_arg = u64_to_user_ptr(READ_ONCE(sqe_cmd->arg));
	*ret_len = READ_ONCE(sqe_cmd->arg_len);
	return 0;
}

/* Notes down that the command's bytes are in a buffer that is registered with its ring. */
static void llm_uring_set_fixed(struct llm_call *call, struct io_uring_cmd *cmd,
				unsigned int issue_flags)
{
	if (cmd->flags & IORING_URING_CMD_FIXED)
		call->fixed = cmd;
	call->fixed_flags = issue_flags;
}

/** llm_uring_import() - llm_call_import() for such a command */
int llm_uring_import(struct llm_call *call, int direction, u64 addr, size_t len,
		     struct iov_iter *ret_iter)
{
	return llm_compat_uring_import(addr, len, direction, ret_iter, call->fixed,
				       call->fixed_flags);
}

/* Return: the command's result; 0 if an attempt is to follow. */
static int llm_uring_begin(struct llm_call *call, u32 arg_len)
{
	int rc = llm_args_read(call);

	if (rc)
		return rc;
	if (call->size != arg_len)
		return -EINVAL;
	return call->command->start(call);
}

/*
 * Parks a command for which there is nothing yet. Once io_uring can cancel it, it has to know its
 * call; and only then may somebody find it parked.
 */
static int llm_uring_park(struct llm_uring_call *ucall, unsigned int issue_flags)
{
	struct io_uring_cmd *cmd = ucall->cmd;
	int rc;

	io_uring_cmd_to_pdu(cmd, struct llm_uring_pdu)->ucall = ucall;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	llm_uring_start_deadline(ucall);
	rc = ucall->call.command->attempt(&ucall->call, true);
	if (rc != -EIOCBQUEUED)
		llm_uring_finish(ucall, rc, issue_flags);
	return -EIOCBQUEUED;
}

/* A result of EAGAIN would make io_uring issue the command again. */
static int llm_uring_result(struct io_uring_cmd *cmd, int rc, unsigned int issue_flags)
{
	if (rc != -EAGAIN)
		return rc;
	llm_compat_uring_done(cmd, rc, issue_flags);
	return -EIOCBQUEUED;
}

static int llm_uring_issue_now(struct io_uring_cmd *cmd, unsigned int issue_flags,
			       struct llm_call *call, u32 arg_len)
{
	return llm_uring_result(cmd, llm_uring_begin(call, arg_len), issue_flags);
}

static int llm_uring_issue_waiting(struct io_uring_cmd *cmd, unsigned int issue_flags,
				   struct llm_uring_call *ucall, u32 arg_len)
{
	struct llm_call *call = &ucall->call;
	int rc;

	call->waiter.wake = llm_uring_wake;
	ucall->cmd = cmd;
	rc = llm_uring_begin(call, arg_len);
	if (rc >= 0 && !call->nonblock && call->command->parks && call->command->parks(call))
		return llm_uring_park(ucall, issue_flags);
	if (rc >= 0) {
		call->probe = !call->nonblock;
		rc = call->command->attempt(call, false);
	}
	if (rc == -EAGAIN && call->probe)
		return llm_uring_park(ucall, issue_flags);
	llm_uring_return(ucall, NULL);
	return llm_uring_result(cmd, rc, issue_flags);
}

/**
 * llm_uring_issue() - carries out a command, for ->uring_cmd()
 * @cmd: from io_uring
 * @issue_flags: from io_uring
 * @command: which
 * @client: on /dev/llm, whose
 * @server: on /dev/llmd, whose
 *
 * Return: the command's result; EIOCBQUEUED it will come or has come by io_uring_cmd_done().
 */
int llm_uring_issue(struct io_uring_cmd *cmd, unsigned int issue_flags,
		    const struct llm_command *command, struct llm_client *client,
		    struct llm_server *server)
{
	struct llm_uring_call *ucall;
	void __user *arg;
	u32 arg_len;
	int err;

	err = llm_uring_arg(cmd, command, &arg, &arg_len);
	if (err)
		return err;
	if (!command->attempt) {
		struct llm_call call;

		llm_call_init(&call, command, client, server, arg);
		llm_uring_set_fixed(&call, cmd, issue_flags);
		return llm_uring_issue_now(cmd, issue_flags, &call, arg_len);
	}
	ucall = llm_uring_take(client ? &client->pool : &server->pool);
	if (!ucall)
		return -ENOMEM;
	llm_call_init(&ucall->call, command, client, server, arg);
	llm_uring_set_fixed(&ucall->call, cmd, issue_flags);
	return llm_uring_issue_waiting(cmd, issue_flags, ucall, arg_len);
}

/**
 * llm_uring_cancel() - io_uring wants a parked command back, for IO_URING_F_CANCEL
 * @cmd: was parked once; may have been woken since, or finished
 * @issue_flags: from io_uring
 * @pool: of its file
 *
 * Return: 0.
 */
int llm_uring_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags,
		     struct llm_uring_pool *pool)
{
	struct llm_uring_call *ucall;
	bool parked = false;

	/* So long it is not used for another command. */
	spin_lock(&pool->lock);
	ucall = llm_uring_call(cmd);
	if (ucall) {
		struct llm_waiter *waiter = &ucall->call.waiter;

		spin_lock(&llm_broker.lock);
		parked = !list_empty(&waiter->node);
		if (parked)
			llm_waiter_unpark(waiter);
		waiter->cancelled = true;
		spin_unlock(&llm_broker.lock);
	}
	spin_unlock(&pool->lock);
	if (parked)
		llm_uring_finish(ucall, -ECANCELED, issue_flags);
	return 0;
}

/* An object is filled in where it is used; with a constructor nothing else is written to it. */
static void llm_uring_construct(void *object)
{
	memset(object, 0, sizeof(struct llm_uring_call));
}

/** llm_uring_init() - Return: 0; ENOMEM */
int llm_uring_init(void)
{
	llm_uring_cache = kmem_cache_create_usercopy("llm_uring_call",
						     sizeof(struct llm_uring_call), 0,
						     SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN,
						     offsetof(struct llm_uring_call, call.args),
						     sizeof_field(struct llm_uring_call, call.args),
						     llm_uring_construct);
	return llm_uring_cache ? 0 : -ENOMEM;
}

/** llm_uring_exit() - nobody can have a file open any more */
void llm_uring_exit(void)
{
	kmem_cache_destroy(llm_uring_cache);
}
