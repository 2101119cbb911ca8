/* SPDX-License-Identifier: MIT */
/*
 * The keys of a quota: numbers with units, read strictly and exactly, written so that they can be
 * read again. A value is in the smallest unit the kernel counts in or it is refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quota_key.h"

#define MEMORY_PREFIX	"memory."
#define SECOND_NS	UINT64_C(1000000000)
#define DECIMALS_MAX	9

/** struct unit - @name: as typed; @size: in the smallest unit */
struct unit {
	const char *name;
	uint64_t size;
};

static const struct unit time_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", SECOND_NS },
	{ "min", 60 * SECOND_NS },
	{ NULL, 0 },
};

static const struct unit byte_units[] = {
	{ "", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ NULL, 0 },
};

/* tokens are counted in thousandths */
static const struct unit token_units[] = {
	{ "", 1000 },
	{ NULL, 0 },
};

static const struct unit count_units[] = {
	{ "", 1 },
	{ NULL, 0 },
};

/* thousandths of a thousand */
static const struct unit percent_units[] = {
	{ "%", SECOND_NS / 100 },
	{ NULL, 0 },
};

/** struct key_def - @name: as typed; @wanted: what a value looks like; @flags: what it sets */
static const struct key_def {
	const char *name;
	const char *wanted;
	uint32_t flags;
} keys[QUOTA_KEYS] = {
	[QUOTA_KEY_WEIGHT] = { "weight", "a number from 1 to 10000", LLMOS_QUOTA_WEIGHT },
	[QUOTA_KEY_RATE] = { "tokens-per-second", "tokens a second (100, 0.5) or max",
			     LLMOS_QUOTA_RATE },
	[QUOTA_KEY_BURST] = { "burst", "tokens (at least 1) or max", LLMOS_QUOTA_BURST },
	[QUOTA_KEY_IN_FLIGHT] = { "in-flight", "a number of requests or max",
				  LLMOS_QUOTA_IN_FLIGHT },
	[QUOTA_KEY_QUEUED] = { "queued", "a number of requests or max", LLMOS_QUOTA_QUEUED },
	[QUOTA_KEY_COMPUTE] = { "compute", "a time in a period of 10ms to 1000s (500ms/1s), "
				"a share (50%) or max", LLMOS_QUOTA_COMPUTE | LLMOS_QUOTA_PERIOD },
	[QUOTA_KEY_SHARE_CACHE] = { "share-cache", "yes or no", LLMOS_QUOTA_SHARE_CACHE },
	[QUOTA_KEY_PROMPT_COST] = { "prompt-cost", "tokens, from 0 to 1000 (0.25)",
				    LLMOS_QUOTA_PROMPT_COST },
};

static const char memory_wanted[] = "bytes (K, M, G, T) or max";

const char *quota_key_name(enum quota_key key)
{
	return keys[key].name;
}

struct llmos_quota quota_none(void)
{
	return (struct llmos_quota){ .size = sizeof(struct llmos_quota) };
}

struct llmos_quota quota_defaults(void)
{
	return (struct llmos_quota)LLMOS_QUOTA_DEFAULTS;
}

/* ---- reading ---- */

/* digits, with a point and more digits if they want to: the number without its point */
static int parse_digits(const char **text, uint64_t *ret, unsigned int *ret_decimals)
{
	const char *at = *text, *point = NULL;
	uint64_t number = 0;

	if (*at < '0' || *at > '9')
		return -EINVAL;
	for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
		if (*at == '.')
			point = at;
		else if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
			 __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
			return -ERANGE;
	}
	*ret_decimals = point ? (unsigned int)(at - point - 1) : 0;
	if ((point && !*ret_decimals) || *ret_decimals > DECIMALS_MAX)
		return -EINVAL;
	*text = at;
	*ret = number;
	return 0;
}

/* a number with one of these units behind it, exactly, and nothing else; UINT64_MAX is no number */
static int parse_number(const char *text, const struct unit *units, uint64_t *ret)
{
	unsigned int decimals = 0;
	uint64_t number = 0, scale = 1;
	unsigned __int128 value;
	int r = parse_digits(&text, &number, &decimals);

	if (r < 0)
		return r;
	while (units->name && strcmp(units->name, text))
		units++;
	if (!units->name)
		return -EINVAL;
	while (decimals--)
		scale *= 10;
	value = (unsigned __int128)number * units->size;
	if (value % scale)
		return -EINVAL;
	if (value / scale >= UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)(value / scale);
	return 0;
}

