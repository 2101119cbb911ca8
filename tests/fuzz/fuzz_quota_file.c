// SPDX-License-Identifier: MIT
/*
 * A file of quotas: whatever its bytes are, it is read or refused with one line that says why, and
 * values that were read can be written and read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libllmos-user/llmctl/quota_file.h"
#include "libllmos-user/llmctl/quota_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_quota_file: %s\n", what);
	abort();
}

/* what the keys say, one by one, and read back */
static void quota_check(const struct llmos_quota *quota)
{
	struct llmos_quota all = quota_defaults(), again = quota_none();
	char value[QUOTA_VALUE_MAX];
	const char *wanted;
	enum quota_key key;

	check(!quota_merge(&all, quota), "one quota is too much");
	for (key = 0; key < QUOTA_KEYS; key++) {
		quota_key_format(value, &all, key);
		check(!quota_key_parse(&again, quota_key_name(key), value, &wanted),
		      "what was written can not be read");
	}
	check(again.weight == all.weight && again.rate == all.rate && again.burst == all.burst &&
	      again.in_flight == all.in_flight && again.queued == all.queued &&
	      again.compute_ns == all.compute_ns && again.share_cache == all.share_cache &&
	      again.prompt_cost == all.prompt_cost, "another value");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quota_rules rules = { 0 };
	char why[QUOTA_WHY_MAX] = "";
	struct llmos_quota quota;
	FILE *file;
	size_t i;
	int r;

	if (!size || size > 65536)
		return 0;
	file = fmemopen((void *)(uintptr_t)data, size, "r");
	if (!file)
		return 0;
	r = quota_rules_parse(&rules, file, "file", why);
	fclose(file);
	check(r <= 0 && !r == !*why, "no reason given");
	check(strlen(why) < sizeof(why) && !strchr(why, '\n'), "a reason of several lines");
	for (i = 0; i < rules.count; i++) {
		quota_check(&rules.rules[i].quota);
		(void)quota_rules_match(&rules, rules.rules[i].pattern, &quota);
		(void)quota_rules_below(&rules, rules.rules[i].pattern);
	}
	quota_rules_done(&rules);
	return 0;
}
