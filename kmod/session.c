// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions: see session.h. Here are their lives, what requests do with them, and the command.
 */
#include <linux/cred.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/memcontrol.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "args.h"
#include "broker.h"
#include "call.h"
#include "commands.h"
#include "limits.h"
#include "queue.h"
#include "request.h"
#include "server.h"
#include "session.h"
#include "trace.h"

/* ---- how it comes and goes ---- */

/* Under the lock. Return: 0; EMFILE, ENFILE. */
static int llm_session_enter(struct llm_session *session, struct llm_session *from)
{
	if (session->user->sessions >= llm_limit(max_sessions_user))
		return -EMFILE;
	if (llm_broker.sessions >= llm_limit(max_sessions))
		return -ENFILE;
	session->user->sessions++;
	llm_broker.sessions++;
	session->id = ++llm_broker.last_session;
	session->users = 1;
	if (from) {
		session->past = from->past;
		memcpy(session->model, from->model, sizeof(session->model));
	}
	llm_past_get(session->past);
	trace_llm_session_make(session, from ? from->id : 0);
	return 0;
}

/**
 * llm_session_make() - makes a session of the current user
 * @from: to be forked, in use by the caller; NULL: it is empty
 * @ret_session: it, in use by the caller
 *
 * Context: sleeps; takes the broker's lock.
 * Return: 0; EMFILE, ENFILE, ENOMEM.
 */
int llm_session_make(struct llm_session *from, struct llm_session **ret_session)
{
	struct llm_session *session = kzalloc(sizeof(*session), GFP_KERNEL_ACCOUNT);
	int err;

	if (!session)
		return -ENOMEM;
	INIT_LIST_HEAD(&session->node);
	err = llm_user_get(current_euid(), &session->user);
	if (err) {
		kfree(session);
		return err;
	}
	session->memcg = get_mem_cgroup_from_mm(current->mm);
	spin_lock(&llm_broker.lock);
	err = llm_session_enter(session, from);
	if (err)
		llm_user_put(session->user);
	spin_unlock(&llm_broker.lock);
	if (err) {
		mem_cgroup_put(session->memcg);
		kfree(session);
		return err;
	}
	*ret_session = session;
	return 0;
}

/** llm_session_forget() - a session is over, and nobody has to hear of that any more */
void llm_session_forget(struct llm_session *session)
{
	lockdep_assert_held(&llm_broker.lock);
	WARN_ON_ONCE(session->users || session->made || session->past || session->turn);
	list_del(&session->node);
	llm_broker.sessions--;
	session->user->sessions--;
	llm_user_put(session->user);
	mem_cgroup_put(session->memcg);
	kfree(session);
}

/* Is the server one that knows of this session? */
static bool llm_session_is_known(const struct llm_session *session)
{
	return llm_broker.server && !llm_broker.server->gone &&
	       session->told == llm_broker.server_number;
}

/* It may just have ended, or the last past that was made in it. */
static void llm_session_settle(struct llm_session *session)
{
	if (session->users || session->made)
		return;
	if (!llm_session_is_known(session)) {
		llm_session_forget(session);
		return;
	}
	list_add_tail(&session->node, &llm_broker.farewells);
	llm_queue_tell();
}

/** llm_past_get() - one more has it; NULL is nothing */
void llm_past_get(struct llm_past *past)
{
	lockdep_assert_held(&llm_broker.lock);
	if (past)
		past->refs++;
}

/** llm_past_put() - one less has it, if there is any */
void llm_past_put(struct llm_past *past, struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	if (!past || --past->refs)
		return;
	list_add_tail(&past->node, &trash->pasts);
	past->maker->made--;
	llm_session_settle(past->maker);
}

/** llm_session_use() - it does not end until llm_session_unuse() */
void llm_session_use(struct llm_session *session)
{
	lockdep_assert_held(&llm_broker.lock);
	session->users++;
}

