// SPDX-License-Identifier: MIT
/*
 * What fair order costs. The same load, more clients than slots, is served by a daemon
 * in fair order and by one in order of arrival, one after the other and again, and the medians are
 * compared: fair order has 97 % of the other's tokens at least. What is compared is the daemon's
 * own: tokens for its processor time, which on a machine with other things to do tells what tokens
 * a second can not, and tokens a step, which a slot left empty would lower. On a machine that others
 * use, processor time says who else was there: without LLMOS_TIMED it is told and not judged.
 * Starts the daemons, whose command line takes its order from LLMOS_ORDER.
 *
 * cost [TOKENS [ROUNDS]]: of a run, and runs of each
 */
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "lib/group.h"
#include "lib/tap.h"

#define ROUNDS		9
#define ROUNDS_MAX	45
#define LEAST		0.97
#define LIMIT_S		120
#define TOKENS		6000

enum { FAIR, ARRIVAL, ORDERS };

static const char *const names[ORDERS] = { "fair", "arrival" };

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/** struct cost - of one run; of a second: of the clock, and of the daemon's processor time */
struct cost {
	double per_second;
	double per_cpu_second;
	double per_step;
};

static uint64_t cpu_ns(pid_t pid)
{
	struct timespec time;
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) || clock_gettime(id, &time) < 0)
		tap_bail("processor time of %d can not be read", (int)pid);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static bool is_timed(void)
{
	const char *timed = getenv("LLMOS_TIMED");

	return timed && *timed;
}

static struct cost run(int order, uint64_t wanted)
{
	static const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .ignore_eos = true, .max_tokens = 100,
	};
	/* those that share alike are through at once: where asking anew takes a while, more are there */
	struct group group = { .where = "here", .files = 24, .requests = is_timed() ? 1 : 2,
			       .opts = &opts };
	struct llmos_status before, after;
	uint64_t ns, cpu, tokens;
	pid_t pid = 0;

	setenv("LLMOS_ORDER", names[order], 1);
	if (e2e_daemon_start(&pid) < 0)
		tap_bail("no daemon in order of %s", names[order]);
	group_start(&group);
	/* the pages of the cache are touched for the first time */
	group_wait(&group, wanted / 2, LIMIT_S);
	e2e_status(&before);
	ns = e2e_now_ns();
	cpu = cpu_ns(pid);
	group_wait(&group, wanted / 2 + wanted, LIMIT_S);
	e2e_status(&after);
	ns = e2e_now_ns() - ns;
	cpu = cpu_ns(pid) - cpu;
	group_end(&group);
	e2e_daemon_end(pid, SIGTERM);
	tokens = after.output_tokens - before.output_tokens;
	return (struct cost){ tokens * 1e9 / ns, tokens * 1e9 / cpu,
			      (double)tokens / (after.steps - before.steps) };
}

static double median(const struct cost *costs, unsigned int count, size_t field)
{
	double values[ROUNDS_MAX];

	for (unsigned int i = 0; i < count; i++)
		values[i] = *(const double *)((const char *)&costs[i] + field);
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static double ratio(struct cost costs[ORDERS][ROUNDS_MAX], unsigned int rounds, size_t field)
{
	return median(costs[FAIR], rounds, field) / median(costs[ARRIVAL], rounds, field);
}

static void report(struct cost costs[ORDERS][ROUNDS_MAX], unsigned int rounds, size_t field,
		   const char *what)
{
	tap_note("%s: fair %.1f, in order of arrival %.1f (medians of %u): %.1f %%", what,
		 median(costs[FAIR], rounds, field), median(costs[ARRIVAL], rounds, field), rounds,
		 100 * ratio(costs, rounds, field));
}

/* a number of @max at most, or @fallback where there is none */
static uint64_t argument(const char *text, uint64_t fallback, uint64_t max)
{
	const uint64_t value = text ? strtoull(text, NULL, 10) : fallback;

	if (!value || value > max)
		tap_bail("'%s' is no number from 1 to %" PRIu64, text, max);
	return value;
}

int main(int argc, char **argv)
{
	const size_t cpu = offsetof(struct cost, per_cpu_second);
	const size_t step = offsetof(struct cost, per_step);
	static struct cost costs[ORDERS][ROUNDS_MAX];
	const bool timed = is_timed();
	const uint64_t tokens = argument(argc > 1 ? argv[1] : NULL, TOKENS, 1000000);
	const unsigned int rounds = (unsigned int)argument(argc > 2 ? argv[2] : NULL,
							   timed ? ROUNDS_MAX : ROUNDS, ROUNDS_MAX);

	/* who comes first takes turns, too */
	for (unsigned int i = 0; i < rounds; i++)
		for (unsigned int j = 0; j < ORDERS; j++)
			costs[(i + j) % ORDERS][i] = run((i + j) % ORDERS, tokens);
	report(costs, rounds, offsetof(struct cost, per_second), "tokens a second");
	report(costs, rounds, cpu, "tokens a second of processor time");
	report(costs, rounds, step, "tokens a step");
	tap_ok(ratio(costs, rounds, step) >= LEAST, "steps are as full: %.1f %%",
	       100 * ratio(costs, rounds, step));
	if (timed)
		tap_ok(ratio(costs, rounds, cpu) >= LEAST,
		       "a token takes as much of the processor: %.1f %%",
		       100 * ratio(costs, rounds, cpu));
	return tap_done();
}
