/* SPDX-License-Identifier: MIT */
/*
 * Quotas as people write them: values with units, files, what matches what; and what llmctl top
 * makes of two looks at the cgroups.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libllmos-user/llmctl/event.h"
#include "libllmos-user/llmctl/quota_file.h"
#include "libllmos-user/llmctl/quota_key.h"
#include "libllmos-user/llmctl/rates.h"

#include <cmocka.h>

/* ---- values ---- */

static int parse(struct llmos_quota *quota, const char *key, const char *value)
{
	const char *wanted = NULL;
	int r;

	*quota = quota_none();
	r = quota_key_parse(quota, key, value, &wanted);
	if (r == -EINVAL || r == -ERANGE)
		assert_true(wanted && *wanted);
	if (r < 0)
		assert_int_equal(quota->fields, 0);
	return r;
}

static void test_values(void **state)
{
	struct llmos_quota quota;

	(void)state;
	assert_int_equal(parse(&quota, "weight", "10000"), 0);
	assert_int_equal(quota.weight, 10000);
	assert_int_equal(quota.fields, LLMOS_QUOTA_WEIGHT);
	assert_int_equal(parse(&quota, "tokens-per-second", "0.001"), 0);
	assert_int_equal(quota.rate, 1);
	assert_int_equal(parse(&quota, "tokens-per-second", "100.000000000"), 0);
	assert_int_equal(quota.rate, 100000);
	assert_int_equal(parse(&quota, "tokens-per-second", "0"), 0);
	assert_int_equal(quota.rate, 0);
	assert_int_equal(parse(&quota, "burst", "max"), 0);
	assert_true(quota.burst == UINT64_MAX);
	assert_int_equal(parse(&quota, "queued", "4294967294"), 0);
	assert_int_equal(quota.queued, 4294967294U);
	assert_int_equal(parse(&quota, "compute", "1.5ms/10ms"), 0);
	assert_int_equal(quota.compute_ns, 1500000);
	assert_int_equal(quota.period_ns, 10000000);
	assert_int_equal(quota.fields, LLMOS_QUOTA_COMPUTE | LLMOS_QUOTA_PERIOD);
	assert_int_equal(parse(&quota, "compute", "12.5%"), 0);
	assert_int_equal(quota.compute_ns, 125000000);
	assert_int_equal(parse(&quota, "compute", "max"), 0);
	assert_true(quota.compute_ns == UINT64_MAX);
	assert_int_equal(parse(&quota, "memory.cuda0", "1.5G"), 0);
	assert_string_equal(quota.memory[0].region, "cuda0");
	assert_int_equal(quota.memory[0].bytes, 3ULL << 29);
	assert_int_equal(parse(&quota, "memory.x", "18446744073709551614"), 0);
	assert_int_equal(parse(&quota, "share-cache", "yes"), 0);
	assert_true(quota.share_cache);
	assert_int_equal(parse(&quota, "prompt-cost", "1000"), 0);
	assert_int_equal(quota.prompt_cost, 1000000);
}

static void test_values_wrong(void **state)
{
	static const struct {
		const char *key;
		const char *value;
		int error;
	} wrong[] = {
		{ "weight", "", -EINVAL }, { "weight", "+1", -EINVAL }, { "weight", "1 ", -EINVAL },
		{ "weight", "0", -ERANGE }, { "weight", "10001", -ERANGE },
		{ "weight", "18446744073709551617", -ERANGE }, { "weight", "max", -EINVAL },
		{ "tokens-per-second", "0.0001", -EINVAL },
		{ "tokens-per-second", "18446744073709551.616", -ERANGE },
		{ "tokens-per-second", "18446744073709551.615", -ERANGE },
		{ "tokens-per-second", "1.0000000000", -EINVAL },
		{ "tokens-per-second", "1..0", -EINVAL }, { "tokens-per-second", ".5", -EINVAL },
		{ "tokens-per-second", "nan", -EINVAL }, { "tokens-per-second", "inf", -EINVAL },
		{ "tokens-per-second", "1e9", -EINVAL }, { "tokens-per-second", "MAX", -EINVAL },
		{ "burst", "0.999", -ERANGE }, { "in-flight", "4294967295", -ERANGE },
		{ "in-flight", "1.5", -EINVAL }, { "compute", "1s", -EINVAL },
		{ "compute", "1s/9.999999ms", -ERANGE }, { "compute", "1s/1000.000000001s", -ERANGE },
		{ "compute", "1s/1s/1s", -EINVAL }, { "compute", "1/1s", -EINVAL },
		{ "compute", "0.5ns/1s", -EINVAL }, { "compute", "%", -EINVAL },
		{ "memory.host", "1g", -EINVAL }, { "memory.host", "18446744073709551615", -ERANGE },
		{ "memory.host", "0.3K", -EINVAL }, { "memory.host", "16777216T", -ERANGE },
		{ "memory.", "1", -ENOENT },
		{ "memory.0123456789012345678901234567890123456789", "1", -ENOENT },
		{ "share-cache", "true", -EINVAL }, { "prompt-cost", "1000.001", -ERANGE },
		{ "colour", "red", -ENOENT }, { "", "", -ENOENT },
	};
	struct llmos_quota quota;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (parse(&quota, wrong[i].key, wrong[i].value) != wrong[i].error)
			fail_msg("%s=%s: %d", wrong[i].key, wrong[i].value,
				 parse(&quota, wrong[i].key, wrong[i].value));
}

