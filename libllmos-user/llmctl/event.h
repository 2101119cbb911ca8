/* SPDX-License-Identifier: MIT */
/*
 * Events as lines of text and of JSON. A cgroup's path is remembered, as one that is gone has none
 * any more.
 */
#ifndef LLMCTL_EVENT_H
#define LLMCTL_EVENT_H

#include "llmctl.h"

struct event_names;

/* @admin: finds paths; NULL: no memory */
struct event_names *event_names_new(struct llmos_admin *admin);
void event_names_free(struct event_names *names);
/*
 * What a cgroup is called, "" for none, "#ID" where it has no name; then it is not looked for again
 * for some seconds. Valid until the next call.
 */
const char *event_names_get(struct event_names *names, uint64_t id);

/* one line, without its newline */
void event_format(char *buf, size_t size, const struct llmos_event *event, const char *cgroup);
/* print it; 0, -errno of the output */
int event_print(const struct llmos_event *event, const char *cgroup, bool json);

/*
 * Print events as they come, @count of them (0: all). @json: one object a line.
 * Return: exit code, said what.
 */
int events_follow(struct llmos_admin *admin, uint64_t count, bool json);

static inline void event_names_freep(struct event_names **names)
{
	event_names_free(*names);
}

#endif /* LLMCTL_EVENT_H */
