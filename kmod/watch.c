// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches on pressure: see watch.h. Added by netlink messages, looked at by work of their own,
 * removed when their socket is released. The broker's lock protects them.
 */
#include <linux/cred.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "broker.h"
#include "group.h"
#include "limits.h"
#include "netlink.h"
#include "watch.h"

#define LLM_WATCHES_MAX		4096
#define LLM_WATCHES_USER_MAX	64
#define LLM_WATCH_LOOKS		10	/* in a window */
#define LLM_WATCH_BUCKETS	256

/**
 * struct llm_watch - a watch
 * @spec: what it is for
 * @node: in llm_watches.by_port
 * @due: in llm_watches.due, by when to look next
 * @user: who asked; pays for it
 * @start_ns: when the window began
 * @start_stall_ns: stalled until then
 * @before_ns: stalled in the window before
 * @next_tell_ns: not to be told before
 */
struct llm_watch {
	struct llm_watch_spec spec;
	struct hlist_node node;
	struct llm_tree_node due;
	struct llm_user *user;
	u64 start_ns;
	u64 start_stall_ns;
	u64 before_ns;
	u64 next_tell_ns;
};

/* All watches: by their sockets, and by when to look next. */
static struct {
	struct hlist_head by_port[LLM_WATCH_BUCKETS];
	struct llm_tree due;
	u32 count;
	struct delayed_work work;
} llm_watches;

static struct hlist_head *llm_watch_bucket(u32 portid)
{
	return &llm_watches.by_port[hash_32(portid, ilog2(LLM_WATCH_BUCKETS))];
}

static u64 llm_watch_stalled(const struct llm_watch *watch, u64 now_ns)
{
	struct llm_group *group = llm_group_find(watch->spec.cgroup);

	if (!group)
		return 0;
	llm_pressure_update(&group->tenant.pressure, now_ns);
	return group->tenant.pressure.total_ns[watch->spec.stall];
}

/*
 * Time stalled in the window that ends now: what was since its own windows began, and of the one
 * before as much as the window reaches into it.
 */
static u64 llm_watch_growth(struct llm_watch *watch, u64 now_ns)
{
	const u64 window_ns = watch->spec.window_ns;
	const u64 stalled_ns = llm_watch_stalled(watch, now_ns);
	const u64 past_ns = now_ns - watch->start_ns;
	u64 growth_ns;

	/* the group was forgotten meanwhile, and began anew */
	if (stalled_ns < watch->start_stall_ns)
		watch->start_stall_ns = 0;
	growth_ns = stalled_ns - watch->start_stall_ns;
	if (past_ns < window_ns)
		return growth_ns + mul_u64_u64_div_u64(watch->before_ns, window_ns - past_ns,
						       window_ns);
	watch->start_ns = now_ns;
	watch->start_stall_ns = stalled_ns;
	watch->before_ns = growth_ns;
	return growth_ns;
}

/* Under the lock, as all that starts the work. */
static void llm_watch_schedule(void)
{
	const struct llm_tree_node *first = llm_tree_first(&llm_watches.due);
	const u64 now_ns = ktime_get_ns();

	if (!first)
		return;
	cancel_delayed_work(&llm_watches.work);
	schedule_delayed_work(&llm_watches.work, first->key > now_ns ?
			      nsecs_to_jiffies(first->key - now_ns) + 1 : 0);
}

static void llm_watch_look_later(struct llm_watch *watch, u64 now_ns)
{
	llm_tree_insert(&llm_watches.due, &watch->due,
			now_ns + div_u64(watch->spec.window_ns, LLM_WATCH_LOOKS));
}

/* Looks at one that is due. Return: there was one; @ret_portid: to be told, or 0: nobody. */
static bool llm_watch_look(struct llm_report *ret_report, u32 *ret_portid)
{
	const struct llm_tree_node *first = llm_tree_first(&llm_watches.due);
	const u64 now_ns = ktime_get_ns();
	struct llm_watch *watch;
	u64 growth_ns;

	*ret_portid = 0;
	if (!first || first->key > now_ns)
		return false;
	watch = container_of(first, struct llm_watch, due);
	llm_tree_remove(&llm_watches.due, &watch->due);
	llm_watch_look_later(watch, now_ns);
	growth_ns = llm_watch_growth(watch, now_ns);
	if (growth_ns < watch->spec.stall_ns || now_ns < watch->next_tell_ns)
		return true;
	watch->next_tell_ns = now_ns + watch->spec.window_ns;
	*ret_portid = watch->spec.portid;
	*ret_report = (struct llm_report) {
		.type = LLM_NL_EVENT_PRESSURE,
		.time_ns = now_ns,
		.cgroup = watch->spec.cgroup,
		.count = 1,
		.stall_ns = growth_ns,
	};
	return true;
}

