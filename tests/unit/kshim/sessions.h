/* SPDX-License-Identifier: MIT */
/*
 * Sessions for the driver: a table of descriptors, which stands in for session_file.c, and what each
 * past must consist of, kept by the name that the contract gives it. All references between sessions,
 * pasts, requests and descriptors are counted anew at each check.
 */
#ifndef SESSIONS_H
#define SESSIONS_H

#include "kshim.h"

#include "kmod/call.h"

#define SESSION_FDS	12

/* What a COMMIT that is about to be made would append to. */
struct session_growth {
	u64 session;
	u64 past_session;
	u32 past_len;
};

void sessions_start(void);
/* Closes what is open. */
void sessions_finish(void);
/* A descriptor that is open, or not if none is. */
int session_some(u32 random);
/* Closes one, if it is open. */
void session_close(u32 fd);

struct session_growth session_growth(const struct llm_call *call, u64 id);
/* The COMMIT was taken. */
void session_grew(const struct session_growth *growth, const struct llm_commit *commit);
/* Bytes of a request's data, from this offset on: those of its past must be what they are known to be. */
void session_check_data(u64 id, u64 offset, const u8 *bytes, u64 len);
/* The server is told that a session is of no use: it must be so. */
void session_check_end(u64 id);
/* All references are right; @calls are all there are. */
void sessions_check(const struct llm_call *const *calls, u32 count);

/* So many turns were appended, ends told, and bytes of pasts checked. */
extern unsigned long session_turns, session_ends, session_bytes;

#endif /* SESSIONS_H */
