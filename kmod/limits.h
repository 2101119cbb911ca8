/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one file, one user and all of them together may take. The limits are module parameters and
 * can be changed at any time; what was admitted before stays. A user's memory is bounded by
 * max_payload_bytes_user for prompts (also those that write() still gathers), and by
 * max_requests_user times the bounds of one answer and one journal, and by
 * max_sessions_user and max_requests_user times the bound of one past.
 */
#ifndef LLM_LIMITS_H
#define LLM_LIMITS_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct llm_client;

/* A server may commit that many data bytes, and that many journal bytes, at once. */
#define LLM_COMMIT_BYTES_MAX	(64U * 1024)

/**
 * struct llm_limits - the module's parameters
 * @max_requests: requests at once, in all
 * @max_requests_user: of one user
 * @max_requests_file: of one open file
 * @max_payload_bytes: of one request
 * @max_payload_bytes_user: of all prompts of one user
 * @max_unread_bytes: of one answer, past which its request is paused
 * @max_journal_bytes: of one request
 * @max_buffer_bytes: of one registered buffer
 * @max_buffers_file: of one open file
 * @max_sessions: sessions at once, in all
 * @max_sessions_user: of one user
 * @max_session_bytes: of the past of one
 * @recover_timeout_s: that a request waits for a server
 */
struct llm_limits {
	unsigned int max_requests;
	unsigned int max_requests_user;
	unsigned int max_requests_file;
	unsigned int max_payload_bytes;
	unsigned int max_payload_bytes_user;
	unsigned int max_unread_bytes;
	unsigned int max_journal_bytes;
	unsigned int max_buffer_bytes;
	unsigned int max_buffers_file;
	unsigned int max_sessions;
	unsigned int max_sessions_user;
	unsigned int max_session_bytes;
	unsigned int recover_timeout_s;
};

extern struct llm_limits llm_limits;

/** llm_limit() - a limit as it is now; the administrator may change it at any time */
#define llm_limit(name) READ_ONCE(llm_limits.name)

/**
 * struct llm_user - one who has requests, prompts or sessions
 * @node: in llm_broker.users
 * @uid: who
 * @refs: requests, sessions and clients that point here
 * @requests: admitted and not freed
 * @files: where he was the last to ask
 * @bytes: of prompts
 * @watches: of pressure
 * @sessions: made and not forgotten
 */
struct llm_user {
	struct hlist_node node;
	kuid_t uid;
	u32 refs;
	u32 requests;
	u32 files;
	u64 bytes;
	u32 watches;
	u32 sessions;
};

int llm_user_get(kuid_t uid, struct llm_user **ret_user);
void llm_user_put(struct llm_user *user);
int llm_user_charge_bytes(struct llm_user *user, u32 bytes);
void llm_user_uncharge_bytes(struct llm_user *user, u32 bytes);
int llm_limits_admit(struct llm_client *client, struct llm_user *user, u32 bytes);
void llm_limits_dismiss(struct llm_user *user, u32 bytes);

#endif /* LLM_LIMITS_H */
