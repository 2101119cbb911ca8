/* SPDX-License-Identifier: MIT */
/*
 * The kernel's messages as libllmos reads them: whole ones, ones of an older and of a newer kernel,
 * and each that is malformed. And quotas as it writes them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/llm_netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "libllmos-user/src/decode.h"

#include <cmocka.h>

static struct nl_msg *message_new(void)
{
	struct nl_msg *message = nlmsg_alloc();

	assert_non_null(message);
	assert_non_null(nlmsg_put(message, 0, 0, 0, 0, 0));
	return message;
}

static struct nlattr *head(struct nl_msg *message)
{
	return nlmsg_attrdata(nlmsg_hdr(message), 0);
}

static int length(struct nl_msg *message)
{
	return nlmsg_attrlen(nlmsg_hdr(message), 0);
}

static int group_of(struct nl_msg *message, struct llmos_group *group)
{
	int r = llmos_decode_group(head(message), length(message), group);

	nlmsg_free(message);
	return r;
}

static void put_region(struct nl_msg *message, int type, const void *name, int len, uint64_t bytes)
{
	struct nlattr *nest = nla_nest_start(message, type);

	assert_non_null(nest);
	assert_int_equal(nla_put(message, LLM_NL_A_MEMORY_REGION, len, name), 0);
	assert_int_equal(nla_put_u64(message, LLM_NL_A_MEMORY_BYTES, bytes), 0);
	nla_nest_end(message, nest);
}

static void test_group(void **state)
{
	struct nl_msg *message = message_new();
	struct llmos_group group;
	struct nlattr *nest;

	(void)state;
	nla_put_u64(message, LLM_NL_A_CGROUP, 77);
	nla_put_u64(message, LLM_NL_A_PARENT, 1);
	nest = nla_nest_start(message, LLM_NL_A_QUOTA);
	nla_put_u32(message, LLM_NL_A_QUOTA_WEIGHT, 300);
	put_region(message, LLM_NL_A_QUOTA_MEMORY, "host", 5, 1 << 30);
	nla_put_u8(message, LLM_NL_A_QUOTA_SHARE_CACHE, 1);
	put_region(message, LLM_NL_A_QUOTA_MEMORY, "cuda0", 6, UINT64_MAX);
	nla_nest_end(message, nest);
	nest = nla_nest_start(message, LLM_NL_A_USAGE);
	nla_put_u64(message, LLM_NL_A_USAGE_UNITS, 12345);
	put_region(message, LLM_NL_A_USAGE_MEMORY, "host", 5, 99);
	nla_nest_end(message, nest);
	nest = nla_nest_start(message, LLM_NL_A_PRESSURE);
	nla_put_u32(message, LLM_NL_A_PRESSURE_FULL_AVG300, 42);
	nla_nest_end(message, nest);
	/* what a later kernel may add */
	nla_put_u64(message, LLM_NL_A_MAX + 1, 1);
	assert_int_equal(group_of(message, &group), 0);
	assert_int_equal(group.id, 77);
	assert_int_equal(group.parent_id, 1);
	assert_string_equal(group.path, "");
	assert_int_equal(group.quota.fields, LLMOS_QUOTA_WEIGHT | LLMOS_QUOTA_SHARE_CACHE);
	assert_int_equal(group.quota.weight, 300);
	assert_true(group.quota.share_cache);
	/* what an older one does not send is no limit */
	assert_true(group.quota.rate == UINT64_MAX && group.quota.queued == UINT32_MAX);
	assert_int_equal(group.quota.memory_count, 2);
	assert_string_equal(group.quota.memory[1].region, "cuda0");
	assert_int_equal(group.units, 12345);
	assert_int_equal(group.memory_count, 1);
	assert_int_equal(group.memory[0].bytes, 99);
	assert_int_equal(group.full.avg300, 42);
}

/* a message with a number for a cgroup, and one nest with one attribute */
static struct nl_msg *message_nest(int nest_type, int type, const void *data, int len)
{
	struct nl_msg *message = message_new();
	struct nlattr *nest;

