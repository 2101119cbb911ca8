// SPDX-License-Identifier: MIT
/*
 * The module's request logic under random use: see kshim/driver.h. LLMOS_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/kshim/driver.h"

#define RUNS	50
#define RUNS_MOST	500
#define BYTES	60000

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void add(struct driver_stats *total, const struct driver_stats *stats)
{
	total->steps += stats->steps;
	total->submitted += stats->submitted;
	total->delivered += stats->delivered;
	total->committed += stats->committed;
	total->bytes_read += stats->bytes_read;
	total->ends_read += stats->ends_read;
	total->parked += stats->parked;
	total->paused += stats->paused;
	total->cancelled += stats->cancelled;
	total->recovered += stats->recovered;
	total->refused += stats->refused;
	total->short_of_memory += stats->short_of_memory;
	total->reclaimed += stats->reclaimed;
	total->quotas += stats->quotas;
	total->told += stats->told;
	total->buffer_uses += stats->buffer_uses;
	total->session_turns += stats->session_turns;
	total->session_ends += stats->session_ends;
	total->session_bytes += stats->session_bytes;
}

/* All of it did happen. */
static bool is_enough(const struct driver_stats *total)
{
	return total->submitted > 1000 &&
	       total->delivered > 1000 &&
	       total->committed > 1000 &&
	       total->bytes_read > 100000 &&
	       total->ends_read > 100 &&
	       total->parked > 1000 &&
	       total->paused > 5 &&
	       total->recovered > 100 &&
	       total->short_of_memory > 100 &&
	       total->reclaimed > 10 &&
	       total->quotas > 100 &&
	       total->told > 100 &&
	       total->buffer_uses > 1000 &&
	       total->session_turns > 30 &&
	       total->session_ends > 30 &&
	       total->session_bytes > 5000;
}

static void test_random(void **state)
{
	const char *given = getenv("LLMOS_SEED");
	uint64_t seed = given && *given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	struct driver_stats total = { }, stats;
	uint8_t *bytes = malloc(BYTES);

	(void)state;
	assert_non_null(bytes);
	print_message("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	/* what is rare may take more */
	for (int run = 0; run < RUNS || (run < RUNS_MOST && !is_enough(&total)); run++) {
		for (size_t i = 0; i < BYTES; i++)
			bytes[i] = (uint8_t)random_next(&seed);
		driver_run(bytes, BYTES, &stats);
		add(&total, &stats);
	}
	free(bytes);
	print_message("# %lu steps: %lu requests, %lu events, %lu commits, %lu bytes and %lu ends "
		      "read, %lu calls parked, %lu pauses, %lu cancelled, %lu recovered, "
		      "%lu refused, %lu quotas set or reset, %lu events told, short of memory "
		      "%lu times, %lu asked back, %lu turns of sessions, %lu sessions told over, "
		      "%lu bytes said in them, %lu uses of buffers\n",
		      total.steps, total.submitted,
		      total.delivered, total.committed, total.bytes_read, total.ends_read,
		      total.parked, total.paused, total.cancelled, total.recovered, total.refused,
		      total.quotas, total.told, total.short_of_memory, total.reclaimed,
		      total.session_turns, total.session_ends, total.session_bytes, total.buffer_uses);
	assert_true(is_enough(&total));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("kmod_random", tests, NULL, NULL);
}
