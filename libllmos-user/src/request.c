/* SPDX-License-Identifier: MIT */
/*
 * A request: one SUBMIT, then one READ after the other until the broker says that was all. Exactly
 * one of these commands is on its way at any time, unless the request waits for its reader. The
 * caller owns the request; a command that is on its way when it is freed is left to the transport.
 */
#include <errno.h>
#include <string.h>

#include "request.h"
#include "session.h"

/* answer bytes kept for a caller who pulls them, before READs stop */
#define REQUEST_KEEP_MAX	(64U * 1024)

static int request_start_read(struct llmos_request *request);
static void request_read_done(struct llmos_command *command);
static void request_submit_done(struct llmos_command *command);

static struct llmos_transport *transport_of(const struct llmos_request *request)
{
	return request->llmos->transport;
}

/* ---- making ---- */

static int spec_model(struct llmos *llmos, const struct llmos_spec *spec, struct llm_submit *submit)
{
	size_t len = spec->model ? strlen(spec->model) : 0;

	if (len >= sizeof(submit->model))
		return llmos_fail(llmos, -ENAMETOOLONG, "model '%.80s...'", spec->model);
	if (len)
		memcpy(submit->model, spec->model, len);
	return 0;
}

static int spec_stop_len(struct llmos *llmos, const struct llmos_spec *spec, size_t *ret_len)
{
	size_t len = 0, i;

	for (i = 0; spec->stop && spec->stop[i]; i++) {
		if (!*spec->stop[i])
			return llmos_fail(llmos, -EINVAL, "stop string ''");
		len += strnlen(spec->stop[i], LLM_STOP_BYTES_MAX) + 1;
		if (len > LLM_STOP_BYTES_MAX)
			return llmos_fail(llmos, -E2BIG, "stop strings of more than %u bytes",
					  LLM_STOP_BYTES_MAX);
	}
	*ret_len = len;
	return 0;
}

static size_t spec_options_len(const struct llmos_spec *spec)
{
	size_t i, len = spec->option_count ? sizeof(struct llm_option) : 0;

	for (i = 0; i < spec->option_count; i++)
		len += sizeof(struct llm_option) + spec->options[i].len;
	return len;
}

/* bytes of payload that go with the command; the others are in a buffer */
static int spec_payload_len(struct llmos *llmos, const struct llmos_spec *spec, size_t *ret_len)
{
	const size_t max = spec->buffer ? LLM_BUFFER_PAYLOAD_MAX :
					  llmos->features.max_payload_bytes;
	const size_t more = spec_options_len(spec);
	int r = 0;

	if (spec->buffer || spec->answer_buffer)
		r = llmos_buffer_check(llmos);
	if (r < 0)
		return r;
	if (more && spec->buffer)
		return llmos_fail(llmos, -EINVAL,
				  "options beside a prompt in a buffer: their place is in front of it");
	if (more > max || spec->payload_len > max - more)
		return llmos_fail(llmos, -E2BIG, "payload of %zu bytes (the limit is %zu)",
				  spec->payload_len + more, max);
	if (spec->buffer && spec->payload)
		return llmos_fail(llmos, -EINVAL, "a prompt beside the one in buffer '%llu'",
				  (unsigned long long)spec->buffer);
	*ret_len = spec->buffer ? 0 : spec->payload_len + more;
	return 0;
}

static void spec_fill_buffers(const struct llmos_spec *spec, struct llm_submit *submit)
{
	if (spec->buffer) {
		submit->flags |= LLM_SUBMIT_BUFFER;
		submit->buffer = spec->buffer;
		submit->payload = spec->payload_offset;
	}
	if (spec->answer_buffer) {
		submit->answer_buffer = spec->answer_buffer;
		submit->answer_offset = spec->answer_offset;
		submit->answer_len = spec->answer_len;
	}
}

static uint8_t *fill_option(uint8_t *at, const struct llmos_option *option)
{
	const struct llm_option head = { .type = option->type, .len = option->len };

	at = mempcpy(at, &head, sizeof(head));
	return option->len ? mempcpy(at, option->data, option->len) : at;
}

