/* SPDX-License-Identifier: MIT */
/* The transport to /dev/llmd; see device.h. */
#include "ipc/device.h"

#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/log.h"

#define DEVICE_BUF_BYTES	8192U	/* an event and the start of its data */
#define DEVICE_END_BYTES	4096U	/* a last COMMIT up to this size fetches again itself */
#define DEVICE_CONTROLS		32U	/* FETCHes for control requests that are kept parked */
#define DEVICE_NOTICES		16U	/* FETCHes for news */
#define DEVICE_AHEAD		8U	/* FETCHes for requests beyond the slots, at most */
#define DEVICE_SPARE		16U	/* slots that may be pulling at the same time */
#define DEVICE_DATA_MAX		(256U << 20)
#define DEVICE_PULL_BYTES	(256U << 10)
#define DEVICE_SETTLE_ROUNDS	256
#define DEVICE_RETRY_NS		(100 * NS_PER_MS)
#define DEVICE_BUSY_NS		(50 * NS_PER_MS)

enum slot_use {
	SLOT_IDLE,
	SLOT_FETCH,
	SLOT_END,	/* COMMIT_AND_FETCH */
	SLOT_PULL,
	SLOT_FAILED,	/* a FETCH, to be made again a little later */
	SLOT_END_FAILED, /* the same of a COMMIT_AND_FETCH of which nothing was taken */
};

/**
 * struct device_slot - a FETCH, parked or bringing a request
 * @link: in the device's list of idle slots
 * @mask: LLM_FETCH_*, what it is parked for
 * @fetch, @commit, @pull: the struct that the kernel is looking at
 * @event: of the request that it brings
 * @data: of that request, @have of @total bytes; a payload in a buffer is left out
 * @cancelled_ns: it was cancelled while it was being pulled; 0: it was not
 * @buf: where the kernel writes
 * @end: data and journal of a last COMMIT
 */
struct device_slot {
	struct loop_op op;
	struct list link;
	struct device *device;
	enum slot_use use;
	uint32_t mask;
	struct llm_fetch fetch;
	struct llm_commit commit;
	struct llm_pull pull;
	struct llm_event event;
	uint8_t *data;
	size_t have;
	size_t total;
	uint64_t cancelled_ns;
	uint8_t buf[DEVICE_BUF_BYTES] __attribute__((aligned(8)));
	uint8_t end[DEVICE_END_BYTES];
};

/** struct device_commit - a COMMIT on its way */
struct device_commit {
	struct loop_op op;
	struct list link;
	struct device *device;
	struct llm_commit commit;
};

struct device {
	struct ipc ipc;
	struct loop *loop;
	int fd;
	struct device_slot *slots;
	unsigned int slot_count;
	struct list idle;
	struct list commits;		/* spare ones */
	unsigned int wanted;		/* requests */
	unsigned int wanted_max;
	unsigned int step_slots;	/* as configured */
	unsigned int sequences;
	unsigned int parked_requests;
	unsigned int parked_controls;
	unsigned int parked_notices;
	bool out_of_notices;		/* no FETCH for news was left: there may be more of them */
	struct loop_timer retry;
};

static struct device *to_device(struct ipc *ipc)
{
	return container_of(ipc, struct device, ipc);
}

/* ---- commands ---- */

static int device_submit(struct device *device, struct loop_op *op, uint32_t cmd, void *arg)
{
	struct io_uring_sqe *sqe = loop_sqe(device->loop, op);
	const struct llm_uring_cmd command = {
		.arg = (uintptr_t)arg,
		.arg_len = _IOC_SIZE(cmd),
	};

	if (!sqe)
		return -ENOMEM;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = device->fd;
	sqe->cmd_op = cmd;
	/* the command bytes share the place of addr3 */
	memcpy((uint8_t *)sqe + offsetof(struct io_uring_sqe, addr3), &command, sizeof(command));
	return 0;
}

static unsigned int *slot_parked(struct device_slot *slot)
{
	return slot->mask == LLM_FETCH_REQUEST ? &slot->device->parked_requests :
	       slot->mask == LLM_FETCH_CONTROL ? &slot->device->parked_controls :
						 &slot->device->parked_notices;
}

static void slot_idle(struct device_slot *slot)
{
	slot->use = SLOT_IDLE;
	list_append(&slot->device->idle, &slot->link);
}

