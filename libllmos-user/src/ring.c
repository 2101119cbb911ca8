/* SPDX-License-Identifier: MIT */
/*
 * The io_uring of a connection to the device. Commands are queued, handed over in one system call,
 * and their completions taken one by one; the connection's thread owns all of it.
 */
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/llm.h>

#include "ring.h"

#define RING_ENTRIES	128U

struct llmos_ring {
	struct io_uring uring;
	int event_fd;
};

static int ring_probe(struct io_uring *uring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(uring);
	int supported;

	if (!probe)
		return -EOPNOTSUPP;
	supported = io_uring_opcode_supported(probe, IORING_OP_URING_CMD);
	io_uring_free_probe(probe);
	return supported ? 0 : -EOPNOTSUPP;
}

int llmos_ring_new(struct llmos_ring **ret)
{
	/* room for a completion of each request that a file may have, and then some */
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = 8 * RING_ENTRIES,
	};
	struct llmos_ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	ring->event_fd = -1;
	r = io_uring_queue_init_params(RING_ENTRIES, &ring->uring, &params);
	if (r < 0) {
		free(ring);
		return r;
	}
	r = ring_probe(&ring->uring);
	/* a child has no business in its parent's ring */
	if (!r)
		r = io_uring_ring_dontfork(&ring->uring);
	/* without these a wait could lose completions or need a timer of its own */
	if (!r && (!(params.features & IORING_FEAT_NODROP) ||
		   !(params.features & IORING_FEAT_EXT_ARG)))
		r = -EOPNOTSUPP;
	if (r < 0) {
		llmos_ring_free(ring);
		return r;
	}
	*ret = ring;
	return 0;
}

void llmos_ring_free(struct llmos_ring *ring)
{
	if (!ring)
		return;
	io_uring_queue_exit(&ring->uring);
	if (ring->event_fd >= 0)
		close(ring->event_fd);
	free(ring);
}

int llmos_ring_event_fd(struct llmos_ring *ring)
{
	int fd, r;

	if (ring->event_fd >= 0)
		return ring->event_fd;
	fd = eventfd(io_uring_cq_ready(&ring->uring) ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = io_uring_register_eventfd(&ring->uring, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	ring->event_fd = fd;
	/* what completed between the two calls did not count */
	if (io_uring_cq_ready(&ring->uring) && eventfd_write(fd, 1) < 0)
		return -errno;
	return fd;
}

static struct io_uring_sqe *ring_sqe(struct llmos_ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (sqe)
		return sqe;
	if (llmos_ring_flush(ring) < 0)
		return NULL;
	return io_uring_get_sqe(&ring->uring);
}

int llmos_ring_queue(struct llmos_ring *ring, int fd, unsigned int cmd, const void *arg,
		     void *token)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);
	struct llm_uring_cmd bytes = { .arg = (uintptr_t)arg };

	if (!sqe)
		return -EBUSY;
	memcpy(&bytes.arg_len, arg, sizeof(bytes.arg_len));
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = cmd;
	memcpy(sqe->cmd, &bytes, sizeof(bytes));
	io_uring_sqe_set_data(sqe, token);
	return 0;
}

int llmos_ring_flush(struct llmos_ring *ring)
{
	int r;

	if (!io_uring_sq_ready(&ring->uring))
		return 0;
	do {
		r = io_uring_submit(&ring->uring);
	} while (r == -EINTR);
	/* out of memory or completions: what is queued stays queued */
	return r < 0 ? r : 0;
}

int llmos_ring_cancel_all(struct llmos_ring *ring)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	io_uring_sqe_set_data(sqe, NULL);
	return llmos_ring_flush(ring);
}

static void ring_drain_event_fd(const struct llmos_ring *ring)
{
	eventfd_t count;

	/* EAGAIN: nothing was signalled */
	if (ring->event_fd >= 0 && eventfd_read(ring->event_fd, &count) < 0)
		return;
}

static int ring_wait(struct llmos_ring *ring, int timeout_ms, struct io_uring_cqe **ret_cqe)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000LL,
	};

	/* with EXT_ARG the timeout is the system call's own, not a queued command */
	return timeout_ms < 0 ? io_uring_wait_cqe(&ring->uring, ret_cqe) :
				io_uring_wait_cqe_timeout(&ring->uring, ret_cqe, &ts);
}

int llmos_ring_reap(struct llmos_ring *ring, int timeout_ms, void **ret_token, int *ret_result)
{
	struct io_uring_cqe *cqe = NULL;
	int r;

	/* first clear, then look: a completion in between signals again */
	if (!io_uring_cq_ready(&ring->uring))
		ring_drain_event_fd(ring);
	r = io_uring_peek_cqe(&ring->uring, &cqe);
	if (r == -EAGAIN && timeout_ms)
		r = ring_wait(ring, timeout_ms, &cqe);
	if (r == -EAGAIN || r == -ETIME)
		return 0;
	if (r < 0)
		return r;
	*ret_token = io_uring_cqe_get_data(cqe);
	*ret_result = cqe->res;
	io_uring_cqe_seen(&ring->uring, cqe);
	return 1;
}