/* the options, if there are any, and behind them the payload */
static void spec_fill_payload(const struct llmos_spec *spec, struct llmos_command *command)
{
	static const struct llmos_option end = { .type = LLM_OPTION_END };
	uint8_t *at = command->in;
	size_t i;

	for (i = 0; i < spec->option_count; i++)
		at = fill_option(at, &spec->options[i]);
	if (spec->option_count) {
		command->arg.submit.flags |= LLM_SUBMIT_OPTIONS;
		at = fill_option(at, &end);
	}
	if (!spec->buffer && spec->payload_len)
		memcpy(at, spec->payload, spec->payload_len);
}

static int spec_fill_session(struct llmos *llmos, const struct llmos_spec *spec,
			     struct llmos_command *command)
{
	int r = spec->session ? llmos_session_check(llmos) : 0;

	if (r < 0 || !spec->session)
		return r;
	command->arg.submit.flags |= LLM_SUBMIT_SESSION;
	r = llmos_command_pass(command, llmos_session_fd(spec->session));
	return r < 0 ? llmos_fail(llmos, r, "session") : 0;
}

static int spec_fill(struct llmos *llmos, const struct llmos_spec *spec,
		     struct llmos_command *command)
{
	struct llm_submit *submit = &command->arg.submit;
	size_t stop_len = 0, len = 0, at, i;
	int r;

	r = spec_model(llmos, spec, submit);
	if (r < 0)
		return r;
	r = spec_stop_len(llmos, spec, &stop_len);
	if (r < 0)
		return r;
	r = spec_payload_len(llmos, spec, &len);
	if (r < 0)
		return r;
	command->in_len = len + stop_len;
	command->in = malloc(command->in_len + 1);
	if (!command->in)
		return llmos_fail(llmos, -ENOMEM, "request");
	submit->flags = spec->flags | LLM_SUBMIT_RECORDS;
	submit->payload_len = spec->buffer ? spec->payload_len : len;
	spec_fill_payload(spec, command);
	for (at = len, i = 0; spec->stop && spec->stop[i]; i++) {
		len = strlen(spec->stop[i]) + 1;
		memcpy(command->in + at, spec->stop[i], len);
		at += len;
	}
	submit->op = spec->op;
	submit->payload_type = spec->payload_type;
	submit->stop_len = stop_len;
	submit->max_tokens = spec->max_tokens;
	submit->sampling = spec->sampling;
	submit->sched_class = spec->sched_class;
	spec_fill_buffers(spec, submit);
	return spec_fill_session(llmos, spec, command);
}

int llmos_request_new(struct llmos *llmos, struct llmos_request **ret,
		      const struct llmos_spec *spec, llmos_sink_fn sink, void *sink_data)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	int r;

	request = calloc(1, sizeof(*request));
	if (!request)
		return llmos_fail(llmos, -ENOMEM, "request");
	request->llmos = llmos;
	request->forgotten = true;
	llmos_list_init(&request->link);
	request->submit = llmos_command_new(LLM_IOC_SUBMIT, 0);
	request->read = llmos_command_new(LLM_IOC_READ, LLMOS_READ_BYTES);
	if (!request->submit || !request->read)
		return llmos_fail(llmos, -ENOMEM, "request");
	r = spec_fill(llmos, spec, request->submit);
	if (r < 0)
		return r;
	request->sink = sink;
	request->sink_data = sink_data;
	llmos_list_append(&llmos->requests, &request->link);
	*ret = request;
	request = NULL;
	return 0;
}

/* ---- cancelling ---- */

static int request_send_cancel(const struct llmos *llmos, uint64_t id, unsigned int flags)
{
	struct llmos_command *command = llmos_command_new(LLM_IOC_CANCEL, 0);
	int r;

	if (!command)
		return -ENOMEM;
	command->arg.cancel.flags = flags;
	command->arg.cancel.id = id;
	/* without an on_done the transport frees it when the reply has come */
	r = llmos->transport->ops->start(llmos->transport, command);
	if (r > 0)
		r = command->result;
	else if (!r)
		return 0;
	llmos_command_free(command);
	return r;
}

/* nobody will read the rest: the broker may drop it */
static void request_forget(struct llmos_request *request)
{
	if (!request->forgotten && request->id)
		request_send_cancel(request->llmos, request->id, LLM_CANCEL_FORGET);
	request->forgotten = true;
}

