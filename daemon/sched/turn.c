/* SPDX-License-Identifier: MIT */
/*
 * A job that is a turn in a session: it begins with the tokens of the session's past, which came
 * with it, and when it has ended well its own are appended to them. All that is known of the past
 * is its tokens: what was computed for them may be there yet, or is computed again.
 */
#include <string.h>

#include "sched/job.h"
#include "sched/past.h"

bool turn_appends(const struct job *job)
{
	return job->event.flags & LLM_SUBMIT_SESSION &&
	       (job->event.op == LLM_OP_GENERATE || job->event.op == LLM_OP_APPEND);
}

int turn_read(const struct job *job, struct past *ret, struct error *error)
{
	const struct llm_event *event = &job->event;
	const size_t payload_len = event->flags & LLM_SUBMIT_BUFFER ? 0 : event->payload_len;
	int r;

	*ret = (struct past){ 0 };
	if (!(event->flags & LLM_SUBMIT_SESSION))
		return 0;
	r = past_read(ret, job->data + event->stop_len + payload_len + event->journal_len,
		      event->session_len);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_set(error, r, "the past of the session is not one of this server") : 0;
}

/* is the past of use with what is here now? */
static int turn_check_model(struct sched *sched, const struct job *job, const struct past *past,
			    struct error *error)
{
	struct model *named;
	int r;

	if (past->model_bytes != job->model->size_bytes)
		return error_set(error, -ESTALE, "model '%s' was replaced during the session",
				 job->model->name);
	if (!*job->event.model)
		return 0;
	r = models_find(sched->models, job->event.model, &named, error);
	if (r < 0)
		return r;
	if (named != job->model)
		return error_set(error, -EINVAL, "the session is one of model '%s', not of '%s'",
				 job->model->name, named->name);
	return 0;
}

int turn_add_past(struct job *job, const struct past *past, struct error *error)
{
	const uint32_t vocab = tok_vocab(job->model->tokenizer);
	struct tok_ids *tokens = &job->tokens;
	size_t i;

	if (!past->count)
		return 0;
	tokens->ids = calloc(past->count, sizeof(*tokens->ids));
	if (!tokens->ids)
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	tokens->capacity = past->count;
	for (i = 0; i < past->count; i++) {
		tokens->ids[i] = past_id(past, i);
		if (tokens->ids[i] >= vocab)
			return error_set(error, -ESTALE,
					 "token %u in the past of the session: model '%s' has %u",
					 tokens->ids[i], job->model->name, vocab);
	}
	tokens->count = past->count;
	job->past_count = past->count;
	return 0;
}

int turn_begin(struct sched *sched, struct job *job, const struct past *past, struct error *error)
{
	const struct llm_event *event = &job->event;
	int r = 0;

	if (!turn_appends(job))
		return 0;
	if (*past->model)
		r = turn_check_model(sched, job, past, error);
	if (!r)
		r = turn_add_past(job, past, error);
	if (!r)
		job->line = sessions_line(&sched->sessions, job->ipc, event->session,
					  event->past_session);
	return r;
}

int turn_end(struct job *job)
{
	return shift_tell(job, job->prompt_count + job->pushed);
}
