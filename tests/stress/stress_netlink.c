// SPDX-License-Identifier: MIT
/*
 * Netlink messages of all sorts: random quotas on the cgroups in use, dumps that are left unread,
 * watches, and messages of random bytes. See stress.h.
 */
#include "stress.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/uapi/uapi_netlink.h"

static void drain(int fd)
{
	static char bytes[65536];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void send_message(enum stress_kind kind, int fd, const struct nl_msg *msg)
{
	const ssize_t n = send(fd, msg, msg->head.nlmsg_len, MSG_DONTWAIT);

	stress_did(kind, n < 0 ? -errno : 0);
}

static uint64_t some_cgroup(struct dice *dice)
{
	char name[32];

	if (one_in(dice, 8))
		return roll_number(dice);
	snprintf(name, sizeof(name), one_in(dice, 2) ? "stress/%u" : "stress/%u/%u",
		 roll(dice, 4), roll(dice, 2));
	return cgroup_id_of(name);
}

/* Limits that bite, but none that would stop everything for good. */
static void send_quota(struct dice *dice, int fd)
{
	static struct nl_msg msg;
	size_t nest;

	nl_begin(&msg, one_in(dice, 4) ? LLM_NL_CMD_QUOTA_RESET : LLM_NL_CMD_QUOTA_SET, 0);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, some_cgroup(dice));
	nest = nl_nest(&msg, LLM_NL_A_QUOTA);
	if (one_in(dice, 2))
		nl_put_u32(&msg, LLM_NL_A_QUOTA_WEIGHT, 1 + roll(dice, 10000));
	if (one_in(dice, 4))
		nl_put_u32(&msg, LLM_NL_A_QUOTA_IN_FLIGHT, roll(dice, 20));
	if (one_in(dice, 4))
		nl_put_u32(&msg, LLM_NL_A_QUOTA_QUEUED, roll(dice, 50));
	if (one_in(dice, 4))
		nl_put_u64(&msg, LLM_NL_A_QUOTA_RATE, roll_number(dice));
	if (one_in(dice, 4))
		nl_put_u64(&msg, LLM_NL_A_QUOTA_COMPUTE, roll_number(dice));
	if (one_in(dice, 8))
		nl_put_u64(&msg, LLM_NL_A_QUOTA_PERIOD, roll_number(dice));
	if (one_in(dice, 8))
		nl_put_u8(&msg, LLM_NL_A_QUOTA_SHARE_CACHE, (uint8_t)roll(dice, 3));
	if (one_in(dice, 4)) {
		const size_t memory = nl_nest(&msg, LLM_NL_A_QUOTA_MEMORY);

		nl_put(&msg, LLM_NL_A_MEMORY_REGION, "host", 5);
		nl_put_u64(&msg, LLM_NL_A_MEMORY_BYTES, 4096ULL * roll(dice, 500));
		nl_nest_end(&msg, memory);
	}
	nl_nest_end(&msg, nest);
	if (one_in(dice, 8))
		spoil(dice, msg.bytes + NLMSG_HDRLEN, msg.head.nlmsg_len - NLMSG_HDRLEN);
	send_message(KIND_QUOTA, fd, &msg);
}

static void send_get(struct dice *dice, int fd)
{
	static struct nl_msg msg;

	nl_begin(&msg, one_in(dice, 2) ? LLM_NL_CMD_GROUP_GET : LLM_NL_CMD_REQUEST_GET,
		 one_in(dice, 2) ? NLM_F_DUMP : 0);
	if (one_in(dice, 2))
		nl_put_u64(&msg, LLM_NL_A_CGROUP, some_cgroup(dice));
	send_message(KIND_NETLINK, fd, &msg);
}

static void send_watch(struct dice *dice, int fd)
{
	static struct nl_msg msg;
	size_t nest;

	nl_begin(&msg, LLM_NL_CMD_WATCH, 0);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, some_cgroup(dice));
	nest = nl_nest(&msg, LLM_NL_A_WATCH);
	nl_put_u64(&msg, LLM_NL_A_WATCH_STALL, roll_number(dice));
	nl_put_u64(&msg, LLM_NL_A_WATCH_WINDOW, 500000000ULL + roll_number(dice));
	nl_nest_end(&msg, nest);
	send_message(KIND_NETLINK, fd, &msg);
}

/* Attributes of random types and lengths, nested at random. */
static void send_garbage(struct dice *dice, int fd)
{
	static struct nl_msg msg;
	size_t nests[8];
	uint32_t depth = 0;

	nl_begin(&msg, (uint8_t)roll(dice, 10), roll(dice, 2) * NLM_F_DUMP);
	for (uint32_t n = roll(dice, 20); n; n--) {
		uint8_t bytes[64];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)roll(dice, 256);
		if (depth < 8 && one_in(dice, 3))
			nests[depth++] = nl_nest(&msg, (uint16_t)roll(dice, 20));
		else if (depth && one_in(dice, 3))
			nl_nest_end(&msg, nests[--depth]);
		else
			nl_put(&msg, (uint16_t)roll(dice, 20), bytes, roll(dice, 65));
	}
	while (depth)
		nl_nest_end(&msg, nests[--depth]);
	if (one_in(dice, 3))
		spoil(dice, msg.bytes + NLMSG_HDRLEN, msg.head.nlmsg_len - NLMSG_HDRLEN);
	send_message(KIND_NETLINK, fd, &msg);
}

void netlink_main(struct dice *dice, bool admin)
{
	int fd = -1;

	while (!atomic_load(&stress->stop)) {
		const uint32_t what = roll(dice, 100);

		if (fd < 0 || one_in(dice, 300)) {
			if (fd >= 0)
				close(fd);
			fd = nl_open();
			if (fd < 0) {
				stress_did(KIND_NETLINK, -errno);
				usleep(10000);
				continue;
			}
			if (one_in(dice, 2))
				nl_join(fd);
		}
		if (what < 30)
			send_quota(dice, fd);
		else if (what < 60)
			send_get(dice, fd);
		else if (what < 70)
			send_watch(dice, fd);
		else
			send_garbage(dice, fd);
		/* a full socket is a case of its own */
		if (!one_in(dice, 10))
			drain(fd);
		if (!admin || one_in(dice, 20))
			usleep(roll(dice, 2000));
	}
}
