/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A session: a conversation with a descriptor. It has a past, and at most one request that is about
 * to make it longer. The descriptor is a file of its own kind, which holds the session and is held
 * by nothing of ours, so files that are sent to each other can not keep a session alive in a circle.
 *
 *	made by SESSION --> in use: by its file, by requests --> over: neither is left; it has no past
 *
 * One that is over stays known as long as others have a past that was made in it (forks, and their
 * requests), because a server knows that past by its name; and then until the server, if it ever
 * heard the name, has heard that it means nothing any more. So long it counts for who made it.
 *
 * The broker's lock protects all of it but what is said to be constant.
 */
#ifndef LLM_SESSION_H
#define LLM_SESSION_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/llm.h>

#include "past.h"

struct file;
struct llm_call;
struct llm_request;
struct llm_trash;
struct llm_user;
struct mem_cgroup;

/**
 * struct llm_session - a conversation
 * @id: constant; its name
 * @user: constant; who made it
 * @memcg: constant; what its pasts are charged to
 * @node: in llm_broker.farewells, once it is over and its server has yet to hear of that
 * @users: its file, its requests, and who looks at it just now
 * @made: pasts that were made in it
 * @past: what it has; NULL: nothing yet, or it is over
 * @turn: the request that is about to append; NULL: there is none
 * @sealed: nothing will ever be appended
 * @turns: requests that were
 * @told: by number, the last server that heard of it; 0: none did
 * @model: of its first turn
 */
struct llm_session {
	u64 id;
	struct llm_user *user;
	struct mem_cgroup *memcg;
	struct list_head node;
	u32 users;
	u32 made;
	struct llm_past *past;
	struct llm_request *turn;
	bool sealed;
	u64 turns;
	u64 told;
	char model[LLM_MODEL_NAME_MAX];
};

int llm_session_make(struct llm_session *from, struct llm_session **ret_session);
int llm_session_seal(struct llm_session *session);
void llm_session_describe(const struct llm_session *session, struct llm_session_cmd *ret_info);
void llm_session_use(struct llm_session *session);
void llm_session_unuse(struct llm_session *session, struct llm_trash *trash);
void llm_session_leave(struct llm_session *session);

bool llm_session_appends(const struct llm_request *req);
int llm_session_admit(const struct llm_request *req);
void llm_session_begin(struct llm_request *req);
void llm_session_grow(struct llm_request *req, struct llm_past *past, struct llm_trash *trash);
void llm_session_stop(struct llm_request *req);
void llm_session_heard(const struct llm_request *req);
void llm_past_get(struct llm_past *past);
void llm_past_put(struct llm_past *past, struct llm_trash *trash);

bool llm_session_take_notice(struct llm_call *call);
void llm_session_return_notice(struct llm_call *call);
void llm_session_forget(struct llm_session *session);
void llm_sessions_forget(void);

/* ---- session_file.c ---- */

int llm_session_use_fd(int fd, struct llm_session **ret_session);
int llm_session_open(struct llm_session *session, struct file **ret_file);
void llm_session_open_done(int fd, struct file *file, bool keep);

#endif /* LLM_SESSION_H */
