/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time, as quotas know it: who is kept out by a rate or by compute time is let in again when his
 * time has come, by a timer of high resolution and work that it starts. The same work ends those
 * requests that do not want to wait where a quota is in the way, once one has begun to be.
 */
#ifndef LLM_THROTTLE_H
#define LLM_THROTTLE_H

#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct llm_request;
struct llm_tenant;

/**
 * struct llm_throttle - the broker's; its lock protects what no other comment claims
 * @timer: starts @work; protects itself
 * @work: lets in and ends, LLM_BATCH at most at once
 * @due_ns: when @timer is to run out; U64_MAX: it is not set
 * @impatient: requests with LLM_SUBMIT_EDQUOT that have not ended
 * @impatient_count: of them
 * @left: of those, still to be looked at
 * @barred: llm_policy.barred when that began
 * @freed: llm_policy.freed when those who wait were last looked at
 * @look: look at them in any case: one has begun to wait
 */
struct llm_throttle {
	struct hrtimer timer;
	struct work_struct work;
	u64 due_ns;
	struct list_head impatient;
	u32 impatient_count;
	u32 left;
	u64 barred;
	u64 freed;
	bool look;
};

void llm_throttle_init(struct llm_throttle *throttle);
void llm_throttle_exit(struct llm_throttle *throttle);
void llm_throttle_join(struct llm_request *req);
void llm_throttle_leave(struct llm_request *req);
void llm_throttle_waits(const struct llm_request *req);
void llm_throttle_served(void);
void llm_throttle_run(void);

#endif /* LLM_THROTTLE_H */
