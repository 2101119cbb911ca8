// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server: see server.h. Here are its coming and going, and the table of its commands.
 */
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "args.h"
#include "call.h"
#include "commands.h"
#include "limits.h"
#include "queue.h"
#include "request.h"
#include "server.h"

/**
 * llm_server_open() - a server comes
 * @ret_server: it, for llm_server_close()
 *
 * Context: sleeps, also until an earlier server has left altogether.
 * Return: 0; EBUSY there is one, ENOMEM.
 */
int llm_server_open(struct llm_server **ret_server)
{
	struct llm_server *server = kzalloc(sizeof(*server), GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!server)
		return -ENOMEM;
	INIT_LIST_HEAD(&server->fetchers);
	server->pid = get_pid(task_tgid(current));
	mutex_lock(&llm_broker.server_mutex);
	spin_lock(&llm_broker.lock);
	if (llm_broker.server)
		err = -EBUSY;
	else
		llm_broker.server = server;
	if (!err)
		llm_broker.stage.slots = U32_MAX;
	spin_unlock(&llm_broker.lock);
	mutex_unlock(&llm_broker.server_mutex);
	if (err) {
		put_pid(server->pid);
		kfree(server);
		return err;
	}
	*ret_server = server;
	return 0;
}

/* The youngest of the requests a server has, so that the oldest come to stand first; or NULL. */
static struct llm_request *llm_server_last_held(void)
{
	for (int state = LLM_STATE_RUNNING; state <= LLM_STATE_CANCELLING; state++) {
		struct list_head *list = &llm_broker.states[state];

		if (!list_empty(list))
			return list_last_entry(list, struct llm_request, state_node);
	}
	return NULL;
}

/* Takes up to LLM_BATCH requests back. Return: there may be more. */
static bool llm_server_strip(void)
{
	struct llm_request *req;
	LLM_DEFINE_TRASH(trash);
	int n = 0;

	spin_lock(&llm_broker.lock);
	while (n < LLM_BATCH && (req = llm_server_last_held())) {
		llm_queue_recover(req, &trash);
		n++;
	}
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	cond_resched();
	return n == LLM_BATCH;
}

/**
 * llm_server_leave() - a server goes: its process ends, or its file does
 * @server: may have left already
 *
 * Context: sleeps. When it returns, the next one can come.
 */
void llm_server_leave(struct llm_server *server)
{
	bool first;

	mutex_lock(&llm_broker.server_mutex);
	spin_lock(&llm_broker.lock);
	first = !server->gone;
	server->gone = true;
	llm_waiters_wake(&server->fetchers);
	spin_unlock(&llm_broker.lock);
	if (first) {
		while (llm_server_strip())
			;
		spin_lock(&llm_broker.lock);
		llm_broker.server = NULL;
		llm_broker.serverless_ns = ktime_get_ns();
		llm_queue_timeout_start();
		spin_unlock(&llm_broker.lock);
	}
	mutex_unlock(&llm_broker.server_mutex);
}

/** llm_server_close() - the last close */
void llm_server_close(struct llm_server *server)
{
	llm_server_leave(server);
	put_pid(server->pid);
	kfree(server);
}

/** llm_server_adopt() - the current process serves from now on */
void llm_server_adopt(struct llm_server *server)
{
	struct pid *old = NULL;

	spin_lock(&llm_broker.lock);
	if (server->pid != task_tgid(current)) {
		old = server->pid;
		server->pid = get_pid(task_tgid(current));
	}
	spin_unlock(&llm_broker.lock);
	put_pid(old);
}

/** llm_server_find() - Return: a request that this server has and knows of, or NULL */
struct llm_request *llm_server_find(struct llm_server *server, u64 id)
{
	struct llm_request *req = llm_request_find(id);

	return req && req->server == server && !req->handed_to ? req : NULL;
}

static int llm_setup_start(struct llm_call *call)
{
	const struct llm_setup *setup = &call->args.setup;
	int err = 0;

	if (setup->flags || setup->pad || !llm_args_zero(setup->reserved, sizeof(setup->reserved)))
		return -EINVAL;
	spin_lock(&llm_broker.lock);
	if (call->server->gone)
		err = -ESHUTDOWN;
	else
		llm_broker.stage.slots = setup->slots ?: U32_MAX;
	llm_queue_run();
	spin_unlock(&llm_broker.lock);
	return err;
}

const struct llm_command llm_server_commands[LLM_SERVER_COMMANDS] = {
	{
		.cmd = LLM_IOC_GET_FEATURES,
		.size = sizeof(struct llm_features),
		.start = llm_features_start,
	}, {
		.cmd = LLM_IOC_SETUP,
		.size = sizeof(struct llm_setup),
		.start = llm_setup_start,
	}, {
		.cmd = LLM_IOC_FETCH,
		.size = sizeof(struct llm_fetch),
		.restart = true,
		.start = llm_fetch_start,
		.attempt = llm_fetch_attempt,
		.abandon = llm_fetch_abandon,
	}, {
		.cmd = LLM_IOC_PULL,
		.size = sizeof(struct llm_pull),
		.start = llm_pull_start,
	}, {
		.cmd = LLM_IOC_COMMIT,
		.size = sizeof(struct llm_commit),
		.start = llm_commit_start,
	}, {
		.cmd = LLM_IOC_COMMIT_AND_FETCH,
		.size = sizeof(struct llm_commit),
		.start = llm_commit_fetch_start,
		.attempt = llm_fetch_attempt,
		.abandon = llm_fetch_abandon,
	},
};
