/* SPDX-License-Identifier: MIT */
/*
 * What a job has brought goes to its transport: at most one commit of a job is on its way, and
 * what is made meanwhile gathers for the next. The bytes of a commit stay untouched until its
 * result is known, so that it can be repeated.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sched/job.h"
#include "sched/record.h"

#define COMMIT_COMPUTE_NS	100000000ULL
#define COMMIT_ERROR_BYTES	256	/* room for a line that says what was wrong */

/* move the first @len bytes of @from into @to, which is empty */
static int commit_take(struct bytes *to, struct bytes *from, size_t len)
{
	int r;

	if (len == from->len) {
		bytes_swap(to, from);
		return 0;
	}
	r = bytes_append(to, bytes_data(from), len);
	if (!r)
		bytes_take(from, len);
	return r;
}

/* a part of the answer that fits beside @journal_len bytes, no record torn if it can be helped */
static size_t commit_data_len(const struct job *job, size_t journal_len)
{
	size_t max = job->ipc->max_commit_bytes - journal_len, len;
	const struct bytes *out = &job->answer.out;

	if (out->len <= max)
		return out->len;
	if (!job->answer.framed)
		return max;
	len = record_cut(bytes_data(out), out->len, max);
	return len || journal_len ? len : max;
}

static uint32_t commit_prompt_tokens(const struct job *job)
{
	size_t fed = job->seq ? engine_seq_length(job->seq) : 0;
	uint64_t count;

	if (embed_is(job)) {
		fed = MIN(embed_fed(job), (uint64_t)UINT32_MAX);
		return MAX((size_t)job->sent_prompt_tokens, fed);
	}

	/* never less than before: pages may have been given back, or another server was ahead */
	count = shift_prompt_tokens(job, job->done && !job->status ? SIZE_MAX : fed);
	count = MIN(count, (uint64_t)UINT32_MAX);
	return MAX(job->sent_prompt_tokens, (uint32_t)count);
}

static uint32_t commit_output_tokens(const struct job *job)
{
	size_t count = job->event.op == LLM_OP_GENERATE ? job->pushed : 0;

	return MAX((size_t)job->sent_output_tokens, count);
}

/* something has become more, or so much was computed again that it is time for a verdict */
static bool commit_has_news(const struct job *job)
{
	return job->asks_verdict || commit_prompt_tokens(job) != job->sent_prompt_tokens ||
	       commit_output_tokens(job) != job->sent_output_tokens ||
	       job->compute_ns >= COMMIT_COMPUTE_NS;
}

/* choose what goes; false: there is nothing to say */
static bool commit_gather(struct job *job)
{
	size_t journal_len = MIN(job->journal.len, (size_t)job->ipc->max_commit_bytes / 2);
	size_t data_len = commit_data_len(job, journal_len);

	job->sent_end = job->done && data_len == job->answer.out.len &&
			journal_len == job->journal.len;
	if (!data_len && !journal_len && !job->sent_end && !commit_has_news(job))
		return false;
	if (commit_take(&job->sent_journal, &job->journal, journal_len) < 0)
		return false;
	if (commit_take(&job->sent_data, &job->answer.out, data_len) < 0)
		job->sent_end = false;
	return true;
}

static int commit_send(struct job *job)
{
	struct llm_commit commit = {
		.size = sizeof(commit),
		.flags = job->sent_end ? LLM_COMMIT_END : 0,
		.id = job->event.id,
		.data = job->sent_data.len ? (uintptr_t)bytes_data(&job->sent_data) : 0,
		.data_len = job->sent_data.len,
		.journal_len = job->sent_journal.len,
		.journal = job->sent_journal.len ? (uintptr_t)bytes_data(&job->sent_journal) : 0,
		.compute_ns = job->sent_compute_ns,
		.prompt_tokens = job->sent_prompt_tokens,
		.output_tokens = job->sent_output_tokens,
		.status = job->sent_end ? job->status : 0,
		.finish = job->sent_end ? job->finish : 0,
		.answer_bytes = MAX(job->event.answer_bytes, (uint64_t)job->scores_bytes),
	};

	if (job->sent_end && !job->status && job->past.len) {
		commit.session = (uintptr_t)bytes_data(&job->past);
		commit.session_len = job->past.len;
		commit.session_tokens = job->prompt_count + job->pushed;
	}

	return job->ipc->ops->commit(job->ipc, &commit);
}

