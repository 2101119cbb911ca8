/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client: one open file of /dev/llm, with its requests, those who wait on it, and the prompt that
 * write() gathers. It ends with the file's last close, and everything in it does.
 */
#ifndef LLM_CLIENT_H
#define LLM_CLIENT_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#include "bytes.h"
#include "uring.h"

struct llm_call;
struct llm_leaf;
struct llm_request;
struct llm_trash;
struct llm_user;

/**
 * struct llm_client - an open file; the broker's lock protects what no other comment claims
 * @requests: that are published and not forgotten, in the order of their ids
 * @spares: forgotten ones, whose memory the next take; linked by their state_node
 * @spare_count: of them
 * @leaves: who asks by it
 * @leaf: of them, the one that had the last request that competes, with a reference, so that it is
 *	there when the next one comes; or NULL
 * @user: who asked last, with a reference for the same reason; or NULL
 * @buffers: that are registered
 * @buffer_count: of them, and of those that are just being registered
 * @admitted: requests that have a place here
 * @parked: calls that wait
 * @waiters: calls that wait for any request
 * @poll: poll() and read() sleep here
 * @dues: requests that somebody who waits here has to pay for: see dmem.h
 * @wake_node: in a struct llm_trash, with a reference, while somebody is about to wake @poll
 * @refs: keep the memory, nothing else; the file's and those of who wakes @poll
 * @last_waited: the request that WAIT named last
 * @uid: constant; who opened the file: what is written to it is asked in that name
 * @stream_id: the request that read() reads, 0 while a prompt is gathered
 * @pool: for its commands by io_uring
 * @prompt_mutex: protects the following, and that only one read() submits it
 * @prompt: what was written so far
 * @prompt_user: who pays for it; NULL: nothing is charged
 */
struct llm_client {
	struct list_head requests;
	struct list_head spares;
	u32 spare_count;
	struct list_head leaves;
	struct llm_leaf *leaf;
	struct llm_user *user;
	struct list_head buffers;
	u32 buffer_count;
	u32 admitted;
	u32 parked;
	struct list_head waiters;
	wait_queue_head_t poll;
	struct list_head dues;
	struct list_head wake_node;
	refcount_t refs;
	u64 last_waited;
	kuid_t uid;
	u64 stream_id;
	struct llm_uring_pool pool;
	struct mutex prompt_mutex; /* see above */
	struct llm_bytes prompt;
	struct llm_user *prompt_user;
};

struct llm_client *llm_client_create(void);
void llm_client_forget(struct llm_client *client);
void llm_client_destroy(struct llm_client *client);
struct llm_request *llm_client_find(struct llm_client *client, u64 id);
struct llm_request *llm_client_next_ready(struct llm_client *client, bool end_only);
void llm_client_wake(struct llm_client *client, struct llm_trash *trash);
void llm_client_wake_ready(struct llm_client *client, struct llm_request *req,
			   struct llm_trash *trash);
void llm_clients_wake_poll(struct list_head *clients);

#endif /* LLM_CLIENT_H */
