/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Generic netlink family "llm": quotas of cgroups, what they use, how long they wait, and what
 * happens, for administrators and monitors. Documentation/netlink/specs/llm.yaml describes the same
 * for programs. Nothing of a prompt or an answer appears here.
 *
 * A cgroup is named by its id: the inode number of its folder in the cgroup2 file system. Limits
 * bind it and all below it. The family is there while llm.ko is, in the initial network namespace;
 * without it there are no quotas. A quota goes with its cgroup, soon after that is removed;
 * requests that are left there keep it until they end, or until it is reset.
 *
 * Who may: GET and WATCH anyone, as with the files of a cgroup; SET, RESET, REQUEST_GET and the
 * group "events" CAP_SYS_ADMIN in the initial user namespace.
 */
#ifndef _UAPI_LINUX_LLM_NETLINK_H
#define _UAPI_LINUX_LLM_NETLINK_H

#define LLM_FAMILY_NAME		"llm"
#define LLM_FAMILY_VERSION	1
#define LLM_MCGRP_EVENTS	"events"

/**
 * enum llm_nl_cmd - commands
 * @LLM_NL_CMD_GROUP_GET: LLM_NL_A_CGROUP: that one; dump: each that has a quota or requests, in it or
 *	below, in the order of their ids. Answered with LLM_NL_A_CGROUP, _PARENT, _QUOTA, _USAGE,
 *	_PRESSURE. A cgroup that exists and has neither is answered with the defaults and zeros; one
 *	that does not exist is ENOENT.
 * @LLM_NL_CMD_QUOTA_SET: LLM_NL_A_CGROUP, LLM_NL_A_QUOTA: what is there is set, the rest stays as it
 *	is; all of it or nothing. ENOENT no such cgroup, ERANGE out of bounds (the extended
 *	acknowledgement names the attribute), E2BIG nested deeper than 63, ENOSPC too many cgroups
 *	have a quota, or there are too many regions, EPERM.
 * @LLM_NL_CMD_QUOTA_RESET: LLM_NL_A_CGROUP: back to the defaults; without it: all cgroups
 * @LLM_NL_CMD_REQUEST_GET: dump: LLM_NL_A_REQUEST of each request that has not ended
 * @LLM_NL_CMD_WATCH: LLM_NL_A_CGROUP, LLM_NL_A_WATCH: tell this socket, by a LLM_NL_CMD_EVENT of type
 *	LLM_NL_EVENT_PRESSURE, when the cgroup was stalled that long within the window; once a window
 *	at most, until the socket is closed. The socket becomes readable then. ENOENT, ERANGE, EBUSY too
 *	many watches, of one user or in all.
 * @LLM_NL_CMD_EVENT: sent by the kernel: LLM_NL_A_EVENT
 */
enum llm_nl_cmd {
	LLM_NL_CMD_UNSPEC,
	LLM_NL_CMD_GROUP_GET,
	LLM_NL_CMD_QUOTA_SET,
	LLM_NL_CMD_QUOTA_RESET,
	LLM_NL_CMD_REQUEST_GET,
	LLM_NL_CMD_WATCH,
	LLM_NL_CMD_EVENT,

	__LLM_NL_CMD_MAX,
	LLM_NL_CMD_MAX = __LLM_NL_CMD_MAX - 1
};

/** enum llm_nl_attr - attributes of a message */
enum llm_nl_attr {
	LLM_NL_A_UNSPEC,
	LLM_NL_A_PAD,
	LLM_NL_A_CGROUP,	/* u64 */
	LLM_NL_A_PARENT,	/* u64: the cgroup next above, 0: it is the root */
	LLM_NL_A_QUOTA,		/* nest, enum llm_nl_quota */
	LLM_NL_A_USAGE,		/* nest, enum llm_nl_usage */
	LLM_NL_A_PRESSURE,	/* nest, enum llm_nl_pressure */
	LLM_NL_A_REQUEST,	/* nest, enum llm_nl_request */
	LLM_NL_A_EVENT,		/* nest, enum llm_nl_event_attr */
	LLM_NL_A_WATCH,		/* nest, enum llm_nl_watch */

	__LLM_NL_A_MAX,
	LLM_NL_A_MAX = __LLM_NL_A_MAX - 1
};

