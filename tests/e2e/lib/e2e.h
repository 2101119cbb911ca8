/* SPDX-License-Identifier: MIT */
/*
 * What the end-to-end programs share: where they run, the daemon as a child process, a random
 * number with a seed, and waiting for a condition. Everything about the vehicle comes from the
 * environment that tests/e2e/lib.sh sets:
 *
 *   LLMOS_ADDRESS    where to connect
 *   LLMOS_TRANSPORT  "device" or "socket"
 *   LLMOS_DAEMON     the shell command line that starts llmosd in the foreground
 *   LLMOS_DAEMON_PID the daemon that already runs, if the suite started one
 *   LLMOS_SCALE      how many times slower this vehicle is
 *   LLMOS_SEED       seed of everything random
 */
#ifndef LLMOS_TEST_E2E_H
#define LLMOS_TEST_E2E_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <llmos.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- the vehicle ---- */

bool e2e_device(void);
unsigned int e2e_scale(void);
/* @tokens, or a fifth of them where each takes long */
unsigned int e2e_tokens(unsigned int tokens);
/* an unsigned number from the environment */
uint64_t e2e_number(const char *name, uint64_t fallback);

/* ---- waiting: a condition, looked at often, for a bounded time ---- */

/*
 * true as soon as @check(arg) is; false after @seconds (times the vehicle's scale), but not before a
 * minute, for others may want the processor
 */
bool e2e_wait(unsigned int seconds, bool (*check)(void *arg), void *arg);
/* look at something for so long, or until @look(arg) is true */
void e2e_watch(unsigned int seconds, bool (*look)(void *arg), void *arg);
uint64_t e2e_now_ns(void);

/* ---- random numbers, splitmix64 ---- */

struct e2e_random {
	uint64_t state;
};

uint64_t e2e_random(struct e2e_random *random);
/* 0 .. n - 1 */
uint32_t e2e_below(struct e2e_random *random, uint32_t n);

/* ---- the daemon ---- */

/* start one, and do not wait until it serves */
pid_t e2e_daemon_spawn(void);
/* start one and wait until it serves; -errno, -ETIMEDOUT if it never does */
int e2e_daemon_start(pid_t *ret_pid);
/* signal it and take its wait status */
int e2e_daemon_end(pid_t pid, int signal);
/* wait until some daemon serves, and if @pid is not 0, that one */
int e2e_daemon_wait(pid_t pid);
/* open descriptors of a process, -errno */
int e2e_fd_count(pid_t pid);
/* pid of the daemon that serves now, 0 if there is none */
pid_t e2e_daemon_pid(void);

/* ---- what is left ---- */

/* status over a connection of its own */
int e2e_status(struct llmos_status *status);
/* wait until no slot is taken, no page used and no request left; false: *ret_status shows what is */
bool e2e_settled(struct llmos_status *ret_status);

/* ---- answers ---- */

/**
 * struct e2e_answer - an answer as it comes in
 * @text: its bytes so far, NUL-terminated
 * @len: number of them
 * @status: 0 or -errno, once @ended
 * @ended: on_end has been called
 * @request: while it is on its way
 * @stop_after: cancel after this many bytes; 0: never
 * @progress: called after each piece, may be NULL
 */
struct e2e_answer {
	char *text;
	size_t len;
	size_t room;
	int status;
	bool ended;
	struct llmos_request *request;
	size_t stop_after;
	void (*progress)(struct e2e_answer *answer);
	void *userdata;
};

/* start a request; @opts' callbacks and userdata are replaced */
int e2e_answer_start(struct llmos *llmos, struct e2e_answer *answer, const char *prompt,
		     const struct llmos_generate_opts *opts);
/* start, wait and free the request; the answer stays */
int e2e_answer_get(struct llmos *llmos, struct e2e_answer *answer, const char *prompt,
		   const struct llmos_generate_opts *opts);
/* free the request and the text, and zero all */
void e2e_answer_clear(struct e2e_answer *answer);
bool e2e_answer_equal(const struct e2e_answer *a, const struct e2e_answer *b);
/* is @a's text the beginning of @b's? */
bool e2e_answer_begins(const struct e2e_answer *a, const struct e2e_answer *b);
/* say where two texts differ */
void e2e_answer_differ(const struct e2e_answer *got, const struct e2e_answer *want);

/* a connection, or bail out */
struct llmos *e2e_open(void);

/* text of about @tokens tokens of the small model, for long prompts; free() it */
char *e2e_long_prompt(unsigned int tokens);

#endif /* LLMOS_TEST_E2E_H */
