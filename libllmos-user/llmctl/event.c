/* SPDX-License-Identifier: MIT */
/*
 * Events: names of cgroups, lines, and the loop that prints them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "event.h"
#include "json.h"
#include "quota_key.h"
#include "term.h"

/* the last cgroups that were heard of */
#define NAMES_KEPT	1024
/* to look for a name is to walk over all cgroups */
#define MISSED_NS	UINT64_C(10000000000)

#define TYPE_NAME_MAX	24

/** struct event_name - @path: owned, NULL: the place is free */
struct event_name {
	uint64_t id;
	char *path;
};

/** struct event_missed - a cgroup that has no name; @until_ns: CLOCK_MONOTONIC, not looked for before */
struct event_missed {
	uint64_t id;
	uint64_t until_ns;
};

/**
 * struct event_names - names of cgroups
 * @admin: finds paths
 * @kept: by id modulo their number; a new one takes an old one's place
 * @missed: the same of those that were not found
 * @number: text for a cgroup without a name
 */
struct event_names {
	struct llmos_admin *admin;
	struct event_name kept[NAMES_KEPT];
	struct event_missed missed[NAMES_KEPT];
	char number[32];
};

static void names_keep(struct event_names *names, uint64_t id, char *path)
{
	struct event_name *place = &names->kept[id % NAMES_KEPT];

	free(place->path);
	*place = (struct event_name){ id, path };
}

struct event_names *event_names_new(struct llmos_admin *admin)
{
	_cleanup_(groups_freep) struct llmos_groups *groups = NULL;
	struct event_names *names = calloc(1, sizeof(*names));
	size_t i;

	if (!names)
		return NULL;
	names->admin = admin;
	/* those that have a quota are the ones whose end is told */
	if (!admin || llmos_groups(admin, &groups) < 0)
		return names;
	for (i = 0; i < groups->count; i++)
		if (*groups->groups[i].path)
			names_keep(names, groups->groups[i].id, strdup(groups->groups[i].path));
	return names;
}

