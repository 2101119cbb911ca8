// SPDX-License-Identifier: GPL-2.0-only
/*
 * SUBMIT: a request comes in. Called by clients' commands and by the file way. It is admitted
 * before a byte of its payload is copied, so nobody can have more memory copied than the limits
 * allow, and published when it is complete.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "args.h"
#include "buffer.h"
#include "call.h"
#include "client.h"
#include "commands.h"
#include "dmem.h"
#include "limits.h"
#include "request.h"
#include "session.h"

static bool llm_submit_model_valid(const char *model)
{
	const size_t len = strnlen(model, LLM_MODEL_NAME_MAX);

	return len < LLM_MODEL_NAME_MAX && llm_args_zero(model + len, LLM_MODEL_NAME_MAX - len);
}

static bool llm_sampling_valid(const struct llm_submit *spec)
{
	const struct llm_sampling *sampling = &spec->sampling;

	if (sampling->top_logprobs > LLM_LOGPROBS_MAX ||
	    (sampling->top_logprobs && !(spec->flags & LLM_SUBMIT_RECORDS)))
		return false;
	return llm_args_zero(sampling->reserved, sizeof(sampling->reserved));
}

/* What can be said of the buffers without looking for them. */
static bool llm_submit_buffers_valid(const struct llm_submit *spec)
{
	if (!(spec->flags & LLM_SUBMIT_BUFFER) != !spec->buffer)
		return false;
	return spec->answer_buffer || (!spec->answer_offset && !spec->answer_len);
}

static int llm_submit_check(const struct llm_submit *spec)
{
	if (spec->flags & ~(LLM_SUBMIT_FLAGS | LLM_SUBMIT_BUFFER) || spec->op > LLM_OP_MAX ||
	    spec->payload_type > LLM_PAYLOAD_MAX || spec->pad ||
	    (!(spec->flags & LLM_SUBMIT_SESSION) && spec->session) ||
	    spec->sched_class > LLM_CLASS_IDLE ||
	    (spec->sched_class && spec->op >= LLM_OP_CONTROL) ||
	    spec->reserved || !llm_submit_buffers_valid(spec) ||
	    !llm_submit_model_valid(spec->model) || !llm_sampling_valid(spec))
		return -EINVAL;
	if (spec->payload_len > (spec->buffer ? LLM_BUFFER_PAYLOAD_MAX :
						llm_limit(max_payload_bytes)) ||
	    spec->stop_len > LLM_STOP_BYTES_MAX)
		return -E2BIG;
	return 0;
}

/* A range of a buffer, which the request uses from now on. Return: 0; ENOENT, EINVAL. */
static int llm_submit_use(struct llm_client *client, u64 id, u64 offset, u64 len,
			  struct llm_buffer **ret_buffer)
{
	if (!id)
		return 0;
	*ret_buffer = llm_buffer_use(client, id);
	if (!*ret_buffer)
		return -ENOENT;
	if (len > llm_buffer_len(*ret_buffer) || offset > llm_buffer_len(*ret_buffer) - len)
		return -EINVAL;
	return 0;
}

/* Return: 0; ENOENT, EINVAL, EACCES. */
static int llm_submit_buffers(struct llm_client *client, struct llm_request *req)
{
	const struct llm_submit *spec = &req->spec;
	int err;

	if (!spec->buffer && !spec->answer_buffer)
		return 0;
	spin_lock(&llm_broker.lock);
	err = llm_submit_use(client, spec->buffer, spec->payload, spec->payload_len,
			     &req->buffer) ?:
	      llm_submit_use(client, spec->answer_buffer, spec->answer_offset, spec->answer_len,
			     &req->answer_buffer);
	if (!err && req->answer_buffer && !req->answer_buffer->pin.write)
		err = -EACCES;
	spin_unlock(&llm_broker.lock);
	return err;
}

/* The session that the caller has a descriptor of. Return: 0; EBADF, EINVAL. */
static int llm_submit_session(struct llm_request *req)
{
	if (!(req->spec.flags & LLM_SUBMIT_SESSION))
		return 0;
	return llm_session_use_fd(req->spec.session, &req->session);
}

/* Copies stop strings and payload, in the order in which a server gets them. */
static int llm_submit_copy(struct llm_call *call, struct llm_request *req)
{
	const struct llm_submit *spec = &req->spec;
	struct iov_iter iter;
	int err;

	err = llm_bytes_read_user(&req->prompt, u64_to_user_ptr(spec->stop), spec->stop_len);
	if (err)
		return err;
	if (spec->stop_len && llm_bytes_last(&req->prompt) != '\0')
		return -EINVAL;
	if (req->buffer || !spec->payload_len)
		return 0;
	err = llm_call_import(call, ITER_SOURCE, spec->payload, spec->payload_len, &iter);
	return err ?: llm_bytes_read_iter(&req->prompt, &iter, spec->payload_len);
}

