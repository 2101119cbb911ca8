/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * For how long requests could have gone on and were not stepped: totals, and averages that forget
 * exponentially. Belongs to a tenant; stage.c tells it of every change below that tenant, and
 * whoever reads it brings it up to date first. Between changes nothing runs.
 */
#ifndef LLM_POLICY_PRESSURE_H
#define LLM_POLICY_PRESSURE_H

#include "types.h"

#define LLM_PRESSURE_PERIOD_NS	2000000000ULL	/* averages change at the end of each */

/**
 * enum llm_stall - how much stands still
 * @LLM_STALL_SOME: at least one request wants to be stepped and is not
 * @LLM_STALL_FULL: that, and none is
 */
enum llm_stall {
	LLM_STALL_SOME,
	LLM_STALL_FULL,
	LLM_STALLS
};

/** enum llm_average - time constants: 10, 60 and 300 seconds */
enum llm_average {
	LLM_AVERAGE_10,
	LLM_AVERAGE_60,
	LLM_AVERAGE_300,
	LLM_AVERAGES
};

/**
 * struct llm_pressure - stalls below a tenant
 * @waiting: requests that want to be stepped and are not
 * @running: requests that are stepped
 * @at_ns: until when the totals are right
 * @period_end_ns: when the averages change next
 * @total_ns: time stalled
 * @counted_ns: of those, what the averages have seen
 * @averages: parts of LLM_PRESSURE_ONE
 */
struct llm_pressure {
	u32 waiting;
	u32 running;
	u64 at_ns;
	u64 period_end_ns;
	u64 total_ns[LLM_STALLS];
	u64 counted_ns[LLM_STALLS];
	u32 averages[LLM_STALLS][LLM_AVERAGES];
};

void llm_pressure_init(struct llm_pressure *pressure, u64 now_ns);
void llm_pressure_update(struct llm_pressure *pressure, u64 now_ns);
void llm_pressure_change(struct llm_pressure *pressure, int waiting, int running, u64 now_ns);
u32 llm_pressure_percent(const struct llm_pressure *pressure, enum llm_stall stall,
			 enum llm_average average);

#endif /* LLM_POLICY_PRESSURE_H */