/* what is written can be read again, and is the same */
static void test_values_there_and_back(void **state)
{
	static const uint64_t numbers[] = {
		0, 1, 999, 1000, 1001, 12500, 1ULL << 10, 1ULL << 40, (1ULL << 40) + 1,
		999999999, 1000000000, 1500000000, 60000000000ULL, UINT64_MAX - 1, UINT64_MAX,
	};
	char text[QUOTA_VALUE_MAX];
	struct llmos_quota quota;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct llmos_quota want = quota_defaults();

		want.rate = numbers[i];
		quota_key_format(text, &want, QUOTA_KEY_RATE);
		assert_int_equal(parse(&quota, "tokens-per-second", text), 0);
		assert_true(quota.rate == want.rate);
		quota_format_bytes(text, numbers[i]);
		assert_int_equal(parse(&quota, "memory.host", text), 0);
		assert_true(quota.memory[0].bytes == numbers[i]);
		want.compute_ns = numbers[i];
		want.period_ns = 10000000 + i;
		quota_key_format(text, &want, QUOTA_KEY_COMPUTE);
		assert_int_equal(parse(&quota, "compute", text), 0);
		assert_true(quota.compute_ns == want.compute_ns);
		if (numbers[i] != UINT64_MAX)
			assert_true(quota.period_ns == want.period_ns);
	}
}

static void test_regions(void **state)
{
	struct llmos_quota quota = quota_none(), over = quota_none();
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < LLMOS_REGIONS_MAX; i++) {
		snprintf(name, sizeof(name), "cuda%d", i);
		assert_int_equal(quota_memory_set(&quota, name, i), 0);
	}
	assert_int_equal(quota_memory_set(&quota, "one-more", 1), -E2BIG);
	assert_int_equal(quota_memory_set(&quota, "cuda3", 33), 0);
	assert_int_equal(quota_memory(&quota, "cuda3"), 33);
	assert_true(quota_memory(&quota, "host") == UINT64_MAX);
	assert_int_equal(quota_memory_set(&over, "cuda4", 44), 0);
	assert_int_equal(quota_merge(&quota, &over), 0);
	assert_int_equal(quota_memory(&quota, "cuda4"), 44);
	assert_int_equal(quota_memory_set(&over, "host", 1), 0);
	assert_int_equal(quota_merge(&quota, &over), -E2BIG);
}

/* ---- files ---- */

static int rules_of(struct quota_rules *rules, const char *text, size_t len,
		    char why[QUOTA_WHY_MAX])
{
	FILE *file = fmemopen((void *)text, len, "r");
	int r;

	assert_non_null(file);
	*why = '\0';
	r = quota_rules_parse(rules, file, "test.conf", why);
	fclose(file);
	assert_true(!r == !*why);
	return r;
}

