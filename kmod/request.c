// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a request: see request.h. Called by the commands of both sides; whatever can no
 * longer be reached is left to a struct llm_trash, which its caller empties after the lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "buffer.h"
#include "call.h"
#include "charge.h"
#include "client.h"
#include "dmem.h"
#include "limits.h"
#include "queue.h"
#include "quota.h"
#include "request.h"
#include "session.h"
#include "trace.h"

/* A file keeps the memory of so many requests for its next ones. */
#define LLM_REQUEST_SPARES	64

static struct kmem_cache *llm_request_cache;

/** llm_request_init() - Return: 0; ENOMEM */
int llm_request_init(void)
{
	llm_request_cache = kmem_cache_create("llm_request", sizeof(struct llm_request), 0,
					      SLAB_ACCOUNT, NULL);
	return llm_request_cache ? 0 : -ENOMEM;
}

/** llm_request_exit() - there are none any more */
void llm_request_exit(void)
{
	kmem_cache_destroy(llm_request_cache);
}

/** llm_trash_clear() - see llm_trash_empty() */
void llm_trash_clear(struct llm_trash *trash)
{
	struct llm_request *req, *next;

	if (!list_empty(&trash->clients))
		llm_clients_wake_poll(&trash->clients);
	if (!list_empty(&trash->chunks))
		llm_chunks_free(&trash->chunks);
	list_for_each_entry_safe(req, next, &trash->requests, state_node)
		llm_request_put(req);
	INIT_LIST_HEAD(&trash->requests);
	if (!list_empty(&trash->buffers))
		llm_buffers_free(&trash->buffers);
	if (!list_empty(&trash->pasts))
		llm_pasts_free(&trash->pasts);
}

/** llm_requests_free() - frees what was kept for requests to come */
void llm_requests_free(struct list_head *requests)
{
	struct llm_request *req, *next;

	list_for_each_entry_safe(req, next, requests, state_node)
		kmem_cache_free(llm_request_cache, req);
	INIT_LIST_HEAD(requests);
}

void llm_request_get(struct llm_request *req)
{
	refcount_inc(&req->refs);
}

/** llm_request_put() - returns a reference, if any; the last one frees. Without the lock. */
void llm_request_put(struct llm_request *req)
{
	if (!req || !refcount_dec_and_test(&req->refs))
		return;
	llm_bytes_free(&req->prompt);
	llm_bytes_free(&req->journal);
	llm_bytes_free(&req->output);
	llm_identity_drop(&req->who);
	kmem_cache_free(llm_request_cache, req);
}

/* What counts as a prompt of it. */
static u32 llm_spec_bytes(const struct llm_submit *spec)
{
	const u32 payload_len = spec->flags & LLM_SUBMIT_BUFFER ? 0 : spec->payload_len;

	/* Each is bounded by a limit far below a quarter of the range. */
	return payload_len + spec->stop_len;
}

static enum llm_kind llm_spec_kind(const struct llm_submit *spec)
{
	return spec->op < LLM_OP_CONTROL ? LLM_KIND_COMPUTE : LLM_KIND_CONTROL;
}

/**
 * struct llm_admission - a request on its way in
 * @client: by which file
 * @spec: what it asks for
 * @uid: who asks
 * @cgroup: from where
 * @user: who, with a reference
 * @leaf: among whom it competes, with a reference; NULL: for nothing
 * @spare: memory for it, or NULL
 */
struct llm_admission {
	struct llm_client *client;
	const struct llm_submit *spec;
	kuid_t uid;
	u64 cgroup;
	struct llm_user *user;
	struct llm_leaf *leaf;
	struct llm_request *spare;
};

/* As it is when nobody has seen it yet; what publication fills in is left as it is. */
static void llm_request_setup(struct llm_request *req, const struct llm_admission *admission)
{
	refcount_set(&req->refs, 1);
	/* what is refused has none to be told by */
	req->id = 0;
	INIT_LIST_HEAD(&req->state_node);
	INIT_LIST_HEAD(&req->client_node);
	INIT_LIST_HEAD(&req->waiters);
	INIT_LIST_HEAD(&req->notice_node);
	INIT_LIST_HEAD(&req->due_node);
	INIT_LIST_HEAD(&req->impatient_node);
	llm_bytes_init(&req->prompt);
	llm_bytes_init(&req->journal);
	llm_bytes_init(&req->output);
	memset_startat(req, 0, state);
	req->client = admission->client;
	req->spec = *admission->spec;
	req->user = admission->user;
	req->leaf = admission->leaf;
	llm_identity_take(&req->who, admission->uid, admission->cgroup);
}

