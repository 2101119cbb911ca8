/* SPDX-License-Identifier: MIT */
/*
 * Sessions as far as this server needs to know them: which ones are of one line, that is, have
 * come from one another by forks. What was computed in a line is kept together, for it begins in
 * the same way; the broker says when nobody has a part of it any more. The past itself comes with
 * each request, so nothing here is missed after a restart. Owned by the scheduler.
 */
#ifndef LLMOS_SCHED_SESSION_H
#define LLMOS_SCHED_SESSION_H

#include "base/list.h"
#include "engine/engine.h"
#include "ipc/ipc.h"

#define SESSION_TABLE_SIZE	256	/* a power of two */

/**
 * struct session_base - the cache domain in which a line's system prompt is kept
 * @is_set: it is known; else that of the first who asks
 */
struct session_base {
	bool is_set;
	struct engine_domain_base domain;
};

/**
 * struct sessions - see above
 * @table: those that were heard of, by id
 * @last_line: a number is not used again
 */
struct sessions {
	struct list table[SESSION_TABLE_SIZE];
	uint64_t last_line;
};

void sessions_init(struct sessions *sessions);
void sessions_free(struct sessions *sessions);
/**
 * sessions_line() - the line of a session, which is heard of from now on
 * @id: the session
 * @past: the session that made its past, 0: there is none
 *
 * Return: its number, the same for the session and what is forked from it; 0: no memory.
 */
uint64_t sessions_line(struct sessions *sessions, const struct ipc *ipc, uint64_t id,
		       uint64_t past);
/** sessions_base() - that of a session's line; NULL: it was not heard of */
struct session_base *sessions_base(struct sessions *sessions, const struct ipc *ipc, uint64_t id);
/**
 * sessions_end() - nobody has a past of it any more
 *
 * Return: the line that it was the last of, or 0.
 */
uint64_t sessions_end(struct sessions *sessions, const struct ipc *ipc, uint64_t id);

#endif /* LLMOS_SCHED_SESSION_H */
