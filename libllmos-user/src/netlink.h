/* SPDX-License-Identifier: MIT */
/*
 * A socket of the generic netlink family "llm": a message out, its answers in. What comes is taken
 * from the kernel alone. The answers' bytes are handed on as attributes; decode.h reads them.
 */
#ifndef LLMOS_NETLINK_H
#define LLMOS_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl_msg;
struct nlattr;
struct llmos_netlink;

/* one message of the family: its attributes; a non-zero return ends the call and is its result */
typedef int (*llmos_netlink_fn)(void *userdata, unsigned int cmd, struct nlattr *attrs, int len);

/**
 * llmos_netlink_open() - a socket of the family
 * @on_event: gets each LLM_NL_CMD_EVENT, also those that come between answers
 *
 * Return: 0; -ENOENT there is no such family, -EPROTONOSUPPORT another version of it, -errno.
 */
int llmos_netlink_open(struct llmos_netlink **ret, llmos_netlink_fn on_event, void *userdata);
void llmos_netlink_free(struct llmos_netlink *netlink);
int llmos_netlink_fd(const struct llmos_netlink *netlink);
/* what the kernel said about the last call that failed, "" if it said nothing */
const char *llmos_netlink_why(const struct llmos_netlink *netlink);

/* a message to be filled in; NULL: no memory. To be freed with nlmsg_free() */
struct nl_msg *llmos_netlink_message(const struct llmos_netlink *netlink, unsigned int cmd,
				     bool dump);
/*
 * Send it, hand its answers to @fn and wait for its end.
 * Return: 0; what @fn returned; -EAGAIN a dump was changed while it was read; -errno.
 */
int llmos_netlink_call(struct llmos_netlink *netlink, struct nl_msg *message, llmos_netlink_fn fn,
		       void *userdata);

/* from now on the end of the family ends llmos_netlink_events() */
int llmos_netlink_follow(struct llmos_netlink *netlink);
/* join a multicast group of the family */
int llmos_netlink_join(struct llmos_netlink *netlink, const char *group);
/*
 * Hand on the events that are there; @timeout_ms as poll(2) has it.
 * Return: 0; -EINTR; -ENOBUFS some were lost; -ENODEV the family is gone; what on_event returned;
 * -errno.
 */
int llmos_netlink_events(struct llmos_netlink *netlink, int timeout_ms);
/* llmos_netlink_events() has something to tell that is not in the socket any more */
bool llmos_netlink_pending(const struct llmos_netlink *netlink);

#endif /* LLMOS_NETLINK_H */
