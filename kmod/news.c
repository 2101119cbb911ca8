// SPDX-License-Identifier: GPL-2.0-only
/*
 * News of groups: see news.h. Noted down by whoever throttles or refuses, told by work.
 */
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/pid.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

#include "broker.h"
#include "group.h"
#include "netlink.h"
#include "news.h"
#include "request.h"

#define LLM_NEWS_PAUSE_NS	NSEC_PER_SEC	/* between two of a kind and group */

/* Under the lock, as all that starts the work. */
static void llm_news_schedule(void)
{
	const struct llm_tree_node *first = llm_tree_first(&llm_broker.news);
	const u64 now_ns = ktime_get_ns();

	if (!first)
		return;
	cancel_delayed_work(&llm_broker.telling);
	schedule_delayed_work(&llm_broker.telling, first->key > now_ns ?
			      nsecs_to_jiffies(first->key - now_ns) + 1 : 0);
}

/* There is one more to tell. Return: where to say of what. */
static struct llm_report *llm_news_add(struct llm_group *group, enum llm_news_kind kind)
{
	struct llm_news *news = &group->news[kind];
	const u64 now_ns = ktime_get_ns();

	lockdep_assert_held(&llm_broker.lock);
	news->report.time_ns = now_ns;
	news->report.cgroup = group->id;
	news->report.count++;
	if (!llm_tree_has(&news->due)) {
		llm_tree_insert(&llm_broker.news, &news->due, max(news->next_ns, now_ns));
		llm_news_schedule();
	}
	return &news->report;
}

/** llm_news_throttled() - a group is kept out by its own quota from now on */
void llm_news_throttled(struct llm_group *group)
{
	llm_news_add(group, LLM_NEWS_THROTTLED)->type = LLM_NL_EVENT_THROTTLED;
}

/**
 * llm_news_refused() - a quota was in the way of a request that did not want to wait, or could not
 * @group: whose quota
 * @req: the request, which may have no id yet
 */
void llm_news_refused(struct llm_group *group, const struct llm_request *req)
{
	struct llm_report *report = llm_news_add(group, LLM_NEWS_REFUSED);

	report->type = LLM_NL_EVENT_REFUSED;
	/* a number used again would name a stranger */
	report->pid = pid_has_task(req->who.pid, PIDTYPE_TGID) ? pid_nr(req->who.pid) : 0;
	report->uid = __kuid_val(req->who.uid);
	report->request = req->id;
}

/** llm_news_drop() - a group is no more: what it had to tell is not told */
void llm_news_drop(struct llm_news *news)
{
	lockdep_assert_held(&llm_broker.lock);
	for (int kind = 0; kind < LLM_NEWS; kind++)
		llm_tree_remove(&llm_broker.news, &news[kind].due);
}

/* Takes one that is due. Return: there was one. */
static bool llm_news_take(struct llm_report *ret_report)
{
	struct llm_tree_node *first = llm_tree_first(&llm_broker.news);
	const u64 now_ns = ktime_get_ns();
	struct llm_news *news;

	if (!first || first->key > now_ns)
		return false;
	news = container_of(first, struct llm_news, due);
	llm_tree_remove(&llm_broker.news, &news->due);
	*ret_report = news->report;
	news->next_ns = now_ns + LLM_NEWS_PAUSE_NS;
	news->report.count = 0;
	return true;
}

/** llm_news_tell() - tells what is due, LLM_BATCH at most, and comes back for the rest */
void llm_news_tell(struct work_struct *work)
{
	struct llm_report report;

	for (int n = 0; n < LLM_BATCH; n++) {
		bool more;

		spin_lock(&llm_broker.lock);
		more = llm_news_take(&report);
		spin_unlock(&llm_broker.lock);
		if (!more)
			break;
		llm_netlink_tell(&report);
	}
	spin_lock(&llm_broker.lock);
	llm_news_schedule();
	spin_unlock(&llm_broker.lock);
}
