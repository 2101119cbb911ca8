/* SPDX-License-Identifier: MIT */
/*
 * Generation: a text or a conversation goes in, an answer comes out, at once or piece by piece.
 */
#include <errno.h>
#include <string.h>

#include "opts.h"
#include "request.h"

struct payload {
	unsigned int type;
	const void *bytes;
	size_t len;
};

static unsigned int generate_flags(const struct llmos_generate_opts *opts)
{
	return (opts->special ? LLM_SUBMIT_SPECIAL : 0) |
	       (opts->no_bos ? LLM_SUBMIT_NO_BOS : 0) |
	       (opts->ignore_eos ? LLM_SUBMIT_IGNORE_EOS : 0) |
	       (opts->no_wait ? LLM_SUBMIT_EDQUOT : 0);
}

/* at most one thing that the answer is held to */
static int generate_constraint(struct llmos *llmos, const struct llmos_generate_opts *opts,
			       struct llmos_spec *spec)
{
	const char *text;

	if (!!opts->grammar + !!opts->schema + opts->any_json > 1)
		return llmos_fail(llmos, -EINVAL, "more than one of grammar, schema, any_json");
	if (!opts->grammar && !opts->schema && !opts->any_json)
		return 0;
	if (opts->ignore_eos)
		return llmos_fail(llmos, -EINVAL, "ignore_eos of an answer that is held to a grammar");
	text = opts->grammar ?: opts->schema;
	spec->options[spec->option_count++] = (struct llmos_option){
		.type = opts->grammar ? LLM_OPTION_GRAMMAR :
			opts->schema ? LLM_OPTION_SCHEMA : LLM_OPTION_JSON,
		.data = text,
		.len = text ? strlen(text) : 0,
	};
	return 0;
}

/* go on where the context is full */
static int generate_shift(struct llmos *llmos, const struct llmos_generate_opts *opts,
			  struct llmos_spec *spec)
{
	if (opts->keep_tokens && !opts->context_shift)
		return llmos_fail(llmos, -EINVAL, "'%u' tokens to keep without context_shift",
				  opts->keep_tokens);
	if (opts->context_shift)
		spec->options[spec->option_count++] = (struct llmos_option){
			.type = LLM_OPTION_CONTEXT_SHIFT,
			.data = &opts->keep_tokens,
			.len = opts->keep_tokens ? sizeof(opts->keep_tokens) : 0,
		};
	return 0;
}

static int generate_new(struct llmos *llmos, struct llmos_request **ret,
			const struct payload *payload, const struct llmos_generate_opts *caller)
{
	struct llmos_adapter_data adapters[LLM_ADAPTERS_MAX];
	struct llmos_generate_opts opts;
	struct llmos_spec spec = {
		.op = LLM_OP_GENERATE,
		.payload_type = payload->type,
		.payload = payload->bytes,
		.payload_len = payload->len,
	};
	int r;

	r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);
	if (r < 0)
		return r;
	if (payload->type == LLM_PAYLOAD_CHAT && (opts.raw || opts.special))
		return llmos_fail(llmos, -EINVAL, "option '%s' of a conversation",
				  opts.raw ? "raw" : "special");
	if (opts.raw)
		spec.payload_type = LLM_PAYLOAD_RAW;
	spec.flags = generate_flags(&opts);
	spec.max_tokens = opts.max_tokens;
	spec.stop = opts.stop;
	spec.model = opts.model;
	spec.sched_class = opts.sched_class;
	spec.buffer = opts.buffer;
	spec.payload_offset = opts.buffer_offset;
	spec.session = opts.session;
	r = llmos_opts_class(llmos, opts.sched_class);
	if (r < 0)
		return r;
	r = generate_constraint(llmos, &opts, &spec);
	if (r < 0)
		return r;
	r = generate_shift(llmos, &opts, &spec);
	if (r < 0)
		return r;
	r = llmos_spec_adapters(llmos, &spec, opts.adapters, opts.adapter_count, adapters);
	if (r < 0)
		return r;
	r = llmos_opts_sampling(llmos, &opts, &spec.sampling);
	if (r < 0)
		return r;
	r = llmos_request_new(llmos, ret, &spec, llmos_request_stream, NULL);
	if (r < 0)
		return r;
	/* what the pointers point at was copied; only callbacks are needed from here on */
	opts.model = NULL;
	opts.stop = NULL;
	opts.grammar = NULL;
	opts.schema = NULL;
	opts.session = NULL;
	opts.adapters = NULL;
	opts.adapter_count = 0;
	(*ret)->opts = opts;
	return 0;
}

