// SPDX-License-Identifier: MIT
/*
 * The netlink family for tests: see uapi_netlink.h.
 */
#include "uapi_netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "uapi.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static uint16_t family;
static uint32_t events_group;
static uint32_t sequence;

/* ---- attributes ---- */

static struct nlattr *msg_end(struct nl_msg *msg)
{
	return (struct nlattr *)(msg->bytes + NLMSG_ALIGN(msg->head.nlmsg_len));
}

void nl_begin(struct nl_msg *msg, uint8_t cmd, uint16_t flags)
{
	struct genlmsghdr *genl = NLMSG_DATA(&msg->head);

	memset(msg, 0, sizeof(*msg));
	msg->head = (struct nlmsghdr){
		.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
		.nlmsg_type = family,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
		.nlmsg_seq = ++sequence,
	};
	genl->cmd = cmd;
	genl->version = LLM_FAMILY_VERSION;
}

void nl_put(struct nl_msg *msg, uint16_t type, const void *data, size_t len)
{
	struct nlattr *attr = msg_end(msg);

	must(NLMSG_ALIGN(msg->head.nlmsg_len) + NLA_HDRLEN + NLA_ALIGN(len) <= sizeof(*msg),
	     "room in a message");
	attr->nla_type = type;
	attr->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy((char *)attr + NLA_HDRLEN, data, len);
	msg->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(msg->head.nlmsg_len) + NLA_HDRLEN +
					 NLA_ALIGN(len));
}

void nl_put_u8(struct nl_msg *msg, uint16_t type, uint8_t value)
{
	nl_put(msg, type, &value, sizeof(value));
}

void nl_put_u32(struct nl_msg *msg, uint16_t type, uint32_t value)
{
	nl_put(msg, type, &value, sizeof(value));
}

void nl_put_u64(struct nl_msg *msg, uint16_t type, uint64_t value)
{
	nl_put(msg, type, &value, sizeof(value));
}

