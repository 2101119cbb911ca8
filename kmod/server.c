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
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "args.h"
#include "call.h"
#include "charge.h"
#include "commands.h"
#include "dmem.h"
#include "limits.h"
#include "map.h"
#include "netlink.h"
#include "news.h"
#include "queue.h"
#include "region.h"
#include "request.h"
#include "server.h"
#include "session.h"

static void llm_server_tell(u32 type, const struct llm_server *server, u32 requests)
{
	const struct llm_report report = {
		.type = type,
		.pid = pid_nr(server->pid),
		.requests = requests,
		.time_ns = ktime_get_ns(),
		.count = 1,
	};

	llm_netlink_tell(&report);
}

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
	for (u32 mask = 0; mask <= LLM_FETCH_EVENTS; mask++)
		INIT_LIST_HEAD(&server->fetchers[mask]);
	server->region_count = 1;
	server->pid = get_pid(task_tgid(current));
	mutex_lock(&llm_broker.server_mutex);
	spin_lock(&llm_broker.lock);
	if (llm_broker.server)
		err = -EBUSY;
	else
		llm_broker.server = server;
	if (!err) {
		llm_broker.server_number++;
		llm_stage_set_slots(&llm_broker.stage, 0, 0);
	}
	spin_unlock(&llm_broker.lock);
	mutex_unlock(&llm_broker.server_mutex);
	if (err) {
		put_pid(server->pid);
		kfree(server);
		return err;
	}
	llm_server_tell(LLM_NL_EVENT_SERVER_UP, server, 0);
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

/* It holds nothing there any more. */
static void llm_server_drop_regions(struct llm_server *server)
{
	if (!server->regions_set)
		return;
	for (u32 i = 0; i < server->region_count; i++)
		llm_region_put(server->regions[i]);
	server->region_count = 0;
}

/**
 * llm_server_leave() - a server goes: its process ends, or its file does
 * @server: may have left already
 *
 * Context: sleeps. When it returns, the next one can come.
 */
void llm_server_leave(struct llm_server *server)
{
	u32 requests = 0;
	bool first;

	mutex_lock(&llm_broker.server_mutex);
	spin_lock(&llm_broker.lock);
	first = !server->gone;
	server->gone = true;
	for (u32 mask = 0; mask <= LLM_FETCH_EVENTS; mask++)
		llm_waiters_wake(&server->fetchers[mask]);
	spin_unlock(&llm_broker.lock);
	if (first) {
		llm_map_end();
		while (llm_server_strip())
			;
		llm_charge_forget();
		llm_sessions_forget();
		spin_lock(&llm_broker.lock);
		llm_server_drop_regions(server);
		llm_broker.server = NULL;
		llm_broker.serverless_ns = ktime_get_ns();
		llm_queue_timeout_start();
		requests = llm_broker.unended;
		spin_unlock(&llm_broker.lock);
	}
	/* before the next one can come, so that its coming is told after this */
	if (first)
		llm_server_tell(LLM_NL_EVENT_SERVER_DOWN, server, requests);
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

	/* whoever sees himself here stays, for only he could change it to himself */
	if (READ_ONCE(server->pid) == task_tgid(current))
		return;
	spin_lock(&llm_broker.lock);
	/* one that is gone stays whose it was */
	if (!server->gone && server->pid != task_tgid(current)) {
		old = server->pid;
		WRITE_ONCE(server->pid, get_pid(task_tgid(current)));
	}
	spin_unlock(&llm_broker.lock);
	if (!old)
		return;
	llm_map_revoke_all();
	put_pid(old);
}

/** llm_server_find() - Return: a request that this server has and knows of, or NULL */
struct llm_request *llm_server_find(struct llm_server *server, u64 id)
{
	struct llm_request *req = llm_request_find(id);

	return req && req->server == server && !req->handed_to ? req : NULL;
}

