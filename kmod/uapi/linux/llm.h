/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * llm: a language model as a system service.
 *
 * This header is the whole contract between a client, the broker and the server that runs the
 * models. The broker is llm.ko; where the module is not loaded the server itself plays the broker
 * on a Unix socket and speaks the same messages. The broker never looks into a payload.
 *
 * THE FILES
 *
 *   /dev/llm    any member of group llm; every open file is an independent client with its own
 *               requests. What belongs to a file ends with its last close: a killed process
 *               cancels what it asked for.
 *   /dev/llmd   root only, one server at a time: a second open fails with EBUSY.
 *
 * COMMANDS
 *
 *   Each command is an ioctl number with one struct as its argument. The same number is the
 *   cmd_op of an IORING_OP_URING_CMD, whose 16 command bytes are a struct llm_uring_cmd that
 *   points at the same struct; the struct and all it points at must stay valid until the
 *   completion; its uring_cmd_flags must be zero, or IORING_URING_CMD_FIXED where this says so
 *   (EINVAL). A command's result is the return value
 *   of ioctl(), or the completion's res: negative is -errno. O_NONBLOCK on the file makes an ioctl
 *   do what its NONBLOCK flag does; an io_uring command waits without a thread and looks at the
 *   flag alone.
 *
 *   Every struct starts with size and flags. size is sizeof(struct) as its user was compiled; a
 *   smaller struct is read as if zero-extended, a larger one is accepted only if the tail that the
 *   broker does not know is zero (E2BIG otherwise, and beyond a page). Less than 8 bytes is EINVAL.
 *   The size bits of a command's number are not looked at, so it stays the same when its struct
 *   grows; an unknown number is ENOTTY. Unknown flags, unknown enumerators and
 *   non-zero padding are refused with EINVAL. Pointers travel as __u64, times as absolute
 *   CLOCK_MONOTONIC nanoseconds, real numbers as integers in millionths.
 *
 * A CLIENT
 *
 *   GET_FEATURES comes first and tells the version, the limits and which commands exist.
 *   SUBMIT hands in a request and returns its id, which is never reused. READ returns what the
 *   answer has grown by, and waits for it unless told not to. The READ that hands out the last
 *   byte sets LLM_READ_END, reports status and usage, and forgets the request. SUBMIT_AND_READ
 *   does both in one command. WAIT tells which request of the file has something to read.
 *   CANCEL ends a request early; what was already produced can still be read. LIST shows who is
 *   running and waiting, without a byte of anybody's text.
 *
 *   REGISTER names memory, or a part of a memfd, as a buffer: its pages are pinned and billed to
 *   RLIMIT_MEMLOCK, and requests of the same file may refer to a payload in it (LLM_SUBMIT_BUFFER),
 *   which is then not copied and bounded only by LLM_BUFFER_PAYLOAD_MAX, or have the server write
 *   into a part of it. What is written there while a request uses it may or may not be seen by the
 *   server. With IORING_URING_CMD_FIXED the payload of a SUBMIT and the destination of a READ are
 *   taken from the buffer that is registered with the ring as buf_index, and copied as always.
 *
 *   An unread answer is bounded: past the bound the server is told to pause this one request
 *   until it is read. Nobody else waits for a slow reader.
 *
 * A SESSION
 *
 *   SESSION makes a conversation that outlives its requests, and returns a descriptor of it. Who
 *   has the descriptor, made here, inherited, or received over a Unix socket, names it in a SUBMIT
 *   (LLM_SUBMIT_SESSION); who has none has no name for the session. Whose it is, or was, does not
 *   matter then: the request is that of who submits it, who also pays for what it computes and for
 *   what the server keeps of that. The past itself, a few bytes for each token, is charged to the
 *   memory cgroup of who made the session.
 *
 *   The session has a past, the tokens of the turns so far. LLM_OP_GENERATE and LLM_OP_APPEND go on
 *   from there: the payload is the next turn only. When such a request ends with status 0, its turn
 *   becomes part of the past before anybody can read the end of it; one that fails or is cancelled
 *   leaves the session as it was. One at a time may be under way (EBUSY), from the SUBMIT until it
 *   is over for its reader. Other operations only read the past as it is when they are submitted.
 *
 *   A fork is a new session with the same past, which costs nothing until one of them goes on; any
 *   session can be forked at any time. A sealed session never changes again, through whatever
 *   descriptor (EPERM); it can be read and forked.
 *
 *   A session ends with its last descriptor and its last request. It is not a file: read(), write()
 *   and poll() mean nothing there. It outlives the server: the broker keeps its past.
 *
 * A SHELL
 *
 *   What is write()n to /dev/llm gathers as a prompt. The first read(), or poll() for input,
 *   submits it, to the server's default model as LLM_PAYLOAD_TEXT with LLM_SUBMIT_FILE, as a
 *   request of the process that reads, in the name of the user who opened the file; reads return
 *   the answer as it grows and 0 at its end. A poll() or epoll for input that is under way submits
 *   at the first write(). A failed request makes read() return its errno, once (EBUSY for EAGAIN).
 *   Then the next write() begins a new prompt. A write() while an answer is being read fails with
 *   EBUSY; one that makes the prompt longer than max_payload_bytes fails with EMSGSIZE and throws
 *   it away. With nothing written, read() returns 0 at once.
 *
 *       exec 3<>/dev/llm; echo 'Once upon a time' >&3; cat <&3
 *
 * A SERVER
 *
 *   FETCH parks until something is due and then fills its buffer with one event: a struct
 *   llm_event, and for a new request as much of its data as fits. PULL reads the rest. A server
 *   names in the FETCH which events that command takes: requests that need compute
 *   (LLM_FETCH_REQUEST, one for each free slot), control requests, answered without a model step
 *   (LLM_FETCH_CONTROL), and news of requests it already holds (LLM_FETCH_NOTICE), which
 *   it should always keep parked.
 *
 *   SETUP tells how many requests the server steps at once; the broker then sees to it that no
 *   more are, and whose they are. Who is paused keeps what it had, if the server has room for it.
 *
 *   COMMIT appends bytes to an answer, reports use, and is answered with a verdict: go on, pause
 *   until LLM_EVENT_RESUME (its reader is behind, or others have a better claim to its slot), or
 *   drop it because it was cancelled. The last COMMIT carries
 *   LLM_COMMIT_END; COMMIT_AND_FETCH may carry the last COMMIT and parks as a FETCH
 *   afterwards. A cancelled request stays the server's until it commits the end of it (with any
 *   status) and is not handed out again.
 *
 *   Before it takes memory for a request it CHARGEs it, to the cgroup of whoever asked and to all
 *   above; after it has given it back, it UNCHARGEs it. A request for which a quota leaves no room
 *   is paused until there is some, and then asks again. Where the kernel has the dmem controller of
 *   cgroups, a region is "llm/" and its name there, and its limits bind as well: what is held for a
 *   request is paid for by its client when it submits and whenever it reads, waits or polls, and a
 *   request that is not paid for may be paused until then. Where all who hold memory below a quota
 *   stand still, or where memory is kept for later requests while somebody waits, LLM_EVENT_RECLAIM
 *   says what is to be given back: what was computed there is computed again later.
 *
 *   Buffers of clients are mapped from /dev/llmd, MAP_SHARED, by the process that serves, at the
 *   offsets that an event tells: to be read, or also to be written where the client allows it. They
 *   are there while the server holds a request that uses them; after that, touching them is
 *   SIGBUS. What is there may change at any time. Who does not map them PULLs the payload.
 *
 *   A request of a session brings the session's past with it, behind its own data: bytes that only
 *   a server understands. The last COMMIT of one that appends has the bytes by which the past
 *   grows, and they are part of it when, and only if, that COMMIT is taken. A past is named by the
 *   session whose requests made it and its length: what a server still has of it, it need not
 *   compute again. What was computed for a session may be reused, and be noticed, only by who has
 *   the same past. LLM_EVENT_SESSION_END says that nobody has a past of a session any more.
 *
 *   With each COMMIT the server may append to the request's journal: bytes that only a server
 *   understands (llmosd keeps the token ids of the answer). When a server goes away, however it
 *   went, its requests wait for recover_timeout_s and the next one fetches them again, of
 *   each file the oldest first, with the journal and the number of answer bytes already committed.
 *   A COMMIT takes effect as a whole or not at all, so a server that resumes from the journal and
 *   leaves out the bytes that were committed answers each request exactly once. If no server comes,
 *   they end with ECONNRESET. Requests submitted while there is no server wait in the same way. A
 *   server is gone with the last close of its file, or when the process that opened it, or that
 *   fetched last, lets go of it by dying; a file of it that is still open then is of no more use
 *   (ESHUTDOWN, ENOENT).
 *
 * THE SOCKET
 *
 *   A stream of messages, each a struct llm_msg, the command's struct, and in place of what its
 *   pointers would point at, the bytes themselves in the order given at each struct (pointers are
 *   zero). Each reply repeats cmd and cookie, and carries the result, the struct with its
 *   outputs, and the bytes returned. Replies come in the order in which commands finish. Only
 *   the client commands exist there. All integers are little endian.
 *
 *   A descriptor of a session comes with the first byte of the message that needs it (SCM_RIGHTS),
 *   one at most, and goes out with the reply to the SESSION that made it; in both, the field that
 *   has its number elsewhere is -1. Such a descriptor is good on any connection to the same server.
 *   The server is the broker here: a session ends with it.
 *
 * WHAT COMES NEXT finds its room in the reserved fields, which must be zero today.
 */