size_t nl_nest(struct nl_msg *msg, uint16_t type)
{
	const size_t nest = NLMSG_ALIGN(msg->head.nlmsg_len);

	nl_put(msg, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void nl_nest_end(struct nl_msg *msg, size_t nest)
{
	((struct nlattr *)(msg->bytes + nest))->nla_len = (uint16_t)(msg->head.nlmsg_len - nest);
}

const struct nlattr *nl_find(const void *attrs, size_t len, uint16_t type)
{
	const char *at = attrs, *const end = at + len;

	while (end - at >= (ptrdiff_t)NLA_HDRLEN) {
		const struct nlattr *attr = (const void *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			break;
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static const void *attr_data(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

static size_t attr_len(const struct nlattr *attr)
{
	return attr->nla_len - NLA_HDRLEN;
}

uint64_t nl_number(const struct nlattr *attr)
{
	uint64_t u64;
	uint32_t u32;

	if (!attr)
		return 0;
	switch (attr_len(attr)) {
	case 1:
		return *(const uint8_t *)attr_data(attr);
	case 4:
		memcpy(&u32, attr_data(attr), sizeof(u32));
		return u32;
	case 8:
		memcpy(&u64, attr_data(attr), sizeof(u64));
		return u64;
	default:
		return 0;
	}
}

static const struct nlattr *top_find(const struct nlmsghdr *head, uint16_t type)
{
	const size_t skip = NLMSG_LENGTH(GENL_HDRLEN);

	return head->nlmsg_len < skip ? NULL :
	       nl_find((const char *)head + skip, head->nlmsg_len - skip, type);
}

/* ---- talking ---- */

static void answer_error(const struct nlmsghdr *head, struct nl_answer *answer)
{
	const struct nlmsgerr *err = NLMSG_DATA(head);
	size_t skip = NLMSG_LENGTH(sizeof(*err));
	const struct nlattr *attr;

	answer->error = err->error;
	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		skip += err->msg.nlmsg_len - sizeof(err->msg);
	skip = NLMSG_ALIGN(skip);
	attr = nl_find((const char *)head + skip, head->nlmsg_len - skip, NLMSGERR_ATTR_OFFS);
	answer->bad_offset = (uint32_t)nl_number(attr);
	attr = nl_find((const char *)head + skip, head->nlmsg_len - skip, NLMSGERR_ATTR_MSG);
	if (attr)
		snprintf(answer->text, sizeof(answer->text), "%.*s", (int)attr_len(attr),
			 (const char *)attr_data(attr));
}

/* Return: that was the last one. */
static bool answer_take(const struct nlmsghdr *head, uint32_t seq, struct nl_answer *answer,
			void (*each)(const struct nlmsghdr *head, void *arg), void *arg)
{
	if (head->nlmsg_seq != seq)
		return false;
	if (head->nlmsg_type == NLMSG_ERROR || head->nlmsg_type == NLMSG_DONE) {
		answer_error(head, answer);
		return true;
	}
	if (!answer->count++)
		memcpy(&answer->first, head, head->nlmsg_len);
	if (each)
		each(head, arg);
	return false;
}

int nl_talk(int fd, struct nl_msg *msg, struct nl_answer *ret_answer,
	    void (*each)(const struct nlmsghdr *head, void *arg), void *arg)
{
	static char bytes[65536] __attribute__((aligned(8)));
	const uint32_t seq = msg->head.nlmsg_seq;

	memset(ret_answer, 0, sizeof(*ret_answer));
	if (send(fd, msg, msg->head.nlmsg_len, 0) < 0)
		return ret_answer->error = -errno;
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		int len;

		if (poll(&poll_fd, 1, 20000) != 1)
			return ret_answer->error = -ETIME;
		len = (int)recv(fd, bytes, sizeof(bytes), 0);
		if (len < 0)
			return ret_answer->error = -errno;
		for (const struct nlmsghdr *head = (void *)bytes; NLMSG_OK(head, (unsigned int)len);
		     head = NLMSG_NEXT(head, len))
			if (answer_take(head, seq, ret_answer, each, arg))
				return ret_answer->error;
	}
}

static int talk(int fd, struct nl_msg *msg)
{
	static struct nl_answer answer;

	return nl_talk(fd, msg, &answer, NULL, NULL);
}

/* The family's number and its group's. */
static int resolve(int fd)
{
	static struct nl_msg msg;
	static struct nl_answer answer;
	const struct nlattr *groups, *group;

	nl_begin(&msg, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	msg.head.nlmsg_type = GENL_ID_CTRL;
	nl_put(&msg, CTRL_ATTR_FAMILY_NAME, LLM_FAMILY_NAME, sizeof(LLM_FAMILY_NAME));
	if (nl_talk(fd, &msg, &answer, NULL, NULL))
		return answer.error;
	group = top_find(&answer.first.head, CTRL_ATTR_FAMILY_ID);
	if (!group || attr_len(group) != sizeof(family))
		return -EPROTO;
	memcpy(&family, attr_data(group), sizeof(family));
	groups = top_find(&answer.first.head, CTRL_ATTR_MCAST_GROUPS);
	if (!groups)
		return -EPROTO;
	group = attr_data(groups);
	events_group = (uint32_t)nl_number(nl_find(attr_data(group), attr_len(group),
						   CTRL_ATTR_MCAST_GRP_ID));
	return 0;
}

int nl_open(void)
{
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	const int on = 1;
	int err;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	err = resolve(fd);
	if (!err)
		return fd;
	close(fd);
	errno = -err;
	return -1;
}

int nl_join(int fd)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &events_group,
			  sizeof(events_group));
}

/* ---- commands ---- */

static uint64_t nested_number(const struct nlattr *nest, uint16_t type)
{
	return nest ? nl_number(nl_find(attr_data(nest), attr_len(nest), type)) : 0;
}

/* Bytes of region "host" in the nests of a type; @none where there is none. */
static uint64_t host_bytes(const struct nlattr *nest, uint16_t type, uint64_t none)
{
	const char *at = nest ? attr_data(nest) : NULL;
	size_t left = nest ? attr_len(nest) : 0;
	const struct nlattr *attr;

	while ((attr = nl_find(at, left, type))) {
		const char *next = (const char *)attr + NLA_ALIGN(attr->nla_len);
		const struct nlattr *name = nl_find(attr_data(attr), attr_len(attr),
						    LLM_NL_A_MEMORY_REGION);

		if (name && !strcmp(attr_data(name), "host"))
			return nested_number(attr, LLM_NL_A_MEMORY_BYTES);
		if (next >= at + left)
			break;
		left -= (size_t)(next - at);
		at = next;
	}
	return none;
}

static void quota_parse(const struct nlattr *nest, struct nl_quota *ret_quota)
{
	*ret_quota = (struct nl_quota){
		.weight = (uint32_t)nested_number(nest, LLM_NL_A_QUOTA_WEIGHT),
		.in_flight = (uint32_t)nested_number(nest, LLM_NL_A_QUOTA_IN_FLIGHT),
		.queued = (uint32_t)nested_number(nest, LLM_NL_A_QUOTA_QUEUED),
		.prompt_cost = (uint32_t)nested_number(nest, LLM_NL_A_QUOTA_PROMPT_COST),
		.rate = nested_number(nest, LLM_NL_A_QUOTA_RATE),
		.burst = nested_number(nest, LLM_NL_A_QUOTA_BURST),
		.compute = nested_number(nest, LLM_NL_A_QUOTA_COMPUTE),
		.period = nested_number(nest, LLM_NL_A_QUOTA_PERIOD),
		.share_cache = (uint8_t)nested_number(nest, LLM_NL_A_QUOTA_SHARE_CACHE),
		.host = host_bytes(nest, LLM_NL_A_QUOTA_MEMORY, UINT64_MAX),
	};
}

void nl_group_parse(const struct nlmsghdr *head, struct nl_group *ret_group)
{
	const struct nlattr *usage = top_find(head, LLM_NL_A_USAGE);
	const struct nlattr *pressure = top_find(head, LLM_NL_A_PRESSURE);

	memset(ret_group, 0, sizeof(*ret_group));
	ret_group->cgroup = nl_number(top_find(head, LLM_NL_A_CGROUP));
	ret_group->parent = nl_number(top_find(head, LLM_NL_A_PARENT));
	quota_parse(top_find(head, LLM_NL_A_QUOTA), &ret_group->quota);
	for (uint16_t i = 1; i < LLM_NL_A_USAGE_MEMORY; i++)
		ret_group->usage[i] = nested_number(usage, i);
	ret_group->usage[LLM_NL_A_USAGE_MEMORY] = host_bytes(usage, LLM_NL_A_USAGE_MEMORY, 0);
	for (uint16_t i = 1; i <= LLM_NL_A_PRESSURE_MAX; i++)
		ret_group->pressure[i] = nested_number(pressure, i);
}

int nl_group_get(int fd, uint64_t cgroup, struct nl_group *ret_group)
{
	static struct nl_msg msg;
	static struct nl_answer answer;

	nl_begin(&msg, LLM_NL_CMD_GROUP_GET, NLM_F_ACK);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, cgroup);
	if (nl_talk(fd, &msg, &answer, NULL, NULL))
		return answer.error;
	if (answer.count != 1)
		return -EPROTO;
	nl_group_parse(&answer.first.head, ret_group);
	return 0;
}

static void put_quota(struct nl_msg *msg, uint16_t type, uint64_t value)
{
	size_t nest;

	switch (type) {
	case LLM_NL_A_QUOTA_WEIGHT:
	case LLM_NL_A_QUOTA_IN_FLIGHT:
	case LLM_NL_A_QUOTA_QUEUED:
	case LLM_NL_A_QUOTA_PROMPT_COST:
		nl_put_u32(msg, type, (uint32_t)value);
		break;
	case LLM_NL_A_QUOTA_SHARE_CACHE:
		nl_put_u8(msg, type, (uint8_t)value);
		break;
	case LLM_NL_A_QUOTA_MEMORY:
		nest = nl_nest(msg, type);
		nl_put(msg, LLM_NL_A_MEMORY_REGION, "host", 5);
		nl_put_u64(msg, LLM_NL_A_MEMORY_BYTES, value);
		nl_nest_end(msg, nest);
		break;
	default:
		nl_put_u64(msg, type, value);
	}
}

int nl_quota_set(int fd, uint64_t cgroup, ...)
{
	static struct nl_msg msg;
	va_list args;
	size_t nest;
	int type;

	nl_begin(&msg, LLM_NL_CMD_QUOTA_SET, NLM_F_ACK);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, cgroup);
	nest = nl_nest(&msg, LLM_NL_A_QUOTA);
	va_start(args, cgroup);
	while ((type = va_arg(args, int)))
		put_quota(&msg, (uint16_t)type, va_arg(args, uint64_t));
	va_end(args);
	nl_nest_end(&msg, nest);
	return talk(fd, &msg);
}

int nl_quota_reset(int fd, uint64_t cgroup)
{
	static struct nl_msg msg;

	nl_begin(&msg, LLM_NL_CMD_QUOTA_RESET, NLM_F_ACK);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, cgroup);
	return talk(fd, &msg);
}

int nl_quota_reset_all(int fd)
{
	static struct nl_msg msg;

	nl_begin(&msg, LLM_NL_CMD_QUOTA_RESET, NLM_F_ACK);
	return talk(fd, &msg);
}

int nl_watch(int fd, uint64_t cgroup, bool full, uint64_t stall_ns, uint64_t window_ns)
{
	static struct nl_msg msg;
	size_t nest;

	nl_begin(&msg, LLM_NL_CMD_WATCH, NLM_F_ACK);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, cgroup);
	nest = nl_nest(&msg, LLM_NL_A_WATCH);
	if (full)
		nl_put(&msg, LLM_NL_A_WATCH_FULL, NULL, 0);
	nl_put_u64(&msg, LLM_NL_A_WATCH_STALL, stall_ns);
	nl_put_u64(&msg, LLM_NL_A_WATCH_WINDOW, window_ns);
	nl_nest_end(&msg, nest);
	return talk(fd, &msg);
}

