/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What administrators are told as it happens. Some of it happens often, under the broker's lock: of
 * that each group counts what it has of a kind and tells the last of it, once a second at most, by
 * work of its own. Nothing is allocated where it happens.
 */
#ifndef LLM_NEWS_H
#define LLM_NEWS_H

#include <linux/types.h>
#include <linux/llm_netlink.h>

#include "policy/tree.h"

struct llm_group;
struct llm_request;
struct work_struct;

/** enum llm_news_kind - what happens often */
enum llm_news_kind {
	LLM_NEWS_THROTTLED,
	LLM_NEWS_REFUSED,
	LLM_NEWS
};

/**
 * struct llm_report - an event as it is told
 * @type: enum llm_nl_event_type
 * @pid: in the initial pid namespace; 0: none, or none any more
 * @uid: in the initial user namespace
 * @requests: SERVER_DOWN: that wait for the next one
 * @time_ns: when
 * @cgroup: whose; 0: nobody's
 * @request: REFUSED: its id; 0: it had none
 * @count: how many since the last one told
 * @stall_ns: PRESSURE: in the window
 */
struct llm_report {
	u32 type;
	u32 pid;
	u32 uid;
	u32 requests;
	u64 time_ns;
	u64 cgroup;
	u64 request;
	u64 count;
	u64 stall_ns;
};

/**
 * struct llm_news - what a group has of a kind; the broker's lock protects it
 * @due: in llm_broker.news, by when it is to be told; while there is something
 * @next_ns: not to be told before
 * @report: the last one, with the count of all
 */
struct llm_news {
	struct llm_tree_node due;
	u64 next_ns;
	struct llm_report report;
};

void llm_news_throttled(struct llm_group *group);
void llm_news_refused(struct llm_group *group, const struct llm_request *req);
void llm_news_drop(struct llm_news *news);
void llm_news_tell(struct work_struct *work);

#endif /* LLM_NEWS_H */