	nla_put_u64(message, LLM_NL_A_CGROUP, 77);
	nest = nla_nest_start(message, nest_type);
	nla_put(message, type, len, data);
	nla_nest_end(message, nest);
	return message;
}

static void test_group_malformed(void **state)
{
	static const uint8_t zeros[64];
	struct llmos_group group, untouched;
	struct nl_msg *message;
	struct nlattr *nest;
	int len, i;

	(void)state;
	memset(&group, 0x5a, sizeof(group));
	untouched = group;
	assert_int_equal(group_of(message_new(), &group), -EPROTO);
	message = message_new();
	nla_put_u32(message, LLM_NL_A_CGROUP, 1);
	assert_int_equal(group_of(message, &group), -EPROTO);
	for (len = 0; len < 4; len++)
		assert_int_equal(group_of(message_nest(LLM_NL_A_QUOTA, LLM_NL_A_QUOTA_WEIGHT,
						       zeros, len), &group), -EPROTO);
	for (len = 0; len < 8; len++)
		assert_int_equal(group_of(message_nest(LLM_NL_A_USAGE, LLM_NL_A_USAGE_UNITS, zeros,
						       len), &group), -EPROTO);
	assert_int_equal(group_of(message_nest(LLM_NL_A_QUOTA, LLM_NL_A_QUOTA_SHARE_CACHE, zeros,
					       0), &group), -EPROTO);
	assert_int_equal(group_of(message_nest(LLM_NL_A_QUOTA, LLM_NL_A_QUOTA_MEMORY, zeros, 0),
				  &group), -EPROTO);
	message = message_new();
	nla_put_u64(message, LLM_NL_A_CGROUP, 77);
	nla_put_u32(message, LLM_NL_A_PARENT, 1);
	assert_int_equal(group_of(message, &group), -EPROTO);
	/* one region more than there is room for */
	message = message_new();
	nla_put_u64(message, LLM_NL_A_CGROUP, 77);
	nest = nla_nest_start(message, LLM_NL_A_USAGE);
	for (i = 0; i <= LLMOS_REGIONS_MAX; i++)
		put_region(message, LLM_NL_A_USAGE_MEMORY, "host", 5, 1);
	nla_nest_end(message, nest);
	assert_int_equal(group_of(message, &group), -EPROTO);
	assert_memory_equal(&group, &untouched, sizeof(group));
}

/* names that are empty, unfinished, with something behind their end, too long, unprintable */
static void test_regions_malformed(void **state)
{
	static const struct {
		const char *name;
		int len;
	} wrong[] = {
		{ "", 0 }, { "", 1 }, { "host", 4 }, { "ho\0st", 6 }, { "host\0\0", 6 },
		{ "ho st", 6 }, { "h\033[m", 5 }, { "h\x7f", 3 },
		{ "01234567890123456789012345678901", 33 },
	};
	struct llmos_group group;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct nl_msg *message = message_new();
		struct nlattr *nest;

		nla_put_u64(message, LLM_NL_A_CGROUP, 77);
		nest = nla_nest_start(message, LLM_NL_A_QUOTA);
		put_region(message, LLM_NL_A_QUOTA_MEMORY, wrong[i].name, wrong[i].len, 1);
		nla_nest_end(message, nest);
		if (group_of(message, &group) != -EPROTO)
			fail_msg("name %zu was taken", i);
	}
}

/* every cut of a whole message is refused or read, never read past */
static void test_truncated(void **state)
{
	struct nl_msg *message = message_new();
	struct llmos_group group;
	struct nlattr *nest;
	int len;

	(void)state;
	nla_put_u64(message, LLM_NL_A_CGROUP, 77);
	nest = nla_nest_start(message, LLM_NL_A_QUOTA);
	nla_put_u64(message, LLM_NL_A_QUOTA_RATE, 1000);
	put_region(message, LLM_NL_A_QUOTA_MEMORY, "host", 5, 1);
	nla_nest_end(message, nest);
	for (len = 0; len < length(message); len++) {
		/* of its own size, so that a sanitizer sees a read behind it */
		char *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, head(message), len);
		if (!llmos_decode_group((struct nlattr *)copy, len, &group))
			assert_int_equal(group.quota.memory_count, 0);
		free(copy);
	}
	nlmsg_free(message);
}

