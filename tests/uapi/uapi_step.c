// SPDX-License-Identifier: MIT
/*
 * The server that is stepped by hand: see uapi_step.h.
 */
#include "uapi_step.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "uapi.h"
#include "uapi_netlink.h"

#define AHEAD	2	/* FETCHes for requests that stay parked */

enum { REQUEST, NOTICE = AHEAD, FETCHES };

struct step_held step_helds[STEP_HELD_MAX];

static struct io_uring ring;
static struct event events[FETCHES];
static struct llm_fetch fetches[FETCHES];
static int server;

static void park(int which)
{
	fetches[which] = fetch_init(which == NOTICE ? LLM_FETCH_NOTICE : LLM_FETCH_REQUEST,
				    &events[which], sizeof(events[which]));
	uring_queue(&ring, server, LLM_IOC_FETCH, &fetches[which], which);
	io_uring_submit(&ring);
}

void step_begin(uint32_t slots)
{
	struct llm_setup setup = { .size = sizeof(setup), .slots = slots };

	memset(step_helds, 0, sizeof(step_helds));
	server = server_open();
	must(!io_uring_queue_init(8, &ring, 0), "an io_uring");
	must(!ioctl(server, LLM_IOC_SETUP, &setup), "SETUP");
	for (int i = 0; i < FETCHES; i++)
		park(i);
}

void step_end(void)
{
	io_uring_queue_exit(&ring);
	close(server);
}

struct step_held *step_find(uint64_t id)
{
	for (int i = 0; i < STEP_HELD_MAX; i++)
		if (step_helds[i].id == id)
			return &step_helds[i];
	return NULL;
}

static void take(const struct llm_event *event)
{
	struct step_held *held = step_find(event->type == LLM_EVENT_REQUEST ? 0 : event->id);

	/* a notice may have been under way while its request was ended */
	if (event->type != LLM_EVENT_REQUEST && !held)
		return;
	must(held, "a request the server has, or room for one");
	switch (event->type) {
	case LLM_EVENT_REQUEST:
		*held = (struct step_held){
			.id = event->id,
			/* an earlier server may have got so far */
			.tokens = event->output_tokens,
			.cgroup = event->cgroup_id,
			.domain_cgroup = event->domain_cgroup,
			.domain_uid = event->domain_uid,
			.uid = event->uid,
			.sched_class = event->sched_class,
			.flags = event->flags,
		};
		break;
	case LLM_EVENT_CANCEL:
		held->cancelled = true;
		break;
	case LLM_EVENT_RESUME:
		held->paused = false;
		break;
	}
}

void step_news(int timeout_ms)
{
	struct __kernel_timespec time = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000LL,
	};
	struct io_uring_cqe *cqe;

	if (timeout_ms)
		io_uring_wait_cqe_timeout(&ring, &cqe, &time);
	else
		io_uring_get_events(&ring);
	while (!io_uring_peek_cqe(&ring, &cqe)) {
		const int which = (int)cqe->user_data;
		const int result = cqe->res;

		io_uring_cqe_seen(&ring, cqe);
		/* the timeout of an older liburing is a command of its own */
		if (cqe->user_data >= FETCHES)
			continue;
		must(result >= (int)sizeof(struct llm_event), "an event");
		take(&events[which].head);
		park(which);
		io_uring_get_events(&ring);
	}
}

int step_running(void)
{
	int n = 0;

	for (int i = 0; i < STEP_HELD_MAX; i++)
		n += step_helds[i].id && !step_helds[i].paused && !step_helds[i].cancelled;
	return n;
}

int step_count(void)
{
	int n = 0;

	for (int i = 0; i < STEP_HELD_MAX; i++)
		n += step_helds[i].id != 0;
	return n;
}

int step_commit(struct step_held *held, uint32_t tokens, uint64_t compute_ns, uint32_t flags)
{
	struct llm_commit arg = commit_init(held->id, NULL, 0);
	int verdict;

	held->tokens += tokens;
	arg.flags = flags;
	arg.output_tokens = held->tokens;
	arg.compute_ns = compute_ns;
	verdict = ioctl(server, LLM_IOC_COMMIT, &arg);
	must(verdict >= 0, "COMMIT");
	if (flags & LLM_COMMIT_END)
		held->id = 0;
	else if (verdict == LLM_VERDICT_PAUSE)
		held->paused = true;
	else if (verdict == LLM_VERDICT_CANCELLED)
		held->cancelled = true;
	return verdict;
}

int step_all(void)
{
	int n = 0;

	step_news(0);
	for (int i = 0; i < STEP_HELD_MAX; i++) {
		if (step_helds[i].id && step_helds[i].cancelled)
			step_commit(&step_helds[i], 0, 0, LLM_COMMIT_END);
		if (!step_helds[i].id || step_helds[i].paused)
			continue;
		step_commit(&step_helds[i], 1, 0, 0);
		n++;
	}
	return n;
}

void step_finish(void)
{
	step_news(0);
	while (step_count()) {
		for (int i = 0; i < STEP_HELD_MAX; i++)
			if (step_helds[i].id)
				step_commit(&step_helds[i], 0, 0, LLM_COMMIT_END);
		step_news(0);
	}
}

uint64_t ask_from(int fd, const char *cgroup, uint32_t flags, uint32_t sched_class)
{
	struct llm_submit arg = submit_init("x", 1);
	int err;

	arg.flags = flags;
	arg.sched_class = sched_class;
	must(cgroup_enter(cgroup), cgroup);
	err = ioctl(fd, LLM_IOC_SUBMIT, &arg) ? errno : 0;
	must(cgroup_enter(""), "back to the root");
	errno = err;
	return err ? 0 : arg.id;
}
