/* SPDX-License-Identifier: MIT */
/* Lines of sessions; see session.h. */
#include "sched/session.h"

struct session {
	struct list link;
	const struct ipc *ipc;
	uint64_t id;
	uint64_t line;
};

static struct session *session_find(struct sessions *sessions, const struct ipc *ipc, uint64_t id)
{
	struct session *session;

	list_each(session, &sessions->table[id % SESSION_TABLE_SIZE], link)
		if (session->ipc == ipc && session->id == id)
			return session;
	return NULL;
}

static struct session *session_add(struct sessions *sessions, const struct ipc *ipc, uint64_t id,
				   uint64_t line)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->ipc = ipc;
	session->id = id;
	session->line = line;
	list_append(&sessions->table[id % SESSION_TABLE_SIZE], &session->link);
	return session;
}

uint64_t sessions_line(struct sessions *sessions, const struct ipc *ipc, uint64_t id,
		       uint64_t past)
{
	struct session *session = session_find(sessions, ipc, id), *parent;

	if (session)
		return session->line;
	parent = past && past != id ? session_find(sessions, ipc, past) : NULL;
	/* other forks are to find their way to it */
	if (!parent && past && past != id) {
		parent = session_add(sessions, ipc, past, ++sessions->last_line);
		if (!parent)
			return 0;
	}
	session = session_add(sessions, ipc, id, parent ? parent->line : ++sessions->last_line);
	return session ? session->line : 0;
}

static bool line_is_used(const struct sessions *sessions, uint64_t line)
{
	const struct session *session;
	unsigned int i;

	for (i = 0; i < SESSION_TABLE_SIZE; i++)
		list_each(session, &sessions->table[i], link)
			if (session->line == line)
				return true;
	return false;
}

uint64_t sessions_end(struct sessions *sessions, const struct ipc *ipc, uint64_t id)
{
	struct session *session = session_find(sessions, ipc, id);
	uint64_t line;

	if (!session)
		return 0;
	line = session->line;
	list_remove(&session->link);
	free(session);
	return line_is_used(sessions, line) ? 0 : line;
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
		while (!list_empty(&sessions->table[i])) {
			struct session *session = list_first(&sessions->table[i], struct session,
							     link);

			list_remove(&session->link);
			free(session);
		}
	}
}
