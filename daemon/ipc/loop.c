/* SPDX-License-Identifier: MIT */
/* The event loop; see loop.h. */
#include "ipc/loop.h"

#include <liburing.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"

#define LOOP_RING_ENTRIES	512
#define LOOP_CQ_ENTRIES		4096
#define LOOP_EVENTS		64
#define LOOP_WAIT_MAX_NS	(3600 * NS_PER_S)

struct loop {
	struct io_uring ring;
	int ring_error;			/* 0: @ring is there */
	int epoll_fd;
	bool poll_armed;		/* the ring watches @epoll_fd */
	bool poll_due;			/* and said that something is ready */
	struct loop_op poll;
	struct list timers;		/* earliest first */
	struct list dead;
};

/* ---- setting up ---- */

/*
 * Completions without interrupts where the kernel knows how; entries are only ever added by this
 * thread in each case.
 */
static int loop_ring_init(struct io_uring *ring)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int r = -EINVAL;
	size_t i;

	for (i = 0; r == -EINVAL && i < ARRAY_SIZE(flags); i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = LOOP_CQ_ENTRIES,
		};

		r = io_uring_queue_init_params(LOOP_RING_ENTRIES, ring, &params);
		if (!r && !(params.features & IORING_FEAT_EXT_ARG)) {
			io_uring_queue_exit(ring);
			r = -EOPNOTSUPP;
		}
	}
	return r;
}

static void loop_poll_done(struct loop_op *op, int res)
{
	struct loop *loop = container_of(op, struct loop, poll);

	(void)res;
	loop->poll_armed = false;
	loop->poll_due = true;
}

int loop_new(struct loop **ret, struct error *error)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r;

	if (!loop)
		return error_set(error, -ENOMEM, "event loop: %s", strerror(ENOMEM));
	list_init(&loop->timers);
	list_init(&loop->dead);
	loop->poll.done = loop_poll_done;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		r = -errno;
		free(loop);
		return error_set(error, r, "event loop: epoll: %s", strerror(-r));
	}
	loop->ring_error = loop_ring_init(&loop->ring);
	*ret = loop;
	return 0;
}

static void loop_free_dead(struct loop *loop)
{
	while (!list_empty(&loop->dead)) {
		struct loop_dead *dead = list_first(&loop->dead, struct loop_dead, link);

		list_remove(&dead->link);
		dead->free(dead);
	}
}

void loop_close_ring(struct loop *loop)
{
	if (!loop->ring_error)
		io_uring_queue_exit(&loop->ring);
	loop->ring_error = -ESHUTDOWN;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	loop_free_dead(loop);
	loop_close_ring(loop);
	close(loop->epoll_fd);
	free(loop);
}

int loop_ring_error(const struct loop *loop)
{
	return loop->ring_error;
}

/* ---- descriptors, timers, the dead ---- */

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return -errno;
	source->events = events;
	return 0;
}

int loop_watch(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (events == source->events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
		return -errno;
	source->events = events;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->events = 0;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
	struct loop_timer *later;

	list_remove(&timer->link);
	timer->at_ns = at_ns;
	list_each(later, &loop->timers, link)
		if (later->at_ns > at_ns)
			break;
	list_insert(&later->link, &timer->link);
}

void loop_timer_stop(struct loop_timer *timer)
{
	list_remove(&timer->link);
}

void loop_bury(struct loop *loop, struct loop_dead *dead)
{
	list_append(&loop->dead, &dead->link);
}

/* ---- one turn ---- */

struct io_uring_sqe *loop_sqe(struct loop *loop, struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	if (loop->ring_error)
		return NULL;
	sqe = io_uring_get_sqe(&loop->ring);
	if (!sqe) {
		io_uring_submit(&loop->ring);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	if (!sqe)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	io_uring_sqe_set_data(sqe, op);
	return sqe;
}

/* how long until the first timer */
static uint64_t loop_wait_ns(const struct loop *loop)
{
	uint64_t now;

	if (list_empty(&loop->timers))
		return LOOP_WAIT_MAX_NS;
	now = clock_ns();
	return MIN(LOOP_WAIT_MAX_NS,
		   list_first(&loop->timers, struct loop_timer, link)->at_ns > now ?
		   list_first(&loop->timers, struct loop_timer, link)->at_ns - now : 0);
}

static int loop_fire_timers(struct loop *loop)
{
	uint64_t now;
	int count = 0;

	if (list_empty(&loop->timers))
		return 0;
	now = clock_ns();
	while (!list_empty(&loop->timers)) {
		struct loop_timer *timer = list_first(&loop->timers, struct loop_timer, link);

		if (timer->at_ns > now)
			break;
		list_remove(&timer->link);
		timer->fire(timer);
		count++;
	}
	return count;
}

static int loop_reap(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	int count = 0;

	/* at most one ring's worth, so that the rest of the turn gets its chance */
	while (count < LOOP_CQ_ENTRIES && !io_uring_peek_cqe(&loop->ring, &cqe)) {
		struct loop_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&loop->ring, cqe);
		if (op)
			op->done(op, res);
		count++;
	}
	return count;
}

void loop_submit(struct loop *loop)
{
	if (loop->ring_error)
		return;
	io_uring_submit_and_get_events(&loop->ring);
	loop_reap(loop);
}

static int loop_run_epoll(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[LOOP_EVENTS];
	int i, n;

	n = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; i < n; i++) {
		struct loop_source *source = events[i].data.ptr;

		source->ready(source, events[i].events);
	}
	return n;
}

static void loop_arm_poll(struct loop *loop)
{
	struct io_uring_sqe *sqe;

	if (loop->poll_armed)
		return;
	sqe = loop_sqe(loop, &loop->poll);
	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, loop->epoll_fd, EPOLLIN);
	io_uring_sqe_set_data(sqe, &loop->poll);
	loop->poll_armed = true;
}

static int loop_enter_ring(struct loop *loop, uint64_t wait_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = wait_ns / NS_PER_S,
		.tv_nsec = wait_ns % NS_PER_S,
	};
	struct io_uring_cqe *cqe;
	int r;

	if (wait_ns)
		r = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &ts, NULL);
	else
		r = io_uring_submit_and_get_events(&loop->ring);
	if (r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY)
		return 0;
	return MIN(r, 0);
}

static int loop_run_ring(struct loop *loop, uint64_t wait_ns)
{
	int count, n, r;

	loop_arm_poll(loop);
	r = loop_enter_ring(loop, wait_ns);
	if (r < 0)
		return r;
	count = loop_reap(loop);
	if (!loop->poll_due)
		return count;
	loop->poll_due = false;
	n = loop_run_epoll(loop, 0);
	return n < 0 ? n : count + n;
}

int loop_run(struct loop *loop, bool wait)
{
	uint64_t wait_ns = wait ? loop_wait_ns(loop) : 0;
	int r;

	if (loop->ring_error)
		r = loop_run_epoll(loop, (wait_ns + NS_PER_MS - 1) / NS_PER_MS);
	else
		r = loop_run_ring(loop, wait_ns);
	if (r < 0)
		return r;
	r += loop_fire_timers(loop);
	loop_free_dead(loop);
	return r;
}
