// SPDX-License-Identifier: MIT
/*
 * Requests that a server has, and answers as the contract says, more or less: it steps them in no
 * order, bills memory to them, keeps some for their cgroups, and gives back what it is asked for,
 * or does not. Each thread of the server has its own; news of them may reach another one, which
 * leaves a mark. See stress.h.
 */
#include "stress.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HELD	12U
#define KEPT	8U
#define ORPHANS	64U
#define IDLE_US	20000U

/* @id, @paused, @cancelled and @asked: also changed by other threads */
struct held {
	_Atomic uint64_t id;
	atomic_bool paused;
	atomic_bool cancelled;
	atomic_bool asked;
	uint64_t cgroup;
	uint64_t charged[STRESS_REGIONS];
	uint32_t prompt_tokens;
	uint32_t output_tokens;
	uint32_t data_len;
	bool control;
	bool appends;	/* to a session */
};

struct kept {
	uint64_t cgroup;
	uint64_t bytes;
	uint32_t region;
};

struct holder {
	struct held held[HELD];
	struct kept kept[KEPT];
	uint8_t event[8192] __attribute__((aligned(8)));
	uint8_t data[4096];
};

/* Fetched by some other command: whoever has room answers them, or they would take slots for good. */
static struct {
	pthread_mutex_t lock;
	uint32_t count;
	struct llm_event events[ORPHANS];
} orphans = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* It is where anybody may unmap it: by way of a system call that is EFAULT, and no signal. */
static bool event_read(uint64_t addr, struct llm_event *ret_event)
{
	static _Thread_local int file = -1;

	if (file < 0)
		file = memfd_create("event", MFD_CLOEXEC);
	return pwrite(file, (void *)(uintptr_t)addr, sizeof(*ret_event), 0) == sizeof(*ret_event) &&
	       pread(file, ret_event, sizeof(*ret_event), 0) == sizeof(*ret_event);
}

void holder_leave(uint64_t addr)
{
	struct llm_event event;

	if (!event_read(addr, &event) || event.type != LLM_EVENT_REQUEST)
		return;
	pthread_mutex_lock(&orphans.lock);
	if (orphans.count < ORPHANS)
		orphans.events[orphans.count++] = event;
	pthread_mutex_unlock(&orphans.lock);
}

static _Atomic(struct holder *) holders[STRESS_SERVERS];

struct holder *holder_make(uint32_t which)
{
	struct holder *holder = calloc(1, sizeof(*holder));

	if (!holder)
		_exit(3);
	atomic_store(&holders[which], holder);
	return holder;
}

/* Of all threads, when they are gone. */
void holders_free(void)
{
	for (uint32_t i = 0; i < STRESS_SERVERS; i++)
		free(atomic_exchange(&holders[i], NULL));
	orphans.count = 0;
}

static struct held *held_find(struct holder *holder, uint64_t id)
{
	for (uint32_t i = 0; holder && i < HELD; i++)
		if (atomic_load(&holder->held[i].id) == id)
			return &holder->held[i];
	return NULL;
}

/* One that some thread has. */
static struct held *held_find_any(uint64_t id)
{
	struct held *held = NULL;

	for (uint32_t i = 0; id && !held && i < STRESS_SERVERS; i++)
		held = held_find(atomic_load(&holders[i]), id);
	return held;
}

static struct llm_charge charge_make(uint64_t id, uint32_t region, uint64_t bytes)
{
	return (struct llm_charge){ .size = sizeof(struct llm_charge), .id = id, .region = region,
				    .bytes = bytes };
}

