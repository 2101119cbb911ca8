/* SPDX-License-Identifier: MIT */
/*
 * A server that a test steps by hand: it says how many slots it has, always has FETCHes parked, and
 * makes a token for each request that may run when it is told to.
 */
#ifndef UAPI_STEP_H
#define UAPI_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/llm.h>

#define STEP_HELD_MAX	128

/* A request that the server has. */
struct step_held {
	uint64_t id;
	uint64_t cgroup;
	uint64_t domain_cgroup;
	uint32_t domain_uid;
	uint32_t uid;
	uint32_t sched_class;
	uint32_t tokens;
	uint32_t flags;		/* as submitted */
	bool paused;
	bool cancelled;
};

extern struct step_held step_helds[STEP_HELD_MAX];

void step_begin(uint32_t slots);
void step_end(void);
/* Takes what has come, waiting up to @timeout_ms for the first. */
void step_news(int timeout_ms);
/* NULL: the server has no such request. */
struct step_held *step_find(uint64_t id);
/* So many that run, and so many that the server has. */
int step_running(void);
int step_count(void);
/* Makes tokens for one, or ends it. Return: the verdict. */
int step_commit(struct step_held *held, uint32_t tokens, uint64_t compute_ns, uint32_t flags);
/* Takes news and makes a token for each that may run. Return: how many did. */
int step_all(void);
/* Ends all that the server has, also what it gets then. */
void step_finish(void);

/* Asks from a cgroup, as a request of this process and @fd. Return: its id; 0 and errno. */
uint64_t ask_from(int fd, const char *cgroup, uint32_t flags, uint32_t sched_class);

#endif /* UAPI_STEP_H */
