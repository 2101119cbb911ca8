/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A request, from its submission to the moment when neither its client nor a server has it any
 * more.
 *
 *	        publish                hand            (server gone: requeue)
 *	(new) ----------> QUEUED -----------> RUNNING <--------> PAUSED
 *	                    |  ^                |  |                |
 *	                    |  +----------------+--|----------------+
 *	             cancel |                      | cancel         | cancel
 *	                    v                      v                v
 *	                  ENDED <-------------- CANCELLING <--------+
 *	                          server's END
 *
 * A request leaves the broker when it is ENDED and its client has read or given up the end of it.
 * The broker's lock protects all of it but what is said to be constant after publication. A
 * reference keeps the memory, nothing else.
 */
#ifndef LLM_REQUEST_H
#define LLM_REQUEST_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/llm.h>

#include "broker.h"
#include "bytes.h"
#include "group.h"
#include "identity.h"
#include "policy/memory.h"

struct llm_buffer;
struct llm_call;
struct llm_client;
struct llm_past;
struct llm_server;
struct llm_session;
struct llm_user;

/**
 * enum llm_pause_reason - why a server was told to pause
 * @LLM_PAUSE_READER: the answer is not read
 * @LLM_PAUSE_TURN: it has had its share for now
 * @LLM_PAUSE_QUOTA: it has had all that a quota lets it use for now
 * @LLM_PAUSE_MEMORY: a quota leaves no room for what it needs
 */
enum llm_pause_reason {
	LLM_PAUSE_READER,
	LLM_PAUSE_TURN,
	LLM_PAUSE_QUOTA,
	LLM_PAUSE_MEMORY,
};

/**
 * struct llm_request - a request
 * @refs: the broker's and those of who copies from or to it just now
 * @id: constant; its name
 * @by_id: in llm_broker.by_id
 * @state_node: in the list of its state, unless it is queued
 * @client: whose it is; NULL once nobody will read it
 * @client_node: in llm_client.requests
 * @waiters: calls that wait for this request
 * @notice_node: in llm_broker.notices
 * @due_node: in llm_client.dues
 * @impatient_node: in llm_throttle.impatient
 * @who: constant; who asked
 * @user: constant; who pays
 * @leaf: constant; among whom it competes; NULL: for nothing
 * @ticket: how it stands there
 * @ledger: memory that its server holds for it
 * @spec: constant; as submitted, checked
 * @prompt: stop strings and payload; constant while @data_users
 * @journal: what its servers keep of it; only grows while @data_users
 * @output: the unread part of the answer, but for what @reading took
 * @state: where it is, and so which list @state_node is in
 * @queue_node: in llm_broker.queues, while it is queued
 * @server: who has it
 * @handed_to: the FETCH that is on its way to tell the server; NULL once the server knows
 * @notice: what the server has yet to hear (LLM_EVENT_CANCEL, LLM_EVENT_RESUME,
 *	LLM_EVENT_RECLAIM), or 0
 * @notice_ns: since when
 * @notice_region: LLM_EVENT_RECLAIM: where memory is short
 * @dmem_returned: of the region, as it was when the kernel's ledger refused what it needs
 * @dmem_ns: when that was, or when it began to wait for who should pay
 * @domain_cgroup: constant; with all below it, or else with its user there, it may share what was
 *	computed
 * @domain_shared: constant; with all below it
 * @told_ns: when its server last told what it did for it, or had it handed out
 * @waits_for_reader: it is paused because its answer is not read
 * @buffer: has the payload, if @prompt has it not; constant while @data_users or it has not ended
 * @answer_buffer: where its server may write; NULL: nowhere
 * @session: what it belongs to, in use by it; NULL: nothing; constant while @data_users or it has not
 *	ended
 * @past: of the session when it was submitted; dropped with the journal
 * @journal_told: bytes of the journal that the server was told of with the request
 * @data_users: who copies from @prompt, @journal or @past just now, without the lock
 * @unread: bytes of it, with what @reading took
 * @reading: a READ has detached some of @output
 * @output_bytes: committed, ever
 * @answer_bytes: of the answer buffer, as last committed
 * @prompt_tokens: as last committed
 * @output_tokens: as last committed
 * @attempts: how many servers have fetched it
 * @status: how it ended
 * @finish: why it ended
 * @submit_ns: when it was submitted
 * @dispatch_ns: when a server first fetched it, 0 before
 * @first_ns: when its first byte was committed, 0 before
 * @end_ns: when it ended for its reader, 0 before
 */
