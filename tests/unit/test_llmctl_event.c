/* SPDX-License-Identifier: MIT */
/*
 * Names of the cgroups that events are about: how often they are looked for. What stands for the
 * library here knows two cgroups and counts the walks.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libllmos-user/llmctl/event.h"

#include <cmocka.h>

static unsigned int walks;
static uint64_t clock_ns;
static struct llmos_group known = { .id = 7, .path = "/known" };

/* ---- in place of the library, the clock and the rest of llmctl ---- */

int llmos_groups(struct llmos_admin *admin, struct llmos_groups **ret)
{
	static struct llmos_groups groups = { .count = 1, .groups = &known };

	(void)admin;
	*ret = &groups;
	return 0;
}

void llmos_groups_free(struct llmos_groups *groups)
{
	(void)groups;
}

int llmos_cgroup_path(struct llmos_admin *admin, char **ret_path, uint64_t id)
{
	(void)admin;
	walks++;
	if (id != 8)
		return -ENOENT;
	*ret_path = strdup("/found");
	return *ret_path ? 0 : -ENOMEM;
}

int llmos_events_next(struct llmos_admin *admin, struct llmos_event *event, int timeout_ms)
{
	(void)admin;
	(void)event;
	(void)timeout_ms;
	return -ENODEV;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	ts->tv_sec = (time_t)(clock_ns / 1000000000);
	ts->tv_nsec = (long)(clock_ns % 1000000000);
	return 0;
}

/* in parentheses: cmocka has a macro of that name */
int (fail)(int code, const char *what, ...)
{
	(void)what;
	return code;
}

int fail_admin(const struct llmos_admin *admin, const char *cgroup, int error)
{
	(void)admin;
	(void)cgroup;
	(void)error;
	return EX_UNLOADED;
}

/* ---- tests ---- */

static int setup(void **state)
{
	static int admin;

	walks = 0;
	clock_ns = 1;
	/* nobody looks into it */
	*state = event_names_new((struct llmos_admin *)&admin);
	return !*state;
}

static int teardown(void **state)
{
	event_names_free(*state);
	return 0;
}

static void test_found(void **state)
{
	assert_string_equal(event_names_get(*state, 0), "");
	assert_string_equal(event_names_get(*state, 7), "/known");
	assert_int_equal(walks, 0);
	assert_string_equal(event_names_get(*state, 8), "/found");
	assert_string_equal(event_names_get(*state, 8), "/found");
	assert_int_equal(walks, 1);
}

/* one that is not found is not looked for with each event about it, but is again later */
static void test_missed(void **state)
{
	int i;

	for (i = 0; i < 100; i++)
		assert_string_equal(event_names_get(*state, 9), "#9");
	assert_int_equal(walks, 1);
	clock_ns += 20000000000U;
	assert_string_equal(event_names_get(*state, 9), "#9");
	assert_int_equal(walks, 2);
}

/* it takes no other one's name, though their numbers lie in one place */
static void test_missed_beside(void **state)
{
	assert_string_equal(event_names_get(*state, 8), "/found");
	assert_string_equal(event_names_get(*state, 8 + 1024), "#1032");
	assert_string_equal(event_names_get(*state, 8), "/found");
	assert_string_equal(event_names_get(*state, 8 + 2048), "#2056");
	assert_string_equal(event_names_get(*state, 8 + 1024), "#1032");
	assert_int_equal(walks, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found),
		TEST(test_missed),
		TEST(test_missed_beside),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