int llmos_request_cancel(struct llmos_request *request)
{
	int r;

	if (request->done || request->forgotten)
		return 0;
	request->cancel_wanted = true;
	/* request_submitted() does it, once there is a number to name */
	if (!request->id)
		return 0;
	r = request_send_cancel(request->llmos, request->id, 0);
	/* it may have ended meanwhile */
	if (r < 0 && r != -ENOENT)
		return llmos_fail(request->llmos, r, "cancel of request %llu",
				  (unsigned long long)request->id);
	return 0;
}

/* ---- ending ---- */

/* what a SUBMIT says of the session that it names */
static const char *request_session_error(int status)
{
	switch (status) {
	case -EPERM:
		return "the session is sealed: fork it";
	case -EBUSY:
		return "the session is being answered in, or there are too many requests";
	case -EINVAL:
	case -EBADF:
		return "not a session of this server";
	default:
		return "a turn of the session";
	}
}

static void request_describe(struct llmos_request *request)
{
	struct llmos *llmos = request->llmos;

	if (request->error)
		llmos_fail(llmos, request->status, "%s", request->error);
	else if (request->status == -EDQUOT)
		llmos_fail(llmos, request->status,
			   "a quota of this cgroup, or of one above it, is in the way");
	else if (request->status == -EPROTO)
		llmos_fail(llmos, request->status, "answer of the server at '%s'", llmos->address);
	else if (request->in_session && !request->id)
		llmos_fail(llmos, request->status, "%s", request_session_error(request->status));
	else if (request->id)
		llmos_fail(llmos, request->status, "request %llu at '%s'",
			   (unsigned long long)request->id, llmos->address);
	else
		llmos_fail(llmos, request->status, "request at '%s'", llmos->address);
}

static void request_call_on_text(struct llmos_request *request, const char *text, size_t len)
{
	if (!len || request->muted || !request->opts.on_text)
		return;
	request->llmos->callbacks++;
	if (request->opts.on_text(request->opts.userdata, text, len))
		request->muted = true;
}

static void request_end(struct llmos_request *request, int status)
{
	if (request->done)
		return;
	/* what could not become a whole character is handed out as it is */
	request_call_on_text(request, request->held.bytes, request->held.len);
	llmos_text_done(&request->held);
	if (!status && llmos_records_partial(&request->records) && !request->muted)
		status = -EPROTO;
	if (request->muted && !status)
		status = -ECANCELED;
	llmos_records_done(&request->records);
	request->status = status;
	request->done = true;
	if (status < 0)
		request_describe(request);
	if (request->opts.on_end && !request->free_wanted) {
		request->llmos->callbacks++;
		request->opts.on_end(request->opts.userdata, request, status);
	}
}

/* ---- the answer ---- */

