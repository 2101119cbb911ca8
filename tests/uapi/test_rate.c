// SPDX-License-Identifier: MIT
/*
 * A rate of 100 tokens a second: kept over LLMOS_RATE_SECONDS (6) to within 97 to 101, by two
 * children of the cgroup that has it together; and whatever happens, no more is generated than a
 * bucket with its burst would have let out. Where this process has to wait for a processor, what it
 * knows of the time, and of what ran over meanwhile, is a range.
 */
#include "uapi.h"
#include "uapi_netlink.h"
#include "uapi_step.h"

#include <stdio.h>
#include <stdlib.h>

#define TOP	"llmos-rate"
#define A	TOP "/a"
#define B	TOP "/b"

#define RATE	100.0	/* tokens a second */
#define BURST	50.0
#define SLACK	1.5	/* the token under way, and fractions of one */

static int nl, client;
static uint64_t top;

/*
 * A bucket beside the kernel's: what it would still hold. What was let out may be seen later, by
 * the longest time that this process took to use up what it was given.
 */
struct bucket {
	double level;
	double lowest;
	double over;		/* what came when it was full */
	uint64_t at_ns;
	uint64_t idle_ns;	/* when there was nothing to do last */
	uint64_t late_ns;
};

/* Lets time pass; and a token was seen, which had been let out before. */
static void bucket_pass(struct bucket *bucket, uint64_t at_ns, unsigned int tokens)
{
	if (at_ns - bucket->idle_ns > bucket->late_ns)
		bucket->late_ns = at_ns - bucket->idle_ns;
	if (!tokens)
		bucket->idle_ns = at_ns;
	bucket->level += (double)(at_ns - bucket->at_ns) / 1e9 * RATE;
	if (bucket->level > BURST) {
		bucket->over += bucket->level - BURST;
		bucket->level = BURST;
	}
	bucket->at_ns = at_ns;
	bucket->level -= tokens;
	if (bucket->level < bucket->lowest)
		bucket->lowest = bucket->level;
}

/* Nothing was let out that it would not have held. */
static bool bucket_held(const struct bucket *bucket)
{
	tap_note("%.2f left at the least, %.1f ms late at the most", bucket->lowest,
		 (double)bucket->late_ns / 1e6);
	return bucket->lowest >= -SLACK - (double)bucket->late_ns / 1e9 * RATE;
}

static double seconds(void)
{
	const char *given = getenv("LLMOS_RATE_SECONDS");

	return given && *given ? atof(given) : 6;
}

static unsigned int tokens_from(uint64_t cgroup)
{
	unsigned int sum = 0;

	for (int i = 0; i < STEP_HELD_MAX; i++)
		if (step_helds[i].id && step_helds[i].cgroup == cgroup)
			sum += step_helds[i].tokens;
	return sum;
}

/* When the bucket was found empty: not before, and not after. */
struct empty {
	uint64_t from_ns;
	uint64_t until_ns;
};

/* Steps for so long, and on until the bucket has just been emptied. Return: tokens. */
static unsigned int run(double for_s, struct bucket *bucket, struct empty *ret_empty)
{
	const uint64_t end_ns = now_ns() + (uint64_t)(for_s * 1e9);
	unsigned int sum = 0;
	bool fresh = false;

	for (;;) {
		const uint64_t at_ns = now_ns();
		const int n = step_all();

		/* seen after it was let out: the earliest time is what is fair to the kernel */
		bucket_pass(bucket, n ? now_ns() : at_ns, (unsigned int)n);
		sum += (unsigned int)n;
		if (!n && fresh && at_ns >= end_ns) {
			*ret_empty = (struct empty){ at_ns, now_ns() };
			return sum;
		}
		fresh = n;
		if (!n)
			step_news(20);
	}
}

static void test_rate(void)
{
	struct bucket bucket = { .level = BURST, .at_ns = now_ns(), .idle_ns = now_ns() };
	const uint64_t a = cgroup_id_of(A), b = cgroup_id_of(B);
	const double for_s = seconds();
	struct empty begin, end;
	unsigned int tokens;
	double least, most, rate;

	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_RATE, (uint64_t)(RATE * LLM_NL_TOKEN),
			LLM_NL_A_QUOTA_BURST, (uint64_t)(BURST * LLM_NL_TOKEN), 0), 0,
	   "%.0f tokens a second, %.0f at once", RATE, BURST);
	for (int i = 0; i < 4; i++)
		must(ask_from(client, A, 0, 0) && ask_from(client, B, 0, 0), "requests");
	step_begin(8);
	/* what had been saved is used up first */
	run(1, &bucket, &begin);
	bucket.over = 0;
	tokens = run(for_s, &bucket, &end);
	least = tokens * 1e9 / (double)(end.until_ns - begin.from_ns);
	most = (tokens + bucket.over) * 1e9 / (double)(end.from_ns - begin.until_ns);
	ok(most >= 97 && least <= 101, "%.2f to %.2f tokens a second over %.1f s", least, most,
	   (double)(end.from_ns - begin.until_ns) / 1e9);
	ok(bucket_held(&bucket), "never more than the bucket holds");
	rate = (double)tokens_from(a) / (tokens_from(a) + tokens_from(b));
	ok(rate >= 0.45 && rate <= 0.55, "both children have their share: %.3f", rate);
}

/* Idleness saves no more than the burst, and a rate that is raised holds at once. */
static void test_burst(void)
{
	struct bucket bucket;
	unsigned int burst = 0;
	uint64_t begin_ns;
	int n;

	/* nobody wants anything while time passes: until an event that comes once a second is due */
	step_finish();
	must(!cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), "forget all");
	begin_ns = now_ns();
	while (now_ns() - begin_ns < 1000000000)
		step_news(100);
	must(ask_from(client, A, 0, 0), "a request");
	bucket = (struct bucket){ .level = BURST, .at_ns = now_ns(), .idle_ns = now_ns() };
	begin_ns = now_ns();
	step_news(100);
	while ((n = step_all())) {
		bucket_pass(&bucket, now_ns(), (unsigned int)n);
		burst += (unsigned int)n;
	}
	ok(burst >= BURST - 2, "%u tokens at once after idleness", burst);
	ok(bucket_held(&bucket), "no more than had been saved");
	is(nl_quota_set(nl, top, LLM_NL_A_QUOTA_RATE, UINT64_MAX, LLM_NL_A_QUOTA_BURST, UINT64_MAX,
			0), 0, "no rate");
	step_news(1000);
	n = 0;
	for (int i = 0; i < 500; i++)
		n += step_all();
	is(n, 500, "as fast as it goes");
	step_finish();
}

int main(void)
{
	client = client_open();
	nl = nl_open();
	must(nl >= 0, "the family \"llm\"");
	top = cgroup_make(TOP);
	if (!top || !cgroup_make(A) || !cgroup_make(B)) {
		tap_skip("rates", strerror(errno));
		return tap_done();
	}
	test_rate();
	test_burst();
	step_end();
	must(!cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), "forget all");
	is(nl_quota_reset_all(nl), 0, "reset");
	must(cgroup_remove(A) && cgroup_remove(B) && cgroup_remove(TOP), "remove");
	close(client);
	return tap_done();
}
