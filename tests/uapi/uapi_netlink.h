/* SPDX-License-Identifier: MIT */
/*
 * The netlink family "llm" for the programs in this folder: messages made and taken apart by hand,
 * so that wrong ones can be made as well as right ones.
 */
#ifndef UAPI_NETLINK_H
#define UAPI_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/genetlink.h>
#include <linux/llm_netlink.h>
#include <linux/netlink.h>

/* A message that is being made; @len grows. */
struct nl_msg {
	union {
		struct nlmsghdr head;
		char bytes[16384];
	};
};

/* What a command was answered with. */
struct nl_answer {
	int error;		/* 0 or -errno */
	uint32_t bad_offset;	/* of the attribute that the extended acknowledgement names, or 0 */
	char text[128];		/* of it */
	size_t count;		/* messages that came */
	struct nl_msg first;
};

struct nl_quota {
	uint32_t weight, in_flight, queued, prompt_cost;
	uint64_t rate, burst, compute, period;
	uint8_t share_cache;
	uint64_t host;		/* memory of region "host" */
};

struct nl_group {
	uint64_t cgroup, parent;
	struct nl_quota quota;
	uint64_t usage[LLM_NL_A_USAGE_MAX + 1];
	uint64_t pressure[LLM_NL_A_PRESSURE_MAX + 1];
};

struct nl_event {
	uint64_t attrs[LLM_NL_A_EVENT_MAX + 1];
};

/* A socket of the family, with extended acknowledgements. -1 and errno where there is none. */
int nl_open(void);
/* Joins the group of events. Return: 0; -1 and errno. */
int nl_join(int fd);

void nl_begin(struct nl_msg *msg, uint8_t cmd, uint16_t flags);
void nl_put(struct nl_msg *msg, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct nl_msg *msg, uint16_t type, uint8_t value);
void nl_put_u32(struct nl_msg *msg, uint16_t type, uint32_t value);
void nl_put_u64(struct nl_msg *msg, uint16_t type, uint64_t value);
/* Return: to be given to nl_nest_end(). */
size_t nl_nest(struct nl_msg *msg, uint16_t type);
void nl_nest_end(struct nl_msg *msg, size_t nest);
const struct nlattr *nl_find(const void *attrs, size_t len, uint16_t type);
uint64_t nl_number(const struct nlattr *attr);

/*
 * Sends a message and takes the answers to it, up to the acknowledgement or the end of a dump;
 * calls
 * @each, if there is one, with each message. Return: the error.
 */
int nl_talk(int fd, struct nl_msg *msg, struct nl_answer *ret_answer,
	    void (*each)(const struct nlmsghdr *head, void *arg), void *arg);

/* ---- commands; 0 or -errno ---- */

int nl_group_get(int fd, uint64_t cgroup, struct nl_group *ret_group);
void nl_group_parse(const struct nlmsghdr *head, struct nl_group *ret_group);
/* Quota attributes as pairs of type and value, ended by 0; widths are the right ones. */
int nl_quota_set(int fd, uint64_t cgroup, ...);
int nl_quota_reset(int fd, uint64_t cgroup);
int nl_quota_reset_all(int fd);
int nl_watch(int fd, uint64_t cgroup, bool full, uint64_t stall_ns, uint64_t window_ns);

/* Takes the next event, waiting up to @timeout_ms. Return: its type; 0: none came. */
uint32_t nl_event(int fd, int timeout_ms, struct nl_event *ret_event);
/* Takes events until one of this type comes, of this cgroup if not 0. Return: it did. */
bool nl_event_of(int fd, uint32_t type, uint64_t cgroup, struct nl_event *ret_event);

/* ---- cgroups, below /sys/fs/cgroup ---- */

/* Makes one. Return: its id; 0: errno. */
uint64_t cgroup_make(const char *name);
uint64_t cgroup_id_of(const char *name);
bool cgroup_remove(const char *name);
/* In a child: moves there. */
bool cgroup_enter(const char *name);

#endif /* UAPI_NETLINK_H */
