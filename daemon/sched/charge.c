/* SPDX-License-Identifier: MIT */
/*
 * Cache pages are taken in the name of whoever asked: charged before, page by page as a sequence
 * grows, and uncharged after they were given back. What a job has been charged is what its sequence
 * has for itself; between its last step and its end it may be more, because the commit of the end
 * gives all of it back. One system call for each page of a sequence over the device, and none over
 * the socket.
 */
#include <string.h>

#include "base/log.h"
#include "sched/drafter.h"
#include "sched/job.h"

static void charge_refused(struct sched *sched, struct job *job, int r, unsigned int tokens)
{
	struct error error = { "" };

	if (r == -EDQUOT)
		error_set(&error, r, "%zu bytes for %u tokens are more than a quota of memory allows",
			  engine_kv_bytes(job->model->loaded, tokens), tokens);
	else
		error_set(&error, r, "memory for %u tokens can not be charged: %s", tokens,
			  strerror(-r));
	job_fail(sched, job, r, &error);
}

/* what the broker said; Return: it is charged */
static bool charge_told(struct sched *sched, struct job *job, int verdict, unsigned int tokens)
{
	switch (verdict) {
	case LLM_VERDICT_CONTINUE:
		job->is_short = false;
		return true;
	case LLM_VERDICT_PAUSE:
		job->is_short = true;
		job_pause(sched, job);
		return false;
	case LLM_VERDICT_CANCELLED:
	case -ENOENT:
		job->cancelled = true;
		sched->cancels = true;
		return false;
	default:
		charge_refused(sched, job, verdict < 0 ? verdict : -EPROTO, tokens);
		return false;
	}
}

/* of its own; what it finds in the prefix store is charged already */
static size_t charge_due(const struct job *job, unsigned int tokens)
{
	const struct engine_model *model = job->model->loaded;

	if (job->seq)
		return engine_seq_bytes_for(job->seq, tokens) + job->draft_bytes;
	return engine_kv_bytes(model, tokens) - engine_kv_bytes(model, reuse_find(job));
}

/* all but so many bytes */
static void charge_give_back(struct job *job, size_t held)
{
	const struct llm_charge charge = {
		.size = sizeof(charge),
		.id = job->event.id,
		.bytes = job->charged_bytes - held,
	};
	int r;

	if (job->charged_bytes <= held)
		return;
	job->charged_bytes = held;
	r = job->ipc->ops->uncharge(job->ipc, &charge);
	/* who is no longer this server's holds nothing */
	if (r < 0 && r != -ENOENT)
		log_error("request %llu: %llu bytes can not be uncharged: %s",
			  (unsigned long long)job->event.id, (unsigned long long)charge.bytes,
			  strerror(-r));
}

void charge_settle(struct job *job)
{
	size_t held = job->seq ? engine_seq_bytes(job->seq) : 0;

	job->draft_bytes = job->draft_seq ? engine_seq_bytes(job->draft_seq) : 0;
	held += job->draft_bytes;
	charge_give_back(job, held);
}

/* guesses are the first to go; Return: there were pages for them */
static bool charge_drop_draft(struct job *job)
{
	if (!job->draft_seq)
		return false;
	job->drafts_nothing = true;
	drafter_drop(job);
	charge_settle(job);
	return true;
}

bool charge_take(struct sched *sched, struct job *job, unsigned int tokens)
{
	size_t bytes = charge_due(job, tokens);
	struct llm_charge charge = {
		.size = sizeof(charge),
		.id = job->event.id,
		.bytes = bytes - job->charged_bytes,
	};
	int r;

	if (bytes <= job->charged_bytes) {
		/* what it was short of it does not need after all */
		job->is_short = false;
		return true;
	}
	/* its verdict may be to pause as well: one resume would have to answer both */
	if (job->committing)
		return false;
	r = job->ipc->ops->charge(job->ipc, &charge);
	if (r == -EDQUOT && charge_drop_draft(job)) {
		bytes = charge_due(job, tokens);
		charge.bytes = bytes - job->charged_bytes;
		r = job->ipc->ops->charge(job->ipc, &charge);
	}
	if (!charge_told(sched, job, r, tokens)) {
		charge_drop_draft(job);
		return false;
	}
	job->charged_bytes = bytes;
	return true;
}

bool charge_take_draft(struct sched *sched, struct job *job, unsigned int tokens)
{
	const size_t bytes = engine_seq_bytes_for(job->draft_seq, tokens);
	const struct llm_charge charge = {
		.size = sizeof(charge),
		.id = job->event.id,
		.flags = LLM_CHARGE_TRY,
		.bytes = bytes - job->draft_bytes,
	};
	int r;

	if (bytes <= job->draft_bytes)
		return true;
	r = job->ipc->ops->charge(job->ipc, &charge);
	if (!r) {
		job->draft_bytes = bytes;
		job->charged_bytes += charge.bytes;
		return true;
	}
	/* whatever it is: guesses are the first to go, and nobody fails for them */
	job->drafts_nothing = true;
	if (r == LLM_VERDICT_CANCELLED || r == -ENOENT) {
		job->cancelled = true;
		sched->cancels = true;
	}
	return false;
}