/* it stays parked in the books until it can be */
static void slot_failed(struct device_slot *slot, enum slot_use use)
{
	struct device *device = slot->device;

	slot->use = use;
	loop_timer_set(device->loop, &device->retry, clock_ns() + DEVICE_RETRY_NS);
}

static void slot_fetch(struct device_slot *slot)
{
	slot->use = SLOT_FETCH;
	slot->fetch = (struct llm_fetch){
		.size = sizeof(slot->fetch),
		.flags = slot->mask,
		.buf = (uintptr_t)slot->buf,
		.buf_len = sizeof(slot->buf),
	};
	if (device_submit(slot->device, &slot->op, LLM_IOC_FETCH, &slot->fetch) < 0)
		slot_failed(slot, SLOT_FAILED);
}

static void slot_park(struct device *device, uint32_t mask)
{
	struct device_slot *slot = list_first(&device->idle, struct device_slot, link);

	list_remove(&slot->link);
	slot->mask = mask;
	(*slot_parked(slot))++;
	slot_fetch(slot);
}

static void slot_end(struct device_slot *slot)
{
	slot->use = SLOT_END;
	if (device_submit(slot->device, &slot->op, LLM_IOC_COMMIT_AND_FETCH, &slot->commit) < 0)
		slot_failed(slot, SLOT_END_FAILED);
}

static void device_retry(struct loop_timer *timer)
{
	struct device *device = container_of(timer, struct device, retry);
	unsigned int i;

	for (i = 0; i < device->slot_count; i++) {
		if (device->slots[i].use == SLOT_FAILED)
			slot_fetch(&device->slots[i]);
		else if (device->slots[i].use == SLOT_END_FAILED)
			slot_end(&device->slots[i]);
	}
}

void device_park(struct device *device)
{
	while (device->parked_notices < DEVICE_NOTICES && !list_empty(&device->idle))
		slot_park(device, LLM_FETCH_NOTICE);
	while (device->parked_controls < DEVICE_CONTROLS && !list_empty(&device->idle))
		slot_park(device, LLM_FETCH_CONTROL);
	while (device->parked_requests < device->wanted && !list_empty(&device->idle))
		slot_park(device, LLM_FETCH_REQUEST);
}

/* a cancel must reach the scheduler before it forms a step, however many there are */
void device_settle(struct device *device)
{
	unsigned int i;

	for (i = 0; device->out_of_notices && i < DEVICE_SETTLE_ROUNDS; i++) {
		device->out_of_notices = false;
		device_park(device);
		loop_submit(device->loop);
	}
}

/* ---- requests ---- */

int device_check_event(const uint8_t *buf, size_t len, struct llm_event *ret)
{
	struct llm_event event;
	uint64_t total;

	if (len < sizeof(event))
		return -EPROTO;
	memcpy(&event, buf, sizeof(event));
	if (event.size < sizeof(event) || event.size > len || event.data_len > len - event.size)
		return -EPROTO;
	total = (uint64_t)event.stop_len + event.payload_len + event.journal_len +
		event.session_len;
	if (event.flags & LLM_SUBMIT_BUFFER && event.data_len > event.stop_len)
		return -EPROTO;
	if (event.data_len > total || total > DEVICE_DATA_MAX)
		return -EPROTO;
	if (!memchr(event.model, '\0', sizeof(event.model)))
		return -EPROTO;
	*ret = event;
	return event.size;
}

/* all of it is here: it is the scheduler's now */
static void slot_deliver(struct device_slot *slot)
{
	struct device *device = slot->device;
	struct ipc_sink *sink = device->ipc.sink;
	uint64_t cancelled_ns = slot->cancelled_ns;
	struct llm_event event = slot->event;
	uint8_t *data = steal_ptr(slot->data);

	slot_idle(slot);
	sink->request(sink, &device->ipc, &event, data);
	if (cancelled_ns)
		sink->cancelled(sink, &device->ipc, event.id, cancelled_ns);
}

