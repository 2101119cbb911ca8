/* SPDX-License-Identifier: MIT */
/*
 * Answers on their way out.
 */
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "json.h"
#include "term.h"
#include "tokens.h"

static int answer_collect(struct answer *answer, const char *text, size_t len)
{
	size_t size = answer->text_size ? answer->text_size : 4096;
	char *grown;

	while (size < answer->text.len + len + 1)
		size *= 2;
	if (size != answer->text_size) {
		grown = realloc(answer->text.data, size);
		if (!grown)
			return -ENOMEM;
		answer->text.data = grown;
		answer->text_size = size;
	}
	memcpy(answer->text.data + answer->text.len, text, len);
	answer->text.len += len;
	answer->text.data[answer->text.len] = '\0';
	return 0;
}

static int answer_on_text(void *userdata, const char *text, size_t len)
{
	struct answer *answer = userdata;

	if (answer->collect)
		answer->error = answer_collect(answer, text, len);
	if (!answer->error && !answer->options->json)
		answer->error = term_write_text(text, len);
	answer->written = true;
	answer->last = text[len - 1];
	return answer->error;
}

static int token_copy(struct llmos_token *to, const struct llmos_token *from)
{
	size_t top_size = from->top_count * sizeof(*from->top);
	char *text = malloc(from->text_len + 1);
	struct llmos_alternative *top = malloc(top_size + 1);

	if (!text || !top) {
		free(text);
		free(top);
		return -ENOMEM;
	}
	memcpy(text, from->text, from->text_len);
	if (top_size)
		memcpy(top, from->top, top_size);
	*to = *from;
	to->text = text;
	to->top = top;
	return 0;
}

static int answer_on_token(void *userdata, const struct llmos_token *token)
{
	struct answer *answer = userdata;
	size_t count = answer->token_count;
	struct llmos_token *grown;

	if (!(count & (count - 1))) {
		grown = reallocarray(answer->tokens, count ? count * 2 : 1, sizeof(*grown));
		if (!grown)
			return answer->error = -ENOMEM;
		answer->tokens = grown;
	}
	answer->error = token_copy(&answer->tokens[count], token);
	if (!answer->error)
		answer->token_count++;
	return answer->error;
}

static void answer_on_end(void *userdata, struct llmos_request *request, int status)
{
	struct answer *answer = userdata;

	(void)status;
	answer->finish = llmos_request_finish(request);
	answer->usage.size = sizeof(answer->usage);
	if (llmos_request_usage(request, &answer->usage) < 0)
		answer->usage = (struct llmos_usage){ 0 };
}

void answer_init(struct answer *answer, const struct options *options,
		 struct llmos_generate_opts *opts)
{
	*answer = (struct answer){ .options = options, .collect = options->json };
	opts->on_text = answer_on_text;
	opts->on_token = answer_on_token;
	opts->on_end = answer_on_end;
	opts->userdata = answer;
}

void answer_done(struct answer *answer)
{
	size_t i;

	for (i = 0; i < answer->token_count; i++) {
		free((void *)answer->tokens[i].text);
		free((void *)answer->tokens[i].top);
	}
	free(answer->tokens);
	free(answer->text.data);
	*answer = (struct answer){ 0 };
}

int answer_end_line(struct answer *answer)
{
	if (!answer->written || answer->last == '\n' || answer->error || answer->options->json)
		return 0;
	answer->last = '\n';
	return term_write("\n", 1);
}

static double ms_between(uint64_t from, uint64_t to)
{
	return from && to >= from ? (double)(to - from) / 1e6 : 0.0;
}

const char *finish_name(enum llmos_finish finish)
{
	switch (finish) {
	case LLMOS_FINISH_STOP:		return "stop";
	case LLMOS_FINISH_STOP_STRING:	return "stop_string";
	case LLMOS_FINISH_LENGTH:	return "length";
	case LLMOS_FINISH_CONTEXT:	return "context";
	default:			return "none";
	}
}

static int answer_print_json(const struct answer *answer)
{
	const struct llmos_usage *usage = &answer->usage;
	struct json json = { 0 };
	size_t i;

	json_object(&json, NULL);
	json_text(&json, "text", answer->text.data ? answer->text.data : "", answer->text.len);
	json_string(&json, "finish", finish_name(answer->finish));
	json_object(&json, "usage");
	json_number(&json, "prompt_tokens", usage->prompt_tokens);
	json_number(&json, "output_tokens", usage->output_tokens);
	json_real(&json, "queue_ms", ms_between(usage->submit_ns, usage->dispatch_ns));
	json_real(&json, "first_ms", ms_between(usage->submit_ns, usage->first_ns));
	json_real(&json, "total_ms", ms_between(usage->submit_ns, usage->end_ns));
	json_end_object(&json);
	if (answer->options->logprobs >= 0) {
		json_array(&json, "logprobs");
		for (i = 0; i < answer->token_count; i++)
			token_print_json(&json, &answer->tokens[i], true);
		json_end_array(&json);
	}
	json_end_object(&json);
	return json_done(&json);
}

int answer_finish(struct answer *answer, const struct llmos *llmos, int status)
{
	int r = answer_end_line(answer);

	if (answer->error || r < 0) {
		r = answer->error ? answer->error : r;
		return fail(r == -ENOMEM ? EX_OSERR : EX_IOERR, "write: %s", strerror(-r));
	}
	if (status < 0)
		return fail_llmos(llmos, status);
	if (answer->options->json)
		r = answer_print_json(answer);
	else if (answer->options->logprobs >= 0)
		r = tokens_print_table(answer->tokens, answer->token_count);
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}
