// SPDX-License-Identifier: MIT
/*
 * The daemon is killed again and again in the middle of greedy and sampled streams and started
 * anew each time. Over the device every stream's bytes equal the undisturbed ones. Over the socket,
 * where the daemon is the broker, a stream ends with one clean error and the next daemon serves.
 * Needs no running daemon: it starts its own.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/tap.h"

#define KILLS		20
#define ATTEMPTS	5
#define CUTS		1000	/* tries to have one that is not over when its first byte is read */
#define TOKENS		200
#define STALL_S		30

/* the greedy stream of 200 tokens first, then company: greedy, sampled, with repetition penalty */
static const unsigned int picks[] = { 0, 4, 7, 9 };
#define STREAMS ARRAY_SIZE(picks)

static struct e2e_answer alone[STREAMS];

static struct llmos_generate_opts stream_opts(unsigned int stream)
{
	struct llmos_generate_opts opts = e2e_case(picks[stream])->opts;

	opts.max_tokens = TOKENS;
	opts.ignore_eos = true;
	return opts;
}

static void record(void)
{
	struct llmos *llmos = e2e_open();

	for (unsigned int i = 0; i < STREAMS; i++) {
		struct llmos_generate_opts opts = stream_opts(i);
		int r = e2e_answer_get(llmos, &alone[i], e2e_case(picks[i])->prompt, &opts);

		if (r < 0)
			tap_bail("stream %u alone: %s", i, llmos_error(llmos));
	}
	llmos_free(llmos);
}

/* wait until stream 0 is longer than @len or has ended */
static void advance(struct llmos *llmos, struct e2e_answer *answer, size_t len)
{
	uint64_t deadline = e2e_now_ns() + STALL_S * 1000000000ULL * e2e_scale();

	while (!answer->ended && answer->len <= len) {
		int r = llmos_dispatch(llmos, 1000);

		if (r < 0 && r != -EINTR)
			tap_bail("dispatch: %s: %s", strerror(-r), llmos_error(llmos));
		if (e2e_now_ns() > deadline)
			tap_bail("no byte for %u s after a restart", STALL_S * e2e_scale());
	}
}

/* what a daemon that is no more has left to be read: it would be taken for the next one's */
static void drain(struct llmos *llmos, const struct e2e_answer *answer)
{
	size_t len;

	do {
		len = answer->len;
		llmos_dispatch(llmos, 50 * e2e_scale());
	} while (!answer->ended && answer->len != len);
}

static int finish(struct llmos *llmos, struct e2e_answer *answers, unsigned int count)
{
	uint64_t deadline = e2e_now_ns() + STALL_S * 1000000000ULL * e2e_scale();
	unsigned int ended = 0;

	while (ended < count && e2e_now_ns() < deadline) {
		llmos_dispatch(llmos, 100);
		ended = 0;
		for (unsigned int i = 0; i < count; i++)
			ended += answers[i].ended;
	}
	return ended == count ? 0 : -ETIMEDOUT;
}

/* one try to kill KILLS times while @count streams run; returns the kills that hit stream 0 */
static int disturb(pid_t *pid, unsigned int count)
{
	struct e2e_answer answers[STREAMS] = { 0 };
	struct llmos *llmos = e2e_open();
	int kills = 0;

	for (unsigned int i = 0; i < count; i++) {
		struct llmos_generate_opts opts = stream_opts(i);
		int r = e2e_answer_start(llmos, &answers[i], e2e_case(picks[i])->prompt, &opts);

		if (r < 0)
			tap_bail("stream %u: %s", i, llmos_error(llmos));
	}
	while (kills < KILLS) {
		advance(llmos, &answers[0], answers[0].len);
		if (answers[0].ended)
			break;
		e2e_daemon_end(*pid, SIGKILL);
		drain(llmos, &answers[0]);
		kills += !answers[0].ended;
		*pid = e2e_daemon_spawn();
	}
	if (finish(llmos, answers, count) < 0)
		tap_ok(false, "every stream ends");
	for (unsigned int i = 0; i < count; i++) {
		bool same = answers[i].status == 0 && e2e_answer_equal(&answers[i], &alone[i]);

		tap_ok(same, "stream %u: %zu bytes, the undisturbed ones, after %d kills", i,
		       answers[i].len, kills);
		if (!same) {
			tap_note("status %d", answers[i].status);
			e2e_answer_differ(&answers[i], &alone[i]);
		}
		e2e_answer_clear(&answers[i]);
	}
	llmos_free(llmos);
	return kills;
}

