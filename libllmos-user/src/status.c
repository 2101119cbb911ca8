/* SPDX-License-Identifier: MIT */
/*
 * How broker and server are, and the request that does nothing.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "opts.h"
#include "request.h"

/* a server that does not answer a status for so long counts as not answering */
#define STATUS_TIMEOUT_MS	3000

static int features_read(struct llmos *llmos)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	int r;

	command = llmos_command_new(LLM_IOC_GET_FEATURES, 0);
	if (!command)
		return llmos_fail(llmos, -ENOMEM, "features");
	r = llmos_call(llmos, &command);
	if (r < 0)
		return llmos_fail(llmos, r, "features of '%s'", llmos->address);
	llmos->features = command->arg.features;
	return 0;
}

static int status_sink(struct llmos_request *request, unsigned int type, const uint8_t *body,
		       size_t len)
{
	return type == LLM_RECORD_STATUS ? llmos_record_status(body, len, request->sink_data) : 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Return: 0; -ETIME the server does not answer; -errno */
static int status_ask(struct llmos *llmos, struct llm_status *ret)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	struct llmos_spec spec = { .op = LLM_OP_STATUS };
	int64_t deadline = now_ms() + STATUS_TIMEOUT_MS, left;
	int r;

	r = llmos_request_new(llmos, &request, &spec, status_sink, ret);
	if (!r)
		r = llmos_request_start(request);
	while (!r && !request->done) {
		left = deadline - now_ms();
		if (left <= 0)
			return -ETIME;
		r = llmos_step(llmos, (int)left);
	}
	/* the last step may have brought the end and an error of the connection */
	return request && request->done ? request->status : r;
}

static void status_fill_broker(struct llmos_status *status, const struct llm_features *features)
{
	status->abi_version = features->abi_version;
	status->server_pid = features->server_pid;
	status->requests = features->requests;
	status->max_requests = features->max_requests;
	status->submitted = features->submitted;
	status->ended = features->ended;
	status->recovered = features->recovered;
	status->cancelled = features->cancelled;
}

static void status_fill_server(struct llmos_status *status, const struct llm_status *server)
{
	memcpy(status->version, server->version, sizeof(status->version));
	memcpy(status->isa, server->isa, sizeof(status->isa));
	status->start_ns = server->start_ns;
	status->steps = server->steps;
	status->step_ns = server->step_ns;
	status->step_max_ns = server->step_max_ns;
	status->prompt_tokens = server->prompt_tokens;
	status->output_tokens = server->output_tokens;
	status->server_ended = server->ended;
	status->server_failed = server->failed;
	status->server_cancelled = server->cancelled;
	status->server_recovered = server->recovered;
	status->cancel_steps_max = server->cancel_steps_max;
	status->slots = server->slots;
	status->slots_busy = server->slots_busy;
	status->kv_pages = server->kv_pages;
	status->kv_pages_used = server->kv_pages_used;
	status->threads = server->threads;
	status->models_loaded = server->models_loaded;
	status->kv_pages_kept = server->kv_pages_kept;
	status->reused_tokens = server->reused_tokens;
	status->kv_pages_swapped = server->kv_pages_swapped;
	status->swap_bytes = server->swap_bytes;
	status->swapped_out = server->swapped_out;
	status->swapped_in = server->swapped_in;
	status->swap_failed = server->swap_failed;
	status->grammar_bytes = server->grammar_bytes;
	status->reading_ns = server->reading_ns;
	memcpy(status->reading, server->reading, sizeof(status->reading));
}

int llmos_get_status(struct llmos *llmos, struct llmos_status *status)
{
	struct llmos_status fresh = { .size = sizeof(fresh) };
	struct llm_status server = { 0 };
	int r;

	r = features_read(llmos);
	if (r < 0)
		return r;
	status_fill_broker(&fresh, &llmos->features);
	if (llmos->features.server_pid) {
		r = status_ask(llmos, &server);
		if (r < 0 && r != -ETIME)
			return r;
		status_fill_server(&fresh, &server);
	}
	return llmos_opts_return(llmos, status, &fresh, sizeof(fresh));
}

static int nop_sink(struct llmos_request *request, unsigned int type, const uint8_t *body,
		    size_t len)
{
	(void)request;
	(void)type;
	(void)body;
	(void)len;
	return 0;
}

int llmos_nop(struct llmos *llmos)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	struct llmos_spec spec = { .op = LLM_OP_NOP };
	int r;

	r = llmos_request_new(llmos, &request, &spec, nop_sink, NULL);
	return r < 0 ? r : llmos_request_run(request);
}