/** llm_session_unuse() - one less needs it, if there is any; with the last one it is over */
void llm_session_unuse(struct llm_session *session, struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	if (!session)
		return;
	if (session->users == 1) {
		struct llm_past *past = session->past;

		trace_llm_session_end(session);
		session->past = NULL;
		/* in use until here, so that it is settled once, also if it made this itself */
		llm_past_put(past, trash);
	}
	session->users--;
	llm_session_settle(session);
}

/** llm_session_leave() - as llm_session_unuse(), without the lock */
void llm_session_leave(struct llm_session *session)
{
	LLM_DEFINE_TRASH(trash);

	spin_lock(&llm_broker.lock);
	llm_session_unuse(session, &trash);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
}

/* ---- what requests do with it ---- */

/** llm_session_appends() - Return: it has a session, which is to grow by it */
bool llm_session_appends(const struct llm_request *req)
{
	return req->session && (req->spec.op == LLM_OP_GENERATE ||
				req->spec.op == LLM_OP_APPEND);
}

/** llm_session_admit() - may it begin? Return: 0, also if it has no session; EPERM, EBUSY */
int llm_session_admit(const struct llm_request *req)
{
	const struct llm_session *session = req->session;

	lockdep_assert_held(&llm_broker.lock);
	if (!llm_session_appends(req))
		return 0;
	if (session->sealed)
		return -EPERM;
	return session->turn ? -EBUSY : 0;
}

/** llm_session_begin() - a request, which was admitted, has the past as it is now */
void llm_session_begin(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	if (!req->session)
		return;
	req->past = req->session->past;
	llm_past_get(req->past);
	if (llm_session_appends(req))
		req->session->turn = req;
}

/** llm_session_stop() - a request will append nothing, or nothing more */
void llm_session_stop(struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	if (req->session && req->session->turn == req)
		req->session->turn = NULL;
}

/**
 * llm_session_grow() - a request's turn becomes part of the past
 * @req: is about to append
 * @past: what it leads to; nobody has it yet
 * @trash: what it was before, if nobody else has that
 */
void llm_session_grow(struct llm_request *req, struct llm_past *past, struct llm_trash *trash)
{
	struct llm_session *session = req->session;
	struct llm_past *before = session->past;

	lockdep_assert_held(&llm_broker.lock);
	WARN_ON_ONCE(session->turn != req || session->sealed || before != req->past);
	past->refs = 1;
	past->maker = session;
	session->made++;
	session->past = past;
	session->turns++;
	if (!before)
		memcpy(session->model, req->spec.model, sizeof(session->model));
	trace_llm_session_grow(session);
	llm_past_put(before, trash);
}

/** llm_session_heard() - the server has been told of a request, and of the names that came with it */
void llm_session_heard(const struct llm_request *req)
{
	lockdep_assert_held(&llm_broker.lock);
	if (!req->session)
		return;
	req->session->told = llm_broker.server_number;
	if (req->past)
		req->past->maker->told = llm_broker.server_number;
}

/* ---- what the server is told ---- */

/**
 * llm_session_take_notice() - hands a FETCH the end of a session
 * @call: has no event
 *
 * Return: it was handed one.
 */
bool llm_session_take_notice(struct llm_call *call)
{
	struct llm_session *session;

	lockdep_assert_held(&llm_broker.lock);
	session = list_first_entry_or_null(&llm_broker.farewells, struct llm_session, node);
	if (!session)
		return false;
	list_del_init(&session->node);
	call->event.type = LLM_EVENT_SESSION_END;
	call->event.id = session->id;
	call->event.time_ns = ktime_get_ns();
	call->event.req = NULL;
	call->event.session = session;
	call->event.cgroup_id = 0;
	return true;
}

/** llm_session_return_notice() - the server could not be told; it is due again, unless it is gone */
void llm_session_return_notice(struct llm_call *call)
{
	struct llm_session *session = call->event.session;

	lockdep_assert_held(&llm_broker.lock);
	if (!llm_session_is_known(session)) {
		llm_session_forget(session);
		return;
	}
	list_add(&session->node, &llm_broker.farewells);
	llm_queue_tell();
}

