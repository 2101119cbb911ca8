// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Time stalled, and its averages: see pressure.h.
 */
#include "pressure.h"

#define LLM_PRESSURE_SHIFT	31
#define LLM_PRESSURE_ONE	(1ULL << LLM_PRESSURE_SHIFT)

/* exp(-period / time constant) */
static const u32 llm_pressure_decay[LLM_AVERAGES] = {
	[LLM_AVERAGE_10] = 1758210904,
	[LLM_AVERAGE_60] = 2077080760,
	[LLM_AVERAGE_300] = 2133214706,
};

/**
 * llm_pressure_init() - nobody has waited yet
 * @pressure: of a tenant
 * @now_ns: the time
 */
void llm_pressure_init(struct llm_pressure *pressure, u64 now_ns)
{
	*pressure = (struct llm_pressure){
		.at_ns = now_ns,
		.period_end_ns = now_ns + LLM_PRESSURE_PERIOD_NS,
	};
}

/* @base to the power of @n, both parts of LLM_PRESSURE_ONE. */
static u64 llm_pressure_power(u64 base, u64 n)
{
	u64 power = LLM_PRESSURE_ONE;

	for (; n; n >>= 1) {
		if (n & 1)
			power = power * base >> LLM_PRESSURE_SHIFT;
		base = base * base >> LLM_PRESSURE_SHIFT;
	}
	return power;
}

/* So many periods are over, each of which was stalled for as long as the others. */
static void llm_pressure_fold(struct llm_pressure *pressure, u64 periods)
{
	for (int stall = 0; stall < LLM_STALLS; stall++) {
		const u64 stalled_ns = div64_u64(pressure->total_ns[stall] -
						 pressure->counted_ns[stall], periods);
		const u64 part = div64_u64(stalled_ns << LLM_PRESSURE_SHIFT,
					   LLM_PRESSURE_PERIOD_NS);

		for (int i = 0; i < LLM_AVERAGES; i++) {
			u32 *average = &pressure->averages[stall][i];
			const u64 kept = llm_pressure_power(llm_pressure_decay[i], periods);

			*average = (*average * kept + part * (LLM_PRESSURE_ONE - kept)) >>
				   LLM_PRESSURE_SHIFT;
		}
		pressure->counted_ns[stall] = pressure->total_ns[stall];
	}
}

/* Lets time pass in which nothing changed. */
static void llm_pressure_pass(struct llm_pressure *pressure, u64 until_ns)
{
	const u64 past_ns = until_ns - pressure->at_ns;

	pressure->at_ns = until_ns;
	if (!pressure->waiting)
		return;
	pressure->total_ns[LLM_STALL_SOME] += past_ns;
	if (!pressure->running)
		pressure->total_ns[LLM_STALL_FULL] += past_ns;
}

/**
 * llm_pressure_update() - brings totals and averages up to date
 * @pressure: of a tenant
 * @now_ns: the time
 */
void llm_pressure_update(struct llm_pressure *pressure, u64 now_ns)
{
	u64 periods;

	if ((s64)(now_ns - pressure->at_ns) <= 0)
		return;
	if ((s64)(now_ns - pressure->period_end_ns) >= 0) {
		llm_pressure_pass(pressure, pressure->period_end_ns);
		llm_pressure_fold(pressure, 1);
		periods = div64_u64(now_ns - pressure->at_ns, LLM_PRESSURE_PERIOD_NS);
		if (periods) {
			llm_pressure_pass(pressure, pressure->at_ns +
					  periods * LLM_PRESSURE_PERIOD_NS);
			llm_pressure_fold(pressure, periods);
		}
		pressure->period_end_ns = pressure->at_ns + LLM_PRESSURE_PERIOD_NS;
	}
	llm_pressure_pass(pressure, now_ns);
}

/**
 * llm_pressure_change() - requests begin or cease to wait, or to be stepped
 * @pressure: of a tenant
 * @waiting: how many more wait
 * @running: how many more are stepped
 * @now_ns: the time
 */
void llm_pressure_change(struct llm_pressure *pressure, int waiting, int running, u64 now_ns)
{
	llm_pressure_update(pressure, now_ns);
	pressure->waiting += waiting;
	pressure->running += running;
}

/** llm_pressure_percent() - Return: an average in hundredths of a percent */
u32 llm_pressure_percent(const struct llm_pressure *pressure, enum llm_stall stall,
			 enum llm_average average)
{
	return (pressure->averages[stall][average] * 10000ULL + LLM_PRESSURE_ONE / 2) >>
	       LLM_PRESSURE_SHIFT;
}
