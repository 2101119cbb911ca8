/* SPDX-License-Identifier: MIT */
/*
 * The hostile side of everybody, in many processes at once: clients that fuzz every command and
 * file operation with good and bad structs, servers that break their word, netlink messages of all
 * sorts, and a supervisor that kills them, moves them between cgroups and removes those. What is
 * common to them is here: chance, a shared count of operations, and memory that comes and goes.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/llm.h>

/* What can happen; each kind is counted, so that a run can be seen to have done all of it. */
enum stress_kind {
	KIND_OPEN, KIND_CLOSE, KIND_FEATURES, KIND_SUBMIT, KIND_READ, KIND_SUBMIT_READ, KIND_CANCEL,
	KIND_WAIT, KIND_LIST, KIND_REGISTER, KIND_UNREGISTER,
	KIND_SESSION, KIND_SESSION_PASS, KIND_RAW_IOCTL, KIND_FILE_WRITE,
	KIND_FILE_READ, KIND_POLL, KIND_FILE_OTHER, KIND_URING, KIND_URING_EXIT, KIND_MEMORY,
	KIND_FORK, KIND_FETCH, KIND_COMMIT, KIND_PULL, KIND_SETUP, KIND_CHARGE, KIND_KEEP, KIND_UNCHARGE,
	KIND_SERVER_MMAP, KIND_NETLINK, KIND_QUOTA, KIND_KILL, KIND_MOVE, KIND_CGROUP, KINDS
};

#define STRESS_IDS	256
#define STRESS_ERRNOS	136	/* more than there are; 0: some other */

/**
 * struct stress - what all processes share
 * @seed: of the run
 * @target: operations to make
 * @calm: memory stays as it is mapped, and no buffer is mapped into the server
 * @faults: of what can fail in the kernel for them, so many in a hundred do
 * @done: operations made
 * @tried: of each kind
 * @worked: of those, not refused
 * @refused: of those that were, by errno
 * @stop: it is over
 * @ids: requests that exist, or did
 * @next_id: the place in @ids to be written next
 */
struct stress {
	uint64_t seed;
	uint64_t target;
	bool calm;
	uint32_t faults;
	_Atomic uint64_t done;
	_Atomic uint64_t tried[KINDS];
	_Atomic uint64_t worked[KINDS];
	_Atomic uint64_t refused[KINDS][STRESS_ERRNOS];
	_Atomic bool stop;
	_Atomic uint64_t ids[STRESS_IDS];
	_Atomic uint32_t next_id;
};

extern struct stress *stress;

/* Failures are not only the module's: User-Mode Linux can not tell who calls. */
static inline bool stress_all_fails(void)
{
	return stress->calm && stress->faults;
}

/* One thread's chance and memory. */
struct dice {
	uint64_t state;
};

/* Counts an operation; @result below 0 is a refusal, and -errno. Return: @result. */
long stress_did(enum stress_kind kind, long result);
/* The same for a system call, which says -1 and errno. Return: @result, or -errno. */
long stress_called(enum stress_kind kind, long result);
uint32_t roll(struct dice *dice, uint32_t below);
static inline bool one_in(struct dice *dice, uint32_t n)
{
	return roll(dice, n) == 0;
}
/* Requests and buffers are of one file: a thread says which file it means. */
#define STRESS_FILES	12U
extern _Thread_local uint32_t stress_file;
/* One of those of the file that the thread means, or 0. */
uint64_t roll_own_id(struct dice *dice);
uint64_t roll_id(struct dice *dice);
void known_id(uint64_t id);
void forget_id(uint64_t id);
uint64_t roll_own_buffer(struct dice *dice);
uint64_t roll_buffer(struct dice *dice);
void known_buffer(uint64_t id);
void forget_buffer(uint64_t id);
/* A number that is small, or at some edge. */
uint64_t roll_number(struct dice *dice);
/* An address that may be anything: memory that comes and goes, none, another's. */
uint64_t roll_address(struct dice *dice);
/* Changes a few bytes. */
void spoil(struct dice *dice, void *bytes, size_t len);

/* A thread's signal, so that it waits for nothing for longer than it is told to. */
void patience_make(void);
void patience(uint32_t us);

#define ARENA_PAGES	64U
#define ARENA_PAGE	4096U

/* Memory of this process that is unmapped, protected and thrown away while it is in use. */
void arena_make(void);
uint8_t *arena_start(void);
void arena_change(struct dice *dice);

/* Commands with their structs, as the dice have them. */
union command {
	__u32 size;
	struct llm_features features;
	struct llm_submit submit;
	struct llm_read read;
	struct llm_submit_read submit_read;
	struct llm_cancel cancel;
	struct llm_wait wait;
	struct llm_list list;
	struct llm_register registration;
	struct llm_unregister unregistration;
	struct llm_session_cmd session;
	struct llm_fetch fetch;
	struct llm_commit commit;
	struct llm_pull pull;
	struct llm_setup setup;
	struct llm_charge charge;
	uint8_t bytes[512];
};

/* Fills in a client's or a server's command. Return: its number; @ret_kind: what it is. */
unsigned int command_client(struct dice *dice, union command *command, enum stress_kind *ret_kind);
unsigned int command_server(struct dice *dice, union command *command, enum stress_kind *ret_kind);
/* Takes note of what a command brought. */
void command_took(struct dice *dice, unsigned int cmd, const union command *command);

/* Descriptors of sessions that the threads of a client share, and what is done with them. */
void sessions_make(void);
/* One of them, or of something else. */
int roll_session(struct dice *dice);
/* Takes the place of another one, which is closed. */
void known_session(struct dice *dice, int fd);
struct llm_session_cmd session_roll(struct dice *dice);
void session_step(struct dice *dice, int fd);

/* One thread's io_uring, and commands that stay under way. */
struct ring;
struct ring *ring_make(void);
void ring_step(struct dice *dice, struct ring *ring, int fd, bool server);
void ring_free(struct ring *ring);

/* What a client does that keeps to the contract. */
void well_step(struct dice *dice, int fd);

/* Regions that a server has; the first is "host". */
#define STRESS_REGIONS	2U
/* The requests that one thread of a server has, and answers. */
struct holder;
#define STRESS_SERVERS	3U
struct holder *holder_make(uint32_t which);
void holders_free(void);
void holder_step(struct dice *dice, struct holder *holder, int fd);
/* The event of a FETCH at this address, if it brought a request, is for one that has room. */
void holder_leave(uint64_t addr);
/* Maps a client's buffer in place of an earlier one. */
void server_map(struct dice *dice, int fd, uint64_t offset, uint64_t len);

/* What a process does until it is told to stop, is killed, or has had enough. */
void client_main(struct dice *dice);
void server_main(struct dice *dice);
void netlink_main(struct dice *dice, bool admin);

#endif /* STRESS_H */