/* ---- events ---- */

uint32_t nl_event(int fd, int timeout_ms, struct nl_event *ret_event)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	const struct nlattr *nest;
	static struct nl_msg msg;
	ssize_t len;

	memset(ret_event, 0, sizeof(*ret_event));
	if (poll(&poll_fd, 1, timeout_ms) != 1)
		return 0;
	len = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT);
	if (len < (ssize_t)sizeof(msg.head) || msg.head.nlmsg_type != family)
		return 0;
	nest = top_find(&msg.head, LLM_NL_A_EVENT);
	for (uint16_t i = 1; i <= LLM_NL_A_EVENT_MAX; i++)
		ret_event->attrs[i] = nested_number(nest, i);
	return (uint32_t)ret_event->attrs[LLM_NL_A_EVENT_TYPE];
}

bool nl_event_of(int fd, uint32_t type, uint64_t cgroup, struct nl_event *ret_event)
{
	const uint64_t until = now_ns() + 30000000000ULL;

	while (now_ns() < until)
		if (nl_event(fd, 1000, ret_event) == type &&
		    (!cgroup || ret_event->attrs[LLM_NL_A_EVENT_CGROUP] == cgroup))
			return true;
	return false;
}

/* ---- cgroups ---- */

static const char *cgroup_path(const char *name, const char *file)
{
	static char path[512];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s", name, file);
	return path;
}

uint64_t cgroup_id_of(const char *name)
{
	struct stat status;

	return stat(cgroup_path(name, ""), &status) ? 0 : status.st_ino;
}

uint64_t cgroup_make(const char *name)
{
	if (mkdir(cgroup_path(name, ""), 0755) && errno != EEXIST)
		return 0;
	return cgroup_id_of(name);
}

bool cgroup_remove(const char *name)
{
	return eventually(!rmdir(cgroup_path(name, "")) || errno == ENOENT);
}

bool cgroup_enter(const char *name)
{
	const int fd = open(cgroup_path(name, "/cgroup.procs"), O_WRONLY | O_CLOEXEC);
	const bool good = fd >= 0 && write(fd, "0", 1) == 1;

	if (fd >= 0)
		close(fd);
	return good;
}