/* a payload in a buffer is not pulled: whoever wants it maps it */
static void slot_pull(struct device_slot *slot)
{
	const struct llm_event *event = &slot->event;
	size_t end = slot->total, hole = 0;

	if (event->flags & LLM_SUBMIT_BUFFER) {
		if (slot->have < event->stop_len)
			end = event->stop_len;
		else
			hole = event->payload_len;
	}
	slot->use = SLOT_PULL;
	slot->pull = (struct llm_pull){
		.size = sizeof(slot->pull),
		.id = slot->event.id,
		.buf = (uintptr_t)slot->data + slot->have,
		.buf_len = MIN(end - slot->have, (size_t)DEVICE_PULL_BYTES),
		.offset = slot->have + hole,
	};
	if (device_submit(slot->device, &slot->op, LLM_IOC_PULL, &slot->pull) < 0) {
		slot->cancelled_ns = clock_ns();
		slot_deliver(slot);
	}
}

static void slot_pulled(struct device_slot *slot, int res)
{
	if (res <= 0 || (size_t)res > slot->total - slot->have) {
		/* cancelled meanwhile; what is missing of its data is zero, and nobody will look */
		if (res != -ECANCELED)
			log_error("device: request %llu: data can not be read: %s",
				  (unsigned long long)slot->event.id, strerror(res < 0 ? -res : EPROTO));
		slot->cancelled_ns = clock_ns();
		slot_deliver(slot);
		return;
	}
	slot->have += res;
	if (slot->have < slot->total)
		slot_pull(slot);
	else
		slot_deliver(slot);
}

/* its data can not be taken: the broker hears so */
static void slot_refuse(struct device_slot *slot, int status)
{
	const struct llm_commit commit = {
		.size = sizeof(commit),
		.flags = LLM_COMMIT_END,
		.id = slot->event.id,
		.status = status,
		.prompt_tokens = slot->event.prompt_tokens,
		.output_tokens = slot->event.output_tokens,
	};
	struct device *device = slot->device;

	slot_idle(slot);
	device->ipc.ops->commit(&device->ipc, &commit);
}

static void slot_request(struct device_slot *slot, size_t offset)
{
	struct llm_event *event = &slot->event;

	slot->total = (size_t)event->stop_len + event->journal_len + event->session_len;
	if (!(event->flags & LLM_SUBMIT_BUFFER))
		slot->total += event->payload_len;
	slot->have = event->data_len;
	slot->cancelled_ns = 0;
	if (event->flags & LLM_SUBMIT_SESSION && !slot->device->ipc.sink->session_ended) {
		slot_refuse(slot, -EOPNOTSUPP);
		return;
	}
	slot->data = calloc(1, MAX(slot->total, (size_t)1));
	if (!slot->data) {
		slot_refuse(slot, -ENOMEM);
		return;
	}
	memcpy(slot->data, slot->buf + offset, slot->have);
	if (slot->have < slot->total)
		slot_pull(slot);
	else
		slot_deliver(slot);
}

/* ---- news ---- */

static void slot_reclaim(struct device_slot *slot)
{
	struct device *device = slot->device;
	const struct llm_event *event = &slot->event;

	if (event->id)
		device->ipc.sink->reclaim(device->ipc.sink, &device->ipc, event->id);
	else
		device->ipc.sink->reclaim_kept(device->ipc.sink, &device->ipc, event->cgroup_id,
					       event->region, event->bytes);
}

static void slot_session_ended(struct device_slot *slot)
{
	struct device *device = slot->device;
	struct ipc_sink *sink = device->ipc.sink;

	if (sink->session_ended)
		sink->session_ended(sink, &device->ipc, slot->event.id);
}

static void slot_notice(struct device_slot *slot)
{
	struct device *device = slot->device;
	struct ipc_sink *sink = device->ipc.sink;
	const struct llm_event *event = &slot->event;
	unsigned int i;

	device->out_of_notices |= !device->parked_notices;
	if (event->type == LLM_EVENT_RESUME)
		sink->resume(sink, &device->ipc, event->id);
	else if (event->type == LLM_EVENT_CANCEL)
		sink->cancelled(sink, &device->ipc, event->id, event->time_ns);
	else if (event->type == LLM_EVENT_RECLAIM)
		slot_reclaim(slot);
	else if (event->type == LLM_EVENT_SESSION_END)
		slot_session_ended(slot);
	else
		log_warning("device: unknown event %u", event->type);
	/* the scheduler may not have it yet */
	for (i = 0; i < device->slot_count && event->type == LLM_EVENT_CANCEL; i++)
		if (device->slots[i].use == SLOT_PULL && device->slots[i].event.id == event->id)
			device->slots[i].cancelled_ns = MAX(event->time_ns, 1ULL);
}

