// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of throttle.c: the timer of high resolution, the work it starts, and the broker's lock,
 * which no interrupt may take. Who is let in by that, user space can see.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>

#include "../broker.h"
#include "../throttle.h"

#define LLM_TEST_WAIT_NS	(20 * NSEC_PER_MSEC)
#define LLM_TEST_PATIENCE_MS	10000

static u64 llm_test_due(void)
{
	u64 due_ns;

	spin_lock(&llm_broker.lock);
	due_ns = llm_broker.throttle.due_ns;
	spin_unlock(&llm_broker.lock);
	return due_ns;
}

/* Not before its time, and then once. */
static void llm_throttle_test_timer(struct kunit *test)
{
	struct llm_throttle *throttle = &llm_broker.throttle;
	const u64 due_ns = ktime_get_ns() + LLM_TEST_WAIT_NS;
	u64 ran_ns = 0;

	KUNIT_ASSERT_EQ(test, llm_test_due(), U64_MAX);
	KUNIT_ASSERT_FALSE(test, hrtimer_active(&throttle->timer));
	spin_lock(&llm_broker.lock);
	throttle->due_ns = due_ns;
	hrtimer_start(&throttle->timer, ns_to_ktime(due_ns), HRTIMER_MODE_ABS);
	spin_unlock(&llm_broker.lock);
	for (int i = 0; i < LLM_TEST_PATIENCE_MS && !ran_ns; i++) {
		if (llm_test_due() == U64_MAX)
			ran_ns = ktime_get_ns();
		else
			usleep_range(500, 1000);
	}
	KUNIT_EXPECT_GE(test, ran_ns, due_ns);
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&throttle->timer));
	KUNIT_EXPECT_EQ(test, llm_test_due(), U64_MAX);
}

/* With nobody who waits for a quota, nothing is set, however often it is looked at. */
static void llm_throttle_test_idle(struct kunit *test)
{
	for (int i = 0; i < 100; i++) {
		spin_lock(&llm_broker.lock);
		llm_throttle_run();
		spin_unlock(&llm_broker.lock);
	}
	KUNIT_EXPECT_EQ(test, llm_test_due(), U64_MAX);
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&llm_broker.throttle.timer));
}

static struct kunit_case llm_throttle_cases[] = {
	KUNIT_CASE(llm_throttle_test_timer),
	KUNIT_CASE(llm_throttle_test_idle),
	{}
};

static struct kunit_suite llm_throttle_suite = {
	.name = "llm_throttle",
	.test_cases = llm_throttle_cases,
};

kunit_test_suite(llm_throttle_suite);
