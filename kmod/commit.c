// SPDX-License-Identifier: GPL-2.0-only
/*
 * COMMIT: an answer grows. Data and journal are copied into chunks of their own first, charged to
 * the memory cgroup of whoever asked, and what a session is to have from now on is made beside what
 * it has; then all of it takes effect under the lock, or nothing does.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/sched/mm.h>
#include <linux/timekeeping.h>

#include "args.h"
#include "call.h"
#include "charge.h"
#include "commands.h"
#include "limits.h"
#include "queue.h"
#include "request.h"
#include "server.h"
#include "session.h"
#include "throttle.h"
#include "trace.h"

/* From ERESTARTSYS on they mean something to the kernel, and read() returns the status as it is. */
static bool llm_commit_end_valid(const struct llm_commit *commit)
{
	if (!(commit->flags & LLM_COMMIT_END))
		return !commit->status && !commit->finish;
	if (commit->status)
		return commit->status < 0 && commit->status > -ERESTARTSYS && !commit->finish;
	return commit->finish <= LLM_FINISH_CONTEXT;
}

/* Only the last COMMIT of what ends well has something for a session. */
static bool llm_commit_session_valid(const struct llm_commit *commit)
{
	if (!commit->session_len)
		return !commit->session && !commit->session_tokens;
	return commit->flags & LLM_COMMIT_END && !commit->status;
}

static int llm_commit_check(const struct llm_commit *commit)
{
	if (commit->flags & ~LLM_COMMIT_FLAGS || !llm_commit_end_valid(commit) ||
	    !llm_commit_session_valid(commit) || commit->reserved)
		return -EINVAL;
	if (commit->data_len > LLM_COMMIT_BYTES_MAX ||
	    commit->journal_len > LLM_COMMIT_BYTES_MAX ||
	    commit->session_len > llm_limit(max_session_bytes))
		return -E2BIG;
	return 0;
}

/*
 * Is there room for more? A server that stops when it is told to pause never meets the bound on
 * unread bytes, also where that is lowered meanwhile: what it adds before it is told so is taken.
 */
static bool llm_commit_has_room(const struct llm_commit *commit, const struct llm_request *req)
{
	if (commit->data_len && req->state == LLM_STATE_PAUSED &&
	    (u64)req->unread + commit->data_len >
	    (u64)llm_limit(max_unread_bytes) + 2 * LLM_COMMIT_BYTES_MAX)
		return false;
	return !commit->journal_len ||
	       (u64)req->journal.len + commit->journal_len <= llm_limit(max_journal_bytes);
}

/* Is there room, and does the server not go back on its word? */
static int llm_commit_fits(const struct llm_commit *commit, const struct llm_request *req)
{
	if (commit->prompt_tokens < req->prompt_tokens ||
	    commit->output_tokens < req->output_tokens ||
	    (commit->answer_bytes && (commit->answer_bytes < req->answer_bytes ||
				      commit->answer_bytes > req->spec.answer_len)))
		return -EINVAL;
	return llm_commit_has_room(commit, req) ? 0 : -E2BIG;
}

/* What it may do now: its reader comes first, then those it shares the server with. */
static int llm_commit_verdict(struct llm_request *req, u64 now_ns)
{
	struct llm_stage *stage = &llm_broker.stage;
	int verdict = LLM_VERDICT_CONTINUE;

	if (req->unread >= llm_limit(max_unread_bytes)) {
		llm_ticket_leave(stage, &req->ticket, now_ns);
		req->waits_for_reader = true;
		llm_queue_pause(req, LLM_PAUSE_READER);
		/* what it waited for it asks for again */
		llm_charge_withdraw(req);
		llm_charge_set_idle(req, true);
		verdict = LLM_VERDICT_PAUSE;
	} else if (req->leaf && !llm_ticket_renew(stage, &req->ticket, llm_queue_may_start(),
						  now_ns)) {
		const bool kept = llm_tenant_kept(&req->leaf->share.tenant, LLM_WANT_GO_ON);

		llm_queue_pause(req, kept ? LLM_PAUSE_QUOTA : LLM_PAUSE_TURN);
		/* for how long, nobody knows who waits for its memory */
		llm_charge_set_idle(req, kept || req->waits_for_reader);
		llm_throttle_waits(req);
		verdict = LLM_VERDICT_PAUSE;
	}
	if (verdict == LLM_VERDICT_PAUSE)
		llm_queue_run();
	return verdict;
}