/*
 * Who asks: a privileged program reads and writes what it was given as standard input without a
 * thought, and that must not ask in its name.
 */
static kuid_t llm_request_uid(const struct llm_client *client, const struct llm_submit *spec)
{
	return spec->flags & LLM_SUBMIT_FILE ? client->uid : current_euid();
}

static struct llm_request *llm_request_spare(struct llm_client *client)
{
	struct llm_request *req;

	req = list_first_entry_or_null(&client->spares, struct llm_request, state_node);
	if (req) {
		list_del(&req->state_node);
		client->spare_count--;
		llm_broker.spare_count--;
	}
	return req;
}

/* Under the lock. Return: 0; EBUSY a limit is reached. */
static int llm_admission_take(struct llm_admission *admission)
{
	struct llm_client *client = admission->client;
	int err;

	err = llm_limits_admit(client, admission->user, llm_spec_bytes(admission->spec));
	if (!err)
		admission->spare = llm_request_spare(client);
	return err;
}

/* Who asks is mostly who asked last. Return: 0; EBUSY; ENOENT: it is somebody else. */
static int llm_admission_again(struct llm_admission *admission)
{
	const struct llm_submit *spec = admission->spec;
	struct llm_client *client = admission->client;
	const bool competes = llm_spec_kind(spec) == LLM_KIND_COMPUTE;
	int err = -ENOENT;

	spin_lock(&llm_broker.lock);
	if (client->user && uid_eq(client->user->uid, admission->uid) &&
	    (!competes || llm_leaf_is(client->leaf, admission->uid, spec->sched_class,
					 admission->cgroup))) {
		admission->user = client->user;
		err = llm_admission_take(admission);
	}
	if (!err) {
		admission->user->refs++;
		admission->leaf = competes ? client->leaf : NULL;
		if (competes)
			admission->leaf->refs++;
	}
	spin_unlock(&llm_broker.lock);
	return err;
}

/* Finds out among whom it competes, from where it is. Return: 0; ENOMEM. */
static noinline int llm_admission_place(struct llm_admission *admission)
{
	const struct llm_submit *spec = admission->spec;
	struct llm_lineage lineage;

	if (llm_spec_kind(spec) != LLM_KIND_COMPUTE)
		return 0;
	llm_lineage_take(&lineage);
	/* it may have been moved since it was looked at first */
	if (lineage.depth < LLM_LINEAGE_MAX)
		admission->cgroup = lineage.ids[lineage.depth - 1];
	return llm_leaf_get(admission->client, admission->uid, spec->sched_class, &lineage,
			    &admission->leaf);
}

/*
 * The next one will ask whether he is it. A file that is not used keeps a leaf and all groups above
 * it, so no user has more of them than he may have requests.
 */
static void llm_admission_remember(struct llm_admission *admission)
{
	struct llm_client *client = admission->client;
	struct llm_user *user = admission->user;

	llm_client_forget(client);
	if (user->files >= llm_limit(max_requests_user))
		return;
	user->files++;
	user->refs++;
	client->user = user;
	if (!admission->leaf)
		return;
	admission->leaf->refs++;
	client->leaf = admission->leaf;
}

/* Return: 0; EBUSY, ENOMEM. */
static int llm_admission_first(struct llm_admission *admission)
{
	int err = llm_admission_place(admission);

	if (!err)
		err = llm_user_get(admission->uid, &admission->user);
	spin_lock(&llm_broker.lock);
	if (!err)
		err = llm_admission_take(admission);
	if (!err) {
		llm_admission_remember(admission);
	} else {
		llm_user_put(admission->user);
		llm_leaf_put(admission->leaf);
	}
	spin_unlock(&llm_broker.lock);
	return err;
}

/* Under the lock; gives back all but the place on the file. */
static void llm_admission_return(struct llm_user *user, struct llm_leaf *leaf, u32 bytes)
{
	llm_limits_dismiss(user, bytes);
	llm_user_put(user);
	if (leaf)
		llm_dmem_settle(leaf->member->group);
	llm_leaf_put(leaf);
}

/**
 * llm_request_create() - admits a request, before any of its payload is copied
 * @client: whose file it comes from
 * @spec: checked
 * @ret_req: for llm_request_publish() or llm_request_discard()
 *
 * Context: sleeps; in the task that asks.
 * Return: 0; EBUSY a limit is reached, ENOMEM.
 */
