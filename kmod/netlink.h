/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family "llm", in the initial network namespace: <linux/llm_netlink.h> is its
 * contract. Messages are checked against policies before anything here sees them; what goes out is
 * copied under the broker's lock and put into messages without it.
 */
#ifndef LLM_NETLINK_H
#define LLM_NETLINK_H

#include <linux/types.h>

#include "news.h"

int llm_netlink_init(void);
void llm_netlink_exit(void);

void llm_netlink_tell(const struct llm_report *report);
void llm_netlink_tell_one(const struct llm_report *report, u32 portid);

#endif /* LLM_NETLINK_H */
