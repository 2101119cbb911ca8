/* SPDX-License-Identifier: MIT */
/*
 * The broker's part where no kernel module plays it: a table of requests with who asked, how far
 * each is, and its unread answer. Connections put requests in and read them; the scheduler takes
 * them and commits, through the struct ipc. States, limits and verdicts are those of
 * <linux/llm.h>. Nothing outlives the process: its clients see their connection close.
 */
#ifndef LLMOS_IPC_BROKER_H
#define LLMOS_IPC_BROKER_H

#include "base/bytes.h"
#include "base/list.h"
#include "ipc/broker_session.h"
#include "ipc/ipc.h"
#include "ipc/peer.h"
#include "ipc/tenants.h"
#include "kmod/policy/memory.h"

/* limits, as GET_FEATURES tells them */
#define BROKER_REQUESTS_MAX		1024U
#define BROKER_REQUESTS_USER_MAX	256U
#define BROKER_REQUESTS_FILE_MAX	64U
#define BROKER_PAYLOAD_MAX		(1U << 20)
#define BROKER_UNREAD_MAX		(64U << 10)
#define BROKER_COMMIT_MAX		(64U << 10)

struct broker;
struct broker_request;

/**
 * struct broker_file - what belongs together and ends together: a connection's requests
 * @requests: its requests, oldest first
 * @count: number of them
 * @leaves: it among those who share the server
 * @number: no other one has or had it; not 0
 * @peer: who asks
 * @changed: something that a READ or WAIT of this file may wait for has happened to @request
 */
struct broker_file {
	struct list requests;
	unsigned int count;
	struct list leaves;
	uint64_t number;
	struct peer peer;
	void (*changed)(struct broker_file *file, struct broker_request *request);
};

/**
 * struct broker_request - a request
 * @link: in its state's list of the broker
 * @file_link: in its file's list, unless @file is NULL
 * @table_link: in the broker's table, by id
 * @all_link: in the order of ids
 * @file: NULL: nobody will read it
 * @reads: READs that wait for it, oldest first; the connection's
 * @event: what the scheduler gets, and its numbers so far
 * @data: stop strings and payload, until they are handed out
 * @past: what is behind them then; it has its name while the scheduler may have the request
 * @state: enum llm_state
 * @session: that it belongs to, while the scheduler may have it; NULL: none
 * @appends: it is the one that appends to it
 * @leaf: whose share it has of what is computed; NULL: a control request
 * @ticket: to be stepped
 * @ledger: memory that the scheduler holds for it
 * @waits_for_reader: it was told to pause because its answer is not read, and not for others
 * @cancelled: it ends with ECANCELED whatever the scheduler says
 * @unread: the answer's bytes that nobody has read
 * @status: at the end, 0 or -errno
 * @finish: at the end, enum llm_finish
 * @dispatch_ns: handed out, 0 before
 * @first_ns: first byte committed, 0 before
 * @end_ns: ended, 0 before
 */
struct broker_request {
	struct list link;
	struct list file_link;
	struct list table_link;
	struct list all_link;
	struct broker_file *file;
	struct list reads;
	struct llm_event event;
	uint8_t *data;
	struct broker_past past;
	enum llm_state state;
	struct broker_session *session;
	bool appends;
	struct tenant_leaf *leaf;
	struct llm_ticket ticket;
	struct llm_ledger ledger;
	bool waits_for_reader;
	bool cancelled;
	struct bytes unread;
	int status;
	enum llm_finish finish;
	uint64_t dispatch_ns;
	uint64_t first_ns;
	uint64_t end_ns;
};

int broker_new(struct broker **ret, struct ipc_sink *sink);
struct ipc *broker_ipc(struct broker *broker);
struct broker_sessions *broker_sessions(struct broker *broker);
/**
 * broker_set_slots() - choose who is stepped, in fair order; before there are requests
 * @slots: requests stepped at once; 0: hand out what is wanted, in order of arrival
 * @sequences: requests that keep their state while they are paused
 */
void broker_set_slots(struct broker *broker, unsigned int slots, unsigned int sequences);
/** broker_free() - also ipc_free(broker_ipc()); its files must be closed */
void broker_free(struct broker *broker);

void broker_file_init(struct broker *broker, struct broker_file *file);
/** broker_file_close() - cancel what it asked for; nobody reads it any more */
void broker_file_close(struct broker *broker, struct broker_file *file);

/**
 * broker_submit() - take a request in
 * @submit: checked by broker_check_submit(), pointers are not looked at
 * @data: payload_len bytes of payload, then stop_len bytes of stop strings
 * @session: LLM_SUBMIT_SESSION: the one that was meant; else NULL
 *
 * Return: 0; -EBUSY one of the limits is reached, or somebody appends to the session, -EPERM it is
 * sealed, -ENOMEM.
 */
int broker_submit(struct broker *broker, struct broker_file *file,
		  const struct llm_submit *submit, const uint8_t *data,
		  struct broker_session *session, __u64 *ret_id);
/** broker_check_submit() - 0; -EINVAL malformed, -E2BIG over a limit */
int broker_check_submit(const struct llm_submit *submit);

/** broker_find() - a file's request, NULL if there is none with this id */
struct broker_request *broker_find(struct broker *broker, const struct broker_file *file,
				   uint64_t id);
/** broker_ready() - has it bytes to read, or ended? */
bool broker_ready(const struct broker_request *request);
/** broker_read() - take up to @len bytes of the answer; fills all outputs of @read but buf */
void broker_read(struct broker *broker, struct broker_request *request, struct llm_read *read,
		 uint8_t *buf, size_t len);
/** broker_forget() - its end has been read */
void broker_forget(struct broker *broker, struct broker_request *request);
void broker_cancel(struct broker *broker, struct broker_request *request, bool forget);

/** broker_list() - the next requests that have not ended, by id; Return: number of entries */
unsigned int broker_list(const struct broker *broker, uint64_t cursor,
			 struct llm_request_info *infos, unsigned int capacity,
			 unsigned int *ret_total);
void broker_features(const struct broker *broker, struct llm_features *features);

#endif /* LLMOS_IPC_BROKER_H */
