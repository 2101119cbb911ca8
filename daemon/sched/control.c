/* SPDX-License-Identifier: MIT */
/*
 * Operations that need no step of a model: what there is, how the server is, text to ids and back.
 * Long answers are made piece by piece as they are committed, so that a client that does not read
 * costs no more than one piece.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "model/gguf.h"
#include "sched/job.h"
#include "sched/prompt.h"
#include "sched/record.h"

#define CONTROL_FILL_BYTES	(48U << 10)	/* make this much at a time */
#define CONTROL_LIST_NS		(10 * NS_PER_S)	/* a list waits so long for the next file */
#define CONTROL_KEY_MAX		1024
#define CONTROL_VALUE_MAX	(16U << 10)

static int control_append(struct job *job, struct bytes *record, int r)
{
	if (!r)
		r = answer_append(&job->answer, record);
	bytes_free(record);
	return r;
}

/* ---- what there is ---- */

static int control_model(struct sched *sched, struct job *job, struct model *model)
{
	struct llm_model_info info;
	struct bytes record = { 0 };

	models_fill_info(sched->models, model, &info);
	return control_append(job, &record, record_model(&record, &info));
}

static int control_adapter(struct job *job, const struct adapter *adapter)
{
	struct llm_model_info info;
	struct bytes record = { 0 };

	adapters_fill_info(adapter, &info);
	return control_append(job, &record, record_model(&record, &info));
}

uint64_t control_list_due_ns(const struct sched *sched, const struct job *job)
{
	return MAX(job->list_ns, sched->opened_ns) + CONTROL_LIST_NS;
}

/*
 * Is one told of now? Of several that are being read, all are: those behind the first one as far as
 * may be. What is read for very long is told as that.
 */
static bool control_is_due(const struct sched *sched, const struct job *job, int r, bool *awaits)
{
	*awaits |= r == -EINPROGRESS && clock_ns() < control_list_due_ns(sched, job);
	return !*awaits;
}

/* those whose files have been read: all, in the end, and what can not be read is told, too */
static int control_list_models(struct sched *sched, struct job *job)
{
	bool awaits = false;
	struct model *model;
	struct error why;
	int r;

	list_each(model, models_list(sched->models), link) {
		if (strcmp(model->name, job->listed) <= 0)
			continue;
		r = models_open_for_list(sched->models, model, &why);
		if (!control_is_due(sched, job, r, &awaits))
			continue;
		r = control_model(sched, job, model);
		if (r < 0)
			return r;
		memcpy(job->listed, model->name, sizeof(job->listed));
	}
	return awaits ? -EINPROGRESS : 0;
}

static int control_list_adapters(struct sched *sched, struct job *job)
{
	struct adapter *adapter;
	bool awaits = false;
	struct error why;
	int r;

	list_each(adapter, adapters_list(sched->adapters), link) {
		if (strcmp(adapter->name, job->listed) <= 0)
			continue;
		r = adapters_open(sched->adapters, adapter, true, &why);
		if (!control_is_due(sched, job, r, &awaits))
			continue;
		r = control_adapter(job, adapter);
		if (r < 0)
			return r;
		memcpy(job->listed, adapter->name, sizeof(job->listed));
	}
	return awaits ? -EINPROGRESS : 0;
}

static int control_models(struct sched *sched, struct job *job, struct error *error)
{
	int r = 0;

	if (!job->list_ns) {
		job->list_ns = clock_ns();
		r = models_scan(sched->models, error);
	}
	if (!r && !job->lists_adapters) {
		r = control_list_models(sched, job);
		if (!r)
			r = adapters_scan(sched->adapters, error);
		if (!r) {
			job->lists_adapters = true;
			*job->listed = '\0';
		}
	}
	if (!r)
		r = control_list_adapters(sched, job);
	if (!r)
		job_finish(sched, job, LLM_FINISH_STOP);
	return r;
}

static int control_find(struct sched *sched, struct job *job, struct error *error)
{
	struct model *model;
	int r;

	r = models_find(sched->models, job->event.model, &model, error);
	if (!r)
		r = models_open(sched->models, model, error);
	if (!r)
		job_set_model(job, model);
	return r;
}

/* where no model has that name; -ENOENT: nor an adapter */
static int control_show_adapter(struct sched *sched, struct job *job, struct error *error)
{
	struct adapter *adapter;
	struct error why = { "" };
	int r;

	r = adapters_find(sched->adapters, job->event.model, &adapter, &why);
	if (!r)
		r = adapters_open(sched->adapters, adapter, false, &why);
	/* what was said of the models stays */
	if (r < 0)
		return r == -ENOENT || r == -EINPROGRESS ? r : error_set(error, r, "%s", why.text);
	job->opened = opened_ref(adapter->file);
	return control_adapter(job, adapter);
}

/* the file stays open for this job, whatever becomes of it in the folder meanwhile */
static int control_show(struct sched *sched, struct job *job, struct error *error)
{
	int r;

	r = control_find(sched, job, error);
	if (r == -ENOENT && *job->event.model)
		return control_show_adapter(sched, job, error);
	return r < 0 ? r : control_model(sched, job, job->model);
}

static int control_status(struct sched *sched, struct job *job)
{
	struct bytes record = { 0 };
	struct llm_status status;
	int r;

	sched_fill_status(sched, &status);
	/* what is found tells of what others have asked */
	if (job->event.uid && job->event.uid != geteuid()) {
		status.kv_pages_kept = 0;
		status.kv_pages_swapped = 0;
		status.swap_bytes = 0;
		status.swapped_out = 0;
		status.swapped_in = 0;
		status.swap_failed = 0;
		status.reused_tokens = 0;
		status.grammar_bytes = 0;
	}
	r = control_append(job, &record, record_status(&record, &status));
	if (!r)
		job_finish(sched, job, LLM_FINISH_STOP);
	return r;
}