static int generate_start(struct llmos *llmos, struct llmos_request **ret,
			  const struct payload *payload, const struct llmos_generate_opts *opts)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	int r;

	llmos->transport->ops->prepare_async(llmos->transport);
	r = generate_new(llmos, &request, payload, opts);
	if (r < 0)
		return r;
	request->keep = !request->opts.on_text;
	r = llmos_request_start(request);
	if (r < 0)
		return r;
	*ret = request;
	request = NULL;
	return 0;
}

static int generate_run(struct llmos *llmos, char **ret_answer, const struct payload *payload,
			const struct llmos_generate_opts *opts)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	int r;

	r = generate_new(llmos, &request, payload, opts);
	if (r < 0)
		return r;
	request->keep = ret_answer;
	r = llmos_request_run(request);
	if (r < 0)
		return r;
	if (ret_answer) {
		char *answer = llmos_text_take(&request->text);

		if (!answer)
			return llmos_fail(llmos, -ENOMEM, "answer");
		*ret_answer = answer;
	}
	return 0;
}

/* ---- conversations ---- */

static int chat_payload_len(struct llmos *llmos, const struct llmos_message *messages,
			    size_t count, size_t *ret_len)
{
	size_t limit = llmos->features.max_payload_bytes, total = 0, i;

	if (!count)
		return llmos_fail(llmos, -EINVAL, "conversation without a message");
	for (i = 0; i < count; i++) {
		size_t len;

		if (!messages[i].text || (unsigned int)messages[i].role > LLMOS_ASSISTANT)
			return llmos_fail(llmos, -EINVAL, "message '%zu' of a conversation", i);
		len = strlen(messages[i].text) + sizeof(struct llm_message);
		if (len > limit - total)
			return llmos_fail(llmos, -E2BIG, "conversation of more than %zu bytes",
					  limit);
		total += len;
	}
	*ret_len = total;
	return 0;
}

static int chat_payload(struct llmos *llmos, uint8_t **ret_bytes, size_t *ret_len,
			const struct llmos_message *messages, size_t count)
{
	uint8_t *bytes, *at;
	size_t i;
	int r;

	r = chat_payload_len(llmos, messages, count, ret_len);
	if (r < 0)
		return r;
	bytes = malloc(*ret_len);
	if (!bytes)
		return llmos_fail(llmos, -ENOMEM, "conversation");
	for (at = bytes, i = 0; i < count; i++) {
		struct llm_message head = {
			.role = messages[i].role,
			.len = strlen(messages[i].text),
		};

		memcpy(at, &head, sizeof(head));
		memcpy(at + sizeof(head), messages[i].text, head.len);
		at += sizeof(head) + head.len;
	}
	*ret_bytes = bytes;
	return 0;
}

/* ---- the calls ---- */

int llmos_ask(struct llmos *llmos, char **ret_answer, const char *prompt, size_t prompt_len,
	      const struct llmos_generate_opts *opts)
{
	struct payload payload = { LLM_PAYLOAD_TEXT, prompt, prompt_len };

	return generate_run(llmos, ret_answer, &payload, opts);
}

int llmos_ask_start(struct llmos *llmos, struct llmos_request **ret, const char *prompt,
		    size_t prompt_len, const struct llmos_generate_opts *opts)
{
	struct payload payload = { LLM_PAYLOAD_TEXT, prompt, prompt_len };

	return generate_start(llmos, ret, &payload, opts);
}

int llmos_chat(struct llmos *llmos, char **ret_answer, const struct llmos_message *messages,
	       size_t count, const struct llmos_generate_opts *opts)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct payload payload = { .type = LLM_PAYLOAD_CHAT };
	int r;

	r = chat_payload(llmos, &bytes, &payload.len, messages, count);
	if (r < 0)
		return r;
	payload.bytes = bytes;
	return generate_run(llmos, ret_answer, &payload, opts);
}

int llmos_chat_start(struct llmos *llmos, struct llmos_request **ret,
		     const struct llmos_message *messages, size_t count,
		     const struct llmos_generate_opts *opts)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct payload payload = { .type = LLM_PAYLOAD_CHAT };
	int r;

	r = chat_payload(llmos, &bytes, &payload.len, messages, count);
	if (r < 0)
		return r;
	payload.bytes = bytes;
	return generate_start(llmos, ret, &payload, opts);
}

int llmos_request_usage(const struct llmos_request *request, struct llmos_usage *usage)
{
	return llmos_opts_return(request->llmos, usage, &request->usage, sizeof(request->usage));
}
