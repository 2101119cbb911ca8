/* SPDX-License-Identifier: MIT */
/*
 * A sorted array: it is searched for each cgroup that is seen, and changes only with cgroups that
 * come and go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "quota_given.h"
#include "quota_key.h"

/* where the path is among them, or would be */
static size_t given_place(const struct given_list *list, const char *path, bool *ret_there)
{
	size_t low = 0, high = list->count, middle;
	int order;

	*ret_there = false;
	while (low < high) {
		middle = low + (high - low) / 2;
		order = strcmp(path, list->given[middle].path);
		if (!order) {
			*ret_there = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct given *given_find(const struct given_list *list, const char *path)
{
	bool there;
	size_t place = given_place(list, path, &there);

	return there ? &list->given[place] : NULL;
}

static int given_insert(struct given_list *list, size_t place, const char *path)
{
	struct given *grown;
	char *copy;

	if (list->count == GIVEN_MAX)
		return -E2BIG;
	if (!(list->count & (list->count - 1))) {
		grown = reallocarray(list->given, list->count ? list->count * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->given = grown;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	memmove(&list->given[place + 1], &list->given[place],
		(list->count - place) * sizeof(*list->given));
	list->given[place] = (struct given){ .path = copy, .quota = quota_none() };
	list->count++;
	return 0;
}

int given_add(struct given_list *list, const char *path, struct given **ret)
{
	bool there;
	size_t place = given_place(list, path, &there);
	int r = there ? 0 : given_insert(list, place, path);

	if (!r)
		*ret = &list->given[place];
	return r;
}

void given_remove(struct given_list *list, struct given *given)
{
	size_t place = given - list->given;

	given_result(list, given, 0);
	free(given->path);
	list->count--;
	memmove(given, given + 1, (list->count - place) * sizeof(*given));
}

/* a quota that is refused for what it says is refused again */
static bool mends(int error)
{
	switch (-error) {
	case 0:
	case EINVAL:
	case ERANGE:
	case EPERM:
	case EOPNOTSUPP:
	case ENAMETOOLONG:
		return false;
	default:
		return true;
	}
}

void given_result(struct given_list *list, struct given *given, int error)
{
	list->failed -= !!given->error;
	list->owed -= mends(given->error);
	given->error = error;
	list->failed += !!error;
	list->owed += mends(error);
}

bool given_owed(const struct given *given)
{
	return mends(given->error);
}

void given_done(struct given_list *list)
{
	while (list->count)
		given_remove(list, &list->given[list->count - 1]);
	free(list->given);
	*list = (struct given_list){ 0 };
}
