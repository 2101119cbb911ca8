/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, one for each transition of a request or a session: system "llm" of tracefs, perf and BPF. They
 * are hit under the broker's lock, so their order is that of the events; and one for a cgroup that
 * has to rest. They name requests, cgroups, processes and users, count tokens, bytes and
 * nanoseconds, and never show anything of a prompt or an answer. Names and fields are described in
 * Documentation/tracing.md.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM llm

#if !defined(LLM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LLM_TRACE_H

#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/uidgid.h>

#include "limits.h"
#include "request.h"
#include "session.h"

TRACE_EVENT(llm_submit,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u32, pid)
		__field(u32, uid)
		__field(u32, op)
		__field(u32, sched_class)
		__field(u32, payload_len)
		__field(u32, max_tokens)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->cgroup = req->who.cgroup_id;
		__entry->pid = pid_nr(req->who.pid);
		__entry->uid = __kuid_val(req->who.uid);
		__entry->op = req->spec.op;
		__entry->sched_class = req->spec.sched_class;
		__entry->payload_len = req->spec.payload_len;
		__entry->max_tokens = req->spec.max_tokens;
	),
	TP_printk("id=%llu cgroup=%llu pid=%u uid=%u op=%u class=%u payload_len=%u max_tokens=%u",
		  __entry->id, __entry->cgroup, __entry->pid, __entry->uid, __entry->op,
		  __entry->sched_class, __entry->payload_len, __entry->max_tokens)
);

TRACE_EVENT(llm_dispatch,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u64, queue_ns)
		__field(u32, attempts)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->cgroup = req->who.cgroup_id;
		__entry->queue_ns = ktime_get_ns() - req->submit_ns;
		__entry->attempts = req->attempts;
	),
	TP_printk("id=%llu cgroup=%llu queue_ns=%llu attempts=%u",
		  __entry->id, __entry->cgroup, __entry->queue_ns, __entry->attempts)
);

TRACE_EVENT(llm_commit,
	TP_PROTO(const struct llm_request *req, u32 bytes, u64 compute_ns),
	TP_ARGS(req, bytes, compute_ns),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u64, compute_ns)
		__field(u32, bytes)
		__field(u32, prompt_tokens)
		__field(u32, output_tokens)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->cgroup = req->who.cgroup_id;
		__entry->compute_ns = compute_ns;
		__entry->bytes = bytes;
		__entry->prompt_tokens = req->prompt_tokens;
		__entry->output_tokens = req->output_tokens;
	),
	TP_printk("id=%llu cgroup=%llu compute_ns=%llu bytes=%u prompt_tokens=%u output_tokens=%u",
		  __entry->id, __entry->cgroup, __entry->compute_ns, __entry->bytes,
		  __entry->prompt_tokens, __entry->output_tokens)
);

TRACE_EVENT(llm_pause,
	TP_PROTO(const struct llm_request *req, enum llm_pause_reason reason),
	TP_ARGS(req, reason),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->cgroup = req->who.cgroup_id;
		__entry->reason = reason;
	),
	TP_printk("id=%llu cgroup=%llu reason=%s",
		  __entry->id, __entry->cgroup,
		  __print_symbolic(__entry->reason,
				   { LLM_PAUSE_READER, "reader" },
				   { LLM_PAUSE_TURN, "turn" },
				   { LLM_PAUSE_QUOTA, "quota" },
				   { LLM_PAUSE_MEMORY, "memory" }))
);

TRACE_EVENT(llm_throttle,
	TP_PROTO(u64 cgroup, u64 wait_ns),
	TP_ARGS(cgroup, wait_ns),
	TP_STRUCT__entry(
		__field(u64, cgroup)
		__field(u64, wait_ns)
	),
	TP_fast_assign(
		__entry->cgroup = cgroup;
		__entry->wait_ns = wait_ns;
	),
	TP_printk("cgroup=%llu wait_ns=%llu", __entry->cgroup, __entry->wait_ns)
);

/* What needs no more than to be named. */
DECLARE_EVENT_CLASS(llm_request_event,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u64, age_ns)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->cgroup = req->who.cgroup_id;
		__entry->age_ns = ktime_get_ns() - req->submit_ns;
	),
	TP_printk("id=%llu cgroup=%llu age_ns=%llu",
		  __entry->id, __entry->cgroup, __entry->age_ns)
);

DEFINE_EVENT(llm_request_event, llm_first_byte,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req)
);

DEFINE_EVENT(llm_request_event, llm_resume,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req)
);

DEFINE_EVENT(llm_request_event, llm_cancel,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req)
);

DEFINE_EVENT(llm_request_event, llm_requeue,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req)
);

TRACE_EVENT(llm_end,
	TP_PROTO(const struct llm_request *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u64, age_ns)
		__field(u64, output_bytes)
		__field(u32, prompt_tokens)
		__field(u32, output_tokens)
		__field(s32, status)
		__field(u32, finish)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->cgroup = req->who.cgroup_id;
		__entry->age_ns = ktime_get_ns() - req->submit_ns;
		__entry->output_bytes = req->output_bytes;
		__entry->prompt_tokens = req->prompt_tokens;
		__entry->output_tokens = req->output_tokens;
		__entry->status = req->status;
		__entry->finish = req->finish;
	),
	TP_printk("id=%llu cgroup=%llu age_ns=%llu output_bytes=%llu prompt_tokens=%u output_tokens=%u status=%d finish=%u",
		  __entry->id, __entry->cgroup, __entry->age_ns, __entry->output_bytes,
		  __entry->prompt_tokens, __entry->output_tokens, __entry->status,
		  __entry->finish)
);

TRACE_EVENT(llm_session_make,
	TP_PROTO(const struct llm_session *session, u64 from),
	TP_ARGS(session, from),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, from)
		__field(u32, pid)
		__field(u32, uid)
		__field(u32, bytes)
	),
	TP_fast_assign(
		__entry->id = session->id;
		__entry->from = from;
		__entry->pid = task_tgid_nr(current);
		__entry->uid = __kuid_val(session->user->uid);
		__entry->bytes = llm_past_len(session->past);
	),
	TP_printk("id=%llu from=%llu pid=%u uid=%u bytes=%u",
		  __entry->id, __entry->from, __entry->pid, __entry->uid, __entry->bytes)
);

/* What happens to one that is there. */
DECLARE_EVENT_CLASS(llm_session_event,
	TP_PROTO(const struct llm_session *session),
	TP_ARGS(session),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, turns)
		__field(u32, bytes)
		__field(u32, tokens)
	),
	TP_fast_assign(
		__entry->id = session->id;
		__entry->turns = session->turns;
		__entry->bytes = llm_past_len(session->past);
		__entry->tokens = session->past ? session->past->tokens : 0;
	),
	TP_printk("id=%llu turns=%llu bytes=%u tokens=%u",
		  __entry->id, __entry->turns, __entry->bytes, __entry->tokens)
);

DEFINE_EVENT(llm_session_event, llm_session_grow,
	TP_PROTO(const struct llm_session *session),
	TP_ARGS(session)
);

DEFINE_EVENT(llm_session_event, llm_session_seal,
	TP_PROTO(const struct llm_session *session),
	TP_ARGS(session)
);

DEFINE_EVENT(llm_session_event, llm_session_end,
	TP_PROTO(const struct llm_session *session),
	TP_ARGS(session)
);

#endif /* LLM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
