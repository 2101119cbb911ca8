/* SPDX-License-Identifier: MIT */
/*
 * Attributes to structs and back. One table for each nest says where an attribute's number goes;
 * nests that repeat are read by hand.
 */
#include <errno.h>
#include <string.h>

#include <linux/llm_netlink.h>
#include <netlink/attr.h>

#include "decode.h"
#include "internal.h"

/* none of the family's nests has more attributes than this */
#define ATTRS_MAX	24

/**
 * struct field - where an attribute's number goes
 * @type: of the attribute
 * @kind: NLA_U8, NLA_U32 or NLA_U64
 * @offset: in the struct
 * @flag: enum llmos_quota_field
 */
struct field {
	int type;
	int kind;
	size_t offset;
	uint32_t flag;
};

#define FIELD(a, k, s, f)	{ LLM_NL_A_##a, NLA_##k, offsetof(struct s, f), 0 }
#define QUOTA(a, k, f)							\
	{ LLM_NL_A_QUOTA_##a, NLA_##k, offsetof(struct llmos_quota, f), LLMOS_QUOTA_##a }
#define FIELDS(a)		(sizeof(a) / sizeof((a)[0]))

static const struct field quota_fields[] = {
	QUOTA(WEIGHT, U32, weight),
	QUOTA(IN_FLIGHT, U32, in_flight),
	QUOTA(QUEUED, U32, queued),
	QUOTA(RATE, U64, rate),
	QUOTA(BURST, U64, burst),
	QUOTA(COMPUTE, U64, compute_ns),
	QUOTA(PERIOD, U64, period_ns),
	QUOTA(SHARE_CACHE, U8, share_cache),
	QUOTA(PROMPT_COST, U32, prompt_cost),
};

static const struct field usage_fields[] = {
	FIELD(USAGE_IN_FLIGHT, U32, llmos_group, in_flight),
	FIELD(USAGE_QUEUED, U32, llmos_group, queued),
	FIELD(USAGE_RUNNING, U32, llmos_group, running),
	FIELD(USAGE_UNITS, U64, llmos_group, units),
	FIELD(USAGE_PROMPT_TOKENS, U64, llmos_group, prompt_tokens),
	FIELD(USAGE_OUTPUT_TOKENS, U64, llmos_group, output_tokens),
	FIELD(USAGE_COMPUTE, U64, llmos_group, compute_ns),
	FIELD(USAGE_THROTTLED, U64, llmos_group, throttled_ns),
	FIELD(USAGE_QUEUE_TIME, U64, llmos_group, queue_ns),
	FIELD(USAGE_SUBMITTED, U64, llmos_group, submitted),
	FIELD(USAGE_DISPATCHED, U64, llmos_group, dispatched),
	FIELD(USAGE_ENDED, U64, llmos_group, ended),
	FIELD(USAGE_REFUSED, U64, llmos_group, refused),
};

static const struct field pressure_fields[] = {
	FIELD(PRESSURE_SOME_TOTAL, U64, llmos_group, some.total_ns),
	FIELD(PRESSURE_SOME_AVG10, U32, llmos_group, some.avg10),
	FIELD(PRESSURE_SOME_AVG60, U32, llmos_group, some.avg60),
	FIELD(PRESSURE_SOME_AVG300, U32, llmos_group, some.avg300),
	FIELD(PRESSURE_FULL_TOTAL, U64, llmos_group, full.total_ns),
	FIELD(PRESSURE_FULL_AVG10, U32, llmos_group, full.avg10),
	FIELD(PRESSURE_FULL_AVG60, U32, llmos_group, full.avg60),
	FIELD(PRESSURE_FULL_AVG300, U32, llmos_group, full.avg300),
};

static const struct field event_fields[] = {
	FIELD(EVENT_TYPE, U32, llmos_event, type),
	FIELD(EVENT_TIME, U64, llmos_event, time_ns),
	FIELD(EVENT_CGROUP, U64, llmos_event, cgroup_id),
	FIELD(EVENT_PID, U32, llmos_event, pid),
	FIELD(EVENT_UID, U32, llmos_event, uid),
	FIELD(EVENT_REQUEST, U64, llmos_event, request),
	FIELD(EVENT_COUNT, U64, llmos_event, count),
	FIELD(EVENT_REQUESTS, U32, llmos_event, requests),
	FIELD(EVENT_STALL, U64, llmos_event, stall_ns),
};

/* ---- reading ---- */

/* the attribute's number into the field. Return: 0, -EPROTO it is too short for one */
static int field_read(const struct field *field, const struct nlattr *attr, void *to)
{
	uint8_t *at = (uint8_t *)to + field->offset;
	static const int sizes[] = { [NLA_U8] = 1, [NLA_U32] = 4, [NLA_U64] = 8 };

	if (nla_len(attr) < sizes[field->kind])
		return -EPROTO;
	switch (field->kind) {
	case NLA_U8:
		*(bool *)at = nla_get_u8(attr);
		break;
	case NLA_U32:
		*(uint32_t *)at = nla_get_u32(attr);
		break;
	default:
		*(uint64_t *)at = nla_get_u64(attr);
		break;
	}
	return 0;
}

static int nest_read(struct nlattr *nest, const struct field *fields, size_t count, void *to,
		     uint32_t *ret_flags)
{
	struct nlattr *attrs[ATTRS_MAX + 1];
	size_t i;
	int r;

	if (nla_parse(attrs, ATTRS_MAX, nla_data(nest), nla_len(nest), NULL) < 0)
		return -EPROTO;
	for (i = 0; i < count; i++) {
		if (!attrs[fields[i].type])
			continue;
		r = field_read(&fields[i], attrs[fields[i].type], to);
		if (r < 0)
			return r;
		if (ret_flags)
			*ret_flags |= fields[i].flag;
	}
	return 0;
}

/* a name is a NUL-terminated string of some length without control characters */
static int region_read(struct nlattr *nest, struct llmos_memory *memory)
{
	struct nlattr *attrs[LLM_NL_A_MEMORY_MAX + 1], *name, *bytes;
	size_t len, i;

	if (nla_parse(attrs, LLM_NL_A_MEMORY_MAX, nla_data(nest), nla_len(nest), NULL) < 0)
		return -EPROTO;
	name = attrs[LLM_NL_A_MEMORY_REGION];
	bytes = attrs[LLM_NL_A_MEMORY_BYTES];
	if (!name || !bytes || nla_len(bytes) < (int)sizeof(uint64_t))
		return -EPROTO;
	len = strnlen(nla_data(name), nla_len(name));
	/* what follows the NUL is nobody's name */
	if (!len || len >= sizeof(memory->region) || len + 1 != (size_t)nla_len(name))
		return -EPROTO;
	memcpy(memory->region, nla_data(name), len + 1);
	for (i = 0; i < len; i++)
		if ((unsigned char)memory->region[i] <= ' ' || memory->region[i] == 0x7f)
			return -EPROTO;
	memory->bytes = nla_get_u64(bytes);
	return 0;
}

/* every attribute of this type in the nest */
static int regions_read(struct nlattr *nest, int type, struct llmos_memory *memory,
			size_t *ret_count)
{
	struct nlattr *attr;
	int left, r;

	*ret_count = 0;
	nla_for_each_nested(attr, nest, left) {
		if (nla_type(attr) != type)
			continue;
		if (*ret_count == LLMOS_REGIONS_MAX)
			return -EPROTO;
		r = region_read(attr, &memory[*ret_count]);
		if (r < 0)
			return r;
		++*ret_count;
	}
	return 0;
}

static int quota_read(struct nlattr *nest, struct llmos_quota *quota)
{
	int r = nest_read(nest, quota_fields, FIELDS(quota_fields), quota, &quota->fields);

	return r < 0 ? r : regions_read(nest, LLM_NL_A_QUOTA_MEMORY, quota->memory,
					&quota->memory_count);
}

static int usage_read(struct nlattr *nest, struct llmos_group *group)
{
	int r = nest_read(nest, usage_fields, FIELDS(usage_fields), group, NULL);

	return r < 0 ? r : regions_read(nest, LLM_NL_A_USAGE_MEMORY, group->memory,
					&group->memory_count);
}

int llmos_decode_group(struct nlattr *head, int len, struct llmos_group *ret)
{
	struct nlattr *attrs[LLM_NL_A_MAX + 1];
	/* of an attribute that is not sent */
	struct llmos_group group = { .path = "", .quota = LLMOS_QUOTA_DEFAULTS };
	int r = 0;

	if (nla_parse(attrs, LLM_NL_A_MAX, head, len, NULL) < 0 || !attrs[LLM_NL_A_CGROUP] ||
	    nla_len(attrs[LLM_NL_A_CGROUP]) < (int)sizeof(uint64_t))
		return -EPROTO;
	group.id = nla_get_u64(attrs[LLM_NL_A_CGROUP]);
	if (attrs[LLM_NL_A_PARENT]) {
		if (nla_len(attrs[LLM_NL_A_PARENT]) < (int)sizeof(uint64_t))
			return -EPROTO;
		group.parent_id = nla_get_u64(attrs[LLM_NL_A_PARENT]);
	}
	if (attrs[LLM_NL_A_QUOTA])
		r = quota_read(attrs[LLM_NL_A_QUOTA], &group.quota);
	if (!r && attrs[LLM_NL_A_USAGE])
		r = usage_read(attrs[LLM_NL_A_USAGE], &group);
	if (!r && attrs[LLM_NL_A_PRESSURE])
		r = nest_read(attrs[LLM_NL_A_PRESSURE], pressure_fields, FIELDS(pressure_fields),
			      &group, NULL);
	if (r < 0)
		return r;
	*ret = group;
	return 0;
}

int llmos_decode_event(struct nlattr *head, int len, struct llmos_event *ret)
{
	struct llmos_event event = { .size = sizeof(event), .uid = UINT32_MAX };
	struct nlattr *attrs[LLM_NL_A_MAX + 1];
	int r;

	if (nla_parse(attrs, LLM_NL_A_MAX, head, len, NULL) < 0 || !attrs[LLM_NL_A_EVENT])
		return -EPROTO;
	r = nest_read(attrs[LLM_NL_A_EVENT], event_fields, FIELDS(event_fields), &event, NULL);
	if (r < 0)
		return r;
	if (!event.type)
		return -EPROTO;
	*ret = event;
	return 0;
}

/* ---- writing ---- */

static int field_write(struct nl_msg *message, const struct field *field, const void *from)
{
	const uint8_t *at = (const uint8_t *)from + field->offset;

	switch (field->kind) {
	case NLA_U8:
		return nla_put_u8(message, field->type, *(const bool *)at);
	case NLA_U32:
		return nla_put_u32(message, field->type, *(const uint32_t *)at);
	default:
		return nla_put_u64(message, field->type, *(const uint64_t *)at);
	}
}

static int region_write(struct nl_msg *message, const struct llmos_memory *memory)
{
	struct nlattr *nest;

	if (!*memory->region || !memchr(memory->region, '\0', sizeof(memory->region)))
		return -EINVAL;
	nest = nla_nest_start(message, LLM_NL_A_QUOTA_MEMORY | NLA_F_NESTED);
	if (!nest || nla_put_string(message, LLM_NL_A_MEMORY_REGION, memory->region) < 0 ||
	    nla_put_u64(message, LLM_NL_A_MEMORY_BYTES, memory->bytes) < 0)
		return -ENOMEM;
	nla_nest_end(message, nest);
	return 0;
}

int llmos_encode_quota(struct nl_msg *message, const struct llmos_quota *quota)
{
	struct nlattr *nest = nla_nest_start(message, LLM_NL_A_QUOTA | NLA_F_NESTED);
	size_t i;
	int r;

	if (!nest)
		return -ENOMEM;
	for (i = 0; i < FIELDS(quota_fields); i++)
		if ((quota->fields & quota_fields[i].flag) &&
		    field_write(message, &quota_fields[i], quota) < 0)
			return -ENOMEM;
	for (i = 0; i < quota->memory_count; i++) {
		r = region_write(message, &quota->memory[i]);
		if (r < 0)
			return r;
	}
	nla_nest_end(message, nest);
	return 0;
}