static void test_matching(void **state)
{
	static const char text[] =
		"[/user.slice/user-*.slice]\nweight=1\n"
		"[/a/*/c]\nweight=2\n"
		"[/system.slice/system-x\\x2dy.slice]\nweight=3\n"
		"[/]\nweight=4\n"
		"[/a/[bx]/c]\nin-flight=5\n";
	struct quota_rules rules = { 0 };
	struct llmos_quota quota;
	char why[QUOTA_WHY_MAX];

	(void)state;
	assert_int_equal(rules_of(&rules, text, sizeof(text) - 1, why), 0);
	assert_int_equal(rules.count, 5);
	assert_int_equal(quota_rules_match(&rules, "/user.slice/user-1000.slice", &quota), 1);
	assert_int_equal(quota.weight, 1);
	assert_int_equal(quota_rules_match(&rules, "/user.slice/user-1.slice/x", &quota), 0);
	assert_int_equal(quota_rules_match(&rules, "/user.slice/user-1/2.slice", &quota), 0);
	assert_int_equal(quota_rules_match(&rules, "/user.slice", &quota), 0);
	assert_int_equal(quota_rules_match(&rules, "/a/b/c", &quota), 1);
	assert_int_equal(quota.fields, LLMOS_QUOTA_WEIGHT | LLMOS_QUOTA_IN_FLIGHT);
	assert_int_equal(quota_rules_match(&rules, "/a/y/c", &quota), 1);
	assert_int_equal(quota.fields, LLMOS_QUOTA_WEIGHT);
	assert_int_equal(quota_rules_match(&rules, "/a/b/b/c", &quota), 0);
	assert_int_equal(quota_rules_match(&rules, "/system.slice/system-x\\x2dy.slice", &quota), 1);
	assert_int_equal(quota_rules_match(&rules, "/", &quota), 1);
	assert_int_equal(quota.weight, 4);
	assert_true(quota_rules_below(&rules, "/"));
	assert_true(quota_rules_below(&rules, "/a"));
	assert_true(quota_rules_below(&rules, "/a/anything"));
	assert_false(quota_rules_below(&rules, "/a/b/c"));
	assert_false(quota_rules_below(&rules, "/b"));
	assert_false(quota_rules_below(&rules, "/user.slice/user-1000.slice"));
	quota_rules_done(&rules);
}

static void test_files_wrong(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} wrong[] = {
		{ "weight=1\n", "test.conf:1: 'weight' stands before" },
		{ "[/a]\n[b]\n", "test.conf:2: 'b' is no path" },
		{ "[]\n", "test.conf:1: '' is no path" },
		{ "[//a]\n", "no path" },
		{ "[/a//b]\n", "no path" },
		{ "[/a/.]\n", "no path" },
		{ "[/..]\n", "no path" },
		{ "[/a] weight=1\n", "does not end" },
		{ "[/a\n", "does not end" },
		{ "[/a ;]\n", "does not end" },
		{ "[/a]\nweight\n", "test.conf:2: not a" },
		{ "[/a]\nweight=\n", "test.conf:2: weight: ''" },
		{ "[/a]\n\n\nweight=1\nweight=y\n", "test.conf:5: weight: 'y'" },
		{ "[/a]\nx\nweight=y\n", "test.conf:2: not a" },
	};
	char why[QUOTA_WHY_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct quota_rules rules = { 0 };

		assert_int_equal(rules_of(&rules, wrong[i].text, strlen(wrong[i].text), why),
				 -EINVAL);
		if (!strstr(why, wrong[i].why))
			fail_msg("'%s': %s", wrong[i].text, why);
		quota_rules_done(&rules);
	}
}

static void test_files_deep(void **state)
{
	char text[8192] = "[", why[QUOTA_WHY_MAX];
	struct quota_rules rules = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 65; i++)
		strcat(text, "/a");
	strcat(text, "]\n");
	assert_int_equal(rules_of(&rules, text, strlen(text), why), -EINVAL);
	strcpy(text + 1 + 2 * 64, "]\n");
	assert_int_equal(rules_of(&rules, text, strlen(text), why), 0);
	memset(text + 2, 'x', 5000);
	strcpy(text + 5000, "]\n");
	assert_int_equal(rules_of(&rules, text, strlen(text), why), -EINVAL);
	quota_rules_done(&rules);
	assert_int_equal(rules_of(&rules, "[/a]\nwei\0ght=1\n", 15, why), -EINVAL);
	assert_non_null(strstr(why, "a NUL byte"));
	quota_rules_done(&rules);
}

/* ---- rates ---- */

static struct llmos_group group(uint64_t id, uint64_t parent, const char *path, uint32_t weight,
				uint64_t units, uint32_t in_flight)
{
	return (struct llmos_group){
		.id = id, .parent_id = parent, .path = path, .quota = { .weight = weight },
		.units = units, .in_flight = in_flight,
	};
}

static const struct rate *rate_of(const struct rates *rates, uint64_t id)
{
	size_t i;

	for (i = 0; i < rates->count; i++)
		if (rates->rates[i].group->id == id)
			return &rates->rates[i];
	fail_msg("no cgroup %llu", (unsigned long long)id);
	return NULL;
}

static void near(double got, double want)
{
	if (!(fabs(got - want) < 1e-6))
		fail_msg("%g, not %g", got, want);
}

