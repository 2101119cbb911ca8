// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who asked: see identity.h. Called with nothing held, in the task that is meant: also an io_uring
 * worker is a thread of its process, with the credentials of the request it works on.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/memcontrol.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/user_namespace.h>

#include "identity.h"

/** llm_identity_cgroup() - Return: the id of the current task's cgroup in the default hierarchy */
u64 llm_identity_cgroup(void)
{
	u64 id;

	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
	return id;
}

/**
 * llm_identity_take() - notes down the current task; undone by llm_identity_drop()
 * @ret_who: it
 * @uid: in whose name it asks
 * @cgroup: what llm_identity_cgroup() said
 */
void llm_identity_take(struct llm_identity *ret_who, kuid_t uid, u64 cgroup)
{
	ret_who->cgroup_id = cgroup;
	ret_who->pid = get_pid(task_tgid(current));
	ret_who->memcg = get_mem_cgroup_from_mm(current->mm);
	ret_who->uid = uid;
}

void llm_identity_drop(struct llm_identity *who)
{
	put_pid(who->pid);
	mem_cgroup_put(who->memcg);
	who->pid = NULL;
	who->memcg = NULL;
}

/**
 * llm_pid_for_reader() - names a process to the current task
 * @pid: remembered
 *
 * Return: its number in the current task's pid namespace; 0: it has none there, or is no more, and
 * the number may be another's.
 */
u32 llm_pid_for_reader(struct pid *pid)
{
	return pid_has_task(pid, PIDTYPE_TGID) ? pid_nr_ns(pid, task_active_pid_ns(current)) : 0;
}

/** llm_uid_for_reader() - Return: @uid in the current task's user namespace, or the overflow uid */
u32 llm_uid_for_reader(kuid_t uid)
{
	return from_kuid_munged(current_user_ns(), uid);
}
