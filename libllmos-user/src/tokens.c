/* SPDX-License-Identifier: MIT */
/*
 * Tokens of a text, text of tokens, and how likely each token is. The array returned owns what its
 * pointers point at; while it grows, these are kept as offsets.
 */
#include <errno.h>
#include <string.h>

#include "opts.h"
#include "request.h"

/* far above any context: only bounds what a broken server can make us hold */
#define TOKENS_MAX	(4U * 1024 * 1024)

/**
 * struct token_list - what a struct llmos_tokens is the first member of
 * @tokens: what the caller sees
 * @size: tokens there is room for
 * @text: bytes of all tokens
 * @top: alternatives of all tokens
 * @top_count: number of them
 * @top_size: alternatives there is room for
 * @model: of a session
 */
struct token_list {
	struct llmos_tokens tokens;
	size_t size;
	struct llmos_text text;
	struct llmos_alternative *top;
	size_t top_count;
	size_t top_size;
	char model[LLM_MODEL_NAME_MAX];
};

static struct token_list *token_list(struct llmos_tokens *tokens)
{
	return llmos_container(tokens, struct token_list, tokens);
}

void llmos_tokens_free(struct llmos_tokens *tokens)
{
	struct token_list *list;

	if (!tokens)
		return;
	list = token_list(tokens);
	free(tokens->tokens);
	free(list->top);
	llmos_text_done(&list->text);
	free(list);
}

/* room for one more element, doubling */
static int array_grow(void **array, size_t count, size_t *size, size_t element_size)
{
	size_t grown_size = *size ? *size * 2 : 64;
	void *grown;

	if (count < *size)
		return 0;
	grown = reallocarray(*array, grown_size, element_size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*size = grown_size;
	return 0;
}

static int token_list_add_top(struct token_list *list, const struct llmos_token *token)
{
	size_t i;
	int r;

	for (i = 0; i < token->top_count; i++) {
		r = array_grow((void **)&list->top, list->top_count, &list->top_size,
			       sizeof(*list->top));
		if (r < 0)
			return r;
		list->top[list->top_count++] = token->top[i];
	}
	return 0;
}

static int token_list_add(struct token_list *list, const struct llmos_token *token)
{
	int r;

	if (list->tokens.count >= TOKENS_MAX)
		return -EMSGSIZE;
	r = array_grow((void **)&list->tokens.tokens, list->tokens.count, &list->size,
		       sizeof(*list->tokens.tokens));
	if (r < 0)
		return r;
	r = llmos_text_append(&list->text, token->text, token->text_len);
	if (r < 0)
		return r;
	r = token_list_add_top(list, token);
	if (r < 0)
		return r;
	list->tokens.tokens[list->tokens.count++] = *token;
	return 0;
}

/* nothing moves any more: point at texts and alternatives */
static void token_list_settle(struct token_list *list)
{
	size_t text_at = 0, top_at = 0, i;

	for (i = 0; i < list->tokens.count; i++) {
		struct llmos_token *token = &list->tokens.tokens[i];

		token->text = token->text_len ? list->text.bytes + text_at : "";
		token->top = token->top_count ? list->top + top_at : NULL;
		text_at += token->text_len;
		top_at += token->top_count;
	}
}

static int tokens_sink(struct llmos_request *request, unsigned int type, const uint8_t *body,
		       size_t len)
{
	struct llmos_alternative top[LLM_LOGPROBS_MAX];
	struct token_list *list = request->sink_data;
	struct llmos_token token;
	struct llm_model_info model;
	int r;

	if (type == LLM_RECORD_MODEL) {
		r = llmos_record_model(body, len, &model);
		if (!r)
			memcpy(list->model, model.name, sizeof(list->model));
		return r;
	}
	if (type != LLM_RECORD_TOKEN)
		return 0;
	r = llmos_record_token(body, len, &token, top);
	return r < 0 ? r : token_list_add(list, &token);
}

static int tokens_run(struct llmos *llmos, struct llmos_tokens **ret, const struct llmos_spec *spec,
		      uint64_t *ret_answer_bytes)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	_cleanup_(llmos_tokens_freep) struct llmos_tokens *tokens = NULL;
	struct token_list *list = calloc(1, sizeof(*list));
	int r;

	if (!list)
		return llmos_fail(llmos, -ENOMEM, "tokens");
	tokens = &list->tokens;
	r = llmos_request_new(llmos, &request, spec, tokens_sink, list);
	if (r < 0)
		return r;
	r = llmos_request_run(request);
	if (r < 0)
		return r;
	token_list_settle(list);
	if (ret_answer_bytes)
		*ret_answer_bytes = request->answer_bytes;
	*ret = tokens;
	tokens = NULL;
	return 0;
}

int llmos_tokenize(struct llmos *llmos, struct llmos_tokens **ret, const char *text, size_t len,
		   const struct llmos_tokenize_opts *caller)
{
	struct llmos_tokenize_opts opts;
	struct llmos_spec spec = {
		.op = LLM_OP_TOKENIZE,
		.payload_type = LLM_PAYLOAD_RAW,
		.payload = text,
		.payload_len = len,
	};
	int r;

	r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);
	if (r < 0)
		return r;
	spec.model = opts.model;
	spec.flags = (opts.special ? LLM_SUBMIT_SPECIAL : 0) |
		     (opts.bos ? 0 : LLM_SUBMIT_NO_BOS);
	return tokens_run(llmos, ret, &spec, NULL);
}