struct llm_request {
	refcount_t refs;
	u64 id;
	struct rb_node by_id;
	struct list_head state_node;
	struct llm_client *client;
	struct list_head client_node;
	struct list_head waiters;
	struct list_head notice_node;
	struct list_head due_node;
	struct list_head impatient_node;
	struct llm_identity who;
	struct llm_user *user;
	struct llm_leaf *leaf;
	struct llm_ticket ticket;
	struct llm_ledger ledger;
	struct llm_submit spec;
	struct llm_bytes prompt;
	struct llm_bytes journal;
	struct llm_bytes output;
	/* from here on all is zero at first */
	enum llm_state state;
	struct llm_tree_node queue_node;
	struct llm_server *server;
	struct llm_call *handed_to;
	u32 notice;
	u64 notice_ns;
	u32 notice_region;
	u64 dmem_returned;
	u64 dmem_ns;
	u64 domain_cgroup;
	bool domain_shared;
	u64 told_ns;
	bool waits_for_reader;
	struct llm_buffer *buffer;
	struct llm_buffer *answer_buffer;
	struct llm_session *session;
	struct llm_past *past;
	u32 journal_told;
	u32 data_users;
	u32 unread;
	bool reading;
	u64 output_bytes;
	u64 answer_bytes;
	u32 prompt_tokens;
	u32 output_tokens;
	u32 attempts;
	int status;
	u32 finish;
	u64 submit_ns;
	u64 dispatch_ns;
	u64 first_ns;
	u64 end_ns;
};

/**
 * struct llm_trash - what was put aside under the lock and is done after it
 * @chunks: of strings; freed
 * @requests: linked by their state_node; freed; each holds the broker's reference
 * @clients: linked by their wake_node; who polls on them is woken; each with a reference
 * @buffers: that nobody uses
 * @pasts: that nobody has
 */
struct llm_trash {
	struct list_head chunks;
	struct list_head requests;
	struct list_head clients;
	struct list_head buffers;
	struct list_head pasts;
};

#define LLM_DEFINE_TRASH(name)							\
	struct llm_trash name = {					\
		.chunks = LIST_HEAD_INIT(name.chunks),			\
		.requests = LIST_HEAD_INIT(name.requests),		\
		.clients = LIST_HEAD_INIT(name.clients),		\
		.buffers = LIST_HEAD_INIT(name.buffers),		\
		.pasts = LIST_HEAD_INIT(name.pasts),			\
	}

void llm_trash_clear(struct llm_trash *trash);

/** llm_trash_empty() - wakes and frees what was left, which mostly is nothing; without the lock */
static inline void llm_trash_empty(struct llm_trash *trash)
{
	if (!list_empty(&trash->chunks) || !list_empty(&trash->requests) ||
	    !list_empty(&trash->clients) || !list_empty(&trash->buffers) ||
	    !list_empty(&trash->pasts))
		llm_trash_clear(trash);
}

int llm_request_init(void);
void llm_request_exit(void);
int llm_request_create(struct llm_client *client, const struct llm_submit *spec,
		       struct llm_request **ret_req);
void llm_request_discard(struct llm_request *req);
void llm_requests_free(struct list_head *requests);
int llm_request_publish(struct llm_request *req, u64 *ret_id);

struct llm_request *llm_request_find(u64 id);
struct llm_request *llm_request_after(u64 id);
void llm_request_get(struct llm_request *req);
void llm_request_put(struct llm_request *req);

void llm_request_set_state(struct llm_request *req, enum llm_state state);
bool llm_request_over(const struct llm_request *req);
bool llm_request_ready(const struct llm_request *req, u32 want, bool end_only);
enum llm_kind llm_request_kind(const struct llm_request *req);
void llm_request_end(struct llm_request *req, int status, u32 finish, u64 now_ns,
		     struct llm_trash *trash);
void llm_request_abort(struct llm_request *req, int status, struct llm_trash *trash);
void llm_request_cancel(struct llm_request *req, struct llm_trash *trash);
void llm_request_detach(struct llm_request *req, struct llm_trash *trash);
void llm_request_data_unpin(struct llm_request *req, struct llm_trash *trash);
void llm_request_wake(struct llm_request *req, struct llm_trash *trash);
void llm_request_describe(const struct llm_request *req, struct llm_request_info *ret_info);

#endif /* LLM_REQUEST_H */
