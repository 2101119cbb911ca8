/* SPDX-License-Identifier: MIT */
/* Sessions of the broker of the socket; see broker_session.h. */
#include "ipc/broker_session.h"

#include <string.h>

/**
 * struct broker_maker - a session's id, as a name for what was said in it
 * @link: in the list of all
 * @id: of the session
 * @uid: who made the session
 * @refs: the session, and those whose past was made in it, also of requests
 * @is_heard: the scheduler has been told of it
 */
struct broker_maker {
	struct list link;
	uint64_t id;
	uint32_t uid;
	unsigned int refs;
	bool is_heard;
};

/**
 * struct broker_part - what one turn has appended; never changes
 * @before: the part before it; NULL: it is the first
 * @refs: sessions and requests that have all up to it, and parts behind it
 * @end: bytes of the past up to its end
 * @len: bytes of its own
 */
struct broker_part {
	struct broker_part *before;
	unsigned int refs;
	size_t end;
	size_t len;
	uint8_t data[];
};

/* ---- parts ---- */

static struct broker_part *part_get(struct broker_part *part)
{
	if (part)
		part->refs++;
	return part;
}

static void part_put(struct broker_part *part)
{
	while (part && !--part->refs) {
		struct broker_part *before = part->before;

		free(part);
		part = before;
	}
}

/* takes the reference to @before over */
static struct broker_part *part_new(struct broker_part *before, const void *data, size_t len)
{
	struct broker_part *part = malloc(sizeof(*part) + len);

	if (!part)
		return NULL;
	part->before = before;
	part->refs = 1;
	part->end = (before ? before->end : 0) + len;
	part->len = len;
	memcpy(part->data, data, len);
	return part;
}

/* ---- names ---- */

static struct broker_maker *maker_get(struct broker_maker *maker)
{
	if (maker)
		maker->refs++;
	return maker;
}

static void maker_put(struct broker_sessions *sessions, struct broker_maker *maker)
{
	struct ipc_sink *sink = sessions->ipc->sink;
	uint64_t id;
	bool is_heard;

	if (!maker || --maker->refs)
		return;
	id = maker->id;
	is_heard = maker->is_heard;
	list_remove(&maker->link);
	sessions->count--;
	free(maker);
	if (is_heard && sink->session_ended)
		sink->session_ended(sink, sessions->ipc, id);
}

static unsigned int makers_of(const struct broker_sessions *sessions, uint32_t uid)
{
	const struct broker_maker *maker;
	unsigned int count = 0;

	list_each(maker, &sessions->makers, link)
		count += maker->uid == uid;
	return count;
}

static struct broker_maker *maker_new(struct broker_sessions *sessions, uint32_t uid)
{
	struct broker_maker *maker = calloc(1, sizeof(*maker));

	if (!maker)
		return NULL;
	maker->id = ++sessions->last_id;
	maker->uid = uid;
	maker->refs = 1;
	list_append(&sessions->makers, &maker->link);
	sessions->count++;
	return maker;
}

/* ---- sessions ---- */

void broker_sessions_init(struct broker_sessions *sessions, struct ipc *ipc)
{
	*sessions = (struct broker_sessions){ .ipc = ipc };
	list_init(&sessions->makers);
}

int broker_session_new(struct broker_sessions *sessions, uint32_t uid,
		       const struct broker_session *from, struct broker_session **ret)
{
	struct broker_session *session;

	if (sessions->count >= BROKER_SESSIONS_MAX)
		return -ENFILE;
	if (makers_of(sessions, uid) >= BROKER_SESSIONS_USER_MAX)
		return -EMFILE;
	session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->self = maker_new(sessions, uid);
	if (!session->self) {
		free(session);
		return -ENOMEM;
	}
	session->refs = 1;
	if (from) {
		session->past_maker = maker_get(from->past_maker);
		session->past = part_get(from->past);
		session->tokens = from->tokens;
		memcpy(session->model, from->model, sizeof(session->model));
	}
	sessions->session_count++;
	*ret = session;
	return 0;
}

struct broker_session *broker_session_get(struct broker_session *session)
{
	session->refs++;
	return session;
}

void broker_session_put(struct broker_sessions *sessions, struct broker_session *session)
{
	if (!session || --session->refs)
		return;
	sessions->session_count--;
	part_put(session->past);
	maker_put(sessions, session->past_maker);
	maker_put(sessions, session->self);
	free(session);
}

int broker_session_claim(struct broker_session *session)
{
	if (session->is_sealed)
		return -EPERM;
	if (session->is_busy)
		return -EBUSY;
	session->is_busy = true;
	return 0;
}

int broker_session_append(struct broker_sessions *sessions, struct broker_session *session,
			  const char *model, const struct llm_commit *commit)
{
	const uint8_t *data = (const uint8_t *)(uintptr_t)commit->session;
	struct broker_part *part;

	if (!commit->session_len)
		return commit->session || commit->session_tokens ? -EINVAL : 0;
	if (commit->session_len > BROKER_SESSION_BYTES_MAX - broker_session_bytes(session))
		return -E2BIG;
	part = part_new(session->past, data, commit->session_len);
	if (!part)
		return -ENOMEM;
	if (!session->past)
		memcpy(session->model, model, sizeof(session->model));
	session->past = part;
	if (session->past_maker != session->self) {
		maker_put(sessions, session->past_maker);
		session->past_maker = maker_get(session->self);
	}
	session->tokens = commit->session_tokens;
	session->turns++;
	return 0;
}

int broker_session_seal(struct broker_session *session)
{
	if (session->is_busy)
		return -EBUSY;
	session->is_sealed = true;
	return 0;
}

size_t broker_session_bytes(const struct broker_session *session)
{
	return session->past ? session->past->end : 0;
}

struct broker_past broker_past_take(const struct broker_session *session)
{
	return (struct broker_past){
		.maker = maker_get(session->past_maker),
		.part = part_get(session->past),
	};
}

void broker_past_drop(struct broker_sessions *sessions, struct broker_past *past)
{
	const struct broker_past old = *past;

	*past = (struct broker_past){ 0 };
	part_put(old.part);
	maker_put(sessions, old.maker);
}

size_t broker_past_bytes(const struct broker_past *past)
{
	return past->part ? past->part->end : 0;
}

void broker_past_copy(const struct broker_past *past, uint8_t *to)
{
	const struct broker_part *part;

	for (part = past->part; part; part = part->before)
		memcpy(to + part->end - part->len, part->data, part->len);
}

void broker_session_fill_event(const struct broker_session *session, struct llm_event *event)
{
	event->session = session->self->id;
	event->session_len = broker_session_bytes(session);
	session->self->is_heard = true;
	if (!session->past_maker)
		return;
	event->past_session = session->past_maker->id;
	session->past_maker->is_heard = true;
}

void broker_session_fill_info(const struct broker_session *session, struct llm_session_cmd *info)
{
	info->out_flags = (session->is_sealed ? LLM_SESSION_SEALED : 0) |
			  (session->is_busy ? LLM_SESSION_BUSY : 0);
	info->id = session->self->id;
	info->bytes = broker_session_bytes(session);
	info->tokens = session->tokens;
	info->turns = session->turns;
	memcpy(info->model, session->model, sizeof(info->model));
}