/** llm_sessions_forget() - the server is gone: nobody has to hear of an end; sleeps */
void llm_sessions_forget(void)
{
	struct llm_session *session;

	do {
		spin_lock(&llm_broker.lock);
		for (int i = 0; i < LLM_BATCH; i++) {
			session = list_first_entry_or_null(&llm_broker.farewells,
							   struct llm_session, node);
			if (!session)
				break;
			llm_session_forget(session);
		}
		spin_unlock(&llm_broker.lock);
		cond_resched();
	} while (session);
}

/* ---- the command ---- */

/** llm_session_describe() - what its holder may know of it */
void llm_session_describe(const struct llm_session *session, struct llm_session_cmd *ret_info)
{
	lockdep_assert_held(&llm_broker.lock);
	ret_info->out_flags = (session->sealed ? LLM_SESSION_SEALED : 0) |
			      (session->turn ? LLM_SESSION_BUSY : 0);
	ret_info->id = session->id;
	ret_info->bytes = llm_past_len(session->past);
	ret_info->tokens = session->past ? session->past->tokens : 0;
	ret_info->turns = session->turns;
	memcpy(ret_info->model, session->model, sizeof(ret_info->model));
}

/** llm_session_seal() - nothing will be appended any more. Return: 0; EBUSY */
int llm_session_seal(struct llm_session *session)
{
	lockdep_assert_held(&llm_broker.lock);
	if (session->turn)
		return -EBUSY;
	if (!session->sealed) {
		session->sealed = true;
		trace_llm_session_seal(session);
	}
	return 0;
}

static int llm_session_check(const struct llm_session_cmd *cmd)
{
	const u32 flags = cmd->flags;

	/* one of them at most */
	if (flags & ~LLM_SESSION_FLAGS || flags & (flags - 1) || (!flags && cmd->fd != -1) ||
	    !llm_args_zero(cmd->reserved, sizeof(cmd->reserved)))
		return -EINVAL;
	return 0;
}

/* Under the lock. Return: 0; EBUSY. */
static int llm_session_look(struct llm_session *session, struct llm_session_cmd *cmd)
{
	int err = 0;

	if (cmd->flags & LLM_SESSION_SEAL)
		err = llm_session_seal(session);
	llm_session_describe(session, cmd);
	return err;
}

/* Makes one, with its descriptor, and tells about it. The caller is told before anybody can use it. */
static int llm_session_create(struct llm_call *call, struct llm_session *from)
{
	struct llm_session_cmd *cmd = &call->args.session;
	struct llm_session *session;
	struct file *file;
	int err, fd;

	err = llm_session_make(from, &session);
	if (err)
		return err;
	fd = llm_session_open(session, &file);
	if (fd < 0) {
		llm_session_leave(session);
		return fd;
	}
	spin_lock(&llm_broker.lock);
	llm_session_describe(session, cmd);
	spin_unlock(&llm_broker.lock);
	cmd->fd = fd;
	err = llm_args_write(call);
	llm_session_open_done(fd, file, !err);
	return err;
}

int llm_session_start(struct llm_call *call)
{
	struct llm_session_cmd *cmd = &call->args.session;
	struct llm_session *session;
	int err;

	err = llm_session_check(cmd);
	if (err)
		return err;
	if (!cmd->flags)
		return llm_session_create(call, NULL);
	err = llm_session_use_fd(cmd->fd, &session);
	if (err)
		return err;
	if (cmd->flags & LLM_SESSION_FORK) {
		err = llm_session_create(call, session);
	} else {
		spin_lock(&llm_broker.lock);
		err = llm_session_look(session, cmd);
		spin_unlock(&llm_broker.lock);
		err = err ?: llm_args_write(call);
	}
	llm_session_leave(session);
	return err;
}
