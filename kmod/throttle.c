// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who has to rest, and until when: see throttle.h. Told by queue.c whenever something has changed.
 */
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "broker.h"
#include "compat.h"
#include "group.h"
#include "news.h"
#include "queue.h"
#include "request.h"
#include "throttle.h"

static enum hrtimer_restart llm_throttle_expire(struct hrtimer *timer)
{
	struct llm_throttle *throttle = container_of(timer, struct llm_throttle, timer);

	queue_work(system_highpri_wq, &throttle->work);
	return HRTIMER_NORESTART;
}

static enum llm_want llm_throttle_want(const struct llm_request *req)
{
	return req->ticket.begun ? LLM_WANT_GO_ON : LLM_WANT_START;
}

/* Ends one that waits for a quota and does not want to. */
static void llm_throttle_refuse(struct llm_request *req, struct llm_trash *trash)
{
	struct llm_tenant *keeper;

	if (req->ticket.state != LLM_TICKET_WAITS || llm_request_over(req))
		return;
	keeper = llm_tenant_kept(&req->leaf->share.tenant, llm_throttle_want(req));
	if (!keeper)
		return;
	llm_news_refused(llm_group_of(keeper), req);
	llm_request_abort(req, -EDQUOT, trash);
}

/* Looks at some of the impatient, in turn: the list goes round. */
static void llm_throttle_look(struct llm_throttle *throttle, struct llm_trash *trash)
{
	const u64 barred = llm_broker.stage.policy.barred;

	if (throttle->look || throttle->barred != barred)
		throttle->left = throttle->impatient_count;
	throttle->look = false;
	throttle->barred = barred;
	throttle->left = min(throttle->left, throttle->impatient_count);
	for (u32 n = 0; throttle->left && n < LLM_BATCH; n++) {
		struct llm_request *req = list_first_entry(&throttle->impatient,
							   struct llm_request, impatient_node);

		list_move_tail(&req->impatient_node, &throttle->impatient);
		throttle->left--;
		llm_throttle_refuse(req, trash);
		throttle->left = min(throttle->left, throttle->impatient_count);
	}
}

static void llm_throttle_work(struct work_struct *work)
{
	struct llm_throttle *throttle = container_of(work, struct llm_throttle, work);
	LLM_DEFINE_TRASH(trash);

	spin_lock(&llm_broker.lock);
	throttle->due_ns = U64_MAX;
	llm_policy_wake_some(&llm_broker.stage.policy, LLM_BATCH, ktime_get_ns());
	llm_throttle_look(throttle, &trash);
	llm_queue_run();
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
}

void llm_throttle_init(struct llm_throttle *throttle)
{
	llm_compat_hrtimer_setup(&throttle->timer, llm_throttle_expire, CLOCK_MONOTONIC,
				 HRTIMER_MODE_ABS);
	INIT_WORK(&throttle->work, llm_throttle_work);
	INIT_LIST_HEAD(&throttle->impatient);
	throttle->due_ns = U64_MAX;
}

/** llm_throttle_exit() - nobody has a quota or a request any more */
void llm_throttle_exit(struct llm_throttle *throttle)
{
	/* work that runs may set the timer once more, for nobody; the timer may start the work */
	hrtimer_cancel(&throttle->timer);
	cancel_work_sync(&throttle->work);
	hrtimer_cancel(&throttle->timer);
	cancel_work_sync(&throttle->work);
}

/** llm_throttle_join() - a request is published */
void llm_throttle_join(struct llm_request *req)
{
	if (!req->leaf || !(req->spec.flags & LLM_SUBMIT_EDQUOT))
		return;
	list_add_tail(&req->impatient_node, &llm_broker.throttle.impatient);
	llm_broker.throttle.impatient_count++;
	llm_tenant_hurry(&req->leaf->share.tenant, 1);
}

/** llm_throttle_leave() - a request has ended for its reader */
void llm_throttle_leave(struct llm_request *req)
{
	if (list_empty(&req->impatient_node))
		return;
	list_del_init(&req->impatient_node);
	llm_broker.throttle.impatient_count--;
	llm_tenant_hurry(&req->leaf->share.tenant, -1);
}

/** llm_throttle_waits() - a request waits for its turn from now on */
void llm_throttle_waits(const struct llm_request *req)
{
	if (!list_empty(&req->impatient_node))
		llm_broker.throttle.look = true;
}

/** llm_throttle_served() - whoever may be served now is */
void llm_throttle_served(void)
{
	llm_broker.throttle.freed = llm_broker.stage.policy.freed;
}

/* Whether there is something for the work, whatever the time. */
static bool llm_throttle_due(const struct llm_throttle *throttle)
{
	const struct llm_policy *policy = &llm_broker.stage.policy;

	if (throttle->freed != policy->freed)
		return true;
	return throttle->impatient_count &&
	       (throttle->left || throttle->look || throttle->barred != policy->barred);
}

/** llm_throttle_run() - quotas, or who waits for them, may have changed */
void llm_throttle_run(void)
{
	struct llm_throttle *throttle = &llm_broker.throttle;
	u64 next_ns;

	lockdep_assert_held(&llm_broker.lock);
	if (llm_throttle_due(throttle))
		queue_work(system_highpri_wq, &throttle->work);
	if (llm_tree_empty(&llm_broker.stage.policy.asleep))
		return;
	next_ns = llm_policy_next_ns(&llm_broker.stage.policy);
	if (next_ns >= throttle->due_ns)
		return;
	throttle->due_ns = next_ns;
	hrtimer_start(&throttle->timer, ns_to_ktime(next_ns), HRTIMER_MODE_ABS);
}
