/* SPDX-License-Identifier: MIT */
/*
 * Checks options before anything is sent: sizes as their caller compiled them, numbers that must be
 * finite and in range. Real numbers travel as millionths.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "opts.h"

/* no options struct will ever be larger */
#define OPTS_SIZE_MAX	65536U

#define MILLION		1000000.0

int llmos_opts_take(void *ret, size_t size, const void *opts, size_t *ret_bad)
{
	const unsigned char *bytes = opts;
	size_t theirs, i;

	memset(ret, 0, size);
	if (!opts)
		return 0;
	memcpy(&theirs, opts, sizeof(theirs));
	if (theirs < sizeof(theirs) || theirs > OPTS_SIZE_MAX) {
		*ret_bad = theirs;
		return -EINVAL;
	}
	for (i = size; i < theirs; i++) {
		if (!bytes[i])
			continue;
		*ret_bad = i;
		return -E2BIG;
	}
	memcpy(ret, opts, theirs < size ? theirs : size);
	return 0;
}

int llmos_opts_give(void *caller, const void *src, size_t size)
{
	size_t theirs;

	memcpy(&theirs, caller, sizeof(theirs));
	if (theirs < sizeof(theirs) || theirs > OPTS_SIZE_MAX)
		return -EINVAL;
	memset(caller, 0, theirs);
	memcpy(caller, src, theirs < size ? theirs : size);
	memcpy(caller, &theirs, sizeof(theirs));
	return 0;
}

int llmos_opts_copy(struct llmos *llmos, void *ret, size_t size, const void *opts)
{
	size_t bad = 0;
	int r = llmos_opts_take(ret, size, opts, &bad);

	if (r == -EINVAL)
		return llmos_fail(llmos, r, "options of size '%zu'", bad);
	return r < 0 ? llmos_fail(llmos, r, "option at byte '%zu'", bad) : 0;
}

int llmos_opts_return(struct llmos *llmos, void *caller, const void *src, size_t size)
{
	int r = llmos_opts_give(caller, src, size);

	return r < 0 ? llmos_fail(llmos, r, "struct of size '%zu'", *(const size_t *)caller) : 0;
}

/*
 * @least: the smallest value but zero on the wire, where rounding to zero would mean the opposite
 */
static int number_to_wire(struct llmos *llmos, const char *name, double value, double max,
			  uint32_t least, uint32_t *ret)
{
	uint32_t millionths;

	/* not a number fails every comparison */
	if (!(value >= 0.0 && value <= max))
		return llmos_fail(llmos, -EINVAL, "%s '%g' (from 0 to %g)", name, value, max);
	millionths = (uint32_t)(value * MILLION + 0.5);
	*ret = value > 0.0 && millionths < least ? least : millionths;
	return 0;
}

int llmos_opts_class(struct llmos *llmos, unsigned int sched_class)
{
	if (sched_class > LLMOS_IDLE)
		return llmos_fail(llmos, -EINVAL, "class '%u' (at most %u)", sched_class,
				  LLMOS_IDLE);
	return 0;
}

int llmos_opts_logprobs(struct llmos *llmos, uint32_t top, bool logprobs, uint32_t *ret)
{
	if (top > LLM_LOGPROBS_MAX)
		return llmos_fail(llmos, -EINVAL, "top_logprobs '%u' (at most %u)", top,
				  LLM_LOGPROBS_MAX);
	*ret = logprobs && !top ? 1 : top;
	return 0;
}

int llmos_opts_sampling(struct llmos *llmos, const struct llmos_generate_opts *opts,
			struct llm_sampling *ret)
{
	struct llm_sampling sampling = {
		.seed = opts->seed,
		.top_k = opts->top_k,
		.repeat_last_n = opts->repeat_last_n,
	};
	int r;

	r = number_to_wire(llmos, "temperature", opts->temperature, 100, 0, &sampling.temperature);
	if (r < 0)
		return r;
	r = number_to_wire(llmos, "top_p", opts->top_p, 1, 1, &sampling.top_p);
	if (r < 0)
		return r;
	r = number_to_wire(llmos, "min_p", opts->min_p, 1, 0, &sampling.min_p);
	if (r < 0)
		return r;
	r = number_to_wire(llmos, "repeat_penalty", opts->repeat_penalty, 100, 1,
			   &sampling.repeat_penalty);
	if (r < 0)
		return r;
	r = llmos_opts_logprobs(llmos, opts->top_logprobs, opts->logprobs,
				&sampling.top_logprobs);
	if (r < 0)
		return r;
	*ret = sampling;
	return 0;
}
