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

/* Takes what has come. Return: what the last message was answered with; EAGAIN: nothing yet. */
static int drain(int fd)
{
	static char bytes[65536] __attribute__((aligned(8)));
	int error = -EAGAIN;
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *head = (const struct nlmsghdr *)bytes;

		for (size_t left = (size_t)n; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left))
			if (head->nlmsg_type == NLMSG_ERROR || head->nlmsg_type == NLMSG_DONE)
				memcpy(&error, NLMSG_DATA(head), sizeof(error));
	}
	return error;
}

/* A full socket is a case of its own, so what is answered is not always looked at. */
static void send_message(struct dice *dice, enum stress_kind kind, int fd, struct nl_msg *msg)
{
	msg->head.nlmsg_flags |= NLM_F_ACK;
	if (send(fd, msg, msg->head.nlmsg_len, MSG_DONTWAIT) < 0)
		stress_called(kind, -1);
	else
		stress_did(kind, one_in(dice, 10) ? -EINPROGRESS : drain(fd));
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

/* A limit: mostly one that somebody notices now and then, sometimes none or nothing at all. */
static uint64_t some_limit(struct dice *dice, uint32_t usual)
{
	return one_in(dice, 12) ? roll_number(dice) : usual + roll(dice, usual);
}

static void put_limits(struct dice *dice, struct nl_msg *msg)
{
	if (one_in(dice, 2))
		nl_put_u32(msg, LLM_NL_A_QUOTA_WEIGHT, 1 + roll(dice, 10000));
	if (one_in(dice, 4))
		nl_put_u32(msg, LLM_NL_A_QUOTA_IN_FLIGHT, (uint32_t)some_limit(dice, 12));
	if (one_in(dice, 4))
		nl_put_u32(msg, LLM_NL_A_QUOTA_QUEUED, (uint32_t)some_limit(dice, 40));
	if (one_in(dice, 4))
		nl_put_u64(msg, LLM_NL_A_QUOTA_RATE, some_limit(dice, 1000000));
	if (one_in(dice, 4))
		nl_put_u64(msg, LLM_NL_A_QUOTA_COMPUTE, some_limit(dice, 100000000));
	if (one_in(dice, 8))
		nl_put_u64(msg, LLM_NL_A_QUOTA_PERIOD, some_limit(dice, 50000000));
	if (one_in(dice, 8))
		nl_put_u8(msg, LLM_NL_A_QUOTA_SHARE_CACHE, (uint8_t)roll(dice, 3));
	if (one_in(dice, 4)) {
		const size_t memory = nl_nest(msg, LLM_NL_A_QUOTA_MEMORY);

		nl_put(msg, LLM_NL_A_MEMORY_REGION, "host", 5);
		nl_put_u64(msg, LLM_NL_A_MEMORY_BYTES, 4096ULL * roll(dice, 500));
		nl_nest_end(msg, memory);
	}
}

static void send_quota(struct dice *dice, int fd)
{
	static struct nl_msg msg;
	size_t nest;

	nl_begin(&msg, LLM_NL_CMD_QUOTA_SET, 0);
	nl_put_u64(&msg, LLM_NL_A_CGROUP, some_cgroup(dice));
	nest = nl_nest(&msg, LLM_NL_A_QUOTA);
	put_limits(dice, &msg);
	nl_nest_end(&msg, nest);
	if (one_in(dice, 8))
		spoil(dice, msg.bytes + NLMSG_HDRLEN, msg.head.nlmsg_len - NLMSG_HDRLEN);
	send_message(dice, KIND_QUOTA, fd, &msg);
}

/* One of them or all, so that nothing stops everything for good. */
static void send_reset(struct dice *dice, int fd)
{
	static struct nl_msg msg;

	nl_begin(&msg, LLM_NL_CMD_QUOTA_RESET, 0);
	if (!one_in(dice, 3))
		nl_put_u64(&msg, LLM_NL_A_CGROUP, some_cgroup(dice));
	send_message(dice, KIND_QUOTA, fd, &msg);
}

static void send_get(struct dice *dice, int fd)
{
	static struct nl_msg msg;

	nl_begin(&msg, one_in(dice, 2) ? LLM_NL_CMD_GROUP_GET : LLM_NL_CMD_REQUEST_GET,
		 one_in(dice, 2) ? NLM_F_DUMP : 0);
	if (one_in(dice, 2))
		nl_put_u64(&msg, LLM_NL_A_CGROUP, some_cgroup(dice));
	send_message(dice, KIND_NETLINK, fd, &msg);
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
	send_message(dice, KIND_NETLINK, fd, &msg);
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
	send_message(dice, KIND_NETLINK, fd, &msg);
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
		if (what < 20)
			send_quota(dice, fd);
		else if (what < 30)
			send_reset(dice, fd);
		else if (what < 60)
			send_get(dice, fd);
		else if (what < 70)
			send_watch(dice, fd);
		else
			send_garbage(dice, fd);
		if (!admin || one_in(dice, 20))
			usleep(roll(dice, 2000));
	}
}
