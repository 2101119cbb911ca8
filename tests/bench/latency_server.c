// SPDX-License-Identifier: MIT
/*
 * latency_server [SLOTS]: the smallest server on /dev/llmd: parks FETCH commands for requests of all
 * kinds on an io_uring and answers each at once, in one COMMIT_AND_FETCH. It says how many it steps,
 * so that the broker puts them in fair order. With it the latency bench measures the broker and not
 * a daemon. Says "ready" once every slot is parked; runs until killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/llm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SLOTS_MAX	128
#define EVENT_ROOM	4096

struct slot {
	union {
		struct llm_fetch fetch;
		struct llm_commit commit;
	} arg;
	_Alignas(8) char event[EVENT_ROOM];
};

static struct slot slots[SLOTS_MAX + 1];

static int server_queue(struct io_uring *ring, int fd, unsigned int cmd, struct slot *slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct llm_uring_cmd bytes = { .arg = (uintptr_t)&slot->arg };

	if (!sqe)
		return -EBUSY;
	memcpy(&bytes.arg_len, &slot->arg, sizeof(bytes.arg_len));
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = cmd;
	memcpy(sqe->cmd, &bytes, sizeof(bytes));
	io_uring_sqe_set_data(sqe, slot);
	return 0;
}

static int server_fetch(struct io_uring *ring, int fd, struct slot *slot, uint32_t events)
{
	slot->arg.fetch = (struct llm_fetch){
		.size = sizeof(struct llm_fetch),
		.flags = events,
		.buf = (uintptr_t)slot->event,
		.buf_len = EVENT_ROOM,
	};
	return server_queue(ring, fd, LLM_IOC_FETCH, slot);
}

/* answer the event in the slot's buffer with nothing, and park the slot again */
static int server_answer(struct io_uring *ring, int fd, struct slot *slot)
{
	struct llm_event event;

	memcpy(&event, slot->event, sizeof(event));
	if (event.type != LLM_EVENT_REQUEST)
		return server_fetch(ring, fd, slot, LLM_FETCH_NOTICE);
	slot->arg.commit = (struct llm_commit){
		.size = sizeof(struct llm_commit),
		.flags = LLM_COMMIT_END,
		.id = event.id,
		.finish = LLM_FINISH_STOP,
		.fetch_buf = (uintptr_t)slot->event,
		.fetch_len = EVENT_ROOM,
		.fetch_flags = LLM_FETCH_CONTROL | LLM_FETCH_REQUEST,
	};
	return server_queue(ring, fd, LLM_IOC_COMMIT_AND_FETCH, slot);
}

static int server_step(struct io_uring *ring, int fd)
{
	struct io_uring_cqe *cqe;
	unsigned int head, count = 0;
	int r;

	r = io_uring_submit_and_wait(ring, 1);
	if (r < 0)
		return r == -EINTR ? 0 : r;
	io_uring_for_each_cqe(ring, head, cqe) {
		count++;
		r = cqe->res < 0 ? cqe->res : server_answer(ring, fd, io_uring_cqe_get_data(cqe));
		if (r < 0)
			break;
	}
	io_uring_cq_advance(ring, count);
	return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 32;
	struct llm_setup setup = { .size = sizeof(setup), .slots = (uint32_t)count };
	struct io_uring ring;
	int fd, r;

	if (count < 1 || count > SLOTS_MAX)
		return 64;
	fd = open("/dev/llmd", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "latency_server: /dev/llmd: %s\n", strerror(errno));
		return 69;
	}
	if (ioctl(fd, LLM_IOC_SETUP, &setup) < 0) {
		fprintf(stderr, "latency_server: SETUP: %s\n", strerror(errno));
		return 69;
	}
	r = io_uring_queue_init(2 * SLOTS_MAX, &ring,
				IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	for (unsigned long i = 0; i < count && r >= 0; i++)
		r = server_fetch(&ring, fd, &slots[i], LLM_FETCH_CONTROL | LLM_FETCH_REQUEST);
	if (r >= 0)
		r = server_fetch(&ring, fd, &slots[count], LLM_FETCH_NOTICE);
	if (r >= 0)
		r = io_uring_submit(&ring);
	if (r >= 0) {
		puts("ready");
		fflush(stdout);
	}
	while (r >= 0)
		r = server_step(&ring, fd);
	fprintf(stderr, "latency_server: %s\n", strerror(-r));
	return 1;
}