/**
 * enum llm_nl_quota - what the administrator allows a cgroup
 *
 * The highest value of an attribute's type is no limit, and the default unless said otherwise;
 * 0 lets nothing through. Tokens are counted in thousandths of a generated token: a generated one
 * is LLM_NL_TOKEN, one of a prompt LLM_NL_A_QUOTA_PROMPT_COST of the root.
 *
 * @LLM_NL_A_QUOTA_WEIGHT: u32, share among its siblings, 1 to 10000; 100
 * @LLM_NL_A_QUOTA_IN_FLIGHT: u32, requests that have begun and not ended
 * @LLM_NL_A_QUOTA_QUEUED: u32, requests that have yet to begin
 * @LLM_NL_A_QUOTA_RATE: u64, thousandths of a token a second
 * @LLM_NL_A_QUOTA_BURST: u64, thousandths of a token that may be used at once after idleness; where
 *	a rate is set and no burst, one second of it
 * @LLM_NL_A_QUOTA_COMPUTE: u64, nanoseconds of compute time in each period
 * @LLM_NL_A_QUOTA_PERIOD: u64, nanoseconds, 10 ms to 1000 s; 1 s
 * @LLM_NL_A_QUOTA_MEMORY: nest, repeated, enum llm_nl_memory: one for each region that has a limit
 * @LLM_NL_A_QUOTA_SHARE_CACHE: u8, 1: everything in this cgroup and below reuses one another's
 *	prefixes of prompts, also across users; who may ask in it can then find out what others there
 *	have asked. 0
 * @LLM_NL_A_QUOTA_PROMPT_COST: u32, of the root alone: what a token of a prompt counts, in
 *	thousandths of a generated one, 0 to 1000000; 250
 */
enum llm_nl_quota {
	LLM_NL_A_QUOTA_UNSPEC,
	LLM_NL_A_QUOTA_PAD,
	LLM_NL_A_QUOTA_WEIGHT,
	LLM_NL_A_QUOTA_IN_FLIGHT,
	LLM_NL_A_QUOTA_QUEUED,
	LLM_NL_A_QUOTA_RATE,
	LLM_NL_A_QUOTA_BURST,
	LLM_NL_A_QUOTA_COMPUTE,
	LLM_NL_A_QUOTA_PERIOD,
	LLM_NL_A_QUOTA_MEMORY,
	LLM_NL_A_QUOTA_SHARE_CACHE,
	LLM_NL_A_QUOTA_PROMPT_COST,

	__LLM_NL_A_QUOTA_MAX,
	LLM_NL_A_QUOTA_MAX = __LLM_NL_A_QUOTA_MAX - 1
};

#define LLM_NL_TOKEN		1000

/**
 * enum llm_nl_memory - memory of one region
 * @LLM_NL_A_MEMORY_REGION: string: "host", or as the server names it, "cuda0"
 * @LLM_NL_A_MEMORY_BYTES: u64: a limit, or what is charged
 */
enum llm_nl_memory {
	LLM_NL_A_MEMORY_UNSPEC,
	LLM_NL_A_MEMORY_PAD,
	LLM_NL_A_MEMORY_REGION,
	LLM_NL_A_MEMORY_BYTES,

	__LLM_NL_A_MEMORY_MAX,
	LLM_NL_A_MEMORY_MAX = __LLM_NL_A_MEMORY_MAX - 1
};

/**
 * enum llm_nl_usage - what a cgroup and all below it have and had, since the kernel knows it
 * @LLM_NL_A_USAGE_IN_FLIGHT: u32, requests that have begun and not ended
 * @LLM_NL_A_USAGE_QUEUED: u32, requests that have yet to begin
 * @LLM_NL_A_USAGE_RUNNING: u32, of those in flight, the ones a server steps now
 * @LLM_NL_A_USAGE_UNITS: u64, thousandths of a token used
 * @LLM_NL_A_USAGE_PROMPT_TOKENS: u64
 * @LLM_NL_A_USAGE_OUTPUT_TOKENS: u64
 * @LLM_NL_A_USAGE_COMPUTE: u64, nanoseconds
 * @LLM_NL_A_USAGE_THROTTLED: u64, nanoseconds it was kept out by its own quota
 * @LLM_NL_A_USAGE_QUEUE_TIME: u64, nanoseconds from submission to first dispatch, summed over the
 *	requests that were dispatched
 * @LLM_NL_A_USAGE_SUBMITTED: u64, requests
 * @LLM_NL_A_USAGE_DISPATCHED: u64, of those, handed to a server at least once
 * @LLM_NL_A_USAGE_ENDED: u64, of those, ended
 * @LLM_NL_A_USAGE_REFUSED: u64, requests refused or ended with EDQUOT
 * @LLM_NL_A_USAGE_MEMORY: nest, repeated, enum llm_nl_memory
 */