/* ---- text and ids ---- */

static int control_tokens(struct sched *sched, struct job *job, struct error *error)
{
	_cleanup_free_ uint8_t *copy = NULL;
	const uint8_t *payload;
	int r;

	if (job->event.op == LLM_OP_DETOKENIZE && job->event.payload_type != LLM_PAYLOAD_TOKENS)
		return error_set(error, -EINVAL, "token ids are wanted, not text");
	r = control_find(sched, job, error);
	if (!r)
		r = buffer_payload(job, &payload, &copy, error);
	if (!r)
		r = prompt_encode(job->model, &job->event, payload, &job->tokens, &job->fresh,
				  error);
	job->fresh = true;
	return r;
}

/* what a session has so far; of an empty one there is nothing to tell */
static int control_session(struct sched *sched, struct job *job, struct error *error)
{
	struct past past;
	int r;

	if (!(job->event.flags & LLM_SUBMIT_SESSION))
		return error_set(error, -EINVAL, "there is no session to tell about");
	r = turn_read(job, &past, error);
	if (r < 0 || !past.count)
		return r;
	memcpy(job->event.model, past.model, sizeof(job->event.model));
	r = control_find(sched, job, error);
	if (!r)
		r = turn_add_past(job, &past, error);
	job->fresh = true;
	return r < 0 ? r : control_model(sched, job, job->model);
}

/* ---- one item of a long answer ---- */

static const struct gguf *control_file(const struct job *job)
{
	return job->opened ? job->opened->gguf : job->model->gguf;
}

static int control_fill_meta(struct job *job)
{
	char key[CONTROL_KEY_MAX], value[CONTROL_VALUE_MAX];
	struct bytes record = { 0 };
	int r;

	r = gguf_key_print(control_file(job), job->next, key, sizeof(key), value, sizeof(value));
	return r < 0 ? r : control_append(job, &record, record_meta(&record, key, value));
}

static int control_fill_token(struct job *job)
{
	const struct sample_token token = { .id = job->tokens.ids[job->next], .logprob = 0 };
	struct bytes record = { 0 };
	const char *text;
	size_t len = 0;

	text = tok_piece(job->model->tokenizer, token.id, job->fresh, true, &len);
	if (text && !tok_is_control(job->model->tokenizer, token.id))
		job->fresh = false;
	return control_append(job, &record,
			      record_token(&record, &token, NULL, 0, text, text ? len : 0));
}

static int control_fill_text(struct job *job)
{
	const struct sample_token token = { .id = job->tokens.ids[job->next] };
	const char *text;
	size_t len = 0;

	text = tok_piece(job->model->tokenizer, token.id, job->fresh,
			 job->event.flags & LLM_SUBMIT_SPECIAL, &len);
	if (!text)
		len = 0;
	if (len)
		job->fresh = false;
	return answer_push(&job->answer, &token, NULL, 0, text, len);
}

static int control_fill_one(struct job *job)
{
	switch (job->event.op) {
	case LLM_OP_SHOW:
		return control_fill_meta(job);
	case LLM_OP_TOKENIZE:
	case LLM_OP_SESSION_TOKENS:
		return control_fill_token(job);
	default:
		return control_fill_text(job);
	}
}

static size_t control_count(const struct job *job)
{
	return job->event.op == LLM_OP_SHOW ? gguf_key_count(control_file(job)) : job->tokens.count;
}

void control_fill(struct sched *sched, struct job *job)
{
	size_t count = control_count(job);
	int r = 0;

	for (; !r && job->next < count && job->answer.out.len < CONTROL_FILL_BYTES; job->next++)
		r = control_fill_one(job);
	if (r < 0)
		job_fail(sched, job, r, NULL);
	else if (job->next == count)
		job_finish(sched, job, LLM_FINISH_STOP);
}

/* ---- the start ---- */

static int control_run(struct sched *sched, struct job *job, struct error *error)
{
	if (!job->answer.framed && job->event.op != LLM_OP_NOP &&
	    job->event.op != LLM_OP_DETOKENIZE)
		return error_set(error, -EINVAL, "operation %u is answered in records only",
				 job->event.op);
	switch (job->event.op) {
	case LLM_OP_NOP:
		job_finish(sched, job, LLM_FINISH_STOP);
		return 0;
	case LLM_OP_TOKENIZE:
	case LLM_OP_DETOKENIZE:
		return control_tokens(sched, job, error);
	case LLM_OP_MODELS:
		return control_models(sched, job, error);
	case LLM_OP_SHOW:
		return control_show(sched, job, error);
	case LLM_OP_STATUS:
		return control_status(sched, job);
	case LLM_OP_SESSION_TOKENS:
		return control_session(sched, job, error);
	default:
		return error_set(error, -EOPNOTSUPP, "operation %u is not known", job->event.op);
	}
}

int control_start(struct sched *sched, struct job *job)
{
	struct error error = { "" };
	int r;

	r = control_run(sched, job, &error);
	if (r == -EINPROGRESS)
		return r;
	if (r < 0)
		job_fail(sched, job, r, &error);
	else if (!job->done)
		job_move(sched, job, JOB_FINISHING);
	return 0;
}
