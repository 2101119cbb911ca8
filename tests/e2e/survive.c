// SPDX-License-Identifier: MIT
/*
 * survive KILLS: the daemon is killed so many times under sixteen greedy streams, each time after a
 * random number of pieces, and another one is started. No byte is lost, none comes twice, and every
 * stream goes on with the new daemon before that is killed. With LLMOS_TIMED, on a machine that has
 * nothing else to do, within a second of its start, the loading of the model included; else that is
 * told and not judged. Over the device; starts the daemons.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/cases.h"
#include "lib/tap.h"

#define STREAMS		16
#define PROMPTS		4
#define PIECES		300	/* of all streams between two kills, at most */
#define LIMIT_S		120
#define QUIET_MS	20
#define RESUME_NS	1000000000ULL
#define KILLS_MAX	1000

static const char *const prompts[PROMPTS] = {
	"Once upon a time", "One day, a boy named Tim", "The dog was very", "Lily",
};

static struct e2e_answer truth[PROMPTS], streams[STREAMS];
static size_t lens[STREAMS];
static struct llmos *llmos;
static unsigned int pieces, whole, short_ones, long_ones, wrong;
static uint64_t resumes[KILLS_MAX];
static unsigned int resume_count, stalled;

static struct llmos_generate_opts opts(void)
{
	return (struct llmos_generate_opts){ .size = sizeof(struct llmos_generate_opts), .raw = true,
					     .ignore_eos = true, .max_tokens = e2e_tokens(240) };
}

static void piece(struct e2e_answer *answer)
{
	(void)answer;
	pieces++;
}

static void start(unsigned int i)
{
	const struct llmos_generate_opts o = opts();

	streams[i].progress = piece;
	lens[i] = 0;
	if (e2e_answer_start(llmos, &streams[i], prompts[i % PROMPTS], &o) < 0)
		tap_bail("stream %u: %s", i, llmos_error(llmos));
}

/* a stream has ended: what became of it */
static void judge(unsigned int i)
{
	const struct e2e_answer *want = &truth[i % PROMPTS], *got = &streams[i];

	if (got->status == 0 && e2e_answer_equal(got, want)) {
		whole++;
		return;
	}
	if (got->status < 0 || got->len < want->len)
		short_ones++;
	else if (got->len > want->len)
		long_ones++;
	else
		wrong++;
	tap_note("stream %u: status %d", i, got->status);
	e2e_answer_differ(got, want);
}

/* what there is to read, for so long; those that end begin again */
static void read_streams(int timeout_ms)
{
	int r = llmos_dispatch(llmos, timeout_ms);

	if (r < 0 && r != -EINTR)
		tap_bail("dispatch: %s: %s", strerror(-r), llmos_error(llmos));
	for (unsigned int i = 0; i < STREAMS; i++) {
		if (!streams[i].ended)
			continue;
		judge(i);
		e2e_answer_clear(&streams[i]);
		start(i);
	}
}

static bool all_went_on(void)
{
	for (unsigned int i = 0; i < STREAMS; i++)
		if (streams[i].len == lens[i])
			return false;
	return true;
}

static void wait_pieces(unsigned int count)
{
	uint64_t deadline = e2e_now_ns() + LIMIT_S * 1000000000ULL * e2e_scale();

	for (count += pieces; pieces < count; read_streams(1000))
		if (e2e_now_ns() > deadline)
			tap_bail("nothing comes");
}

/* what was committed before the kill is read before the clock runs */
static void drain(void)
{
	unsigned int before;

	do {
		before = pieces;
		read_streams(QUIET_MS);
	} while (pieces != before);
	for (unsigned int i = 0; i < STREAMS; i++)
		lens[i] = streams[i].len;
}

static void disturb(pid_t *pid)
{
	uint64_t begin_ns, ns = 0;

	e2e_daemon_end(*pid, SIGKILL);
	drain();
	begin_ns = e2e_now_ns();
	*pid = e2e_daemon_spawn();
	while (!all_went_on() && ns < LIMIT_S * 1000000000ULL * e2e_scale()) {
		read_streams(100);
		ns = e2e_now_ns() - begin_ns;
	}
	stalled += !all_went_on();
	resumes[resume_count++] = ns;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void judge_resumes(void)
{
	const char *timed = getenv("LLMOS_TIMED");
	uint64_t worst_ns;

	qsort(resumes, resume_count, sizeof(*resumes), compare);
	worst_ns = resumes[resume_count - 1];
	tap_ok(!stalled, "every stream went on with each new daemon: %.0f ms after its start, %.0f ms at the most",
	       resumes[resume_count / 2] / 1e6, worst_ns / 1e6);
	if (timed && *timed)
		tap_ok(worst_ns <= RESUME_NS * e2e_scale(), "all of them within a second");
}

static void record(void)
{
	const struct llmos_generate_opts o = opts();

	llmos = e2e_open();
	for (unsigned int i = 0; i < PROMPTS; i++)
		if (e2e_answer_get(llmos, &truth[i], prompts[i], &o) < 0)
			tap_bail("alone: %s", llmos_error(llmos));
}

int main(int argc, char **argv)
{
	unsigned int kills = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct e2e_random dice = { e2e_number("LLMOS_SEED", e2e_now_ns() & 0xffffffff) };
	struct llmos_status status;
	pid_t pid = 0;

	if (!kills || kills > KILLS_MAX)
		return 64;
	tap_note("LLMOS_SEED=%llu", (unsigned long long)dice.state);
	if (e2e_daemon_start(&pid) < 0)
		tap_bail("llmosd does not start");
	record();
	for (unsigned int i = 0; i < STREAMS; i++)
		start(i);
	for (unsigned int i = 0; i < kills; i++) {
		wait_pieces(1 + e2e_below(&dice, PIECES));
		disturb(&pid);
	}
	for (unsigned int i = whole; whole < i + STREAMS && !wrong && !short_ones && !long_ones;)
		wait_pieces(1);
	tap_ok(!short_ones && !long_ones && !wrong && whole,
	       "%u kills under %u streams: %u whole answers, %u with something lost, %u with something twice, %u different",
	       kills, STREAMS, whole, short_ones, long_ones, wrong);
	judge_resumes();
	for (unsigned int i = 0; i < STREAMS; i++)
		e2e_answer_clear(&streams[i]);
	for (unsigned int i = 0; i < PROMPTS; i++)
		e2e_answer_clear(&truth[i]);
	llmos_free(llmos);
	tap_ok(e2e_settled(&status), "nothing is left");
	e2e_daemon_end(pid, SIGTERM);
	return tap_done();
}