static void slot_fetched(struct device_slot *slot, int res)
{
	int offset = device_check_event(slot->buf, res, &slot->event);

	(*slot_parked(slot))--;
	if (offset < 0) {
		log_error("device: %d bytes that are no event", res);
		slot_idle(slot);
	} else if (slot->event.type == LLM_EVENT_REQUEST) {
		slot_request(slot, offset);
	} else {
		slot_notice(slot);
		slot_idle(slot);
	}
}

/* nothing that it carries can be why it is refused */
static bool end_is_bare(const struct llm_commit *end)
{
	return !end->data_len && !end->journal_len && end->status == -EPROTO;
}

/*
 * A last COMMIT that was not taken is made again, one that never will be without what it carries:
 * a request whose end is not told stays here for ever. Else only the FETCH failed.
 */
static void slot_end_failed(struct device_slot *slot, int r)
{
	struct llm_commit *end = &slot->commit;
	enum slot_use use = r == -ENOMEM ? SLOT_END_FAILED : SLOT_FAILED;

	if (r != -ENOENT && r != -ECANCELED && r != -EINTR && r != -ENOMEM)
		log_error("device: request %llu: its end was refused: %s",
			  (unsigned long long)end->id, strerror(-r));
	if ((r == -E2BIG || r == -EINVAL || r == -EFAULT) && !end_is_bare(end)) {
		end->data_len = 0;
		end->journal_len = 0;
		end->answer_bytes = 0;
		end->finish = 0;
		end->status = -EPROTO;
		use = SLOT_END_FAILED;
	}
	slot_failed(slot, use);
}

static void slot_done(struct loop_op *op, int res)
{
	struct device_slot *slot = container_of(op, struct device_slot, op);

	if (slot->use == SLOT_PULL) {
		slot_pulled(slot, res);
	} else if (res >= 0) {
		slot_fetched(slot, res);
	} else if (slot->use == SLOT_END) {
		slot_end_failed(slot, res);
	} else {
		if (res != -EINTR && res != -EAGAIN && res != -ECANCELED)
			log_error("device: nothing can be fetched: %s", strerror(-res));
		slot_failed(slot, SLOT_FAILED);
	}
}

/* ---- commits ---- */

static void commit_done(struct loop_op *op, int res)
{
	struct device_commit *commit = container_of(op, struct device_commit, op);
	struct device *device = commit->device;
	uint64_t id = commit->commit.id;

	list_append(&device->commits, &commit->link);
	device->ipc.sink->committed(device->ipc.sink, &device->ipc, id, res);
}

static struct device_commit *commit_get(struct device *device)
{
	struct device_commit *commit;

	if (!list_empty(&device->commits)) {
		commit = list_first(&device->commits, struct device_commit, link);
		list_remove(&commit->link);
		return commit;
	}
	commit = calloc(1, sizeof(*commit));
	if (!commit)
		return NULL;
	list_init(&commit->link);
	commit->device = device;
	commit->op.done = commit_done;
	return commit;
}

static int device_commit_plain(struct device *device, const struct llm_commit *args)
{
	struct device_commit *commit = commit_get(device);

	if (!commit)
		return -ENOMEM;
	commit->commit = *args;
	if (device_submit(device, &commit->op, LLM_IOC_COMMIT, &commit->commit) < 0) {
		list_append(&device->commits, &commit->link);
		return -ENOMEM;
	}
	return IPC_PENDING;
}

/* the end of one request and the FETCH of the next; its bytes are kept here for that long */
static int device_commit_end(struct device *device, const struct llm_commit *args, uint32_t mask)
{
	struct device_slot *slot = list_first(&device->idle, struct device_slot, link);

	slot->commit = *args;
	if (args->data_len)
		memcpy(slot->end, (const void *)(uintptr_t)args->data, args->data_len);
	if (args->journal_len)
		memcpy(slot->end + args->data_len, (const void *)(uintptr_t)args->journal,
		       args->journal_len);
	slot->commit.data = (uintptr_t)slot->end;
	slot->commit.journal = (uintptr_t)slot->end + args->data_len;
	slot->commit.fetch_buf = (uintptr_t)slot->buf;
	slot->commit.fetch_len = sizeof(slot->buf);
	slot->commit.fetch_flags = mask;
	list_remove(&slot->link);
	slot->mask = mask;
	(*slot_parked(slot))++;
	slot_end(slot);
	return LLM_VERDICT_CONTINUE;
}

