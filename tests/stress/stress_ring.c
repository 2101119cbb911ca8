// SPDX-License-Identifier: MIT
/*
 * A thread's io_uring: commands stay under way with their structs while everything around them
 * changes, are cancelled, or go down with the ring. See stress.h.
 */
#include "stress.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS	24U

struct ring {
	struct io_uring uring;
	bool up;
	bool busy[SLOTS];
	unsigned int cmds[SLOTS];
	enum stress_kind kinds[SLOTS];
	uint32_t files[SLOTS];
	union command commands[SLOTS];
};

struct ring *ring_make(void)
{
	return calloc(1, sizeof(struct ring));
}

static void ring_down(struct ring *ring)
{
	if (!ring->up)
		return;
	io_uring_queue_exit(&ring->uring);
	ring->up = false;
	memset(ring->busy, 0, sizeof(ring->busy));
	stress_did(KIND_URING_EXIT, 0);
}

void ring_free(struct ring *ring)
{
	ring_down(ring);
	free(ring);
}

static bool ring_up(struct dice *dice, struct ring *ring)
{
	unsigned int flags = 0;

	if (ring->up)
		return true;
	if (one_in(dice, 2))
		flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	if (io_uring_queue_init(2 * SLOTS, &ring->uring, flags) < 0)
		return false;
	ring->up = true;
	/* the arena may just be protected: then there are none */
	io_uring_register_buffers(&ring->uring, &(struct iovec){ arena_start(), 16 * ARENA_PAGE }, 1);
	return true;
}

static void ring_reap(struct dice *dice, struct ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int n = 0;

	io_uring_get_events(&ring->uring);
	while (!io_uring_peek_cqe(&ring->uring, &cqe)) {
		/* a wrong address hit the ring itself: what it says is of no use any more */
		if (n++ > 8 * SLOTS)
			_exit(0);
		const uint64_t slot = cqe->user_data;

		if (slot < SLOTS) {
			stress_did(ring->kinds[slot], cqe->res);
			stress_file = ring->files[slot];
			if (cqe->res >= 0)
				command_took(dice, ring->cmds[slot], &ring->commands[slot]);
			ring->busy[slot] = false;
		}
		io_uring_cqe_seen(&ring->uring, cqe);
	}
}

static void ring_command(struct dice *dice, struct ring *ring, int fd, bool server, uint32_t slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
	union command *command = &ring->commands[slot];
	struct llm_uring_cmd bytes;

	if (!sqe)
		return;
	ring->cmds[slot] = server ? command_server(dice, command, &ring->kinds[slot]) :
				    command_client(dice, command, &ring->kinds[slot]);
	ring->files[slot] = stress_file;
	bytes = (struct llm_uring_cmd){ (uintptr_t)command, command->size, 0 };
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = ring->cmds[slot];
	memcpy(sqe->cmd, &bytes, sizeof(bytes));
	if (one_in(dice, 16))
		spoil(dice, sqe->cmd, sizeof(bytes));
	if (one_in(dice, 32))
		sqe->uring_cmd_flags = roll(dice, 4);
	if (one_in(dice, 8)) {
		sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
		sqe->buf_index = (uint16_t)roll(dice, 3);
	}
	if (one_in(dice, 8))
		sqe->flags |= IOSQE_ASYNC;
	else if (one_in(dice, 8))
		sqe->flags |= IOSQE_IO_LINK;
	io_uring_sqe_set_data64(sqe, slot);
	ring->busy[slot] = true;
}

static void ring_cancel(struct dice *dice, struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, roll(dice, SLOTS), one_in(dice, 4) ? IORING_ASYNC_CANCEL_ALL : 0);
	io_uring_sqe_set_data64(sqe, SLOTS);
}

void ring_step(struct dice *dice, struct ring *ring, int fd, bool server)
{
	/* io_uring leaves nodes of its own behind when it is short of memory */
	if (stress_all_fails())
		return;
	if (!ring_up(dice, ring)) {
		stress_did(KIND_URING, -EAGAIN);
		return;
	}
	if (one_in(dice, 50)) {
		ring_down(ring);
		return;
	}
	for (uint32_t n = 1 + roll(dice, 6); n; n--) {
		const uint32_t slot = roll(dice, SLOTS);

		if (!ring->busy[slot])
			ring_command(dice, ring, fd, server, slot);
		else if (one_in(dice, 3))
			ring_cancel(dice, ring);
	}
	stress_did(KIND_URING, io_uring_submit(&ring->uring));
	ring_reap(dice, ring);
}