static void held_commit(struct dice *dice, struct holder *holder, struct held *held, int fd,
			bool end)
{
	struct llm_commit commit = {
		.size = sizeof(commit),
		.flags = end ? LLM_COMMIT_END : 0,
		.id = held->id,
		.data = (uintptr_t)holder->data,
		.data_len = roll(dice, 2000),
		.journal = (uintptr_t)holder->data,
		.journal_len = roll(dice, 64),
		.compute_ns = roll(dice, 100000),
	};
	long r;

	held->prompt_tokens += roll(dice, 20);
	held->output_tokens += roll(dice, 8);
	commit.prompt_tokens = held->prompt_tokens;
	commit.output_tokens = held->output_tokens;
	if (end && one_in(dice, 6))
		commit.status = -(int)roll(dice, 511);
	if (end && !commit.status && held->appends) {
		commit.session = (uintptr_t)holder->data;
		commit.session_len = 1 + roll(dice, sizeof(holder->data) - 1);
		commit.session_tokens = commit.session_len / 4;
	}
	r = stress_called(KIND_COMMIT, ioctl(fd, LLM_IOC_COMMIT, &commit));
	if (r < 0 && r != -ENOENT && commit.session_len) {
		/* full, or there is no memory for it: the turn fails */
		commit.session = commit.session_len = commit.session_tokens = 0;
		commit.status = r == -E2BIG ? -E2BIG : -ENOMEM;
		r = stress_called(KIND_COMMIT, ioctl(fd, LLM_IOC_COMMIT, &commit));
	}
	held->paused = r == LLM_VERDICT_PAUSE;
	if (r == LLM_VERDICT_CANCELLED && !end) {
		commit.flags = LLM_COMMIT_END;
		commit.data_len = commit.journal_len = 0;
		stress_called(KIND_COMMIT, ioctl(fd, LLM_IOC_COMMIT, &commit));
		end = true;
	}
	if (end || r < 0)
		held->id = 0;
}

static void held_charge(struct dice *dice, struct held *held, int fd)
{
	const uint32_t region = roll(dice, STRESS_REGIONS);
	struct llm_charge charge = charge_make(held->id, region,
					       ARENA_PAGE * (1 + roll(dice, 100)));
	const long r = stress_called(KIND_CHARGE, ioctl(fd, LLM_IOC_CHARGE, &charge));

	if (r == LLM_VERDICT_CONTINUE)
		held->charged[region] += charge.bytes;
	else if (r == LLM_VERDICT_PAUSE)
		held->paused = true;
	else if (r == -ENOENT)
		held->id = 0;
}

/* A region in which something is held for it, if there is one. */
static uint32_t held_region(struct dice *dice, const struct held *held)
{
	const uint32_t region = roll(dice, STRESS_REGIONS);

	return held->charged[region] ? region : (region + 1) % STRESS_REGIONS;
}

/* Some of what it holds; with everybody waiting for it, all. */
static void held_uncharge(struct dice *dice, struct held *held, int fd, bool all)
{
	const uint32_t region = held_region(dice, held);
	const uint64_t bytes = held->charged[region];
	struct llm_charge charge = charge_make(held->id, region,
					       all || bytes <= ARENA_PAGE ? bytes : bytes / 2);

	if (!bytes)
		return;
	if (stress_called(KIND_UNCHARGE, ioctl(fd, LLM_IOC_UNCHARGE, &charge)) >= 0)
		held->charged[region] -= charge.bytes;
}

static void held_keep(struct dice *dice, struct holder *holder, struct held *held, int fd)
{
	const uint32_t region = held_region(dice, held);
	struct llm_charge charge = charge_make(held->id, region, ARENA_PAGE);

	if (held->charged[region] < ARENA_PAGE)
		return;
	charge.flags = LLM_CHARGE_KEEP;
	if (stress_called(KIND_KEEP, ioctl(fd, LLM_IOC_CHARGE, &charge)) < 0)
		return;
	held->charged[region] -= ARENA_PAGE;
	holder->kept[roll(dice, KEPT)] = (struct kept){ held->cgroup, ARENA_PAGE, region };
}

static void kept_uncharge(uint64_t cgroup, uint32_t region, uint64_t bytes, int fd)
{
	struct llm_charge charge = charge_make(0, region, bytes);

	charge.cgroup_id = cgroup;
	stress_called(KIND_UNCHARGE, ioctl(fd, LLM_IOC_UNCHARGE, &charge));
}

static void held_pull(struct dice *dice, struct holder *holder, const struct held *held, int fd)
{
	struct llm_pull pull = {
		.size = sizeof(pull),
		.id = held->id,
		.buf = (uintptr_t)holder->data,
		.buf_len = sizeof(holder->data),
		.offset = held->data_len ? roll(dice, held->data_len) : 0,
	};

	stress_called(KIND_PULL, ioctl(fd, LLM_IOC_PULL, &pull));
}

