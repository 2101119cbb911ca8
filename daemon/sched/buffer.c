/* SPDX-License-Identifier: MIT */
/*
 * Registered buffers of clients: payloads that are read from them, and log-probabilities, vectors
 * and logits that are written into them. Their memory is the client's and changes as he likes, so what was read is
 * copied once, and only that is looked at. Of a payload no more is read than the context of the
 * model could hold.
 */
#include <string.h>

#include "base/log.h"
#include "sched/guard.h"
#include "sched/job.h"
#include "sched/options.h"
#include "sched/record.h"

#define BUFFER_MESSAGES_BYTES	(64U << 10)	/* heads of the messages of a conversation */

/* ---- payloads ---- */

static unsigned int buffer_context(const struct model *model)
{
	return model->info.context_used ? model->info.context_used : model->info.context;
}

/* bytes past which no payload of this type fits into the model's context */
static size_t buffer_payload_max(const struct job *job)
{
	size_t bytes, piece = models_piece_max(job->model);

	if (embed_is(job))
		return EMBED_PAYLOAD_MAX;
	/* with an option a prompt may be longer than the context, if not without bounds */
	if (job->event.payload_type == LLM_PAYLOAD_TOKENS &&
	    !(job->event.flags & LLM_SUBMIT_OPTIONS))
		piece = sizeof(uint32_t);
	if (!size_mul(&bytes, buffer_context(job->model), piece) ||
	    bytes > LLM_BUFFER_PAYLOAD_MAX - BUFFER_MESSAGES_BYTES - 2 * OPTIONS_BYTES_MAX)
		return LLM_BUFFER_PAYLOAD_MAX;
	if (job->event.flags & LLM_SUBMIT_OPTIONS)
		bytes += OPTIONS_BYTES_MAX;
	return bytes + (job->event.payload_type == LLM_PAYLOAD_CHAT ? BUFFER_MESSAGES_BYTES : 0);
}

static int buffer_copy_in(const struct job *job, uint8_t *to)
{
	const struct llm_event *event = &job->event;
	struct ipc_view view = { 0 };
	int r;

	if (event->payload_offset > event->buffer_len ||
	    event->payload_len > event->buffer_len - event->payload_offset ||
	    event->buffer > UINT64_MAX - event->buffer_len)
		return -EPROTO;
	if (!event->payload_len)
		return 0;
	r = job->ipc->ops->view(job->ipc, event->buffer + event->payload_offset,
				event->payload_len, false, &view);
	if (!r)
		r = guard_copy(to, view.at, event->payload_len);
	ipc_view_close(&view);
	return r;
}

int buffer_payload(const struct job *job, const uint8_t **ret, uint8_t **ret_copy,
		   struct error *error)
{
	const uint32_t len = job->event.payload_len;
	_cleanup_free_ uint8_t *copy = NULL;
	size_t max;
	int r;

	if (!(job->event.flags & LLM_SUBMIT_BUFFER)) {
		*ret = job->data + job->event.stop_len;
		*ret_copy = NULL;
		return 0;
	}
	max = buffer_payload_max(job);
	if (len > max && embed_is(job))
		return error_set(error, -E2BIG, "texts of %u bytes, more than %zu", len, max);
	if (len > max)
		return error_set(error, -E2BIG,
				 "the prompt has %u bytes, %u tokens of model '%s' have at most %zu",
				 len, buffer_context(job->model), job->model->name, max);
	copy = malloc(MAX(len, 1U));
	r = copy ? buffer_copy_in(job, copy) : -ENOMEM;
	if (r < 0)
		return error_set(error, r, "the buffer of the prompt can not be read: %s",
				 strerror(-r));
	*ret = copy;
	*ret_copy = steal_ptr(copy);
	return 0;
}

/* ---- answers ---- */

int buffer_check(const struct job *job, const struct buffer_rows *rows, struct error *error)
{
	const struct llm_event *event = &job->event;
	size_t bytes;

	if (!event->answer_buffer)
		return 0;
	if (event->answer_offset > event->answer_buffer_len ||
	    event->answer_len > event->answer_buffer_len - event->answer_offset ||
	    event->answer_buffer > UINT64_MAX - event->answer_buffer_len)
		return error_set(error, -EPROTO, "the buffer for the answer is malformed");
	if (!size_mul(&bytes, rows->count, rows->bytes))
		bytes = SIZE_MAX;
	if (event->answer_len < bytes)
		return error_set(error, -E2BIG, "the buffer has %llu bytes for %s, %zu %s need %zu",
				 (unsigned long long)event->answer_len, rows->what, rows->count,
				 rows->of, bytes);
	return 0;
}

int buffer_score(struct job *job, float logprob)
{
	const int32_t score = record_logprob(logprob);

	return job->event.answer_buffer ? bytes_append(&job->scores, &score, sizeof(score)) : 0;
}

static int buffer_copy_out(struct job *job)
{
	const struct llm_event *event = &job->event;
	struct ipc_view view = { 0 };
	int r;

	r = job->ipc->ops->view(job->ipc,
				event->answer_buffer + event->answer_offset + job->scores_bytes,
				job->scores.len, true, &view);
	if (!r)
		r = guard_copy(view.at, bytes_data(&job->scores), job->scores.len);
	ipc_view_close(&view);
	return r;
}

void buffer_flush(struct sched *sched, struct job *job)
{
	struct error error;
	int r;

	if (!job->scores.len)
		return;
	r = buffer_copy_out(job);
	if (!r)
		job->scores_bytes += job->scores.len;
	bytes_clear(&job->scores);
	if (r < 0) {
		error_set(&error, r, "the buffer for the answer can not be written: %s",
			  strerror(-r));
		job_fail(sched, job, r, &error);
	}
}