#ifndef _UAPI_LINUX_LLM_H
#define _UAPI_LINUX_LLM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LLM_ABI_VERSION		1

#define LLM_MODEL_NAME_MAX	64	/* bytes, with the terminating NUL */
#define LLM_STOP_BYTES_MAX	4096	/* all stop strings of a request, with their NULs */
#define LLM_LABEL_NAME_MAX	256	/* bytes of a label's name */
#define LLM_BUFFER_PAYLOAD_MAX	(128U << 20) /* bytes of a payload in a registered buffer */
#define LLM_REGIONS_MAX		8	/* host memory, and devices */
#define LLM_REGION_NAME_MAX	16	/* bytes, with the terminating NUL */

/* ---- what a request is ---- */

/**
 * enum llm_op - what is asked for
 *
 * Operations from LLM_OP_CONTROL on need no model step and never wait behind those that do.
 *
 * @LLM_OP_GENERATE: continue the payload
 * @LLM_OP_APPEND: read the payload into the session and answer nothing; needs LLM_SUBMIT_SESSION
 * @LLM_OP_SCORE: log-probability of each token of the payload (one LLM_RECORD_TOKEN a token). With
 *	an answer buffer they are written there, as an array of __s32 with what struct llm_token has
 *	in logprob, from answer_offset on, E2BIG if it has no room for all; records come beside it
 *	only if top_logprobs is not 0, and LLM_SUBMIT_RECORDS need not be set
 * @LLM_OP_EMBED: a vector for each text of the payload (LLM_RECORD_EMBEDDING). With an answer buffer
 *	they are written there instead, one behind the other, as arrays of float32, E2BIG if it has no
 *	room for all, and LLM_SUBMIT_RECORDS need not be set
 * @LLM_OP_CLASSIFY: for each text of the payload, how well the model's labels fit it (one
 *	LLM_RECORD_LABEL a label, in the model's order). With an answer buffer: as EMBED, the logits
 * @LLM_OP_NOP: answered at once with nothing; measures the path
 * @LLM_OP_TOKENIZE: text to token ids (LLM_RECORD_TOKEN, log-probability 0)
 * @LLM_OP_DETOKENIZE: token ids (LLM_PAYLOAD_TOKENS) to text
 * @LLM_OP_MODELS: one LLM_RECORD_MODEL for each model the server has, then for each adapter
 * @LLM_OP_SHOW: LLM_RECORD_MODEL and an LLM_RECORD_META for each key of one model, or of one adapter
 *	where no model has that name
 * @LLM_OP_STATUS: LLM_RECORD_STATUS
 * @LLM_OP_SESSION_TOKENS: LLM_RECORD_MODEL of the session's model, and one LLM_RECORD_TOKEN for
 *	each token of its past (log-probability 0); for an empty session, nothing; needs
 *	LLM_SUBMIT_SESSION
 */
enum llm_op {
	LLM_OP_GENERATE		= 0,
	LLM_OP_SCORE		= 1,
	LLM_OP_EMBED		= 2,
	LLM_OP_CLASSIFY		= 3,
	LLM_OP_APPEND		= 4,
	LLM_OP_CONTROL		= 128,
	LLM_OP_NOP		= 128,
	LLM_OP_TOKENIZE		= 129,
	LLM_OP_DETOKENIZE	= 130,
	LLM_OP_MODELS		= 131,
	LLM_OP_SHOW		= 132,
	LLM_OP_STATUS		= 133,
	LLM_OP_SESSION_TOKENS	= 134,
	LLM_OP_MAX		= 255,	/* the broker passes any operation up to this one */
};

/**
 * enum llm_payload - how to read a request's payload
 * @LLM_PAYLOAD_TEXT: UTF-8; for GENERATE it is one user message if the model has a chat template,
 *	else the text to continue
 * @LLM_PAYLOAD_RAW: UTF-8, the text itself, no template
 * @LLM_PAYLOAD_CHAT: a sequence of struct llm_message, each followed by its text
 * @LLM_PAYLOAD_TOKENS: an array of __u32 token ids, used as they are
 * @LLM_PAYLOAD_BATCH: EMBED and CLASSIFY: texts, each a __u32 of its length in bytes and as much
 *	UTF-8, without padding
 * @LLM_PAYLOAD_BATCH_TOKENS: the same: texts as token ids, each a __u32 of their number, and the ids
 *
 * With LLM_SUBMIT_OPTIONS, all this is behind the options.
 */
enum llm_payload {
	LLM_PAYLOAD_TEXT	= 0,
	LLM_PAYLOAD_RAW		= 1,
	LLM_PAYLOAD_CHAT	= 2,
	LLM_PAYLOAD_TOKENS	= 3,
	LLM_PAYLOAD_BATCH	= 4,
	LLM_PAYLOAD_BATCH_TOKENS = 5,
	LLM_PAYLOAD_MAX		= 5,	/* the broker passes any up to this one */
};

/** enum llm_role - who speaks in a struct llm_message */
enum llm_role {
	LLM_ROLE_SYSTEM		= 0,
	LLM_ROLE_USER		= 1,
	LLM_ROLE_ASSISTANT	= 2,
};

/**
 * struct llm_message - one turn of a conversation, in LLM_PAYLOAD_CHAT
 * @role: enum llm_role
 * @len: bytes of UTF-8 text that follow at once, without padding
 */
struct llm_message {
	__u32 role;
	__u32 len;
};

/**
 * enum llm_option_type - what a request says beyond its structs
 * @LLM_OPTION_END: nothing more, and no data
 * @LLM_OPTION_JSON: GENERATE: the answer is any JSON; no data
 * @LLM_OPTION_SCHEMA: GENERATE: it is JSON that is valid under a JSON schema, which is the data
 * @LLM_OPTION_GRAMMAR: GENERATE: it matches a grammar in GBNF, which is the data
 * @LLM_OPTION_ADAPTER: GENERATE, SCORE: an adapter is added to the model: struct llm_adapter and its
 *	name. Each adds one more, LLM_ADAPTERS_MAX at most, none of them twice
 * @LLM_OPTION_CONTEXT_SHIFT: GENERATE, APPEND: where the text is longer than the model's context, it
 *	goes on: the first tokens stay, of the others the older half goes, and the rest is
 *	read anew, as often as it takes; also of a prompt that is too long. A __u32: how many
 *	stay, from 1 to half of the context (E2BIG); no data: of a conversation those before the
 *	first question, with it where the template puts the system message into it, and not more
 *	than that half; of other texts the first one
 * @LLM_OPTION_POOLING: EMBED: how a text's vector is made of its tokens', enum llm_pooling as a
 *	__u32; without it, as the model was made for
 * @LLM_OPTION_NORMALIZE: EMBED: a __u32: 1, as without it: vectors have length 1; 0: they are as the
 *	model gives them
 * @LLM_OPTION_DIMS: EMBED: a __u32: only so many of the first elements, for models that were trained
 *	for it; they are normalised after the cut
 * @LLM_OPTION_TRUNCATE: EMBED, CLASSIFY: texts that are too long for the model are cut, instead of
 *	E2BIG; no data
 * @LLM_OPTION_QUERY: CLASSIFY: UTF-8, the first of two texts that belong together; each text of the
 *	payload is the second
 *
 * At most one of JSON, SCHEMA and GRAMMAR, and not with LLM_SUBMIT_IGNORE_EOS. The answer then
 * matches at each of its tokens, and its end (LLM_FINISH_STOP) comes only where all of it does. What
 * ends it early (LLM_FINISH_LENGTH, _STOP_STRING, _CONTEXT) may cut it off.
 */