/* what a slot should be parked for now, 0: enough are */
static uint32_t device_missing(const struct device *device)
{
	if (device->parked_controls < DEVICE_CONTROLS)
		return LLM_FETCH_CONTROL;
	return device->parked_requests < device->wanted ? LLM_FETCH_REQUEST : 0;
}

static int device_commit(struct ipc *ipc, const struct llm_commit *args)
{
	struct device *device = to_device(ipc);
	uint32_t mask = device_missing(device);

	/* of a session's past it must be known whether it has grown */
	if (args->flags & LLM_COMMIT_END && mask && !list_empty(&device->idle) &&
	    !args->session_len && args->data_len <= DEVICE_END_BYTES &&
	    args->journal_len <= DEVICE_END_BYTES - args->data_len)
		return device_commit_end(device, args, mask);
	return device_commit_plain(device, args);
}

/* ---- memory ---- */

/*
 * Not by the ring: the pages are wanted in the step that is being formed, and it happens once in
 * some tens of steps.
 */
static int device_ioctl(struct device *device, unsigned long cmd, const struct llm_charge *args)
{
	struct llm_charge charge = *args;
	int r = ioctl(device->fd, cmd, &charge);

	return r < 0 ? -errno : r;
}

/* an older module counts no memory */
static int device_charge(struct ipc *ipc, const struct llm_charge *args)
{
	int r = device_ioctl(to_device(ipc), LLM_IOC_CHARGE, args);

	return r == -ENOTTY ? LLM_VERDICT_CONTINUE : r;
}

static int device_uncharge(struct ipc *ipc, const struct llm_charge *args)
{
	int r = device_ioctl(to_device(ipc), LLM_IOC_UNCHARGE, args);

	return r == -ENOTTY ? 0 : r;
}

static int device_view(struct ipc *ipc, uint64_t offset, size_t len, bool write,
		       struct ipc_view *ret)
{
	return ipc_view_open(to_device(ipc)->fd, offset, len, write, ret);
}

/* ---- what a transport can do ---- */

static int device_set_slots(const struct device *device, unsigned int spare)
{
	const struct llm_setup setup = {
		.size = sizeof(setup),
		.slots = device->step_slots + spare,
		.sequences = device->sequences ? device->sequences + spare : 0,
	};

	return ioctl(device->fd, LLM_IOC_SETUP, &setup) < 0 ? -errno : 0;
}

static void device_spare(struct ipc *ipc, unsigned int count)
{
	const struct device *device = to_device(ipc);
	int r;

	if (!ipc->is_fair)
		return;
	r = device_set_slots(device, count);
	if (r < 0)
		log_debug("%u more slots: %s", count, strerror(-r));
}

static void device_want(struct ipc *ipc, unsigned int count)
{
	struct device *device = to_device(ipc);

	device->wanted = MIN(count, device->wanted_max);
}

static void device_ipc_free(struct ipc *ipc)
{
	device_free(to_device(ipc));
}

static const struct ipc_ops device_ops = {
	.want = device_want,
	.spare = device_spare,
	.commit = device_commit,
	.charge = device_charge,
	.uncharge = device_uncharge,
	.view = device_view,
	.free = device_ipc_free,
};

/* ---- coming and going ---- */

static int device_open_patiently(const char *path, uint64_t patience_ns)
{
	const struct timespec pause = { .tv_nsec = DEVICE_BUSY_NS };
	uint64_t until_ns = clock_ns() + patience_ns;
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		/* a server that was killed takes a moment to be torn down */
		if (errno != EBUSY || clock_ns() >= until_ns)
			return -errno;
		nanosleep(&pause, NULL);
	}
}

