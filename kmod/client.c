// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client: see client.h. Here is what the commands need of it, and the table of its commands.
 */
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "buffer.h"
#include "call.h"
#include "client.h"
#include "commands.h"
#include "group.h"
#include "limits.h"
#include "request.h"

/** llm_client_create() - Return: a client without requests, or NULL */
struct llm_client *llm_client_create(void)
{
	struct llm_client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);

	if (!client)
		return NULL;
	INIT_LIST_HEAD(&client->requests);
	INIT_LIST_HEAD(&client->spares);
	INIT_LIST_HEAD(&client->leaves);
	INIT_LIST_HEAD(&client->buffers);
	INIT_LIST_HEAD(&client->waiters);
	INIT_LIST_HEAD(&client->dues);
	INIT_LIST_HEAD(&client->wake_node);
	refcount_set(&client->refs, 1);
	init_waitqueue_head(&client->poll);
	mutex_init(&client->prompt_mutex);
	client->uid = current_euid();
	llm_bytes_init(&client->prompt);
	return client;
}

static void llm_client_put(struct llm_client *client)
{
	if (refcount_dec_and_test(&client->refs))
		kfree(client);
}

/* Gives up to LLM_BATCH requests away. Return: there may be more. */
static bool llm_client_empty(struct llm_client *client)
{
	struct llm_request *req, *next;
	LLM_DEFINE_TRASH(trash);
	int n = 0;

	spin_lock(&llm_broker.lock);
	list_for_each_entry_safe(req, next, &client->requests, client_node) {
		if (n++ == LLM_BATCH)
			break;
		llm_request_detach(req, &trash);
	}
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	cond_resched();
	return n > LLM_BATCH;
}

/** llm_client_forget() - a file does not know any more who asked last */
void llm_client_forget(struct llm_client *client)
{
	lockdep_assert_held(&llm_broker.lock);
	if (client->user)
		client->user->files--;
	llm_user_put(client->user);
	llm_leaf_put(client->leaf);
	client->user = NULL;
	client->leaf = NULL;
}

/**
 * llm_client_destroy() - the last close
 * @client: nothing of it is parked, because a parked call holds the file
 *
 * Context: sleeps. Its requests are cancelled; those that a server has stay until it lets go.
 */
void llm_client_destroy(struct llm_client *client)
{
	while (llm_client_empty(client))
		;
	llm_requests_free(&client->spares);
	llm_buffers_close(client);
	spin_lock(&llm_broker.lock);
	if (client->prompt_user)
		llm_user_uncharge_bytes(client->prompt_user, client->prompt.len);
	llm_user_put(client->prompt_user);
	llm_client_forget(client);
	llm_leaves_orphan(client);
	llm_broker.spare_count -= client->spare_count;
	WARN_ON_ONCE(client->admitted || client->parked || !list_empty(&client->waiters));
	spin_unlock(&llm_broker.lock);
	llm_bytes_free(&client->prompt);
	llm_client_put(client);
}

/** llm_client_find() - Return: this client's request with this id, or NULL */
struct llm_request *llm_client_find(struct llm_client *client, u64 id)
{
	struct llm_request *req = llm_request_find(id);

	return req && req->client == client ? req : NULL;
}

/** llm_client_next_ready() - Return: a request to read, in turn, or NULL */
struct llm_request *llm_client_next_ready(struct llm_client *client, bool end_only)
{
	struct llm_request *req, *first = NULL;

	lockdep_assert_held(&llm_broker.lock);
	list_for_each_entry(req, &client->requests, client_node) {
		if (!llm_request_ready(req, 1, end_only))
			continue;
		if (req->id > client->last_waited)
			return req;
		if (!first)
			first = req;
	}
	return first;
}

/* Anybody may have any number of polls on his file, so they are woken without the lock. */
static void llm_client_wake_later(struct llm_client *client, struct llm_trash *trash)
{
	/* Whoever is not there yet will take the lock after us, and see what there is. */
	if (!waitqueue_active(&client->poll) || !list_empty(&client->wake_node))
		return;
	refcount_inc(&client->refs);
	list_add_tail(&client->wake_node, &trash->clients);
}

/** llm_clients_wake_poll() - wakes who polls on these clients, empties the list; without the lock */
void llm_clients_wake_poll(struct list_head *clients)
{
	struct llm_client *client, *next;

	list_for_each_entry_safe(client, next, clients, wake_node) {
		/* From here on another one would have to be woken again. */
		spin_lock(&llm_broker.lock);
		list_del_init(&client->wake_node);
		spin_unlock(&llm_broker.lock);
		wake_up_interruptible(&client->poll);
		llm_client_put(client);
	}
}

/** llm_client_wake() - something changed: whoever waits on the file looks again */
void llm_client_wake(struct llm_client *client, struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_waiters_wake(&client->waiters);
	llm_client_wake_later(client, trash);
}

/** llm_client_wake_ready() - a request has something to read */
void llm_client_wake_ready(struct llm_client *client, struct llm_request *req,
			   struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_waiters_wake_ready(&client->waiters, req);
	llm_client_wake_later(client, trash);
}

/* Found by looking from the start: what is used most comes first. */
const struct llm_command llm_client_commands[LLM_CLIENT_COMMANDS] = {
	{
		.cmd = LLM_IOC_SUBMIT_AND_READ,
		.size = sizeof(struct llm_submit_read),
		.fixed = true,
		.start = llm_submit_read_start,
		.parks = llm_submit_read_parks,
		.attempt = llm_read_attempt,
	}, {
		.cmd = LLM_IOC_SUBMIT,
		.size = sizeof(struct llm_submit),
		.fixed = true,
		.start = llm_submit_start,
	}, {
		.cmd = LLM_IOC_READ,
		.size = sizeof(struct llm_read),
		.restart = true,
		.fixed = true,
		.start = llm_read_start,
		.attempt = llm_read_attempt,
	}, {
		.cmd = LLM_IOC_GET_FEATURES,
		.size = sizeof(struct llm_features),
		.start = llm_features_start,
	}, {
		.cmd = LLM_IOC_CANCEL,
		.size = sizeof(struct llm_cancel),
		.start = llm_cancel_start,
	}, {
		.cmd = LLM_IOC_WAIT,
		.size = sizeof(struct llm_wait),
		.restart = true,
		.start = llm_wait_start,
		.attempt = llm_wait_attempt,
	}, {
		.cmd = LLM_IOC_LIST,
		.size = sizeof(struct llm_list),
		.start = llm_list_start,
	}, {
		.cmd = LLM_IOC_REGISTER,
		.size = sizeof(struct llm_register),
		.start = llm_register_start,
	}, {
		.cmd = LLM_IOC_UNREGISTER,
		.size = sizeof(struct llm_unregister),
		.start = llm_unregister_start,
	}, {
		.cmd = LLM_IOC_SESSION,
		.size = sizeof(struct llm_session_cmd),
		.start = llm_session_start,
	},
};
