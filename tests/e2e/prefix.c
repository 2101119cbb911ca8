// SPDX-License-Identifier: MIT
/*
 * prefix ROUNDS apart|shared VICTIM ATTACKER
 *
 * The timing attack on a prefix store. In each round the victim asks something that nobody has
 * asked before, and then the attacker asks the same and something else of the same length, in
 * random order, and looks at the time to the first token, by the broker's clock, which is the best
 * that he can have. How well that tells the two apart is the area under the ROC curve: the share
 * of pairs, one of each kind, of which what had been asked before was faster. One half is chance.
 *
 * apart: the attacker is of another cache domain, and learns nothing; shared: of the same one,
 * which shows that there is something to learn. VICTIM and ATTACKER are a cgroup's folder,
 * "uid=NUMBER" or "here"; "victim" is the victim's own connection. ROUNDS 0, and under a
 * sanitizer, which makes it take minutes: the times are not looked at, only what the daemon says
 * that it has found.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/group.h"
#include "lib/tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED	true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED	true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED	false
#endif

#define WORDS		257	/* of a prompt; with the token that begins a text, one token each */
#define FOUND		256	/* tokens of it that can be found, in whole pages */
#define UNTIMED		8	/* rounds where times mean nothing */
#define ROUNDS_MAX	2000
#define LOOKS		2

static const char *const words[] = {
	"the", "and", "was", "he", "she", "it", "to", "a", "in", "day", "said", "they", "so", "big",
	"play", "happy", "little", "mom", "but", "with",
};

/** struct reply - @ns: time to the first token; @tokens: of the prompt */
struct reply {
	uint64_t ns;
	uint32_t tokens;
	int status;
};

/** struct client - a process that asks when it is told to */
struct client {
	pid_t pid;
	int to;
	int from;
};

/* ---- a client ---- */

static void write_prompt(uint64_t seed, char *prompt, size_t size)
{
	struct e2e_random random = { seed };
	size_t at = 0;

	for (unsigned int i = 0; i < WORDS - 1; i++)
		at += snprintf(prompt + at, size - at, "%s%s", i ? " " : "",
			       words[e2e_below(&random, sizeof(words) / sizeof(*words))]);
}

static struct reply ask(struct llmos *llmos, uint64_t seed)
{
	static const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .ignore_eos = true, .max_tokens = 1,
	};
	struct llmos_usage usage = { .size = sizeof(usage) };
	struct e2e_answer answer = { 0 };
	struct reply reply = { 0 };
	char prompt[WORDS * 8];

	write_prompt(seed, prompt, sizeof(prompt));
	reply.status = e2e_answer_start(llmos, &answer, prompt, &opts);
	if (!reply.status)
		reply.status = llmos_request_wait(answer.request);
	if (!reply.status)
		reply.status = llmos_request_usage(answer.request, &usage);
	/* a token without text is seen at its end */
	reply.ns = (usage.first_ns ?: usage.end_ns) - usage.submit_ns;
	reply.tokens = usage.prompt_tokens;
	e2e_answer_clear(&answer);
	return reply;
}

static _Noreturn void client_run(const char *where, int from, int to)
{
	struct llmos *llmos;
	uint64_t seed;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	group_enter(where);
	llmos = e2e_open();
	while (read(from, &seed, sizeof(seed)) == sizeof(seed)) {
		struct reply reply = ask(llmos, seed);

		if (write(to, &reply, sizeof(reply)) != sizeof(reply))
			break;
	}
	_exit(0);
}

/* @other: who must not keep it alive; NULL: there is none */
static struct client client_start(const char *where, const struct client *other)
{
	struct client client;
	int to[2], from[2];

