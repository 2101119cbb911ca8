/* SPDX-License-Identifier: MIT */
/*
 * Events: what the kernel tells an administrator, and what somebody asked to be told. They come in
 * bursts and between the answers of a call, so they wait in a list, of bounded length, to be taken.
 * What is polled is the socket and, for what has left it and was not taken yet, an eventfd.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/llm_netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "admin.h"
#include "decode.h"
#include "opts.h"

#define WAITING_MAX	4096U

/** struct waiting - an event to be taken; @link: in the connection's list */
struct waiting {
	struct llmos_list link;
	struct llmos_event event;
};

void llmos_events_drop(struct llmos_admin *admin)
{
	while (!llmos_list_empty(&admin->waiting)) {
		struct waiting *waiting = llmos_container(admin->waiting.next, struct waiting, link);

		llmos_list_remove(&waiting->link);
		free(waiting);
	}
	admin->waiting_count = 0;
	if (admin->poll_fd >= 0)
		close(admin->poll_fd);
	if (admin->ready_fd >= 0)
		close(admin->ready_fd);
	admin->poll_fd = -1;
	admin->ready_fd = -1;
	admin->ready = false;
}

/* after whatever reads the socket or takes an event: the eventfd tells what is true now */
static void ready_update(struct llmos_admin *admin)
{
	bool ready = !llmos_list_empty(&admin->waiting) || admin->dropped ||
		     llmos_netlink_pending(admin->events);
	eventfd_t value;

	if (admin->ready_fd < 0 || ready == admin->ready)
		return;
	/* it counts to one and back: neither waits */
	if (ready)
		(void)eventfd_write(admin->ready_fd, 1);
	else
		(void)eventfd_read(admin->ready_fd, &value);
	admin->ready = ready;
}

static int event_came(void *userdata, unsigned int cmd, struct nlattr *attrs, int len)
{
	struct llmos_admin *admin = userdata;
	struct waiting *waiting;
	int r;

	(void)cmd;
	if (admin->waiting_count == WAITING_MAX) {
		admin->dropped = true;
		return 0;
	}
	waiting = calloc(1, sizeof(*waiting));
	if (!waiting)
		return -ENOMEM;
	r = llmos_decode_event(attrs, len, &waiting->event);
	if (r < 0) {
		free(waiting);
		return r;
	}
	llmos_list_append(&admin->waiting, &waiting->link);
	admin->waiting_count++;
	return 0;
}

int llmos_admin_events(struct llmos_admin *admin)
{
	int r;

	if (admin->events)
		return 0;
	r = llmos_netlink_open(&admin->events, event_came, admin);
	/* without it events still come, but their end is not seen */
	if (!r)
		(void)llmos_netlink_follow(admin->events);
	return r < 0 ? llmos_admin_fail(admin, NULL, r, "events") : 0;
}

int llmos_events_open(struct llmos_admin *admin)
{
	int r = llmos_admin_events(admin);

	if (r < 0)
		return r;
	r = llmos_netlink_join(admin->events, LLM_MCGRP_EVENTS);
	ready_update(admin);
	return r < 0 ? llmos_admin_fail(admin, admin->events, r, "events") : 0;
}

static int watch_fill(struct nl_msg *message, const struct llmos_watch_opts *opts)
{
	struct nlattr *nest = nla_nest_start(message, LLM_NL_A_WATCH | NLA_F_NESTED);

	if (!nest || (opts->full && nla_put_flag(message, LLM_NL_A_WATCH_FULL) < 0) ||
	    nla_put_u64(message, LLM_NL_A_WATCH_STALL, opts->stall_ns) < 0 ||
	    nla_put_u64(message, LLM_NL_A_WATCH_WINDOW, opts->window_ns) < 0)
		return -ENOMEM;
	nla_nest_end(message, nest);
	return 0;
}

int llmos_watch(struct llmos_admin *admin, uint64_t id, const struct llmos_watch_opts *opts)
{
	_cleanup_(llmos_nl_freep) struct nl_msg *message = NULL;
	struct llmos_watch_opts own;
	size_t bad = 0;
	int r;

	r = llmos_opts_take(&own, sizeof(own), opts, &bad);
	if (r < 0)
		return llmos_admin_fail(admin, NULL, r, "option at byte '%zu'", bad);
	r = llmos_admin_events(admin);
	if (r < 0)
		return r;
	message = llmos_netlink_message(admin->events, LLM_NL_CMD_WATCH, false);
	if (!message || nla_put_u64(message, LLM_NL_A_CGROUP, id) < 0 ||
	    watch_fill(message, &own) < 0)
		return llmos_admin_fail(admin, NULL, -ENOMEM, "watch");
	r = llmos_admin_call(admin, admin->events, message, NULL, NULL, id);
	ready_update(admin);
	return r;
}

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int poll_add(int poll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Return: 0, -errno */
static int poll_open(struct llmos_admin *admin)
{
	_cleanup_(closep) int poll_fd = epoll_create1(EPOLL_CLOEXEC);
	_cleanup_(closep) int ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r;

	if (poll_fd < 0 || ready_fd < 0)
		return -errno;
	r = poll_add(poll_fd, llmos_netlink_fd(admin->events));
	if (!r)
		r = poll_add(poll_fd, ready_fd);
	if (r < 0)
		return r;
	admin->poll_fd = poll_fd;
	admin->ready_fd = ready_fd;
	poll_fd = -1;
	ready_fd = -1;
	return 0;
}

int llmos_events_fd(struct llmos_admin *admin)
{
	int r = llmos_admin_events(admin);

	if (r < 0)
		return r;
	if (admin->poll_fd < 0) {
		r = poll_open(admin);
		if (r < 0)
			return llmos_admin_fail(admin, NULL, r, "descriptor of events");
		ready_update(admin);
	}
	return admin->poll_fd;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Return: 0 there is one, or the time is over */
static int events_wait(struct llmos_admin *admin, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms, left;
	int r;

	while (llmos_list_empty(&admin->waiting)) {
		left = timeout_ms < 0 ? -1 : end - now_ms();
		if (timeout_ms >= 0 && left < 0)
			left = 0;
		r = llmos_netlink_events(admin->events, (int)left);
		if (r < 0 || !left)
			return r;
	}
	return 0;
}

static int events_take(struct llmos_admin *admin, struct llmos_event *event, int timeout_ms)
{
	struct waiting *waiting;
	int r;

	if (admin->dropped && llmos_list_empty(&admin->waiting)) {
		admin->dropped = false;
		r = -ENOBUFS;
	} else {
		r = events_wait(admin, timeout_ms);
	}
	if (r < 0)
		return llmos_admin_fail(admin, NULL, r, "events");
	if (llmos_list_empty(&admin->waiting))
		return 0;
	waiting = llmos_container(admin->waiting.next, struct waiting, link);
	r = llmos_opts_give(event, &waiting->event, sizeof(waiting->event));
	if (r < 0)
		return llmos_admin_fail(admin, NULL, r, "event of size '%zu'", event->size);
	llmos_list_remove(&waiting->link);
	admin->waiting_count--;
	free(waiting);
	return 1;
}

int llmos_events_next(struct llmos_admin *admin, struct llmos_event *event, int timeout_ms)
{
	int r = llmos_admin_events(admin);

	if (r < 0)
		return r;
	r = events_take(admin, event, timeout_ms);
	ready_update(admin);
	return r;
}