/* weights at two levels: 3:1, in the first one 1:1 and its own processes */
static void test_rates(void **state)
{
	struct llmos_group before[] = {
		group(1, 0, "/", 100, 0, 0), group(2, 1, "/a", 300, 0, 0),
		group(3, 1, "/b", 100, 50000, 0),
	};
	struct llmos_group now[] = {
		group(1, 0, "/", 100, 8000, 4), group(2, 1, "/a", 300, 6000, 3),
		group(4, 2, "/a/x", 100, 2000, 1), group(5, 2, "/a/y", 100, 2000, 1),
		group(3, 1, "/b", 100, 2000, 1), group(6, 1, "/idle", 1000, 0, 0),
	};
	const struct llmos_groups earlier = { 3, before }, later = { 6, now };
	struct rates rates;

	(void)state;
	now[1].dispatched = 4;
	now[1].queue_ns = 2000000000;
	assert_int_equal(rates_make(&rates, &earlier, &later, 2), 0);
	near(rates.tokens, 4);
	near(rate_of(&rates, 2)->tokens, 3);
	near(rate_of(&rates, 2)->wait, 0.5);
	assert_true(isnan(rate_of(&rates, 3)->wait));
	near(rate_of(&rates, 1)->due, 1);
	near(rate_of(&rates, 2)->due, 0.75);
	near(rate_of(&rates, 2)->share, 0.75);
	near(rate_of(&rates, 4)->due, 0.25);
	/* its counter began anew */
	near(rate_of(&rates, 3)->tokens, 1);
	near(rate_of(&rates, 3)->due, 0.25);
	assert_true(isnan(rate_of(&rates, 6)->due));
	assert_int_equal(rates_sort(&rates, "tokens"), 0);
	assert_int_equal(rates.rates[0].group->id, 1);
	assert_int_equal(rates_sort(&rates, "wait"), 0);
	assert_int_equal(rates.rates[0].group->id, 2);
	assert_int_equal(rates_sort(&rates, "cgroup"), 0);
	assert_string_equal(rates.rates[5].group->path, "/idle");
	assert_int_equal(rates_sort(&rates, "colour"), -EINVAL);
	rates_done(&rates);
}

/* parents that are not there, or each other's, or their own */
static void test_rates_hostile(void **state)
{
	struct llmos_group now[] = {
		group(1, 2, "", 0, UINT64_MAX, UINT32_MAX), group(2, 1, "", 1, UINT64_MAX, 1),
		group(3, 3, "", 1, 1, 1), group(3, 3, "", 1, 1, 1), group(4, 99, "", 1, 0, 1),
	};
	const struct llmos_groups later = { 5, now };
	struct rates rates;
	size_t i;

	(void)state;
	assert_int_equal(rates_make(&rates, NULL, &later, 1), 0);
	assert_int_equal(rates.count, 5);
	for (i = 0; i < 5; i++)
		assert_false(isinf(rates.rates[i].tokens));
	assert_int_equal(rates_sort(&rates, "share"), 0);
	rates_done(&rates);
	assert_int_equal(rates_make(&rates, NULL, &(struct llmos_groups){ 0 }, 1), 0);
	assert_int_equal(rates_sort(&rates, "share"), 0);
	rates_done(&rates);
}

/* ---- events ---- */

static void test_event_lines(void **state)
{
	struct llmos_event event = { .type = LLMOS_EVENT_REFUSED, .uid = 1000, .pid = 7,
				     .request = 9, .count = 3 };
	char line[2048];

	(void)state;
	event_format(line, sizeof(line), &event, "/a\033[31m\n");
	assert_non_null(strstr(line, " refused     /a\\x1b[31m\\x0a pid 7 uid 1000 request 9 (3 times)"));
	assert_null(strpbrk(line, "\033\n"));
	event = (struct llmos_event){ .type = LLMOS_EVENT_SERVER_DOWN, .pid = 7, .requests = 2,
				      .uid = UINT32_MAX };
	event_format(line, sizeof(line), &event, "");
	assert_non_null(strstr(line, " server-down pid 7, 2 requests wait"));
	event = (struct llmos_event){ .type = UINT32_MAX, .time_ns = UINT64_MAX, .uid = UINT32_MAX };
	event_format(line, sizeof(line), &event, "");
	assert_non_null(strstr(line, "event-4294967295"));
	event_format(line, 8, &event, "/long");
	assert_int_equal(strlen(line), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_values_wrong),
		cmocka_unit_test(test_values_there_and_back),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_matching),
		cmocka_unit_test(test_files_wrong),
		cmocka_unit_test(test_files_deep),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_rates_hostile),
		cmocka_unit_test(test_event_lines),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