static void llm_watch_work(struct work_struct *work)
{
	struct llm_report report;
	u32 portid;
	bool more = true;

	for (int n = 0; more && n < LLM_BATCH; n++) {
		spin_lock(&llm_broker.lock);
		more = llm_watch_look(&report, &portid);
		spin_unlock(&llm_broker.lock);
		if (portid)
			llm_netlink_tell_one(&report, portid);
	}
	spin_lock(&llm_broker.lock);
	llm_watch_schedule();
	spin_unlock(&llm_broker.lock);
}

/* Is it there, as the current task sees it? Return: 0; ENOENT. */
static int llm_watch_check(u64 cgroup)
{
	struct llm_lineage lineage;
	bool known;

	spin_lock(&llm_broker.lock);
	known = llm_group_find(cgroup);
	spin_unlock(&llm_broker.lock);
	return known ? 0 : llm_lineage_find(cgroup, &lineage);
}

/* Under the lock. Return: 0; EBUSY. */
static int llm_watch_admit(struct llm_watch *watch)
{
	if (llm_watches.count >= LLM_WATCHES_MAX ||
	    (!watch->spec.privileged && watch->user->watches >= LLM_WATCHES_USER_MAX))
		return -EBUSY;
	llm_watches.count++;
	watch->user->watches++;
	watch->start_ns = ktime_get_ns();
	watch->start_stall_ns = llm_watch_stalled(watch, watch->start_ns);
	hlist_add_head(&watch->node, llm_watch_bucket(watch->spec.portid));
	llm_watch_look_later(watch, watch->start_ns);
	llm_watch_schedule();
	return 0;
}

/**
 * llm_watch_add() - a socket wants to be told
 * @spec: of what; within its bounds
 *
 * Context: sleeps; in the task that asks.
 * Return: 0; ENOENT, E2BIG, EBUSY too many watches, ENOMEM.
 */
int llm_watch_add(const struct llm_watch_spec *spec)
{
	struct llm_watch *watch;
	int err;

	err = llm_watch_check(spec->cgroup);
	if (err)
		return err;
	watch = kzalloc(sizeof(*watch), GFP_KERNEL_ACCOUNT);
	if (!watch)
		return -ENOMEM;
	watch->spec = *spec;
	err = llm_user_get(current_euid(), &watch->user);
	spin_lock(&llm_broker.lock);
	if (!err)
		err = llm_watch_admit(watch);
	if (err)
		llm_user_put(watch->user);
	spin_unlock(&llm_broker.lock);
	if (err)
		kfree(watch);
	return err;
}

static void llm_watch_remove(struct llm_watch *watch)
{
	hlist_del(&watch->node);
	llm_tree_remove(&llm_watches.due, &watch->due);
	llm_watches.count--;
	watch->user->watches--;
	llm_user_put(watch->user);
	kfree(watch);
}

/* A socket is released: any of the machine's, most of which never had a watch. */
static int llm_watch_released(struct notifier_block *block, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;
	struct llm_watch *watch;
	struct hlist_node *next;

	/* its own watches were added before by its own messages, so they are seen without the lock */
	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC ||
	    !net_eq(notify->net, &init_net) ||
	    hlist_empty(llm_watch_bucket(notify->portid)))
		return NOTIFY_DONE;
	spin_lock(&llm_broker.lock);
	hlist_for_each_entry_safe(watch, next, llm_watch_bucket(notify->portid), node)
		if (watch->spec.portid == notify->portid)
			llm_watch_remove(watch);
	spin_unlock(&llm_broker.lock);
	return NOTIFY_DONE;
}

static struct notifier_block llm_watch_notifier = {
	.notifier_call = llm_watch_released,
};

/** llm_watch_init() - before the family comes. Return: 0; an error. */
int __init llm_watch_init(void)
{
	INIT_DELAYED_WORK(&llm_watches.work, llm_watch_work);
	return netlink_register_notifier(&llm_watch_notifier);
}

/** llm_watch_exit() - after the family has gone: sockets that are still open are not told any more */
void llm_watch_exit(void)
{
	struct llm_watch *watch;
	struct hlist_node *next;

	netlink_unregister_notifier(&llm_watch_notifier);
	spin_lock(&llm_broker.lock);
	for (int i = 0; i < LLM_WATCH_BUCKETS; i++)
		hlist_for_each_entry_safe(watch, next, &llm_watches.by_port[i], node)
			llm_watch_remove(watch);
	spin_unlock(&llm_broker.lock);
	cancel_delayed_work_sync(&llm_watches.work);
}