static int device_greet(struct device *device, const char *path, struct error *error)
{
	struct llm_features features = { .size = sizeof(features) };
	int r;

	if (ioctl(device->fd, LLM_IOC_GET_FEATURES, &features) < 0) {
		r = -errno;
		return error_set(error, r, "'%s' is no broker of requests: %s", path,
				 strerror(-r));
	}
	if (features.abi_version != LLM_ABI_VERSION)
		return error_set(error, -EOPNOTSUPP, "'%s' speaks version %u, llmosd version %u",
				 path, features.abi_version, LLM_ABI_VERSION);
	device->ipc.max_commit_bytes = features.max_commit_bytes;
	device->ipc.max_journal_bytes = features.max_journal_bytes;
	device->ipc.max_session_bytes = features.max_session_bytes;
	if (features.max_commit_bytes < 4096)
		return error_set(error, -EOPNOTSUPP, "'%s' takes only %u bytes at once", path,
				 features.max_commit_bytes);
	return 0;
}

static int device_make_slots(struct device *device)
{
	unsigned int i;

	device->slot_count = device->wanted_max + DEVICE_CONTROLS + DEVICE_NOTICES + DEVICE_SPARE;
	device->slots = calloc(device->slot_count, sizeof(*device->slots));
	if (!device->slots)
		return -ENOMEM;
	for (i = 0; i < device->slot_count; i++) {
		struct device_slot *slot = &device->slots[i];

		slot->device = device;
		slot->op.done = slot_done;
		list_init(&slot->link);
		slot_idle(slot);
	}
	return 0;
}

/* without it, or in order of arrival, whatever is fetched is this server's to the end */
static int device_setup(struct device *device, const struct device_config *config,
			struct error *error)
{
	int r;

	if (config->by_arrival)
		return 0;
	device->step_slots = config->slots;
	device->sequences = config->sequences;
	r = device_set_slots(device, 0);
	if (r == -ENOTTY)
		return 0;
	if (r < 0) {
		return error_set(error, r, "'%s': %u slots, %u sequences: %s", config->path,
				 config->slots, config->sequences, strerror(-r));
	}
	device->ipc.is_fair = true;
	return 0;
}

static int device_init(struct device *device, const struct device_config *config,
		       struct error *error)
{
	int r = loop_ring_error(device->loop);

	if (r < 0)
		return error_set(error, -EOPNOTSUPP, "'%s' needs io_uring: %s", config->path,
				 strerror(-r));
	device->fd = device_open_patiently(config->path, config->patience_ns);
	if (device->fd == -EBUSY)
		return error_set(error, -EBUSY, "'%s': another server is there", config->path);
	if (device->fd < 0)
		return error_set(error, device->fd, "'%s': %s", config->path,
				 strerror(-device->fd));
	r = device_greet(device, config->path, error);
	if (!r)
		r = device_setup(device, config, error);
	if (r < 0)
		return r;
	r = device_make_slots(device);
	return r < 0 ? error_set(error, r, "'%s': %s", config->path, strerror(-r)) : 0;
}

int device_open(struct device **ret, struct loop *loop, struct ipc_sink *sink,
		const struct device_config *config, struct error *error)
{
	struct device *device = calloc(1, sizeof(*device));
	int r;

	if (!device)
		return error_set(error, -ENOMEM, "'%s': %s", config->path, strerror(ENOMEM));
	device->ipc = (struct ipc){ .ops = &device_ops, .sink = sink, .name = "device" };
	device->loop = loop;
	device->fd = -1;
	device->wanted_max = config->slots + DEVICE_AHEAD;
	list_init(&device->idle);
	list_init(&device->commits);
	list_init(&device->retry.link);
	device->retry.fire = device_retry;
	r = device_init(device, config, error);
	if (r < 0) {
		device_free(device);
		return r;
	}
	*ret = device;
	return 0;
}

struct ipc *device_ipc(struct device *device)
{
	return &device->ipc;
}

void device_free(struct device *device)
{
	unsigned int i;

	if (!device)
		return;
	loop_timer_stop(&device->retry);
	/* commands on their way look at this memory until the ring is gone */
	loop_close_ring(device->loop);
	if (device->fd >= 0)
		close(device->fd);
	for (i = 0; i < device->slot_count; i++)
		free(device->slots[i].data);
	while (!list_empty(&device->commits)) {
		struct device_commit *commit = list_first(&device->commits, struct device_commit,
							  link);

		list_remove(&commit->link);
		free(commit);
	}
	free(device->slots);
	free(device);
}