static void hold(struct dice *dice, struct holder *holder, const struct llm_event *event, int fd)
{
	struct held *held = held_find(holder, 0);

	/* there was room for it when it was fetched */
	held->cgroup = event->cgroup_id;
	for (uint32_t i = 0; i < STRESS_REGIONS; i++)
		held->charged[i] = 0;
	held->prompt_tokens = event->prompt_tokens;
	held->output_tokens = event->output_tokens;
	held->data_len = event->stop_len + event->payload_len + event->journal_len +
			 event->session_len;
	held->control = event->op >= LLM_OP_CONTROL;
	held->appends = event->flags & LLM_SUBMIT_SESSION && event->op == LLM_OP_GENERATE;
	atomic_store(&held->paused, false);
	atomic_store(&held->cancelled, false);
	atomic_store(&held->asked, false);
	atomic_store(&held->id, event->id);
	if (event->buffer_len && one_in(dice, 2))
		server_map(dice, fd, event->buffer, event->buffer_len);
	if (event->answer_buffer_len && one_in(dice, 2))
		server_map(dice, fd, event->answer_buffer, event->answer_buffer_len);
}

/* Return: there was one. */
static bool hold_orphan(struct dice *dice, struct holder *holder, int fd)
{
	struct llm_event event;
	bool any;

	pthread_mutex_lock(&orphans.lock);
	any = orphans.count;
	if (any)
		event = orphans.events[--orphans.count];
	pthread_mutex_unlock(&orphans.lock);
	if (any)
		hold(dice, holder, &event, fd);
	return any;
}

/* Some request that can be stepped, or asks for something; NULL: none. */
static struct held *held_due(struct dice *dice, struct holder *holder)
{
	const uint32_t first = roll(dice, HELD);

	for (uint32_t i = 0; i < HELD; i++) {
		struct held *held = &holder->held[(first + i) % HELD];

		if (atomic_load(&held->id) &&
		    (!atomic_load(&held->paused) || atomic_load(&held->cancelled) ||
		     atomic_load(&held->asked) || one_in(dice, 20)))
			return held;
	}
	return NULL;
}

static void take_news(struct dice *dice, const struct llm_event *event, int fd)
{
	struct held *held = held_find_any(event->id);

	if (event->type == LLM_EVENT_RECLAIM && !event->id && !one_in(dice, 4))
		kept_uncharge(event->cgroup_id, event->region, event->bytes, fd);
	if (!held || one_in(dice, 16))
		return;
	if (event->type == LLM_EVENT_RESUME)
		atomic_store(&held->paused, false);
	else
		atomic_store(event->type == LLM_EVENT_CANCEL ? &held->cancelled : &held->asked,
			     true);
}

static void fetch(struct dice *dice, struct holder *holder, int fd, bool wait)
{
	const struct llm_event *event = (const struct llm_event *)holder->event;
	const bool room = held_find(holder, 0);
	struct llm_fetch fetch = {
		.size = sizeof(fetch),
		.flags = LLM_FETCH_NOTICE | (wait ? 0 : LLM_FETCH_NONBLOCK) |
			 (room ? LLM_FETCH_REQUEST | LLM_FETCH_CONTROL : 0),
		.buf = (uintptr_t)holder->event,
		.buf_len = sizeof(holder->event),
	};

	if (room && hold_orphan(dice, holder, fd))
		return;
	if (wait)
		patience(IDLE_US);
	if (stress_called(KIND_FETCH, ioctl(fd, LLM_IOC_FETCH, &fetch)) < 0)
		return;
	if (event->type == LLM_EVENT_REQUEST)
		hold(dice, holder, event, fd);
	else
		take_news(dice, event, fd);
}

static void held_step(struct dice *dice, struct holder *holder, struct held *held, int fd)
{
	const struct kept *kept = &holder->kept[roll(dice, KEPT)];

	switch (roll(dice, 18)) {
	case 0:
		held_pull(dice, holder, held, fd);
		break;
	case 1: case 2: case 3: case 4:
		held_charge(dice, held, fd);
		break;
	case 5: case 6:
		held_uncharge(dice, held, fd, false);
		break;
	case 7: case 8: case 9:
		held_keep(dice, holder, held, fd);
		break;
	case 10:
		if (kept->cgroup)
			kept_uncharge(kept->cgroup, kept->region, kept->bytes, fd);
		break;
	case 11: case 12: case 13:
		held_commit(dice, holder, held, fd, true);
		break;
	default:
		held_commit(dice, holder, held, fd, false);
	}
}

void holder_step(struct dice *dice, struct holder *holder, int fd)
{
	struct held *held = held_due(dice, holder);

	if (!held || one_in(dice, 3))
		fetch(dice, holder, fd, !held);
	else if (atomic_load(&held->cancelled) || held->control)
		held_commit(dice, holder, held, fd, true);
	else if (atomic_exchange(&held->asked, false))
		held_uncharge(dice, held, fd, true);
	else
		held_step(dice, holder, held, fd);
}
