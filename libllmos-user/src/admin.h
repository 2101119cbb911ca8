/* SPDX-License-Identifier: MIT */
/*
 * The administrator's connection as the files of the library see it: quotas and usage over one
 * netlink socket, events over another, so that neither waits for the other. One thread at a time
 * owns it.
 */
#ifndef LLMOS_ADMIN_H
#define LLMOS_ADMIN_H

#include "internal.h"
#include "list.h"
#include "netlink.h"

/**
 * struct llmos_admin - a connection
 * @calls: socket of the questions
 * @events: socket of the events, NULL until it is wanted
 * @waiting: events that have come and were not taken, oldest first
 * @waiting_count: number of them
 * @dropped: one did not fit among them
 * @poll_fd: epoll of the socket of the events and of @ready_fd, -1 until it is wanted
 * @ready_fd: eventfd, -1 until @poll_fd is wanted
 * @ready: it polls readable: there is something to take that is not in the socket
 * @mount: where cgroup v2 is, NULL: it is not
 * @error: about the last call that failed
 */
struct llmos_admin {
	struct llmos_netlink *calls;
	struct llmos_netlink *events;
	struct llmos_list waiting;
	size_t waiting_count;
	bool dropped;
	int poll_fd;
	int ready_fd;
	bool ready;
	char *mount;
	char error[LLMOS_ERROR_MAX];
};

/* set the error line to "what: the kernel's words, or errno text" and return @error */
__attribute__((format(printf, 4, 5)))
int llmos_admin_fail(struct llmos_admin *admin, const struct llmos_netlink *netlink, int error,
		     const char *what, ...);

/* sends a message about one cgroup, "cgroup" of it with the error; frees the message */
int llmos_admin_call(struct llmos_admin *admin, struct llmos_netlink *netlink,
		     struct nl_msg *message, llmos_netlink_fn fn, void *userdata, uint64_t id);

/* open the socket of the events. Return: 0, -errno, said what */
int llmos_admin_events(struct llmos_admin *admin);
/* forget what was not taken, and close what is polled */
void llmos_events_drop(struct llmos_admin *admin);

static inline void llmos_groups_freep(struct llmos_groups **groups)
{
	llmos_groups_free(*groups);
}

void llmos_nl_freep(struct nl_msg **message);

#endif /* LLMOS_ADMIN_H */
