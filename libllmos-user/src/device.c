/* SPDX-License-Identifier: MIT */
/*
 * The device transport. What waits for an answer (READ) goes through an io_uring once a connection
 * is used asynchronously, and so does SUBMIT then; without one, ioctl does it all: blocking where
 * a single answer is awaited, else WAIT and non-blocking READs. What never waits is an ioctl
 * always. The file descriptor, the ring and the commands belong to the connection's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"
#include "transport.h"

/* how long a READ may stay unanswered at disconnect before its memory is given up for lost */
#define DEVICE_DRAIN_MS		2000
/* pause between looks at requests when WAIT keeps naming one that nobody wants to read */
#define DEVICE_UNREAD_MS	20
/* completions of one dispatch, so that a fast server can not keep a caller inside */
#define DEVICE_BATCH_COUNT	256

struct device {
	struct llmos_transport transport;
	int fd;
	struct llmos_ring *ring;	/* NULL: ioctl only */
	bool ring_refused;		/* tried, not to be had */
	size_t in_flight;		/* commands the ring has */
	struct llmos_list pending;	/* READs to be done by ioctl, or the ring's commands */
};

static struct device *to_device(struct llmos_transport *transport)
{
	return llmos_container(transport, struct device, transport);
}

static struct llmos_command *to_command(struct llmos_list *link)
{
	return llmos_container(link, struct llmos_command, link);
}

static int device_ioctl(const struct device *device, struct llmos_command *command)
{
	return ioctl(device->fd, command->cmd, &command->arg) < 0 ? -errno : 0;
}

static void device_set_pointers(struct llmos_command *command)
{
	union llmos_arg *arg = &command->arg;

	switch (command->cmd) {
	case LLM_IOC_SESSION:
		arg->session.fd = command->pass_fd;
		break;
	case LLM_IOC_SUBMIT:
		if (arg->submit.flags & LLM_SUBMIT_SESSION)
			arg->submit.session = command->pass_fd;
		/* the payload in a buffer has its place there already */
		if (arg->submit.flags & LLM_SUBMIT_BUFFER) {
			arg->submit.stop = (uintptr_t)command->in;
		} else {
			arg->submit.payload = (uintptr_t)command->in;
			arg->submit.stop = (uintptr_t)command->in + arg->submit.payload_len;
			if (!arg->submit.payload_len)
				arg->submit.payload = 0;
		}
		if (!arg->submit.stop_len)
			arg->submit.stop = 0;
		break;
	case LLM_IOC_READ:
		arg->read.buf = (uintptr_t)command->out;
		arg->read.buf_len = command->out_size;
		break;
	case LLM_IOC_LIST:
		arg->list.buf = (uintptr_t)command->out;
		break;
	default:
		break;
	}
}

static int device_start(struct llmos_transport *transport, struct llmos_command *command)
{
	struct device *device = to_device(transport);
	int r;

	device_set_pointers(command);
	if (device->ring && (command->cmd == LLM_IOC_READ || command->cmd == LLM_IOC_SUBMIT)) {
		r = llmos_ring_queue(device->ring, device->fd, command->cmd, &command->arg,
				     command);
		if (r < 0)
			return r;
		llmos_list_append(&device->pending, &command->link);
		device->in_flight++;
		/* what stays queued for want of memory goes with the next dispatch */
		llmos_ring_flush(device->ring);
		return 0;
	}
	if (command->cmd == LLM_IOC_READ) {
		llmos_list_append(&device->pending, &command->link);
		return 0;
	}
	command->result = device_ioctl(device, command);
	command->done = true;
	return 1;
}

static void device_abandon(struct llmos_transport *transport, struct llmos_command *command)
{
	struct device *device = to_device(transport);

	command->on_done = NULL;
	/* the kernel may still write to what the ring has */
	if (!device->ring)
		llmos_command_free(command);
}

/* ---- waiting with a ring ---- */

static int device_dispatch_ring(struct device *device, int timeout_ms)
{
	unsigned int count;
	void *token;
	int result, r;

	r = llmos_ring_flush(device->ring);
	if (r < 0 && r != -EAGAIN && r != -EBUSY)
		return r;
	if (!device->in_flight)
		return 0;
	for (count = 0; count < DEVICE_BATCH_COUNT; count++) {
		r = llmos_ring_reap(device->ring, count ? 0 : timeout_ms, &token, &result);
		if (r <= 0)
			break;
		if (!token)
			continue;
		device->in_flight--;
		llmos_command_complete(token, result < 0 ? result : 0);
	}
	return count ? 0 : r;
}

/* ---- waiting with ioctl ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* one READ, blocking or not; true if it is complete */
static bool device_read(struct device *device, struct llmos_command *command, bool block,
			int *ret_error)
{
	int r;

	command->arg.read.flags = block ? 0 : LLM_READ_NONBLOCK;
	r = device_ioctl(device, command);
	if (r == -EAGAIN || r == -EINTR) {
		*ret_error = r;
		return false;
	}
	llmos_command_complete(command, r);
	return true;
}

/* a non-blocking READ of each; true if any is complete */
static bool device_read_all(struct device *device)
{
	struct llmos_list round;
	bool any = false;
	int ignored;

	/* completions may start, abandon and free commands: look at each of today's once */
	llmos_list_init(&round);
	llmos_list_splice(&round, &device->pending);
	while (!llmos_list_empty(&round)) {
		struct llmos_list *link = round.next;

		llmos_list_remove(link);
		llmos_list_append(&device->pending, link);
		any |= device_read(device, to_command(link), false, &ignored);
	}
	return any;
}

