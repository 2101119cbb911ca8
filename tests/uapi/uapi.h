/* SPDX-License-Identifier: MIT */
/*
 * What the programs in this folder share: TAP, short forms of the commands of <linux/llm.h>, and a
 * server to talk to. They see nothing but the devices; they run as root in a machine with the
 * module loaded, and each leaves the devices as it found them.
 */
#ifndef UAPI_H
#define UAPI_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/llm.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* ---- TAP ---- */

/* Reports one test; on failure also errno as it is now. Returns the condition. */
#define ok(condition, ...) tap_ok(!!(condition), __FILE__, __LINE__, #condition, __VA_ARGS__)
/* The same for a result that should be a certain number, or -1 with a certain errno. */
#define is(value, want, ...) tap_is((long long)(value), (long long)(want), __FILE__, __LINE__, \
				    #value, __VA_ARGS__)
#define fails(value, want, ...) tap_fails((long long)(value), want, __FILE__, __LINE__, #value, \
					  __VA_ARGS__)

bool tap_ok(bool good, const char *file, int line, const char *what, const char *name, ...)
	__attribute__((format(printf, 5, 6)));
bool tap_is(long long value, long long want, const char *file, int line, const char *what,
	    const char *name, ...) __attribute__((format(printf, 6, 7)));
bool tap_fails(long long value, int want, const char *file, int line, const char *what,
	       const char *name, ...) __attribute__((format(printf, 6, 7)));
void tap_skip(const char *name, const char *why);
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the plan. Return: the program's exit status. */
int tap_done(void);
/* Ends the program: nothing further makes sense without this. */
void must(bool good, const char *what);
/* For a child: its assertions as an exit status that wait_child() expects to be 0. */
#define child_must(condition) do { if (!(condition)) child_failed(__FILE__, __LINE__, #condition); \
				 } while (0)
void child_failed(const char *file, int line, const char *what) __attribute__((noreturn));
int wait_child(pid_t pid);

/* ---- time and chance ---- */

uint64_t now_ns(void);
/* Repeats an expression until it is true, for as long as the slowest machine may need. */
#define eventually(condition)								\
	({										\
		const uint64_t until_ = now_ns() + 30000000000ULL;			\
		bool good_;								\
		while (!(good_ = !!(condition)) && now_ns() < until_)			\
			usleep(1000);							\
		good_;									\
	})
uint64_t random_seed(void);
uint64_t random_next(uint64_t *state);
bool is_slow(void);
/* In a child: gives up root for good, but stays in the group that may open /dev/llm. */
void become_user(uid_t uid);
/* An address where nothing is. */
void *nowhere(void);

/* ---- the devices ---- */

int client_open(void);
int client_open_flags(int flags);
/* Waits for an earlier server to be gone. */
int server_open(void);
/* Sets a parameter of the module and puts it back at exit. */
void param_set(const char *name, unsigned long value);
unsigned long param_get(const char *name);
bool is_open_refused(const char *path, int flags, int want);

/* ---- commands, by ioctl; -1 and errno ---- */

struct llm_submit submit_init(const void *payload, size_t len);
struct llm_read read_init(uint64_t id, void *buf, size_t len);
struct llm_fetch fetch_init(uint32_t flags, void *buf, size_t len);
struct llm_commit commit_init(uint64_t id, const void *data, size_t len);
struct llm_features features(int fd);

uint64_t submit_text(int fd, const char *text);
uint64_t submit_op(int fd, uint32_t op, const char *text);
int cancel(int fd, uint64_t id, uint32_t flags);
int wait_for(int fd, uint64_t id, uint32_t flags, uint64_t deadline_ns, struct llm_wait *ret_wait);
/* Reads to the end. Return: bytes, at most @room; status and the last report in @ret_read. */
ssize_t read_all(int fd, uint64_t id, void *buf, size_t room, struct llm_read *ret_read);

/* A fetched event with its data. */
struct event {
	struct llm_event head;
	char data[4096];
};
int fetch(int fd, uint32_t flags, struct event *ret_event);
int commit(int fd, uint64_t id, const char *text, uint32_t flags);
int commit_status(int fd, uint64_t id, int status);

/* State of a request, by LIST; -1: not there. */
int state_of(int fd, uint64_t id, struct llm_request_info *ret_info);

/* ---- a server ---- */

/*
 * What the server below answers to a prompt "gen SEED LENGTH CHUNK": LENGTH bytes that anybody can
 * compute, in COMMITs of up to CHUNK bytes, each of which journals the number of bytes so far.
 * It honours verdicts and picks up where an earlier one of its kind stopped. To "fail N" it answers
 * status -N. Everything else it gives back as it is, in one piece.
 */
uint8_t gen_byte(uint64_t seed, uint64_t index);
bool gen_matches(uint64_t seed, const void *bytes, size_t len);

/* Serves until killed, in a process of its own; with @by_uring by io_uring, parking FETCHes. */
pid_t server_start(bool by_uring);
/* Kills it and waits for it. */
void server_stop(pid_t pid);

/* ---- io_uring ---- */

struct io_uring;
struct io_uring_sqe;
/* Queues one command; a later io_uring_submit() issues it. */
struct io_uring_sqe *uring_queue(struct io_uring *ring, int fd, unsigned int cmd, void *arg,
				 uint64_t user_data);
/* Waits for one completion. Return: its result; @ret_data: whose it is. */
int uring_reap(struct io_uring *ring, uint64_t *ret_data);
/* One command, there and back. */
int uring_call(struct io_uring *ring, int fd, unsigned int cmd, void *arg);
/* A command by ioctl (NULL) or by this ring: a result or -errno. */
int call(struct io_uring *ring, int fd, unsigned int cmd, void *arg);

#endif /* UAPI_H */