/* a server's line for people: one line of bounded length without control characters */
static char *error_line(const uint8_t *body, size_t len)
{
	char *line;
	size_t i;

	len = len < LLMOS_ERROR_MAX ? len : LLMOS_ERROR_MAX;
	line = strndup((const char *)body, len);
	for (i = 0; line && line[i]; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	return line;
}

static int request_take_record(void *userdata, unsigned int type, const uint8_t *body, size_t len)
{
	struct llmos_request *request = userdata;

	if (type == LLM_RECORD_ERROR) {
		free(request->error);
		request->error = len ? error_line(body, len) : NULL;
		return 0;
	}
	if (request->muted)
		return 0;
	return request->sink(request, type, body, len);
}

static int request_take_text(struct llmos_request *request, const char *text, size_t len)
{
	size_t whole;
	int r;

	if (request->keep) {
		r = llmos_text_append(&request->text, text, len);
		if (r < 0)
			return r;
	}
	if (!request->opts.on_text)
		return 0;
	r = llmos_text_append(&request->held, text, len);
	if (r < 0)
		return r;
	whole = llmos_utf8_whole(request->held.bytes, request->held.len);
	request_call_on_text(request, request->held.bytes, whole);
	llmos_text_consume(&request->held, whole);
	return 0;
}

static int request_take_token(struct llmos_request *request, const uint8_t *body, size_t len)
{
	struct llmos_alternative top[LLM_LOGPROBS_MAX];
	struct llmos_token token;
	int r;

	r = llmos_record_token(body, len, &token, top);
	if (r < 0 || !request->opts.on_token)
		return r;
	if (token.top_count > request->opts.top_logprobs)
		token.top_count = request->opts.top_logprobs;
	request->llmos->callbacks++;
	if (request->opts.on_token(request->opts.userdata, &token))
		request->muted = true;
	return 0;
}

int llmos_request_stream(struct llmos_request *request, unsigned int type,
			 const uint8_t *body, size_t len)
{
	switch (type) {
	case LLM_RECORD_TEXT:
		return request_take_text(request, (const char *)body, len);
	case LLM_RECORD_TOKEN:
		return request_take_token(request, body, len);
	default:
		return 0;
	}
}

int llmos_request_keep_text(struct llmos_request *request, unsigned int type,
			    const uint8_t *body, size_t len)
{
	if (type != LLM_RECORD_TEXT)
		return 0;
	return llmos_text_append(&request->text, (const char *)body, len);
}

static void request_take_state(struct llmos_request *request, const struct llm_read *read)
{
	request->usage.prompt_tokens = read->prompt_tokens;
	request->usage.output_tokens = read->output_tokens;
	request->usage.submit_ns = read->submit_ns;
	request->usage.dispatch_ns = read->dispatch_ns;
	request->usage.first_ns = read->first_ns;
	request->usage.end_ns = read->end_ns;
	request->answer_bytes = read->answer_bytes;
	if (read->finish <= LLM_FINISH_CONTEXT)
		request->finish = (enum llmos_finish)read->finish;
}

/* end it here although the broker still has it */
static void request_abort(struct llmos_request *request, int status)
{
	request_forget(request);
	request_end(request, status);
}

/* a callback wants no more: what is still to come is read and dropped */
static void request_mute(struct llmos_request *request)
{
	request->muted = true;
	if (!request->cancel_wanted)
		llmos_request_cancel(request);
}

static void request_take_read(struct llmos_request *request, const struct llmos_command *command)
{
	const struct llm_read *read = &command->arg.read;
	int r;

	if (command->result < 0 && command->result != -EAGAIN && command->result != -EINTR) {
		/* whatever it was, this id brings nothing more */
		request_abort(request, command->result);
		return;
	}
	if (!command->result) {
		if (read->len > command->out_size || read->status > 0 || read->status < -4095) {
			request_abort(request, -EPROTO);
			return;
		}
		request_take_state(request, read);
		r = llmos_records_feed(&request->records, command->out, read->len,
				       request_take_record, request);
		if (read->out_flags & LLM_READ_END)
			request->forgotten = true;
		if (r < 0) {
			request_abort(request, r);
			return;
		}
		if (request->forgotten) {
			request_end(request, read->status);
			return;
		}
		if (request->muted && !request->free_wanted)
			request_mute(request);
	}
	if (request->free_wanted)
		return;
	/* a full house: READs go on when the caller has taken some */
	if (request->keep && !request->unbounded && request->text.len >= REQUEST_KEEP_MAX)
		return;
	r = request_start_read(request);
	if (r < 0)
		request_end(request, r);
}

static void request_settle(struct llmos_request *request)
{
	request->busy = false;
	if (request->free_wanted)
		llmos_request_free(request);
}

static void request_read_done(struct llmos_command *command)
{
	struct llmos_request *request = command->userdata;

	request->in_flight = NULL;
	request->busy = true;
	request_take_read(request, command);
	request_settle(request);
}

static int request_start_read(struct llmos_request *request)
{
	struct llmos_command *command = request->read;
	int r;

	llmos_command_reset(command, LLM_IOC_READ);
	command->arg.read.id = request->id;
	command->on_done = request_read_done;
	command->userdata = request;
	request->in_flight = command;
	r = transport_of(request)->ops->start(transport_of(request), command);
	if (r < 0)
		request->in_flight = NULL;
	return r;
}

/* ---- the submission ---- */

static int request_submitted(struct llmos_request *request, const struct llmos_command *command)
{
	if (command->result < 0)
		return command->result;
	request->id = command->arg.submit.id;
	if (!request->id)
		return -EPROTO;
	request->forgotten = false;
	llmos_command_free(request->submit);
	request->submit = NULL;
	if (request->cancel_wanted)
		request_send_cancel(request->llmos, request->id, 0);
	return request_start_read(request);
}

static void request_submit_done(struct llmos_command *command)
{
	struct llmos_request *request = command->userdata;
	int r;

	request->in_flight = NULL;
	request->busy = true;
	r = request_submitted(request, command);
	if (r < 0)
		request_end(request, r);
	request_settle(request);
}

/* its request was freed before its number was known */
static void submit_orphaned(struct llmos_command *command)
{
	const struct llmos *llmos = command->userdata;

	if (!command->result && command->arg.submit.id)
		request_send_cancel(llmos, command->arg.submit.id, LLM_CANCEL_FORGET);
	llmos_command_free(command);
}

int llmos_request_start(struct llmos_request *request)
{
	struct llmos_command *command = request->submit;
	const bool in_session = command->pass_fd >= 0;
	struct llmos *llmos = request->llmos;
	int r;

	request->in_session = in_session;
	command->on_done = request_submit_done;
	command->userdata = request;
	request->in_flight = command;
	/* until the broker has named it, a cancel must wait rather than do nothing */
	request->forgotten = false;
	r = transport_of(request)->ops->start(transport_of(request), command);
	if (!r)
		return 0;
	request->in_flight = NULL;
	if (r > 0)
		r = request_submitted(request, command);
	if (r < 0) {
		request->status = r;
		request->done = true;
		request->forgotten = !request->id;
		if (r == -EBUSY && !in_session)
			return llmos_fail(llmos, r, "too many requests at '%s'", llmos->address);
		request_describe(request);
	}
	return r;
}

/* ---- what callers do with it ---- */

int llmos_request_wait(struct llmos_request *request)
{
	int r;

	request->unbounded = true;
	if (!request->done && !request->in_flight) {
		r = request_start_read(request);
		if (r < 0)
			return llmos_fail(request->llmos, r, "request %llu",
					  (unsigned long long)request->id);
	}
	while (!request->done) {
		r = llmos_step(request->llmos, -1);
		if (r < 0 && !request->done)
			return r;
	}
	if (request->status < 0)
		request_describe(request);
	return request->status;
}

int llmos_request_run(struct llmos_request *request)
{
	int r = llmos_request_start(request);

	return r < 0 ? r : llmos_request_wait(request);
}

ssize_t llmos_request_read(struct llmos_request *request, char *buf, size_t size)
{
	size_t n;
	int r;

	if (!request->keep)
		return llmos_fail(request->llmos, -EINVAL, "read of a request that has 'on_text'");
	while (!request->text.len && !request->done && size) {
		r = llmos_step(request->llmos, -1);
		if (r < 0 && !request->done)
			return r;
	}
	n = request->text.len < size ? request->text.len : size;
	if (n)
		memcpy(buf, request->text.bytes, n);
	llmos_text_consume(&request->text, n);
	if (!request->done && !request->in_flight && request->text.len < REQUEST_KEEP_MAX) {
		r = request_start_read(request);
		if (r < 0)
			request_end(request, r);
	}
	if (!n && size && request->status < 0) {
		request_describe(request);
		return request->status;
	}
	return n;
}

bool llmos_request_done(const struct llmos_request *request)
{
	return request->done;
}

enum llmos_finish llmos_request_finish(const struct llmos_request *request)
{
	return request->finish;
}

uint64_t llmos_request_id(const struct llmos_request *request)
{
	return request->id;
}

/* let go of the command that is on its way */
static void request_detach(struct llmos_request *request)
{
	struct llmos_command *command = request->in_flight;

	if (command == request->submit) {
		command->on_done = submit_orphaned;
		command->userdata = request->llmos;
		request->submit = NULL;
	} else {
		transport_of(request)->ops->abandon(transport_of(request), command);
		request->read = NULL;
	}
	request->in_flight = NULL;
}

void llmos_request_free(struct llmos_request *request)
{
	if (!request)
		return;
	if (request->busy) {
		request->free_wanted = true;
		request->muted = true;
		return;
	}
	request_forget(request);
	if (request->in_flight)
		request_detach(request);
	llmos_list_remove(&request->link);
	llmos_command_free(request->submit);
	llmos_command_free(request->read);
	llmos_records_done(&request->records);
	llmos_text_done(&request->text);
	llmos_text_done(&request->held);
	free(request->error);
	free(request);
}