static void test_event(void **state)
{
	struct nl_msg *message = message_new();
	struct llmos_event event;
	struct nlattr *nest;

	(void)state;
	assert_int_equal(llmos_decode_event(head(message), length(message), &event), -EPROTO);
	nest = nla_nest_start(message, LLM_NL_A_EVENT);
	nla_put_u32(message, LLM_NL_A_EVENT_TYPE, LLM_NL_EVENT_PRESSURE);
	nla_put_u64(message, LLM_NL_A_EVENT_STALL, 5);
	nla_nest_end(message, nest);
	assert_int_equal(llmos_decode_event(head(message), length(message), &event), 0);
	assert_int_equal(event.type, LLMOS_EVENT_PRESSURE);
	assert_int_equal(event.stall_ns, 5);
	assert_true(event.uid == UINT32_MAX && !event.pid);
	nlmsg_free(message);
	message = message_nest(LLM_NL_A_EVENT, LLM_NL_A_EVENT_TIME, "12345678", 8);
	assert_int_equal(llmos_decode_event(head(message), length(message), &event), -EPROTO);
	nlmsg_free(message);
}

static void test_event_types(void **state)
{
	(void)state;
	assert_int_equal(LLMOS_EVENT_SERVER_UP, LLM_NL_EVENT_SERVER_UP);
	assert_int_equal(LLMOS_EVENT_SERVER_DOWN, LLM_NL_EVENT_SERVER_DOWN);
	assert_int_equal(LLMOS_EVENT_QUOTA, LLM_NL_EVENT_QUOTA);
	assert_int_equal(LLMOS_EVENT_THROTTLED, LLM_NL_EVENT_THROTTLED);
	assert_int_equal(LLMOS_EVENT_REFUSED, LLM_NL_EVENT_REFUSED);
	assert_int_equal(LLMOS_EVENT_PRESSURE, LLM_NL_EVENT_PRESSURE);
	assert_int_equal(LLMOS_EVENT_GROUP_GONE, LLM_NL_EVENT_GROUP_GONE);
}

/* what is written is what is read, and nothing that was not asked for */
static void test_quota_there_and_back(void **state)
{
	struct llmos_quota quota = {
		.size = sizeof(quota), .fields = LLMOS_QUOTA_WEIGHT | LLMOS_QUOTA_COMPUTE |
						 LLMOS_QUOTA_SHARE_CACHE | LLMOS_QUOTA_QUEUED,
		.weight = 7, .queued = 9, .compute_ns = 1ULL << 40, .share_cache = true,
		.rate = 5, .memory_count = 2,
		.memory = { { "host", 1 }, { "cuda1", UINT64_MAX } },
	};
	struct nl_msg *message = message_new();
	struct llmos_group group;

	(void)state;
	nla_put_u64(message, LLM_NL_A_CGROUP, 1);
	assert_int_equal(llmos_encode_quota(message, &quota), 0);
	assert_int_equal(group_of(message, &group), 0);
	assert_int_equal(group.quota.fields, quota.fields);
	assert_int_equal(group.quota.weight, 7);
	assert_int_equal(group.quota.queued, 9);
	assert_true(group.quota.compute_ns == 1ULL << 40);
	assert_true(group.quota.rate == UINT64_MAX);
	assert_int_equal(group.quota.memory_count, 2);
	assert_memory_equal(group.quota.memory, quota.memory, sizeof(quota.memory));
	message = message_new();
	*quota.memory[1].region = '\0';
	assert_int_equal(llmos_encode_quota(message, &quota), -EINVAL);
	memset(quota.memory[1].region, 'x', LLMOS_REGION_MAX);
	assert_int_equal(llmos_encode_quota(message, &quota), -EINVAL);
	nlmsg_free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_group_malformed),
		cmocka_unit_test(test_regions_malformed),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_event_types),
		cmocka_unit_test(test_quota_there_and_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