/* What a server can have spent on it since it was last told: all of a large machine's processors. */
static u64 llm_commit_compute_ns(const struct llm_commit *commit, const struct llm_request *req,
				 u64 now_ns)
{
	const u64 wall_ns = min(now_ns - req->told_ns, 1ULL << 44);

	return min(commit->compute_ns, wall_ns << 10);
}

/* Counts what the server did for it. */
static void llm_commit_account(const struct llm_commit *commit, struct llm_request *req,
			       u64 now_ns)
{
	if (!req->leaf)
		return;
	llm_ticket_use(&llm_broker.stage, &req->ticket, commit->prompt_tokens,
		       commit->output_tokens, llm_commit_compute_ns(commit, req, now_ns), now_ns);
	req->told_ns = now_ns;
}

/**
 * struct llm_additions - what a COMMIT brings, copied
 * @data: for the answer
 * @journal: for the journal
 * @past: what the session's becomes; NULL: it stays what it is
 */
struct llm_additions {
	struct llm_bytes data;
	struct llm_bytes journal;
	struct llm_past *past;
};

/* Takes effect; under the lock. */
static int llm_commit_apply(const struct llm_commit *commit, struct llm_request *req,
			    struct llm_additions *add, u64 now_ns, struct llm_trash *trash)
{
	int verdict = LLM_VERDICT_CONTINUE;

	if (commit->data_len && !req->first_ns) {
		req->first_ns = now_ns;
		trace_llm_first_byte(req);
	}
	req->unread += commit->data_len;
	req->output_bytes += commit->data_len;
	req->prompt_tokens = commit->prompt_tokens;
	req->output_tokens = commit->output_tokens;
	req->answer_bytes = max(req->answer_bytes, commit->answer_bytes);
	if (add->data.len)
		llm_bytes_append(&req->output, &add->data);
	if (add->journal.len)
		llm_bytes_append(&req->journal, &add->journal);
	if (add->past) {
		llm_session_grow(req, add->past, trash);
		add->past = NULL;
	}
	llm_commit_account(commit, req, now_ns);
	llm_charge_pass(req);
	trace_llm_commit(req, commit->data_len, commit->compute_ns);
	if (commit->flags & LLM_COMMIT_END) {
		llm_request_end(req, commit->status, commit->finish, now_ns, trash);
		return verdict;
	}
	verdict = llm_commit_verdict(req, now_ns);
	/* A pause is news without data, too, where the bound has been lowered. */
	if (commit->data_len || verdict == LLM_VERDICT_PAUSE)
		llm_request_wake(req, trash);
	return verdict;
}

/* Under the lock. Return: the verdict, or an error and nothing was taken. */
static int llm_commit_locked(struct llm_call *call, struct llm_additions *add,
			     struct llm_trash *trash)
{
	const struct llm_commit *commit = &call->args.commit;
	struct llm_request *req = llm_server_find(call->server, commit->id);
	const u64 now_ns = ktime_get_ns();
	int err;

	if (!req)
		return -ENOENT;
	if (req->state == LLM_STATE_CANCELLING) {
		llm_commit_account(commit, req, now_ns);
		if (commit->flags & LLM_COMMIT_END)
			llm_request_end(req, -ECANCELED, LLM_FINISH_NONE, now_ns, trash);
		return LLM_VERDICT_CANCELLED;
	}
	err = llm_commit_fits(commit, req);
	return err ?: llm_commit_apply(commit, req, add, now_ns, trash);
}

/*
 * The request's owner, to be charged; with a reference to the request.
 * Return: 0; ENOENT; ECANCELED nobody will take what it brings.
 */
static int llm_commit_find(struct llm_call *call, struct llm_request **ret_req)
{
	struct llm_request *req;
	int err = 0;

	spin_lock(&llm_broker.lock);
	req = llm_server_find(call->server, call->args.commit.id);
	if (!req)
		err = -ENOENT;
	else if (req->state == LLM_STATE_CANCELLING)
		err = -ECANCELED;
	else
		llm_request_get(req);
	spin_unlock(&llm_broker.lock);
	*ret_req = req;
	return err;
}

/*
 * Copies bytes, charged to the request's owner; none of a request that is cancelled, which it
 * stays: its server is to hear of that though memory is short. Return: 0; ENOENT, ENOMEM, EFAULT.
 */
