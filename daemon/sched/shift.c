/* SPDX-License-Identifier: MIT */
/*
 * A text that outgrows the context of its model. Its first tokens, the head, stay; of the others
 * the older half goes, and what is left is read anew, as any prompt is read. How much goes is a
 * function of context and head alone, so that which tokens the model sees at a place of the text
 * follows from the text: not from when it was read, in which steps, or how often its server has
 * died.
 *
 * With C tokens of context and H of head a shift drops S = (C - H) / 2 tokens, and it is made as
 * soon as the text, without what has gone, has C + 1. So of a text of N tokens the multiple of S
 * is gone that is the first to leave C of it or fewer. job->tokens has what is left; what a
 * session is to be told of is written down before it goes.
 */
#include <string.h>

#include "sched/drafter.h"
#include "sched/job.h"
#include "sched/past.h"

/* of the model as it is now */
static size_t model_context(const struct job *job)
{
	const struct engine_model_info *info = &job->model->info;

	return (size_t)MIN((uint64_t)info->context_used,
			   (uint64_t)info->kv_pages * info->page_tokens);
}

size_t shift_context(const struct job *job)
{
	if (!job->shift.is_on)
		return job->model->info.context_used;
	return job->shift.fits ? job->shift.context : model_context(job);
}

size_t shift_window(const struct job *job)
{
	return MIN(job->tokens.count, shift_context(job));
}

/* tokens that a shift drops */
static size_t shift_step(const struct job *job)
{
	return (shift_context(job) - job->shift.head) / 2;
}

/* of the head, whole pages: what was computed for them is still right, and may be shared */
static size_t shift_pages(const struct job *job)
{
	const size_t page = MAX(job->model->info.page_tokens, 1U);

	return job->shift.head / page * page;
}

/* tokens of the text behind which the model stands; job->tokens may know more of it */
static size_t shift_text(const struct job *job)
{
	return job->prompt_count + job->pushed;
}

/* the fewest tokens that have to go before @count of the text fit; none of them is brought back */
static size_t shift_surplus(const struct job *job, size_t count)
{
	const size_t context = shift_context(job), step = shift_step(job);

	if (count <= context + job->shift.dropped)
		return 0;
	return (count - job->shift.dropped - context + step - 1) / step * step;
}

/* ---- what is told to a session ---- */

int shift_tell(struct job *job, size_t end)
{
	struct job_shift *shift = &job->shift;
	const size_t from = MAX(shift->told, job->past_count);
	int r = 0;

	if (!turn_appends(job) || from >= end)
		return 0;
	if (!job->event.session_len && !job->past.len)
		r = past_begin(&job->past, job->model->name, job->model->size_bytes);
	/* once something has gone, all before it has been told, the head too */
	if (!r)
		r = past_add(&job->past, job->tokens.ids + from - shift->dropped, end - from);
	if (!r)
		shift->told = end;
	return r;
}

/* ---- shifts ---- */

/* @count tokens behind the head go */
static int shift_drop(struct job *job, size_t count)
{
	struct job_shift *shift = &job->shift;
	uint32_t *rest = job->tokens.ids + shift->head;
	int r;

	if (!count)
		return 0;
	r = shift_tell(job, shift->head + shift->dropped + count);
	if (r < 0)
		return r;
	job->tokens.count -= count;
	memmove(rest, rest + count, (job->tokens.count - shift->head) * sizeof(*rest));
	shift->dropped += count;
	job->reach = MIN(job->reach, shift->head);
	job->draft_valid = MIN(job->draft_valid, shift->head);
	job->draft.count = 0;
	if (!job->seq)
		return 0;
	engine_seq_truncate(job->seq, (unsigned int)shift_pages(job));
	charge_settle(job);
	return 0;
}

int shift_fit(struct job *job, struct error *error)
{
	struct job_shift *shift = &job->shift;
	size_t context;
	int r;

	if (!shift->is_on)
		return 0;
	/* what has gone from the text is a function of it */
	if (shift->fits)
		return model_context(job) >= shift->context ? 0 :
		       error_set(error, -E2BIG,
				 "model '%s' takes %zu tokens by now, and took %zu when the answer began",
				 job->model->name, model_context(job), shift->context);
	context = shift_context(job);
	shift->head = shift->keep ? shift->keep : MIN(shift->system, context / 2);
	shift->head = MAX(shift->head, (size_t)1);
	if (shift->head > context / 2 || !shift_step(job))
		return error_set(error, -E2BIG,
				 "%zu tokens to keep are more than half of what model '%s' takes here: %zu",
				 shift->head, job->model->name, context);
	shift->context = context;
	shift->fits = true;
	r = shift_drop(job, shift_surplus(job, job->prompt_count));
	shift->unread = shift->dropped;
	/* of an answer whose tokens are known, and need not be chosen again */
	if (!r)
		r = shift_drop(job, shift_surplus(job, shift_text(job)));
	return r < 0 ? error_set(error, r, "%s", strerror(-r)) : 0;
}

bool shift_make(struct sched *sched, struct job *job)
{
	const size_t surplus = job->shift.fits && !job->done ?
				       shift_surplus(job, shift_text(job)) : 0;

	if (!surplus)
		return false;
	if (shift_drop(job, surplus) < 0)
		job_fail(sched, job, -ENOMEM, NULL);
	return true;
}

/* ---- how it is counted ---- */

/* shifts since the prompt was read */
static size_t shift_rounds(const struct job *job)
{
	return job->shift.fits ? (job->shift.dropped - job->shift.unread) / shift_step(job) : 0;
}

/* tokens that are known right after a shift, the head among them */
static size_t shift_left(const struct job *job)
{
	return shift_context(job) + 1 - shift_step(job);
}

size_t shift_prompt(const struct job *job)
{
	return shift_rounds(job) ? shift_left(job) : job->prompt_count - job->shift.unread;
}

uint64_t shift_prompt_tokens(const struct job *job, size_t fed)
{
	const uint64_t first = job->prompt_count - job->shift.unread;
	const uint64_t rounds = shift_rounds(job);
	uint64_t again;

	if (!rounds)
		return MIN((uint64_t)fed, first);
	again = shift_left(job) - shift_pages(job);
	fed -= MIN(fed, shift_pages(job));
	return first + (rounds - 1) * again + MIN((uint64_t)fed, again);
}