enum llm_nl_usage {
	LLM_NL_A_USAGE_UNSPEC,
	LLM_NL_A_USAGE_PAD,
	LLM_NL_A_USAGE_IN_FLIGHT,
	LLM_NL_A_USAGE_QUEUED,
	LLM_NL_A_USAGE_RUNNING,
	LLM_NL_A_USAGE_UNITS,
	LLM_NL_A_USAGE_PROMPT_TOKENS,
	LLM_NL_A_USAGE_OUTPUT_TOKENS,
	LLM_NL_A_USAGE_COMPUTE,
	LLM_NL_A_USAGE_THROTTLED,
	LLM_NL_A_USAGE_QUEUE_TIME,
	LLM_NL_A_USAGE_SUBMITTED,
	LLM_NL_A_USAGE_DISPATCHED,
	LLM_NL_A_USAGE_ENDED,
	LLM_NL_A_USAGE_REFUSED,
	LLM_NL_A_USAGE_MEMORY,

	__LLM_NL_A_USAGE_MAX,
	LLM_NL_A_USAGE_MAX = __LLM_NL_A_USAGE_MAX - 1
};

/**
 * enum llm_nl_pressure - time in which a cgroup's requests could have gone on and were not stepped
 *
 * "Some": at least one request, in it or below, wanted to be stepped and was not: it waited for its
 * turn or for a quota. "Full": none was stepped. Waiting for a reader is no stall. Averages are
 * exponential, over the time constant in the name, in hundredths of a percent.
 *
 * @LLM_NL_A_PRESSURE_SOME_TOTAL: u64, nanoseconds
 * @LLM_NL_A_PRESSURE_SOME_AVG10: u32
 * @LLM_NL_A_PRESSURE_SOME_AVG60: u32
 * @LLM_NL_A_PRESSURE_SOME_AVG300: u32
 * @LLM_NL_A_PRESSURE_FULL_TOTAL: u64, nanoseconds
 * @LLM_NL_A_PRESSURE_FULL_AVG10: u32
 * @LLM_NL_A_PRESSURE_FULL_AVG60: u32
 * @LLM_NL_A_PRESSURE_FULL_AVG300: u32
 */
enum llm_nl_pressure {
	LLM_NL_A_PRESSURE_UNSPEC,
	LLM_NL_A_PRESSURE_PAD,
	LLM_NL_A_PRESSURE_SOME_TOTAL,
	LLM_NL_A_PRESSURE_SOME_AVG10,
	LLM_NL_A_PRESSURE_SOME_AVG60,
	LLM_NL_A_PRESSURE_SOME_AVG300,
	LLM_NL_A_PRESSURE_FULL_TOTAL,
	LLM_NL_A_PRESSURE_FULL_AVG10,
	LLM_NL_A_PRESSURE_FULL_AVG60,
	LLM_NL_A_PRESSURE_FULL_AVG300,

	__LLM_NL_A_PRESSURE_MAX,
	LLM_NL_A_PRESSURE_MAX = __LLM_NL_A_PRESSURE_MAX - 1
};

/**
 * enum llm_nl_watch - what to be told of
 * @LLM_NL_A_WATCH_FULL: flag: "full" instead of "some"
 * @LLM_NL_A_WATCH_STALL: u64, nanoseconds stalled
 * @LLM_NL_A_WATCH_WINDOW: u64, within so many, 500 ms to 300 s
 */
enum llm_nl_watch {
	LLM_NL_A_WATCH_UNSPEC,
	LLM_NL_A_WATCH_PAD,
	LLM_NL_A_WATCH_FULL,
	LLM_NL_A_WATCH_STALL,
	LLM_NL_A_WATCH_WINDOW,

	__LLM_NL_A_WATCH_MAX,
	LLM_NL_A_WATCH_MAX = __LLM_NL_A_WATCH_MAX - 1
};

