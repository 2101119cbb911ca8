/* SPDX-License-Identifier: MIT */
/*
 * The seam between the scheduler and whoever brings it requests. A struct ipc is one transport:
 * the kernel's /dev/llmd, or a Unix socket for which this process plays the broker itself. Both
 * speak in the structs of <linux/llm.h>; the scheduler sees no other door. All of it belongs to
 * the daemon's one thread.
 */
#ifndef LLMOS_IPC_IPC_H
#define LLMOS_IPC_IPC_H

#include <linux/llm.h>

#include "base/util.h"
#include "ipc/view.h"

struct ipc;

/* what ipc_commit() returns besides LLM_VERDICT_* and -errno: ipc_sink.committed will tell */
#define IPC_PENDING	0x10000

/**
 * struct ipc_sink - who takes what a transport brings
 * @request: an LLM_EVENT_REQUEST with all its data; @data is the sink's to free(), also on failure
 * @cancelled: stop working on it and commit its end; an id that is not known is ignored
 * @resume: its pause is over
 * @reclaim: somebody waits for memory: give back what this request holds
 * @reclaim_kept: the same of what is kept for a cgroup: @bytes in @region
 * @session_ended: what is kept of the pasts that were made in session @id is of no use any more; NULL:
 *	requests of sessions are refused
 * @committed: result of an ipc_commit() that was pending: LLM_VERDICT_* or -errno
 *
 * None of them calls back into the transport, but for @request, which may commit an end at once,
 * and @reclaim, @reclaim_kept and @session_ended, which uncharge.
 */
struct ipc_sink {
	void (*request)(struct ipc_sink *sink, struct ipc *ipc, const struct llm_event *event,
			uint8_t *data);
	void (*cancelled)(struct ipc_sink *sink, struct ipc *ipc, uint64_t id, uint64_t time_ns);
	void (*resume)(struct ipc_sink *sink, struct ipc *ipc, uint64_t id);
	void (*reclaim)(struct ipc_sink *sink, struct ipc *ipc, uint64_t id);
	void (*reclaim_kept)(struct ipc_sink *sink, struct ipc *ipc, uint64_t cgroup_id,
			     uint32_t region, uint64_t bytes);
	void (*session_ended)(struct ipc_sink *sink, struct ipc *ipc, uint64_t id);
	void (*committed)(struct ipc_sink *sink, struct ipc *ipc, uint64_t id, int result);
};

/**
 * struct ipc_ops - what a transport can do
 * @want: hand out at most this many more requests that need compute; control requests always come.
 *	A fair one hands out no more than are to be stepped, whatever the number.
 * @spare: of those that were handed out, so many can not be stepped for now: a fair one hands out
 *	as many others. Once they are fewer, each that could not be is to be committed, with nothing to
 *	tell, for a verdict. NULL: it is not fair
 * @commit: as LLM_IOC_COMMIT; pointers in it stay valid until the result is known, the struct
 *	only during the call. A session's past has grown if, and only if, the result is
 *	LLM_VERDICT_CONTINUE
 * @charge: as LLM_IOC_CHARGE: memory is about to be taken; the verdict comes at once, so no commit
 *	of the same request may be pending: one resume could not answer two pauses. Or it is kept from
 *	now on, about which there is no verdict
 * @uncharge: as LLM_IOC_UNCHARGE: memory was given back; what a request holds at its end goes with it
 * @view: of the client's memory that an event named by its offset; NULL: there is none
 * @free: close; what it has handed out goes back to where it came from
 */
struct ipc_ops {
	void (*want)(struct ipc *ipc, unsigned int count);
	void (*spare)(struct ipc *ipc, unsigned int count);
	int (*commit)(struct ipc *ipc, const struct llm_commit *commit);
	int (*charge)(struct ipc *ipc, const struct llm_charge *charge);
	int (*uncharge)(struct ipc *ipc, const struct llm_charge *charge);
	int (*view)(struct ipc *ipc, uint64_t offset, size_t len, bool write,
		    struct ipc_view *ret);
	void (*free)(struct ipc *ipc);
};

/**
 * struct ipc - a transport
 * @ops: what it can do
 * @sink: who takes what it brings
 * @name: "device", "socket"
 * @is_fair: it decides who of its requests is stepped, by the verdicts of commits and by resuming
 * @max_commit_bytes: data and journal of one commit together
 * @max_journal_bytes: journal of one request; 0: nobody keeps one
 * @max_session_bytes: past of one session; 0: there are no sessions
 */
struct ipc {
	const struct ipc_ops *ops;
	struct ipc_sink *sink;
	const char *name;
	bool is_fair;
	uint32_t max_commit_bytes;
	uint32_t max_journal_bytes;
	uint32_t max_session_bytes;
};

static inline void ipc_free(struct ipc *ipc)
{
	if (ipc)
		ipc->ops->free(ipc);
}

#endif /* LLMOS_IPC_IPC_H */
