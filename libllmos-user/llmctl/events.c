/* SPDX-License-Identifier: MIT */
/*
 * llmctl events: what the broker tells administrators; llmctl pressure: how long a cgroup's
 * requests wait, now or whenever it is too long.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "group.h"
#include "term.h"

int cmd_events(struct options *options, int argc, char **argv)
{
	_cleanup_(admin_freep) struct llmos_admin *admin = NULL;
	int code, r;

	if (argc)
		return fail_operands("no operand expected");
	(void)argv;
	admin = connect_admin(&code);
	if (!admin)
		return code;
	r = llmos_events_open(admin);
	return r < 0 ? fail_admin(admin, NULL, r) :
		       events_follow(admin, options->count, options->json);
}

/* ---- pressure ---- */

static void stall_print(const char *name, const struct llmos_stall *stall)
{
	printf("%s avg10=%.2f avg60=%.2f avg300=%.2f total=%" PRIu64 "\n", name,
	       stall->avg10 / 100.0, stall->avg60 / 100.0, stall->avg300 / 100.0,
	       stall->total_ns / 1000);
}

static int pressure_print(const struct llmos_group *group, bool as_json)
{
	struct json json = { 0 };

	if (!as_json) {
		stall_print("some", &group->some);
		stall_print("full", &group->full);
		return term_flush();
	}
	json_object(&json, NULL);
	json_number(&json, "id", group->id);
	json_string(&json, "path", group->path);
	stall_json(&json, "some", &group->some);
	stall_json(&json, "full", &group->full);
	json_end_object(&json);
	return json_done(&json);
}

/* "150ms/1s"; Return: exit code, said what */
static int take_watch(struct llmos_watch_opts *opts, const char *text)
{
	const char *slash = strchr(text, '/');
	char stall[32];
	int r = -EINVAL;

	if (slash && (size_t)(slash - text) < sizeof(stall)) {
		memcpy(stall, text, slash - text);
		stall[slash - text] = '\0';
		r = quota_parse_time(stall, &opts->stall_ns);
		if (!r)
			r = quota_parse_time(slash + 1, &opts->window_ns);
	}
	if (!r && (opts->window_ns < UINT64_C(500000000) ||
		   opts->window_ns > UINT64_C(300000000000) || !opts->stall_ns ||
		   opts->stall_ns > opts->window_ns))
		r = -ERANGE;
	return r < 0 ? fail(EX_USAGE, "option '--watch' '%.64s': %s; wanted: STALL/WINDOW "
			    "(150ms/1s), a window of 500ms to 300s", text, strerror(-r)) : EX_OK;
}

int cmd_pressure(struct options *options, int argc, char **argv)
{
	_cleanup_(admin_freep) struct llmos_admin *admin = NULL;
	_cleanup_(groups_freep) struct llmos_groups *groups = NULL;
	struct llmos_watch_opts opts = { .size = sizeof(opts), .full = options->full };
	const char *name = argc ? argv[0] : "/";
	int code, r;

	if (argc > 1)
		return fail_operands("one cgroup expected");
	if (!options->watch && (options->full || options->count))
		return fail_operands("'--full' and '--count' need '--watch'");
	code = options->watch ? take_watch(&opts, options->watch) : EX_OK;
	if (code)
		return code;
	admin = connect_admin(&code);
	if (!admin)
		return code;
	code = group_find(admin, name, &groups);
	if (code)
		return code;
	if (!options->watch) {
		r = pressure_print(&groups->groups[0], options->json);
		return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
	}
	r = llmos_watch(admin, groups->groups[0].id, &opts);
	return r < 0 ? fail_admin(admin, name, r) :
		       events_follow(admin, options->count, options->json);
}
