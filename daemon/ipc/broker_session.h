/* SPDX-License-Identifier: MIT */
/*
 * Sessions as the broker of the socket keeps them: what was said, in parts that forks share, and
 * whether somebody is just saying more. What the parts mean the scheduler knows alone. A session is
 * there as long as somebody holds a handle of it, or a request belongs to it. Owned by the broker.
 */
#ifndef LLMOS_IPC_BROKER_SESSION_H
#define LLMOS_IPC_BROKER_SESSION_H

#include "base/list.h"
#include "ipc/ipc.h"

/* limits, as GET_FEATURES tells them */
#define BROKER_SESSIONS_MAX		256U
#define BROKER_SESSIONS_USER_MAX	64U
#define BROKER_SESSION_BYTES_MAX	(1U << 20)

struct broker_maker;
struct broker_part;

/**
 * struct broker_sessions - all of them
 * @ipc: whose sink is told of their ends
 * @makers: names of pasts: sessions that there are, and those that have left a past
 * @count: of these; @session_count: sessions there are
 * @last_id: ids are not used again
 */
struct broker_sessions {
	struct ipc *ipc;
	struct list makers;
	unsigned int count;
	unsigned int session_count;
	uint64_t last_id;
};

/**
 * struct broker_session - a session
 * @self: its id
 * @past_maker: the session that made its past; NULL: it is empty
 * @past: the last part of it, behind the ones before
 * @tokens: of it
 * @turns: appended to this session
 * @model: of its first turn
 * @refs: handles and requests
 * @is_sealed: nothing is appended any more
 * @is_busy: a request that appends is under way
 */
struct broker_session {
	struct broker_maker *self;
	struct broker_maker *past_maker;
	struct broker_part *past;
	uint64_t tokens;
	uint64_t turns;
	char model[LLM_MODEL_NAME_MAX];
	unsigned int refs;
	bool is_sealed;
	bool is_busy;
};

/**
 * struct broker_past - a past as it was when it was taken, whatever is appended since
 * @maker: the session that made it; @part: the last part of it; both NULL: it is empty
 */
struct broker_past {
	struct broker_maker *maker;
	struct broker_part *part;
};

void broker_sessions_init(struct broker_sessions *sessions, struct ipc *ipc);
/**
 * broker_session_new() - one that is empty, or has the past of another
 * @uid: whose limit it counts against
 * @from: the other one, or NULL
 * @ret: with a reference that broker_session_put() returns
 *
 * Return: 0; -EMFILE the user has too many, -ENFILE there are too many, -ENOMEM.
 */
int broker_session_new(struct broker_sessions *sessions, uint32_t uid,
		       const struct broker_session *from, struct broker_session **ret);
struct broker_session *broker_session_get(struct broker_session *session);
void broker_session_put(struct broker_sessions *sessions, struct broker_session *session);

/** broker_session_claim() - a request is going to append: 0, -EPERM it is sealed, -EBUSY */
int broker_session_claim(struct broker_session *session);
/**
 * broker_session_append() - its turn becomes part of the past
 * @model: as that request had it
 * @commit: of the end of that request
 *
 * Return: 0; -E2BIG the past would be too long, -EINVAL, -ENOMEM: nothing was appended.
 */
int broker_session_append(struct broker_sessions *sessions, struct broker_session *session,
			  const char *model, const struct llm_commit *commit);
/** broker_session_seal() - 0, -EBUSY */
int broker_session_seal(struct broker_session *session);

/** broker_session_bytes() - of the past */
size_t broker_session_bytes(const struct broker_session *session);
/** broker_past_take() - it as it is now; nothing is copied */
struct broker_past broker_past_take(const struct broker_session *session);
/** broker_past_drop() - one less needs it, which is empty then; may tell the end of a session */
void broker_past_drop(struct broker_sessions *sessions, struct broker_past *past);
size_t broker_past_bytes(const struct broker_past *past);
/** broker_past_copy() - all of it, to @to */
void broker_past_copy(const struct broker_past *past, uint8_t *to);

/** broker_session_fill_event() - what a request of it tells the scheduler, but for its data */
void broker_session_fill_event(const struct broker_session *session, struct llm_event *event);
/** broker_session_fill_info() - the outputs of LLM_IOC_SESSION, but for the descriptor */
void broker_session_fill_info(const struct broker_session *session, struct llm_session_cmd *info);

#endif /* LLMOS_IPC_BROKER_SESSION_H */
