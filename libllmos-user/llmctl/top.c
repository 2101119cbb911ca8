/* SPDX-License-Identifier: MIT */
/*
 * llmctl top: which cgroups use the models, live on a terminal, or round by round in a pipe.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "group.h"
#include "rates.h"
#include "screen.h"
#include "table.h"
#include "term.h"

#define INTERVAL_MIN	0.1
#define INTERVAL_MAX	3600.0
/* lines of a screen that are no cgroup's */
#define HEAD_LINES	3

/**
 * struct top - what is shown
 * @options: of the command
 * @admin: where it comes from
 * @screen: where it goes
 * @draws: on a terminal
 * @sort: name of a column
 * @before: the earlier look
 * @before_ns: when it was
 * @now: the later one
 * @now_ns: when it was
 */
struct top {
	const struct options *options;
	struct llmos_admin *admin;
	struct screen *screen;
	bool draws;
	const char *sort;
	struct llmos_groups *before;
	uint64_t before_ns;
	struct llmos_groups *now;
	uint64_t now_ns;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static void top_done(struct top *top)
{
	llmos_groups_free(top->before);
	llmos_groups_free(top->now);
	screen_close(top->screen);
	llmos_admin_free(top->admin);
}

/* ---- a round as text ---- */

static void percent(struct table *table, double part)
{
	if (isnan(part))
		table_add(table, "-");
	else
		table_add(table, "%.1f%%", part * 100);
}

static void wait_time(struct table *table, double seconds)
{
	if (isnan(seconds))
		table_add(table, "-");
	else if (seconds < 0.9995)
		table_add(table, "%.0fms", seconds * 1000);
	else
		table_add(table, seconds < 99.95 ? "%.1fs" : "%.0fs", seconds);
}

static void rate_add(struct table *table, const struct rate *rate)
{
	char name[GROUP_NAME_MAX], memory[16];

	format_units(memory, rate->memory, 1024);
	table_add(table, "%s", group_name(rate->group, name));
	table_add(table, "%" PRIu32 "+%" PRIu32, rate->group->in_flight, rate->group->queued);
	table_add(table, rate->tokens < 999.95 ? "%.1f" : "%.0f", rate->tokens);
	percent(table, rate->share);
	percent(table, rate->due);
	wait_time(table, rate->wait);
	table_add(table, "%s", memory);
	percent(table, rate->group->some.avg10 / 10000.0);
}

static void head_print(const struct top *top, const struct rates *rates)
{
	uint64_t in_flight = 0, queued = 0;
	time_t seconds = time(NULL);
	struct tm tm;
	size_t i;

	/* the topmost that are known have what is below them */
	for (i = 0; i < top->now->count; i++) {
		const struct llmos_group *group = &top->now->groups[i];

		if (group->parent_id)
			continue;
		in_flight += group->in_flight;
		queued += group->queued;
	}
	localtime_r(&seconds, &tm);
	printf("%02d:%02d:%02d  %" PRIu64 " in flight, %" PRIu64 " queued, %.1f tokens/s, by %s\n",
	       tm.tm_hour, tm.tm_min, tm.tm_sec, in_flight, queued, rates->tokens, top->sort);
}

static int rates_print(const struct top *top, const struct rates *rates)
{
	static const struct table_column columns[] = {
		{ .title = "CGROUP", .shrink = 12, .keep_end = true },
		{ .title = "REQS", .right = true },
		{ .title = "TOK/S", .right = true },
		{ .title = "SHARE", .right = true },
		{ .title = "DUE", .right = true },
		{ .title = "WAIT", .right = true },
		{ .title = "MEM", .right = true },
		{ .title = "STALL", .right = true },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 8);
	size_t rows = screen_rows(top->screen), i;

	screen_begin(top->screen);
	head_print(top, rates);
	for (i = 0; table && i < rates->count && i + HEAD_LINES < rows; i++)
		rate_add(table, &rates->rates[i]);
	return table_print(table);
}

/* ---- a round as JSON ---- */


static int rates_print_json(const struct top *top, const struct rates *rates)
{
	struct json json = { 0 };
	size_t i;

	json_object(&json, NULL);
	json_number(&json, "time_ns", top->now_ns);
	json_real(&json, "tokens_per_second", rates->tokens);
	json_array(&json, "groups");
	for (i = 0; i < rates->count; i++) {
		const struct rate *rate = &rates->rates[i];

		json_object(&json, NULL);
		group_json(&json, rate->group);
		json_real(&json, "tokens_per_second", rate->tokens);
		json_real(&json, "share", rate->share);
		json_real(&json, "due", rate->due);
		json_real(&json, "wait_s", rate->wait);
		json_number(&json, "memory_bytes", rate->memory);
		json_end_object(&json);
	}
	json_end_array(&json);
	json_end_object(&json);
	return json_done(&json);
}

/* ---- rounds ---- */

/* what is said of a failure is said on the screen that was there before */
static void top_leave(struct top *top)
{
	screen_close(top->screen);
	top->screen = NULL;
}

static int top_look(struct top *top)
{
	struct llmos_groups *groups = NULL;
	int r = llmos_groups(top->admin, &groups);

	if (r < 0) {
		top_leave(top);
		return fail_admin(top->admin, NULL, r);
	}
	llmos_groups_free(top->before);
	top->before = top->now;
	top->before_ns = top->now_ns;
	top->now = groups;
	top->now_ns = now_ns();
	return EX_OK;
}

static int top_show(struct top *top)
{
	const struct llmos_groups *before = top->before ? top->before : top->now;
	double seconds = (double)(top->now_ns - top->before_ns) / 1e9;
	struct rates rates;
	int r;

	r = rates_make(&rates, before, top->now, top->before ? seconds : 1);
	if (!r) {
		(void)rates_sort(&rates, top->sort);
		r = top->options->json ? rates_print_json(top, &rates) : rates_print(top, &rates);
		rates_done(&rates);
	}
	if (!r)
		return EX_OK;
	top_leave(top);
	return fail(exit_code(r), "write: %s", strerror(-r));
}

/* Return: the key is one of ours */
static bool top_key(struct top *top, int key)
{
	static const char *const columns[256] = {
		['n'] = "cgroup", ['r'] = "requests", ['t'] = "tokens", ['s'] = "share",
		['w'] = "wait",	  ['m'] = "memory",   ['p'] = "stalled",
	};

	if (key == SCREEN_RESIZED)
		return true;
	if (key < 0 || key > 255 || !columns[key])
		return false;
	top->sort = columns[key];
	return true;
}

/* Return: EX_OK the interval is over, -1 it is to end, exit code */
static int top_wait(struct top *top)
{
	uint64_t end = now_ns() + (uint64_t)(top->options->interval * 1e9), now;
	int key, code;

	while ((now = now_ns()) < end) {
		key = screen_wait(top->screen, (int)((end - now + 999999) / 1000000));
		if (key == SCREEN_END || key == 'q' || key == 'Q')
			return -1;
		if (!top->draws || !top_key(top, key))
			continue;
		code = top_show(top);
		if (code)
			return code;
	}
	return EX_OK;
}

static int top_run(struct top *top)
{
	uint64_t rounds = 0;
	int code = top_look(top);

	/* a screen is not left empty for the first interval */
	if (!code && top->draws)
		code = top_show(top);
	while (!code && (!top->options->count || rounds < top->options->count)) {
		code = top_wait(top);
		if (!code)
			code = top_look(top);
		if (!code && rounds && !top->draws && !top->options->json)
			putchar('\n');
		if (!code)
			code = top_show(top);
		rounds++;
	}
	return code < 0 ? EX_OK : code;
}

static int options_check(const struct options *options)
{
	struct rates none = { 0 };

	if (!(options->interval >= INTERVAL_MIN && options->interval <= INTERVAL_MAX))
		return fail(EX_USAGE, "option '--interval' '%g': from %g to %g seconds",
			    options->interval, INTERVAL_MIN, INTERVAL_MAX);
	if (options->sort && rates_sort(&none, options->sort) < 0)
		return fail(EX_USAGE, "option '--sort' '%.64s': cgroup, requests, tokens, share, "
			    "wait, memory or stalled", options->sort);
	return EX_OK;
}

int cmd_top(struct options *options, int argc, char **argv)
{
	_cleanup_(top_done) struct top top = {
		.options = options,
		.draws = !options->batch && !options->json && term_is_terminal(),
		.sort = options->sort ? options->sort : "tokens",
	};
	int code, r;

	if (argc)
		return fail_operands("no operand expected");
	(void)argv;
	code = options_check(options);
	if (code)
		return code;
	top.admin = connect_admin(&code);
	if (!top.admin)
		return code;
	r = screen_open(&top.screen, top.draws);
	return r < 0 ? fail(EX_OSERR, "terminal: %s", strerror(-r)) : top_run(&top);
}
