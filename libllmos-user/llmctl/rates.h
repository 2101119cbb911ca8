/* SPDX-License-Identifier: MIT */
/*
 * What happened between two looks at the cgroups: tokens a second, time in the queue, the share of
 * each beside what its weight would give it. Arithmetic only.
 */
#ifndef LLMCTL_RATES_H
#define LLMCTL_RATES_H

#include "llmos.h"

/**
 * struct rate - a cgroup in the time between
 * @group: as it is at the end
 * @tokens: used a second, as quotas count them
 * @share: of all that was used, 0 to 1; NAN: nothing was
 * @due: share by weight among those that want something, 0 to 1; NAN: it wants nothing
 * @wait: seconds in the queue, on average, of the requests dispatched meanwhile; NAN: none was
 * @memory: bytes charged in all regions
 */
struct rate {
	const struct llmos_group *group;
	double tokens;
	double share;
	double due;
	double wait;
	uint64_t memory;
};

/**
 * struct rates - all of them
 * @rates: one for each group of the later look, in its order
 * @count: number of them
 * @tokens: used a second by all
 */
struct rates {
	struct rate *rates;
	size_t count;
	double tokens;
};

/*
 * @before: the earlier look, NULL: there was none, all is since ever; @seconds: between the two.
 * The result points into @now. Return: 0, -ENOMEM
 */
int rates_make(struct rates *ret, const struct llmos_groups *before, const struct llmos_groups *now,
	       double seconds);
void rates_done(struct rates *rates);

/* by the name of a column: "cgroup", "requests", "tokens", "share", "wait", "memory", "stalled" */
int rates_sort(struct rates *rates, const char *column);

#endif /* LLMCTL_RATES_H */