static bool commit_may_go(const struct job *job)
{
	if (job->committing || (job->paused && !job->cancelled))
		return false;
	return !job->is_short || job->done || job->cancelled;
}

void job_flush(struct sched *sched, struct job *job)
{
	int r;

	if (!commit_may_go(job))
		return;
	if (job->retry) {
		if (clock_ns() < job->retry_ns)
			return;
		job->retry = false;
	} else {
		if (job_is_control(job) && !job->done)
			control_fill(sched, job);
		buffer_flush(sched, job);
		if (!commit_gather(job))
			return;
		job->asks_verdict = false;
		job->sent_prompt_tokens = commit_prompt_tokens(job);
		job->sent_output_tokens = commit_output_tokens(job);
	}
	job->sent_compute_ns = job->compute_ns;
	r = commit_send(job);
	if (r == IPC_PENDING)
		job->committing = true;
	else
		job_committed(sched, job, r);
}

static void commit_ended(struct sched *sched, struct job *job)
{
	sched->totals.ended++;
	if (job->cancelled)
		sched->totals.cancelled++;
	else if (job->status < 0)
		sched->totals.failed++;
	job_free(sched, job);
}

/* it is not understood why: answer with an error, once */
static void commit_refused(struct sched *sched, struct job *job, int r)
{
	bool was_end = job->sent_end;

	log_error("request %llu: the broker refused a commit: %s",
		  (unsigned long long)job->event.id, strerror(-r));
	if (was_end && job->status == -EPROTO) {
		commit_ended(sched, job);
		return;
	}
	job_cancel(sched, job);
	job->status = -EPROTO;
}

/* the broker does not take what the session's past would grow by: it stays as it was */
static void commit_lose_turn(struct job *job, int r, const char *why)
{
	struct error error = { "" };

	job->status = error_set(&error, r, "%s", why);
	job->finish = LLM_FINISH_NONE;
	bytes_free(&job->past);
	if (job->answer.framed && job->sent_data.len + job->sent_journal.len + COMMIT_ERROR_BYTES <=
				  job->ipc->max_commit_bytes)
		record_error(&job->sent_data, error.text);
}

/*
 * Memory is short, that of a client, who may never have any: nobody else is to wait for that. First
 * the session does without the turn, then the client without the answer; an end with nothing else
 * needs no memory.
 */
static void commit_starved(struct sched *sched, struct job *job)
{
	job->shortages++;
	if (job->cancelled || job->shortages >= SCHED_COMMIT_TRIES) {
		job_cancel(sched, job);
		if (!job->cancelled)
			job->status = -ENOMEM;
		job->sent_end = true;
	} else if (job->shortages >= SCHED_TURN_TRIES && job->sent_end && !job->status &&
		   job->past.len) {
		commit_lose_turn(job, -ENOMEM, "no memory for what the session would grow by");
	}
}

/* nothing was taken: the same again after a while; true: it will be made again */
static bool commit_again(struct sched *sched, struct job *job, int result)
{
	if (result == -E2BIG && job->sent_journal.len) {
		/* the administrator has lowered the bound: the answer goes on without a journal */
		bytes_clear(&job->sent_journal);
		bytes_clear(&job->journal);
		job->journal_bytes = 0;
	} else if (result == -E2BIG && job->sent_end && job->past.len) {
		commit_lose_turn(job, -E2BIG, "the session would be longer than one may be");
	} else if (result == -ENOMEM) {
		commit_starved(sched, job);
	} else {
		return false;
	}
	job->retry = true;
	job->retry_ns = clock_ns() + SCHED_RETRY_NS;
	return true;
}

void job_committed(struct sched *sched, struct job *job, int result)
{
	job->committing = false;
	if (commit_again(sched, job, result))
		return;
	job->shortages = 0;
	bytes_clear(&job->sent_data);
	bytes_clear(&job->sent_journal);
	job->compute_ns -= job->sent_compute_ns;
	if (result == LLM_VERDICT_PAUSE && !job->resumed)
		job_pause(sched, job);
	job->resumed = false;
	if (result == -ENOENT || (result >= 0 && job->sent_end)) {
		commit_ended(sched, job);
	} else if (result < 0) {
		commit_refused(sched, job, result);
	} else if (result == LLM_VERDICT_CANCELLED) {
		job->cancelled = true;
		sched->cancels = true;
	}
	/* the job may be gone */
}