static int llm_commit_copy(struct llm_call *call, struct llm_additions *add)
{
	const struct llm_commit *commit = &call->args.commit;
	struct llm_request *req;
	struct mem_cgroup *old;
	int err;

	if (!commit->data_len && !commit->journal_len)
		return 0;
	err = llm_commit_find(call, &req);
	if (err)
		return err == -ECANCELED ? 0 : err;
	old = set_active_memcg(req->who.memcg);
	err = llm_bytes_read_user(&add->data, u64_to_user_ptr(commit->data), commit->data_len) ?:
	      llm_bytes_read_user(&add->journal, u64_to_user_ptr(commit->journal),
				  commit->journal_len);
	set_active_memcg(old);
	llm_request_put(req);
	return err;
}

/*
 * Under the lock. Return: 0 and the session, in use, and what it has; ECANCELED nobody will take
 * what would be made; or another error.
 */
static int llm_commit_session(struct llm_call *call, struct llm_session **ret_session,
			      struct llm_past **ret_base)
{
	const struct llm_commit *commit = &call->args.commit;
	struct llm_request *req = llm_server_find(call->server, commit->id);

	if (!req)
		return -ENOENT;
	if (req->state == LLM_STATE_CANCELLING)
		return -ECANCELED;
	if (!llm_session_appends(req))
		return -EINVAL;
	if ((u64)llm_past_len(req->past) + commit->session_len > llm_limit(max_session_bytes))
		return -E2BIG;
	*ret_session = req->session;
	*ret_base = req->past;
	llm_session_use(req->session);
	llm_past_get(req->past);
	return 0;
}

/*
 * Makes the session's next past, charged to who made the session. Nobody else can append to it
 * meanwhile; if the request is cancelled by now, nobody will take what is made here.
 */
static int llm_commit_build(struct llm_call *call, struct llm_additions *add)
{
	const struct llm_commit *commit = &call->args.commit;
	struct llm_session *session;
	struct mem_cgroup *old;
	struct llm_past *base;
	LLM_DEFINE_TRASH(trash);
	int err;

	if (!commit->session_len)
		return 0;
	spin_lock(&llm_broker.lock);
	err = llm_commit_session(call, &session, &base);
	spin_unlock(&llm_broker.lock);
	if (err)
		return err == -ECANCELED ? 0 : err;
	old = set_active_memcg(session->memcg);
	err = llm_past_build(base, u64_to_user_ptr(commit->session), commit->session_len,
			     commit->session_tokens, &add->past);
	set_active_memcg(old);
	spin_lock(&llm_broker.lock);
	llm_past_put(base, &trash);
	llm_session_unuse(session, &trash);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	return err;
}

static int llm_commit_run(struct llm_call *call)
{
	struct llm_additions add = { .past = NULL };
	LLM_DEFINE_TRASH(trash);
	int rc;

	llm_bytes_init(&add.data);
	llm_bytes_init(&add.journal);
	rc = llm_commit_copy(call, &add) ?: llm_commit_build(call, &add);
	if (!rc) {
		spin_lock(&llm_broker.lock);
		rc = llm_commit_locked(call, &add, &trash);
		llm_throttle_run();
		spin_unlock(&llm_broker.lock);
	}
	llm_bytes_free(&add.data);
	llm_bytes_free(&add.journal);
	if (add.past)
		llm_past_free(add.past);
	llm_trash_empty(&trash);
	return rc;
}

int llm_commit_start(struct llm_call *call)
{
	const struct llm_commit *commit = &call->args.commit;
	int err;

	if (commit->fetch_buf || commit->fetch_len || commit->fetch_flags)
		return -EINVAL;
	err = llm_commit_check(commit);
	return err ?: llm_commit_run(call);
}

int llm_commit_fetch_start(struct llm_call *call)
{
	const struct llm_commit *commit = &call->args.commit;
	const struct llm_fetch fetch = {
		.flags = commit->fetch_flags,
		.buf = commit->fetch_buf,
		.buf_len = commit->fetch_len,
	};
	int rc;

	if (!(commit->flags & LLM_COMMIT_END))
		return -EINVAL;
	rc = llm_fetch_check(&fetch) ?: llm_commit_check(commit);
	if (rc)
		return rc;
	rc = llm_commit_run(call);
	if (rc < 0)
		return rc;
	llm_fetch_begin(call);
	return 0;
}
