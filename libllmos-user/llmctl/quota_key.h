/* SPDX-License-Identifier: MIT */
/*
 * Quotas as people write them: KEY=VALUE, the same on the command line and in the files of
 * llmos-quota.d(5). No state.
 */
#ifndef LLMCTL_QUOTA_KEY_H
#define LLMCTL_QUOTA_KEY_H

#include "llmos.h"

/* text of the longest value, with its NUL */
#define QUOTA_VALUE_MAX	48

/** enum quota_key - what can be limited; memory has one key for each region */
enum quota_key {
	QUOTA_KEY_WEIGHT,
	QUOTA_KEY_RATE,
	QUOTA_KEY_BURST,
	QUOTA_KEY_IN_FLIGHT,
	QUOTA_KEY_QUEUED,
	QUOTA_KEY_COMPUTE,
	QUOTA_KEY_SHARE_CACHE,
	QUOTA_KEY_PROMPT_COST,
	QUOTA_KEYS,
};

/* as typed */
const char *quota_key_name(enum quota_key key);
/* an empty one to be filled in */
struct llmos_quota quota_none(void);
/* what holds where nobody has set anything */
struct llmos_quota quota_defaults(void);

/*
 * Set one key. Return: 0; -ENOENT no such key; -EINVAL, -ERANGE the value is none for it, and
 * *ret_wanted tells what is; -E2BIG too many regions.
 */
int quota_key_parse(struct llmos_quota *quota, const char *name, const char *value,
		    const char **ret_wanted);
/* the value as quota_key_parse() takes it */
void quota_key_format(char buf[QUOTA_VALUE_MAX], const struct llmos_quota *quota,
		      enum quota_key key);

/* bytes of the region; UINT64_MAX: no limit */
uint64_t quota_memory(const struct llmos_quota *quota, const char *region);
/* Return: 0; -EINVAL the name is too long or empty, -E2BIG too many */
int quota_memory_set(struct llmos_quota *quota, const char *region, uint64_t bytes);
/* lay what @over has over @quota; 0, -E2BIG too many regions */
int quota_merge(struct llmos_quota *quota, const struct llmos_quota *over);

void quota_format_bytes(char buf[QUOTA_VALUE_MAX], uint64_t bytes);
void quota_format_tokens(char buf[QUOTA_VALUE_MAX], uint64_t thousandths);
void quota_format_time(char buf[QUOTA_VALUE_MAX], uint64_t ns);
/* "500ms", "1.5s": a unit is needed. Return: 0, -EINVAL, -ERANGE */
int quota_parse_time(const char *text, uint64_t *ret_ns);

#endif /* LLMCTL_QUOTA_KEY_H */
