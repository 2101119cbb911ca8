/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that the server holds for its clients. CHARGE comes before it is taken and UNCHARGE after
 * it was given back; what a request still holds when it ends, and all that a server held when it
 * goes, is given back by the broker. The arithmetic, and who waits for whom, is in policy/memory.h.
 */
#ifndef LLM_CHARGE_H
#define LLM_CHARGE_H

#include <linux/types.h>

struct llm_call;
struct llm_group;
struct llm_request;
struct work_struct;

void llm_charge_init(void);
void llm_charge_exit(void);
void llm_charge_run(void);
void llm_charge_release(struct llm_request *req);
void llm_charge_pass(struct llm_request *req);
void llm_charge_set_idle(struct llm_request *req, bool idle);
void llm_charge_withdraw(struct llm_request *req);
void llm_charge_forget(void);

bool llm_charge_take_notice(struct llm_call *call);
bool llm_charge_notice_moot(const struct llm_call *call);
void llm_charge_return_notice(struct llm_call *call);

#endif /* LLM_CHARGE_H */