/* The regions of a SETUP as its server names them. Return: 0; EINVAL, EFAULT. */
static int llm_setup_read(const struct llm_setup *setup, struct llm_region *regions)
{
	const size_t len = setup->region_count * sizeof(*regions);

	if (setup->region_count > LLM_REGIONS_MAX || (!setup->region_count && setup->regions))
		return -EINVAL;
	if (copy_from_user(regions, u64_to_user_ptr(setup->regions), len))
		return -EFAULT;
	for (u32 i = 0; i < setup->region_count; i++) {
		const char *name = regions[i].name;
		const size_t name_len = strnlen(name, LLM_REGION_NAME_MAX);

		if (regions[i].reserved || !llm_region_valid(name) ||
		    !llm_args_zero(name + name_len, LLM_REGION_NAME_MAX - name_len) ||
		    !strcmp(name, "host") != !i)
			return -EINVAL;
		for (u32 j = 0; j < i; j++)
			if (!strcmp(regions[j].name, name))
				return -EINVAL;
	}
	return 0;
}

/* Under the lock. Return: 0; ESHUTDOWN, EBUSY, ENOSPC: nothing was set. */
static int llm_setup_regions(struct llm_server *server, const struct llm_region *regions, u32 count)
{
	const char *names[LLM_REGIONS_MAX];
	int err;

	if (server->gone)
		return -ESHUTDOWN;
	if (!count)
		return 0;
	if (server->regions_set)
		return -EBUSY;
	for (u32 i = 0; i < count; i++)
		names[i] = regions[i].name;
	err = llm_regions_get(names, count, server->regions);
	if (err)
		return err;
	server->region_count = count;
	server->regions_set = true;
	return 0;
}

static int llm_setup_start(struct llm_call *call)
{
	const struct llm_setup *setup = &call->args.setup;
	struct llm_region regions[LLM_REGIONS_MAX];
	int err;

	if (setup->flags || setup->pad || !llm_args_zero(setup->reserved, sizeof(setup->reserved)))
		return -EINVAL;
	err = llm_setup_read(setup, regions);
	if (err)
		return err;
	spin_lock(&llm_broker.lock);
	err = llm_setup_regions(call->server, regions, setup->region_count);
	if (!err)
		llm_stage_set_slots(&llm_broker.stage, setup->slots, setup->sequences);
	llm_queue_run();
	spin_unlock(&llm_broker.lock);
	for (u32 i = 0; !err && i < setup->region_count; i++)
		llm_dmem_register(call->server->regions[i], regions[i].name, regions[i].bytes);
	return err;
}

/* Found by looking from the start: what is used most comes first. */
const struct llm_command llm_server_commands[LLM_SERVER_COMMANDS] = {
	{
		.cmd = LLM_IOC_COMMIT_AND_FETCH,
		.size = sizeof(struct llm_commit),
		.start = llm_commit_fetch_start,
		.parks = llm_fetch_parks,
		.attempt = llm_fetch_attempt,
		.abandon = llm_fetch_abandon,
	}, {
		.cmd = LLM_IOC_COMMIT,
		.size = sizeof(struct llm_commit),
		.start = llm_commit_start,
	}, {
		.cmd = LLM_IOC_FETCH,
		.size = sizeof(struct llm_fetch),
		.restart = true,
		.start = llm_fetch_start,
		.parks = llm_fetch_parks,
		.attempt = llm_fetch_attempt,
		.abandon = llm_fetch_abandon,
	}, {
		.cmd = LLM_IOC_GET_FEATURES,
		.size = sizeof(struct llm_features),
		.start = llm_features_start,
	}, {
		.cmd = LLM_IOC_SETUP,
		.size = sizeof(struct llm_setup),
		.start = llm_setup_start,
	}, {
		.cmd = LLM_IOC_PULL,
		.size = sizeof(struct llm_pull),
		.start = llm_pull_start,
	}, {
		.cmd = LLM_IOC_CHARGE,
		.size = sizeof(struct llm_charge),
		.start = llm_charge_start,
	}, {
		.cmd = LLM_IOC_UNCHARGE,
		.size = sizeof(struct llm_charge),
		.start = llm_uncharge_start,
	},
};
