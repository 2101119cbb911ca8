/* SPDX-License-Identifier: MIT */
/*
 * What cgroups were given by files, by path; and what they are still owed, as setting it or taking
 * it back failed. No more than a bounded number: the cgroups are other people's. One thread.
 */
#ifndef LLMCTL_QUOTA_GIVEN_H
#define LLMCTL_QUOTA_GIVEN_H

#include <stdbool.h>
#include <stddef.h>

#include "llmos.h"

#define GIVEN_MAX	100000U

/**
 * struct given - a cgroup and what it was given
 * @path: below the mount
 * @id: of the cgroup, which another one of that path would not have; 0: not known yet
 * @quota: what was set, or may have been
 * @round: of the application that last saw it
 * @error: -errno of the last try, 0: it went well
 */
struct given {
	char *path;
	uint64_t id;
	struct llmos_quota quota;
	unsigned int round;
	int error;
};

/**
 * struct given_list - all of them; all zero is none
 * @given: by path
 * @count: number of them
 * @failed: of those, with an error
 * @owed: of those, with an error that may be gone another time
 */
struct given_list {
	struct given *given;
	size_t count;
	size_t failed;
	size_t owed;
};

/* NULL: it is not there */
struct given *given_find(const struct given_list *list, const char *path);
/*
 * The one of that path, made if it is not there. It and pointers to others move with the next one
 * that is added or removed. Return: 0, -E2BIG, -ENOMEM.
 */
int given_add(struct given_list *list, const char *path, struct given **ret);
void given_remove(struct given_list *list, struct given *given);
/* @error: -errno, 0: it has what it is to have */
void given_result(struct given_list *list, struct given *given, int error);
/* is it worth another try? */
bool given_owed(const struct given *given);
void given_done(struct given_list *list);

#endif /* LLMCTL_QUOTA_GIVEN_H */
