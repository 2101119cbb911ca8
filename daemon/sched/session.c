/* SPDX-License-Identifier: MIT */
/* Lines of sessions; see session.h. */
#include "sched/session.h"

/** struct session_line - @users: sessions of it */
struct session_line {
	uint64_t number;
	unsigned int users;
	struct session_base base;
};

struct session {
	struct list link;
	const struct ipc *ipc;
	uint64_t id;
	struct session_line *line;
};

static struct session *session_find(struct sessions *sessions, const struct ipc *ipc, uint64_t id)
{
	struct session *session;

	list_each(session, &sessions->table[id % SESSION_TABLE_SIZE], link)
		if (session->ipc == ipc && session->id == id)
			return session;
	return NULL;
}

/* @line: NULL: a new one */
static struct session *session_add(struct sessions *sessions, const struct ipc *ipc, uint64_t id,
				   struct session_line *line)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session && !line) {
		line = calloc(1, sizeof(*line));
		if (line)
			line->number = ++sessions->last_line;
	}
	if (!session || !line) {
		free(session);
		return NULL;
	}
	session->ipc = ipc;
	session->id = id;
	session->line = line;
	line->users++;
	list_append(&sessions->table[id % SESSION_TABLE_SIZE], &session->link);
	return session;
}

/* Return: the line that it was the last of, or 0 */
static uint64_t session_remove(struct session *session)
{
	struct session_line *line = session->line;
	const uint64_t number = line->number;

	list_remove(&session->link);
	free(session);
	if (--line->users)
		return 0;
	free(line);
	return number;
}

uint64_t sessions_line(struct sessions *sessions, const struct ipc *ipc, uint64_t id,
		       uint64_t past)
{
	struct session *session = session_find(sessions, ipc, id), *parent;

	if (session)
		return session->line->number;
	parent = past && past != id ? session_find(sessions, ipc, past) : NULL;
	/* other forks are to find their way to it */
	if (!parent && past && past != id) {
		parent = session_add(sessions, ipc, past, NULL);
		if (!parent)
			return 0;
	}
	session = session_add(sessions, ipc, id, parent ? parent->line : NULL);
	return session ? session->line->number : 0;
}

struct session_base *sessions_base(struct sessions *sessions, const struct ipc *ipc, uint64_t id)
{
	struct session *session = session_find(sessions, ipc, id);

	return session ? &session->line->base : NULL;
}

uint64_t sessions_end(struct sessions *sessions, const struct ipc *ipc, uint64_t id)
{
	struct session *session = session_find(sessions, ipc, id);

	return session ? session_remove(session) : 0;
}

void sessions_init(struct sessions *sessions)
{
	unsigned int i;

	for (i = 0; i < SESSION_TABLE_SIZE; i++)
		list_init(&sessions->table[i]);
	sessions->last_line = 0;
}

void sessions_free(struct sessions *sessions)
{
	unsigned int i;

	for (i = 0; i < SESSION_TABLE_SIZE; i++) {
		while (!list_empty(&sessions->table[i]))
			session_remove(list_first(&sessions->table[i], struct session, link));
	}
}