int llmos_session_tokens(struct llmos *llmos, const struct llmos_session *session,
			 struct llmos_tokens **ret, char **ret_model)
{
	const struct llmos_spec spec = {
		.op = LLM_OP_SESSION_TOKENS,
		.payload_type = LLM_PAYLOAD_TOKENS,
		.session = session,
	};
	_cleanup_(llmos_tokens_freep) struct llmos_tokens *tokens = NULL;
	const char *name;
	int r;

	r = tokens_run(llmos, &tokens, &spec, NULL);
	if (r < 0)
		return r;
	name = token_list(tokens)->model;
	if (ret_model) {
		*ret_model = *name ? strdup(name) : NULL;
		if (*name && !*ret_model)
			return llmos_fail(llmos, -ENOMEM, "tokens");
	}
	*ret = tokens;
	tokens = NULL;
	return 0;
}

static int ids_len(struct llmos *llmos, size_t count, size_t max_bytes, size_t *ret_len)
{
	if (count > max_bytes / sizeof(uint32_t))
		return llmos_fail(llmos, -E2BIG, "'%zu' token ids (the limit is %zu)", count,
				  max_bytes / sizeof(uint32_t));
	*ret_len = count * sizeof(uint32_t);
	return 0;
}

int llmos_detokenize(struct llmos *llmos, char **ret_text, size_t *ret_len, const uint32_t *ids,
		     size_t count, const char *model)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	struct llmos_spec spec = {
		.op = LLM_OP_DETOKENIZE,
		.payload_type = LLM_PAYLOAD_TOKENS,
		.payload = ids,
		.model = model,
	};
	size_t len;
	char *text;
	int r;

	r = ids_len(llmos, count, llmos->features.max_payload_bytes, &spec.payload_len);
	if (r < 0)
		return r;
	r = llmos_request_new(llmos, &request, &spec, llmos_request_keep_text, NULL);
	if (r < 0)
		return r;
	r = llmos_request_run(request);
	if (r < 0)
		return r;
	len = request->text.len;
	text = llmos_text_take(&request->text);
	if (!text)
		return llmos_fail(llmos, -ENOMEM, "text");
	*ret_text = text;
	if (ret_len)
		*ret_len = len;
	return 0;
}

static int score_run(struct llmos *llmos, struct llmos_tokens **ret, struct llmos_spec *spec,
		     const struct llmos_score_opts *caller)
{
	struct llmos_adapter_data adapters[LLM_ADAPTERS_MAX];
	struct llmos_score_opts opts;
	uint64_t bytes = 0;
	int r;

	r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);
	if (r < 0)
		return r;
	r = llmos_opts_logprobs(llmos, opts.top_logprobs, false, &spec->sampling.top_logprobs);
	if (r < 0)
		return r;
	r = llmos_opts_class(llmos, opts.sched_class);
	if (r < 0)
		return r;
	if (spec->payload_type == LLM_PAYLOAD_TOKENS && !opts.buffer)
		r = ids_len(llmos, spec->payload_len / sizeof(uint32_t),
			    llmos->features.max_payload_bytes, &spec->payload_len);
	if (r < 0)
		return r;
	r = llmos_spec_adapters(llmos, spec, opts.adapters, opts.adapter_count, adapters);
	if (r < 0)
		return r;
	spec->op = LLM_OP_SCORE;
	spec->model = opts.model;
	spec->sched_class = opts.sched_class;
	if (spec->payload_type == LLM_PAYLOAD_TOKENS && (opts.special || opts.no_bos))
		return llmos_fail(llmos, -EINVAL, "option '%s' of token ids",
				  opts.special ? "special" : "no_bos");
	spec->flags = (opts.special ? LLM_SUBMIT_SPECIAL : 0) |
		      (opts.no_bos ? LLM_SUBMIT_NO_BOS : 0) |
		      (opts.no_wait ? LLM_SUBMIT_EDQUOT : 0);
	spec->buffer = opts.buffer;
	spec->payload_offset = opts.buffer_offset;
	spec->answer_buffer = opts.scores;
	spec->answer_offset = opts.scores_offset;
	spec->answer_len = opts.scores_len;
	r = tokens_run(llmos, ret, spec, &bytes);
	if (!r && opts.ret_scores)
		*opts.ret_scores = bytes / sizeof(int32_t);
	return r;
}

int llmos_score(struct llmos *llmos, struct llmos_tokens **ret, const char *text, size_t len,
		const struct llmos_score_opts *opts)
{
	struct llmos_spec spec = {
		.payload_type = LLM_PAYLOAD_RAW,
		.payload = text,
		.payload_len = len,
	};

	return score_run(llmos, ret, &spec, opts);
}

int llmos_score_ids(struct llmos *llmos, struct llmos_tokens **ret, const uint32_t *ids,
		    size_t count, const struct llmos_score_opts *opts)
{
	struct llmos_spec spec = {
		.payload_type = LLM_PAYLOAD_TOKENS,
		.payload = ids,
	};
	int r;

	/* those that are in no buffer are counted again */
	r = ids_len(llmos, count, LLM_BUFFER_PAYLOAD_MAX, &spec.payload_len);
	return r < 0 ? r : score_run(llmos, ret, &spec, opts);
}