static int device_wait(struct device *device, uint64_t id, int timeout_ms)
{
	struct llm_wait wait = { .size = sizeof(wait), .id = id };

	if (timeout_ms >= 0)
		wait.deadline_ns = now_ns() + (uint64_t)timeout_ms * 1000000U;
	/* one that is not there any more says so to its READ */
	if (ioctl(device->fd, LLM_IOC_WAIT, &wait) < 0)
		return errno == ETIME || errno == EAGAIN || errno == ENOENT ? 0 : -errno;
	return 0;
}

static int device_dispatch_ioctl(struct device *device, int timeout_ms)
{
	struct llmos_command *first = to_command(device->pending.next);
	bool single = first->link.next == &device->pending;
	int r = 0;

	if (single && timeout_ms < 0) {
		device_read(device, first, true, &r);
		return r == -EAGAIN ? 0 : r;
	}
	if (device_read_all(device) || !timeout_ms || llmos_list_empty(&device->pending))
		return 0;
	first = to_command(device->pending.next);
	r = device_wait(device, single ? first->arg.read.id : 0, timeout_ms);
	if (r < 0 || device_read_all(device) || single || llmos_list_empty(&device->pending))
		return r;
	/* the one WAIT named is left unread on purpose: look after one that is not */
	first = to_command(device->pending.next);
	if (timeout_ms < 0 || timeout_ms > DEVICE_UNREAD_MS)
		timeout_ms = DEVICE_UNREAD_MS;
	return device_wait(device, first->arg.read.id, timeout_ms);
}

static int device_dispatch(struct llmos_transport *transport, int timeout_ms)
{
	struct device *device = to_device(transport);

	if (device->ring)
		return device_dispatch_ring(device, timeout_ms);
	if (llmos_list_empty(&device->pending))
		return 0;
	return device_dispatch_ioctl(device, timeout_ms);
}

/* ---- the connection ---- */

/* does the device take commands from a ring? The kernel may, its module may not */
static int device_probe_ring(struct device *device, struct llmos_ring *ring)
{
	struct llm_features features = { .size = sizeof(features) };
	void *token;
	int result, r;

	r = llmos_ring_queue(ring, device->fd, LLM_IOC_GET_FEATURES, &features, &features);
	if (!r)
		r = llmos_ring_flush(ring);
	while (!r) {
		r = llmos_ring_reap(ring, -1, &token, &result);
		/* a signal handler ran; the features must not go out of scope before */
		if (r == -EINTR)
			r = 0;
	}
	return r < 0 ? r : result;
}

static void device_prepare_async(struct llmos_transport *transport)
{
	struct device *device = to_device(transport);
	struct llmos_ring *ring;

	/* READs that wait by ioctl stay there until they are done */
	if (device->ring || device->ring_refused || !llmos_list_empty(&device->pending))
		return;
	if (llmos_ring_new(&ring) < 0) {
		device->ring_refused = true;
		return;
	}
	if (device_probe_ring(device, ring) < 0) {
		llmos_ring_free(ring);
		device->ring_refused = true;
		return;
	}
	device->ring = ring;
}

static int device_fd(struct llmos_transport *transport)
{
	struct device *device = to_device(transport);

	device_prepare_async(transport);
	return device->ring ? llmos_ring_event_fd(device->ring) : device->fd;
}

static const char *device_name(const struct llmos_transport *transport)
{
	const struct device *device = llmos_container(transport, struct device, transport);

	return device->ring ? "io_uring" : "ioctl";
}

/* take the ring's memory back from the kernel: cancel, then wait for each completion */
static void device_drain(struct device *device)
{
	uint64_t deadline = now_ns() + DEVICE_DRAIN_MS * 1000000ULL;
	struct llmos_list *link;
	void *token;
	int result, r;

	for (link = device->pending.next; link != &device->pending; link = link->next)
		to_command(link)->on_done = NULL;
	llmos_ring_flush(device->ring);
	llmos_ring_cancel_all(device->ring);
	while (device->in_flight && now_ns() < deadline) {
		r = llmos_ring_reap(device->ring, DEVICE_DRAIN_MS, &token, &result);
		if (r < 0 && r != -EINTR)
			break;
		if (r <= 0 || !token)
			continue;
		device->in_flight--;
		llmos_command_complete(token, result);
	}
}

static void device_free(struct llmos_transport *transport)
{
	struct device *device = to_device(transport);
	struct llm_cancel cancel = {
		.size = sizeof(cancel),
		.flags = LLM_CANCEL_ALL | LLM_CANCEL_FORGET,
	};

	if (device->ring) {
		/* close() cancels too, but not while the ring holds the file */
		(void)!ioctl(device->fd, LLM_IOC_CANCEL, &cancel);
		device_drain(device);
		llmos_ring_free(device->ring);
		/* what is still on its way a broken kernel may write to: it stays allocated */
	} else {
		while (!llmos_list_empty(&device->pending))
			llmos_command_free(to_command(device->pending.next));
	}
	close(device->fd);
	free(device);
}

static const struct llmos_transport_ops device_ops = {
	.free		= device_free,
	.name		= device_name,
	.fd		= device_fd,
	.prepare_async	= device_prepare_async,
	.start		= device_start,
	.abandon	= device_abandon,
	.dispatch	= device_dispatch,
};

int llmos_device_open(struct llmos_transport **ret, const char *path)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		return -ENOMEM;
	device->transport.ops = &device_ops;
	llmos_list_init(&device->pending);
	device->fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (device->fd < 0) {
		int r = -errno;

		free(device);
		return r;
	}
	*ret = &device->transport;
	return 0;
}
