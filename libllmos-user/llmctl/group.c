/* SPDX-License-Identifier: MIT */
/*
 * Cgroups: finding them and those above, what holds for them, JSON.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "group.h"
#include "term.h"

const char *group_name(const struct llmos_group *group, char buf[GROUP_NAME_MAX])
{
	if (*group->path)
		return group->path;
	snprintf(buf, GROUP_NAME_MAX, "#%" PRIu64, group->id);
	return buf;
}

/* Return: exit code, said what */
static int group_id(struct llmos_admin *admin, const char *name, uint64_t *ret_id)
{
	int r = llmos_cgroup_id(admin, ret_id, name);

	if (!r)
		return EX_OK;
	if (r == -E2BIG)
		return fail(EX_USAGE, "cgroup '%.300s': not all cgroups could be searched for that name "
			    "(give its path)", name);
	/* its line names the cgroup */
	return fail(exit_code(r), "%s%s", llmos_admin_error(admin),
		    r == -ENOTUNIQ ? " (give its path)" : "");
}

/* is the folder of that cgroup root's? 1, 0, -errno */
static int owned_by_root(const struct llmos_admin *admin, const char *path, uint64_t id)
{
	char full[PATH_MAX];
	struct stat st;

	if (snprintf(full, sizeof(full), "%s%s", llmos_cgroup_root(admin), path) >=
	    (int)sizeof(full))
		return -ENAMETOOLONG;
	if (lstat(full, &st) < 0)
		return -errno;
	return st.st_ino == id ? !st.st_uid : -ENOENT;
}

int group_choose(struct llmos_admin *admin, const char *name, uint64_t *ret_id, char **ret_path)
{
	_cleanup_free_ char *path = NULL;
	int code = group_id(admin, name, ret_id), r;

	*ret_path = NULL;
	if (code || strchr(name, '/'))
		return code;
	r = llmos_cgroup_path(admin, &path, *ret_id);
	if (r < 0)
		return fail(exit_code(r), "%s", llmos_admin_error(admin));
	r = owned_by_root(admin, path, *ret_id);
	if (r < 0)
		return fail(exit_code(r), "cgroup '%.300s': %s", path, strerror(-r));
	if (!r)
		return fail(EX_USAGE, "cgroup '%.100s': the only one of that name is '%.300s', which is "
			    "not root's (give its path)", name, path);
	*ret_path = path;
	path = NULL;
	return EX_OK;
}

