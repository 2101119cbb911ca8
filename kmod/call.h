/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A call: one command on its way, by ioctl or io_uring. A command that may have to wait is written
 * as an attempt that can be made again: it either finishes, or parks the call on a list, under the
 * lock, in the same breath in which it saw that there is nothing for it. Whoever changes that wakes
 * the call: a sleeping thread runs, an io_uring command gets task work, and both make the attempt
 * again in the task that called.
 *
 * Parked means: on a list. Whoever takes the call off that list, under the lock, is the one who has
 * to see to it that the attempt is made again or the call finished. So a wake-up, a timeout, a
 * signal and a cancel never meet.
 */
#ifndef LLM_CALL_H
#define LLM_CALL_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/llm.h>

struct io_uring_cmd;
struct iov_iter;
struct llm_call;
struct llm_client;
struct llm_request;
struct llm_server;
struct llm_session;

/**
 * struct llm_command - what a number means
 * @cmd: LLM_IOC_*; its size bits are not looked at
 * @size: of the struct
 * @restart: may be made again as a whole after a signal
 * @fixed: its bytes may be in a buffer that is registered with an io_uring
 * @start: checks, does what needs no waiting; an error ends the call
 * @parks: there is hardly something for it at once; NULL: there may well be
 * @attempt: NULL if @start's result is the call's. With @park: finishes, or parks and returns
 *	-EIOCBQUEUED; after that the call is not the caller's. Without: -EAGAIN instead.
 * @abandon: gives back what the call was handed and can no longer take; may be NULL
 */
struct llm_command {
	unsigned int cmd;
	size_t size;
	bool restart;
	bool fixed;
	int (*start)(struct llm_call *call);
	bool (*parks)(const struct llm_call *call);
	int (*attempt)(struct llm_call *call, bool park);
	void (*abandon)(struct llm_call *call);
};

/**
 * struct llm_waiter - the part of a call that others see; protected by the broker's lock
 * @node: on a list while the call is parked
 * @wake: makes its owner run; called with the lock held and @node off its list
 * @parked: the count of the file's parked calls, NULL where there is none
 * @want: bytes that make it worth while
 * @end_only: waits for the end of an answer only
 * @cancelled: its io_uring goes away: must not park any more
 * @expired: its deadline has passed: must not park any more
 */
struct llm_waiter {
	struct list_head node;
	void (*wake)(struct llm_waiter *waiter);
	u32 *parked;
	u32 want;
	bool end_only;
	bool cancelled;
	bool expired;
};

/**
 * struct llm_call - a command on its way
 * @waiter: for those who wake it
 * @command: what it is
 * @client: on /dev/llm, whose
 * @server: on /dev/llmd, whose
 * @arg: the caller's struct
 * @size: of that
 * @nonblock: does not wait
 * @probe: an attempt without @park only looks whether the call can be spared the parking
 * @deadline_ns: waits no longer than this; 0: for ever
 * @fixed: io_uring's command, if its bytes are in a registered buffer
 * @fixed_flags: what io_uring says of the task that now works on that
 * @args: the struct as read and as it will be written
 * @done: READ: bytes handed out so far
 * @event: FETCH: what it was handed
 * @event.type: enum llm_event_type; 0: nothing yet
 * @event.id: the request's
 * @event.time_ns: when it became due
 * @event.req: LLM_EVENT_REQUEST: it, with a reference
 * @event.journal_len: LLM_EVENT_REQUEST: bytes of its journal that go with it
 * @event.session: LLM_EVENT_SESSION_END: it, which nobody else has
 * @event.cgroup_id: LLM_EVENT_RECLAIM: of a cgroup, not of a request
 * @event.region: LLM_EVENT_RECLAIM: the broker's number of what is short
 * @event.bytes: LLM_EVENT_RECLAIM: of that, to be given back
 */
struct llm_call {
	struct llm_waiter waiter;
	const struct llm_command *command;
	struct llm_client *client;
	struct llm_server *server;
	void __user *arg;
	u32 size;
	bool nonblock;
	bool probe;
	u64 deadline_ns;
	struct io_uring_cmd *fixed;
	unsigned int fixed_flags;
	union {
		struct llm_features features;
		struct llm_submit submit;
		struct llm_submit_read submit_read;
		struct llm_read read;
		struct llm_cancel cancel;
		struct llm_wait wait;
		struct llm_list list;
		struct llm_register reg;
		struct llm_unregister unreg;
		struct llm_session_cmd session;
		struct llm_fetch fetch;
		struct llm_pull pull;
		struct llm_commit commit;
		struct llm_setup setup;
		struct llm_charge charge;
	} args;
	u32 done;
	struct {
		u32 type;
		u64 id;
		u64 time_ns;
		struct llm_request *req;
		u32 journal_len;
		struct llm_session *session;
		u64 cgroup_id;
		u32 region;
		u64 bytes;
	} event;
};

const struct llm_command *llm_command_find(const struct llm_command *table, size_t count,
					   unsigned int cmd);
void llm_call_init(struct llm_call *call, const struct llm_command *command,
		   struct llm_client *client, struct llm_server *server, void __user *arg);
int llm_call_begin(struct llm_call *call);
int llm_call_import(struct llm_call *call, int direction, u64 addr, size_t len,
		    struct iov_iter *ret_iter);
long llm_call_sleep(const struct llm_command *command, struct llm_client *client,
		    struct llm_server *server, void __user *arg, bool nonblock);

int llm_waiter_park(struct llm_waiter *waiter, struct list_head *list);
void llm_waiter_unpark(struct llm_waiter *waiter);
void llm_waiter_wake(struct llm_waiter *waiter);
void llm_waiters_wake(struct list_head *list);
void llm_waiters_wake_ready(struct list_head *list, const struct llm_request *req);
unsigned long llm_call_timeout(const struct llm_call *call);
void llm_call_expire(struct llm_call *call);

#endif /* LLM_CALL_H */
