// SPDX-License-Identifier: MIT
/*
 * A request ends with its asker, at any moment: asked for, by close, by kill -9; in the middle of
 * a long prompt, in the middle of an answer, and while it is paused for others. Its slot and its pages are free within one step, and
 * who else was being answered does not notice. Wants a daemon with two slots, and few tokens a step so that a
 * long prompt takes many.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/group.h"
#include "lib/tap.h"

#define ROUNDS		10
#define KILLS		34	/* in each phase: a hundred and two */
#define LIMIT_S		120	/* for a way in a phase */
#define PROMPT_TOKENS	500

enum way { BY_CALL, BY_CLOSE, BY_KILL };
enum phase { PREFILL, DECODE, PAUSED };

static const char *const way_names[] = { "cancel", "close", "kill -9" };
static const char *const phase_names[] = { "prefill", "answer", "pause" };

struct victim {
	pid_t pid;	/* who submits: a child, or this process */
	uint64_t computed;	/* tokens of prompts before it */
	uint64_t id;
	enum phase phase;
	bool gone;	/* it ended before it was seen in its phase */
};

static char *long_prompt;

static const struct llmos_generate_opts *victim_opts(enum phase phase)
{
	static const struct llmos_generate_opts prefill = {
		.size = sizeof(prefill), .raw = true, .max_tokens = 10,
	}, decode = {
		.size = sizeof(decode), .raw = true, .max_tokens = 480, .ignore_eos = true,
	};

	return phase == PREFILL ? &prefill : &decode;
}

static void victim_init(struct victim *victim, enum phase phase)
{
	struct llmos_status status = { 0 };

	e2e_status(&status);
	*victim = (struct victim){ .phase = phase, .computed = status.prompt_tokens };
}

static int victim_start(struct llmos *llmos, struct e2e_answer *answer, enum phase phase)
{
	return e2e_answer_start(llmos, answer, phase == PREFILL ? long_prompt : "Once",
				victim_opts(phase));
}

static bool find(struct victim *victim, struct llmos_process *ret)
{
	struct llmos_processes *list = NULL;
	struct llmos *llmos = e2e_open();
	bool found = false;

	if (llmos_ps(llmos, &list) == 0) {
		for (size_t i = 0; i < list->count && !found; i++) {
			struct llmos_process *p = &list->processes[i];

			if (victim->id ? p->id == victim->id : p->pid == (uint32_t)victim->pid) {
				*ret = *p;
				found = true;
			}
		}
		llmos_processes_free(list);
	}
	llmos_free(llmos);
	return found;
}

static bool in_phase(void *arg)
{
	struct victim *victim = arg;
	struct llmos_status status;
	struct llmos_process p;

	if (!find(victim, &p)) {
		victim->gone = victim->id != 0;
		return victim->gone;
	}
	victim->id = p.id;
	if (victim->phase == PAUSED)
		return p.state == LLMOS_PAUSED;
	if (victim->phase == DECODE)
		return p.state == LLMOS_RUNNING && p.output_tokens;
	victim->gone = p.output_tokens;
	return victim->gone || (p.state == LLMOS_RUNNING && e2e_status(&status) == 0 &&
				status.prompt_tokens > victim->computed);
}

static bool not_listed(void *arg)
{
	struct llmos_process p;

	return !find(arg, &p);
}

/* kill -9 of a process that asked; 1 if it was caught in its phase */
static int round_kill(struct victim *victim)
{
	victim->pid = fork();
	if (victim->pid < 0)
		tap_bail("fork: %s", strerror(errno));
	if (victim->pid == 0) {
		struct e2e_answer answer = { 0 };
		struct llmos *llmos = NULL;

		if (llmos_open(&llmos, NULL) < 0 ||
		    victim_start(llmos, &answer, victim->phase) < 0)
			_exit(1);
		llmos_request_wait(answer.request);
		/* done before it was noticed: wait for the end all the same */
		pause();
		_exit(1);
	}
	if (!e2e_wait(10, in_phase, victim))
		victim->gone = true;
	kill(victim->pid, SIGKILL);
	waitpid(victim->pid, NULL, 0);
	return victim->gone ? 0 : 1;
}

/* cancel or close in this process */
static int round_own(struct victim *victim, enum way way)
{
	struct e2e_answer answer = { 0 };
	struct llmos *llmos = e2e_open();
	int r;

	victim->pid = getpid();
	r = victim_start(llmos, &answer, victim->phase);
	if (r < 0)
		tap_bail("submit: %s", llmos_error(llmos));
	victim->id = llmos_request_id(answer.request);
	if (!e2e_wait(10, in_phase, victim))
		victim->gone = true;
	if (way == BY_CALL) {
		r = llmos_request_cancel(answer.request);
		llmos_request_wait(answer.request);
		if (r < 0 || answer.status != -ECANCELED)
			victim->gone = true;
		e2e_answer_clear(&answer);
		llmos_free(llmos);
	} else {
		llmos_free(llmos);
		answer.request = NULL;
		e2e_answer_clear(&answer);
	}
	return victim->gone ? 0 : 1;
}

