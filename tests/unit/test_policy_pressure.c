// SPDX-License-Identifier: MIT
/*
 * Pressure beside a reading of its definition that remembers every change and adds all of it up
 * again, period by period, in floating point. LLMOS_SEED repeats a run.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kmod/policy/pressure.h"

#define SECOND		1000000000ULL
#define CHANGES		400
#define RUNS		60

/* What holds from a time on. */
struct change {
	u64 at_ns;
	u32 waiting;
	u32 running;
};

static struct change changes[CHANGES + 1];
static unsigned int count;
static u64 seed;

static u64 random_below(u64 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed * 0x2545f4914f6cdd1dULL >> 11) % n;
}

static bool is_stalled(const struct change *change, enum llm_stall stall)
{
	return change->waiting && (stall == LLM_STALL_SOME || !change->running);
}

/* Time stalled between two times. */
static u64 naive_stalled(enum llm_stall stall, u64 from_ns, u64 to_ns)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < count; i++) {
		const u64 begin = changes[i].at_ns > from_ns ? changes[i].at_ns : from_ns;
		u64 end = i + 1 < count ? changes[i + 1].at_ns : to_ns;

		end = end < to_ns ? end : to_ns;
		if (is_stalled(&changes[i], stall) && end > begin)
			sum += end - begin;
	}
	return sum;
}

static double naive_average(enum llm_stall stall, double constant_s, u64 now_ns)
{
	const double decay = exp(-(double)LLM_PRESSURE_PERIOD_NS / SECOND / constant_s);
	double average = 0;

	for (u64 at = changes[0].at_ns; at + LLM_PRESSURE_PERIOD_NS <= now_ns;
	     at += LLM_PRESSURE_PERIOD_NS)
		average = average * decay + (1 - decay) *
			  (double)naive_stalled(stall, at, at + LLM_PRESSURE_PERIOD_NS) /
			  (double)LLM_PRESSURE_PERIOD_NS;
	return average;
}

static void check(struct llm_pressure *pressure, u64 now_ns)
{
	static const double constants_s[LLM_AVERAGES] = { 10, 60, 300 };

	llm_pressure_update(pressure, now_ns);
	for (int stall = 0; stall < LLM_STALLS; stall++) {
		assert_int_equal(pressure->total_ns[stall],
				 naive_stalled(stall, changes[0].at_ns, now_ns));
		for (int i = 0; i < LLM_AVERAGES; i++) {
			const double want = naive_average(stall, constants_s[i], now_ns) * 10000;

			assert_true(fabs(llm_pressure_percent(pressure, stall, i) - want) <= 1);
		}
	}
}

/* Mostly short, now and then many periods. */
static u64 random_pause(void)
{
	switch (random_below(8)) {
	case 0:
		return random_below(100 * SECOND);
	case 1:
		return LLM_PRESSURE_PERIOD_NS * random_below(4);
	case 2:
		return 0;
	default:
		return random_below(SECOND);
	}
}

static void change(struct llm_pressure *pressure, u64 now_ns)
{
	const struct change *last = &changes[count - 1];
	const struct change next = {
		now_ns,
		(u32)random_below(3),
		(u32)random_below(3),
	};

	llm_pressure_change(pressure, (int)next.waiting - (int)last->waiting,
			    (int)next.running - (int)last->running, now_ns);
	changes[count++] = next;
}

static void test_random(void **state)
{
	const char *given = getenv("LLMOS_SEED");

	(void)state;
	seed = given && *given ? strtoull(given, NULL, 0) : (u64)time(NULL);
	seed += !seed;
	print_message("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	for (int run = 0; run < RUNS; run++) {
		u64 now_ns = random_below(1000 * SECOND);
		struct llm_pressure pressure;

		llm_pressure_init(&pressure, now_ns);
		count = 0;
		changes[count++] = (struct change){ .at_ns = now_ns };
		while (count < CHANGES) {
			now_ns += random_pause();
			if (random_below(4) == 0)
				check(&pressure, now_ns);
			change(&pressure, now_ns);
		}
		check(&pressure, now_ns + random_below(1000 * SECOND));
	}
}

/* All of the time, then none of it. */
static void test_extremes(void **state)
{
	struct llm_pressure pressure;
	u64 now_ns = 5;

	(void)state;
	llm_pressure_init(&pressure, now_ns);
	llm_pressure_change(&pressure, 1, 0, now_ns);
	now_ns += 1ULL << 50;
	llm_pressure_update(&pressure, now_ns);
	for (int stall = 0; stall < LLM_STALLS; stall++)
		for (int i = 0; i < LLM_AVERAGES; i++)
			assert_int_equal(llm_pressure_percent(&pressure, stall, i), 10000);
	assert_int_equal(pressure.total_ns[LLM_STALL_FULL], 1ULL << 50);
	llm_pressure_change(&pressure, 0, 1, now_ns);
	now_ns += 1ULL << 50;
	llm_pressure_update(&pressure, now_ns);
	assert_int_equal(llm_pressure_percent(&pressure, LLM_STALL_SOME, LLM_AVERAGE_10), 10000);
	assert_int_equal(llm_pressure_percent(&pressure, LLM_STALL_FULL, LLM_AVERAGE_300), 0);
	llm_pressure_change(&pressure, -1, 0, now_ns);
	now_ns += 1ULL << 50;
	llm_pressure_update(&pressure, now_ns);
	assert_int_equal(llm_pressure_percent(&pressure, LLM_STALL_SOME, LLM_AVERAGE_300), 0);
	assert_int_equal(pressure.total_ns[LLM_STALL_SOME], 1ULL << 51);
}

/* A clock that stands still or steps back is no stall. */
static void test_clock(void **state)
{
	struct llm_pressure pressure;

	(void)state;
	llm_pressure_init(&pressure, 1000);
	llm_pressure_change(&pressure, 1, 0, 1000);
	llm_pressure_update(&pressure, 10);
	assert_int_equal(pressure.total_ns[LLM_STALL_SOME], 0);
	llm_pressure_update(&pressure, 1010);
	assert_int_equal(pressure.total_ns[LLM_STALL_SOME], 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_clock),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy_pressure", tests, NULL, NULL);
}
