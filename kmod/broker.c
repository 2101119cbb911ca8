// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one broker: see broker.h. Initialised before and torn down after the devices exist.
 */
#include <linux/bug.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "broker.h"
#include "queue.h"

struct llm_broker llm_broker;

void llm_broker_init(void)
{
	spin_lock_init(&llm_broker.lock);
	mutex_init(&llm_broker.server_mutex);
	llm_broker.by_id = RB_ROOT;
	for (int i = 0; i < LLM_CLASSES; i++)
		INIT_LIST_HEAD(&llm_broker.queues[i]);
	for (int i = 0; i <= LLM_STATE_ENDED; i++)
		INIT_LIST_HEAD(&llm_broker.states[i]);
	INIT_LIST_HEAD(&llm_broker.notices);
	INIT_DELAYED_WORK(&llm_broker.expiry, llm_queue_expire);
	llm_broker.serverless_ns = ktime_get_ns();
	llm_stage_init(&llm_broker.stage, U32_MAX, llm_broker.serverless_ns);
	kernel_param_lock(THIS_MODULE);
	llm_broker.ready = true;
	kernel_param_unlock(THIS_MODULE);
}

/** llm_broker_exit() - nobody can have a file open any more, so nothing can be left */
void llm_broker_exit(void)
{
	/* A parameter that is just being set may still start the work; later ones do not. */
	kernel_param_lock(THIS_MODULE);
	llm_broker.ready = false;
	kernel_param_unlock(THIS_MODULE);
	cancel_delayed_work_sync(&llm_broker.expiry);
	WARN_ON(llm_broker.requests || !RB_EMPTY_ROOT(&llm_broker.by_id));
	for (int i = 0; i < LLM_USER_BUCKETS; i++)
		WARN_ON(!hlist_empty(&llm_broker.users[i]));
}
