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
	KIND_WAIT, KIND_LIST, KIND_REGISTER, KIND_UNREGISTER, KIND_RAW_IOCTL, KIND_FILE_WRITE,
	KIND_FILE_READ, KIND_POLL, KIND_FILE_OTHER, KIND_URING, KIND_URING_EXIT, KIND_MEMORY,
	KIND_FORK, KIND_FETCH, KIND_COMMIT, KIND_PULL, KIND_SETUP, KIND_CHARGE, KIND_SERVER_MMAP,
	KIND_NETLINK, KIND_QUOTA, KIND_KILL, KIND_MOVE, KIND_CGROUP, KINDS
};

#define STRESS_IDS	256

/**
 * struct stress - what all processes share
 * @seed: of the run
 * @target: operations to make
 * @calm: memory stays as it is mapped
 * @done: operations made
 * @tried: of each kind
 * @worked: of those, not refused
 * @stop: it is over
 * @ids: requests that exist, or did
 * @next_id: the place in @ids to be written next
 */
struct stress {
	uint64_t seed;
	uint64_t target;
	bool calm;
	_Atomic uint64_t done;
	_Atomic uint64_t tried[KINDS];
	_Atomic uint64_t worked[KINDS];
	_Atomic bool stop;
	_Atomic uint64_t ids[STRESS_IDS];
	_Atomic uint32_t next_id;
};

extern struct stress *stress;

/* One thread's chance and memory. */
struct dice {
	uint64_t state;
};

/* Counts an operation; @result below 0 is a refusal. Return: @result. */
long stress_did(enum stress_kind kind, long result);
uint32_t roll(struct dice *dice, uint32_t below);
static inline bool one_in(struct dice *dice, uint32_t n)
{
	return roll(dice, n) == 0;
}
/* Requests and buffers are of one file: a thread says which file it means. */
#define STRESS_FILES	12U
extern _Thread_local uint32_t stress_file;
uint64_t roll_id(struct dice *dice);
void known_id(uint64_t id);
uint64_t roll_buffer(struct dice *dice);
void known_buffer(uint64_t id);
/* A number that is small, or at some edge. */
uint64_t roll_number(struct dice *dice);
/* An address that may be anything: memory that comes and goes, none, another's. */
uint64_t roll_address(struct dice *dice);
/* Changes a few bytes. */
void spoil(struct dice *dice, void *bytes, size_t len);

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
void command_took(unsigned int cmd, const union command *command);

/* One thread's io_uring, and commands that stay under way. */
struct ring;
struct ring *ring_make(void);
void ring_step(struct dice *dice, struct ring *ring, int fd, bool server);
void ring_free(struct ring *ring);

/* What a process does until it is told to stop, is killed, or has had enough. */
void client_main(struct dice *dice);
void server_main(struct dice *dice);
void netlink_main(struct dice *dice, bool admin);

#endif /* STRESS_H */
