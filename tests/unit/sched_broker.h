/* SPDX-License-Identifier: MIT */
/*
 * A broker for tests of the scheduler: takes commits as llm.ko does (all of one or nothing, never
 * twice, counts that only grow), keeps journals, and can see its server die at any commit. Verdicts
 * come at once, or later as over io_uring. Memory is charged as llm.ko does it, under a quota if
 * there is one, and after each turn what is charged must be what the engine holds. A breach of the
 * contract fails the test.
 */
#ifndef TESTS_SCHED_BROKER_H
#define TESTS_SCHED_BROKER_H

#include "base/bytes.h"
#include "ipc/ipc.h"
#include "sched/sched.h"

#define TEST_REQUESTS_MAX	64
#define TEST_SESSIONS_MAX	8
#define TEST_GROUPS		8	/* numbers of cgroups are below it */

/** struct test_session - a session as the broker has it: its past, and which session made that */
struct test_session {
	uint64_t id;
	uint64_t past_session;
	struct bytes past;
	uint32_t tokens;
	unsigned int turns;
};

struct test_request {
	struct test_session *session;	/* that it belongs to, or NULL */
	struct llm_event event;		/* as the next server gets it */
	uint8_t data[65536];		/* stop strings, payload */
	struct bytes journal;
	struct bytes output;
	bool taken;			/* a server has it */
	bool ended;
	bool cancelled;
	bool paused;			/* by the dice, or for memory */
	uint64_t held;			/* bytes charged */
	uint64_t reserve;		/* of a charge that had to wait */
	uint64_t wants;			/* what that charge asked for, while it waits */
	int status;
	enum llm_finish finish;
	unsigned int commits;
	int pending;			/* result to tell, while @waiting */
	bool waiting;
	const uint8_t *sent;		/* data of a pending commit, and what it was */
	size_t sent_len;
	uint8_t sent_copy[65536];
};

struct test_broker {
	struct ipc ipc;
	struct sched *sched;
	struct test_request requests[TEST_REQUESTS_MAX];
	unsigned int count;
	struct test_session sessions[TEST_SESSIONS_MAX];
	unsigned int session_count;
	unsigned int wanted;
	unsigned int spare;		/* handed out, and not to be stepped for now */
	unsigned int commits;		/* that took effect */
	unsigned int die_at;		/* the server dies with this commit, 0: never */
	bool die_before;		/* ... before it takes effect, not after */
	bool dead;
	bool leaves_grammars;		/* no turn waits for what is being compiled */
	bool is_async;			/* verdicts come later */
	unsigned int late_in;		/* and one in so many even later than the next step; 0: none */
	size_t unread_max;		/* 0: nobody is told to pause */
	int refuse;			/* result of the next commit, once */
	bool full;			/* a commit that brings anything finds no memory */
	bool full_past;			/* one that brings a turn finds none */
	unsigned int starved;		/* that found none */
	unsigned int pause_in;		/* one commit in so many is told to pause; 0: none */
	uint64_t memory_max;		/* of all requests together, a quota; 0: none */
	uint64_t memory_max_each;	/* of one: more is EDQUOT; 0: none */
	uint64_t kept[TEST_GROUPS];	/* bytes, by cgroup */
	unsigned int keeps;
	int keep_error;			/* what the next one gets, once */
	unsigned int kept_reclaims;
	unsigned int short_in;		/* one charge in so many is told to pause; 0: none */
	int try_error;			/* what every LLM_CHARGE_TRY gets, 0: what is due */
	bool try_cancels;		/* who sends one is cancelled just before */
	unsigned int tries;
	unsigned int charges;
	unsigned int uncharges;
	unsigned int reclaims;
	bool retried;			/* a commit was refused: its end may come later */
	int memfd;			/* all buffers; -1: there are none */
	uint64_t dice;			/* for that, and for who is resumed when */
};

void test_broker_init(struct test_broker *broker);
void test_broker_free(struct test_broker *broker);
/** test_broker_serve() - a new server, with the defaults where @config has 0 */
void test_broker_serve(struct test_broker *broker, const struct sched_config *config);
/** test_broker_kill() - the server is gone; it is told nothing */
void test_broker_kill(struct test_broker *broker);

/** test_submit() - a request; its fields may be changed until the next test_run() */
struct test_request *test_submit(struct test_broker *broker, enum llm_op op,
				 enum llm_payload type, const void *payload, size_t len);
struct test_request *test_ask(struct test_broker *broker, const char *text);
void test_add_stop(struct test_request *request, const char *stop);

/** test_session() - a new one; @from: a session that it is forked from, or NULL */
struct test_session *test_session(struct test_broker *broker, const struct test_session *from);
/** test_in() - the request belongs to that session; before it is delivered; Return: @request */
struct test_request *test_in(struct test_session *session, struct test_request *request);
/** test_session_end() - nobody has its past any more; the server is told */
void test_session_end(struct test_broker *broker, struct test_session *session);

/** test_buffer() - the payload of a request is in a buffer, at that offset; before it is delivered */
void test_buffer(struct test_broker *broker, struct test_request *request, uint64_t offset);
/** test_held() - bytes charged to requests, in all */
uint64_t test_held(const struct test_broker *broker);
/** test_kept() - bytes kept for cgroups, in all */
uint64_t test_kept(const struct test_broker *broker);
/** test_turn() - one turn of the loop; Return: there is more to do */
bool test_turn(struct test_broker *broker);
/** test_hurry() - whatever waits to be committed again does not wait any longer */
void test_hurry(struct test_broker *broker);
/** test_run() - until nothing is left to do */
void test_run(struct test_broker *broker);
/** test_run_all() - the same, with a new server each time one dies */
void test_run_all(struct test_broker *broker, const struct sched_config *config);

#endif /* TESTS_SCHED_BROKER_H */
