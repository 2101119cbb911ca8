// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls and those who wait: see call.h. Here is what ioctl and io_uring share, and the ioctl's way
 * of waiting, which is to sleep.
 */
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/ioctl.h>
#include <linux/jiffies.h>
#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/timekeeping.h>
#include <linux/uio.h>

#include "args.h"
#include "broker.h"
#include "call.h"
#include "limits.h"
#include "request.h"
#include "uring.h"

/* The size of a struct is what its first field says, not what the number carries. */
#define LLM_CMD(cmd) ((cmd) & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT))

/** llm_command_find() - Return: what a number means, or NULL */
const struct llm_command *llm_command_find(const struct llm_command *table, size_t count,
					   unsigned int cmd)
{
	for (size_t i = 0; i < count; i++)
		if (LLM_CMD(table[i].cmd) == LLM_CMD(cmd))
			return &table[i];
	return NULL;
}

/** llm_call_init() - prepares a call: all but its args, which llm_call_begin() fills in */
void llm_call_init(struct llm_call *call, const struct llm_command *command,
		   struct llm_client *client, struct llm_server *server, void __user *arg)
{
	call->waiter = (struct llm_waiter) { .want = 1 };
	INIT_LIST_HEAD(&call->waiter.node);
	call->command = command;
	call->client = client;
	call->server = server;
	call->arg = arg;
	call->size = 0;
	call->nonblock = false;
	call->probe = false;
	call->deadline_ns = 0;
	call->fixed = NULL;
	call->done = 0;
	call->event.type = 0;
	call->event.req = NULL;
	call->event.session = NULL;
	call->event.cgroup_id = 0;
}

/** llm_call_begin() - reads the caller's struct and does what needs no waiting */
int llm_call_begin(struct llm_call *call)
{
	int err = llm_args_read(call);

	return err ?: call->command->start(call);
}

/**
 * llm_call_import() - prepares a copy from or to the memory that a call is about
 * @call: which
 * @direction: ITER_SOURCE or ITER_DEST
 * @addr: the caller's address
 * @len: bytes
 * @ret_iter: where to copy from or to
 *
 * Context: sleeps; in the task that the call is made for.
 * Return: 0; EFAULT it is not there, or not in the registered buffer, or what else io_uring says.
 */
int llm_call_import(struct llm_call *call, int direction, u64 addr, size_t len,
		    struct iov_iter *ret_iter)
{
	if (call->fixed)
		return llm_uring_import(call, direction, addr, len, ret_iter);
	return import_ubuf(direction, u64_to_user_ptr(addr), len, ret_iter);
}

/**
 * llm_waiter_park() - puts a call where it will be found
 * @waiter: its owner has just seen that there is nothing for it
 * @list: of those who wait for the same
 *
 * Context: under the broker's lock.
 * Return: EIOCBQUEUED; ECANCELED, ETIME it must not wait any more, EBUSY too many of its file do.
 */
int llm_waiter_park(struct llm_waiter *waiter, struct list_head *list)
{
	lockdep_assert_held(&llm_broker.lock);
	if (waiter->cancelled)
		return -ECANCELED;
	if (waiter->expired)
		return -ETIME;
	if (waiter->parked) {
		if (*waiter->parked >= 2 * llm_limit(max_requests_file))
			return -EBUSY;
		++*waiter->parked;
	}
	list_add_tail(&waiter->node, list);
	return -EIOCBQUEUED;
}

/** llm_waiter_unpark() - takes a parked call; the caller now answers for it */
void llm_waiter_unpark(struct llm_waiter *waiter)
{
	lockdep_assert_held(&llm_broker.lock);
	list_del_init(&waiter->node);
	if (waiter->parked)
		--*waiter->parked;
}

/** llm_waiter_wake() - lets a parked call make its attempt again */
void llm_waiter_wake(struct llm_waiter *waiter)
{
	llm_waiter_unpark(waiter);
	waiter->wake(waiter);
}

/** llm_waiters_wake() - wakes all of a list */
void llm_waiters_wake(struct list_head *list)
{
	struct llm_waiter *waiter, *next;

	list_for_each_entry_safe(waiter, next, list, node)
		llm_waiter_wake(waiter);
}