enum llm_option_type {
	LLM_OPTION_END		= 0,
	LLM_OPTION_JSON		= 1,
	LLM_OPTION_SCHEMA	= 2,
	LLM_OPTION_GRAMMAR	= 3,
	LLM_OPTION_ADAPTER	= 4,
	LLM_OPTION_CONTEXT_SHIFT = 5,
	LLM_OPTION_POOLING	= 16,
	LLM_OPTION_NORMALIZE	= 17,
	LLM_OPTION_DIMS		= 18,
	LLM_OPTION_TRUNCATE	= 19,
	LLM_OPTION_QUERY	= 20,
};

/**
 * enum llm_pooling - one vector of those of a text's tokens
 * @LLM_POOLING_MEAN: their mean
 * @LLM_POOLING_FIRST: that of the first token
 * @LLM_POOLING_LAST: that of the last token
 */
enum llm_pooling {
	LLM_POOLING_MEAN	= 1,
	LLM_POOLING_FIRST	= 2,
	LLM_POOLING_LAST	= 3,
};

/**
 * struct llm_option - an option in front of a payload with LLM_SUBMIT_OPTIONS
 * @type: enum llm_option_type
 * @len: bytes of data that follow at once, without padding
 *
 * They follow one another, and behind LLM_OPTION_END is the payload proper. The broker does not look
 * at them; a server refuses what it does not know (EINVAL).
 */
struct llm_option {
	__u32 type;
	__u32 len;
};

#define LLM_ADAPTERS_MAX	4	/* of a request */

/**
 * struct llm_adapter - an adapter, in LLM_OPTION_ADAPTER
 * @scale: of what it adds, in millionths: 1000000 is as it was trained
 *
 * The bytes of its name follow, without a NUL, less than LLM_MODEL_NAME_MAX of them.
 */
struct llm_adapter {
	__s32 scale;
};

/* struct llm_submit.flags */
#define LLM_SUBMIT_RECORDS	(1U << 0) /* the answer is framed in struct llm_record */
#define LLM_SUBMIT_SPECIAL	(1U << 1) /* special tokens in TEXT or RAW are parsed as such */
#define LLM_SUBMIT_NO_BOS	(1U << 2) /* do not put the model's begin-of-text token in front */
#define LLM_SUBMIT_IGNORE_EOS	(1U << 3) /* generate on to max_tokens */
#define LLM_SUBMIT_FILE		(1U << 4) /* set by the broker alone: came by write(); one final
					   * newline is not part of the prompt
					   */
#define LLM_SUBMIT_EDQUOT	(1U << 5) /* EDQUOT at once, or as the status, instead of waiting
					   * where a quota stands in the way
					   */
#define LLM_SUBMIT_BUFFER	(1U << 6) /* the payload is in a registered buffer; not on the socket */
#define LLM_SUBMIT_OPTIONS	(1U << 7) /* the payload begins with struct llm_option */
#define LLM_SUBMIT_SESSION	(1U << 8) /* @session is a descriptor of the session it belongs to */
/* those that both ways know */
#define LLM_SUBMIT_FLAGS	(LLM_SUBMIT_RECORDS | LLM_SUBMIT_SPECIAL | LLM_SUBMIT_NO_BOS | \
				 LLM_SUBMIT_IGNORE_EOS | LLM_SUBMIT_EDQUOT | \
				 LLM_SUBMIT_OPTIONS | LLM_SUBMIT_SESSION)

/**
 * enum llm_class - how urgent a request is
 *
 * A class moves nobody ahead of another cgroup or another user: it divides one's own share. The
 * exception is idle, which gives way to everybody.
 *
 * @LLM_CLASS_NORMAL: the share of its file
 * @LLM_CLASS_INTERACTIVE: somebody waits for it: four times the share of the same user's normal ones
 * @LLM_CLASS_IDLE: stepped only when nothing else of the machine wants the step
 */
enum llm_class {
	LLM_CLASS_NORMAL	= 0,
	LLM_CLASS_INTERACTIVE	= 1,
	LLM_CLASS_IDLE		= 2,
};

/**
 * struct llm_sampling - how the next token is chosen; all zero is greedy
 * @seed: the same seed gives the same text, whatever else runs; 0 lets the server choose one
 * @temperature: millionths; 0 is greedy
 * @top_p: keep the likeliest tokens up to this probability, millionths; 0 is off
 * @min_p: drop tokens below this share of the likeliest one's probability, millionths; 0 is off
 * @top_k: keep this many tokens; 0 is off
 * @repeat_penalty: millionths, 1000000 and 0 are off; logits of repeated tokens are divided
 *	(positive) or multiplied (negative) by it
 * @repeat_last_n: how many of the last tokens count as repeated; 0 is 64
 * @top_logprobs: report the token's log-probability and those of this many likeliest tokens
 *	(LLM_RECORD_TOKEN); 0 is off, LLM_LOGPROBS_MAX at most. Needs LLM_SUBMIT_RECORDS.
 * @reserved: zero
 */
struct llm_sampling {
	__u64 seed;
	__u32 temperature;
	__u32 top_p;
	__u32 min_p;
	__u32 top_k;
	__u32 repeat_penalty;
	__u32 repeat_last_n;
	__u32 top_logprobs;
	__u32 reserved[5];
};

#define LLM_LOGPROBS_MAX	20

/**
 * enum llm_state - where a request is
 * @LLM_STATE_QUEUED: waits for a server to fetch it (also again, after a server died)
 * @LLM_STATE_RUNNING: a server has it
 * @LLM_STATE_PAUSED: a server has it and was told to pause
 * @LLM_STATE_CANCELLING: cancelled; a server has yet to let go of it
 * @LLM_STATE_ENDED: complete, failed or cancelled; part of the answer may be unread
 */
enum llm_state {
	LLM_STATE_QUEUED	= 0,
	LLM_STATE_RUNNING	= 1,
	LLM_STATE_PAUSED	= 2,
	LLM_STATE_CANCELLING	= 3,
	LLM_STATE_ENDED		= 4,
};

/**
 * enum llm_finish - why an answer ended
 * @LLM_FINISH_NONE: not ended, or failed (see status)
 * @LLM_FINISH_STOP: the model ended it
 * @LLM_FINISH_STOP_STRING: a stop string was produced (it is not part of the answer)
 * @LLM_FINISH_LENGTH: max_tokens
 * @LLM_FINISH_CONTEXT: the model's context is full
 */
enum llm_finish {
	LLM_FINISH_NONE		= 0,
	LLM_FINISH_STOP		= 1,
	LLM_FINISH_STOP_STRING	= 2,
	LLM_FINISH_LENGTH	= 3,
	LLM_FINISH_CONTEXT	= 4,
};

/* ---- client commands, on /dev/llm ---- */

/**
 * struct llm_features - LLM_IOC_GET_FEATURES, also on /dev/llmd
 * @size: sizeof(struct llm_features)
 * @flags: zero
 * @abi_version: out, LLM_ABI_VERSION
 * @server_pid: out, process id of the server in the caller's pid namespace, 0 if there is none
 * @commands: out, bit n set: the command with number (_IOC_NR) n exists
 * @max_requests: out, requests at once, in all
 * @max_requests_user: out, requests at once of one user
 * @max_requests_file: out, requests at once of one open file
 * @max_payload_bytes: out, bytes of one payload
 * @max_unread_bytes: out, unread bytes of one answer past which its request is paused
 * @max_commit_bytes: out, data bytes, and journal bytes, of one COMMIT
 * @max_journal_bytes: out, journal bytes of one request
 * @recover_timeout_s: out, seconds that requests wait for a server
 * @requests: out, requests that exist now
 * @pad: zero
 * @submitted: out, requests ever submitted
 * @ended: out, requests that ended, however they did
 * @recovered: out, requests handed back to the queue because their server went away
 * @cancelled: out, requests cancelled, by CANCEL, close or death
 * @memory_host: out, bytes of host memory that are charged
 * @memory_device: out, bytes of all other regions
 * @max_buffer_bytes: out, bytes of one registered buffer
 * @max_buffers_file: out, registered buffers of one open file
 * @pad2: zero
 * @max_sessions: out, sessions at once, in all
 * @max_sessions_user: out, sessions at once of one user
 * @max_session_bytes: out, bytes of one session's past
 * @sessions: out, sessions that exist now
 * @reserved: zero
 *
 * Return: 0.
 */
