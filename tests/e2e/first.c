// SPDX-License-Identifier: MIT
/*
 * first WHERE WHERE:FILES:REQUESTS:SHARE
 *
 * A client that asks once in a while, beside a group that wants more than there is and has four
 * times as many requests as there are slots: it does not wait for those who were there before.
 * Before its first token those of them may end that have a slot, and as many again; in order of
 * arrival it would be all.
 *
 * With LLMOS_TIMED, on a machine that has nothing else to do, also the time to the first token of a
 * prompt of some length: at most one and a half times what it is alone, and one step.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/group.h"
#include "lib/tap.h"

#define ASKS	41
#define LIMIT_S	60
#define TRIES	4
#define PROMPT	400	/* tokens */
#define SHORT	8	/* tokens of an answer of the others */

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static struct llmos_usage ask(struct llmos *llmos, const char *prompt)
{
	static const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .ignore_eos = true, .max_tokens = 2,
	};
	struct llmos_usage usage = { .size = sizeof(usage) };
	struct e2e_answer answer = { 0 };

	if (e2e_answer_start(llmos, &answer, prompt, &opts) < 0 ||
	    llmos_request_wait(answer.request) < 0 ||
	    llmos_request_usage(answer.request, &usage) < 0)
		tap_bail("ask: %s", llmos_error(llmos));
	e2e_answer_clear(&answer);
	/* tokens without text are seen at their end */
	usage.first_ns = usage.first_ns ?: usage.end_ns;
	return usage;
}

/* ---- by what others were given meanwhile ---- */

static void ask_counted(struct llmos *llmos, struct group group)
{
	static const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .ignore_eos = true, .max_tokens = SHORT,
	};
	struct llmos_usage usages[ASKS];
	struct llmos_status status;
	unsigned int most = 0;

	group.opts = &opts;
	e2e_status(&status);
	group_start(&group);
	for (unsigned int i = 0; i < ASKS; i++) {
		/* seldom enough to be owed something */
		group_wait(&group, group_tokens(&group) + PROMPT, LIMIT_S);
		usages[i] = ask(llmos, "Once");
	}
	group_finish(&group, LIMIT_S);
	for (unsigned int i = 0; i < ASKS; i++) {
		const unsigned int ended = group_ended(&group, usages[i].submit_ns,
						       usages[i].first_ns);

		most = ended > most ? ended : most;
	}
	group_end(&group);
	tap_ok(group.files * group.requests >= 4 * status.slots && most <= 2 * status.slots,
	       "%u files with %u requests each beside it, for %u slots: at most %u answers of theirs ended before a first token",
	       group.files, group.requests, status.slots, most);
}

/* ---- by the clock ---- */

static uint64_t ask_timed(struct llmos *llmos, const char *prompt)
{
	const struct llmos_usage usage = ask(llmos, prompt);

	return usage.first_ns - usage.submit_ns;
}

/* the next one is asked when the others have had as much as this one took: no share is exceeded */
static uint64_t median(struct llmos *llmos, const char *prompt, struct group *group)
{
	uint64_t times[ASKS];

	for (unsigned int i = 0; i < ASKS; i++) {
		times[i] = ask_timed(llmos, prompt);
		if (group)
			group_wait(group, group_tokens(group) + PROMPT, LIMIT_S);
	}
	qsort(times, ASKS, sizeof(*times), compare);
	return times[ASKS / 2];
}

/** struct times - medians, and the time from one step to the next beside the group */
struct times {
	uint64_t alone_ns;
	uint64_t beside_ns;
	uint64_t step_ns;
};

static struct times measure(struct llmos *llmos, const char *prompt, struct group *group)
{
	struct llmos_status before, after;
	struct times times;

	group_start(group);
	group_wait(group, group_tokens(group) + 200, LIMIT_S);
	ask(llmos, prompt);
	group_wait(group, group_tokens(group) + PROMPT, LIMIT_S);
	e2e_status(&before);
	times.step_ns = e2e_now_ns();
	times.beside_ns = median(llmos, prompt, group);
	times.step_ns = e2e_now_ns() - times.step_ns;
	e2e_status(&after);
	times.step_ns /= after.steps - before.steps ?: 1;
	group_end(group);
	times.alone_ns = median(llmos, prompt, NULL);
	return times;
}

static uint64_t limit_ns(const struct times *times)
{
	return times->alone_ns + times->alone_ns / 2 + times->step_ns;
}

static void judge_times(struct llmos *llmos, struct group group)
{
	char *prompt = e2e_long_prompt(PROMPT);
	struct times times;

	/* another process may take the processor for the one half and not for the other */
	for (unsigned int i = 0; i < TRIES; i++) {
		times = measure(llmos, prompt, &group);
		if (times.beside_ns <= limit_ns(&times))
			break;
		tap_note("again: %.2f ms beside, %.2f ms alone", times.beside_ns / 1e6,
			 times.alone_ns / 1e6);
	}
	tap_ok(times.beside_ns <= limit_ns(&times),
	       "%u files with %u requests each beside it: the first token after %.2f ms; alone %.2f ms, a step %.2f ms: at most %.2f ms",
	       group.files, group.requests, times.beside_ns / 1e6, times.alone_ns / 1e6,
	       times.step_ns / 1e6, limit_ns(&times) / 1e6);
	free(prompt);
}

int main(int argc, char **argv)
{
	struct llmos *llmos;
	struct group group;

	if (argc != 3)
		return 64;
	group = group_parse(argv[2]);
	/* what everybody does is done from its place, also the looks at the status */
	group_enter(argv[1]);
	llmos = e2e_open();
	ask_counted(llmos, group);
	if (getenv("LLMOS_TIMED") && *getenv("LLMOS_TIMED"))
		judge_times(llmos, group);
	llmos_free(llmos);
	return tap_done();
}
