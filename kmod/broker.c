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
#include "charge.h"
#include "dmem.h"
#include "news.h"
#include "queue.h"
#include "quota.h"
#include "trace.h"

struct llm_broker llm_broker;

static void llm_broker_slept(struct llm_tenant *tenant)
{
	struct llm_group *group = llm_group_of(tenant);

	trace_llm_throttle(group->id, tenant->asleep.key - tenant->asleep_ns);
	llm_news_throttled(group);
}

void llm_broker_init(void)
{
	spin_lock_init(&llm_broker.lock);
	mutex_init(&llm_broker.server_mutex);
	llm_broker.by_id = RB_ROOT;
	llm_broker.groups = RB_ROOT;
	llm_broker.buffers = RB_ROOT;
	for (int i = 0; i < LLM_KINDS; i++)
		llm_broker.queues[i] = (struct llm_tree){ .root = NULL };
	for (int i = 0; i <= LLM_STATE_ENDED; i++)
		INIT_LIST_HEAD(&llm_broker.states[i]);
	INIT_LIST_HEAD(&llm_broker.notices);
	INIT_LIST_HEAD(&llm_broker.quotas);
	INIT_LIST_HEAD(&llm_broker.farewells);
	llm_throttle_init(&llm_broker.throttle);
	INIT_DELAYED_WORK(&llm_broker.expiry, llm_queue_expire);
	INIT_DELAYED_WORK(&llm_broker.collection, llm_quota_collect);
	INIT_DELAYED_WORK(&llm_broker.telling, llm_news_tell);
	llm_charge_init();
	llm_dmem_init();
	llm_broker.serverless_ns = ktime_get_ns();
	llm_stage_init(&llm_broker.stage, U32_MAX, llm_broker.serverless_ns);
	llm_broker.stage.policy.slept = llm_broker_slept;
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
	llm_dmem_exit();
	llm_charge_exit();
	llm_quota_reset_all();
	cancel_delayed_work_sync(&llm_broker.collection);
	cancel_delayed_work_sync(&llm_broker.telling);
	llm_throttle_exit(&llm_broker.throttle);
	WARN_ON(!RB_EMPTY_ROOT(&llm_broker.groups));
	WARN_ON(llm_broker.requests || !RB_EMPTY_ROOT(&llm_broker.by_id) ||
		!RB_EMPTY_ROOT(&llm_broker.buffers));
	WARN_ON(llm_broker.sessions || !list_empty(&llm_broker.farewells));
	for (int i = 0; i < LLM_USER_BUCKETS; i++)
		WARN_ON(!hlist_empty(&llm_broker.users[i]));
}
