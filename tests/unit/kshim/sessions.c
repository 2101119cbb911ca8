// SPDX-License-Identifier: MIT
/*
 * Sessions for the driver: see sessions.h.
 */
#include "sessions.h"

#include "kmod/broker.h"
#include "kmod/limits.h"
#include "kmod/request.h"
#include "kmod/session.h"

#define KNOWN		8192U		/* sessions whose pasts are known */
#define SEEN		256U

unsigned long session_turns, session_ends, session_bytes;

/* A descriptor: reserved, then open. */
struct file {
	struct llm_session *session;
	bool open;
};

static struct file files[SESSION_FDS];

/* The longest past that was made in a session, by its id. */
static struct known_past {
	u8 *bytes;
	u32 len;
} known[KNOWN];

/* ---- session_file.c ---- */

int llm_session_use_fd(int fd, struct llm_session **ret_session)
{
	/* the one behind the last is of something else */
	if (fd == SESSION_FDS)
		return -EINVAL;
	if (fd < 0 || fd > SESSION_FDS || !files[fd].open)
		return -EBADF;
	*ret_session = files[fd].session;
	spin_lock(&llm_broker.lock);
	llm_session_use(*ret_session);
	spin_unlock(&llm_broker.lock);
	return 0;
}

int llm_session_open(struct llm_session *session, struct file **ret_file)
{
	might_sleep();
	for (int fd = 0; fd < SESSION_FDS; fd++)
		if (!files[fd].session) {
			files[fd].session = session;
			*ret_file = &files[fd];
			return fd;
		}
	return -EMFILE;
}

void llm_session_open_done(int fd, struct file *file, bool keep)
{
	WARN_ON(file != &files[fd] || file->open);
	file->open = true;
	if (!keep)
		session_close((u32)fd);
}

int session_some(u32 random)
{
	for (u32 i = 0; i < SESSION_FDS; i++)
		if (files[(random + i) % SESSION_FDS].open)
			return (int)((random + i) % SESSION_FDS);
	return 0;
}

void session_close(u32 fd)
{
	struct llm_session *session = files[fd].session;

	if (!session)
		return;
	files[fd] = (struct file) { };
	llm_session_leave(session);
}

/* ---- the beginning and the end ---- */

void sessions_start(void)
{
	session_turns = 0;
	session_ends = 0;
	session_bytes = 0;
}

void sessions_finish(void)
{
	for (u32 fd = 0; fd < SESSION_FDS; fd++)
		session_close(fd);
	for (u32 i = 0; i < KNOWN; i++) {
		free(known[i].bytes);
		known[i] = (struct known_past) { };
	}
}

/* ---- what pasts consist of ---- */

static struct llm_request *request_find(u64 id)
{
	struct llm_request *req;

	spin_lock(&llm_broker.lock);
	req = llm_request_find(id);
	spin_unlock(&llm_broker.lock);
	return req;
}

struct session_growth session_growth(const struct llm_call *call, u64 id)
{
	const struct llm_request *req = request_find(id);
	struct session_growth growth = { };

	if (!req || !req->session || req->server != call->server || llm_request_over(req))
		return growth;
	growth.session = req->session->id;
	growth.past_session = req->past ? req->past->maker->id : 0;
	growth.past_len = llm_past_len(req->past);
	return growth;
}

void session_grew(const struct session_growth *growth, const struct llm_commit *commit)
{
	const u32 before = growth->past_len, len = before + commit->session_len;
	struct known_past *past = &known[growth->session];
	const struct known_past *old = &known[growth->past_session];
	u8 *bytes;

	WARN_ON(!growth->session);
	if (growth->session >= KNOWN || growth->past_session >= KNOWN)
		return;
	bytes = malloc(len);
	WARN_ON(!bytes || old->len < before || (past->len && len <= past->len));
	if (before)
		memcpy(bytes, old->bytes, before);
	memcpy(bytes + before, u64_to_user_ptr(commit->session), commit->session_len);
	free(past->bytes);
	past->bytes = bytes;
	past->len = len;
	session_turns++;
}