static unsigned int cancelled_by_server(void)
{
	struct llmos_status status = { 0 };

	e2e_status(&status);
	return status.server_cancelled;
}

/*
 * As many as are wanted that were caught in their phase: one that was seen at it may yet have ended
 * by itself before it was cancelled, and then another one is tried. How many that takes depends on
 * who is given a processor and when.
 */
static unsigned int catch(enum way way, enum phase phase, unsigned int wanted,
			  unsigned int *ret_tries, bool *freed)
{
	const uint64_t deadline = e2e_now_ns() + LIMIT_S * 1000000000ULL * e2e_scale();
	unsigned int caught = 0, i;

	for (i = 0; caught < wanted && e2e_now_ns() < deadline; i++) {
		const unsigned int before = cancelled_by_server();
		struct victim victim;
		int seen;

		victim_init(&victim, phase);
		seen = way == BY_KILL ? round_kill(&victim) : round_own(&victim, way);
		*freed = e2e_wait(10, not_listed, &victim) && *freed;
		caught += seen && cancelled_by_server() == before + 1;
	}
	*ret_tries = i;
	return caught;
}

static void rounds(enum way way, enum phase phase)
{
	struct group load = { .where = "here", .files = 4, .requests = 1 };
	const unsigned int wanted = way == BY_KILL ? KILLS : ROUNDS;
	struct llmos_status before, after;
	unsigned int caught, tries;
	bool freed = true;

	e2e_status(&before);
	/* who shares two slots with four others is paused for most of the time */
	if (phase == PAUSED)
		group_start(&load);
	caught = catch(way, phase, wanted, &tries, &freed);
	if (phase == PAUSED)
		group_end(&load);
	tap_ok(freed && e2e_settled(&after), "%s in the %s: slots and pages are free", way_names[way],
	       phase_names[phase]);
	tap_ok(caught == wanted, "%s: %u of %u caught in the %s", way_names[way], caught, wanted,
	       phase_names[phase]);
	if (phase == PREFILL)
		tap_ok(after.prompt_tokens - before.prompt_tokens < tries * (PROMPT_TOKENS - 1),
		       "%llu tokens of prompts were computed, %u asked for",
		       (unsigned long long)(after.prompt_tokens - before.prompt_tokens),
		       tries * PROMPT_TOKENS);
	tap_ok(after.cancel_steps_max <= 1, "%s in the %s: at most %u step begun afterwards",
	       way_names[way], phase_names[phase], after.cancel_steps_max);
}

/* somebody else's answer all the while */
static pid_t bystander(int *ret_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds) < 0)
		tap_bail("pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		struct e2e_answer first = { 0 }, next = { 0 };
		struct llmos *llmos = NULL;
		uint32_t count = 0;

		close(fds[0]);
		signal(SIGPIPE, SIG_IGN);
		if (llmos_open(&llmos, NULL) < 0 ||
		    e2e_answer_get(llmos, &first, e2e_case(0)->prompt, &e2e_case(0)->opts) < 0)
			_exit(2);
		/* until the reader of the pipe is gone */
		while (write(fds[1], &count, sizeof(count)) == sizeof(count)) {
			count++;
			if (e2e_answer_get(llmos, &next, e2e_case(0)->prompt,
					   &e2e_case(0)->opts) < 0 ||
			    !e2e_answer_equal(&first, &next))
				_exit(3);
			e2e_answer_clear(&next);
		}
		_exit(0);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

int main(void)
{
	struct llmos_status status;
	uint32_t count = 0;
	int fd, wait_status;
	pid_t pid;

	long_prompt = e2e_long_prompt(PROMPT_TOKENS - 1);
	for (enum phase phase = PREFILL; phase <= PAUSED; phase++)
		for (enum way way = BY_CALL; way <= BY_KILL; way++)
			rounds(way, phase);

	pid = bystander(&fd);
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		tap_bail("the bystander did not start");
	for (int i = 0; i < ROUNDS; i++) {
		struct victim victim;

		victim_init(&victim, i % 2 ? DECODE : PREFILL);
		round_kill(&victim);
	}
	while (count < 1 && read(fd, &count, sizeof(count)) == sizeof(count))
		;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (read(fd, &count, sizeof(count)) == sizeof(count))
		;
	close(fd);
	waitpid(pid, &wait_status, 0);
	tap_ok(wait_status == 0, "%u answers of a bystander stayed the same (status %#x)", count,
	       wait_status);
	tap_ok(e2e_settled(&status), "nothing is left");
	free(long_prompt);
	return tap_done();
}
