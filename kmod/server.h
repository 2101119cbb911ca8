/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The server: the one open file of /dev/llmd. When it goes, the requests it had go back to the
 * queue, whatever they were at; an old server's file that is still open somewhere can do nothing.
 */
#ifndef LLM_SERVER_H
#define LLM_SERVER_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/llm.h>

#include "uring.h"

struct llm_request;
struct pid;

/**
 * struct llm_server - an open file; the broker's lock protects it
 * @fetchers: parked FETCHes by the events they take, oldest first
 * @pid: the process that serves: the opener, or whoever fetched last
 * @regions: the broker's number of each region, by the server's own
 * @region_count: of them; the first is always LLM_REGION_HOST
 * @regions_set: by SETUP
 * @gone: no longer the server
 * @pool: for its commands by io_uring
 */
struct llm_server {
	struct list_head fetchers[LLM_FETCH_EVENTS + 1];
	struct pid *pid;
	u32 regions[LLM_REGIONS_MAX];
	u32 region_count;
	bool regions_set;
	bool gone;
	struct llm_uring_pool pool;
};

int llm_server_open(struct llm_server **ret_server);
void llm_server_leave(struct llm_server *server);
void llm_server_close(struct llm_server *server);
void llm_server_adopt(struct llm_server *server);
struct llm_request *llm_server_find(struct llm_server *server, u64 id);

#endif /* LLM_SERVER_H */