struct llm_features {
	__u32 size;
	__u32 flags;
	__u32 abi_version;
	__u32 server_pid;
	__u64 commands;
	__u32 max_requests;
	__u32 max_requests_user;
	__u32 max_requests_file;
	__u32 max_payload_bytes;
	__u32 max_unread_bytes;
	__u32 max_commit_bytes;
	__u32 max_journal_bytes;
	__u32 recover_timeout_s;
	__u32 requests;
	__u32 pad;
	__u64 submitted;
	__u64 ended;
	__u64 recovered;
	__u64 cancelled;
	__u64 memory_host;
	__u64 memory_device;
	__u64 max_buffer_bytes;
	__u32 max_buffers_file;
	__u32 pad2;
	__u32 max_sessions;
	__u32 max_sessions_user;
	__u32 max_session_bytes;
	__u32 sessions;
	__u64 reserved[2];
};

/**
 * struct llm_submit - LLM_IOC_SUBMIT
 * @size: sizeof(struct llm_submit)
 * @flags: LLM_SUBMIT_*
 * @op: enum llm_op
 * @payload_type: enum llm_payload
 * @payload: address of the payload, or its offset in @buffer; on the socket the payload follows the
 *	struct
 * @payload_len: bytes
 * @max_tokens: tokens to generate at most; 0: until the model ends or its context is full
 * @stop: address of the stop strings, each ended by a NUL; on the socket they follow the payload
 * @stop_len: bytes of all of them, LLM_STOP_BYTES_MAX at most
 * @pad: zero
 * @sampling: how tokens are chosen
 * @model: name of the model, NUL-terminated and zero-filled; empty: the server's default
 * @id: out, the request
 * @sched_class: enum llm_class; for operations from LLM_OP_CONTROL on, LLM_CLASS_NORMAL
 * @session: LLM_SUBMIT_SESSION: a descriptor of the session, which is of the model of its first
 *	turn; else 0
 * @buffer: LLM_SUBMIT_BUFFER: the buffer that has the payload; else 0
 * @answer_buffer: a buffer with LLM_BUFFER_WRITE, for what the server may write there beside the
 *	answer (log-probabilities, embeddings); 0: none
 * @answer_offset: where in it
 * @answer_len: bytes; 0 without a buffer
 * @reserved: zero
 *
 * Return: 0; EINVAL malformed, also a range beyond its buffer, ENOENT no such buffer on this file,
 * EACCES the buffer for the answer may not be written, E2BIG payload or stop strings over their
 * limit, EBUSY one of the three request limits, or the limit on the bytes of all prompts of one
 * user, is reached, or another request that appends to the session is under way, EBADF @session is
 * no descriptor, or one of no session (EINVAL), EPERM the session is sealed, EDQUOT a quota of the
 * caller's cgroup or one above lets nothing like this through ever, or has no more room in its
 * queue, or (LLM_SUBMIT_EDQUOT) not now, EFAULT, ENOMEM.
 */
struct llm_submit {
	__u32 size;
	__u32 flags;
	__u32 op;
	__u32 payload_type;
	__u64 payload;
	__u32 payload_len;
	__u32 max_tokens;
	__u64 stop;
	__u32 stop_len;
	__u32 pad;
	struct llm_sampling sampling;
	char  model[LLM_MODEL_NAME_MAX];
	__u64 id;
	__u32 sched_class;
	__s32 session;
	__u64 buffer;
	__u64 answer_buffer;
	__u64 answer_offset;
	__u64 answer_len;
	__u64 reserved;
};

/* struct llm_read.flags */
#define LLM_READ_NONBLOCK	(1U << 0) /* EAGAIN instead of waiting */
#define LLM_READ_ALL		(1U << 1) /* wait for the end of the answer or a full buffer */
#define LLM_READ_FLAGS		(LLM_READ_NONBLOCK | LLM_READ_ALL)
/* struct llm_read.out_flags */
#define LLM_READ_END		(1U << 0) /* that was all: the request is forgotten */

/**
 * struct llm_read - LLM_IOC_READ
 * @size: sizeof(struct llm_read)
 * @flags: LLM_READ_*
 * @id: the request
 * @buf: address for the answer's next bytes; on the socket they follow the reply
 * @buf_len: room in bytes; 0 only asks for the state
 * @len: out, bytes returned
 * @out_flags: out, LLM_READ_END
 * @state: out, enum llm_state
 * @status: out, at the end 0 or -errno: ECANCELED, ECONNRESET (no server came), EDQUOT (a
 *	quota was in the way, and it did not want to wait), EPROTO (the
 *	server broke the protocol), or what the server answered (ENOENT no such model, E2BIG prompt
 *	longer than the context, EILSEQ not UTF-8, EOPNOTSUPP unknown chat template, ...)
 * @finish: out, enum llm_finish
 * @prompt_tokens: out, tokens of the prompt processed so far
 * @output_tokens: out, tokens generated so far
 * @submit_ns: out, when it was submitted
 * @dispatch_ns: out, when a server first fetched it, 0 before
 * @first_ns: out, when its first byte was committed, 0 before
 * @end_ns: out, when it ended, 0 before
 * @answer_bytes: out, bytes of the request's answer buffer that the server has filled
 * @reserved: zero
 *
 * Each byte goes to one READ; READs of one request that wait at the same time take turns. With
 * buf_len 0 nothing is consumed and nothing waits. An error takes nothing away: a READ_ALL that a
 * signal, an error or NONBLOCK stops after some bytes returns 0 and those. The state of a cancelled
 * request is LLM_STATE_CANCELLING until its server has let go of it, for the reader it is over in
 * both.
 *
 * Return: 0; ENOENT no such request on this file, EAGAIN, EINTR, EINVAL, EFAULT, EBUSY too many
 * commands of this file wait already.
 */
struct llm_read {
	__u32 size;
	__u32 flags;
	__u64 id;
	__u64 buf;
	__u32 buf_len;
	__u32 len;
	__u32 out_flags;
	__u32 state;
	__s32 status;
	__u32 finish;
	__u32 prompt_tokens;
	__u32 output_tokens;
	__u64 submit_ns;
	__u64 dispatch_ns;
	__u64 first_ns;
	__u64 end_ns;
	__u64 answer_bytes;
	__u64 reserved[3];
};

/**
 * struct llm_submit_read - LLM_IOC_SUBMIT_AND_READ
 * @submit: as for SUBMIT, but size is sizeof(struct llm_submit_read)
 * @read: as for READ; its size is sizeof(struct llm_read), its id must be zero and is set to the
 *	request's
 *
 * On the socket: this struct, then the payload, then the stop strings. If the submission succeeds
 * and the read fails, submit.id is set all the same and the request lives on.
 *
 * Return: as SUBMIT, then as READ.
 */
struct llm_submit_read {
	struct llm_submit submit;
	struct llm_read read;
};

/* struct llm_cancel.flags */
#define LLM_CANCEL_ALL		(1U << 0) /* every request of this file; id must be zero */
#define LLM_CANCEL_FORGET	(1U << 1) /* nobody will read it: free it, as close() would */
#define LLM_CANCEL_FLAGS	(LLM_CANCEL_ALL | LLM_CANCEL_FORGET)

/**
 * struct llm_cancel - LLM_IOC_CANCEL
 * @size: sizeof(struct llm_cancel)
 * @flags: LLM_CANCEL_*
 * @id: the request
 * @reserved: zero
 *
 * To the reader the request ends with ECANCELED at once; bytes produced before can still be
 * read. Cancelling a request that has ended changes nothing.
 *
 * Return: 0; ENOENT no such request on this file, EINVAL.
 */
struct llm_cancel {
	__u32 size;
	__u32 flags;
	__u64 id;
	__u64 reserved[2];
};

/* struct llm_wait.flags */
#define LLM_WAIT_NONBLOCK	(1U << 0) /* EAGAIN instead of waiting */
#define LLM_WAIT_END		(1U << 1) /* wait for the end, not for bytes to read */
#define LLM_WAIT_FLAGS		(LLM_WAIT_NONBLOCK | LLM_WAIT_END)

/**
 * struct llm_wait - LLM_IOC_WAIT
 * @size: sizeof(struct llm_wait)
 * @flags: LLM_WAIT_*
 * @id: the request, or 0 for any of this file; out, the one that is ready
 * @deadline_ns: give up at this time; 0: never
 * @state: out, enum llm_state of that request
 * @pad: zero
 * @reserved: zero
 *
 * A request is ready when it has bytes to read or has ended. Where several are, they are named
 * in turn.
 *
 * Return: 0; ETIME the deadline passed, EAGAIN, EINTR, ENOENT no such request (or none at all),
 * EINVAL, EFAULT, EBUSY too many commands of this file wait already.
 */