int llm_request_create(struct llm_client *client, const struct llm_submit *spec,
		       struct llm_request **ret_req)
{
	struct llm_admission admission = {
		.client = client,
		.spec = spec,
		.uid = llm_request_uid(client, spec),
		.cgroup = llm_identity_cgroup(),
	};
	struct llm_request *req;
	int err;

	err = llm_admission_again(&admission);
	if (err == -ENOENT)
		err = llm_admission_first(&admission);
	if (err)
		return err;
	req = admission.spare ?: kmem_cache_alloc(llm_request_cache, GFP_KERNEL);
	if (!req) {
		spin_lock(&llm_broker.lock);
		client->admitted--;
		llm_admission_return(admission.user, admission.leaf, llm_spec_bytes(spec));
		spin_unlock(&llm_broker.lock);
		return -ENOMEM;
	}
	llm_request_setup(req, &admission);
	*ret_req = req;
	return 0;
}

/* Gives back what a request took from the limits. */
static void llm_request_dismiss(struct llm_request *req)
{
	llm_admission_return(req->user, req->leaf, llm_spec_bytes(&req->spec));
	req->user = NULL;
	req->leaf = NULL;
}

/** llm_request_discard() - undoes llm_request_create() */
void llm_request_discard(struct llm_request *req)
{
	LLM_DEFINE_TRASH(trash);

	spin_lock(&llm_broker.lock);
	req->client->admitted--;
	llm_request_dismiss(req);
	llm_buffer_put(req->buffer, &trash);
	llm_buffer_put(req->answer_buffer, &trash);
	llm_session_unuse(req->session, &trash);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	llm_request_put(req);
}

static void llm_request_link(struct llm_request *req)
{
	struct rb_node **link = &llm_broker.by_id.rb_node, *parent = NULL;

	/* It is the youngest. */
	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	rb_link_node(&req->by_id, parent, link);
	rb_insert_color(&req->by_id, &llm_broker.by_id);
}

/* Among whom it competes from now on, and with whom it may share what was computed. */
static void llm_request_enter(struct llm_request *req)
{
	const bool idle = req->spec.sched_class == LLM_CLASS_IDLE;
	const struct llm_tally once = { .submitted = 1 };
	u64 domain;

	req->domain_cgroup = req->who.cgroup_id;
	llm_ledger_init(&req->ledger, req->leaf ? &req->leaf->share.tenant : NULL, req->id, false);
	llm_ticket_init(&req->ticket, req->leaf ? &req->leaf->share : NULL,
			idle ? LLM_BAND_IDLE : LLM_BAND_FAIR, req->id);
	if (!req->leaf)
		return;
	domain = llm_quota_domain(req->leaf->member->group);
	req->domain_shared = domain;
	if (domain)
		req->domain_cgroup = domain;
	llm_tenant_tally(&req->leaf->share.tenant, &once);
	llm_throttle_join(req);
}

/**
 * llm_request_publish() - makes a request visible to all, and hands it out if a server waits
 * @req: unless that fails, from now on the broker's
 * @ret_id: its id
 *
 * Context: under the broker's lock.
 * Return: 0; EDQUOT, EPERM, EBUSY its session is not to be had.
 */
int llm_request_publish(struct llm_request *req, u64 *ret_id)
{
	int err;

	lockdep_assert_held(&llm_broker.lock);
	err = llm_session_admit(req) ?: llm_quota_admit(req);
	if (err)
		return err;
	llm_session_begin(req);
	req->id = ++llm_broker.last_id;
	req->submit_ns = ktime_get_ns();
	llm_request_link(req);
	list_add_tail(&req->client_node, &req->client->requests);
	llm_broker.submitted++;
	llm_broker.unended++;
	llm_request_enter(req);
	trace_llm_submit(req);
	*ret_id = req->id;
	llm_queue_offer(req, req->submit_ns);
	return 0;
}

/** llm_request_find() - Return: the request with this id, or NULL */
struct llm_request *llm_request_find(u64 id)
{
	struct rb_node *node = llm_broker.by_id.rb_node;

