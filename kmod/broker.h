/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The broker: all requests of the machine, the queue they wait in and the one server that may be
 * there. There is one broker, as there is one /dev/llmd. Everything in it, in every request,
 * client, server and user is protected by its lock, unless the field says otherwise.
 *
 * Order of locks, outermost first:
 *
 *	llm_broker.server_mutex		one server comes or goes at a time
 *	io_uring's uring_lock, epoll's	held by them around what they call, also poll()
 *	llm_client.prompt_mutex		the prompt that write() gathers
 *	llm_broker.lock			a spinlock; never held around a copy from or to user memory,
 *					an allocation, or a loop that a user can make long
 *	what io_uring takes to queue task work
 *
 * Nothing here runs in interrupt context: timeouts are delayed work, and the one timer starts work.
 */
#ifndef LLM_BROKER_H
#define LLM_BROKER_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/llm.h>

#include "group.h"
#include "throttle.h"

#define LLM_USER_BUCKETS	64

/* How many requests are ended, freed or listed before the lock is let go once. */
#define LLM_BATCH		32

/** enum llm_kind - what a request competes for; each kind has a queue of its own */
enum llm_kind {
	LLM_KIND_CONTROL,
	LLM_KIND_COMPUTE,
	LLM_KINDS
};

/**
 * struct llm_broker - the one broker
 * @lock: protects all that follows
 * @last_id: of the youngest request
 * @by_id: every request that was submitted and is not forgotten
 * @queues: the requests in LLM_STATE_QUEUED by their ids; those of each kind
 * @states: the requests in each other state, in the order they came there
 * @notices: requests whose server has yet to hear that they were cancelled or read
 * @server: who answers; NULL: nobody
 * @serverless_ns: since when there is no server
 * @stage: whose compute the server steps
 * @claims: tries charges that wait for memory, and asks for some back
 * @orphans: asks for what was kept for cgroups that were removed
 * @reclaims: cgroups that are asked for kept memory, of which the server has yet to hear
 * @buffers: registered ones and those in use, by their pages' numbers
 * @last_page: the highest of those that were ever given out
 * @sessions: that are not forgotten
 * @last_session: the id of the youngest
 * @farewells: those that are over, of which the server has yet to hear
 * @server_number: of the last server that came
 * @last_kept: the age of the cgroup that began to keep memory last
 * @groups: cgroups with requests or a quota, by id
 * @members: users in them, by both
 * @quotas: groups with a quota that is not the default
 * @quota_count: of them
 * @throttle: when whoever is kept out by a quota is let in
 * @news: of groups, by when they are to be told
 * @users: those who have a request or a prompt, by uid
 * @requests: that were admitted and are not freed
 * @spare_count: memory of requests that files keep for their next ones
 * @unended: of those submitted, not in LLM_STATE_ENDED
 * @submitted: ever
 * @ended: ever
 * @recovered: handed back to the queue by the death of their server
 * @cancelled: ever
 * @server_mutex: taken around the coming and going of a server
 * @expiry: ends requests that waited too long for a server
 * @collection: forgets the quotas of cgroups that were removed
 * @telling: tells @news
 * @ready: initialised; protected by the lock of the module's parameters, which can be set before
 *	and after that
 */
struct llm_broker {
	spinlock_t lock; /* see above */
	u64 last_id;
	struct rb_root by_id;
	struct llm_tree queues[LLM_KINDS];
	struct list_head states[LLM_STATE_ENDED + 1];
	struct list_head notices;
	struct llm_server *server;
	u64 serverless_ns;
	struct llm_stage stage;
	struct delayed_work claims;
	struct delayed_work orphans;
	struct list_head reclaims;
	struct rb_root buffers;
	u64 last_page;
	u32 sessions;
	u64 last_session;
	struct list_head farewells;
	u64 server_number;
	u64 last_kept;
	struct rb_root groups;
	struct hlist_head members[LLM_MEMBER_BUCKETS];
	struct list_head quotas;
	u32 quota_count;
	struct llm_throttle throttle;
	struct llm_tree news;
	struct hlist_head users[LLM_USER_BUCKETS];
	u32 requests;
	u32 spare_count;
	u32 unended;
	u64 submitted;
	u64 ended;
	u64 recovered;
	u64 cancelled;
	struct mutex server_mutex; /* see above */
	struct delayed_work expiry;
	struct delayed_work collection;
	struct delayed_work telling;
	bool ready;
};

extern struct llm_broker llm_broker;

void llm_broker_init(void);
void llm_broker_exit(void);

#endif /* LLM_BROKER_H */