void session_check_data(u64 id, u64 offset, const u8 *bytes, u64 len)
{
	const struct llm_request *req = request_find(id);
	const struct known_past *past;
	u64 start;

	if (!len || !req || !req->past || req->past->maker->id >= KNOWN)
		return;
	past = &known[req->past->maker->id];
	start = (u64)req->spec.stop_len + req->spec.payload_len + req->journal_told;
	WARN_ON(offset + len > start + req->past->len || past->len < req->past->len);
	for (u64 i = 0; i < len; i++) {
		if (offset + i < start)
			continue;
		WARN_ON(bytes[i] != past->bytes[offset + i - start]);
		session_bytes++;
	}
}

/* ---- who refers to what ---- */

/* All sessions and pasts there are, each once, with what was counted of it. */
static struct seen {
	const void *what;
	u32 users;
	u32 made;
	u32 refs;
} sessions[SEEN], pasts[SEEN];
static u32 session_count, past_count;

static struct seen *seen_in(struct seen *all, u32 *count, const void *what)
{
	for (u32 i = 0; i < *count; i++)
		if (all[i].what == what)
			return &all[i];
	WARN_ON(*count == SEEN);
	all[*count] = (struct seen) { .what = what };
	return &all[(*count)++];
}

static struct seen *see_session(const struct llm_session *session)
{
	return seen_in(sessions, &session_count, session);
}

static void see_past(const struct llm_past *past)
{
	struct seen *seen;

	if (!past)
		return;
	seen = seen_in(pasts, &past_count, past);
	if (!seen->refs++)
		see_session(past->maker)->made++;
}

static void see_request(const struct llm_request *req)
{
	WARN_ON(req->past && (llm_request_over(req) || !req->session));
	WARN_ON(req->session && req->state == LLM_STATE_ENDED);
	if (req->session)
		see_session(req->session)->users++;
	else
		WARN_ON(req->spec.flags & LLM_SUBMIT_SESSION && req->state != LLM_STATE_ENDED);
	see_past(req->past);
}

static void check_session(const struct seen *seen)
{
	const struct llm_session *session = seen->what;
	const struct llm_request *turn = session->turn;

	WARN_ON(session->users != seen->users || session->made != seen->made);
	WARN_ON(session->past && !session->users);
	WARN_ON(!list_empty(&session->node) && (session->users || session->made));
	if (turn)
		WARN_ON(turn->session != session || llm_request_over(turn) ||
			turn->past != session->past || session->sealed);
}

void sessions_check(const struct llm_call *const *calls, u32 count)
{
	const struct llm_session *session;
	u32 made = 0;
	u64 id = 0;

	session_count = 0;
	past_count = 0;
	for (u32 fd = 0; fd < SESSION_FDS; fd++)
		if (files[fd].session)
			see_session(files[fd].session)->users++;
	for (;;) {
		struct llm_request *req;

		spin_lock(&llm_broker.lock);
		req = llm_request_after(id);
		spin_unlock(&llm_broker.lock);
		if (!req)
			break;
		id = req->id;
		see_request(req);
	}
	list_for_each_entry(session, &llm_broker.farewells, node) {
		WARN_ON(session->users || session->made);
		see_session(session);
	}
	for (u32 i = 0; i < count; i++)
		if (calls[i]->event.session)
			see_session(calls[i]->event.session);
	/* makers come in by the pasts of those before them */
	for (u32 i = 0; i < session_count; i++)
		see_past(((const struct llm_session *)sessions[i].what)->past);
	for (u32 i = 0; i < session_count; i++)
		check_session(&sessions[i]);
	for (u32 i = 0; i < past_count; i++)
		WARN_ON(((const struct llm_past *)pasts[i].what)->refs != pasts[i].refs);
	WARN_ON(session_count != llm_broker.sessions);
	for (u32 i = 0; i < LLM_USER_BUCKETS; i++) {
		const struct llm_user *user;

		hlist_for_each_entry(user, &llm_broker.users[i], node)
			made += user->sessions;
	}
	WARN_ON(made != llm_broker.sessions);
}

void session_check_end(u64 id)
{
	session_ends++;
	for (u32 fd = 0; fd < SESSION_FDS; fd++)
		WARN_ON(files[fd].session && (files[fd].session->id == id ||
			(files[fd].session->past && files[fd].session->past->maker->id == id)));
}