	lockdep_assert_held(&llm_broker.lock);
	while (node) {
		struct llm_request *req = rb_entry(node, struct llm_request, by_id);

		if (req->id == id)
			return req;
		node = id < req->id ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/** llm_request_after() - Return: the request with the lowest id above this one, or NULL */
struct llm_request *llm_request_after(u64 id)
{
	struct rb_node *node = llm_broker.by_id.rb_node;
	struct llm_request *best = NULL;

	lockdep_assert_held(&llm_broker.lock);
	while (node) {
		struct llm_request *req = rb_entry(node, struct llm_request, by_id);

		if (req->id > id) {
			best = req;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return best;
}

enum llm_kind llm_request_kind(const struct llm_request *req)
{
	return llm_spec_kind(&req->spec);
}

/* What may follow what; the first state of a request is LLM_STATE_QUEUED. */
static const u8 llm_state_next[LLM_STATE_ENDED + 1] = {
	[LLM_STATE_QUEUED] = BIT(LLM_STATE_QUEUED) | BIT(LLM_STATE_RUNNING) |
			     BIT(LLM_STATE_ENDED),
	[LLM_STATE_RUNNING] = BIT(LLM_STATE_QUEUED) | BIT(LLM_STATE_PAUSED) |
			      BIT(LLM_STATE_CANCELLING) | BIT(LLM_STATE_ENDED),
	[LLM_STATE_PAUSED] = BIT(LLM_STATE_QUEUED) | BIT(LLM_STATE_RUNNING) |
			     BIT(LLM_STATE_CANCELLING) | BIT(LLM_STATE_ENDED),
	[LLM_STATE_CANCELLING] = BIT(LLM_STATE_ENDED),
	[LLM_STATE_ENDED] = 0,
};

/**
 * llm_request_set_state() - the one way from state to state
 * @req: moves to the end of its new state's list, or to its place by age in its queue
 * @state: the new one
 */
void llm_request_set_state(struct llm_request *req, enum llm_state state)
{
	lockdep_assert_held(&llm_broker.lock);
	WARN_ON_ONCE(!(llm_state_next[req->state] & BIT(state)));

	list_del_init(&req->state_node);
	llm_queue_remove(req);
	req->state = state;
	if (state == LLM_STATE_QUEUED)
		llm_queue_insert(req);
	else
		list_add_tail(&req->state_node, &llm_broker.states[state]);
}

/** llm_request_over() - Return: nothing will be added to the answer any more */
bool llm_request_over(const struct llm_request *req)
{
	return req->state >= LLM_STATE_CANCELLING;
}

/**
 * llm_request_ready() - is there something for who waits
 * @req: the request
 * @want: bytes that make it worth while; ignored when the server waits for the reader
 * @end_only: nothing but the end is
 *
 * Return: there is.
 */
bool llm_request_ready(const struct llm_request *req, u32 want, bool end_only)
{
	if (llm_request_over(req))
		return true;
	if (end_only || !req->unread)
		return false;
	return req->unread >= want || req->waits_for_reader;
}

/* The prompt, the journal and the past are of no use to anyone once the answer is over. */
static void llm_request_drop_data(struct llm_request *req, struct llm_trash *trash)
{
	if (req->data_users)
		return;
	llm_bytes_trash(&req->prompt, &trash->chunks);
	llm_bytes_trash(&req->journal, &trash->chunks);
	llm_past_put(req->past, trash);
	req->past = NULL;
}

/*
 * A server may have mapped its buffers, and have something for its session: they stay until it has
 * let go of the request.
 */
static void llm_request_drop_holds(struct llm_request *req, struct llm_trash *trash)
{
	if (req->data_users || req->state != LLM_STATE_ENDED)
		return;
	llm_buffer_put(req->buffer, trash);
	llm_buffer_put(req->answer_buffer, trash);
	req->buffer = NULL;
	req->answer_buffer = NULL;
	llm_session_unuse(req->session, trash);
	req->session = NULL;
}

/** llm_request_data_unpin() - the caller no longer copies from prompt or journal */
void llm_request_data_unpin(struct llm_request *req, struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	req->data_users--;
	if (llm_request_over(req))
		llm_request_drop_data(req, trash);
	llm_request_drop_holds(req, trash);
}

/*
 * Forgets a request that neither client nor server has. Its memory waits for the next one of @client,
 * which may be NULL, unless somebody still looks at it.
 */
static void llm_request_settle(struct llm_request *req, struct llm_client *client,
			       struct llm_trash *trash)
{
	if (req->client || req->state != LLM_STATE_ENDED)
		return;
	rb_erase(&req->by_id, &llm_broker.by_id);
	llm_request_dismiss(req);
	if (client && client->spare_count < LLM_REQUEST_SPARES &&
	    llm_broker.spare_count < llm_limit(max_requests) && refcount_read(&req->refs) == 1) {
		llm_identity_drop(&req->who);
		list_move(&req->state_node, &client->spares);
		client->spare_count++;
		llm_broker.spare_count++;
	} else {
		list_move_tail(&req->state_node, &trash->requests);
	}
}

/**
 * llm_request_end() - the server is through with it, or it never had one
 * @req: the request
 * @status: 0 or -errno; what a cancel said before stands
 * @finish: enum llm_finish
 * @now_ns: the time
 * @trash: may take the request, if nobody is left who would read it
 */
void llm_request_end(struct llm_request *req, int status, u32 finish, u64 now_ns,
		     struct llm_trash *trash)
{
	struct llm_tally once = { .ended = 1 };
	const bool competes = req->leaf;

	lockdep_assert_held(&llm_broker.lock);
	if (!llm_request_over(req)) {
		req->status = status;
		req->finish = finish;
		req->end_ns = now_ns;
	}
	llm_queue_drop_notice(req);
	llm_throttle_leave(req);
	if (competes)
		llm_ticket_end(&llm_broker.stage, &req->ticket, now_ns);
	llm_charge_release(req);
	req->server = NULL;
	req->handed_to = NULL;
	llm_request_set_state(req, LLM_STATE_ENDED);
	trace_llm_end(req);
	llm_broker.unended--;
	llm_broker.ended++;
	once.refused = req->status == -EDQUOT;
	if (competes)
		llm_tenant_tally(&req->leaf->share.tenant, &once);
	llm_session_stop(req);
	llm_request_drop_data(req, trash);
	llm_request_drop_holds(req, trash);
	llm_request_wake(req, trash);
	llm_request_settle(req, NULL, trash);
	if (competes)
		llm_queue_run();
}

/**
 * llm_request_abort() - ends a request for its reader, at once
 * @req: not over
 * @status: -errno
 * @trash: as for llm_request_end()
 */
void llm_request_abort(struct llm_request *req, int status, struct llm_trash *trash)
{
	const u64 now_ns = ktime_get_ns();

	lockdep_assert_held(&llm_broker.lock);
	trace_llm_cancel(req);
	if (req->state == LLM_STATE_QUEUED || req->handed_to) {
		/* No server has heard of it. */
		llm_request_end(req, status, LLM_FINISH_NONE, now_ns, trash);
		return;
	}
	req->status = status;
	req->end_ns = now_ns;
	llm_throttle_leave(req);
	llm_ticket_leave(&llm_broker.stage, &req->ticket, now_ns);
	llm_request_set_state(req, LLM_STATE_CANCELLING);
	llm_charge_withdraw(req);
	llm_session_stop(req);
	llm_request_drop_data(req, trash);
	llm_queue_notify(req, LLM_EVENT_CANCEL);
	llm_request_wake(req, trash);
	llm_queue_run();
}

/**
 * llm_request_cancel() - ends a request because nobody wants its answer any more
 * @req: one that has ended stays as it is
 * @trash: as for llm_request_end()
 */
void llm_request_cancel(struct llm_request *req, struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	if (llm_request_over(req))
		return;
	llm_broker.cancelled++;
	llm_request_abort(req, -ECANCELED, trash);
}

/**
 * llm_request_detach() - its client has read it to the end or will never do so
 * @req: cancelled, if it has not ended; its file has room for another one
 * @trash: as for llm_request_end()
 */
void llm_request_detach(struct llm_request *req, struct llm_trash *trash)
{
	struct llm_client *client = req->client;

	lockdep_assert_held(&llm_broker.lock);
	if (!client)
		return;
	req->client = NULL;
	llm_dmem_forgive(req);
	list_del_init(&req->client_node);
	client->admitted--;
	if (client->stream_id == req->id)
		client->stream_id = 0;
	llm_bytes_trash(&req->output, &trash->chunks);
	llm_waiters_wake(&req->waiters);
	llm_client_wake(client, trash);
	if (req->state == LLM_STATE_ENDED)
		llm_request_settle(req, client, trash);
	else
		llm_request_cancel(req, trash);
}

/** llm_request_wake() - wakes who waits for what there is now */
void llm_request_wake(struct llm_request *req, struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_waiters_wake_ready(&req->waiters, req);
	if (req->client && llm_request_ready(req, 1, false))
		llm_client_wake_ready(req->client, req, trash);
}
