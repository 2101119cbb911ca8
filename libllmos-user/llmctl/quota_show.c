/* SPDX-License-Identifier: MIT */
/*
 * llmctl quota show: the quotas of all cgroups that have one or requests, or all about one,
 * with what those above it allow.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "group.h"
#include "quota.h"
#include "quota_key.h"
#include "table.h"
#include "term.h"

static int done(int r)
{
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

/* ---- all ---- */

static void memory_text(char *buf, size_t size, const struct llmos_quota *quota)
{
	char bytes[QUOTA_VALUE_MAX];
	size_t i, len = 0;

	snprintf(buf, size, "max");
	for (i = 0; i < quota->memory_count && len < size; i++) {
		if (quota->memory[i].bytes == UINT64_MAX)
			continue;
		quota_format_bytes(bytes, quota->memory[i].bytes);
		len += snprintf(buf + len, size - len, "%s%s=%s", len ? "," : "",
				quota->memory[i].region, bytes);
	}
}

static void all_add(struct table *table, const struct llmos_group *group)
{
	static const enum quota_key shown[] = {
		QUOTA_KEY_WEIGHT, QUOTA_KEY_RATE, QUOTA_KEY_BURST, QUOTA_KEY_IN_FLIGHT,
		QUOTA_KEY_QUEUED, QUOTA_KEY_COMPUTE,
	};
	char name[GROUP_NAME_MAX], value[QUOTA_VALUE_MAX], memory[256];
	size_t i;

	table_add(table, "%s", group_name(group, name));
	for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		quota_key_format(value, &group->quota, shown[i]);
		table_add(table, "%s", value);
	}
	memory_text(memory, sizeof(memory), &group->quota);
	table_add(table, "%s", memory);
}