struct llm_wait {
	__u32 size;
	__u32 flags;
	__u64 id;
	__u64 deadline_ns;
	__u32 state;
	__u32 pad;
	__u64 reserved[2];
};

/**
 * struct llm_request_info - one request in a LIST
 * @id: the request
 * @cgroup_id: of the submitter, when it submitted; the inode number of its cgroup v2 directory
 * @pid: process id of the submitter in the reader's pid namespace, 0 if it has none there or is
 *	no more
 * @uid: user id of the submitter in the reader's user namespace
 * @state: enum llm_state
 * @op: enum llm_op
 * @prompt_tokens: processed so far
 * @output_tokens: generated so far
 * @submit_ns: when it was submitted
 * @dispatch_ns: when a server first fetched it, 0 before
 * @first_ns: when its first byte was committed, 0 before
 * @output_bytes: committed so far
 * @unread_bytes: of those, not yet read
 * @attempts: how many servers have fetched it
 * @model: as submitted
 * @sched_class: enum llm_class
 * @pad: zero
 * @memory_host: bytes of host memory that its server holds for it
 * @memory_device: bytes of all other regions
 * @reserved: zero
 */
struct llm_request_info {
	__u64 id;
	__u64 cgroup_id;
	__u32 pid;
	__u32 uid;
	__u32 state;
	__u32 op;
	__u32 prompt_tokens;
	__u32 output_tokens;
	__u64 submit_ns;
	__u64 dispatch_ns;
	__u64 first_ns;
	__u64 output_bytes;
	__u32 unread_bytes;
	__u32 attempts;
	char  model[LLM_MODEL_NAME_MAX];
	__u32 sched_class;
	__u32 pad;
	__u64 memory_host;
	__u64 memory_device;
	__u64 reserved;
};

/**
 * struct llm_list - LLM_IOC_LIST
 * @size: sizeof(struct llm_list)
 * @flags: zero
 * @buf: address of an array of struct llm_request_info; on the socket it follows the reply
 * @entry_size: sizeof(struct llm_request_info)
 * @capacity: entries there is room for
 * @count: out, entries returned
 * @total: out, requests there are
 * @cursor: list requests with an id above this one; 0 at first
 * @reserved: zero
 *
 * Entries come in the order of their ids; all users' requests that have not ended are listed.
 *
 * Return: 0; EINVAL, EFAULT, ENOMEM, EINTR.
 */
struct llm_list {
	__u32 size;
	__u32 flags;
	__u64 buf;
	__u32 entry_size;
	__u32 capacity;
	__u32 count;
	__u32 total;
	__u64 cursor;
	__u64 reserved[2];
};

/* struct llm_register.flags */
#define LLM_BUFFER_WRITE	(1U << 0) /* the server may write it, too */
#define LLM_BUFFER_MEMFD	(1U << 1) /* a part of a file in memory, not of the address space */
#define LLM_BUFFER_FLAGS	(LLM_BUFFER_WRITE | LLM_BUFFER_MEMFD)

/**
 * struct llm_register - LLM_IOC_REGISTER: memory to be shared with the server
 * @size: sizeof(struct llm_register)
 * @flags: LLM_BUFFER_*
 * @addr: address of it; LLM_BUFFER_MEMFD: offset in the file; at the start of a page
 * @len: bytes, whole pages, max_buffer_bytes at most
 * @fd: LLM_BUFFER_MEMFD: a memfd, or another file on tmpfs or hugetlbfs; else 0
 * @pad: zero
 * @buffer: out, its name on this file
 * @reserved: zero
 *
 * The pages are pinned until they are unregistered or the file is closed, and no request uses them
 * any more; whatever is done to the addresses or the file by then, the server sees these
 * pages and no others. They are billed to the user's RLIMIT_MEMLOCK, unless he has CAP_IPC_LOCK.
 *
 * Return: 0; EINVAL, E2BIG too long, EBUSY too many on this file, ENOMEM over RLIMIT_MEMLOCK, or no
 * memory, EFAULT nothing is there or it can not be pinned (or, LLM_BUFFER_WRITE, written), EBADF,
 * EACCES the file is not open for that, EPERM it is sealed against it, EINTR.
 */
struct llm_register {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__s32 fd;
	__u32 pad;
	__u64 buffer;
	__u64 reserved[3];
};

/**
 * struct llm_unregister - LLM_IOC_UNREGISTER: the end of that
 * @size: sizeof(struct llm_unregister)
 * @flags: zero
 * @buffer: its name
 * @reserved: zero
 *
 * When it returns 0, nobody else sees the memory any more.
 *
 * Return: 0; EBUSY a request that has not ended uses it (the server may still have one that was
 * cancelled: WAIT does not tell; try again), ENOENT no such buffer on this file, EINVAL.
 */
struct llm_unregister {
	__u32 size;
	__u32 flags;
	__u64 buffer;
	__u64 reserved[2];
};

/* struct llm_session_cmd.flags: one of them, or none to make an empty session */
#define LLM_SESSION_FORK	(1U << 0) /* make one with the past of the session @fd */
#define LLM_SESSION_SEAL	(1U << 1) /* the session @fd never changes again */
#define LLM_SESSION_INFO	(1U << 2) /* tell about the session @fd */
#define LLM_SESSION_FLAGS	(LLM_SESSION_FORK | LLM_SESSION_SEAL | LLM_SESSION_INFO)
/* struct llm_session_cmd.out_flags */
#define LLM_SESSION_SEALED	(1U << 0)
#define LLM_SESSION_BUSY	(1U << 1) /* a request that appends is under way */

/**
 * struct llm_session_cmd - LLM_IOC_SESSION: a session is made, sealed or looked at
 * @size: sizeof(struct llm_session_cmd)
 * @flags: LLM_SESSION_*
 * @fd: a descriptor of the session meant, or -1 for an empty one; out, where a session is made, its
 *	descriptor, which has O_CLOEXEC
 * @out_flags: out, LLM_SESSION_SEALED, LLM_SESSION_BUSY
 * @id: out, never used again; nothing can be done with it
 * @bytes: out, of the past as the broker keeps it
 * @tokens: out, of the past, as its server counted them
 * @turns: out, requests that were appended to this session
 * @model: out, of its first turn, as it was submitted; empty: it has none yet, or the server's
 *	default
 * @reserved: zero
 *
 * The outputs are of the session that was made, or else of the one meant. A session counts against
 * max_sessions_user of who made it until it has ended, no fork has a past any more that was made
 * here, and the server has heard of that.
 *
 * Return: 0; EBADF @fd is no descriptor, EINVAL, also if it is one of no session, EBUSY SEAL: a
 * request that appends is under way (a fork can be sealed), EMFILE too many sessions of one user,
 * or descriptors of the process, ENFILE too many in all, ENOMEM, EFAULT: nothing was made.
 */
struct llm_session_cmd {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 out_flags;
	__u64 id;
	__u64 bytes;
	__u64 tokens;
	__u64 turns;
	char  model[LLM_MODEL_NAME_MAX];
	__u64 reserved[4];
};

/* ---- server commands, on /dev/llmd ---- */

/**
 * enum llm_event_type - what a FETCH brings
 * @LLM_EVENT_REQUEST: a request to answer, now this server's
 * @LLM_EVENT_CANCEL: stop working on it and COMMIT its end
 * @LLM_EVENT_RESUME: the pause that a verdict asked for is over
 * @LLM_EVENT_RECLAIM: somebody waits for memory: give back what is held for this paused request
 *	(id), or so many bytes of what is kept for this cgroup (id is 0), and UNCHARGE them. What a
 *	cgroup is asked for stands until it was given back, a request is asked until it is resumed
 * @LLM_EVENT_SESSION_END: no session has a past any more that was made in the session @id: what is
 *	kept of it is of no use; only of sessions that this server has heard of
 */
enum llm_event_type {
	LLM_EVENT_REQUEST	= 1,
	LLM_EVENT_CANCEL	= 2,
	LLM_EVENT_RESUME	= 3,
	LLM_EVENT_RECLAIM	= 4,
	LLM_EVENT_SESSION_END	= 5,
};

