/* SPDX-License-Identifier: MIT */
/* Threads that read files of models; see openers.h. */
#include "sched/openers.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "sched/loader.h"

#define OPENERS_MAX		16U
#define OPENERS_DISK_MAX	4U	/* of them, for files of one disk */

/**
 * struct opening - a file that is being read
 * @link: in the list of all that are
 * @loader: the thread
 * @begin_ns: when that was begun
 * @is_told: the log says that it takes long
 * @is_heard: it has ended, and openers_heard() has said so
 * @is_forgotten: nobody has a pointer to it
 */
struct opening {
	struct list link;
	struct loader *loader;
	char *name;
	char *path;
	uint64_t device;
	uint64_t begin_ns;
	bool is_adapter;
	bool is_told;
	bool is_heard;
	bool is_forgotten;
};

struct openers {
	int news_fd;
	struct list list;
};

static const char *kind(const struct opening *opening)
{
	return opening->is_adapter ? "adapter" : "model";
}

static uint64_t seconds_since(uint64_t ns)
{
	return (clock_ns() - ns) / NS_PER_S;
}

/* waits for its thread, where there is one */
static void opening_free(struct opening *opening)
{
	if (!opening)
		return;
	list_remove(&opening->link);
	loader_free(opening->loader);
	free(opening->name);
	free(opening->path);
	free(opening);
}
DEFINE_CLEANUP(struct opening *, opening_free);

/* it has ended */
static void tell_end(const struct opening *opening)
{
	if (opening->is_told)
		log_notice("%s '%s': '%s' was read in %llu s", kind(opening), opening->name,
			   opening->path, (unsigned long long)seconds_since(opening->begin_ns));
}

int openers_new(struct openers **ret, int news_fd)
{
	struct openers *openers = calloc(1, sizeof(*openers));

	if (!openers)
		return -ENOMEM;
	openers->news_fd = news_fd;
	list_init(&openers->list);
	*ret = openers;
	return 0;
}

void openers_free(struct openers *openers)
{
	if (!openers)
		return;
	while (!list_empty(&openers->list))
		opening_free(list_first(&openers->list, struct opening, link));
	free(openers);
}

static bool is_ended(const struct opening *opening)
{
	return loader_is_ended(opening->loader);
}

bool openers_heard(struct openers *openers)
{
	struct opening *opening, *next;
	bool any = false;

	list_each_safe(opening, next, &openers->list, link) {
		if (opening->is_heard || !is_ended(opening))
			continue;
		any = true;
		opening->is_heard = true;
		tell_end(opening);
		if (opening->is_forgotten)
			opening_free(opening);
	}
	return any;
}

void openers_tell(struct openers *openers)
{
	struct opening *opening;

	list_each(opening, &openers->list, link) {
		/* most have ended; this is asked with each request, and the clock may be a system call */
		if (opening->is_told || is_ended(opening) ||
		    clock_ns() < opening->begin_ns + OPENERS_SLOW_NS)
			continue;
		opening->is_told = true;
		log_warning("%s '%s': '%s' has been read for %llu s and is not yet; only who wants it waits",
			    kind(opening), opening->name, opening->path,
			    (unsigned long long)seconds_since(opening->begin_ns));
	}
}

uint64_t openers_tell_ns(const struct openers *openers)
{
	const struct opening *opening;
	uint64_t first_ns = 0;

	list_each(opening, &openers->list, link)
		if (!opening->is_told && !is_ended(opening) &&
		    (!first_ns || opening->begin_ns + OPENERS_SLOW_NS < first_ns))
			first_ns = opening->begin_ns + OPENERS_SLOW_NS;
	return first_ns;
}

const char *openers_slowest(const struct openers *openers, uint64_t *ret_ns)
{
	const struct opening *opening, *slowest = NULL;

	list_each(opening, &openers->list, link)
		if (!is_ended(opening) &&
		    clock_ns() >= opening->begin_ns + OPENERS_SLOW_NS &&
		    (!slowest || opening->begin_ns < slowest->begin_ns))
			slowest = opening;
	if (!slowest)
		return NULL;
	*ret_ns = slowest->begin_ns;
	return slowest->name;
}

/* ---- one file ---- */

/* those that were forgotten count: their threads may hang where the next one would */
static bool has_room(const struct openers *openers, const struct opening_what *what)
{
	unsigned int all = 0, same = 0, left = what->is_for_list;
	const struct opening *opening;

	list_each(opening, &openers->list, link) {
		if (is_ended(opening))
			continue;
		all++;
		same += opening->device == what->device;
	}
	return all + left < OPENERS_MAX && same + left < OPENERS_DISK_MAX;
}

int opening_begin(struct openers *openers, const struct opening_what *what, struct opening **ret)
{
	_cleanup_(opening_freep) struct opening *opening = NULL;
	int r;

	if (!has_room(openers, what))
		return -EBUSY;
	opening = calloc(1, sizeof(*opening));
	if (!opening)
		return -ENOMEM;
	list_init(&opening->link);
	opening->device = what->device;
	opening->is_adapter = what->is_adapter;
	opening->begin_ns = clock_ns();
	opening->name = strdup(what->name);
	opening->path = strdup(what->path);
	if (!opening->name || !opening->path)
		return -ENOMEM;
	r = loader_new(&opening->loader, NULL, openers->news_fd);
	if (!r)
		r = loader_begin_open(opening->loader, what->name, what->path, what->is_adapter);
	if (r < 0)
		return r;
	list_append(&openers->list, &opening->link);
	*ret = steal_ptr(opening);
	return 0;
}

bool opening_is_heard(const struct opening *opening)
{
	return opening->is_heard;
}

void opening_print(const struct opening *opening, char *text, size_t size)
{
	snprintf(text, size, "its file is being read, for %llu s so far",
		 (unsigned long long)seconds_since(opening->begin_ns));
}

int opening_take(struct opening *opening, struct opened **ret, struct error *error)
{
	const int r = loader_take_opened(opening->loader, ret, error);

	opening_free(opening);
	return r;
}

void opening_forget(struct opening *opening)
{
	if (opening->is_heard)
		opening_free(opening);
	else
		opening->is_forgotten = true;
}