static int all_print(const struct llmos_groups *groups)
{
	static const struct table_column columns[] = {
		{ .title = "CGROUP", .shrink = 14, .keep_end = true },
		{ .title = "WEIGHT", .right = true },
		{ .title = "TOKENS/S", .right = true },
		{ .title = "BURST", .right = true },
		{ .title = "IN-FLIGHT", .right = true },
		{ .title = "QUEUED", .right = true },
		{ .title = "COMPUTE", .right = true },
		{ .title = "MEMORY", .shrink = 8 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 8);
	size_t i;

	for (i = 0; table && i < groups->count; i++)
		all_add(table, &groups->groups[i]);
	return table_print(table);
}

static int all_print_json(const struct llmos_groups *groups)
{
	struct json json = { 0 };
	size_t i;

	json_array(&json, NULL);
	for (i = 0; i < groups->count; i++) {
		json_object(&json, NULL);
		group_json(&json, &groups->groups[i]);
		json_end_object(&json);
	}
	json_end_array(&json);
	return json_done(&json);
}

/* ---- one ---- */

/** struct row - a limit as it is shown: of the cgroup, in effect, and by whom */
struct row {
	char key[LLMOS_REGION_MAX + 8];
	char own[QUOTA_VALUE_MAX];
	char effective[QUOTA_VALUE_MAX];
	const struct llmos_group *by;
};

static void row_of_key(struct row *row, const struct lineage *lineage, enum quota_key key)
{
	struct llmos_quota effective;

	lineage_effective(lineage, key, &effective, &row->by);
	snprintf(row->key, sizeof(row->key), "%s", quota_key_name(key));
	quota_key_format(row->own, &lineage->groups[0]->groups[0].quota, key);
	quota_key_format(row->effective, &effective, key);
	/* the root alone says it */
	if (key == QUOTA_KEY_PROMPT_COST && lineage->count > 1)
		strcpy(row->own, "-");
}

static void row_of_memory(struct row *row, const struct lineage *lineage, const char *region)
{
	snprintf(row->key, sizeof(row->key), "memory.%s", region);
	quota_format_bytes(row->own, quota_memory(&lineage->groups[0]->groups[0].quota, region));
	quota_format_bytes(row->effective, lineage_memory(lineage, region, &row->by));
}

/* every region that somebody limits or the cgroup uses, each once: as an empty quota's memory */
static void regions_of(struct llmos_quota *regions, const struct lineage *lineage)
{
	const struct llmos_group *group = &lineage->groups[0]->groups[0];
	size_t i, j;

	*regions = quota_none();
	/* one too many is not shown */
	for (i = 0; i < group->memory_count; i++)
		(void)quota_memory_set(regions, group->memory[i].region, group->memory[i].bytes);
	for (i = 0; i < lineage->count; i++) {
		const struct llmos_quota *quota = &lineage->groups[i]->groups[0].quota;

		for (j = 0; j < quota->memory_count; j++)
			if (quota_memory(regions, quota->memory[j].region) == UINT64_MAX)
				(void)quota_memory_set(regions, quota->memory[j].region, 0);
	}
}

static void used_of(char buf[QUOTA_VALUE_MAX], const struct llmos_group *group, enum quota_key key)
{
	if (key == QUOTA_KEY_IN_FLIGHT)
		snprintf(buf, QUOTA_VALUE_MAX, "%" PRIu32, group->in_flight);
	else if (key == QUOTA_KEY_QUEUED)
		snprintf(buf, QUOTA_VALUE_MAX, "%" PRIu32, group->queued);
	else
		strcpy(buf, "-");
}

static void one_add(struct table *table, const struct row *row, const char *used)
{
	char name[GROUP_NAME_MAX];

	table_add(table, "%s", row->key);
	table_add(table, "%s", row->own);
	table_add(table, "%s", row->effective);
	table_add(table, "%s", row->by ? group_name(row->by, name) : "-");
	table_add(table, "%s", used);
}

static int one_print_table(const struct lineage *lineage)
{
	static const struct table_column columns[] = {
		{ .title = "LIMIT" },
		{ .title = "OWN", .right = true },
		{ .title = "EFFECTIVE", .right = true },
		{ .title = "SET BY", .shrink = 10, .keep_end = true },
		{ .title = "USED", .right = true },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 5);
	char used[QUOTA_VALUE_MAX], bytes[16];
	struct llmos_quota regions;
	struct row row;
	enum quota_key key;
	size_t i;

	for (key = 0; key < QUOTA_KEYS; key++) {
		row_of_key(&row, lineage, key);
		used_of(used, &lineage->groups[0]->groups[0], key);
		one_add(table, &row, used);
	}
	regions_of(&regions, lineage);
	for (i = 0; i < regions.memory_count; i++) {
		row_of_memory(&row, lineage, regions.memory[i].region);
		format_units(bytes, regions.memory[i].bytes, 1024);
		one_add(table, &row, bytes);
	}
	return table_print(table);
}

static int one_print(const struct lineage *lineage)
{
	const struct llmos_group *group = &lineage->groups[0]->groups[0];
	char name[GROUP_NAME_MAX], shown[1024];
	const char *path = group_name(group, name);

	term_clean(shown, sizeof(shown), path, strlen(path));
	printf("cgroup    %s (number %" PRIu64 ")\n", shown, group->id);
	printf("requests  %" PRIu64 " submitted, %" PRIu64 " ended, %" PRIu64 " refused\n",
	       group->submitted, group->ended, group->refused);
	printf("tokens    %" PRIu64 " in, %" PRIu64 " out\n", group->prompt_tokens,
	       group->output_tokens);
	printf("time      %.3f s computed, %.3f s throttled, %.3f s in the queue\n",
	       (double)group->compute_ns / 1e9, (double)group->throttled_ns / 1e9,
	       (double)group->queue_ns / 1e9);
	printf("stalled   %.2f %% of the last 10 s, %.2f %% of 60 s, %.2f %% of 300 s\n\n",
	       group->some.avg10 / 100.0, group->some.avg60 / 100.0, group->some.avg300 / 100.0);
	return one_print_table(lineage);
}

static void effective_json(struct json *json, const char *key, const char *value,
			   const struct llmos_group *by)
{
	json_object(json, key);
	json_string(json, "value", value);
	if (by) {
		json_number(json, "id", by->id);
		json_string(json, "path", by->path);
	}
	json_end_object(json);
}

static int one_print_json(const struct lineage *lineage)
{
	struct llmos_quota regions;
	struct json json = { 0 };
	enum quota_key key;
	struct row row;
	size_t i;

	json_object(&json, NULL);
	group_json(&json, &lineage->groups[0]->groups[0]);
	json_object(&json, "effective");
	for (key = 0; key < QUOTA_KEYS; key++) {
		row_of_key(&row, lineage, key);
		effective_json(&json, row.key, row.effective, row.by);
	}
	regions_of(&regions, lineage);
	for (i = 0; i < regions.memory_count; i++) {
		row_of_memory(&row, lineage, regions.memory[i].region);
		effective_json(&json, row.key, row.effective, row.by);
	}
	json_end_object(&json);
	json_end_object(&json);
	return json_done(&json);
}

static int show_one(const struct options *options, struct llmos_admin *admin, const char *name)
{
	_cleanup_(lineage_done) struct lineage lineage = { 0 };
	int code = lineage_get(&lineage, admin, name);

	if (code)
		return code;
	return done(options->json ? one_print_json(&lineage) : one_print(&lineage));
}

int quota_show(const struct options *options, struct llmos_admin *admin, const char *name)
{
	_cleanup_(groups_freep) struct llmos_groups *groups = NULL;
	int r;

	if (name)
		return show_one(options, admin, name);
	r = llmos_groups(admin, &groups);
	if (r < 0)
		return fail_admin(admin, NULL, r);
	return done(options->json ? all_print_json(groups) : all_print(groups));
}
