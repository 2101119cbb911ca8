/* SPDX-License-Identifier: MIT */
/*
 * A server for tests of libllmos and llmctl: a thread behind a Unix socket that speaks the messages
 * of <linux/llm.h>, and on demand speaks them wrongly. It answers every request with the bytes it
 * was given. Configure it before the client connects.
 */
#ifndef TESTS_FAKE_LLM_H
#define TESTS_FAKE_LLM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/llm.h>

#define FAKE_REQUESTS_MAX	64
#define FAKE_PAYLOAD_MAX	(1U << 20)

/* what is wrong with one reply */
enum fake_evil {
	FAKE_GOOD,
	FAKE_CLOSE,		/* the connection closes instead */
	FAKE_HALF,		/* half of it, then the connection closes */
	FAKE_COOKIE,		/* another cookie */
	FAKE_COMMAND,		/* another command */
	FAKE_SHORT,		/* len below the head's own */
	FAKE_LONG,		/* len of nearly 4 GiB */
	FAKE_CUT_STRUCT,	/* the struct is cut short */
	FAKE_SIZE,		/* the struct's size field is wrong */
	FAKE_EXTRA,		/* more bytes follow than it says */
	FAKE_FLOOD,		/* READ returns more than there is room for */
	FAKE_POSITIVE,		/* a result above zero */
	FAKE_NEGATIVE,		/* a result that is no errno */
	FAKE_PAD,		/* padding that is not zero */
	FAKE_STATUS,		/* READ: a status that is no errno */
	FAKE_NO_ID,		/* SUBMIT: the id 0 */
	FAKE_GARBAGE,		/* bytes of no meaning */
	FAKE_MUTATE,		/* some bytes are others, then the connection closes */
	FAKE_EVILS,
};

/**
 * struct fake - a server
 * @path: of its socket
 * @answer: bytes of every answer
 * @answer_len: number of them
 * @chunk: bytes of one READ, 0: as many as fit
 * @piece: bytes of one send, 0: whole replies
 * @status: answers end with it
 * @finish: and with it
 * @submit_result: SUBMIT fails with it
 * @endless: answers never end: the same bytes again and again
 * @hold: READs are not answered before the request is cancelled
 * @silent: STATUS requests are not answered at all
 * @evil: what is wrong
 * @seed: of FAKE_MUTATE; moves on
 * @evil_command: with replies to this command (_IOC_NR)
 * @evil_after: but not with the first so many of them
 * @list: what LIST tells, sorted by id
 * @list_count: number of them
 * @list_same: LIST tells the same again and again
 * @server_pid: as GET_FEATURES tells
 * @abi_version: as GET_FEATURES tells
 * @max_payload: as GET_FEATURES tells
 * @has_sessions: SESSION exists, and makes some
 * @session_result: of a SUBMIT in a session; 0: as any other
 * @submit: the last one
 * @payload: of the last one, then its stop strings
 * @parked_fd: becomes readable when a READ is left unanswered
 * @sessions: that were made
 * @submits: SUBMIT commands that came
 * @cancels: CANCEL commands that came
 * @forgets: of those, with LLM_CANCEL_FORGET
 *
 * The fields from @submit on are the thread's until the client has got its replies.
 */
struct fake {
	char path[108];
	const uint8_t *answer;
	size_t answer_len;
	size_t chunk;
	size_t piece;
	int status;
	unsigned int finish;
	int submit_result;
	bool endless;
	bool hold;
	bool silent;
	enum fake_evil evil;
	unsigned int seed;
	unsigned int evil_command;
	unsigned int evil_after;
	const struct llm_request_info *list;
	size_t list_count;
	bool list_same;
	uint32_t server_pid;
	uint32_t abi_version;
	uint32_t max_payload;
	bool has_sessions;
	int session_result;

	struct llm_submit submit;
	uint8_t payload[FAKE_PAYLOAD_MAX + LLM_STOP_BYTES_MAX];
	int parked_fd;
	unsigned int sessions;
	unsigned int submits;
	unsigned int cancels;
	unsigned int forgets;

	/* its own */
	pthread_t thread;
	int listen_fd;
	int fd;
	unsigned int evil_seen;
	uint64_t next_id;
	struct fake_request {
		uint64_t id;
		size_t at;
		bool cancelled;
		bool parked;
		struct llm_msg parked_head;
		struct llm_read parked_read;
	} requests[FAKE_REQUESTS_MAX];
};

/* a fresh one, not yet listening: fill it in, then fake_listen() */
struct fake *fake_new(void);
void fake_listen(struct fake *fake);
/* ends the thread; the client must have disconnected */
void fake_free(struct fake *fake);
/* "unix:PATH" */
const char *fake_address(const struct fake *fake);

/* ---- building answers ---- */

/** struct frames - records, one behind the other */
struct frames {
	uint8_t bytes[256 * 1024];
	size_t len;
};

void frames_add(struct frames *frames, unsigned int type, const void *body, size_t len);
void frames_text(struct frames *frames, const char *text);
void frames_token(struct frames *frames, uint32_t id, int32_t logprob, const char *text,
		  size_t text_len, const struct llm_alternative *top, uint32_t count);

#endif /* TESTS_FAKE_LLM_H */
