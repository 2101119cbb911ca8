// SPDX-License-Identifier: MIT
/*
 * Attributes of the netlink family as libllmos reads them: the first byte says whether they are a
 * group's or an event's. A quota that was read and is written again must be read as the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/llm_netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "libllmos-user/src/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_netlink: %s\n", what);
	abort();
}

static void regions_check(const struct llmos_memory *memory, size_t count)
{
	size_t i;

	check(count <= LLMOS_REGIONS_MAX, "too many regions");
	for (i = 0; i < count; i++)
		check(*memory[i].region && strnlen(memory[i].region, LLMOS_REGION_MAX) <
		      LLMOS_REGION_MAX, "a region without a name");
}

static int quota_same(const struct llmos_quota *a, const struct llmos_quota *b)
{
	return a->fields == b->fields && a->weight == b->weight && a->in_flight == b->in_flight &&
	       a->queued == b->queued && a->prompt_cost == b->prompt_cost && a->rate == b->rate &&
	       a->burst == b->burst && a->compute_ns == b->compute_ns &&
	       a->period_ns == b->period_ns && a->share_cache == b->share_cache &&
	       a->memory_count == b->memory_count &&
	       !memcmp(a->memory, b->memory, a->memory_count * sizeof(a->memory[0]));
}

static void group_check(const struct llmos_group *group)
{
	struct llmos_group again;
	struct nl_msg *message = nlmsg_alloc();

	regions_check(group->quota.memory, group->quota.memory_count);
	regions_check(group->memory, group->memory_count);
	check(message && nlmsg_put(message, 0, 0, 0, 0, 0) &&
	      !nla_put_u64(message, LLM_NL_A_CGROUP, group->id) &&
	      !llmos_encode_quota(message, &group->quota), "no memory");
	check(!llmos_decode_group(nlmsg_attrdata(nlmsg_hdr(message), 0),
				  nlmsg_attrlen(nlmsg_hdr(message), 0), &again),
	      "what was written can not be read");
	check(quota_same(&again.quota, &group->quota), "another quota");
	nlmsg_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct llmos_event event;
	struct llmos_group group;
	char *copy;

	if (!size || size > 65536)
		return 0;
	/* aligned as the kernel's are */
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1) {
		if (!llmos_decode_event((struct nlattr *)copy, (int)size - 1, &event))
			check(event.type, "an event without a type");
	} else if (!llmos_decode_group((struct nlattr *)copy, (int)size - 1, &group)) {
		group_check(&group);
	}
	free(copy);
	return 0;
}
