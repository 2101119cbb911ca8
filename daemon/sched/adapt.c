/* SPDX-License-Identifier: MIT */
/*
 * Adapters of a job: named in its options, in memory while it has a sequence, and part of what its
 * keys and values depend on. One that nobody is stepped with makes way for others.
 */
#include <string.h>

#include "sched/job.h"

_Static_assert(LLM_ADAPTERS_MAX == ENGINE_ADAPTERS_MAX, "what a client may ask is what there is");

int adapt_find(struct sched *sched, struct job *job, const struct options *options,
	       struct error *error)
{
	unsigned int i;
	int r;

	for (i = 0; i < options->adapter_count; i++) {
		struct adapter *adapter;

		r = adapters_find(sched->adapters, options->adapters[i].name, &adapter, error);
		if (r < 0)
			return r;
		adapter->users++;
		job->adapters[i].adapter = adapter;
		job->adapters[i].scale = options->adapters[i].scale;
		job->adapter_count++;
	}
	return 0;
}

int adapt_bind(struct sched *sched, struct job *job, struct error *error)
{
	uint64_t held = 0;
	unsigned int i;
	int r;

	for (i = 0; i < job->adapter_count; i++) {
		struct adapter_bound **bound = &job->adapters[i].bound;

		if (!*bound) {
			r = adapter_bind(sched->adapters, job->adapters[i].adapter, job->model,
					 held, bound, error);
			if (r < 0) {
				adapt_unbind(job);
				return r;
			}
		}
		held += (*bound)->bytes;
		(*bound)->turn = sched->turn;
		job->uses[i] = (struct engine_adapter_use){
			.adapter = (*bound)->loaded,
			.scale = (float)(job->adapters[i].scale / 1e6),
		};
	}
	return 0;
}

void adapt_unbind(struct job *job)
{
	unsigned int i;

	for (i = 0; i < job->adapter_count; i++) {
		if (job->adapters[i].bound)
			adapter_unbind(job->adapters[i].bound);
		job->adapters[i].bound = NULL;
		job->uses[i] = (struct engine_adapter_use){ 0 };
	}
}

void adapt_release(struct job *job)
{
	adapt_unbind(job);
	while (job->adapter_count)
		job->adapters[--job->adapter_count].adapter->users--;
}

bool adapt_domain(const struct job *job, struct engine_domain *domain)
{
	unsigned int i;

	for (i = 0; i < job->adapter_count; i++) {
		if (!job->adapters[i].bound)
			return false;
		domain->adapters[i] = engine_adapter_key(&job->uses[i]);
	}
	return true;
}

void adapt_used(struct job *job)
{
	unsigned int i;

	for (i = 0; i < job->adapter_count; i++)
		job->adapters[i].bound->turn = job->turn;
}

uint64_t adapt_bytes(const struct job *job)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < job->adapter_count; i++)
		bytes += job->adapters[i].adapter->size_bytes;
	return bytes;
}

/* ---- making way ---- */

static bool adapt_uses(const struct job *job, const struct adapter_bound *bound)
{
	unsigned int i;

	for (i = 0; i < job->adapter_count; i++)
		if (job->adapters[i].bound == bound)
			return true;
	return false;
}

/* is everybody who uses it told to pause? Who is just being admitted is not */
static bool adapt_is_idle(const struct sched *sched, const struct adapter_bound *bound)
{
	unsigned int pins = bound->pins;
	const struct job *job;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if ((job->paused || job->cancelled) && adapt_uses(job, bound))
			pins--;
	return !pins;
}

bool adapt_make_room(struct sched *sched, uint64_t turn)
{
	struct adapter_bound *bound, *found = NULL;
	struct adapter *adapter;
	struct job *job, *next;

	list_each(adapter, adapters_list(sched->adapters), link)
		list_each(bound, &adapter->bound, adapter_link)
			if (bound->turn <= turn && (!found || bound->turn < found->turn) &&
			    !bound->is_fresh && adapt_is_idle(sched, bound))
				found = bound;
	if (!found)
		return false;
	/* who is paused is computed again when he goes on */
	list_each_safe(job, next, &sched->jobs[JOB_ACTIVE], link)
		if (adapt_uses(job, found))
			batch_put_back(sched, job);
	adapter_unload(found);
	return true;
}