int group_chosen(const char *path)
{
	char shown[4 * PATH_MAX];
	int r;

	if (!path)
		return EX_OK;
	term_clean(shown, sizeof(shown), path, strlen(path));
	puts(shown);
	r = term_flush();
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

int group_find(struct llmos_admin *admin, const char *name, struct llmos_groups **ret)
{
	uint64_t id = 0;
	int code = group_id(admin, name, &id), r;

	if (code)
		return code;
	r = llmos_group_get(admin, ret, id);
	return r < 0 ? fail_admin(admin, name, r) : EX_OK;
}

/* ---- those above ---- */

void lineage_done(struct lineage *lineage)
{
	while (lineage->count)
		llmos_groups_free(lineage->groups[--lineage->count]);
}

int lineage_get(struct lineage *lineage, struct llmos_admin *admin, const char *name)
{
	const struct llmos_group *group;
	int r;

	r = group_find(admin, name, &lineage->groups[0]);
	if (r)
		return r;
	lineage->count = 1;
	group = &lineage->groups[0]->groups[0];
	while (group->parent_id && lineage->count < GROUP_DEPTH_MAX) {
		r = llmos_group_get(admin, &lineage->groups[lineage->count], group->parent_id);
		if (r < 0)
			return fail_admin(admin, name, r);
		group = &lineage->groups[lineage->count++]->groups[0];
	}
	return EX_OK;
}

/* the bucket of a level: a rate without a burst has one second of it */
static uint64_t burst_of(const struct llmos_quota *quota)
{
	return quota->rate == UINT64_MAX || quota->burst != UINT64_MAX ? quota->burst : quota->rate;
}

static bool compute_tighter(const struct llmos_quota *a, const struct llmos_quota *b)
{
	if (a->compute_ns == UINT64_MAX || b->compute_ns == UINT64_MAX)
		return a->compute_ns < b->compute_ns;
	return (unsigned __int128)a->compute_ns * b->period_ns <
	       (unsigned __int128)b->compute_ns * a->period_ns;
}

/* does this level's @quota bind more than @best, which is what was found so far? */
static bool tighter(const struct llmos_quota *quota, const struct llmos_quota *best,
		    enum quota_key key)
{
	switch (key) {
	case QUOTA_KEY_RATE:
		return quota->rate < best->rate;
	case QUOTA_KEY_BURST:
		return quota->rate != UINT64_MAX && burst_of(quota) < best->burst;
	case QUOTA_KEY_IN_FLIGHT:
		return quota->in_flight < best->in_flight;
	case QUOTA_KEY_QUEUED:
		return quota->queued < best->queued;
	case QUOTA_KEY_COMPUTE:
		return compute_tighter(quota, best);
	/* who shares highest up shares with all below */
	case QUOTA_KEY_SHARE_CACHE:
		return quota->share_cache;
	default:
		return false;
	}
}

/* keys that only one level says */
static const struct llmos_group *sole_level(const struct lineage *lineage, enum quota_key key)
{
	if (key == QUOTA_KEY_WEIGHT)
		return &lineage->groups[0]->groups[0];
	if (key == QUOTA_KEY_PROMPT_COST)
		return &lineage->groups[lineage->count - 1]->groups[0];
	return NULL;
}

void lineage_effective(const struct lineage *lineage, enum quota_key key, struct llmos_quota *ret,
		       const struct llmos_group **ret_by)
{
	const struct llmos_group *by = sole_level(lineage, key);
	size_t i;

	*ret = by ? by->quota : quota_defaults();
	for (i = 0; i < lineage->count; i++) {
		const struct llmos_group *group = &lineage->groups[i]->groups[0];

		if (!tighter(&group->quota, ret, key))
			continue;
		*ret = group->quota;
		ret->burst = burst_of(&group->quota);
		by = group;
	}
	*ret_by = by;
}

uint64_t lineage_memory(const struct lineage *lineage, const char *region,
			const struct llmos_group **ret_by)
{
	uint64_t least = UINT64_MAX;
	size_t i;

	*ret_by = NULL;
	for (i = 0; i < lineage->count; i++) {
		const struct llmos_group *group = &lineage->groups[i]->groups[0];
		uint64_t bytes = quota_memory(&group->quota, region);

		if (bytes >= least)
			continue;
		least = bytes;
		*ret_by = group;
	}
	return least;
}

/* ---- JSON ---- */

static void limit_json(struct json *json, const char *key, uint64_t limit, uint64_t none)
{
	if (limit == none)
		json_null(json, key);
	else
		json_number(json, key, limit);
}

static void tokens_json(struct json *json, const char *key, uint64_t thousandths)
{
	if (thousandths == UINT64_MAX)
		json_null(json, key);
	else
		json_real(json, key, (double)thousandths / 1000);
}

static void memory_json(struct json *json, const char *key, const struct llmos_memory *memory,
			size_t count)
{
	size_t i;

	json_object(json, key);
	for (i = 0; i < count; i++)
		limit_json(json, memory[i].region, memory[i].bytes, UINT64_MAX);
	json_end_object(json);
}

void quota_json(struct json *json, const char *key, const struct llmos_quota *quota)
{
	json_object(json, key);
	json_number(json, "weight", quota->weight);
	tokens_json(json, "tokens_per_second", quota->rate);
	tokens_json(json, "burst", quota->burst);
	limit_json(json, "in_flight", quota->in_flight, UINT32_MAX);
	limit_json(json, "queued", quota->queued, UINT32_MAX);
	limit_json(json, "compute_ns", quota->compute_ns, UINT64_MAX);
	json_number(json, "period_ns", quota->period_ns);
	json_bool(json, "share_cache", quota->share_cache);
	if (quota->fields & LLMOS_QUOTA_PROMPT_COST)
		json_real(json, "prompt_cost", (double)quota->prompt_cost / 1000);
	memory_json(json, "memory", quota->memory, quota->memory_count);
	json_end_object(json);
}

void stall_json(struct json *json, const char *key, const struct llmos_stall *stall)
{
	json_object(json, key);
	json_real(json, "avg10", stall->avg10 / 100.0);
	json_real(json, "avg60", stall->avg60 / 100.0);
	json_real(json, "avg300", stall->avg300 / 100.0);
	json_number(json, "total_ns", stall->total_ns);
	json_end_object(json);
}

static void usage_json(struct json *json, const struct llmos_group *group)
{
	json_object(json, "usage");
	json_number(json, "in_flight", group->in_flight);
	json_number(json, "queued", group->queued);
	json_number(json, "running", group->running);
	json_real(json, "tokens", (double)group->units / 1000);
	json_number(json, "prompt_tokens", group->prompt_tokens);
	json_number(json, "output_tokens", group->output_tokens);
	json_number(json, "compute_ns", group->compute_ns);
	json_number(json, "throttled_ns", group->throttled_ns);
	json_number(json, "queue_ns", group->queue_ns);
	json_number(json, "submitted", group->submitted);
	json_number(json, "dispatched", group->dispatched);
	json_number(json, "ended", group->ended);
	json_number(json, "refused", group->refused);
	memory_json(json, "memory", group->memory, group->memory_count);
	json_end_object(json);
}

void group_json(struct json *json, const struct llmos_group *group)
{
	json_number(json, "id", group->id);
	json_number(json, "parent_id", group->parent_id);
	json_string(json, "path", group->path);
	quota_json(json, "quota", &group->quota);
	usage_json(json, group);
	json_object(json, "pressure");
	stall_json(json, "some", &group->some);
	stall_json(json, "full", &group->full);
	json_end_object(json);
}
