// SPDX-License-Identifier: MIT
/*
 * serve_client ADDRESS: puts the requests of a schedule to a server, each at its time, and says when
 * what came. For bench_serve.py.
 *
 * Standard input has for each request a line "MS TOKENS BYTES" and so many bytes of prompt, with a
 * newline behind them; it is submitted MS milliseconds after the start, or, if that is -1, when the
 * one before it has ended. On standard output are lines "submit I SECONDS", "text I SECONDS" for each
 * piece of an answer, and "end I SECONDS STATUS PROMPT_TOKENS OUTPUT_TOKENS".
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "llmos.h"

#define REQUESTS_MAX	4096
#define PROMPT_MAX	(1U << 20)

struct ask {
	unsigned int index;
	long at_ms;		/* -1: behind the one before */
	uint32_t max_tokens;
	char *prompt;
	size_t prompt_len;
	bool has_ended;
	struct llmos_request *request;
};

static struct ask asks[REQUESTS_MAX];
static unsigned int ask_count;
static double started_s;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static double passed_s(void)
{
	return now_s() - started_s;
}

static int fail(const char *what)
{
	fprintf(stderr, "serve_client: %s\n", what);
	return EXIT_FAILURE;
}

static const char *read_schedule(void)
{
	struct ask a = { 0 };

	while (scanf("%ld %u %zu", &a.at_ms, &a.max_tokens, &a.prompt_len) == 3) {
		if (ask_count == REQUESTS_MAX || a.prompt_len > PROMPT_MAX || getchar() != '\n')
			return "the schedule is not as it should be";
		a.index = ask_count;
		a.prompt = malloc(a.prompt_len + 1);
		if (!a.prompt)
			return strerror(ENOMEM);
		if (fread(a.prompt, 1, a.prompt_len, stdin) != a.prompt_len)
			return "a prompt ends early";
		asks[ask_count++] = a;
	}
	return NULL;
}

static int on_text(void *userdata, const char *text, size_t len)
{
	const struct ask *ask = userdata;

	(void)text;
	if (len)
		printf("text %u %.6f\n", ask->index, passed_s());
	return 0;
}

static void on_end(void *userdata, struct llmos_request *request, int status)
{
	struct llmos_usage usage = { .size = sizeof(usage) };
	struct ask *ask = userdata;

	llmos_request_usage(request, &usage);
	printf("end %u %.6f %d %u %u\n", ask->index, passed_s(), status, usage.prompt_tokens,
	       usage.output_tokens);
	ask->has_ended = true;
}

static int submit(struct llmos *llmos, struct ask *ask)
{
	const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .ignore_eos = true,
		.max_tokens = ask->max_tokens, .on_text = on_text, .on_end = on_end,
		.userdata = ask,
	};

	printf("submit %u %.6f\n", ask->index, passed_s());
	return llmos_ask_start(llmos, &ask->request, ask->prompt, ask->prompt_len, &opts);
}

/* milliseconds until @ask is due; 0: it is, -1: nobody knows */
static int due_ms(const struct ask *ask)
{
	double left;

	if (ask->at_ms < 0)
		return !ask->index || ask[-1].has_ended ? 0 : -1;
	left = (double)ask->at_ms - 1e3 * passed_s();
	return left > 0 ? (int)left + 1 : 0;
}

static bool all_ended(void)
{
	for (unsigned int i = 0; i < ask_count; i++)
		if (!asks[i].has_ended)
			return false;
	return true;
}

/* a dispatch without a request under way returns at once */
static void pass_time(struct llmos *llmos, unsigned int submitted, int ms)
{
	bool is_busy = false;

	for (unsigned int i = 0; i < submitted; i++)
		is_busy |= !asks[i].has_ended;
	if (is_busy) {
		llmos_dispatch(llmos, ms);
	} else {
		const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

		nanosleep(&t, NULL);
	}
}

static int run(struct llmos *llmos)
{
	unsigned int next = 0;

	started_s = now_s();
	while (!all_ended()) {
		const int ms = next < ask_count ? due_ms(&asks[next]) : -1;

		if (ms) {
			pass_time(llmos, next, ms);
		} else if (submit(llmos, &asks[next++]) < 0) {
			return fail(llmos_error(llmos));
		}
	}
	for (unsigned int i = 0; i < ask_count; i++) {
		llmos_request_free(asks[i].request);
		free(asks[i].prompt);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct llmos *llmos;
	const char *error;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: serve_client ADDRESS\n");
		return 64;
	}
	error = read_schedule();
	if (error)
		return fail(error);
	r = llmos_open(&llmos, argv[1]);
	if (r < 0)
		return fail(strerror(-r));
	r = run(llmos);
	llmos_free(llmos);
	return r;
}