	if (pipe(to) < 0 || pipe(from) < 0)
		tap_bail("pipe");
	client.pid = fork();
	if (client.pid < 0)
		tap_bail("fork");
	if (!client.pid) {
		close(to[1]);
		close(from[0]);
		if (other) {
			close(other->to);
			close(other->from);
		}
		client_run(where, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	client.to = to[1];
	client.from = from[0];
	return client;
}

static uint64_t client_ask(const struct client *client, uint64_t seed)
{
	struct reply reply = { .status = -1 };

	if (write(client->to, &seed, sizeof(seed)) != sizeof(seed) ||
	    read(client->from, &reply, sizeof(reply)) != sizeof(reply) || reply.status)
		tap_bail("a client failed: status %d", reply.status);
	if (reply.tokens != WORDS)
		tap_bail("a prompt has %u tokens, not %u", reply.tokens, WORDS);
	return reply.ns;
}

static void client_end(struct client *client)
{
	close(client->to);
	close(client->from);
	waitpid(client->pid, NULL, 0);
}

/* ---- the attack ---- */

/** struct sample - times of what was asked before, and of what was not; @count of each */
struct sample {
	uint64_t known[ROUNDS_MAX];
	uint64_t fresh[ROUNDS_MAX];
	unsigned int count;
};

static void attack(struct sample *sample, const struct client *victim,
		   const struct client *attacker, unsigned int rounds, struct e2e_random *dice)
{
	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t known = e2e_random(dice), fresh = e2e_random(dice);
		const bool known_first = e2e_below(dice, 2);

		client_ask(victim, known);
		if (!known_first)
			sample->fresh[sample->count] = client_ask(attacker, fresh);
		sample->known[sample->count] = client_ask(attacker, known);
		if (known_first)
			sample->fresh[sample->count] = client_ask(attacker, fresh);
		sample->count++;
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* pairs of which the known one was faster, and half of those that took as long */
static double area(struct sample *sample)
{
	const unsigned int count = sample->count;
	unsigned int below = 0, upto = 0;
	double pairs = 0;

	qsort(sample->known, count, sizeof(*sample->known), compare);
	qsort(sample->fresh, count, sizeof(*sample->fresh), compare);
	for (unsigned int i = 0; i < count; i++) {
		while (below < count && sample->known[below] < sample->fresh[i])
			below++;
		while (upto < count && sample->known[upto] <= sample->fresh[i])
			upto++;
		pairs += (below + upto) / 2.0;
	}
	return pairs / count / count;
}

static uint64_t reused(void)
{
	struct llmos_status status = { .size = sizeof(status) };

	if (e2e_status(&status) < 0)
		tap_bail("no status");
	return status.reused_tokens;
}

static bool is_chance(double got)
{
	return got >= 0.45 && got <= 0.55;
}

/*
 * With 1,000 of each kind the bounds are four standard deviations away: chance alone goes there
 * once in ten thousand looks, and so not in two; who can tell them apart can do so again.
 */
static void run_apart(const struct client *victim, const struct client *attacker,
		      unsigned int rounds, struct e2e_random *dice)
{
	static struct sample sample;
	const uint64_t before = reused();
	double got;

	for (unsigned int look = 0; look < LOOKS; look++) {
		sample.count = 0;
		attack(&sample, victim, attacker, rounds ?: UNTIMED, dice);
		got = area(&sample);
		if (!rounds || is_chance(got))
			break;
		tap_note("look %u: area under the ROC curve %.3f", look + 1, got);
	}
	if (rounds)
		tap_ok(is_chance(got),
		       "another domain: %u probes, area under the ROC curve %.3f, known after %.2f ms, fresh after %.2f ms",
		       2 * sample.count, got, sample.known[sample.count / 2] / 1e6,
		       sample.fresh[sample.count / 2] / 1e6);
	tap_ok(reused() == before, "another domain: %u prompts that were asked before, none found",
	       sample.count);
}

/* That there is a signal to be found. */
static void run_shared(const struct client *victim, const struct client *attacker,
		       unsigned int rounds, struct e2e_random *dice)
{
	static struct sample sample;
	const uint64_t before = reused();
	uint64_t found;
	double got;

	attack(&sample, victim, attacker, rounds ?: UNTIMED, dice);
	got = area(&sample);
	found = reused() - before;
	if (rounds)
		tap_ok(got > 0.9,
		       "the same domain: %u probes, area under the ROC curve %.3f, known after %.2f ms, fresh after %.2f ms",
		       2 * sample.count, got, sample.known[sample.count / 2] / 1e6,
		       sample.fresh[sample.count / 2] / 1e6);
	tap_ok(found == (uint64_t)sample.count * FOUND,
	       "the same domain: %u prompts that were asked before, %llu tokens of them found",
	       sample.count, (unsigned long long)found);
}

int main(int argc, char **argv)
{
	struct client victim, attacker;
	struct e2e_random dice;
	unsigned int rounds;
	bool is_own;

	if (argc != 5)
		return 64;
	rounds = strtoul(argv[1], NULL, 10);
	if (rounds > ROUNDS_MAX)
		return 64;
	if (IS_SANITIZED)
		rounds = 0;
	if (!rounds)
		tap_skip("the time to the first token", "it means nothing here");
	is_own = !strcmp(argv[4], "victim");
	dice.state = e2e_number("LLMOS_SEED", e2e_now_ns() & 0xffffffff);
	tap_note("LLMOS_SEED=%llu", (unsigned long long)dice.state);
	/* from other places with the same seed, but not by the same prompts */
	for (int i = 2; i < argc; i++)
		for (const char *c = argv[i]; *c; c++)
			dice.state = e2e_random(&dice) ^ (unsigned char)*c;
	victim = client_start(argv[3], NULL);
	attacker = is_own ? victim : client_start(argv[4], &victim);
	/* the model is loaded with the first one */
	client_ask(&victim, e2e_random(&dice));
	client_ask(&attacker, e2e_random(&dice));
	if (!strcmp(argv[2], "apart"))
		run_apart(&victim, &attacker, rounds, &dice);
	else
		run_shared(&victim, &attacker, rounds, &dice);
	client_end(&victim);
	if (!is_own)
		client_end(&attacker);
	return tap_done();
}