/** llm_waiters_wake_ready() - wakes those of a list that wait for what @req now has */
void llm_waiters_wake_ready(struct list_head *list, const struct llm_request *req)
{
	struct llm_waiter *waiter, *next;

	list_for_each_entry_safe(waiter, next, list, node)
		if (llm_request_ready(req, waiter->want, waiter->end_only))
			llm_waiter_wake(waiter);
}

/** llm_call_expire() - its deadline has passed */
void llm_call_expire(struct llm_call *call)
{
	spin_lock(&llm_broker.lock);
	call->waiter.expired = true;
	if (!list_empty(&call->waiter.node))
		llm_waiter_wake(&call->waiter);
	spin_unlock(&llm_broker.lock);
}

/* A call that waits by sleeping. */
struct llm_sleeper {
	struct llm_call call;
	struct completion woken;
};

static void llm_sleeper_wake(struct llm_waiter *waiter)
{
	complete(&container_of(waiter, struct llm_sleeper, call.waiter)->woken);
}

/**
 * llm_call_timeout() - how long a call may wait from now
 * @call: which
 *
 * Jiffies may be behind the clock, and what is reckoned in them may end early: who has waited asks
 * again, until nothing is left.
 *
 * Return: jiffies, MAX_SCHEDULE_TIMEOUT without a deadline; 0: the deadline has passed.
 */
unsigned long llm_call_timeout(const struct llm_call *call)
{
	const u64 now = ktime_get_ns();
	u64 wait;

	if (!call->deadline_ns)
		return MAX_SCHEDULE_TIMEOUT;
	wait = call->deadline_ns > now ? nsecs_to_jiffies64(call->deadline_ns - now) + 1 : 0;
	return min_t(u64, wait, MAX_JIFFY_OFFSET);
}

/* Return: 0: the attempt is to be made again; ERESTARTSYS: a signal came first. */
static int llm_sleeper_wait(struct llm_sleeper *sleeper)
{
	struct llm_waiter *waiter = &sleeper->call.waiter;
	unsigned long timeout;
	long left;

	do {
		timeout = llm_call_timeout(&sleeper->call);
		left = wait_for_completion_interruptible_timeout(&sleeper->woken, timeout);
	} while (!left && timeout);
	if (left > 0)
		return 0;
	if (!left) {
		llm_call_expire(&sleeper->call);
		return 0;
	}
	spin_lock(&llm_broker.lock);
	if (!list_empty(&waiter->node))
		llm_waiter_unpark(waiter);
	spin_unlock(&llm_broker.lock);
	return left;
}

static int llm_sleeper_run(struct llm_sleeper *sleeper)
{
	struct llm_call *call = &sleeper->call;
	int rc;

	if (call->nonblock)
		return call->command->attempt(call, false);
	for (;;) {
		reinit_completion(&sleeper->woken);
		rc = call->command->attempt(call, true);
		if (rc != -EIOCBQUEUED)
			return rc;
		if (!llm_sleeper_wait(sleeper))
			continue;
		/* What came together with the signal is not lost. */
		rc = call->command->attempt(call, false);
		if (rc != -EAGAIN)
			return rc;
		return call->command->restart ? -ERESTARTSYS : -EINTR;
	}
}

/**
 * llm_call_sleep() - carries out a command, for ioctl
 * @command: which
 * @client: on /dev/llm, whose
 * @server: on /dev/llmd, whose
 * @arg: the caller's struct
 * @nonblock: as if the command's flag said so
 *
 * Context: sleeps until the command is done, its deadline or a signal.
 * Return: the command's result.
 */
long llm_call_sleep(const struct llm_command *command, struct llm_client *client,
		    struct llm_server *server, void __user *arg, bool nonblock)
{
	struct llm_sleeper sleeper;
	int rc;

	llm_call_init(&sleeper.call, command, client, server, arg);
	sleeper.call.nonblock = nonblock;
	sleeper.call.waiter.wake = llm_sleeper_wake;
	init_completion(&sleeper.woken);
	rc = llm_call_begin(&sleeper.call);
	if (rc < 0 || !command->attempt)
		return rc;
	return llm_sleeper_run(&sleeper);
}
