/* SPDX-License-Identifier: MIT */
/*
 * llmctl ps: who is running and waiting.
 */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "llmctl.h"
#include "table.h"
#include "term.h"

static const char *state_name(enum llmos_state state)
{
	switch (state) {
	case LLMOS_QUEUED:	return "queued";
	case LLMOS_RUNNING:	return "running";
	case LLMOS_PAUSED:	return "paused";
	case LLMOS_CANCELLING:	return "cancelling";
	default:		return "ended";
	}
}

/* of <linux/llm.h>'s enum llm_op, which llmos.h passes on as a number */
static const char *op_name(uint32_t op, char buf[16])
{
	static const char *const compute[] = { "generate", "score" };
	static const char *const control[] = {
		"nop", "tokenize", "detokenize", "models", "show", "status",
	};

	if (op < sizeof(compute) / sizeof(compute[0]))
		return compute[op];
	if (op >= 128 && op - 128 < sizeof(control) / sizeof(control[0]))
		return control[op - 128];
	snprintf(buf, 16, "op%u", op);
	return buf;
}

static const char *user_name(uint32_t uid, char buf[64])
{
	const struct passwd *passwd = getpwuid(uid);

	if (passwd)
		snprintf(buf, 64, "%s", passwd->pw_name);
	else
		snprintf(buf, 64, "%u", uid);
	return buf;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static uint64_t age_ns(const struct llmos_process *process, uint64_t now)
{
	return now > process->submit_ns ? now - process->submit_ns : 0;
}

static void process_print_json(struct json *json, const struct llmos_process *process, uint64_t now)
{
	char user[64], op[16];

	json_object(json, NULL);
	json_number(json, "id", process->id);
	json_number(json, "pid", process->pid);
	json_number(json, "uid", process->uid);
	json_string(json, "user", user_name(process->uid, user));
	json_number(json, "cgroup_id", process->cgroup_id);
	json_string(json, "cgroup", process->cgroup);
	json_string(json, "op", op_name(process->op, op));
	json_string(json, "model", process->model);
	json_string(json, "state", state_name(process->state));
	json_string(json, "class", class_name(process->sched_class));
	json_number(json, "prompt_tokens", process->prompt_tokens);
	json_number(json, "output_tokens", process->output_tokens);
	json_number(json, "output_bytes", process->output_bytes);
	json_number(json, "unread_bytes", process->unread_bytes);
	json_number(json, "attempts", process->attempts);
	json_real(json, "age_s", (double)age_ns(process, now) / 1e9);
	json_end_object(json);
}

static int ps_print_json(const struct llmos_processes *processes)
{
	struct json json = { 0 };
	uint64_t now = now_ns();
	size_t i;

	json_array(&json, NULL);
	for (i = 0; i < processes->count; i++)
		process_print_json(&json, &processes->processes[i], now);
	json_end_array(&json);
	return json_done(&json);
}

static void ps_add(struct table *table, const struct llmos_process *process, uint64_t now)
{
	char user[64], age[16], op[16];

	format_age(age, age_ns(process, now));
	table_add(table, "%u", process->pid);
	table_add(table, "%s", user_name(process->uid, user));
	if (*process->cgroup || !process->cgroup_id)
		table_add(table, "%s", *process->cgroup ? process->cgroup : "-");
	else
		table_add(table, "#%llu", (unsigned long long)process->cgroup_id);
	/* what asks no model is named by what it asks for */
	if (process->op >= 128)
		table_add(table, "(%s)", op_name(process->op, op));
	else
		table_add(table, "%s", *process->model ? process->model : "(default)");
	/* nearly all are normal: no column for that */
	table_add(table, "%s%s%s", state_name(process->state), process->sched_class ? "," : "",
		  process->sched_class ? class_name(process->sched_class) : "");
	table_add(table, "%u+%u", process->prompt_tokens, process->output_tokens);
	table_add(table, "%s", age);
}

static int ps_print(const struct llmos_processes *processes)
{
	static const struct table_column columns[] = {
		{ .title = "PID", .right = true },
		{ .title = "USER", .shrink = 8 },
		{ .title = "CGROUP", .shrink = 10, .keep_end = true },
		{ .title = "MODEL", .shrink = 10 },
		{ .title = "STATE" },
		{ .title = "TOKENS", .right = true },
		{ .title = "AGE", .right = true },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 7);
	uint64_t now = now_ns();
	size_t i;

	for (i = 0; table && i < processes->count; i++)
		ps_add(table, &processes->processes[i], now);
	return table_print(table);
}

int cmd_ps(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(processes_freep) struct llmos_processes *processes = NULL;
	int code, r;

	if (argc)
		return fail_operands("no operand expected");
	(void)argv;
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	r = llmos_ps(llmos, &processes);
	if (r < 0)
		return fail_llmos(llmos, r);
	r = options->json ? ps_print_json(processes) : ps_print(processes);
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}
