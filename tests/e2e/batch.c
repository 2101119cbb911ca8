// SPDX-License-Identifier: MIT
/*
 * Many clients at once: each stream equals the same question asked alone, byte for byte, whatever
 * else is in the batch; and they really ran together, which the daemon's count of steps shows. Half
 * of the clients share a connection in pairs.
 */
#include <poll.h>
#include <string.h>

#include "lib/cases.h"
#include "lib/tap.h"

#define CLIENTS		32
#define LIMIT_S		120

static struct e2e_answer alone[16];
static struct e2e_answer together[CLIENTS];
static struct llmos *conns[CLIENTS];
static unsigned int conns_count;

static void record(void)
{
	struct llmos *llmos = e2e_open();

	for (size_t i = 0; i < E2E_CASES; i++) {
		int r = e2e_answer_get(llmos, &alone[i], e2e_case(i)->prompt, &e2e_case(i)->opts);

		if (r < 0)
			tap_bail("case %zu alone: %s: %s", i, strerror(-r), llmos_error(llmos));
	}
	llmos_free(llmos);
}

static bool all_ended(void)
{
	for (unsigned int i = 0; i < CLIENTS; i++)
		if (!together[i].ended)
			return false;
	return true;
}

static void start(void)
{
	for (unsigned int i = 0; i < CLIENTS; i++) {
		const struct e2e_case *c = e2e_case(i % E2E_CASES);
		int r;

		/* the second half of the clients share connections, two by two */
		if (i < CLIENTS / 2 || i % 2 == 0)
			conns[conns_count++] = e2e_open();
		r = e2e_answer_start(conns[conns_count - 1], &together[i], c->prompt, &c->opts);
		if (r < 0)
			tap_bail("client %u: %s", i, llmos_error(conns[conns_count - 1]));
	}
}

static void run(void)
{
	uint64_t deadline = e2e_now_ns() + LIMIT_S * 1000000000ULL * e2e_scale();
	struct pollfd fds[CLIENTS];

	while (!all_ended()) {
		for (unsigned int i = 0; i < conns_count; i++)
			fds[i] = (struct pollfd){ llmos_fd(conns[i]), POLLIN, 0 };
		poll(fds, conns_count, 1000);
		for (unsigned int i = 0; i < conns_count; i++) {
			int r = llmos_dispatch(conns[i], 0);

			if (r < 0)
				tap_bail("dispatch: %s: %s", strerror(-r), llmos_error(conns[i]));
		}
		if (e2e_now_ns() > deadline)
			tap_bail("not done after %u s", LIMIT_S * e2e_scale());
	}
}

static void compare(void)
{
	for (unsigned int i = 0; i < CLIENTS; i++) {
		size_t c = i % E2E_CASES;
		bool same = together[i].status == 0 && e2e_answer_equal(&together[i], &alone[c]);

		tap_ok(same, "client %u: case %zu is its undisturbed self (%zu bytes)", i, c,
		       together[i].len);
		if (!same) {
			tap_note("status %d", together[i].status);
			e2e_answer_differ(&together[i], &alone[c]);
		}
	}
}

int main(void)
{
	struct llmos_status before, after;
	uint64_t tokens, steps;

	record();
	tap_ok(!e2e_answer_equal(&alone[4], &alone[5]), "another seed, another text");
	tap_ok(alone[0].len > e2e_tokens(200), "a story of %zu bytes", alone[0].len);
	e2e_status(&before);
	start();
	run();
	e2e_status(&after);
	compare();
	tokens = after.output_tokens - before.output_tokens;
	steps = after.steps - before.steps;
	tap_ok(tokens > e2e_tokens(1000) && steps < tokens / 2, "%llu tokens took %llu steps: they ran together",
	       (unsigned long long)tokens, (unsigned long long)steps);
	for (unsigned int i = 0; i < CLIENTS; i++)
		e2e_answer_clear(&together[i]);
	for (unsigned int i = 0; i < conns_count; i++)
		llmos_free(conns[i]);
	for (size_t i = 0; i < E2E_CASES; i++)
		e2e_answer_clear(&alone[i]);
	return tap_done();
}