void event_names_free(struct event_names *names)
{
	size_t i;

	if (!names)
		return;
	for (i = 0; i < NAMES_KEPT; i++)
		free(names->kept[i].path);
	free(names);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* look for it, unless that failed a moment ago; NULL: it has no name */
static const char *names_find(struct event_names *names, uint64_t id)
{
	struct event_missed *missed = &names->missed[id % NAMES_KEPT];
	uint64_t now = now_ns();
	char *path = NULL;

	if (missed->id == id && now < missed->until_ns)
		return NULL;
	if (!llmos_cgroup_path(names->admin, &path, id)) {
		names_keep(names, id, path);
		return path;
	}
	*missed = (struct event_missed){ id, now + MISSED_NS };
	return NULL;
}

const char *event_names_get(struct event_names *names, uint64_t id)
{
	struct event_name *place = &names->kept[id % NAMES_KEPT];
	const char *path;

	if (!id)
		return "";
	path = place->id == id && place->path ? place->path : names_find(names, id);
	if (path)
		return path;
	snprintf(names->number, sizeof(names->number), "#%" PRIu64, id);
	return names->number;
}

/* ---- lines ---- */

static const char *type_name(uint32_t type, char buf[TYPE_NAME_MAX])
{
	static const char *const names[] = {
		[LLMOS_EVENT_SERVER_UP] = "server-up",
		[LLMOS_EVENT_SERVER_DOWN] = "server-down",
		[LLMOS_EVENT_QUOTA] = "quota",
		[LLMOS_EVENT_THROTTLED] = "throttled",
		[LLMOS_EVENT_REFUSED] = "refused",
		[LLMOS_EVENT_PRESSURE] = "pressure",
		[LLMOS_EVENT_GROUP_GONE] = "group-gone",
	};

	if (type < sizeof(names) / sizeof(names[0]) && names[type])
		return names[type];
	snprintf(buf, TYPE_NAME_MAX, "event-%u", type);
	return buf;
}

/* the day's time of a CLOCK_MONOTONIC one, in nanoseconds since 1970 */
static int64_t real_time(uint64_t monotonic_ns)
{
	struct timespec real, monotonic;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	return (int64_t)(real.tv_sec - monotonic.tv_sec) * 1000000000 + real.tv_nsec -
	       monotonic.tv_nsec + (int64_t)monotonic_ns;
}

static size_t format_time(char *buf, size_t size, uint64_t monotonic_ns)
{
	int64_t ns = real_time(monotonic_ns);
	time_t seconds = ns / 1000000000;
	struct tm tm;

	if (!localtime_r(&seconds, &tm))
		return 0;
	return snprintf(buf, size, "%02d:%02d:%02d.%03d ", tm.tm_hour, tm.tm_min, tm.tm_sec,
			(int)(ns / 1000000 % 1000 + 1000) % 1000);
}

/* what the types have beside cgroup and count */
static void format_detail(char *buf, size_t size, const struct llmos_event *event)
{
	char time[QUOTA_VALUE_MAX];
	size_t len;

	*buf = '\0';
	switch (event->type) {
	case LLMOS_EVENT_SERVER_UP:
		snprintf(buf, size, " pid %" PRIu32, event->pid);
		return;
	case LLMOS_EVENT_SERVER_DOWN:
		snprintf(buf, size, " pid %" PRIu32 ", %" PRIu32 " requests wait", event->pid,
			 event->requests);
		return;
	case LLMOS_EVENT_PRESSURE:
		quota_format_time(time, event->stall_ns - event->stall_ns % 1000000);
		snprintf(buf, size, " stalled %s", time);
		return;
	case LLMOS_EVENT_REFUSED:
	case LLMOS_EVENT_QUOTA:
		len = event->pid ? snprintf(buf, size, " pid %" PRIu32, event->pid) : 0;
		if (event->uid != UINT32_MAX)
			len += snprintf(buf + len, size - len, " uid %" PRIu32, event->uid);
		if (event->request)
			snprintf(buf + len, size - len, " request %" PRIu64, event->request);
		return;
	default:
		return;
	}
}

void event_format(char *buf, size_t size, const struct llmos_event *event, const char *cgroup)
{
	char type[TYPE_NAME_MAX], time[32] = "", detail[128], count[40] = "", shown[1024];

	format_time(time, sizeof(time), event->time_ns);
	format_detail(detail, sizeof(detail), event);
	if (event->count > 1)
		snprintf(count, sizeof(count), " (%" PRIu64 " times)", event->count);
	/* whoever may make cgroups chose its bytes */
	term_clean(shown, sizeof(shown), cgroup, strlen(cgroup));
	snprintf(buf, size, "%s%-11s%s%s%s%s", time, type_name(event->type, type),
		 *shown ? " " : "", shown, detail, count);
}

static int print_json(const struct llmos_event *event, const char *cgroup)
{
	struct json json = { 0 };
	char type[TYPE_NAME_MAX];

	json_object(&json, NULL);
	json_string(&json, "type", type_name(event->type, type));
	json_number(&json, "time_ns", event->time_ns);
	if (event->cgroup_id) {
		json_number(&json, "cgroup_id", event->cgroup_id);
		json_string(&json, "cgroup", cgroup);
	}
	if (event->pid)
		json_number(&json, "pid", event->pid);
	if (event->uid != UINT32_MAX)
		json_number(&json, "uid", event->uid);
	if (event->request)
		json_number(&json, "request", event->request);
	if (event->count)
		json_number(&json, "count", event->count);
	if (event->type == LLMOS_EVENT_SERVER_DOWN)
		json_number(&json, "requests", event->requests);
	if (event->type == LLMOS_EVENT_PRESSURE)
		json_number(&json, "stall_ns", event->stall_ns);
	json_end_object(&json);
	return json_done(&json);
}

int event_print(const struct llmos_event *event, const char *cgroup, bool json)
{
	char line[2048];

	if (json)
		return print_json(event, cgroup);
	event_format(line, sizeof(line), event, cgroup);
	puts(line);
	return term_flush();
}

/* ---- as they come ---- */

static int print_lost(bool json)
{
	struct json writer = { 0 };

	if (!json) {
		puts("some events were lost: they came faster than they were read");
		return term_flush();
	}
	json_object(&writer, NULL);
	json_string(&writer, "type", "lost");
	json_end_object(&writer);
	return json_done(&writer);
}

int events_follow(struct llmos_admin *admin, uint64_t count, bool json)
{
	_cleanup_(event_names_freep) struct event_names *names = event_names_new(admin);
	struct llmos_event event = { .size = sizeof(event) };
	uint64_t told = 0;
	int r;

	if (!names)
		return fail(EX_OSERR, "%s", strerror(ENOMEM));
	while (!count || told < count) {
		r = llmos_events_next(admin, &event, -1);
		if (r == -ENOBUFS)
			r = print_lost(json);
		else if (r < 0)
			return fail_admin(admin, NULL, r);
		else if (r)
			r = event_print(&event, event_names_get(names, event.cgroup_id), json);
		if (r < 0)
			return fail(EX_IOERR, "write: %s", strerror(-r));
		told++;
	}
	return EX_OK;
}