/**
 * struct llm_event - what FETCH writes at the start of its buffer
 * @size: sizeof(struct llm_event), where the data begins
 * @type: enum llm_event_type
 * @id: the request; LLM_EVENT_SESSION_END: the session
 * @time_ns: when this event became due: submitted, cancelled or read
 * @cgroup_id: of the submitter
 * @pid: of the submitter, in the server's pid namespace; 0 if it is no more
 * @uid: of the submitter, in the server's user namespace
 * @op: enum llm_op
 * @payload_type: enum llm_payload
 * @flags: LLM_SUBMIT_*
 * @max_tokens: as submitted
 * @sampling: as submitted
 * @model: as submitted
 * @stop_len: bytes of stop strings
 * @payload_len: bytes of payload
 * @journal_len: bytes of journal
 * @data_len: bytes of data that were copied behind this struct
 * @output_bytes: bytes of the answer that earlier servers committed
 * @prompt_tokens: as last committed
 * @output_tokens: as last committed
 * @attempts: how many servers have fetched it, this one included
 * @sched_class: enum llm_class
 * @domain_cgroup: with @domain_uid, its cache domain: what was computed for one request may be
 *	reused for another, and be noticed there, only where both are equal
 * @domain_uid: of the submitter, in the server's user namespace; ~0: the domain is a cgroup's that
 *	its administrator lets share, with all its users
 * @session_len: LLM_SUBMIT_SESSION: bytes of the past; 0: it is empty
 * @buffer: LLM_SUBMIT_BUFFER: offset on /dev/llmd where the buffer with the payload can be mapped
 * @buffer_len: bytes of it
 * @payload_offset: of the payload in it
 * @answer_buffer: offset on /dev/llmd of the buffer for the answer; 0: there is none
 * @answer_buffer_len: bytes of it
 * @answer_offset: of the part of it that the server may write
 * @answer_len: bytes of that
 * @answer_bytes: of these, filled as last committed
 * @region: LLM_EVENT_RECLAIM: where memory is short, as in SETUP
 * @pad2: zero
 * @bytes: LLM_EVENT_RECLAIM: how many of them are meant
 * @session: LLM_SUBMIT_SESSION: the session
 * @past_session: the session that made its past: @session itself, unless it is a fork to which
 *	nothing was appended since; 0: the past is empty
 * @reserved: zero
 *
 * A request's data is its stop strings, its payload, its journal, the past of its session, one
 * behind the other. A past only grows: of two that were made in one session, the shorter one is the
 * beginning of the longer one, and those of equal length are the same. When a request of @session
 * that appends is committed to its end, the past is then one that @session made, of @session_len
 * bytes and those of the COMMIT. @domain_cgroup and @domain_uid say nothing about what is computed
 * in a session.
 *
 * Everything below @time_ns is zero unless @type is LLM_EVENT_REQUEST, or LLM_EVENT_RECLAIM, which
 * has @cgroup_id (unless @id names a request), @region and @bytes.
 */
struct llm_event {
	__u32 size;
	__u32 type;
	__u64 id;
	__u64 time_ns;
	__u64 cgroup_id;
	__u32 pid;
	__u32 uid;
	__u32 op;
	__u32 payload_type;
	__u32 flags;
	__u32 max_tokens;
	struct llm_sampling sampling;
	char  model[LLM_MODEL_NAME_MAX];
	__u32 stop_len;
	__u32 payload_len;
	__u32 journal_len;
	__u32 data_len;
	__u64 output_bytes;
	__u32 prompt_tokens;
	__u32 output_tokens;
	__u32 attempts;
	__u32 sched_class;
	__u64 domain_cgroup;
	__u32 domain_uid;
	__u32 session_len;
	__u64 buffer;
	__u64 buffer_len;
	__u64 payload_offset;
	__u64 answer_buffer;
	__u64 answer_buffer_len;
	__u64 answer_offset;
	__u64 answer_len;
	__u64 answer_bytes;
	__u32 region;
	__u32 pad2;
	__u64 bytes;
	__u64 session;
	__u64 past_session;
	__u64 reserved[2];
};

/**
 * struct llm_region - a kind of memory that a server takes in the name of its clients
 * @bytes: there are in all; 0: not known, and it is no region of the dmem controller
 * @reserved: zero
 * @name: of lower-case letters, digits, "_", "-" and "."; NUL-terminated and zero-filled
 */
struct llm_region {
	__u64 bytes;
	__u64 reserved;
	char  name[LLM_REGION_NAME_MAX];
};

/**
 * struct llm_setup - LLM_IOC_SETUP: how this server works
 * @size: sizeof(struct llm_setup)
 * @flags: zero
 * @slots: requests below LLM_OP_CONTROL that it steps at once; 0: any number, as before this command
 * @sequences: requests whose state it keeps while they are paused, those stepped included; 0: any
 *	number
 * @regions: address of an array of struct llm_region; the first one is "host"
 * @region_count: of them, LLM_REGIONS_MAX at most; 0: none are set, and there is only "host"
 * @pad: zero
 * @reserved: zero
 *
 * Where more requests want to be stepped than there are slots, the broker chooses, by cgroup, in it
 * by user, and of a user by file, each with an equal share of what the server does. A request that
 * has to give way is told to pause by the verdict of a COMMIT, and to go on by LLM_EVENT_RESUME.
 * Once @sequences have begun and not ended, one of a user begins only while none of his waits to go
 * on, so there may be somewhat more of them. So that somebody new is served at the next step, a
 * FETCH for requests should be parked even while all slots are taken.
 *
 * It may be made again: a server that has to wait for something before it can step some of its
 * requests can step so many others meanwhile. Where there are fewer slots than requests that have
 * one, each of them is judged anew at its next COMMIT, also one that brings nothing.
 *
 * What a command calls a region is its place in @regions. They can be set once.
 *
 * Return: 0; ESHUTDOWN no longer the server, EBUSY its regions are set, ENOSPC the broker knows too
 * many regions by name, EINVAL, EFAULT: nothing was set.
 */
struct llm_setup {
	__u32 size;
	__u32 flags;
	__u32 slots;
	__u32 sequences;
	__u64 regions;
	__u32 region_count;
	__u32 pad;
	__u64 reserved[2];
};

/* struct llm_fetch.flags, struct llm_commit.fetch_flags: the events it takes */
#define LLM_FETCH_REQUEST	(1U << 0) /* requests with an op below LLM_OP_CONTROL */
#define LLM_FETCH_CONTROL	(1U << 1) /* requests with an op from LLM_OP_CONTROL on */
#define LLM_FETCH_NOTICE	(1U << 2) /* CANCEL, RESUME, RECLAIM and SESSION_END */
#define LLM_FETCH_NONBLOCK	(1U << 3) /* EAGAIN instead of waiting */
#define LLM_FETCH_EVENTS	(LLM_FETCH_REQUEST | LLM_FETCH_CONTROL | LLM_FETCH_NOTICE)
#define LLM_FETCH_FLAGS		(LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK)

/**
 * struct llm_fetch - LLM_IOC_FETCH
 * @size: sizeof(struct llm_fetch)
 * @flags: LLM_FETCH_*, at least one event
 * @buf: address for the struct llm_event and its data
 * @buf_len: room in bytes, sizeof(struct llm_event) at least
 * @pad: zero
 * @reserved: zero
 *
 * Notices come before control requests, and those before the others. Notices and control requests
 * come in order of age; of the others, the oldest of the file whose turn it is: by cgroup, in it by
 * user, then by file. A notice never overtakes the request that it is about.
 *
 * Return: bytes written to @buf; EAGAIN, EINTR, ECANCELED (the parked command was cancelled),
 * ESHUTDOWN (no longer the server), EINVAL, EFAULT (the event stays due).
 */
struct llm_fetch {
	__u32 size;
	__u32 flags;
	__u64 buf;
	__u32 buf_len;
	__u32 pad;
	__u64 reserved[2];
};

/**
 * struct llm_pull - LLM_IOC_PULL: more of the data of a request this server holds
 * @size: sizeof(struct llm_pull)
 * @flags: zero
 * @id: the request
 * @buf: address
 * @buf_len: room in bytes
 * @pad: zero
 * @offset: into the request's data, in bytes
 * @reserved: zero
 *
 * The data is what the event told: of the journal, what earlier servers have left, and not what this
 * one has appended since.
 *
 * Return: bytes written to @buf, 0 past the end; ENOENT not this server's, ECANCELED it was
 * cancelled (COMMIT its end), EINVAL, EFAULT.
 */
struct llm_pull {
	__u32 size;
	__u32 flags;
	__u64 id;
	__u64 buf;
	__u32 buf_len;
	__u32 pad;
	__u64 offset;
	__u64 reserved[2];
};

/* struct llm_commit.flags */
#define LLM_COMMIT_END		(1U << 0) /* the answer is complete or has failed */
#define LLM_COMMIT_FLAGS	(LLM_COMMIT_END)

