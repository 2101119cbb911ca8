/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is due for the server: control requests in the order of their ids, others as the stage says,
 * and notices. An event is handed to a parked FETCH as soon as there is one, so nothing is ever due
 * while a FETCH that takes it is parked, but what waits for a slot. What was handed out and could
 * not be delivered comes back to where it was: requests keep their place by their age.
 */
#ifndef LLM_QUEUE_H
#define LLM_QUEUE_H

#include <linux/types.h>

#include "broker.h"
#include "request.h"

struct llm_call;
struct work_struct;

/** llm_queue_quiet() - Return: nothing seems to be due; without the lock, so it may just become so */
static inline bool llm_queue_quiet(void)
{
	return !READ_ONCE(llm_broker.stage.waiting) && list_empty(&llm_broker.notices) &&
	       list_empty(&llm_broker.reclaims) && list_empty(&llm_broker.farewells) &&
	       !READ_ONCE(llm_broker.queues[LLM_KIND_CONTROL].root);
}

void llm_queue_insert(struct llm_request *req);
void llm_queue_remove(struct llm_request *req);
struct llm_request *llm_queue_first(enum llm_kind kind);
void llm_queue_offer(struct llm_request *req, u64 now_ns);
void llm_queue_go_on(struct llm_request *req);
bool llm_queue_may_start(void);
void llm_queue_run(void);
void llm_queue_pause(struct llm_request *req, enum llm_pause_reason reason);
void llm_queue_tell(void);
void llm_queue_notify(struct llm_request *req, u32 type);
void llm_queue_drop_notice(struct llm_request *req);
bool llm_queue_take(struct llm_call *call, u32 mask);
bool llm_queue_moot(const struct llm_call *call);
bool llm_queue_delivered(struct llm_call *call);
void llm_queue_return(struct llm_call *call);
void llm_queue_recover(struct llm_request *req, struct llm_trash *trash);
void llm_queue_expire(struct work_struct *work);
void llm_queue_timeout_start(void);
void llm_queue_timeout_changed(void);

#endif /* LLM_QUEUE_H */