/* Return: 0; EDQUOT, EPERM, EBUSY: the request is still the caller's. */
static int llm_submit_publish(struct llm_request *req, u64 *ret_id)
{
	int err;

	llm_dmem_prepay(req);
	spin_lock(&llm_broker.lock);
	err = llm_request_publish(req, ret_id);
	spin_unlock(&llm_broker.lock);
	return err;
}

/* As if it had never been submitted. */
static void llm_submit_revoke(struct llm_client *client, u64 id)
{
	struct llm_request *req;
	LLM_DEFINE_TRASH(trash);

	spin_lock(&llm_broker.lock);
	req = llm_client_find(client, id);
	if (req)
		llm_request_detach(req, &trash);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
}

static int llm_submit(struct llm_call *call, const struct llm_submit *spec, u64 *ret_id)
{
	struct llm_client *client = call->client;
	struct llm_request *req;
	int err;

	err = llm_submit_check(spec);
	if (err)
		return err;
	err = llm_request_create(client, spec, &req);
	if (err)
		return err;
	err = llm_submit_buffers(client, req) ?: llm_submit_session(req) ?:
	      llm_submit_copy(call, req) ?: llm_submit_publish(req, ret_id);
	if (err)
		llm_request_discard(req);
	return err;
}

int llm_submit_start(struct llm_call *call)
{
	int err;

	err = llm_submit(call, &call->args.submit, &call->args.submit.id);
	if (err)
		return err;
	err = llm_args_write_part(call, offsetof(struct llm_submit, id),
				  offsetofend(struct llm_submit, id));
	if (err)
		llm_submit_revoke(call->client, call->args.submit.id);
	return err;
}

/* Says which request it is, in both places. Return: 0; EFAULT. */
static int llm_submit_tell(const struct llm_call *call)
{
	struct llm_submit_read __user *arg = call->arg;
	const u64 id = call->args.submit_read.submit.id;

	/* from the older of its parts on, which is what its size announces */
	if (call->size < sizeof(*arg))
		return llm_args_write_part(call, offsetof(struct llm_submit_read, submit.id),
					   offsetofend(struct llm_submit_read, submit.id)) ?:
		       llm_args_write_part(call, offsetof(struct llm_submit_read, read.id),
					   offsetofend(struct llm_submit_read, read.id));
	return put_user(id, &arg->submit.id) ?: put_user(id, &arg->read.id);
}

int llm_submit_read_start(struct llm_call *call)
{
	struct llm_submit *submit = &call->args.submit_read.submit;
	struct llm_read *read = &call->args.submit_read.read;
	int err;

	if (read->size != sizeof(*read) || read->id)
		return -EINVAL;
	err = llm_read_start(call) ?: llm_submit(call, submit, &submit->id);
	if (err)
		return err;
	read->id = submit->id;
	/* The rest goes out with what READ has to say, if it has anything to say. */
	err = llm_submit_tell(call);
	if (err)
		llm_submit_revoke(call->client, submit->id);
	return err;
}

/** llm_submit_read_parks() - what was submitted just now has hardly been answered */
bool llm_submit_read_parks(const struct llm_call *call)
{
	return true;
}

static int llm_submit_publish_prompt(struct llm_request *req, struct llm_bytes *prompt, u64 *ret_id)
{
	int err;

	llm_dmem_prepay(req);
	spin_lock(&llm_broker.lock);
	llm_bytes_append(&req->prompt, prompt);
	err = llm_request_publish(req, ret_id);
	if (err)
		llm_bytes_append(prompt, &req->prompt);
	spin_unlock(&llm_broker.lock);
	return err;
}

/**
 * llm_submit_prompt() - submits what was written to a file
 * @client: whose
 * @prompt: moves into the request
 * @ret_id: the request's
 *
 * Return: 0; EBUSY, EDQUOT, ENOMEM: @prompt is as it was.
 */
int llm_submit_prompt(struct llm_client *client, struct llm_bytes *prompt, u64 *ret_id)
{
	const struct llm_submit spec = {
		.size = sizeof(spec),
		.flags = LLM_SUBMIT_FILE,
		.op = LLM_OP_GENERATE,
		.payload_type = LLM_PAYLOAD_TEXT,
		.payload_len = prompt->len,
	};
	struct llm_request *req;
	int err;

	err = llm_request_create(client, &spec, &req);
	if (err)
		return err;
	err = llm_submit_publish_prompt(req, prompt, ret_id);
	if (err)
		llm_request_discard(req);
	return err;
}