static void device(pid_t *pid, unsigned int count)
{
	struct llmos_status before, after;
	int kills = 0;

	e2e_daemon_wait(*pid);
	e2e_status(&before);
	for (int i = 0; i < ATTEMPTS && kills < KILLS; i++)
		kills = disturb(pid, count);
	tap_ok(kills >= KILLS, "%u streams: the daemon was killed %d times during one stream", count,
	       kills);
	e2e_daemon_wait(*pid);
	tap_ok(e2e_settled(&after), "nothing is left");
	tap_ok(after.recovered >= before.recovered + kills, "%llu requests were recovered",
	       (unsigned long long)(after.recovered - before.recovered));
	tap_ok(after.submitted == after.ended, "%llu requests were submitted, and %llu ended",
	       (unsigned long long)after.submitted, (unsigned long long)after.ended);
}

/*
 * One try to kill it in the middle of a stream. Who is not given a processor for a while may find
 * the stream at its end: false, and nothing was looked at.
 */
static bool cut_off(pid_t pid, const struct llmos_generate_opts *opts)
{
	struct e2e_answer answer = { 0 };
	struct llmos *llmos = e2e_open();
	int r;

	r = e2e_answer_start(llmos, &answer, e2e_case(picks[0])->prompt, opts);
	if (r < 0)
		tap_bail("submit: %s", llmos_error(llmos));
	advance(llmos, &answer, 0);
	/* what it has sent so far may be all there is, and still have to be read */
	kill(pid, SIGSTOP);
	drain(llmos, &answer);
	if (answer.ended) {
		kill(pid, SIGCONT);
		e2e_answer_clear(&answer);
		llmos_free(llmos);
		return false;
	}
	tap_ok(answer.len > 0, "it streams");
	e2e_daemon_end(pid, SIGKILL);
	r = llmos_request_wait(answer.request);
	tap_ok(r == -ECONNRESET, "the stream ends with ECONNRESET (%s)", strerror(-r));
	tap_ok(e2e_answer_begins(&answer, &alone[0]), "what came is right");
	r = llmos_nop(llmos);
	tap_ok(r == -ECONNRESET, "so does the next call (%s)", strerror(-r));
	tap_note("%s", llmos_error(llmos));
	e2e_answer_clear(&answer);
	llmos_free(llmos);
	return true;
}

static void over_socket(pid_t *pid)
{
	struct llmos_generate_opts opts = stream_opts(0);
	struct e2e_answer again = { 0 };
	struct llmos *llmos;
	int r, tries = 0;

	while (!cut_off(*pid, &opts))
		if (++tries == CUTS)
			tap_bail("each of %d streams was over when its first byte was read", tries);
	if (e2e_daemon_start(pid) < 0)
		tap_bail("no second daemon: its socket of the first is in the way?");
	llmos = e2e_open();
	r = e2e_answer_get(llmos, &again, e2e_case(picks[0])->prompt, &opts);
	tap_ok(r == 0 && e2e_answer_equal(&again, &alone[0]), "the next daemon answers the same");
	e2e_answer_clear(&again);
	llmos_free(llmos);
}

int main(void)
{
	struct sched_param first = { .sched_priority = 1 };
	pid_t pid = 0;
	int status;

	if (e2e_daemon_start(&pid) < 0)
		tap_bail("llmosd does not start");
	record();
	/* be there at once when a byte arrives, else the stream is over before it is disturbed */
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) < 0)
		tap_note("no real-time priority: %s", strerror(errno));
	if (e2e_device()) {
		device(&pid, 1);
		/* each restart computes all of each stream again */
		if (e2e_scale() == 1)
			device(&pid, STREAMS);
	} else {
		over_socket(&pid);
	}
	status = e2e_daemon_end(pid, SIGTERM);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the last daemon ends well (%#x)",
	       status);
	for (unsigned int i = 0; i < STREAMS; i++)
		e2e_answer_clear(&alone[i]);
	return tap_done();
}
