/* SPDX-License-Identifier: MIT */
/*
 * The world that the driver moves: who has the files open, which calls are in the making, what is
 * known of each request, and the bytes that decide what comes next. One thread has it.
 */
#ifndef WORLD_H
#define WORLD_H

#include "kshim.h"

#include "kmod/call.h"

#include "driver.h"

#define CLIENTS		4
#define SERVERS		2
#define SERVER_REGIONS	3
#define TASKS		3
#define CALLS		24
#define ROOM		8192
#define IDS		4096

/* A command by io_uring: made at once, or parked, woken and made again. */
struct parked {
	struct llm_call call;
	bool used;
	bool woken;
	bool has_parked;
	int client;
	int server;
	u8 arg[sizeof(struct llm_submit_read) + 16] __attribute__((aligned(8)));
	char room[ROOM] __attribute__((aligned(8)));
};

/* What is known of a request from outside. */
struct known {
	u32 committed;
	u32 read;
	bool by_file;
};

/*
 * @room: what calls point to that read from the client or the server
 * @turn: what a session is to have
 * @calm: nothing ends all of a client's at once
 */
struct world {
	const u8 *input;
	size_t input_len;
	struct driver_stats stats;
	struct llm_client *clients[CLIENTS];
	struct llm_server *servers[SERVERS];
	struct parked calls[CALLS];
	struct known known[IDS];
	char room[2 * 65536] __attribute__((aligned(PAGE_SIZE)));
	u8 turn[ROOM];
	bool calm;
};

extern struct world world;

/* ---- what the bytes say ---- */

static inline u8 next_byte(void)
{
	if (!world.input_len)
		return 0;
	world.input_len--;
	return *world.input++;
}

static inline u32 next(u32 sides)
{
	const u32 value = next_byte() | (u32)next_byte() << 8;

	return value % sides;
}

/* What a server answers, so that who reads it can tell. */
static inline u8 answer_byte(u64 id, u32 index)
{
	return (u8)(id * 31 + index * 7 + index / 251);
}

u64 some_id(void);
/* Mostly one that a server has, or that this client can read. */
u64 some_id_of(const struct list_head *list, bool by_client);
u64 some_held_id(void);

/* ---- its other halves ---- */

/* What must be so at any time is so, or the program ends: check.c. */
void check_world(void);
/* The one of these that is queued after another, or NULL. */
const struct llm_request *queued_after(int kind, u64 id);

/* Is there a READ of this request already; one that may get its bytes in parts? */
bool is_read(u64 id, bool in_parts);
/* The arguments of a command: mostly what makes sense, fill.c. */
void fill(unsigned int cmd, struct parked *parked);
/*
 * A struct as the bytes have it. Its addresses are led back to where there is memory: an address
 * is the tests' matter on a real kernel, where it can be wrong without harm.
 */
void spoil(unsigned int cmd, struct parked *parked);

#endif /* WORLD_H */