/** enum llm_nl_request - a request; as the field of that name of struct llm_request_info */
enum llm_nl_request {
	LLM_NL_A_REQUEST_UNSPEC,
	LLM_NL_A_REQUEST_PAD,
	LLM_NL_A_REQUEST_ID,		/* u64 */
	LLM_NL_A_REQUEST_CGROUP,	/* u64 */
	LLM_NL_A_REQUEST_PID,		/* u32 */
	LLM_NL_A_REQUEST_UID,		/* u32 */
	LLM_NL_A_REQUEST_STATE,		/* u32, enum llm_state */
	LLM_NL_A_REQUEST_OP,		/* u32, enum llm_op */
	LLM_NL_A_REQUEST_CLASS,		/* u32, enum llm_class */
	LLM_NL_A_REQUEST_PROMPT_TOKENS,	/* u32 */
	LLM_NL_A_REQUEST_OUTPUT_TOKENS,	/* u32 */
	LLM_NL_A_REQUEST_SUBMIT_TIME,	/* u64, nanoseconds */
	LLM_NL_A_REQUEST_DISPATCH_TIME,	/* u64 */
	LLM_NL_A_REQUEST_FIRST_TIME,	/* u64 */
	LLM_NL_A_REQUEST_ATTEMPTS,	/* u32 */
	LLM_NL_A_REQUEST_MODEL,		/* string */

	__LLM_NL_A_REQUEST_MAX,
	LLM_NL_A_REQUEST_MAX = __LLM_NL_A_REQUEST_MAX - 1
};

/**
 * enum llm_nl_event_type - what happened
 * @LLM_NL_EVENT_SERVER_UP: a server has opened its file
 * @LLM_NL_EVENT_SERVER_DOWN: a server is gone
 * @LLM_NL_EVENT_QUOTA: a cgroup's quota was set or reset
 * @LLM_NL_EVENT_THROTTLED: a cgroup is kept out by its own rate or compute time from now on; once
 *	a second and cgroup at most
 * @LLM_NL_EVENT_REFUSED: the quota of a cgroup refused a request, of it or below, or ended it, with
 *	EDQUOT; likewise, and with the last such request's pid, uid and id
 * @LLM_NL_EVENT_PRESSURE: what a WATCH asked for; to its socket alone
 * @LLM_NL_EVENT_GROUP_GONE: a cgroup that had a quota was removed
 */
enum llm_nl_event_type {
	LLM_NL_EVENT_SERVER_UP		= 1,
	LLM_NL_EVENT_SERVER_DOWN	= 2,
	LLM_NL_EVENT_QUOTA		= 3,
	LLM_NL_EVENT_THROTTLED		= 4,
	LLM_NL_EVENT_REFUSED		= 5,
	LLM_NL_EVENT_PRESSURE		= 6,
	LLM_NL_EVENT_GROUP_GONE		= 7,
};

/** enum llm_nl_event_attr - an event */
enum llm_nl_event_attr {
	LLM_NL_A_EVENT_UNSPEC,
	LLM_NL_A_EVENT_PAD,
	LLM_NL_A_EVENT_TYPE,	/* u32, enum llm_nl_event_type */
	LLM_NL_A_EVENT_TIME,	/* u64, CLOCK_MONOTONIC nanoseconds */
	LLM_NL_A_EVENT_CGROUP,	/* u64: whose; SERVER_*: none */
	LLM_NL_A_EVENT_PID,	/* u32: of the server, or of who asked; in the initial namespace */
	LLM_NL_A_EVENT_UID,	/* u32: of who asked; the same */
	LLM_NL_A_EVENT_REQUEST,	/* u64: REFUSED, where it had begun */
	LLM_NL_A_EVENT_COUNT,	/* u64: how many of the kind since the last one told */
	LLM_NL_A_EVENT_REQUESTS, /* u32: SERVER_DOWN: requests that wait for the next one */
	LLM_NL_A_EVENT_STALL,	/* u64: PRESSURE: nanoseconds stalled in the window */

	__LLM_NL_A_EVENT_MAX,
	LLM_NL_A_EVENT_MAX = __LLM_NL_A_EVENT_MAX - 1
};

#endif /* _UAPI_LINUX_LLM_NETLINK_H */