/* what COMMIT and CHARGE return */
#define LLM_VERDICT_CONTINUE	0
#define LLM_VERDICT_PAUSE	1	/* do not step it until LLM_EVENT_RESUME */
#define LLM_VERDICT_CANCELLED	2	/* nothing was taken; COMMIT its end, if this was not it */

/**
 * struct llm_commit - LLM_IOC_COMMIT and LLM_IOC_COMMIT_AND_FETCH
 * @size: sizeof(struct llm_commit)
 * @flags: LLM_COMMIT_*; COMMIT_AND_FETCH needs LLM_COMMIT_END
 * @id: the request
 * @data: address of the answer's next bytes
 * @data_len: bytes, max_commit_bytes at most
 * @journal_len: bytes to append to the journal, max_commit_bytes at most
 * @journal: address of them
 * @compute_ns: processor time spent on this request since its last COMMIT
 * @prompt_tokens: of the prompt, processed so far, and again after shifts of the context (a total;
 *	never less than before)
 * @output_tokens: generated so far (a total; never less than before)
 * @status: with END, 0 or -errno, above -512; else 0
 * @finish: with END and status 0, enum llm_finish; else 0
 * @fetch_buf: COMMIT_AND_FETCH: as struct llm_fetch.buf; else 0
 * @fetch_len: COMMIT_AND_FETCH: as struct llm_fetch.buf_len; else 0
 * @fetch_flags: COMMIT_AND_FETCH: as struct llm_fetch.flags; else 0
 * @answer_bytes: of the request's answer buffer, filled so far (a total; never less than before);
 *	0: as before
 * @session: with END and status 0 of a request that appends to a session: address of the bytes by
 *	which its past grows; else 0
 * @session_len: of them; with the past no more than max_session_bytes
 * @session_tokens: that the past has with them; 0 if @session_len is
 * @reserved: zero
 *
 * Data counts against the bound on unread bytes: who goes on after LLM_VERDICT_PAUSE may commit
 * max_commit_bytes more.
 *
 * Return: COMMIT: LLM_VERDICT_*; ENOENT not this server's, E2BIG data, journal or past over its
 * limit (also where that has been lowered; one without them is never too big), EINVAL, EFAULT,
 * ENOMEM: nothing was taken. Of a cancelled request nothing is taken either: LLM_VERDICT_CANCELLED,
 * also where memory is short. An END that brings nothing needs no memory. COMMIT_AND_FETCH: an error
 * of the commit, else as FETCH; EINTR is the FETCH's.
 */
struct llm_commit {
	__u32 size;
	__u32 flags;
	__u64 id;
	__u64 data;
	__u32 data_len;
	__u32 journal_len;
	__u64 journal;
	__u64 compute_ns;
	__u32 prompt_tokens;
	__u32 output_tokens;
	__s32 status;
	__u32 finish;
	__u64 fetch_buf;
	__u32 fetch_len;
	__u32 fetch_flags;
	__u64 answer_bytes;
	__u64 session;
	__u32 session_len;
	__u32 session_tokens;
	__u64 reserved;
};

/* struct llm_charge.flags */
#define LLM_CHARGE_KEEP		(1U << 0) /* of what the request holds, keep this for its cgroup */
#define LLM_CHARGE_TRY		(1U << 1) /* where there is no room now, EAGAIN, and it goes on without */
#define LLM_CHARGE_FLAGS	(LLM_CHARGE_KEEP | LLM_CHARGE_TRY)

/**
 * struct llm_charge - LLM_IOC_CHARGE and LLM_IOC_UNCHARGE
 * @size: sizeof(struct llm_charge)
 * @flags: CHARGE: one of LLM_CHARGE_*, or zero; UNCHARGE: zero
 * @id: the request; 0: @cgroup_id says whose
 * @cgroup_id: UNCHARGE: the cgroup that memory was kept for; else 0
 * @region: where, as in SETUP; 0 is host memory
 * @pad: zero
 * @bytes: how many, not 0
 * @reserved: zero
 *
 * What a request still holds when the server COMMITs its end is given back by that, so it is to be
 * free by then. LLM_CHARGE_KEEP moves memory from a request to its cgroup, where it stays until it
 * is UNCHARGEd, or the server is gone; when the cgroup was removed, all of it is asked back. All
 * this is for requests below LLM_OP_CONTROL.
 *
 * A request that was told to pause by a CHARGE leaves its slot; after LLM_EVENT_RESUME it CHARGEs
 * again. The oldest request is the first to get room; one that holds nothing never passes an older
 * one that waits for the same.
 *
 * Return: CHARGE: LLM_VERDICT_CONTINUE it is charged; nothing is charged: LLM_VERDICT_PAUSE there
 * is no room now, EAGAIN the same with LLM_CHARGE_TRY, LLM_VERDICT_CANCELLED it is over (because
 * there is no room now, even without what is kept, and it was submitted with LLM_SUBMIT_EDQUOT, or
 * it was cancelled before), EDQUOT with what the request holds this is more than a quota ever allows
 * (COMMIT its end with that status, or make do with less), ENOENT not this server's, EINVAL.
 * UNCHARGE: 0; ENOENT not this server's, EINVAL also if so much is not held: nothing has changed.
 */
struct llm_charge {
	__u32 size;
	__u32 flags;
	__u64 id;
	__u64 cgroup_id;
	__u32 region;
	__u32 pad;
	__u64 bytes;
	__u64 reserved[3];
};

/* ---- numbers ---- */

#define LLM_IOC_MAGIC		0xC5

#define LLM_IOC_GET_FEATURES	_IOWR(LLM_IOC_MAGIC, 0x00, struct llm_features)
#define LLM_IOC_SUBMIT		_IOWR(LLM_IOC_MAGIC, 0x01, struct llm_submit)
#define LLM_IOC_READ		_IOWR(LLM_IOC_MAGIC, 0x02, struct llm_read)
#define LLM_IOC_SUBMIT_AND_READ	_IOWR(LLM_IOC_MAGIC, 0x03, struct llm_submit_read)
#define LLM_IOC_CANCEL		_IOWR(LLM_IOC_MAGIC, 0x04, struct llm_cancel)
#define LLM_IOC_WAIT		_IOWR(LLM_IOC_MAGIC, 0x05, struct llm_wait)
#define LLM_IOC_LIST		_IOWR(LLM_IOC_MAGIC, 0x06, struct llm_list)
#define LLM_IOC_REGISTER	_IOWR(LLM_IOC_MAGIC, 0x07, struct llm_register)
#define LLM_IOC_UNREGISTER	_IOWR(LLM_IOC_MAGIC, 0x08, struct llm_unregister)
#define LLM_IOC_SESSION		_IOWR(LLM_IOC_MAGIC, 0x09, struct llm_session_cmd)

#define LLM_IOC_FETCH		_IOWR(LLM_IOC_MAGIC, 0x20, struct llm_fetch)
#define LLM_IOC_PULL		_IOWR(LLM_IOC_MAGIC, 0x21, struct llm_pull)
#define LLM_IOC_COMMIT		_IOWR(LLM_IOC_MAGIC, 0x22, struct llm_commit)
#define LLM_IOC_COMMIT_AND_FETCH _IOWR(LLM_IOC_MAGIC, 0x23, struct llm_commit)
#define LLM_IOC_SETUP		_IOWR(LLM_IOC_MAGIC, 0x24, struct llm_setup)
#define LLM_IOC_CHARGE		_IOWR(LLM_IOC_MAGIC, 0x25, struct llm_charge)
#define LLM_IOC_UNCHARGE	_IOWR(LLM_IOC_MAGIC, 0x26, struct llm_charge)

/**
 * struct llm_uring_cmd - the command bytes of an IORING_OP_URING_CMD
 * @arg: address of the command's struct
 * @arg_len: its size field, repeated
 * @flags: zero
 */
struct llm_uring_cmd {
	__u64 arg;
	__u32 arg_len;
	__u32 flags;
};

/**
 * struct llm_msg - the head of each message on the socket
 * @len: bytes of the whole message, this head included
 * @cmd: LLM_IOC_* number of a client command
 * @cookie: chosen by the client, repeated in the reply
 * @result: in a reply, 0 or -errno; else 0
 * @pad: zero
 */
struct llm_msg {
	__u32 len;
	__u32 cmd;
	__u64 cookie;
	__s32 result;
	__u32 pad;
};

/* ---- what a framed answer consists of (LLM_SUBMIT_RECORDS) ---- */

