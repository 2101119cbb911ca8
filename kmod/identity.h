/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who asked: taken from the task that submits, never from its words. User ids are effective ones,
 * as with SO_PEERCRED; where a prompt is written to the file, that of who opened it. The process is
 * remembered as a struct pid, so that it can be named in the namespace of whoever asks, and so that
 * a number used again does not point at a stranger.
 */
#ifndef LLM_IDENTITY_H
#define LLM_IDENTITY_H

#include <linux/types.h>
#include <linux/uidgid.h>

struct mem_cgroup;
struct pid;

/**
 * struct llm_identity - a submitter
 * @pid: its process
 * @memcg: the memory cgroup that its answers are charged to
 * @cgroup_id: its cgroup in the default hierarchy, when it submitted
 * @uid: its effective user id, or the opener's
 */
struct llm_identity {
	struct pid *pid;
	struct mem_cgroup *memcg;
	u64 cgroup_id;
	kuid_t uid;
};

u64 llm_identity_cgroup(void);
void llm_identity_take(struct llm_identity *ret_who, kuid_t uid, u64 cgroup);
void llm_identity_drop(struct llm_identity *who);
u32 llm_pid_for_reader(struct pid *pid);
u32 llm_uid_for_reader(kuid_t uid);

#endif /* LLM_IDENTITY_H */
