/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who wants to be told when a cgroup is stalled for long: WATCH. A watch belongs to the netlink
 * socket that asked, looks ten times a window at the cgroup's time stalled, and goes with the
 * socket.
 */
#ifndef LLM_WATCH_H
#define LLM_WATCH_H

#include <linux/types.h>

#include "policy/pressure.h"

/**
 * struct llm_watch_spec - what to watch
 * @cgroup: its id
 * @portid: of the socket
 * @stall: some or full
 * @stall_ns: tell when it was stalled that long, 1 to @window_ns
 * @window_ns: within so long
 * @privileged: the bound on the watches of one user is not for him
 */
struct llm_watch_spec {
	u64 cgroup;
	u32 portid;
	enum llm_stall stall;
	u64 stall_ns;
	u64 window_ns;
	bool privileged;
};

int llm_watch_init(void);
void llm_watch_exit(void);
int llm_watch_add(const struct llm_watch_spec *spec);

#endif /* LLM_WATCH_H */