static int parse_bounded(const char *text, const struct unit *units, uint64_t min, uint64_t max,
			 uint64_t *ret)
{
	uint64_t value = 0;
	int r = parse_number(text, units, &value);

	if (r < 0)
		return r;
	if (value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* the same, or "max" */
static int parse_limit(const char *text, const struct unit *units, uint64_t min, uint64_t *ret)
{
	if (strcmp(text, "max"))
		return parse_bounded(text, units, min, UINT64_MAX - 1, ret);
	*ret = UINT64_MAX;
	return 0;
}

static int parse_u32(const char *text, const struct unit *units, uint64_t min, uint64_t max,
		     uint32_t *ret)
{
	uint64_t value = 0;
	int r = parse_bounded(text, units, min, max, &value);

	if (!r)
		*ret = (uint32_t)value;
	return r;
}

static int parse_requests(const char *text, uint32_t *ret)
{
	if (strcmp(text, "max"))
		return parse_u32(text, count_units, 0, UINT32_MAX - 1, ret);
	*ret = UINT32_MAX;
	return 0;
}

int quota_parse_time(const char *text, uint64_t *ret_ns)
{
	return parse_number(text, time_units, ret_ns);
}

/* TIME/PERIOD, a percentage of a second each second, or "max" */
static int parse_compute(const char *text, uint64_t *ret_compute, uint64_t *ret_period)
{
	const char *slash = strchr(text, '/');
	uint64_t compute = UINT64_MAX, period = SECOND_NS;
	char time[32];
	int r;

	if (!slash) {
		r = parse_limit(text, percent_units, 0, &compute);
	} else {
		if ((size_t)(slash - text) >= sizeof(time))
			return -EINVAL;
		memcpy(time, text, slash - text);
		time[slash - text] = '\0';
		r = quota_parse_time(time, &compute);
		if (!r)
			r = parse_bounded(slash + 1, time_units, SECOND_NS / 100, 1000 * SECOND_NS,
					  &period);
	}
	if (r < 0)
		return r;
	*ret_compute = compute;
	*ret_period = period;
	return 0;
}

static int parse_bool(const char *text, bool *ret)
{
	if (strcmp(text, "yes") && strcmp(text, "no"))
		return -EINVAL;
	*ret = *text == 'y';
	return 0;
}

static int key_parse(struct llmos_quota *quota, enum quota_key key, const char *value)
{
	switch (key) {
	case QUOTA_KEY_WEIGHT:
		return parse_u32(value, count_units, 1, 10000, &quota->weight);
	case QUOTA_KEY_RATE:
		return parse_limit(value, token_units, 0, &quota->rate);
	case QUOTA_KEY_BURST:
		return parse_limit(value, token_units, 1000, &quota->burst);
	case QUOTA_KEY_IN_FLIGHT:
		return parse_requests(value, &quota->in_flight);
	case QUOTA_KEY_QUEUED:
		return parse_requests(value, &quota->queued);
	case QUOTA_KEY_COMPUTE:
		return parse_compute(value, &quota->compute_ns, &quota->period_ns);
	case QUOTA_KEY_SHARE_CACHE:
		return parse_bool(value, &quota->share_cache);
	case QUOTA_KEY_PROMPT_COST:
		return parse_u32(value, token_units, 0, 1000000, &quota->prompt_cost);
	case QUOTA_KEYS:
		break;
	}
	return -ENOENT;
}

static int parse_memory(struct llmos_quota *quota, const char *region, const char *value)
{
	uint64_t bytes = 0;
	int r = parse_limit(value, byte_units, 0, &bytes);

	return r < 0 ? r : quota_memory_set(quota, region, bytes);
}

int quota_key_parse(struct llmos_quota *quota, const char *name, const char *value,
		    const char **ret_wanted)
{
	size_t prefix = strlen(MEMORY_PREFIX);
	enum quota_key key;
	int r;

	if (!strncmp(name, MEMORY_PREFIX, prefix)) {
		*ret_wanted = memory_wanted;
		if (!name[prefix] || strlen(name + prefix) >= LLMOS_REGION_MAX)
			return -ENOENT;
		return parse_memory(quota, name + prefix, value);
	}
	for (key = 0; key < QUOTA_KEYS; key++) {
		if (strcmp(keys[key].name, name))
			continue;
		*ret_wanted = keys[key].wanted;
		r = key_parse(quota, key, value);
		if (!r)
			quota->fields |= keys[key].flags;
		return r;
	}
	return -ENOENT;
}

/* ---- writing ---- */

/* in the largest unit that is exact */
static void format_exact(char buf[QUOTA_VALUE_MAX], const struct unit *units, uint64_t value)
{
	const struct unit *best = units;

	if (value == UINT64_MAX) {
		strcpy(buf, "max");
		return;
	}
	for (; units->name; units++)
		if (value && !(value % units->size))
			best = units;
	snprintf(buf, QUOTA_VALUE_MAX, "%" PRIu64 "%s", value / best->size, best->name);
}

void quota_format_bytes(char buf[QUOTA_VALUE_MAX], uint64_t bytes)
{
	format_exact(buf, byte_units, bytes);
}

void quota_format_time(char buf[QUOTA_VALUE_MAX], uint64_t ns)
{
	format_exact(buf, time_units, ns);
}

void quota_format_tokens(char buf[QUOTA_VALUE_MAX], uint64_t thousandths)
{
	uint64_t rest = thousandths % 1000;
	size_t len;

	if (thousandths == UINT64_MAX) {
		strcpy(buf, "max");
		return;
	}
	snprintf(buf, QUOTA_VALUE_MAX, "%" PRIu64 ".%03" PRIu64, thousandths / 1000, rest);
	len = strlen(buf);
	while (buf[len - 1] == '0')
		buf[--len] = '\0';
	if (buf[len - 1] == '.')
		buf[len - 1] = '\0';
}

static void format_requests(char buf[QUOTA_VALUE_MAX], uint32_t requests)
{
	if (requests == UINT32_MAX)
		strcpy(buf, "max");
	else
		snprintf(buf, QUOTA_VALUE_MAX, "%" PRIu32, requests);
}

static void format_compute(char buf[QUOTA_VALUE_MAX], const struct llmos_quota *quota)
{
	char time[QUOTA_VALUE_MAX], period[QUOTA_VALUE_MAX];

	quota_format_time(time, quota->compute_ns);
	quota_format_time(period, quota->period_ns);
	if (quota->compute_ns == UINT64_MAX)
		strcpy(buf, time);
	else
		snprintf(buf, QUOTA_VALUE_MAX, "%.23s/%.23s", time, period);
}

void quota_key_format(char buf[QUOTA_VALUE_MAX], const struct llmos_quota *quota,
		      enum quota_key key)
{
	switch (key) {
	case QUOTA_KEY_WEIGHT:
		snprintf(buf, QUOTA_VALUE_MAX, "%" PRIu32, quota->weight);
		return;
	case QUOTA_KEY_RATE:
		quota_format_tokens(buf, quota->rate);
		return;
	case QUOTA_KEY_BURST:
		quota_format_tokens(buf, quota->burst);
		return;
	case QUOTA_KEY_IN_FLIGHT:
		format_requests(buf, quota->in_flight);
		return;
	case QUOTA_KEY_QUEUED:
		format_requests(buf, quota->queued);
		return;
	case QUOTA_KEY_COMPUTE:
		format_compute(buf, quota);
		return;
	case QUOTA_KEY_SHARE_CACHE:
		strcpy(buf, quota->share_cache ? "yes" : "no");
		return;
	case QUOTA_KEY_PROMPT_COST:
		quota_format_tokens(buf, quota->prompt_cost);
		return;
	case QUOTA_KEYS:
		break;
	}
	*buf = '\0';
}

/* ---- memory, and two quotas in one ---- */

static struct llmos_memory *memory_find(const struct llmos_quota *quota, const char *region)
{
	size_t i;

	for (i = 0; i < quota->memory_count; i++)
		if (!strcmp(quota->memory[i].region, region))
			return (struct llmos_memory *)&quota->memory[i];
	return NULL;
}

uint64_t quota_memory(const struct llmos_quota *quota, const char *region)
{
	const struct llmos_memory *memory = memory_find(quota, region);

	return memory ? memory->bytes : UINT64_MAX;
}

int quota_memory_set(struct llmos_quota *quota, const char *region, uint64_t bytes)
{
	struct llmos_memory *memory = memory_find(quota, region);

	if (!*region || strlen(region) >= LLMOS_REGION_MAX)
		return -EINVAL;
	if (!memory) {
		if (quota->memory_count == LLMOS_REGIONS_MAX)
			return -E2BIG;
		memory = &quota->memory[quota->memory_count++];
		strcpy(memory->region, region);
	}
	memory->bytes = bytes;
	return 0;
}

int quota_merge(struct llmos_quota *quota, const struct llmos_quota *over)
{
	size_t i;
	int r;

	if (over->fields & LLMOS_QUOTA_WEIGHT)
		quota->weight = over->weight;
	if (over->fields & LLMOS_QUOTA_RATE)
		quota->rate = over->rate;
	if (over->fields & LLMOS_QUOTA_BURST)
		quota->burst = over->burst;
	if (over->fields & LLMOS_QUOTA_IN_FLIGHT)
		quota->in_flight = over->in_flight;
	if (over->fields & LLMOS_QUOTA_QUEUED)
		quota->queued = over->queued;
	if (over->fields & LLMOS_QUOTA_COMPUTE)
		quota->compute_ns = over->compute_ns;
	if (over->fields & LLMOS_QUOTA_PERIOD)
		quota->period_ns = over->period_ns;
	if (over->fields & LLMOS_QUOTA_SHARE_CACHE)
		quota->share_cache = over->share_cache;
	if (over->fields & LLMOS_QUOTA_PROMPT_COST)
		quota->prompt_cost = over->prompt_cost;
	quota->fields |= over->fields;
	for (i = 0; i < over->memory_count; i++) {
		r = quota_memory_set(quota, over->memory[i].region, over->memory[i].bytes);
		if (r < 0)
			return r;
	}
	return 0;
}