/**
 * enum llm_record_type - what a record holds
 * @LLM_RECORD_TEXT: UTF-8 text of the answer; it may end within a character
 * @LLM_RECORD_TOKEN: struct llm_token, its text, its alternatives
 * @LLM_RECORD_MODEL: struct llm_model_info
 * @LLM_RECORD_META: struct llm_meta, the key, the value as text
 * @LLM_RECORD_STATUS: struct llm_status
 * @LLM_RECORD_ERROR: one line of text that says what was wrong; the last record of an answer
 *	whose status is not 0 (it may be missing)
 * @LLM_RECORD_EMBEDDING: struct llm_embedding, its elements
 * @LLM_RECORD_LABEL: struct llm_label, its name
 */
enum llm_record_type {
	LLM_RECORD_TEXT		= 1,
	LLM_RECORD_TOKEN	= 2,
	LLM_RECORD_MODEL	= 3,
	LLM_RECORD_META		= 4,
	LLM_RECORD_STATUS	= 5,
	LLM_RECORD_ERROR	= 6,
	LLM_RECORD_EMBEDDING	= 7,
	LLM_RECORD_LABEL	= 8,
};

#define LLM_RECORD_BYTES_MAX	(60U * 1024)

/**
 * struct llm_record - the head of a record
 * @type: enum llm_record_type; readers skip types they do not know
 * @pad: zero
 * @len: bytes that follow, LLM_RECORD_BYTES_MAX at most; nothing is aligned
 */
struct llm_record {
	__u16 type;
	__u16 pad;
	__u32 len;
};

#define LLM_LOGPROB_NONE	(-2147483647 - 1) /* impossible, or not known */

/**
 * struct llm_alternative - a likely token
 * @id: the token
 * @logprob: natural logarithm of its probability before sampling, in millionths
 */
struct llm_alternative {
	__u32 id;
	__s32 logprob;
};

/**
 * struct llm_token - one token
 * @id: the token
 * @logprob: as in struct llm_alternative; LLM_LOGPROB_NONE for the first token of a SCORE
 * @text_len: bytes of text that follow the alternatives; may be no whole characters
 * @alternatives: how many struct llm_alternative follow this struct, likeliest first
 */
struct llm_token {
	__u32 id;
	__s32 logprob;
	__u32 text_len;
	__u32 alternatives;
};

/* struct llm_embedding.flags */
#define LLM_EMBEDDING_TRUNCATED	(1U << 0) /* the text was cut */

/**
 * struct llm_embedding - the vector of a text
 * @index: of the text in the payload, from 0
 * @flags: LLM_EMBEDDING_*
 * @tokens: of the text
 * @dims: elements that follow, float32 of IEEE 754, little endian
 */
struct llm_embedding {
	__u32 index;
	__u32 flags;
	__u32 tokens;
	__u32 dims;
};

/* struct llm_label.flags, beside those */
#define LLM_LABEL_LOGIT		(1U << 1) /* of one label: its logit is what texts are ranked by */

/**
 * struct llm_label - how well a label fits a text
 * @index: of the text in the payload, from 0
 * @flags: LLM_EMBEDDING_*, LLM_LABEL_*
 * @label: its number
 * @logit: what the model says, in millionths, cut off where that has no room
 * @probability: millionths; of a single label, and of labels that don't exclude each other, the
 *	logistic function of its logit, else their softmax
 * @name_len: bytes of UTF-8 that follow, the model's name for it; 0 to LLM_LABEL_NAME_MAX
 */
struct llm_label {
	__u32 index;
	__u32 flags;
	__u32 label;
	__s32 logit;
	__u32 probability;
	__u32 name_len;
};

/** struct llm_meta - a key and its value; both follow, key first */
struct llm_meta {
	__u32 key_len;
	__u32 value_len;
};

/* struct llm_model_info.flags */
#define LLM_MODEL_LOADED	(1U << 0)
#define LLM_MODEL_DEFAULT	(1U << 1)
#define LLM_MODEL_BROKEN	(1U << 2) /* can not be used; error says why */
#define LLM_MODEL_ADAPTER	(1U << 3) /* no model, but what can be added to one */
#define LLM_MODEL_LABELS	(1U << 4) /* can CLASSIFY */
#define LLM_MODEL_ENCODER	(1U << 5) /* EMBED and CLASSIFY only */

/**
 * struct llm_model_info - a model the server has
 * @size: sizeof(struct llm_model_info)
 * @flags: LLM_MODEL_*
 * @parameters: number of weights
 * @file_bytes: size of the file
 * @memory_bytes: what it takes besides the mapped file, 0 unless loaded
 * @context: tokens it was made for
 * @context_used: tokens a request may have here, 0 unless loaded
 * @layers: number of blocks
 * @width: elements of the hidden state; of an adapter, the largest rank of its matrices
 * @heads: attention heads
 * @kv_heads: of keys and values
 * @ff_width: elements of the hidden state of the feed-forward network
 * @vocab: number of tokens
 * @name: what a request calls it
 * @arch: as the file says, "llama"; of an adapter, that of its models, "" where that is not known
 * @weights: type of most weights, "Q4_1"
 * @tokenizer: "spm", "bpe", "wordpiece", "unigram"
 * @chat: name of the chat template recognised, "" if the file has none, "unknown"
 * @error: why it can not be used
 * @labels: number of them, 0 where it has none
 * @pad: zero
 */
struct llm_model_info {
	__u32 size;
	__u32 flags;
	__u64 parameters;
	__u64 file_bytes;
	__u64 memory_bytes;
	__u32 context;
	__u32 context_used;
	__u32 layers;
	__u32 width;
	__u32 heads;
	__u32 kv_heads;
	__u32 ff_width;
	__u32 vocab;
	char  name[LLM_MODEL_NAME_MAX];
	char  arch[32];
	char  weights[16];
	char  tokenizer[16];
	char  chat[16];
	char  error[112];
	__u32 labels;
	__u32 pad;
};

/**
 * struct llm_status - how the server is
 * @size: sizeof(struct llm_status)
 * @pid: its process id, in its own pid namespace
 * @version: its version
 * @isa: the instruction set its kernels use, "avx512vnni"
 * @start_ns: when it started
 * @steps: model steps since then
 * @step_ns: time spent in them
 * @step_max_ns: the longest
 * @prompt_tokens: processed since then
 * @output_tokens: generated since then
 * @ended: requests answered
 * @failed: of those, with an error
 * @cancelled: requests cancelled
 * @recovered: requests taken over from an earlier server
 * @cancel_steps_max: most steps that were begun for a request after it had been cancelled
 * @slots: requests it steps at once
 * @slots_busy: of those, taken
 * @kv_pages: pages of key-value cache it has
 * @kv_pages_used: of those, taken
 * @threads: that compute
 * @models_loaded: number of them
 * @kv_pages_kept: of the pages that are not taken, those that hold a prefix for requests to come;
 *	only the administrator is told
 * @kv_pages_swapped: pages on the disk, that had to make way or may have to; told as @kv_pages_kept
 * @pad: 0
 * @reused_tokens: of @prompt_tokens, those that were found in such pages; only the administrator is
 *	told
 * @swap_bytes: that those on the disk take there; this and what follows is told as @kv_pages_kept
 * @swapped_out: pages that were written to the disk since the start
 * @swapped_in: pages that came back from there
 * @swap_failed: pages that could not, or not in time, and were computed again
 * @grammar_bytes: of memory that what answers are held to takes now
 * @reading_ns: since when a file of @reading has been read, 0: none has been for ten seconds
 * @reading: model or adapter whose file has been read for longest; its disk may not answer
 */
struct llm_status {
	__u32 size;
	__u32 pid;
	char  version[32];
	char  isa[16];
	__u64 start_ns;
	__u64 steps;
	__u64 step_ns;
	__u64 step_max_ns;
	__u64 prompt_tokens;
	__u64 output_tokens;
	__u64 ended;
	__u64 failed;
	__u64 cancelled;
	__u64 recovered;
	__u32 cancel_steps_max;
	__u32 slots;
	__u32 slots_busy;
	__u32 kv_pages;
	__u32 kv_pages_used;
	__u32 threads;
	__u32 models_loaded;
	__u32 kv_pages_kept;
	__u64 reused_tokens;
	__u32 kv_pages_swapped;
	__u32 pad;
	__u64 swap_bytes;
	__u64 swapped_out;
	__u64 swapped_in;
	__u64 swap_failed;
	__u64 grammar_bytes;
	__u64 reading_ns;
	char  reading[LLM_MODEL_NAME_MAX];
};

#endif /* _UAPI_LINUX_LLM_H */
